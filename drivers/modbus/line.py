"""Modbus RTU, on a serial line or within a TCP connection: one request at a time, and none mistaken.

Source: MODBUS over Serial Line V1.02, 2.4 (states, timing), 2.5.1.1 (silence of 3.5 characters).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from drivers.frame.connection import NOWHERE, Traffic, ends_of
from drivers.modbus.messages import SILENCE, TURN_NS, Gather, Reply, Request
from drivers.modbus.owed import Owed
from drivers.modbus.pdu import data_size, message_of, reply_of
from drivers.modbus.rtu import Awaited, awaited, frame, functions_in
from drivers.modbus.transport import Manner
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.errors import ConnectError

_KEPT = 1024
_MAX_PROBES = 8  # each that is answered settles some of what is owed
_FORGET_NS = 10 * SECOND_NS
_WARY_NS = 60 * SECOND_NS


class Wire(Protocol):
    """What bytes are written to: a socket of asyncio or a serial port."""

    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...


class RtuTransport(asyncio.Protocol):
    """One line; it is for one caller at a time.

    `owed` is by unit, and outlives the connection; `char_s` is how long a character takes on a serial line, 0
    within TCP.
    """

    def __init__(
        self,
        traffic: Traffic,
        on_lost: Callable[[], None],
        manner: Manner,
        owed: dict[int, Owed],
        char_s: float = 0.0,
    ) -> None:
        self.lost: str | None = None
        self._traffic, self._on_lost, self._manner = traffic, on_lost, manner
        self._char_ns = char_s * SECOND_NS
        self._gap_ns = gap_ns(char_s)
        self._pause_ns = max(self._gap_ns, round(manner.pause_s * SECOND_NS))
        self._clock = WallClock()
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._ends = NOWHERE
        self._buffer = b""
        self._free_ns = 0
        self._owed = owed
        self._awaited: Awaited | None = None
        self._answer: asyncio.Future[bytes | None] = self._loop.create_future()

    async def exchange(
        self,
        requests: Sequence[Request],
        *,
        again: bool = True,
        until: Callable[[], bool] | None = None,
        gather: Gather | None = None,
    ) -> list[Reply]:
        """Send the requests one after the other and return their replies; see `messages.Transport`.

        Raises:
            ConnectError: the line was lost.
        """
        begun_ns = monotonic_ns()
        replies: list[Reply] = []
        for request in requests:
            replies.append(await self._exchange(request, again))
            if until is None:
                continue
            if not replies[-1].ok or until() or monotonic_ns() - begun_ns > TURN_NS:
                break
        return replies

    async def _exchange(self, request: Request, again: bool) -> Reply:
        message = message_of(request, self._manner.multiple)
        size = data_size(request) if request.data is None else None
        for _ in range(1 + (self._manner.retries if again else 0)):
            answer = await self._carry(request.unit, message, size)
            if answer is not None:
                reply = reply_of(request, message, answer, monotonic_ns())
                if reply.exception:
                    self._traffic.refused(str(int(reply.exception)))
                return reply
        return SILENCE

    async def ask(self, unit: int, message: bytes) -> bytes | None:
        """Send any message, once; return the response, None where none came in time.

        Raises:
            ConnectError: the line was lost.
        """
        return await self._carry(unit, message, None)

    async def _carry(self, unit: int, message: bytes, size: int | None) -> bytes | None:
        owed = self._owed.setdefault(unit, Owed(_FORGET_NS, _WARY_NS))
        await self._quiet()
        for _ in range(_MAX_PROBES):
            if owed.is_clear(message[0], self._clock.steady_ns()):
                break
            probe = owed.probe()
            if await self._ask(unit, owed, probe, None) is None:
                return None
            owed.proved(probe)
            await self._quiet()
        else:
            return None
        return await self._ask(unit, owed, message, size)

    async def _quiet(self) -> None:
        """Wait until the line was silent for long enough; look at what came unasked."""
        while (left_ns := self._free_ns - self._clock.steady_ns()) > 0:
            await self._clock.sleep(left_ns / SECOND_NS)
        self._look_at_strays()

    def _look_at_strays(self) -> None:
        for unit, function in functions_in(self._buffer) if self._buffer else ():
            if unit in self._owed:
                self._owed[unit].strayed(function, self._clock.steady_ns())
        self._buffer = b""

    async def _ask(self, unit: int, owed: Owed, message: bytes, size: int | None) -> bytes | None:
        if self.lost is not None or self._wire is None:
            raise ConnectError(self.lost or "the line is not open")
        data = frame(unit, message)
        self._awaited = awaited(unit, message, size)
        self._answer = self._loop.create_future()
        sent_ns = self._clock.steady_ns()
        self._traffic.requests += 1
        self._traffic.sent(self._ends, data)
        self._wire.write(data)
        sent_s = len(data) * self._char_ns / SECOND_NS
        self._free_ns = sent_ns + round(sent_s * SECOND_NS) + self._gap_ns
        room_s = sent_s + (self._awaited.size or 8) * self._char_ns / SECOND_NS
        timer = self._loop.call_later(self._manner.timeout_s + room_s, self._give_up)
        try:
            answer = await self._answer
        finally:
            timer.cancel()
            self._awaited = None
        now_ns = self._clock.steady_ns()
        if answer is None:
            owed.missed(message[0], now_ns)
            if self.lost is not None:
                raise ConnectError(self.lost)
            self._traffic.timeouts += 1
            return None
        owed.answered(message[0], now_ns)
        self._traffic.took((now_ns - sent_ns) / 1e6)
        self._free_ns = max(self._free_ns, now_ns + self._pause_ns)
        return answer

    def _give_up(self) -> None:
        if not self._answer.done() and not self._find(final=True):
            self._answer.set_result(None)

    def _find(self, final: bool = False) -> bool:
        if self._awaited is None or self._answer.done():
            return False
        found = self._awaited.find(self._buffer, final)
        if found is None:
            return False
        answer, self._buffer = found
        self._answer.set_result(answer)
        return True

    def close(self) -> None:
        if self._wire:
            self._wire.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._ends = ends_of(transport)
        self._wire = transport  # type: ignore[assignment]  # asyncio says BaseTransport, a serial port is ours

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost is None:
            self.lost = f"connection lost: {exc}" if exc else "the device closed the connection"
            if not self._answer.done():
                self._answer.set_result(None)
            self._on_lost()

    def data_received(self, data: bytes) -> None:
        self._traffic.received(self._ends, data)
        self._free_ns = max(self._free_ns, self._clock.steady_ns() + self._gap_ns)
        self._buffer = (self._buffer + data)[-_KEPT:]
        self._find()


def gap_ns(char_s: float) -> int:
    """Return the silence between frames: 3.5 characters, and 1.75 ms above 19,200 baud.

    Source: MODBUS over Serial Line V1.02, 2.5.1.1.
    """
    if not char_s:
        return 0
    return round(1.75e-3 * SECOND_NS) if char_s < 11 / 19_200 else round(3.5 * char_s * SECOND_NS)
