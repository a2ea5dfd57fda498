"""The frame of Modbus TCP: a header of seven bytes before each message.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3 MBAP Header description.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct(">HHHB")
MAX_PDU = 253


class FrameError(Exception):
    """The bytes are no Modbus TCP; what follows cannot be understood either."""


def split_frames(data: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Return the whole frames as (transaction number, unit id, message), and the bytes left over.

    Raises:
        FrameError: a header is wrong.
    """
    frames = []
    at, end = 0, len(data)
    while end - at >= _HEADER.size:
        number, protocol, length, unit = _HEADER.unpack_from(data, at)
        if protocol:
            raise FrameError(f"protocol identifier {protocol}, not 0")
        if not 2 <= length <= MAX_PDU + 1:
            raise FrameError(f"length {length}, not 2 to {MAX_PDU + 1}")
        if end - at < 6 + length:
            break
        frames.append((number, unit, data[at + 7 : at + 6 + length]))
        at += 6 + length
    return frames, data[at:]


def frame(number: int, unit: int, message: bytes) -> bytes:
    """Return a message with its header."""
    return _HEADER.pack(number, 0, len(message) + 1, unit) + message
