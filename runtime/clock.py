"""Clocks: the only module that reads time or sleeps.

Two times: `now_ns` says what time it is, for stamps; `steady_ns` how much time has gone by, for delays.
When the machine's clock is set, a kernel's clock goes on as before until `follow` takes the step, so that
everything that holds a time can move along in the same instant.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import time
from typing import Protocol

from runtime.contract import Clock

SECOND_NS = 1_000_000_000
STEP_NS = SECOND_NS // 2  # less is drift: followed so slowly that time never runs backwards
_SLEW_NS = 1_000_000
_LOOKS = 10  # at both times, until nothing came between: a busy machine is no jump of the clock
_TIME_ERROR = 5  # adjtimex(2): clock not synchronized
_adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)  # each CDLL is a class of its own, and a cycle


class SteppingClock(Clock, Protocol):
    """A clock that a kernel runs on."""

    def follow(self) -> int:
        """Take up what the machine's clock says; return by how many ns the time was set, 0 if it was not."""
        ...


class WallClock:
    """Real time."""

    def __init__(self) -> None:
        self._offset_ns = _offset_ns()

    def now_ns(self) -> int:
        return time.perf_counter_ns() + self._offset_ns

    def steady_ns(self) -> int:
        return time.perf_counter_ns()

    async def sleep_until(self, steady_ns: int) -> None:
        await asyncio.sleep(max(0.0, (steady_ns - time.perf_counter_ns()) / SECOND_NS))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def follow(self) -> int:
        step_ns = _offset_ns() - self._offset_ns
        if abs(step_ns) < STEP_NS:
            self._offset_ns += max(-_SLEW_NS, min(_SLEW_NS, step_ns))
            return 0
        self._offset_ns += step_ns
        return step_ns


class ManualClock:
    """Time that a test moves by hand; sleepers wake in order of their times."""

    def __init__(self, start_ns: int = 1_700_000_000 * SECOND_NS) -> None:
        self._steady_ns = start_ns
        self._offset_ns = 0
        self._set_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        return self._steady_ns + self._offset_ns

    def steady_ns(self) -> int:
        return self._steady_ns

    async def sleep_until(self, steady_ns: int) -> None:
        if steady_ns <= self._steady_ns:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (steady_ns, self._count, future))
        await future

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self._steady_ns + round(seconds * SECOND_NS))

    def jump(self, seconds: float) -> None:
        """Set the machine's clock: `follow` takes it up, and nobody sleeps longer or shorter."""
        self._set_ns += round(seconds * SECOND_NS)

    def follow(self) -> int:
        step_ns, self._set_ns = self._set_ns, 0
        self._offset_ns += step_ns
        return step_ns

    def set_ns(self, now_ns: int) -> None:
        """Move to a time without asyncio: for code stepped by a loop of its own."""
        if now_ns < self.now_ns():
            raise ValueError("time does not run backwards")
        self._steady_ns = now_ns - self._offset_ns

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking each sleeper at its own time."""
        end = self._steady_ns + round(seconds * SECOND_NS)
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at_ns, _, future = heapq.heappop(self._sleepers)
            self._steady_ns = at_ns
            if not future.done():
                future.set_result(None)
            await self.settle()
        self._steady_ns = end

    @staticmethod
    async def settle(rounds: int = 20) -> None:
        """Let every task that can run, run."""
        for _ in range(rounds):
            await asyncio.sleep(0)


def monotonic_ns() -> int:
    """Return a time that never jumps, for durations only."""
    return time.perf_counter_ns()


def synchronised() -> bool | None:
    """Tell whether the machine's clock is synchronised; None where the system does not tell."""
    if _adjtimex is None:
        return None
    state = _adjtimex(ctypes.create_string_buffer(1024))  # all zero: read only; larger than struct timex
    return None if state < 0 else state != _TIME_ERROR


def _offset_ns() -> int:
    for _ in range(_LOOKS):
        before = time.perf_counter_ns()
        now_ns = time.time_ns()
        after = time.perf_counter_ns()
        if after - before < _SLEW_NS:
            break
    return now_ns - (before + after) // 2
