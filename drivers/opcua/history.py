"""HistoryRead: what the plant keeps of its tags, raw, at times and by aggregates.

Source: OPC 10000-11, 6.5 HistoryRead; OPC 10000-13 aggregates.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.ua_binary import struct_to_binary
from numpy.typing import NDArray

from drivers.opcua.aggregates import AGGREGATES, INTERPOLATED, INTERPOLATIVE, PARTIAL, Aggregate, judged
from drivers.opcua.model import PlantNodes
from drivers.opcua.picking import BINARY, NEITHER, stamps_of, unfit_range
from drivers.opcua.points import Points
from drivers.opcua.values import FOREVER_NS, instant, moment
from drivers.opcua.wire import Samples, Wire
from runtime.clock import SECOND_NS
from runtime.contract import Batch, DataType, HistoryPoints, Port, Tag
from runtime.errors import PlantError

MAX_NODES = 100
MAX_TIMES = 100
MOST_VALUES = 100_000  # in one response, of all nodes together
LEAST = (100, 100)  # PercentDataGood, PercentDataBad
_LONGEST_MS = FOREVER_NS / 1e6
_FIRST_SPAN_NS = 60 * 10**9
_CODES = ua.StatusCodes
_DATA = ua.NodeId(ua.ObjectIds.HistoryData_Encoding_DefaultBinary)
_COUNT = struct.Struct("<i")
# of a reading: where it goes on, its end, values to skip there, backward, a last bound that is missing
_PLACE = struct.Struct("<qqIBq")
_ONE_MOMENT_NS = 1_000  # times on the wire are whole microseconds


class _Refused(Exception):  # noqa: N818
    """A node's part of the request cannot be answered: its status code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Part:
    """Values of one node, and where a next request goes on."""

    batch: Batch
    wire: Wire
    missing: Mapping[int, bytes] = field(default_factory=dict)
    place: bytes | None = None


