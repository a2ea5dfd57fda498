"""Values on their way to a server: the newest per tag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivers.frame.ranges import held
from drivers.opcua.client.address import Point
from runtime.contract import Batch, Quality, Value


@dataclass(frozen=True, slots=True)
class Output:
    """A value that a point is to have."""

    point: Point
    value: Value


class Outputs:
    """All that a client writes to its server; values that are not good are never written."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.ids = np.array(sorted(point.tag.id for point in points), np.int32)
        self._points = {point.tag.id: point for point in points}
        self._wanted: dict[int, Value] = {}
        self._pending: dict[int, None] = {}
        self._deferred: set[int] = set()
        self._held: set[int] = set()
        self._newly_held: list[Point] = []

    @property
    def points(self) -> list[Point]:
        return list(self._points.values())

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    def take(self, batch: Batch) -> None:
        """Take in the newest values."""
        for each in batch:
            point = self._points.get(each.id)
            if point is None:
                continue
            self._deferred.discard(each.id)
            if Quality.is_good(each.quality):
                value = point.tag.data_type.decode(each.raw, each.text)
                self._wanted[each.id] = held(point.tag, value)
                self._note(point, self._wanted[each.id] != value and value == value)
                self._pending[each.id] = None
            else:
                self._wanted.pop(each.id, None)
                self._pending.pop(each.id, None)

    def _note(self, point: Point, is_held: bool) -> None:
        if is_held and point.tag.id not in self._held:
            self._newly_held.append(point)
        (self._held.add if is_held else self._held.discard)(point.tag.id)

    def newly_held(self) -> list[Point]:
        """Return the points whose values have begun to be held at a limit since it was asked."""
        found, self._newly_held = self._newly_held, []
        return found

    def next(self, most: int) -> list[Output]:
        """Return what waits, at most so many; it waits no more."""
        ids = list(self._pending)[:most]
        for id_ in ids:
            del self._pending[id_]
        return [Output(self._points[id_], self._wanted[id_]) for id_ in ids]

    def is_settled(self, id_: int) -> bool:
        """Tell whether a tag has a good value, and nothing newer of it waits."""
        return id_ in self._wanted and id_ not in self._pending and id_ not in self._deferred

    def defer(self, output: Output) -> None:
        """Keep it for `retry`, unless something newer comes."""
        id_ = output.point.tag.id
        if id_ in self._wanted and id_ not in self._pending:
            self._deferred.add(id_)

    def retry(self) -> bool:
        """Make what was deferred pending; return whether there was anything."""
        self._pending.update(dict.fromkeys(self._deferred))
        found = bool(self._deferred)
        self._deferred.clear()
        return found

    def all_again(self) -> None:
        """Write every good value again: the server may have forgotten them."""
        self._pending = dict.fromkeys(self._wanted)
        self._deferred.clear()
