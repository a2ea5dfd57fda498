"""Where a Modbus server is reached: connections with limits, or a serial line; frames in and answers out."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from drivers.frame.connection import NOWHERE, Ends, ends_of
from drivers.modbus import mbap, rtu
from drivers.modbus.mbap import FrameError
from drivers.modbus.messages import exception_text
from drivers.modbus.serialport import Line, SerialPort, open_port
from drivers.modbus.serving import WRITES, Served
from runtime.clock import monotonic_ns
from runtime.errors import ConnectError

AT_ONCE = 64
KEPT_FOR_OTHERS = 5

Later = Callable[[str], asyncio.Task[bytes]]  # begins what takes time, for a peer
Answer = Callable[[int, bytes], bytes | Later]
_TORN_NS = 50_000_000  # a frame is not interrupted for longer; adapters deliver in bursts of up to 16 ms


class Framing(Protocol):
    """What lies around the messages of one connection.

    Attributes:
        numbered: an answer says which request it is of.
    """

    numbered: bool

    def take(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Return (number, unit, message) of the requests that are complete now.

        Raises:
            FrameError: this is no such protocol.
        """
        ...

    def frame(self, number: int, unit: int, message: bytes) -> bytes: ...


class TcpFraming:
    """Modbus TCP."""

    numbered = True

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[tuple[int, int, bytes]]:
        frames, self._rest = mbap.split_frames(self._rest + data if self._rest else data)
        return frames

    def frame(self, number: int, unit: int, message: bytes) -> bytes:
        return mbap.frame(number, unit, message)


class RtuFraming:
    """Modbus RTU; what is no request is passed over."""

    numbered = False

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
    """One master. Requests that arrive together are answered together, in their order.

    While an answer takes time nothing more is read, and what has come waits. A master of RTU has given an
    answer up when it asks anew: it is not sent any more, since it would pass for another.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._framing = listener.framing()
        self._transport: asyncio.Transport | None = None
        self._requests: deque[tuple[int, int, bytes]] = deque()
        self._blocked = False
        self._under_way: asyncio.Task[bytes] | None = None
        self._given_up = False
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

    @property
    def waits(self) -> bool:
        """Tell whether a request is under way."""
        return self._under_way is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._leave()

    def _leave(self) -> None:
        """Make room, once the connection is gone and what it asked for has ended."""
        if self.closed.is_set() and not self.waits:
            self._listener.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._listener.served.received(self._ends, data)
        if self.waits and not self._framing.numbered:
            self._given_up = True
            self._requests.clear()
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
        if self._transport is None or self._transport.is_closing() or self.waits:
            return
        answers = []
        for _ in range(min(len(self._requests), AT_ONCE)):
            number, unit, message = self._requests.popleft()
            response = self._listener.answer(unit, message)
            if not isinstance(response, bytes):
                self._under_way = response(_named(self._ends))
                self._under_way.add_done_callback(partial(self._done, number, unit, message))
                break
            answers.append(self._answered(number, unit, message, response))
        self._send(b"".join(answers))
        under_way = self._under_way is not None
        if self._blocked or self._requests or (under_way and self._framing.numbered):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
        if self._requests and not self._blocked and not under_way:
            asyncio.get_running_loop().call_soon(self._serve)

    def _done(self, number: int, unit: int, message: bytes, task: asyncio.Task[bytes]) -> None:
        """Send an answer that took time, and go on; what failed is told by whose task it is."""
        self._under_way = None
        self._leave()
        if task.cancelled() or task.exception() is not None:
            return
        answer = self._answered(number, unit, message, task.result())
        self.heard_ns = monotonic_ns()
        if not self._given_up:
            self._send(answer)
        self._given_up = False
        self._serve()

    def _answered(self, number: int, unit: int, message: bytes, response: bytes) -> bytes:
        """Count a request; return the frame of its answer, nothing where it gets none."""
        served, writes = self._listener.served, message[0] in WRITES
        served.requests += 1
        served.writes += writes
        if not response:
            return b""
        if response[0] & 0x80:
            served.writes_refused += writes
            self._refused(unit, message, response)
        return self._framing.frame(number, unit, response)

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._listener.served.sent(self._ends, data)
            self._transport.write(data)

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


def _named(ends: Ends) -> str:
    """Return who is at the other end, for people."""
    if ends is NOWHERE:
        return "the line"
    host, port = ends.peer
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
        silent = [each for each in self.connections if each.heard_ns < before_ns and not each.waits]
        for connection in silent:
            connection.drop("it asked nothing for too long")

    def close(self) -> None:
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.close()


def _cannot_listen(exc: OSError, host: str, port: int) -> ConnectError:
    if exc.errno == errno.EADDRINUSE:
        remedy = (
            "stop the other program (another plant?), or give this driver and those who ask it another port"
        )
        return ConnectError(f"port {port} on {host} is in use", remedy)
    if exc.errno in (errno.EACCES, errno.EPERM):
        return ConnectError(
            f"port {port} on {host} is not permitted", "ports under 1024 need rights; use 5020, say"
        )
    remedy = "use an address of this machine, 127.0.0.1 for itself only, or 0.0.0.0 for every network"
    return ConnectError(f"cannot listen on {host}:{port}: {exc.strerror or exc}", remedy)
