"""What nodes say, as values of this plant's tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from drivers.sparkplug.datatypes import NAMES, UnfitError, status_of, value_of
from drivers.sparkplug.host.address import Address, NodeId, Point
from drivers.sparkplug.host.nodes import Born, Died, Told, What
from drivers.sparkplug.payload import Metric
from runtime.contract import Batch, Event, Port, Quality

MS_NS = 1_000_000
_LATEST_MS = 1 << 42  # a time beyond 2109 is no time
MANY = range(16, 35)  # DataSet, Bytes, File, Template, arrays. Source: Sparkplug 3.0.0, 6.4.16
Row = tuple[int, int, int, int, str | None]  # id, raw, quality, source time in ns, text


class Values:
    """The tags of a host, by address; tells present values, and returns those of the past."""

    def __init__(self, name: str, points: Sequence[Point], port: Port) -> None:
        self._name = name
        self._port = port
        self._points: dict[Address, Point] = {point.address: point for point in points}
        self._of_node: dict[NodeId, list[Point]] = {}
        for point in points:
            self._of_node.setdefault(point.address.node, []).append(point)
        self._refused: set[Address] = set()
        self._said: dict[int, tuple[int, str | None]] = {}  # in the message that is taken in, by tag

    @property
    def refused(self) -> int:
        """Return how many tags have no metric that they could be."""
        return len(self._refused)

    @property
    def nodes(self) -> list[NodeId]:
        return list(self._of_node)

    def take(self, node: NodeId, said: Iterable[What]) -> Batch | None:
        """Submit what a message says, in order; return what is of the past."""
        now: list[Row] = []
        past: list[Row] = []
        self._said.clear()
        for what in said:
            if isinstance(what, Told):
                point = self._points.get(Address(node, what.device, what.name))
                if point is not None:
                    (past if what.metric.is_historical else now).append(self._row(point, what))
            elif isinstance(what, Died):
                now += self._gone(node, what)
            else:
                now += self._missing(node, what)
        if now:
            self._port.submit(_batch(now))
        return _batch(past) if past else None

    def lose(self) -> None:
        """Mark everything: the broker is lost."""
        for node in self._of_node:
            self.take(node, [Died("")])

    def _row(self, point: Point, told: Told) -> Row:
        tag, metric = point.tag, told.metric
        at_ms = metric.timestamp_ms if metric.timestamp_ms is not None else told.payload_ms
        known = at_ms is not None and 0 < at_ms < _LATEST_MS
        at_ns = at_ms * MS_NS if at_ms is not None and known else self._port.clock.now_ns()
        quality = _quality(metric)
        raw, text = self._last(point)
        if metric.value is None and not metric.is_null and (told.datatype or 0) in MANY:
            quality = Quality.BAD_CONFIGURATION_ERROR
            what = "is many values or bytes, which no tag can be"
            self._refuse("driver.type_differs", point, f"{_type_name(told.datatype)} {what}")
        elif metric.is_null or metric.value is None:
            quality = quality if Quality.is_bad(quality) else Quality.BAD
        else:
            try:
                value = value_of(tag.data_type, told.datatype, metric.value)
                raw, text = tag.data_type.encode(value), value if isinstance(value, str) else None
                self._refused.discard(point.address)
                if not metric.is_historical:
                    self._said[tag.id] = raw, text
            except UnfitError as exc:
                quality = Quality.BAD_CONFIGURATION_ERROR
                self._refuse("driver.type_differs", point, f"{_type_name(told.datatype)}: {exc}")
        return tag.id, raw, quality, at_ns, text

    def _gone(self, node: NodeId, died: Died) -> list[Row]:
        known = died.at_ms is not None and 0 < died.at_ms < _LATEST_MS
        at_ns = died.at_ms * MS_NS if died.at_ms is not None and known else self._port.clock.now_ns()
        mine = [each for each in self._of_node[node] if not died.device or each.address.device == died.device]
        return [self._marked(each, Quality.BAD_NO_COMMUNICATION, at_ns) for each in mine]

    def _missing(self, node: NodeId, born: Born) -> list[Row]:
        """Return the rows of tags whose metrics a birth does not have."""
        out = []
        for point in self._of_node[node]:
            if point.address.device == born.device and point.address.metric not in born.names:
                self._refuse("driver.address_refused", point, "the birth has no such metric")
                out.append(self._marked(point, Quality.BAD_CONFIGURATION_ERROR, self._port.clock.now_ns()))
        return out

    def _marked(self, point: Point, quality: Quality, at_ns: int) -> Row:
        raw, text = self._last(point)
        return point.tag.id, raw, quality, at_ns, text

    def _last(self, point: Point) -> tuple[int, str | None]:
        if point.tag.id in self._said:
            return self._said[point.tag.id]
        present = self._port.tags.snapshot(np.array([point.tag.id], np.int32))
        return int(present.raw[0]), present.text.get(0)

    def _refuse(self, kind: str, point: Point, why: str) -> None:
        if point.address in self._refused:
            return
        self._refused.add(point.address)
        text = f"{self._name}: {point.tag.path} ({point.tag.address}): {why}"
        self._port.emit(Event(kind, self._name, self._port.clock.now_ns(), text))


def _quality(metric: Metric) -> Quality:
    told = metric.properties.get("Quality")
    if told is None or told.value is None or not isinstance(told.value.content, int):
        return Quality.GOOD
    return status_of(told.value.content)


def _type_name(datatype: int | None) -> str:
    return NAMES[datatype] if datatype is not None and datatype < len(NAMES) else str(datatype)


def _batch(rows: Sequence[Row]) -> Batch:
    ids, raw, quality, at_ns, texts = zip(*rows, strict=True)
    text: Mapping[int, str] = {row: word for row, word in enumerate(texts) if word is not None}
    return Batch.of(ids, raw, np.array(at_ns, np.int64), np.array(quality, np.uint32), text)
