"""Values on their way to a device: the newest per tag, joined into few requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from drivers.frame.plan import Span, coalesce
from drivers.modbus.address import Point
from drivers.modbus.codec import Codec, pack_bits
from drivers.modbus.messages import Request
from runtime.contract import Batch


@dataclass(frozen=True, slots=True)
class Write:
    """A request and the tags that it carries."""

    request: Request
    area: Area
    rows: NDArray[np.intp]

    @property
    def paths(self) -> list[str]:
        return [self.area.points[row].tag.path for row in self.rows.tolist()]

    def defer(self) -> None:
        """Keep it for `Outputs.retry`, unless something newer comes."""
        self.area.deferred[self.rows] = True


class Area:
    """The written points of one table of one unit, and the image of their places.

    Attributes:
        wanted: rows that have a good value.
        pending: rows that wait to be written.
        deferred: rows that wait for a later attempt.
    """

    def __init__(self, points: Sequence[Point], tag_count: int) -> None:
        self.points = tuple(sorted(points, key=lambda point: point.address.start))
        first = self.points[0].address
        self.unit, self.table, self._base = first.unit, first.table, first.start
        n = len(self.points)
        self._start = np.array([point.address.start for point in self.points], np.intp)
        self._count = np.array([point.address.count for point in self.points], np.intp)
        self._is_bit = np.array([point.address.is_register_bit for point in self.points], np.bool_)
        places = int((self._start + self._count).max()) - self._base
        self._image = np.zeros(places if self.table.is_bits else 2 * places, np.uint8)
        self._codec = Codec(self.points, self._base)
        self._raw = np.zeros(n, np.uint64)
        self._text: dict[int, str] = {}
        self._row_of = np.full(tag_count, -1, np.intp)
        self._row_of[[point.tag.id for point in self.points]] = np.arange(n)
        self.wanted = np.zeros(n, np.bool_)
        self.pending = np.zeros(n, np.bool_)
        self.deferred = np.zeros(n, np.bool_)

    def take(self, batch: Batch) -> None:
        """Take in the newest values; a value that is not good is not to be written."""
        at = self._row_of[batch.ids]
        here = at >= 0
        rows, good = at[here], batch.quality[here] >> 30 == 0
        self._raw[rows] = batch.raw[here]
        self.wanted[rows] = good
        self.pending[rows] = good
        self.deferred[rows] = False
        for row, text in batch.text.items():
            if here[row]:
                self._text[int(at[row])] = text

    def bit_reads(self) -> Iterator[Request]:
        """Yield reads of the registers in which single bits are to change."""
        for run in self._runs(self.pending & self._is_bit, self.table.max_read):
            yield Request(self.unit, self.table, run[0].start, _places(run))

    def fill(self, request: Request, data: bytes) -> None:
        """Put what a read brought into the image."""
        first = 2 * (request.start - self._base)
        self._image[first : first + len(data)] = np.frombuffer(data, np.uint8)

    def put_off_bits(self, request: Request) -> None:
        """Defer the bits of registers that could not be read."""
        inside = (self._start >= request.start) & (self._start < request.start + request.count)
        bits = self.pending & self._is_bit & inside
        self.pending &= ~bits
        self.deferred |= bits

    def writes(self) -> tuple[list[Write], list[Point]]:
        """Encode what is pending; return the requests, and the points whose values do not fit."""
        chosen = self.pending.copy()
        self.pending[:] = False
        unfit = self._codec.encode(self._image, self._raw, chosen, self._text)
        self.wanted &= ~unfit
        writes = []
        for run in self._runs(chosen & ~unfit, self.table.max_write):
            start, count = run[0].start, _places(run)
            rows = np.array([span.index for span in run], np.intp)
            writes.append(
                Write(Request(self.unit, self.table, start, count, self._data(start, count)), self, rows)
            )
        return writes, [self.points[row] for row in np.flatnonzero(unfit).tolist()]

    def _runs(self, chosen: NDArray[np.bool_], max_count: int) -> Iterator[list[Span]]:
        rows = np.flatnonzero(chosen).tolist()
        spans = [Span(int(self._start[row]), int(self._count[row]), row) for row in rows]
        return coalesce(spans, max_count, 0)

    def _data(self, start: int, count: int) -> bytes:
        first = start - self._base
        if self.table.is_bits:
            return pack_bits(self._image[first : first + count])
        return self._image[2 * first : 2 * (first + count)].tobytes()


def _places(run: Sequence[Span]) -> int:
    return max(span.end for span in run) - run[0].start


class Outputs:
    """All that a client writes to its device."""

    def __init__(self, points: Sequence[Point], tag_count: int) -> None:
        def place(point: Point) -> tuple[int, int]:
            return point.address.unit, point.address.table.digit

        self.areas = [Area(list(each), tag_count) for _, each in groupby(sorted(points, key=place), place)]
        self.ids = np.array(sorted(point.tag.id for point in points), np.int32)

    def take(self, batch: Batch) -> None:
        """Take in the newest values."""
        for area in self.areas:
            area.take(batch)

    @property
    def pending(self) -> list[Area]:
        """Return the areas that have something to write."""
        return [area for area in self.areas if area.pending.any()]

    def all_again(self) -> None:
        """Write every good value again: the device may have forgotten them."""
        for area in self.areas:
            area.pending = area.wanted.copy()
            area.deferred[:] = False

    def retry(self) -> bool:
        """Make what was deferred pending; return whether there was anything."""
        found = False
        for area in self.areas:
            if area.deferred.any():
                found = True
                area.pending |= area.deferred
                area.deferred[:] = False
        return found
