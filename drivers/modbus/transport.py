"""Modbus TCP on a socket, plain or within TLS, with several requests under way at once.

Each response says by its transaction number what it is the answer to: one that is late, doubled or foreign
finds nobody waiting and is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.frame.connection import NOWHERE, Traffic, ends_of
from drivers.modbus.mbap import FrameError, frame, split_frames
from drivers.modbus.messages import SILENCE, TURN_NS, Gather, Reply, Request
from drivers.modbus.pdu import message_of, reply_of
from runtime.clock import SECOND_NS, monotonic_ns
from runtime.errors import ConnectError

_NUMBERS = 0xFFFF
_EXCEPTION = 0x80


@dataclass(frozen=True, slots=True)
class Manner:
    """How a device wants to be asked.

    Attributes:
        depth: requests under way at once; devices that answer only one at a time need 1.
        timeout_s: how long to wait for an answer; `retries` how often to ask again.
        pause_s: time that a device wants between an answer and the next request.
        multiple: functions 15 and 16 even for one place.
    """

    depth: int = 1
    timeout_s: float = 0.5
    retries: int = 1
    pause_s: float = 0.0
    multiple: bool = False


@dataclass(slots=True)
class _Job:
    """A message, how often and when it was sent, and the answer to it."""

    unit: int
    message: bytes
    attempts: int = 0
    sent_ns: int = 0
    answer: bytes | None = None
    came_ns: int = 0
    reply: Reply = SILENCE


class TcpTransport(asyncio.Protocol):
    """One connection; it is for one caller at a time."""

    def __init__(self, traffic: Traffic, on_lost: Callable[[], None], manner: Manner) -> None:
        self.lost: str | None = None
        self._traffic, self._on_lost, self._manner = traffic, on_lost, manner
        self._timeout_ns = round(manner.timeout_s * SECOND_NS)
        self._pause_ns = round(manner.pause_s * SECOND_NS)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._ends = NOWHERE
        self._buffer = b""
        self._number = 0
        self._free_ns = 0
        self._resume: asyncio.TimerHandle | None = None
        self._retries = 0
        self._until: Callable[[], bool] | None = None
        self._meanwhile: Callable[[], None] | None = None
        self._failed = False
        self._end_ns = 0
        self._waiting: deque[_Job] = deque()
        self._under_way: dict[int, _Job] = {}
        self._finished: asyncio.Future[None] = self._loop.create_future()

    async def exchange(
        self,
        requests: Sequence[Request],
        *,
        again: bool = True,
        until: Callable[[], bool] | None = None,
        gather: Gather | None = None,
    ) -> list[Reply]:
        """Send the requests and return their replies in the same order; see `messages.Transport`.

        Raises:
            ConnectError: the connection was lost.
        """
        jobs = [_Job(request.unit, message_of(request, self._manner.multiple)) for request in requests]

        def replies() -> list[Reply]:
            for request, job in zip(requests, jobs, strict=True):
                if job.answer is not None and job.reply is SILENCE:
                    job.reply = reply_of(request, job.message, job.answer, job.came_ns)
                    if job.reply.exception:
                        self._traffic.refused(str(int(job.reply.exception)))
            return [job.reply for job in jobs]

        meanwhile = None if gather is None else lambda: gather(replies())
        await self._carry(jobs, self._manner.retries if again else 0, until, meanwhile)
        return replies()[: sum(job.attempts > 0 for job in jobs)]

    async def ask(self, unit: int, message: bytes) -> bytes | None:
        """Send any message, once; return the response, None where none came in time.

        Raises:
            ConnectError: the connection was lost.
        """
        job = _Job(unit, message)
        await self._carry([job], 0)
        return job.answer

    async def _carry(
        self,
        jobs: list[_Job],
        retries: int,
        until: Callable[[], bool] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Send the jobs and wait for the answers; `meanwhile` is called once, when the last has gone out."""
        self._retries, self._until, self._failed = retries, until, False
        self._meanwhile = meanwhile
        self._waiting = deque(jobs)
        self._under_way = {}
        self._end_ns = monotonic_ns() + TURN_NS
        while self._waiting or self._under_way:
            if self.lost is not None:
                raise ConnectError(self.lost)
            self._finished = self._loop.create_future()
            self._send_more()
            now_ns = monotonic_ns()
            begun_ns = min((job.sent_ns for job in self._under_way.values()), default=now_ns + self._pause_ns)
            left_ns = begun_ns + self._timeout_ns - now_ns
            timer = self._loop.call_later(max(left_ns, 0) / SECOND_NS, self._finish)
            try:
                await self._finished
            finally:
                timer.cancel()
            if self._under_way:
                now_ns = monotonic_ns()
                self._give_up_on_late(now_ns - self._timeout_ns)
                self._leave_rest(now_ns)

    def _give_up_on_late(self, before_ns: int) -> None:
        """Send again what was sent too long ago, or leave it silent after the last attempt."""
        late = [number for number, job in self._under_way.items() if job.sent_ns <= before_ns]
        for number in late:
            job = self._under_way.pop(number)
            self._traffic.timeouts += 1
            if job.attempts <= self._retries:
                self._waiting.append(job)
            else:
                self._failed = True

    def _send_more(self) -> None:
        if not self._waiting or self._transport is None:
            return
        now_ns = monotonic_ns()
        if now_ns < self._free_ns:
            if self._resume is None:
                self._resume = self._loop.call_later((self._free_ns - now_ns) / SECOND_NS, self._go_on)
            return
        frames = []
        while self._waiting and len(self._under_way) < self._manner.depth:
            job = self._waiting.popleft()
            self._number = self._number % _NUMBERS + 1
            self._under_way[self._number] = job
            job.sent_ns = now_ns
            job.attempts += 1
            frames.append(frame(self._number, job.unit, job.message))
        if frames:
            self._traffic.requests += len(frames)
            data = b"".join(frames)
            self._traffic.sent(self._ends, data)
            self._transport.write(data)

    def _go_on(self) -> None:
        self._resume = None
        self._send_more()

    def _leave_rest(self, now_ns: int) -> None:
        """Begin nothing more where the caller has something else to do; what was begun is finished."""
        if self._until is not None and (self._failed or now_ns > self._end_ns or self._until()):
            self._waiting = deque(job for job in self._waiting if job.attempts)

    def close(self) -> None:
        if self._resume:
            self._resume.cancel()
        if self._transport:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ends = ends_of(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc}" if exc else "the device closed the connection")

    def data_received(self, data: bytes) -> None:
        self._traffic.received(self._ends, data)
        try:
            frames, self._buffer = split_frames(self._buffer + data if self._buffer else data)
        except FrameError as exc:
            self._end(f"the device does not speak Modbus TCP: {exc}")
            self.close()
            return
        now_ns = monotonic_ns()
        if self._pause_ns:
            self._free_ns = now_ns + self._pause_ns
        for number, unit, message in frames:
            job = self._under_way.get(number)
            if job is None or job.unit != unit:
                continue  # an answer after its time, already counted as a timeout, or another unit's
            del self._under_way[number]
            job.answer, job.came_ns = message, now_ns
            self._failed |= message[0] > _EXCEPTION
            self._traffic.took((now_ns - job.sent_ns) / 1e6)
        if self._waiting:
            self._leave_rest(now_ns)
            self._send_more()
        if self._waiting:
            return
        if not self._under_way:
            self._finish()
        elif self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()

    def _end(self, why: str) -> None:
        if self.lost is None:
            self.lost = why
            self._finish()
            self._on_lost()

    def _finish(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)
