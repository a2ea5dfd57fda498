"""Gaps after a reconnect, filled from the server's own history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua

from drivers.opcua.client.errors import RefusedError
from drivers.opcua.client.items import Items
from drivers.opcua.client.session import Session, chunks, ends_session, status_name
from drivers.opcua.client.values import element, moment, moment_ns, said
from runtime.contract import Batch, Event, Port
from runtime.errors import ConnectError

AT_ONCE = 20  # nodes a request: each may bring many values
VALUES = 1000  # of a node in one answer
LONGEST_NS = 24 * 3_600_000_000_000
TOLD_EVERY = 1_000_000
MAX_STALE = 100  # answers without a newer value
MAX_TOLD = 20


@dataclass(slots=True)
class _Part:
    """What is still to be asked of one row.

    Attributes:
        begin_ns: from when on; `point` goes on in the middle of that.
        newest_ns: time of the last value that came.
        stale: answers without a newer value, one after the other.
    """

    row: int
    begin_ns: int
    point: Any = None
    newest_ns: int = 0
    stale: int = 0

    def goes_on(self, result: Any) -> bool:
        """Take in an answer; tell whether there may be more.

        Some servers give no continuation point with an answer that is full.
        """
        values = getattr(result.HistoryData, "DataValues", None) or ()
        at_ns = moment_ns(values[-1].SourceTimestamp) if values else 0
        self.stale = 0 if at_ns > self.newest_ns else self.stale + 1
        self.newest_ns = max(self.newest_ns, at_ns)
        self.point = result.ContinuationPoint or None
        if self.point is None and len(values) >= VALUES:
            self.begin_ns = self.newest_ns
        elif self.point is None:
            return False
        return self.stale < MAX_STALE


class Gaps:
    """What the plant missed, by row of the wanted items."""

    def __init__(self, items: Items, port: Port) -> None:
        self._items = items
        self._port = port
        self._since: dict[int, int] = {}
        self._told: set[str] = set()

    def open(self, rows: Sequence[int]) -> None:
        """Note from when on rows are not known; a gap that is open stays as it is."""
        for row in rows:
            point = self._items.points[row]
            kept = point.tag.retention != "none" and not point.address.fields
            if kept and self._items.source_ns[row] > 0:
                self._since.setdefault(row, int(self._items.source_ns[row]))

    @property
    def is_open(self) -> bool:
        return bool(self._since)

    @property
    def ready(self) -> list[int]:
        """Return the rows whose gap is over: the server has said a value again."""
        return [row for row in self._since if self._items.mark_ns[row] == 0]

    async def fill(self, session: Session) -> int:
        """Ask for what lies in the gaps that are over, and put it into history; return how many values.

        A gap reaches from the last value before it to the first one after it, both exclusive. What the
        server does not keep is told once, and not asked for again.

        Raises:
            ConnectError: the server does not answer; the gaps stay open, as far as they are not filled.
            StoreError: history does not take it.
        """
        filled = 0
        for chunk in chunks(self.ready, AT_ONCE):
            open_ = [row for row in chunk if self._items.resumed_ns[row] > self._since[row]]
            if open_:
                until_ns = int(self._items.resumed_ns[open_].max())
                first_ns = min(self._since[row] for row in open_)
                begin_ns = max(first_ns, until_ns - LONGEST_NS)
                if begin_ns > first_ns:
                    hours = (begin_ns - first_ns) / 3.6e12
                    self._tell("only the last day of a gap is filled", f"{hours:.1f} hours before it are not")
                try:
                    filled += await self._fill_some(session, open_, begin_ns, until_ns)
                except RefusedError as exc:
                    if ends_session(exc):
                        raise
                    self._tell("gaps are not filled", exc.text)
                    self._since.clear()
                    return filled
            for row in chunk:
                self._since.pop(row, None)
        return filled

    async def _fill_some(self, session: Session, rows: Sequence[int], begin_ns: int, until_ns: int) -> int:
        filled, tell_at = 0, TOLD_EVERY
        left = [_Part(row, begin_ns) for row in rows]
        while left:
            begun = left[0].begin_ns
            parts = [each for each in left if each.begin_ns == begun]
            left = [each for each in left if each.begin_ns != begun]
            try:
                results = await self._ask(session, parts, until_ns)
            except ConnectError as exc:
                if not isinstance(exc, RefusedError) or ends_session(exc):
                    for each in (*parts, *left):  # what came is in history: go on from there
                        self._since[each.row] = max(self._since[each.row], each.newest_ns - 1)
                raise
            for part, result in zip(parts, results, strict=True):
                filled += await self._take(part, result)
                if part.goes_on(result):
                    left.append(part)
                elif part.stale >= MAX_STALE:
                    path = self._items.points[part.row].tag.path
                    self._tell("a gap is not filled", f"{path}: the server's history does not come to an end")
            if filled >= tell_at:
                tell_at += TOLD_EVERY
                text = f"{filled} values that {self._port.name} kept are in history, and there are more"
                self._port.emit(Event("driver.gap_filling", self._port.name, self._port.clock.now_ns(), text))
        return filled

    async def _take(self, part: _Part, result: Any) -> int:
        """Put one answer into history; return how many values."""
        code = result.StatusCode.value
        if code >> 31:
            path = self._items.points[part.row].tag.path
            self._tell("a gap is not filled", f"{path}: {status_name(code)}")
            return 0
        batch = self._batch(part.row, result.HistoryData, part.newest_ns)
        if batch is None:
            return 0
        await self._port.backfill(batch)
        return len(batch)

    async def _ask(self, session: Session, parts: Sequence[_Part], until_ns: int) -> Any:
        async def some(chunk: Sequence[_Part]) -> Any:
            request = ua.HistoryReadRequest()
            request.Parameters.HistoryReadDetails = ua.ReadRawModifiedDetails(
                IsReadModified=False,
                StartTime=moment(parts[0].begin_ns),
                EndTime=moment(until_ns),
                NumValuesPerNode=VALUES,
                ReturnBounds=False,
            )
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.NodesToRead = [self._wanted(session, each.row, each.point) for each in chunk]
            return (await session.ask(request, ua.HistoryReadResponse)).Results

        return await session.in_pieces("history", parts, some)

    def _tell(self, what: str, why: str) -> None:
        """Tell what is not filled; the same reason once."""
        if why not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(why)
            text = f"{self._port.name}: {what}: {why}"
            self._port.emit(Event("driver.gap_not_filled", self._port.name, self._port.clock.now_ns(), text))

    def _wanted(self, session: Session, row: int, more: Any) -> Any:
        address = self._items.points[row].address
        return ua.HistoryReadValueId(
            NodeId=session.node_id(address.node), IndexRange=address.index_range, ContinuationPoint=more
        )

    def _batch(self, row: int, history: Any, begin_ns: int) -> Batch | None:
        """Return the values of one node that lie in its gap."""
        tag = self._items.points[row].tag
        address = self._items.points[row].address
        found = []
        for data in getattr(history, "DataValues", None) or ():
            value = data.Value.Value if data.Value is not None else None
            value = element(value, address.index)
            at_ns = moment_ns(data.SourceTimestamp)
            if max(begin_ns, self._since[row]) < at_ns < self._items.resumed_ns[row]:
                found.append(said(row, tag.data_type, value, data, at_ns))
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
