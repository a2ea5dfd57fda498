"""Protocol Buffers as bytes: what a Sparkplug payload needs of them, without a library.

Source: protobuf.dev, Encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_U64 = 0xFFFF_FFFF_FFFF_FFFF
_WIDTH = {FIXED64: 8, FIXED32: 4}


class PayloadError(Exception):
    """Bytes that are no Sparkplug payload."""


def varint(number: int) -> bytes:
    """Return an unsigned number of at most 64 bits."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tagged(field: int, number: int) -> bytes:
    """Return a field that holds an unsigned number or a boolean."""
    return varint(field << 3 | VARINT) + varint(number)


def chunk(field: int, data: bytes) -> bytes:
    """Return a field that holds text, bytes or a message."""
    return varint(field << 3 | BYTES) + varint(len(data)) + data


def fixed32(field: int, number: float) -> bytes:
    """Return a field that holds a float; one that is too great for it becomes infinite."""
    try:
        packed = struct.pack("<f", number)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if number > 0 else float("-inf"))
    return varint(field << 3 | FIXED32) + packed


def fixed64(field: int, number: float) -> bytes:
    """Return a field that holds a double."""
    return varint(field << 3 | FIXED64) + struct.pack("<d", number)


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield number, kind and content of each field of a message.

    Raises:
        PayloadError: the bytes are no message.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        field, kind = key >> 3, key & 7
        if not 0 < field < 1 << 29:
            raise PayloadError(f"{field} is no field number")
        if kind == VARINT:
            number, at = _varint(data, at)
            yield field, kind, number
            continue
        if kind == BYTES:
            width, at = _varint(data, at)
        elif kind in _WIDTH:
            width = _WIDTH[kind]
        else:
            raise PayloadError(f"field {field} is of kind {kind}, which Sparkplug does not use")
        if width > end - at:
            raise PayloadError(f"field {field} ends after the message does")
        yield field, kind, data[at : at + width]
        at += width


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise PayloadError("the message ends within a number")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _U64, at
    raise PayloadError("a number has over 64 bits")
