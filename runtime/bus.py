"""The bus: one mailbox or journal a subscriber, never an unbounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Batch, Event
from runtime.tagtable import TagTable

S = TypeVar("S", "Mailbox", "Journal")
JOURNAL_ROWS = 1_000_000
EVENT_LIMIT = 10_000


def _widened(mask: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    return np.concatenate([mask, np.zeros(count - len(mask), np.bool_)])


class _Subscription:
    """What mailbox and journal share: a wake-up, and an end."""

    def __init__(self, bus: Bus, wanted: NDArray[np.bool_]) -> None:
        self._bus = bus
        self._wanted = wanted
        self._wake = asyncio.Event()
        self._paused = False
        self.closed = False

    def __aiter__(self) -> _Subscription:
        return self

    async def __anext__(self) -> Batch:
        while True:
            if self._paused:
                raise StopAsyncIteration
            batch = self.take()
            if batch is not None:
                return batch
            if self.closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()

    def widen(self, count: int) -> None:
        """Know of so many tags; those that are new are not subscribed to."""
        self._wanted = _widened(self._wanted, count)

    def follow(self, ids: NDArray[np.int32], seen_ns: int = 0) -> None:
        """Subscribe to these tags from now on; those that are new come with their present values.

        These are stamped `seen_ns` where they are older.
        """
        if self.closed:  # its component has ended: the bus tells it nothing any more
            return
        before, self._wanted = self._wanted, self._bus.mask(ids)
        fresh = np.flatnonzero(self._wanted & ~before).astype(np.int32)
        if len(fresh):
            present = self._bus.table.snapshot(fresh)
            self.post(replace(present, source_ns=np.maximum(present.source_ns, seen_ns)))

    def pause(self) -> None:
        """End an iteration before it takes another batch; what comes waits until `go_on`."""
        self._paused = True
        self._wake.set()

    def go_on(self) -> None:
        self._paused = False

    def take(self) -> Batch | None:
        raise NotImplementedError

    def post(self, batch: Batch) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True
        self._wake.set()
        self._bus.forget(self)


class Mailbox(_Subscription):
    """Newest value per tag, taken all at once.

    Bounded by the number of tags, so a slow reader costs no memory: it loses
    intermediate values, never the latest. Use `Journal` where each value counts.
    """

    def __init__(self, bus: Bus, wanted: NDArray[np.bool_]) -> None:
        super().__init__(bus, wanted)
        self._dirty = wanted.copy()

    def widen(self, count: int) -> None:
        super().widen(count)
        self._dirty = _widened(self._dirty, count)

    def post(self, batch: Batch) -> None:
        hit = self._wanted[batch.ids]
        if hit.all():
            self._dirty[batch.ids] = True
        elif hit.any():
            self._dirty[batch.ids[hit]] = True
        else:
            return
        self._wake.set()

    def take(self) -> Batch | None:
        ids = np.flatnonzero(self._dirty).astype(np.int32)
        if not len(ids):
            return None
        self._dirty[ids] = False
        return self._bus.table.snapshot(ids)


class Journal(_Subscription):
    """Every value in order, up to a bound; what overflows is counted and told, oldest first."""

    def __init__(
        self, bus: Bus, wanted: NDArray[np.bool_], limit: int = JOURNAL_ROWS, alarmed: bool = True
    ) -> None:
        super().__init__(bus, wanted)
        self._alarmed = alarmed
        self._all = bool(wanted.all())
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._rows = 0
        self.overflow = 0
        first = np.flatnonzero(wanted).astype(np.int32)
        if len(first):
            self.post(bus.table.snapshot(first))

    def post(self, batch: Batch) -> None:
        if not self._all:
            hit = self._wanted[batch.ids]
            if not hit.any():
                return
            if not hit.all():
                batch = batch.take(hit)
        self._batches.append(batch)
        self._rows += len(batch)
        while self._rows > self._limit and len(self._batches) > 1:
            lost = len(self._batches.popleft())
            self._rows -= lost
            self.overflow += lost
            self._bus.overflow += lost * self._alarmed
        self._wake.set()

    def widen(self, count: int) -> None:
        super().widen(count)
        self._all = bool(self._wanted.all())

    def follow(self, ids: NDArray[np.int32], seen_ns: int = 0) -> None:
        self._all = False
        super().follow(ids, seen_ns)
        self._all = bool(self._wanted.all())

    def take(self) -> Batch | None:
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._rows -= len(batch)
        return batch


class EventStream:
    """Events of some kinds in order; bounded, and what overflows is counted."""

    def __init__(self, bus: Bus, kinds: tuple[str, ...]) -> None:
        self._bus = bus
        self._kinds = kinds
        self._wake = asyncio.Event()
        self._events: deque[Event] = deque()
        self.closed = False
        self.overflow = 0

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self.closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()

    def drain(self) -> Iterator[Event]:
        """Yield what is there without waiting."""
        while self._events:
            yield self._events.popleft()

    def post(self, event: Event) -> None:
        if self._kinds and not event.kind.startswith(self._kinds):
            return
        if len(self._events) >= EVENT_LIMIT:
            self._events.popleft()
            self.overflow += 1
            self._bus.overflow += 1
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()
        self._bus.forget_events(self)


class Bus:
    """Takes batches into the table and posts them to whoever asked for one of their tags."""

    def __init__(self, table: TagTable) -> None:
        self.table = table
        self.overflow = 0
        self._subscriptions: list[Mailbox | Journal] = []
        self._streams: list[EventStream] = []

    def publish(self, batch: Batch) -> None:
        if not len(batch):
            return
        self.table.apply(batch)
        for each in self._subscriptions:
            each.post(batch)

    def widen(self) -> None:
        """Let subscriptions know of the tags that the table has now."""
        for each in self._subscriptions:
            each.widen(len(self.table))

    def mailbox(self, ids: NDArray[np.int32]) -> Mailbox:
        """Subscribe to the newest value per tag, starting with the present ones."""
        return self._add(Mailbox(self, self.mask(ids)))

    def journal(self, ids: NDArray[np.int32], limit: int = JOURNAL_ROWS, *, alarmed: bool = True) -> Journal:
        """Subscribe to every value, starting with the present ones.

        What overflows counts as lost on the bus, unless the subscriber tells it otherwise (`alarmed`).
        """
        return self._add(Journal(self, self.mask(ids), limit, alarmed))

    def emit(self, event: Event) -> None:
        for each in self._streams:
            each.post(event)

    def events(self, *kinds: str) -> EventStream:
        stream = EventStream(self, kinds)
        self._streams.append(stream)
        return stream

    def forget(self, subscription: _Subscription) -> None:
        self._subscriptions = [each for each in self._subscriptions if each is not subscription]

    def forget_events(self, stream: EventStream) -> None:
        self._streams = [each for each in self._streams if each is not stream]

    def mask(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return for each tag whether it is among the ids."""
        mask = np.zeros(len(self.table), np.bool_)
        mask[ids] = True
        return mask

    def _add(self, subscription: S) -> S:
        self._subscriptions.append(subscription)
        return subscription
