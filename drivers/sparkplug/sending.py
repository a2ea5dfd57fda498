"""One Sparkplug session over one connection: births, then what is in the queue, new values first.

What was collected before a birth is sent as historical, since the birth has the present values. Data is sent
with QoS 0, as the standard wants it, so nothing comes back for a message; a round ends with a question whose
answer tells that the broker has read all before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from drivers.sparkplug.catalogue import MS_NS, Catalogue
from drivers.sparkplug.collecting import Collector
from drivers.sparkplug.facts import Facts
from drivers.sparkplug.session import Sent, Session
from drivers.sparkplug.spool import Piece, Spool
from drivers.sparkplug.transport import Connection, Message
from runtime.clock import SECOND_NS
from runtime.contract import Batch, Clock

LIVE_ROWS = 5000
HISTORY_ROWS = 1000
_REBIRTH_NS = SECOND_NS  # hosts may all ask at once
_MANY = 300
_LONGEST_PAUSE_S = 0.05
_TURN_NS = SECOND_NS  # after so long history has its turn, though there are always new values on a slow line


class Sending:
    """What has been sent of the queue, and what of it may be forgotten.

    `hold_ns` is how long what a broker has taken is kept, to be sent again if the connection is lost.

    Attributes:
        fence: what is never subscribed to, to ask the broker with.
    """

    def __init__(
        self,
        session: Session,
        connection: Connection,
        catalogue: Catalogue,
        collector: Collector,
        spool: Spool,
        facts: Facts,
        clock: Clock,
        hold_ns: int,
        writable: bool,
    ) -> None:
        self.wake = asyncio.Event()
        self._session = session
        self._connection = connection
        self._catalogue = catalogue
        self._collector = collector
        self._spool = spool
        self._facts = facts
        self._clock = clock
        self.fence = session.topic("DEATH")
        self._hold_ns = hold_ns
        self._writable = writable
        self._live_after = 0
        self._history: deque[tuple[int, int]] = deque()
        self._past_ns = 0
        self._alive: list[str] = []
        n = len(catalogue.entries)
        self._told = np.zeros(n, np.int64), np.zeros(n, np.uint64), np.zeros(n, np.uint32)
        self._parked: dict[str, list[int]] = {}
        self._rebirth = False
        self._born_ns = 0
        self._unfenced: list[int] = []
        self._held: deque[tuple[int, list[int]]] = deque()

    def ask_rebirth(self) -> None:
        """Send births as soon as it is their turn: no data before them, at most once in a second."""
        self._rebirth = True
        self.wake.set()

    async def run(self) -> None:
        """Send what comes after the births, until cancelled.

        Raises:
            ConnectError: the connection is lost, or the broker does not answer.
            StoreError: the queue cannot be read.
        """
        while True:
            await self._rebirth_if_asked()
            busy = await self._live() | await self._devices()
            due = not busy or self._clock.steady_ns() - self._past_ns > _TURN_NS
            if due and not self._rebirth:
                busy |= await self._past()
            self._release()
            if not busy:
                await self.wake.wait()
                self.wake.clear()

    async def birth(self) -> None:
        """Send the births; all that is in the queue by now becomes history."""
        self._rebirth = False
        self._collector.collect()
        present = self._collector.present()
        self._alive = self._collector.alive()
        for device in ("", *self._alive):
            self._remember(device, present)
        boundary = self._spool.last_id
        if boundary > self._live_after:
            self._history.append((self._live_after, boundary))
        self._live_after = boundary
        self._born_ns = self._clock.steady_ns()
        births = self._session.births(present, self._writable, self._alive, self._now_ms())
        await self._publish(await asyncio.to_thread(list, births))
        self._facts.births += 1 + len(self._alive)
        await self._round()

    async def leave(self, host_is_there: bool) -> None:
        """Send the NDEATH; what the broker has can be forgotten, if the host is there to get it.

        Raises:
            ConnectError: the connection is lost.
        """
        await self._publish([self._session.death(self._now_ms())])
        await self._round()
        if host_is_there:
            for _, ids in self._held:
                self._spool.drop(ids)

    async def _rebirth_if_asked(self) -> None:
        if not self._rebirth:
            return
        wait_ns = self._born_ns + _REBIRTH_NS - self._clock.steady_ns()
        if wait_ns > 0:
            await self._clock.sleep(wait_ns / SECOND_NS)
        await self.birth()

    async def _live(self) -> bool:
        """Send new values; return whether there were any."""
        last = self._spool.last_id
        pieces = await self._spool.read(self._live_after, last, LIVE_ROWS)
        if self._rebirth:
            return False
        self._live_after = pieces[-1].id if pieces else last
        parked = {id_ for ids in self._parked.values() for id_ in ids} if self._parked else ()
        pieces = [each for each in pieces if each.id not in parked]
        if pieces:
            await self._send(pieces, historical=False)
        return bool(pieces)

    async def _past(self) -> bool:
        """Send some of the history, and rest as long as that took; return whether there was any."""
        while self._history:
            after, last = self._history[0]
            begun_ns = self._clock.steady_ns()
            pieces = await self._spool.read(after, last, HISTORY_ROWS)
            if not pieces:
                self._history.popleft()
                continue
            self._history[0] = pieces[-1].id, last
            await self._send(pieces, historical=True)
            took_s = (self._clock.steady_ns() - begun_ns) / SECOND_NS
            await self._clock.sleep(min(took_s, _LONGEST_PAUSE_S))
            self._past_ns = self._clock.steady_ns()
            return True
        return False

    async def _devices(self) -> bool:
        """Tell which devices came and went, once what they said before is sent; return whether that waits."""
        if self._rebirth or self._collector.alive() == self._alive:
            return False
        self._collector.collect()
        alive, present, now_ms = self._collector.alive(), self._collector.present(), self._now_ms()
        if self._spool.last_id > self._live_after:
            return True
        for device in self._catalogue.devices:
            if device in self._alive and device not in alive:
                await self._publish([self._session.device_death(device, now_ms)])
            elif device in alive and device not in self._alive:
                birth = self._session.device_birth(device, present, self._writable, now_ms)
                await self._publish([birth])
                self._facts.births += 1
                self._remember(device, present)
        self._alive = alive
        return False

    def _remember(self, device: str, present: Batch) -> None:
        """Note what a device's birth told; what waited for it is history now."""
        rows = self._catalogue.rows_of[device]
        at_ns, raw, quality = self._told
        at_ns[rows], raw[rows] = present.source_ns[rows], present.raw[rows]
        quality[rows] = present.quality[rows]
        parked = self._parked.pop(device, ())
        self._history += [(id_ - 1, id_) for id_ in parked if id_ <= self._live_after]

    async def _send(self, pieces: Sequence[Piece], *, historical: bool) -> None:
        piece = Piece.joined(pieces)
        found = [self._catalogue.row_of_alias(alias) for alias in piece.alias.tolist()]
        known = np.array([at for at, row in enumerate(found) if row is not None], np.intp)
        piece, rows = piece.take(known), np.array([row for row in found if row is not None], np.intp)
        wanted = np.ones(len(rows), np.bool_)
        if historical:  # the birth told them
            at_ns, raw, quality = (told[rows] for told in self._told)
            wanted = (at_ns != piece.source_ns) | (raw != piece.raw) | (quality != piece.quality)
        for device in ("", *self._catalogue.devices):
            chosen = np.flatnonzero(wanted & self._catalogue.is_of[device][rows])
            if device and device not in self._alive:
                self._park(device, piece.take(chosen))
                continue
            data: Iterable[Sent] = self._session.data(device, piece, chosen, historical, self._now_ms())
            if len(chosen) > _MANY:  # 7 us a value: not in the way of the event loop
                data = await asyncio.to_thread(list, data)
            await self._publish(data)
            self._facts.sent += len(chosen)
        self._unfenced += [each.id for each in pieces]
        await self._round()

    def _park(self, device: str, piece: Piece) -> None:
        """Keep values of a device that is not there until its next birth."""
        if len(piece.alias):
            piece = replace(piece, id=self._spool.last_id + 1)
            self._spool.put(piece)
            self._parked.setdefault(device, []).append(piece.id)

    async def _publish(self, messages: Iterable[Sent]) -> None:
        for topic, payload in messages:
            await self._connection.publish(Message(topic, payload))
            self._facts.messages += 1

    async def _round(self) -> None:
        """Wait until the broker has read what was sent."""
        await self._connection.fence(self.fence)
        if self._unfenced:
            self._held.append((self._clock.steady_ns() + self._hold_ns, self._unfenced))
            self._unfenced = []

    def _release(self) -> None:
        """Forget what has been held for long enough."""
        now_ns = self._clock.steady_ns()
        while self._held and self._held[0][0] <= now_ns:
            self._spool.drop(self._held.popleft()[1])

    def _now_ms(self) -> int:
        return self._clock.now_ns() // MS_NS
