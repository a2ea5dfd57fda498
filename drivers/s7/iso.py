"""ISO transport on TCP, both ways: packets and the class 0 transport in them, with bounds.

Source: RFC 1006 (TPKT); ISO 8073 / ITU-T X.224 (CR, CC, DR and DT TPDUs).
"""

from __future__ import annotations

import struct

MAX_PACKET = 16_384  # no CPU negotiates more than 8192 bytes
_CONFIRM, _DISCONNECT, _DATA, _REQUEST = 0xD0, 0x80, 0xF0, 0xE0
_SIZE, _CALLING, _CALLED = 0xC0, 0xC1, 0xC2
_TPDU_1024 = 10  # 2**10 bytes


class FrameError(Exception):
    """What came is no ISO transport, or says that there is no connection."""


def connect_request(local_tsap: int, remote_tsap: int) -> bytes:
    """Return a packet that asks for a connection."""
    parameters = struct.pack(
        ">BBHBBHBBB", _CALLING, 2, local_tsap, _CALLED, 2, remote_tsap, _SIZE, 1, _TPDU_1024
    )
    return _packet(struct.pack(">BBHHB", 6 + len(parameters), _REQUEST, 0, 1, 0) + parameters)


def data_packet(message: bytes) -> bytes:
    """Return a packet that carries a whole message."""
    return _packet(struct.pack(">BBB", 2, _DATA, 0x80) + message)


def _packet(payload: bytes) -> bytes:
    return struct.pack(">BBH", 3, 0, 4 + len(payload)) + payload


class Incoming:
    """Takes bytes as they come and gives whole messages. One a connection."""

    def __init__(self) -> None:
        self.confirmed = False
        self._buffer = b""
        self._parts = b""

    def take(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete now.

        Raises:
            FrameError: the other side does not speak this, or refuses the connection.
        """
        self._buffer += data
        messages = []
        while len(self._buffer) >= 4:
            version, _, length = struct.unpack_from(">BBH", self._buffer)
            if version != 3 or not 7 <= length <= MAX_PACKET:
                raise FrameError("it does not speak ISO on TCP")
            if len(self._buffer) < length:
                break
            payload, self._buffer = self._buffer[4:length], self._buffer[length:]
            message = self._payload(payload)
            if message is not None:
                messages.append(message)
        return messages

    def _payload(self, payload: bytes) -> bytes | None:
        kind = payload[1] & 0xF0
        if kind == _DISCONNECT:
            raise FrameError("it closed the connection" if self.confirmed else "it refuses the connection")
        if kind == _CONFIRM and not self.confirmed:
            self.confirmed = True
            return None
        if kind != _DATA or payload[0] != 2 or not self.confirmed:
            raise FrameError("it does not speak ISO transport class 0")
        self._parts += payload[3:]
        if len(self._parts) > MAX_PACKET:
            raise FrameError("a message without an end")
        if not payload[2] & 0x80:
            return None
        message, self._parts = self._parts, b""
        return message
