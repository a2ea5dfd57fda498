"""The sockets of a Modbus server: connections with limits, frames in and answers out."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass

from drivers.modbus.mbap import FrameError, frame, split_frames
from runtime.clock import monotonic_ns
from runtime.errors import ConnectError

Answer = Callable[[int, bytes], bytes]


@dataclass(slots=True)
class Served:
    """What a server did since it started; `dropped` counts connections closed for cause."""

    requests: int = 0
    exceptions: int = 0
    dropped: int = 0


class _Connection(asyncio.Protocol):
    """One master. Requests that arrive together are answered together, in their order."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.heard_ns = monotonic_ns()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._listener.connections) >= self._listener.limit:
            self.drop()
        else:
            self._listener.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self.heard_ns = monotonic_ns()
        try:
            frames, self._buffer = split_frames(self._buffer + data)
        except FrameError:
            self.drop()
            return
        answers = []
        for number, unit, message in frames:
            response = self._listener.answer(unit, message)
            self._listener.served.exceptions += response[0] >> 7
            answers.append(frame(number, unit, response))
        self._listener.served.requests += len(frames)
        if answers:
            self._transport.write(b"".join(answers))

    def pause_writing(self) -> None:
        """Stop listening to a master that does not take its answers."""
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport:
            self._transport.resume_reading()

    def drop(self) -> None:
        """Close for cause."""
        self._listener.served.dropped += 1
        self.close()

    def close(self) -> None:
        if self._transport:
            self._transport.abort()


class Listener:
    """Listens on one port.

    Attributes:
        limit: connections at once; one more is closed at once.
    """

    def __init__(self, answer: Answer, limit: int, idle_ns: int) -> None:
        self.answer = answer
        self.limit = limit
        self.served = Served()
        self.connections: set[_Connection] = set()
        self._idle_ns = idle_ns
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chose if 0 was asked for.

        Raises:
            ConnectError: the port is in use, not permitted, or not of this machine.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), host, port)
        except OSError as exc:
            raise _cannot_listen(exc, host, port) from exc
        return int(self._server.sockets[0].getsockname()[1])

    def close_idle(self) -> None:
        """Close connections that said nothing for too long."""
        before_ns = monotonic_ns() - self._idle_ns
        for connection in [each for each in self.connections if each.heard_ns < before_ns]:
            connection.drop()

    def close(self) -> None:
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.close()


def _cannot_listen(exc: OSError, host: str, port: int) -> ConnectError:
    if exc.errno == errno.EADDRINUSE:
        remedy = "stop the other program, or give the driver another port"
        return ConnectError(f"port {port} on {host} is in use", remedy)
    if exc.errno in (errno.EACCES, errno.EPERM):
        return ConnectError(
            f"port {port} on {host} is not permitted", "ports under 1024 need rights; use 5020, say"
        )
    remedy = "use an address of this machine, 127.0.0.1 for itself only, or 0.0.0.0 for every network"
    return ConnectError(f"cannot listen on {host}:{port}: {exc.strerror or exc}", remedy)
