"""Each value of some tags, for a stream that skips none: bounded, gaps told, filled in from the history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import numpy as np
from numpy.typing import NDArray

from runtime.api.services import Services
from runtime.api.views import TagViews
from runtime.bus import Bus, Journal
from runtime.contract import Batch
from runtime.errors import StoreError
from runtime.wire import Gap, Values

WAITING_ROWS = 100_000  # for one client, on the bus
BACK_ROWS = 100_000  # of the history, when a client comes back
_AT_ONCE = 10_000  # rows in one message


def journal_of(bus: Bus, ids: NDArray[np.int32]) -> Journal:
    """Return what takes the values for one client; what overflows is told to it alone."""
    return bus.journal(ids, WAITING_ROWS, alarmed=False)


async def every_value(
    services: Services, views: TagViews, journal: Journal, last_ns: int, interval_s: float
) -> AsyncGenerator[Values | Gap, None]:
    """Yield each value that a journal takes, until it is paused and empty; `last_ns` came last."""

    def gap(batch: Batch) -> Iterator[Gap]:
        lost, journal.overflow = journal.overflow, 0
        if lost:
            text = "the client reads too slowly; the history may have them"
            yield Gap(last_ns, int(batch.source_ns.min()), lost, text)

    async for batch in journal:
        for message in gap(batch):
            yield message
        last_ns = int(batch.source_ns.max())
        rows = list(views.rows(batch))
        while len(rows) < _AT_ONCE and not journal.overflow and (more := journal.take()) is not None:
            rows += views.rows(more)
            last_ns = int(more.source_ns.max())
        yield Values(tuple(rows))
        await services.clock.sleep(interval_s)
    rest = _waiting(journal)
    for message in gap(rest[0]) if rest else ():
        yield message
    for batch in rest:
        yield Values(tuple(views.rows(batch)))


async def values_since(
    services: Services, views: TagViews, journal: Journal, ids: NDArray[np.int32], since_ns: int
) -> AsyncGenerator[Values | Gap, None]:
    """Yield the values since a source time from the history, and what came to the journal meanwhile."""
    newest: NDArray[np.int64] = np.full(len(services.bus.table), since_ns, np.int64)
    async for message, batch in _missed(services, views, ids, since_ns):
        yield message
        if batch is not None:
            np.maximum.at(newest, batch.ids, batch.source_ns)
    for batch in _waiting(journal):  # while the history was read: some of it is told already
        fresh = batch.take(np.flatnonzero(batch.source_ns > newest[batch.ids]))
        if len(fresh):
            yield Values(tuple(views.rows(fresh)))


async def _missed(
    services: Services, views: TagViews, ids: NDArray[np.int32], since_ns: int
) -> AsyncGenerator[tuple[Values | Gap, Batch | None], None]:
    """Yield what the history has of the time since; and a gap where it has not all."""
    now_ns = services.clock.now_ns()
    if services.historian is None:
        yield Gap(since_ns, now_ns, None, "this plant keeps no history"), None
        return
    limit = max(1, BACK_ROWS // len(ids))
    newest_ns = max(now_ns, int(services.bus.table.source_ns[ids].max()))  # of a source whose clock is ahead
    try:
        found = await services.historian.query(ids, since_ns + 1, newest_ns + 1, limit)
    except StoreError as exc:
        yield Gap(since_ns, now_ns, None, exc.text), None
        return
    counts = np.bincount(found.ids, minlength=1)
    if counts.max() >= limit:
        first: NDArray[np.int64] = np.full(len(counts), now_ns, np.int64)
        np.minimum.at(first, found.ids, found.source_ns)
        first_ns = int(first[counts >= limit].max())  # where the last of those begins that lack some
        yield Gap(since_ns, first_ns, None, f"more than {limit} values of a tag: ask /history for them"), None
    found = found.take(np.argsort(found.source_ns, kind="stable"))
    for start in range(0, len(found), _AT_ONCE):
        part = found.take(np.arange(start, min(start + _AT_ONCE, len(found))))
        yield Values(tuple(views.rows(part))), part


def _waiting(journal: Journal) -> list[Batch]:
    waiting = []
    while (batch := journal.take()) is not None:
        waiting.append(batch)
    return waiting
