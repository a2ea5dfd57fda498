"""Servers that stand in for each other: which is used, and which wait with a session open.

A server tells by its ServiceLevel how well it can serve: 200 and more is well, below 2 it has nothing to
give. Those that wait are asked as often as the one that is used, so that a failure costs no login, and that a
standby that would not let us in is known before it is needed.

Source: OPC 10000-4, 6.6.2 Server redundancy (ranges of ServiceLevel, failover modes).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from drivers.frame.connection import Backoff
from drivers.opcua.client.errors import DeniedError
from drivers.opcua.client.session import Session
from drivers.opcua.client.status import server_status
from runtime.clock import SECOND_NS
from runtime.contract import Clock
from runtime.errors import ConnectError, StoreError

log = logging.getLogger(__name__)
WELL = 200  # and more: all the same to us
NOTHING = 2  # below: maintenance, or no data
HOLD = 2  # looks: a difference that lasts less is no reason to go over
RETRY_S = 5.0
UNREACHED = -1

Open = Callable[[str], Awaitable[Session]]


@dataclass(slots=True)
class Standing:
    """How one server is.

    Attributes:
        level: its ServiceLevel; `UNREACHED` while none is known. More than `WELL` counts as that.
        fell_ns, rose_ns: when it last became worse or better, on the steady clock.
        reason: why it cannot be used.
    """

    level: int = UNREACHED
    fell_ns: int = 0
    rose_ns: int = 0
    reason: str = ""

    def take(self, level: int, now_ns: int) -> None:
        level = min(level, WELL)
        if level > self.level:
            self.rose_ns = now_ns
        elif level < self.level:
            self.fell_ns = now_ns
        self.level = level


class Servers:
    """The servers of one connection, in order of preference.

    Attributes:
        active: the one that is used, or tried.
        cold: the others are off until they are needed, by the active one's word.
        ending: no more connection is made.
        open: connects to a server and logs in.
    """

    def __init__(
        self, urls: Sequence[str], open_: Open, clock: Clock, interval_s: float, back_after_ns: int | None
    ) -> None:
        self.urls = tuple(urls)
        self.active = self.urls[0]
        self.cold = self.ending = False
        self._standing = {url: Standing() for url in self.urls}
        self._waiting: dict[str, Session] = {}
        self._released = {url: asyncio.Event() for url in self.urls}
        self.open = open_
        self._clock = clock
        self._interval_s = interval_s
        self._back_after_ns = back_after_ns
        self._set_active(self.active)

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(url for url in self.urls if url != self.active)

    def take(self) -> Session | None:
        """Return the session that waits on the active server, if one does; it waits no more."""
        return self._waiting.pop(self.active, None)

    def next(self, answered: bool) -> bool:
        """After a failure, go over to the best that waits; return whether one does.

        Otherwise to the next, unless this one `answered`.
        """
        self._note(self.active, UNREACHED)
        ready = [url for url in self.urls if url in self._waiting]
        if ready:
            self._set_active(max(ready, key=lambda url: self._standing[url].level))
        elif not answered:
            self._set_active(self.urls[(self.urls.index(self.active) + 1) % len(self.urls)])
        return bool(ready)

    def use(self, url: str) -> None:
        """Go over to a server."""
        self._set_active(url)

    def note(self, level: int) -> None:
        """Note how the active server is."""
        self._note(self.active, level)

    def better(self) -> tuple[str, str] | None:
        """Return where to go, and why, or None.

        A server that is better is gone over to when that lasts, one that is preferred when it has been as
        well as this one for a while.
        """
        now_ns = self._clock.steady_ns()
        mine = self._standing[self.active]
        ready = [url for url in self.urls if url in self._waiting]
        if not ready:
            return None
        best = max(ready, key=lambda url: self._standing[url].level)
        other = self._standing[best]
        lasting = min(now_ns - other.rose_ns, now_ns - mine.fell_ns)
        if other.level > mine.level and (
            mine.level < NOTHING or lasting >= HOLD * self._interval_s * SECOND_NS
        ):
            return best, f"its service level is {other.level}, that of {self.active} {mine.level}"
        if self._back_after_ns is None:
            return None
        for url in self.urls[: self.urls.index(self.active)]:
            first = self._standing[url]
            since_ns = now_ns - max(first.rose_ns, first.fell_ns)
            if url in self._waiting and first.level >= mine.level and since_ns >= self._back_after_ns:
                return url, f"it has been well for {since_ns // SECOND_NS} s"
        return None

    @property
    def standby(self) -> str:
        """Return how the others are, as people read it."""
        return ", ".join(f"{url}: {self._word(url)}" for url in self.others)

    @property
    def trouble(self) -> str:
        """Return why another server could not take over, or nothing."""
        lost = [url for url in self.others if self._standing[url].reason and url not in self._waiting]
        return "" if self.cold else "; ".join(f"{url} could not take over: {self._word(url)}" for url in lost)

    def _word(self, url: str) -> str:
        standing = self._standing[url]
        return str(standing.level) if url in self._waiting else standing.reason or "not tried yet"

    async def keep(self, url: str) -> None:
        """Hold a session open on a server while another one is used, for ever."""
        backoff = Backoff(RETRY_S / 10, RETRY_S, jitter=0.5)
        standing = self._standing[url]
        while not self.ending:
            await self._released[url].wait()
            try:
                session = await self.open(url)
                await self._stand_by(url, session)
                backoff.reset()
                continue
            except DeniedError as exc:
                standing.reason = f"{exc.text}; {exc.remedy}" if exc.remedy else exc.text
            except (ConnectError, StoreError) as exc:
                standing.reason = str(exc)
            except Exception as exc:
                log.exception("%s: a bug; it is tried again", url)
                standing.reason = f"internal error: {type(exc).__name__}: {exc}"
            if url != self.active:
                self._note(url, UNREACHED)
            await self._clock.sleep(backoff.next_s())

    async def _stand_by(self, url: str, session: Session) -> None:
        """Ask a server how it is until it is taken into use.

        Raises:
            ConnectError: it is lost.
        """
        offered = False
        try:
            while url != self.active and not self.ending:
                status = await server_status(session)
                await session.renew_if_due()
                if url == self.active or (offered and self._waiting.get(url) is not session):
                    return
                self._note(url, status.level)
                self._standing[url].reason = ""
                self._waiting[url], offered = session, True
                await self._clock.sleep(min(self._interval_s, session.life_s / 3))
        finally:
            waits = self._waiting.get(url) is session
            if waits and url != self.active:
                del self._waiting[url]
            if not offered or (waits and url != self.active):
                await session.close(politely=True)

    def _note(self, url: str, level: int) -> None:
        self._standing[url].take(level, self._clock.steady_ns())

    def _set_active(self, url: str) -> None:
        self.active = url
        for each, released in self._released.items():
            if each == url:
                released.clear()
            else:
                released.set()