class History:
    """Answers HistoryRead requests."""

    def __init__(self, port: Port, nodes: PlantNodes, tags: Sequence[Tag]) -> None:
        self._port = port
        self._nodes = nodes
        self.renew(tags)

    def renew(self, tags: Sequence[Tag]) -> None:
        """Take the list of tags, ids in order."""
        self._tags = tags
        self._wire = Wire(tags)

    async def read(self, params: Any, points: Points) -> list[Any]:
        """Return a HistoryReadResult for each node, in order; `points` are the session's.

        Raises:
            ServiceError: no timestamps are wanted, or none that there are.
        """
        wanted, details = params.NodesToRead or [], params.HistoryReadDetails
        stamps = stamps_of(params)
        if stamps == NEITHER:
            raise ServiceError(_CODES.BadInvalidTimestampArgument)
        if isinstance(details, ua.ReadProcessedDetails) and len(details.AggregateType or []) != len(wanted):
            mismatch = ua.HistoryReadResult(StatusCode=ua.StatusCode(_CODES.BadAggregateListMismatch))
            return [mismatch for _ in wanted]
        if params.ReleaseContinuationPoints:
            for each in wanted:
                points.take(each.ContinuationPoint)
            return [ua.HistoryReadResult() for _ in wanted]
        results = []
        for number, each in enumerate(wanted):
            try:
                part = await self._part(each, details, number, MOST_VALUES // len(wanted), points)
            except _Refused as exc:
                results.append(ua.HistoryReadResult(StatusCode=ua.StatusCode(exc.code)))
            except PlantError:  # no history in this plant, or it cannot be read: the kernel's alarm tells
                results.append(ua.HistoryReadResult(StatusCode=ua.StatusCode(_CODES.BadNoCommunication)))
            else:
                point = None if part.place is None else points.keep(part.place)
                results.append(_result(part, stamps, point))
        return results

    async def _part(self, wanted: Any, details: Any, number: int, most: int, points: Points) -> _Part:
        id_ = self._nodes.tag_id(wanted.NodeId)
        if id_ < 0:
            known = wanted.NodeId in self._nodes
            raise _Refused(_CODES.BadHistoryOperationUnsupported if known else _CODES.BadNodeIdUnknown)
        if wanted.DataEncoding.Name not in (None, "", BINARY):
            raise _Refused(_CODES.BadDataEncodingInvalid)
        if wanted.IndexRange:
            raise _Refused(unfit_range(wanted.IndexRange))
        if self._tags[id_].retention == "none":
            raise _Refused(_CODES.BadHistoryOperationUnsupported)
        place = points.take(wanted.ContinuationPoint)
        if wanted.ContinuationPoint and place is None:
            raise _Refused(_CODES.BadContinuationPointInvalid)
        if isinstance(details, ua.ReadRawModifiedDetails) and not details.IsReadModified:
            return await self._raw(id_, _span(details, place), details, most, first=place is None)
        if isinstance(details, ua.ReadProcessedDetails):
            return await self._processed(id_, details, number, place, most)
        if isinstance(details, ua.ReadAtTimeDetails):
            return await self._at(id_, details, most // MAX_TIMES)
        raise _Refused(_CODES.BadHistoryOperationUnsupported)

    # Values as they are.

    async def _raw(self, id_: int, span: _Span, details: Any, most: int, first: bool) -> _Part:
        most = min(details.NumValuesPerNode or most, most)
        bounds = first and details.ReturnBounds
        is_bounded = True
        if first and span.start_ns == span.end_ns:
            span = replace(span, end_ns=span.end_ns + _ONE_MOMENT_NS)
        if bounds:
            span, is_bounded = await self._widened(id_, span)
        room = most - (not is_bounded)
        if span.backward:
            low, high = span.end_ns + (span.end_ns != span.start_ns), span.start_ns + 1
            found = await self._port.history(_ids(id_), max(low, 0), high, room + span.skip + 1)
            found = found.take(np.arange(len(found))[::-1])
        else:
            found = await self._forward(id_, span.start_ns, span.end_ns, room + span.skip + 1)
        found = found.take(np.arange(span.skip, len(found)))
        more = len(found) > room
        found = found.take(np.arange(min(room, len(found))))
        last_ns = span.last_ns or (span.beyond(found) if bounds and not span.ends else 0)
        if last_ns and len(found) == room:
            more, last_ns = True, 0
        place = span.behind(found) if more and span.ends else None
        pieces, missing = [found], dict[int, bytes]()
        if not is_bounded:
            pieces.insert(0, _placeholder(id_))
            missing[0] = _not_found(span.start_ns)
        if last_ns and not more:
            missing[sum(map(len, pieces))] = _not_found(last_ns)
            pieces.append(_placeholder(id_))
        return _Part(Batch.joined(pieces), self._wire, missing, place)

    async def _forward(self, id_: int, start_ns: int, end_ns: int, most: int) -> Batch:
        """Return the oldest samples of a time; the historian gives the newest of a span, so it tries."""
        found: list[Batch] = []
        at_ns, span_ns, count = start_ns, _FIRST_SPAN_NS, 0
        while at_ns < end_ns and count < most:
            upto_ns, limit = min(end_ns, at_ns + span_ns), 2 * most
            batch = await self._port.history(_ids(id_), at_ns, upto_ns, limit if span_ns > 1 else None)
            if len(batch) == limit and span_ns > 1:  # the newest of more
                span_ns = max(1, min(span_ns // 2, upto_ns - int(batch.source_ns[0])))
                continue
            found.append(batch)
            count += len(batch)
            wider = 1.25 * (most - count) / len(batch) if len(batch) else 8
            at_ns, span_ns = upto_ns, max(1, round(span_ns * wider))
        whole = Batch.joined(found)
        return whole.take(np.arange(min(most, len(whole))))

    async def _widened(self, id_: int, span: _Span) -> tuple[_Span, bool]:
        """Return a span with the values at or beyond both ends; tell whether there is one at its start.

        Source: OPC 10000-11, 4.6 Bounding Values and time domain.
        """
        start = await self._bound(id_, span.start_ns, before=not span.backward)
        wider = span if start is None else replace(span, start_ns=int(start.source_ns[0]))
        if span.ends:
            end = await self._bound(id_, span.end_ns, before=span.backward)
            if end is None:
                wider = replace(wider, last_ns=span.end_ns)
            else:
                wider = replace(wider, end_ns=int(end.source_ns[0]) + (-1 if span.backward else 1))
        return wider, start is not None

    async def _bound(self, id_: int, at_ns: int, before: bool) -> Batch | None:
        if before:
            found = await self._port.history(_ids(id_), 0, at_ns + 1, 1)
        else:
            found = await self._forward(id_, at_ns, self._port.clock.now_ns() + 1, 1)
        return found if len(found) else None

    # Values made of them.

    async def _processed(self, id_: int, details: Any, number: int, place: bytes | None, most: int) -> _Part:
        wanted = details.AggregateType[number]
        known = AGGREGATES.get(wanted.Identifier) if wanted.NamespaceIndex == 0 else None
        if known is None or not known.fits(self._tags[id_].data_type):
            raise _Refused(_CODES.BadAggregateNotSupported)
        least = _least(details.AggregateConfiguration)
        span = _span(details, place)
        if not span.ends or span.start_ns == span.end_ns:
            raise _Refused(_CODES.BadInvalidArgument)
        interval_ms = details.ProcessingInterval
        if not 0 <= interval_ms < _LONGEST_MS:  # NaN as well
            raise _Refused(_CODES.BadInvalidArgument)
        interval_ns = round(interval_ms * 1e6)
        long_ns = abs(span.end_ns - span.start_ns)
        interval_ns = min(interval_ns, long_ns) or long_ns
        reach_ns = min(long_ns, interval_ns * most)
        low_ns = span.start_ns - reach_ns if span.backward else span.start_ns
        within = max(low_ns, 0), low_ns + reach_ns
        points = await self._figures(id_, *within, interval_ns, known.mode(self._tags[id_].data_type))
        part = self._made(id_, points, known)
        found = part.batch
        if known.shares and least != LEAST:
            good, bad = [
                (await self._figures(id_, *within, interval_ns, each)).value for each in known.shares
            ]
            found = replace(found, quality=judged(found.quality, good, bad, least))
        if known.partial:
            partial = await self._partial(id_, *within, interval_ns)
            marked = np.where(partial & (found.quality >> 31 == 0), np.uint32(PARTIAL), np.uint32(0))
            found = replace(found, quality=found.quality | marked)
        if span.backward:
            found = found.take(np.arange(len(found))[::-1])
        next_ns = span.start_ns - reach_ns if span.backward else span.start_ns + reach_ns
        go_on = None if reach_ns == long_ns else _PLACE.pack(next_ns, span.end_ns, 0, span.backward, 0)
        return replace(part, batch=found, place=go_on)

    async def _partial(self, id_: int, start_ns: int, end_ns: int, interval_ns: int) -> NDArray[np.bool_]:
        """Tell which intervals are cut off by their end, by now or by the tag's first sample.

        Source: OPC 10000-13, 5.3.3.2 Partial Information bit.
        """
        starts = np.arange(start_ns, end_ns, interval_ns, dtype=np.int64)
        now_ns = self._port.clock.now_ns()
        found = starts + interval_ns > min(end_ns, now_ns)
        if await self._bound(id_, start_ns, before=True) is None:
            first = await self._forward(id_, start_ns, min(end_ns, now_ns), 1)
            if len(first):
                first_ns = int(first.source_ns[0])
                found |= (starts < first_ns) & (first_ns < starts + interval_ns)
        return found

    async def _at(self, id_: int, details: Any, most: int) -> _Part:
        times = [instant(each) for each in details.ReqTimes or []]
        if not times:
            raise _Refused(_CODES.BadInvalidArgument)
        if len(times) > min(MAX_TIMES, most):  # each is a question of its own to the historian
            raise _Refused(_CODES.BadTooManyOperations)
        if self._tags[id_].data_type not in (DataType.REAL, DataType.LREAL):
            return await self._held(id_, times)
        points = [await self._figures(id_, at, at + 1, 1, "between") for at in times]
        found = Batch.joined([self._made(id_, each, INTERPOLATIVE).batch for each in points])
        return _Part(replace(found, ids=_ids(id_).repeat(len(times))), self._wire)

    async def _figures(
        self, id_: int, start_ns: int, end_ns: int, interval_ns: int, mode: str
    ) -> HistoryPoints:
        found = await self._port.figures(_ids(id_), start_ns, end_ns, interval_ns, mode)
        if id_ not in found:  # a tag that came just now
            raise _Refused(_CODES.BadNoData)
        return found[id_]

    async def _held(self, id_: int, times: list[int]) -> _Part:
        """Return what a tag that moves in steps was at some times."""
        pieces, missing, now_ns = [], {}, self._port.clock.now_ns()
        for row, at_ns in enumerate(times):
            # nothing is known of times to come
            bound = await self._bound(id_, at_ns, before=True) if at_ns <= now_ns else None
            if bound is None:
                missing[row] = _absent(at_ns, _CODES.BadNoData)
            pieces.append(bound or _placeholder(id_))
        found, wanted = Batch.joined(pieces), np.array(times, np.int64)
        apart = (found.source_ns != wanted) & (found.quality >> 31 == 0)
        quality = found.quality | np.where(apart, np.uint32(INTERPOLATED), np.uint32(0))
        return _Part(replace(found, source_ns=wanted, quality=quality), self._wire, missing)

    def _made(self, id_: int, points: HistoryPoints, aggregate: Aggregate) -> _Part:
        """Return values of an aggregate as samples; those of another type than the tag's have the id 0."""
        raw, quality = aggregate.encode(self._tags[id_].data_type, points.value, points.quality)
        ids = np.full(len(points.t), id_ if aggregate.wire is None else 0, np.int32)
        return _Part(Batch(ids, raw, quality, points.t), aggregate.wire or self._wire)


@dataclass(frozen=True, slots=True)
class _Span:
    """What is read: from start on, that included, to end, that not; `ends` where the client named an end.

    `last_ns` is the end of what has no bound there, 0 where it has one or none is wanted.
    """

    start_ns: int
    end_ns: int
    ends: bool
    backward: bool
    skip: int = 0
    last_ns: int = 0

    def beyond(self, found: Batch) -> int:
        """Return the time of a bound that is missing where no end is named: a second further."""
        last_ns = int(found.source_ns[-1]) if len(found) else self.start_ns
        return last_ns - SECOND_NS if self.backward else last_ns + SECOND_NS

    def behind(self, found: Batch) -> bytes:
        """Return where it goes on behind these samples."""
        last_ns = int(found.source_ns[-1]) if len(found) else self.start_ns
        given = int(np.count_nonzero(found.source_ns == last_ns)) + (
            self.skip if last_ns == self.start_ns else 0
        )
        return _PLACE.pack(last_ns, self.end_ns, given, self.backward, self.last_ns)


def _least(how: Any) -> tuple[int, int]:
    """Return how many per cent of good and of bad data a client says that make an interval good, and bad.

    Raises:
        _Refused: that cannot be, or it wants what is not done here.
    """
    if how.UseServerCapabilitiesDefaults:
        return LEAST
    good, bad = how.PercentDataGood, how.PercentDataBad
    if max(good, bad) > 100 or good < 100 - bad:
        raise _Refused(_CODES.BadAggregateInvalidInputs)
    if how.TreatUncertainAsBad or how.UseSlopedExtrapolation:
        raise _Refused(_CODES.BadAggregateConfigurationRejected)
    return good, bad


def _span(details: Any, place: bytes | None) -> _Span:
    """Return what a client asks for, or what is left of it.

    Raises:
        _Refused: it says too little.
    """
    if place is not None:
        start_ns, end_ns, skip, backward, last_ns = _PLACE.unpack(place)
        return _Span(start_ns, end_ns, True, bool(backward), skip, last_ns)
    start_ns, end_ns = instant(details.StartTime), instant(details.EndTime)
    count = getattr(details, "NumValuesPerNode", 0)
    if start_ns and end_ns:
        return _Span(start_ns, end_ns, True, start_ns > end_ns)
    if not (start_ns or end_ns) or not count:
        raise _Refused(_CODES.BadHistoryOperationInvalid)
    if start_ns:
        return _Span(start_ns, FOREVER_NS, False, False)
    return _Span(end_ns, 0, False, True)


def _result(part: _Part, stamps: int, point: bytes | None) -> Any:
    found = part.batch
    samples = Samples(found.ids, found.raw, found.quality, found.source_ns, found.source_ns, found.text)
    body = _COUNT.pack(len(found)) + part.wire.encode(samples, stamps, others=part.missing)
    return ua.HistoryReadResult(
        StatusCode=ua.StatusCode(_CODES.Good if len(found) else _CODES.GoodNoData),
        ContinuationPoint=point,
        HistoryData=ua.ExtensionObject(TypeId=_DATA, Body=body),
    )


def _placeholder(id_: int) -> Batch:
    return Batch.of([id_], [0], 0)


def _not_found(at_ns: int) -> bytes:
    return _absent(at_ns, _CODES.BadBoundNotFound)


def _absent(at_ns: int, code: int) -> bytes:
    data: bytes = struct_to_binary(ua.DataValue(None, ua.StatusCode(code), moment(at_ns)))
    return data


def _ids(id_: int) -> NDArray[np.int32]:
    return np.array([id_], np.int32)
