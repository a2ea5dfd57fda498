"""S7 on a socket: messages matched by their number, so that a late reply is never taken for another's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.frame.connection import NOWHERE, Traffic, ends_of
from drivers.frame.errors import DeniedError
from drivers.s7.iso import FrameError, Incoming, connect_request, data_packet
from drivers.s7.messages import MAX_ITEMS, SILENCE, Read, Reply, Request
from drivers.s7.pdu import message_of, replies_of, sequence_of, setup_answer, setup_message
from runtime.clock import SECOND_NS, monotonic_ns
from runtime.errors import ConnectError

MAX_JOBS = 8
_SLOT = "check rack and slot: S7-300 slot 2, S7-400 as in its hardware, S7-1200 and S7-1500 slot 1"


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a CPU: host and port, transport addresses, message length to ask for, patience.

    Attributes:
        items: how many a read may have.
        pause_s: time between an answer and the next request; more than 0 allows one under way.
    """

    host: str
    port: int
    local_tsap: int
    remote_tsap: int
    pdu: int
    timeout_s: float
    retries: int
    items: int = MAX_ITEMS
    pause_s: float = 0.0


class IsoTransport(asyncio.Protocol):
    """A connection. Replies find their request by its number."""

    def __init__(self, way: Way, traffic: Traffic, on_lost: Callable[[], None]) -> None:
        self.lost: str | None = None
        self.pdu, self.depth = 240, 1
        self.items = way.items
        self.ready = False
        self._free_ns = 0
        self._way, self._traffic, self._on_lost = way, traffic, on_lost
        self._timeout_ns = round(way.timeout_s * SECOND_NS)
        self._incoming = Incoming()
        self._number = 0
        self._under_way: dict[int, tuple[int, int]] = {}  # message number: request index, sent at ns
        self._requests: Sequence[Request] = ()
        self._replies: list[tuple[Reply, ...]] = []
        self._attempts: list[int] = []
        self._waiting: deque[int] = deque()
        self._granted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._ends = NOWHERE

    async def negotiate(self) -> None:
        """Wait until the CPU granted the connection.

        Raises:
            ConnectError: it refuses.
        """
        message = await self._granted
        try:
            self.pdu, granted = setup_answer(message)
        except ValueError as exc:
            raise DeniedError(f"{self._where} refuses to communicate: {exc}", _SLOT) from exc
        self.pdu = min(self.pdu, self._way.pdu)
        self.depth = 1 if self._way.pause_s else min(granted, MAX_JOBS)
        self.ready = True

    async def exchange(self, requests: Sequence[Request]) -> list[tuple[Reply, ...]]:
        """Send the requests; return a reply for each item, in the same order.

        Raises:
            ConnectError: the connection was lost.
        """
        loop = asyncio.get_running_loop()
        self._requests = requests
        self._replies = [(SILENCE,) * (len(each.items) if isinstance(each, Read) else 1) for each in requests]
        self._attempts = [0] * len(requests)
        self._waiting = deque(range(len(requests)))
        self._under_way = {}
        while self._waiting or self._under_way:
            if self.lost is not None:
                raise ConnectError(self.lost)
            self._finished = loop.create_future()
            left_ns = self._free_ns - monotonic_ns()
            if left_ns <= 0:
                self._send_more()
                oldest_ns = min(sent_ns for _, sent_ns in self._under_way.values())
                left_ns = oldest_ns + self._timeout_ns - monotonic_ns()
            timer = loop.call_later(max(left_ns, 0) / SECOND_NS, self._finish)
            try:
                await self._finished
            finally:
                timer.cancel()
            self._give_up_on_late(monotonic_ns() - self._timeout_ns)
        return self._replies

    def _give_up_on_late(self, before_ns: int) -> None:
        """Send again what was sent too long ago, or leave it silent after the last attempt."""
        for number in [number for number, (_, sent_ns) in self._under_way.items() if sent_ns <= before_ns]:
            index, _ = self._under_way.pop(number)
            self._traffic.timeouts += 1
            if self._attempts[index] <= self._way.retries:
                self._waiting.append(index)

    def _send_more(self) -> None:
        packets = []
        while self._waiting and len(self._under_way) < self.depth:
            index = self._waiting.popleft()
            self._number = self._number % 0xFFFF + 1
            self._under_way[self._number] = (index, monotonic_ns())
            self._attempts[index] += 1
            packets.append(data_packet(message_of(self._requests[index], self._number)))
        if packets:
            self._traffic.requests += len(packets)
            self._send(b"".join(packets))

    def _send(self, data: bytes) -> None:
        if self._transport:
            self._traffic.sent(self._ends, data)
            self._transport.write(data)

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ends = ends_of(transport)
        self._send(connect_request(self._way.local_tsap, self._way.remote_tsap))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc}" if exc else "the CPU closed the connection")

    def data_received(self, data: bytes) -> None:
        self._traffic.received(self._ends, data)
        was_confirmed = self._incoming.confirmed
        try:
            messages = self._incoming.take(data)
        except FrameError as exc:
            self._end(f"{self._where}: {exc}", denied=not self.ready)
            self.close()
            return
        if self._incoming.confirmed and not was_confirmed:
            self._send(data_packet(setup_message(self._way.pdu, MAX_JOBS)))
        now_ns = monotonic_ns()
        for message in messages:
            if not self._granted.done():
                self._granted.set_result(message)
                continue
            number = sequence_of(message)
            waited = None if number is None else self._under_way.pop(number, None)
            if waited is None:
                continue  # an answer after its time, already counted as a timeout
            index, sent_ns = waited
            replies = replies_of(self._requests[index], message)
            self._replies[index] = replies
            self._traffic.took((now_ns - sent_ns) / 1e6)
            for code in {each.code for each in replies if not each.ok and not each.silent}:
                self._traffic.refused(f"{code:#04x}")
        if self._way.pause_s:
            self._free_ns = now_ns + round(self._way.pause_s * SECOND_NS)
        else:
            self._send_more()
        if not self._under_way:
            self._finish()

    @property
    def _where(self) -> str:
        return f"{self._way.host}:{self._way.port}"

    def _end(self, why: str, *, denied: bool = False) -> None:
        if self.lost is None:
            self.lost = why
            self._finish()
            if not self._granted.done():
                self._granted.set_exception((DeniedError if denied else ConnectError)(why, _SLOT))
            self._on_lost()

    def _finish(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)


async def connect(way: Way, traffic: Traffic, on_lost: Callable[[], None]) -> IsoTransport:
    """Connect to a CPU.

    Raises:
        ConnectError: refused, unreachable or too slow.
    """
    loop = asyncio.get_running_loop()
    transport: IsoTransport | None = None
    where = f"{way.host}:{way.port}"
    try:
        async with asyncio.timeout(max(way.timeout_s, 1.0)):
            _, transport = await loop.create_connection(
                lambda: IsoTransport(way, traffic, on_lost), way.host, way.port
            )
            await transport.negotiate()
        return transport
    except TimeoutError as exc:
        what = "accepts connections, but does not answer" if transport else "does not accept connections"
        raise ConnectError(f"{where} {what} in time") from exc
    except OSError as exc:
        raise ConnectError(f"cannot connect to {where}: {exc.strerror or exc}") from exc
    finally:
        if transport is not None and not transport.ready:
            transport.close()
