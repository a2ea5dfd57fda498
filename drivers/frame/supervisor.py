"""Keeps a connection, whatever happens: attempt, lose, wait, begin anew. One for all protocols."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from drivers.frame.connection import Backoff, Link
from drivers.frame.errors import DeniedError
from runtime.clock import SECOND_NS
from runtime.contract import Clock
from runtime.errors import ConnectError, StoreError

log = logging.getLogger(__name__)
DENIED_S = 2.0  # how often it is looked whether somebody has let us in meanwhile
STEADY_NS = 2 * SECOND_NS  # a connection that lasts less is no reason to come back at once
DEMOTED_AFTER = 5  # attempts in vain by every way
JITTER = 0.5


class Supervisor:
    """Makes one connection after the other; `ways` is how many addresses the device has.

    Attributes:
        answered: the device answered in this attempt, or in the last.
        misses: attempts in a row without an answer; modulo `ways` the way to try.
    """

    def __init__(self, link: Link, clock: Clock, ways: int = 1) -> None:
        self.answered = False
        self.misses = 0
        self._link = link
        self._clock = clock
        self._ways = ways

    @property
    def demoted(self) -> bool:
        """Tell whether a device has not answered for long: an attempt begins with one small question then."""
        return self._link.state == "demoted"

    def hear(self) -> None:
        """Note that the device answers."""
        if not self.answered:
            self._link.traffic.connections += 1
        self.answered = True
        self._link.up()

    async def keep(self, attempt: Callable[[], Awaitable[None]], lost: Callable[[str], bool | None]) -> None:
        """Connect and work for ever.

        `attempt` connects and works; it raises a ConnectError in the end, or returns to be called again at
        once, for a better way. `lost` takes in that the device is not there, after each failure, and is told
        why; it returns whether another way is ready, which needs no waiting.
        """
        backoff = Backoff(jitter=JITTER)
        while True:
            self.answered = False
            begun_ns = self._clock.steady_ns()
            state, reason = "connecting", ""
            try:
                # A task of its own: a task group that takes in a loss leaves its task counted as being
                # cancelled (Python 3.11), which below would look as if we were to end.
                await asyncio.create_task(_run(attempt))
            except DeniedError as exc:
                reason = f"{exc.text}; {exc.remedy}" if exc.remedy else exc.text
                state = "off"
            except (ConnectError, StoreError) as exc:
                reason = str(exc) or type(exc).__name__
            except Exception as exc:
                log.exception("%s: a bug; the connection is made anew", self._link.name)
                reason = f"internal error: {type(exc).__name__}: {exc}"
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # swallowed by a task group that was ending anyway
                raise asyncio.CancelledError
            if not reason:
                self.misses = 0
                self._link.leave()
                continue
            if self.answered:
                self.misses = 0
                if self._clock.steady_ns() - begun_ns > STEADY_NS:
                    backoff.reset()
            else:
                self.misses += 1
            if state == "connecting" and self.misses >= DEMOTED_AFTER * self._ways:
                state = "demoted"
            self._link.down(reason, state)
            if lost(reason):
                continue
            if state == "off":
                await self._clock.sleep(DENIED_S)
            elif self.answered or self.misses % self._ways == 0:
                await self._clock.sleep(backoff.next_s())


async def _run(attempt: Callable[[], Awaitable[None]]) -> None:
    await attempt()
