"""Gaps after a reconnect, filled from the server's own history.

How far a gap is filled is kept with it, answer by answer: whatever ends the filling, it goes on from there,
and no value comes into history twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua

from drivers.opcua.client.errors import RefusedError, SilentError
from drivers.opcua.client.items import Items
from drivers.opcua.client.session import Session, chunks, ends_session, status_name
from drivers.opcua.client.values import element, moment, moment_ns, said
from runtime.clock import SECOND_NS
from runtime.contract import Batch, Event, Port
from runtime.errors import StoreError

AT_ONCE = 20  # nodes a request: each may bring many values
VALUES = 1000  # of a node in one answer
ANSWER_S = 60.0  # archives are slow; whether the server is there is watched elsewhere
LONGEST_NS = 24 * 3_600_000_000_000
TOLD_EVERY = 1_000_000
MAX_STALE = 100  # answers without a newer value
MAX_TOLD = 20
MAX_GAPS = 10  # of one row
LEAST_S, MOST_S = 1.0, 60.0  # until a gap is tried again
_LATER = frozenset(
    getattr(ua.StatusCodes, name)
    for name in (
        "BadTimeout", "BadInternalError", "BadUnexpectedError", "BadOutOfMemory", "BadResourceUnavailable",
        "BadTooManyOperations", "BadResponseTooLarge", "BadEncodingLimitsExceeded", "BadEncodingError",
        "BadNoContinuationPoints", "BadNoCommunication", "BadDataUnavailable", "BadRequestTimeout",
        "BadOperationAbandoned",
    )
)  # fmt: skip


@dataclass(slots=True, eq=False)
class _Gap:
    """What was missed of one row, and how far it is filled.

    Attributes:
        since_ns, until_ns: between these; what came moves the first on. `until_ns` is 0 while the gap lasts.
        lost_ns: when it began, by our clock.
        begin_ns: from when on it is asked for; `point` goes on in the middle of that.
        is_alone: it is asked for without others.
        stale: answers without a newer value, one after the other.
        wait_s, due_ns: when it is tried again, on the steady clock.
    """

    row: int
    since_ns: int
    lost_ns: int
    until_ns: int = 0
    begin_ns: int = 0
    point: Any = None
    is_alone: bool = False
    stale: int = 0
    wait_s: float = 0.0
    due_ns: int = 0

    def goes_on(self, result: Any) -> bool:
        """Take in an answer; tell whether there may be more.

        Some servers give no continuation point with an answer that is full.
        """
        values = getattr(result.HistoryData, "DataValues", None) or ()
        at_ns = moment_ns(values[-1].SourceTimestamp) if values else 0
        self.stale = 0 if at_ns > self.since_ns else self.stale + 1
        if at_ns > self.since_ns:
            self.since_ns, self.is_alone, self.wait_s = at_ns, True, 0.0
        self.point = result.ContinuationPoint or None
        if self.point is None and len(values) >= VALUES:
            self.begin_ns = self.since_ns
        elif self.point is None:
            return False
        return self.stale < MAX_STALE


class Gaps:
    """What the plant missed, by row of the wanted items."""

    def __init__(self, items: Items, port: Port) -> None:
        self._items = items
        self._port = port
        self._gaps: dict[int, deque[_Gap]] = {}
        self._told: set[str] = set()
        self._batches: asyncio.Queue[Batch] = asyncio.Queue(1)
        self._filled, self._tell_at = 0, TOLD_EVERY

    def open(self, rows: Sequence[int]) -> None:
        """Note from when on rows are not known; a gap that is open stays as it is."""
        self._end()
        now_ns = self._port.clock.now_ns()
        for row in rows:
            point, since_ns = self._items.points[row], int(self._items.source_ns[row])
            gaps = self._gaps.get(row)
            if point.tag.retention == "none" or point.address.fields or since_ns <= 0:
                continue
            if gaps is None:
                gaps = self._gaps[row] = deque()
            elif not gaps[-1].until_ns:
                continue
            elif len(gaps) == MAX_GAPS:
                self._tell("a gap is not filled", f"{MAX_GAPS} younger ones are not yet", gaps[0])
                self._drop(gaps[0])
            gaps.append(_Gap(row, since_ns, now_ns))
            self._items.resumed_ns[row] = 0

    @property
    def is_open(self) -> bool:
        return bool(self._gaps)

    async def keep(self) -> None:
        """Put what came into history, for ever: the end of a connection does not end it half way."""
        while True:
            batch = await self._batches.get()
            try:
                await self._port.backfill(batch)
                self._filled += len(batch)
            except StoreError as exc:
                self._tell("gaps are not filled", exc.text)
            self._batches.task_done()
            if self._filled >= self._tell_at:
                self._tell_at += TOLD_EVERY
                text = f"{self._filled} values that {self._port.name} kept are in history, and there are more"
                self._emit("driver.gap_filling", text)

    async def fill(self, session: Session) -> None:
        """Have history take what lies in the gaps that are over; tell when all of them are filled.

        A gap reaches from the last value before it to the first one after it, both exclusive. What the
        server does not keep is told once, and not asked for again.

        Raises:
            ConnectError: the server does not answer; the gaps stay open, as far as they are not filled.
        """
        self._end()
        for together in self._together():
            await self._fill_some(session, together)
        if any(gap.until_ns for gap in self._all()):
            return
        await self._batches.join()
        if self._filled:
            text = f"{self._filled} values that {self._port.name} kept while it was not heard are in history"
            self._filled, self._tell_at = 0, TOLD_EVERY
            self._emit("driver.gap_filled", text)

    def _all(self) -> Iterator[_Gap]:
        return (gap for gaps in self._gaps.values() for gap in gaps)

    def _end(self) -> None:
        """Note which gaps are over; leave those in which nothing is missed, or that are too old."""
        oldest_ns = self._port.clock.now_ns() - LONGEST_NS
        for gap in list(self._all()):
            if not gap.until_ns:
                gap.until_ns = int(self._items.resumed_ns[gap.row])
            if gap.until_ns and gap.until_ns <= gap.since_ns + 1:
                self._drop(gap)
            elif gap.until_ns and gap.until_ns < oldest_ns:
                self._drop(gap)
                self._tell("a gap is not filled", "the server did not say it within a day", gap)

    def _drop(self, gap: _Gap) -> None:
        gaps = self._gaps.get(gap.row)
        if gaps is not None:
            gaps.remove(gap)
            if not gaps:
                del self._gaps[gap.row]

    def _together(self) -> Iterator[Sequence[_Gap]]:
        """Yield the gaps that are asked for now, each time some that begin at about the same time."""
        now_ns = self._port.clock.steady_ns()
        due = [gap for gap in self._all() if gap.until_ns and gap.due_ns <= now_ns]
        due.sort(key=lambda gap: (gap.lost_ns, gap.since_ns))
        yield from chunks([gap for gap in due if not gap.is_alone], AT_ONCE)
        yield from ([gap] for gap in due if gap.is_alone)

    async def _fill_some(self, session: Session, left: Sequence[_Gap]) -> None:
        until_ns = max(gap.until_ns for gap in left)
        begin_ns = max(min(gap.since_ns for gap in left), until_ns - LONGEST_NS)
        for gap in left:
            gap.begin_ns, gap.point, gap.stale = begin_ns, None, 0
            if gap.lost_ns < begin_ns and begin_ns > gap.since_ns:
                hours = (begin_ns - gap.lost_ns) / 3.6e12
                self._tell("only the last day of a gap is filled", f"{hours:.1f} hours before it are not")
        while left:
            parts = [gap for gap in left if gap.begin_ns == left[0].begin_ns]
            left = [gap for gap in left if gap.begin_ns != left[0].begin_ns]
            try:
                results = await self._ask(session, parts, until_ns)
            except SilentError as exc:
                self._later(parts, exc.text)
                continue
            except RefusedError as exc:
                if ends_session(exc):
                    raise
                if exc.code in _LATER:
                    self._later(parts, exc.text)
                    continue
                self._tell("gaps are not filled", exc.text)
                self._gaps.clear()
                return
            for gap, result in zip(parts, results, strict=True):
                if await self._take(gap, result):
                    left.append(gap)

    def _later(self, gaps: Sequence[_Gap], why: str) -> None:
        """Try gaps again: each by itself, and what was by itself after a while."""
        for gap in gaps:
            if gap.is_alone:
                gap.wait_s = min(max(LEAST_S, 2 * gap.wait_s), MOST_S)
                gap.due_ns = self._port.clock.steady_ns() + round(gap.wait_s * SECOND_NS)
                self._tell("a gap is filled later", why, gap)
            gap.is_alone = True

    async def _take(self, gap: _Gap, result: Any) -> bool:
        """Take in one answer; tell whether there is more to ask for now."""
        code = result.StatusCode.value
        if code == ua.StatusCodes.BadContinuationPointInvalid and gap.point is not None:
            gap.begin_ns, gap.point = max(gap.begin_ns, gap.since_ns), None
            gap.stale += 1
            return gap.stale < MAX_STALE
        if code in _LATER:
            gap.is_alone = True
            self._later([gap], status_name(code))
            return False
        if code >> 31:
            self._tell("a gap is not filled", status_name(code), gap)
            self._drop(gap)
            return False
        batch = self._batch(gap, result.HistoryData)
        if batch is not None:
            await self._batches.put(batch)
        if gap.goes_on(result) and (gap.point is not None or gap.since_ns < gap.until_ns):
            return True
        if gap.stale >= MAX_STALE:
            self._tell("a gap is not filled", "the server's history does not come to an end", gap)
        self._drop(gap)
        return False

    async def _ask(self, session: Session, parts: Sequence[_Gap], until_ns: int) -> Any:
        async def some(chunk: Sequence[_Gap]) -> Any:
            request = ua.HistoryReadRequest()
            request.Parameters.HistoryReadDetails = ua.ReadRawModifiedDetails(
                IsReadModified=False,
                StartTime=moment(parts[0].begin_ns),
                EndTime=moment(until_ns),
                NumValuesPerNode=VALUES,
                ReturnBounds=False,
            )
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.ReleaseContinuationPoints = False  # asyncua's default reads nothing
            request.Parameters.NodesToRead = [self._wanted(session, each.row, each.point) for each in chunk]
            return (await session.ask(request, ua.HistoryReadResponse, ANSWER_S)).Results

        return await session.in_pieces("history", parts, some)

    def _tell(self, what: str, why: str, gap: _Gap | None = None) -> None:
        """Tell what is not filled; the same reason once."""
        if f"{what}: {why}" not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(f"{what}: {why}")
            where = f"{self._items.points[gap.row].tag.path}: " if gap is not None else ""
            self._emit("driver.gap_not_filled", f"{self._port.name}: {what}: {where}{why}")

    def _emit(self, kind: str, text: str) -> None:
        self._port.emit(Event(kind, self._port.name, self._port.clock.now_ns(), text))

    def _wanted(self, session: Session, row: int, more: Any) -> Any:
        address = self._items.points[row].address
        return ua.HistoryReadValueId(
            NodeId=session.node_id(address.node), IndexRange=address.index_range, ContinuationPoint=more
        )

    def _batch(self, gap: _Gap, history: Any) -> Batch | None:
        """Return the values of one node that lie in its gap."""
        tag = self._items.points[gap.row].tag
        address = self._items.points[gap.row].address
        found = []
        for data in getattr(history, "DataValues", None) or ():
            value = data.Value.Value if data.Value is not None else None
            value = element(value, address.index)
            at_ns = moment_ns(data.SourceTimestamp)
            if gap.since_ns < at_ns < gap.until_ns:
                found.append(said(gap.row, tag.data_type, value, data, at_ns))
        if not found:
            return None
        text = {at: each.text for at, each in enumerate(found) if each.text is not None}
        return Batch.of(
            [tag.id] * len(found),
            [each.raw or 0 for each in found],
            np.array([each.source_ns for each in found], np.int64),
            np.array([each.quality for each in found], np.uint32),
            text,
        )
