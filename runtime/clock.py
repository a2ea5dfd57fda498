"""Clocks: the only module that reads time or sleeps."""

from __future__ import annotations

import asyncio
import heapq
import time

SECOND_NS = 1_000_000_000


class WallClock:
    """Real time."""

    def now_ns(self) -> int:
        return time.time_ns()

    async def sleep_until(self, at_ns: int) -> None:
        await asyncio.sleep(max(0.0, (at_ns - time.time_ns()) / SECOND_NS))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """Time that a test moves by hand; sleepers wake in order of their times."""

    def __init__(self, start_ns: int = 1_700_000_000 * SECOND_NS) -> None:
        self._now_ns = start_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        return self._now_ns

    async def sleep_until(self, at_ns: int) -> None:
        if at_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (at_ns, self._count, future))
        await future

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self._now_ns + round(seconds * SECOND_NS))

    def set_ns(self, now_ns: int) -> None:
        """Move to a time without asyncio: for code stepped by a loop of its own."""
        if now_ns < self._now_ns:
            raise ValueError("time does not run backwards")
        self._now_ns = now_ns

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking each sleeper at its own time."""
        end = self._now_ns + round(seconds * SECOND_NS)
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at_ns, _, future = heapq.heappop(self._sleepers)
            self._now_ns = at_ns
            if not future.done():
                future.set_result(None)
            await self.settle()
        self._now_ns = end

    @staticmethod
    async def settle(rounds: int = 20) -> None:
        """Let every task that can run, run."""
        for _ in range(rounds):
            await asyncio.sleep(0)


def monotonic_ns() -> int:
    """Return a time that never jumps, for durations only."""
    return time.perf_counter_ns()
