"""Where a Modbus server is reached: connections with limits, or a serial line; frames in and answers out."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol

from drivers.frame.connection import NOWHERE, ends_of
from drivers.frame.serving import Served
from drivers.modbus import mbap, rtu
from drivers.modbus.mbap import FrameError
from drivers.modbus.messages import exception_text
from drivers.modbus.serialport import Line, SerialPort, open_port
from runtime.clock import monotonic_ns
from runtime.errors import ConnectError

AT_ONCE = 64
KEPT_FOR_OTHERS = 5

Answer = Callable[[int, bytes], bytes]
_TORN_NS = 50_000_000  # a frame is not interrupted for longer; adapters deliver in bursts of up to 16 ms


class Framing(Protocol):
    """What lies around the messages of one connection."""

    def take(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Return (number, unit, message) of the requests that are complete now.

        Raises:
            FrameError: this is no such protocol.
        """
        ...

    def frame(self, number: int, unit: int, message: bytes) -> bytes: ...


class TcpFraming:
    """Modbus TCP."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[tuple[int, int, bytes]]:
        frames, self._rest = mbap.split_frames(self._rest + data if self._rest else data)
        return frames

    def frame(self, number: int, unit: int, message: bytes) -> bytes:
        return mbap.frame(number, unit, message)


class RtuFraming:
    """Modbus RTU; what is no request is passed over."""

    def __init__(self) -> None:
        self._requests = rtu.Requests()
        self._heard_ns = 0

    def take(self, data: bytes) -> list[tuple[int, int, bytes]]:
        now_ns = monotonic_ns()
        if now_ns - self._heard_ns > _TORN_NS:
            self._requests.silence()
        self._heard_ns = now_ns
        return [(0, unit, message) for unit, message in self._requests.take(data)]

    def frame(self, number: int, unit: int, message: bytes) -> bytes:
        return rtu.frame(unit, message)


class _Connection(asyncio.Protocol):
    """One master. Requests that arrive together are answered together, in their order."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._framing = listener.framing()
        self._transport: asyncio.Transport | None = None
        self._requests: deque[tuple[int, int, bytes]] = deque()
        self._blocked = False
        self._ends = NOWHERE
        self.host = ""
        self.heard_ns = monotonic_ns()
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.host = (transport.get_extra_info("peername") or ("",))[0]
        self._ends = ends_of(transport)
        if not self._listener.has_room(self.host):
            self.drop("there are too many connections")
        else:
            self._listener.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._listener.served.received(self._ends, data)
        try:
            requests = self._framing.take(data)
        except FrameError:
            self.drop("what it sends is no Modbus")
            return
        if requests:  # part of one, byte by byte, keeps nobody connected
            self.heard_ns = monotonic_ns()
            idle = not self._requests
            self._requests.extend(requests)
            if idle:
                self._serve()

    def _serve(self) -> None:
        """Answer some requests; where more came together, others have their turn in between."""
        if self._transport is None or self._transport.is_closing():
            return
        answers = []
        count = min(len(self._requests), AT_ONCE)
        for _ in range(count):
            number, unit, message = self._requests.popleft()
            response = self._listener.answer(unit, message)
            if response:
                if response[0] & 0x80:
                    self._refused(unit, message, response)
                answers.append(self._framing.frame(number, unit, response))
        self._listener.served.requests += count
        if answers:
            data = b"".join(answers)
            self._listener.served.sent(self._ends, data)
            self._transport.write(data)
        if self._blocked or self._requests:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
        if self._requests and not self._blocked:
            asyncio.get_running_loop().call_soon(self._serve)

    def pause_writing(self) -> None:
        """Stop listening to a master that does not take its answers."""
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._serve()

    def _refused(self, unit: int, message: bytes, response: bytes) -> None:
        code = response[1] if len(response) > 1 else 0
        where = f" at {int.from_bytes(message[1:3], 'big')}" if len(message) >= 3 else ""
        what = f"function {message[0]}{where} of unit {unit}: {exception_text(code)}"
        self._listener.served.refuse(self.host or "the line", str(code), what)

    def drop(self, why: str) -> None:
        """Close for cause."""
        self._listener.served.drop(self.host or "the line", why)
        self.close()

    def close(self) -> None:
        if self._transport:
            self._transport.abort()


class Listener:
    """Listens on one port of the network, or on one serial line.

    Attributes:
        limit: connections at once; one more is closed at once. A fifth is kept from any one address.
        framing: makes what finds the messages of a connection.
    """

    def __init__(
        self, answer: Answer, limit: int, idle_ns: int, framing: Callable[[], Framing] = TcpFraming
    ) -> None:
        self.answer = answer
        self.limit = limit
        self.framing = framing
        self.served = Served()
        self.connections: set[_Connection] = set()
        self._idle_ns = idle_ns
        self._server: asyncio.Server | None = None

    def has_room(self, host: str) -> bool:
        """Tell whether one more master may connect from an address."""
        theirs = sum(each.host == host for each in self.connections)
        return len(self.connections) < self.limit and theirs < self.limit - self.limit // KEPT_FOR_OTHERS

    async def open(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen; return the port, which the system chose if 0 was asked for.

        Raises:
            ConnectError: the port is in use, not permitted, or not of this machine.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), host, port, ssl=context)
        except OSError as exc:
            raise _cannot_listen(exc, host, port) from exc
        return int(self._server.sockets[0].getsockname()[1])

    def open_line(self, line: Line) -> asyncio.Event:
        """Listen on a serial line; the event tells when it is gone.

        Raises:
            ConnectError: it is not there, not free, or no serial port.
        """
        connection = _Connection(self)
        SerialPort(open_port(line), connection)
        return connection.closed

    def close_idle(self) -> None:
        """Close connections that asked nothing for too long."""
        before_ns = monotonic_ns() - self._idle_ns
        for connection in [each for each in self.connections if each.heard_ns < before_ns]:
            connection.drop("it asked nothing for too long")

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
