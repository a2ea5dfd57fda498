"""The frame of Modbus RTU: unit id, message, CRC; where it ends is told by the message itself.

Source: MODBUS over Serial Line V1.02, 2.5.1 RTU Transmission Mode, 6.2.2 CRC Generation.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_FRAME = 256
_CRC = struct.Struct("<H")
_BY_COUNT = frozenset({1, 2, 3, 4, 23})
_FIXED = {5: 8, 6: 8, 8: 8, 15: 8, 16: 8, 22: 10}
_REQUESTS = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 8: 8, 22: 10, 43: 7}
_REQUEST_COUNTS = {15: 6, 16: 6, 23: 10}  # where the byte count stands
_LONGEST_HEAD = 11
_MOST_NOISE = 1024  # bytes on end that are looked through, at a CRC each


def _table() -> list[int]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        rows.append(value)
    return rows


_ROWS = _table()


def crc(data: bytes) -> int:
    """Return the CRC of a frame's bytes."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _ROWS[(value ^ byte) & 0xFF]
    return value


def frame(unit: int, message: bytes) -> bytes:
    """Return a message with unit id and CRC."""
    data = bytes([unit]) + message
    return data + _CRC.pack(crc(data))


def is_whole(data: bytes) -> bool:
    """Tell whether the bytes are a frame with a right CRC."""
    return len(data) >= 4 and crc(data[:-2]) == int(_CRC.unpack(data[-2:])[0])


def response_size(data: bytes) -> int | None:
    """Return how long the response is that begins here; 0 where it is none, None where that is unknown."""
    if len(data) < 3:
        return None
    function = data[1]
    if function & 0x80:
        return 5
    if function in _BY_COUNT:
        return 5 + data[2] if data[2] else 0
    if function == 43:
        return _identification_size(data)
    return _FIXED.get(function, 0)


def _identification_size(data: bytes) -> int | None:
    """Return the size of a response of function 43/14: objects, each with its length."""
    if data[2] != 14:
        return 0
    if len(data) < 8:
        return None
    at = 8
    for _ in range(data[7]):
        if len(data) < at + 2:
            return None
        at += 2 + data[at + 1]
    return at + 2


def request_size(data: bytes) -> int | None:
    """Return how long the request is that begins here; 0 where it is none, None where that is unknown."""
    if len(data) < 2:
        return None
    function = data[1]
    at = _REQUEST_COUNTS.get(function)
    if at is None:
        return _REQUESTS.get(function, 0)
    return at + 3 + data[at] if len(data) > at else None


@dataclass(frozen=True, slots=True)
class Awaited:
    """The response to a request: how its frame begins, and its size where the request says it already."""

    start: bytes
    size: int | None = None

    def find(self, data: bytes, final: bool = False) -> tuple[bytes, bytes] | None:
        """Return the message of the response within what came, and what came after it.

        What does not begin like the response, or has a wrong CRC, is noise. `final` says that nothing more
        comes: what looks like the beginning of a long response is noise then, too.
        """
        exception = bytes([self.start[0], self.start[1] | 0x80])
        at = data.find(self.start[0])
        while at >= 0:
            size = 0
            if data.startswith(exception, at):
                size = 5
            elif data.startswith(self.start, at):
                size = self.size or response_size(data[at:]) or MAX_FRAME
            elif not final and self.start.startswith(data[at:]):
                return None
            if size:
                if is_whole(data[at : at + size]) and len(data) >= at + size:
                    return data[at + 1 : at + size - 2], data[at + size :]
                if len(data) < at + size and not final:
                    return None
            at = data.find(self.start[0], at + 1)
        return None


def awaited(unit: int, message: bytes, size: int | None) -> Awaited:
    """Return what the answer to a message looks like; `size` is the data of a read."""
    function = message[0]
    if size is not None:
        return Awaited(bytes([unit, function, size]), size + 5)
    if function in (5, 6, 15, 16):
        return Awaited(bytes([unit]) + message[:5], 8)
    if function in (8, 22):
        return Awaited(bytes([unit]) + message, len(message) + 3)
    return Awaited(bytes([unit, function]))


def functions_in(data: bytes) -> list[tuple[int, int]]:
    """Return (unit, function) of every whole response in what came unasked."""
    found = []
    at = 0
    while at < len(data) - 4:
        size = response_size(data[at:])
        if size and at + size <= len(data) and is_whole(data[at : at + size]):
            found.append((data[at], data[at + 1] & 0x7F))
            at += size
        else:
            at += 1
    return found


class Requests:
    """Finds the requests in what a serial line brings; it hears the answers of other devices, too."""

    def __init__(self) -> None:
        self._data = b""

    def silence(self) -> None:
        """Take in that the line was silent for longer than a frame may be interrupted."""
        self._data = b""

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return (unit, message) of the requests that are complete now."""
        self._data += data
        found = []
        at = noise = 0
        while (left := len(self._data) - at) > 0:
            size = request_size(self._data[at : at + _LONGEST_HEAD])
            if size is None or size > left:
                if left < MAX_FRAME:
                    break
                size = 0
            if not size and left <= MAX_FRAME:
                size = left  # a function that is not ours, or the answer of another device
            if size and is_whole(self._data[at : at + size]):
                found.append((self._data[at], self._data[at + 1 : at + size - 2]))
                at, noise = at + size, 0
                continue
            at, noise = at + 1, noise + 1
            if noise > _MOST_NOISE:
                at = max(at, len(self._data) - MAX_FRAME)
        self._data = self._data[at:]
        return found
