"""How much a server does for who has not logged in: so much a second for each address."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from runtime.clock import SECOND_NS, WallClock, monotonic_ns

PER_S = 100
BURST_S = 2
PASS_NS = 2_000_000
LONGEST_WAIT_S = 5.0
_ADDRESSES = 10_000


@dataclass(slots=True)
class _Turn:
    """What an address has in this pass of the event loop: since when, and who waits for the next one."""

    began_ns: int
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Pace:
    """Lets each address have so much work a second, twice that at once; more of it waits.

    Whoever floods a server waits for themselves: other addresses are not behind them. After login work has
    no pace, but takes turns.
    """

    def __init__(self) -> None:
        self._clock = WallClock()
        self._done_ns: dict[str, int] = {}
        self._turns: dict[str, _Turn] = {}
        self._logins: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def turn(self, address: str, cost: int) -> bool:
        """Wait until so much work of an address may be done; False when that would take too long."""
        now_ns = monotonic_ns()
        done_ns = max(self._done_ns.pop(address, 0), now_ns)
        wait_ns = done_ns - now_ns - BURST_S * SECOND_NS
        if wait_ns > LONGEST_WAIT_S * SECOND_NS:
            self._done_ns[address] = done_ns
            return False
        while len(self._done_ns) >= _ADDRESSES:
            del self._done_ns[next(iter(self._done_ns))]  # whoever has been quiet for longest
        self._done_ns[address] = done_ns + cost * SECOND_NS // PER_S
        if wait_ns > 0:
            await self._clock.sleep(wait_ns / SECOND_NS)
        return True

    async def in_turn(self, address: str) -> None:
        """Wait until messages of an address may be looked at: so long in each pass of the event loop.

        However many connections an address has, and whatever they have sent, others are served in between.
        """
        turn = self._turns.get(address)
        if turn is None:
            self._turns[address] = _Turn(monotonic_ns())
            asyncio.get_running_loop().call_soon(self._next, address)
        elif monotonic_ns() - turn.began_ns >= PASS_NS:
            waiting = asyncio.get_running_loop().create_future()
            turn.waiting.append(waiting)
            await waiting

    def _next(self, address: str) -> None:
        """Begin the next pass of an address: with one that waits, if there is any."""
        turn = self._turns[address]
        while turn.waiting:
            first = turn.waiting.popleft()
            if not first.done():  # whose connection is gone has been cancelled
                first.set_result(None)
                turn.began_ns = monotonic_ns()
                asyncio.get_running_loop().call_soon(self._next, address)
                return
        del self._turns[address]

    def login(self, address: str) -> asyncio.Semaphore:
        """Return what one login of an address holds at a time: each takes memory and a processor."""
        found = self._logins.get(address)
        if found is None:
            found = self._logins[address] = asyncio.Semaphore()
        return found
