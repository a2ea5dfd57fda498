"""Messages between kernel and worker: msgpack with a length before it, over a socket pair."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
from msgspec import Struct

from runtime.contract import Value

LIMIT = 1 << 20
_LENGTH = struct.Struct("<I")


class Setup(Struct, frozen=True, tag="setup"):
    """The first message: which app, and what it is given."""

    folder: str
    entry: str
    name: str
    parameters: dict[str, Any]
    period_ns: int
    reads: tuple[str, ...]
    model: str | None
    memory_mib: int


class Inputs(Struct, frozen=True, tag="inputs"):
    """Do a step. Rows are (index into `reads`, value, quality, source time ns) of what changed."""

    now_ns: int
    rows: tuple[tuple[int, Value | None, int, int], ...]


class Ready(Struct, frozen=True, tag="ready"):
    """The app is set up."""


class Outputs(Struct, frozen=True, tag="outputs"):
    """A step is done: path to (value, quality)."""

    values: dict[str, tuple[Value | None, int]]


class Failure(Struct, frozen=True, tag="failure"):
    """The app cannot go on; the worker ends."""

    text: str
    remedy: str


ToWorker = Setup | Inputs
FromWorker = Ready | Outputs | Failure
_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


class ProtocolError(Exception):
    """The other side sent what is no message, or too long a one."""


def frame(message: ToWorker | FromWorker) -> bytes:
    """Return the bytes of a message.

    Raises:
        ProtocolError: it is longer than a message may be.
    """
    try:
        body = _encoder.encode(message)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ProtocolError(f"cannot be sent: {exc}") from exc
    return _LENGTH.pack(body_length(len(body))) + body


def body_length(length: int) -> int:
    """Return a length that is allowed.

    Raises:
        ProtocolError: it is not.
    """
    if length > LIMIT:
        raise ProtocolError(f"a message of {length} bytes; the limit is {LIMIT}")
    return length


def length_of(head: bytes) -> int:
    """Return the length of the message that a head announces."""
    return body_length(_LENGTH.unpack(head)[0])


def decode(body: bytes) -> FromWorker:
    """Read a worker's message.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return _from_worker.decode(body)
    except msgspec.DecodeError as exc:
        raise ProtocolError(str(exc)) from exc


class Channel:
    """The worker's end of the socket; waits."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def receive(self) -> ToWorker | None:
        """Return the next message; None when the kernel has closed."""
        head = self._exactly(_LENGTH.size)
        body = self._exactly(length_of(head)) if head else b""
        return _to_worker.decode(body) if body else None

    def send(self, message: FromWorker) -> None:
        self._socket.sendall(frame(message))

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                return b""
            parts += part
        return bytes(parts)
