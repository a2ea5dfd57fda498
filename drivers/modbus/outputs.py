"""Values on their way to a device: neighbours joined into few requests, bits put into their registers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from drivers.frame import outputs
from drivers.frame.outputs import Image, Outgoing
from drivers.frame.plan import Span, coalesce
from drivers.modbus.address import Point
from drivers.modbus.codec import Codec, bit_mask, pack_bits, unpack_bits
from drivers.modbus.messages import Request


class Write(Outgoing[Request]):
    """A request and the tags that it carries."""

    place: Request
    image: Area

    @property
    def request(self) -> Request:
        return self.requests[0]


class Area(Image[Point]):
    """The written points of one table of one unit.

    Attributes:
        masks: the device changes bits of registers by itself, function 22.
    """

    def __init__(self, points: Sequence[Point], tag_count: int, single: bool = False) -> None:
        ordered = sorted(points, key=lambda point: point.address.start)
        first = ordered[0].address
        self.unit, self.table, self._base = first.unit, first.table, first.start
        self._max_write = 1 if single else self.table.max_write
        self._start = np.array([point.address.start for point in ordered], np.intp)
        self._count = np.array([point.address.count for point in ordered], np.intp)
        self._is_bit = np.array([point.address.is_register_bit for point in ordered], np.bool_)
        places = int((self._start + self._count).max()) - self._base
        size = places * self.table.place_size
        self.masks = False
        self._codec = Codec(ordered, self._base)
        super().__init__(ordered, tag_count, self._codec, size)

    def bit_reads(self) -> Iterator[Request]:
        """Yield reads of the registers in which single bits are to change."""
        if self.masks:
            return
        for run in self._runs(self.pending & self._is_bit, self.table.max_read):
            yield Request(self.unit, self.table, run[0].start, _places(run))

    def fill(self, request: Request, data: bytes) -> None:
        """Put what a read brought into the image."""
        first = 2 * (request.start - self._base)
        self.bytes[first : first + len(data)] = np.frombuffer(data, np.uint8)

    def put_off_bits(self, request: Request) -> None:
        """Defer the bits of registers that could not be read."""
        inside = (self._start >= request.start) & (self._start < request.start + request.count)
        bits = self.pending & self._is_bit & inside
        self.pending &= ~bits
        self.deferred |= bits

    def writes(self) -> tuple[list[Write], list[Point]]:
        """Encode what is pending; return the requests, and the points whose values do not fit."""
        chosen, unfit = self.encode()
        masked = chosen & self._is_bit & self.masks
        chosen &= ~masked
        runs = [*self._runs(chosen & ~self.alone, self._max_write)]
        runs += [[span] for span in self._spans(chosen & self.alone)]
        writes = []
        for run in runs:
            start, count = run[0].start, _places(run)
            place = Request(self.unit, self.table, start, count)
            request = Request(self.unit, self.table, start, count, self._data(start, count))
            writes.append(Write(place, (request,), self, np.array([span.index for span in run], np.intp)))
        return writes + list(self._masked(masked)), unfit

    def kept(self, write: Write, data: bytes) -> tuple[list[Point], list[Point]]:
        """Return whose values the device keeps as written, by what was read back, and whose it does not."""
        place, decode = write.request, self._codec.decode
        size = self.table.place_size
        first = (place.start - self._base) * size
        found = self.bytes.copy()
        read = unpack_bits(data, place.count) if self.table.is_bits else np.frombuffer(data, np.uint8)
        found[first : first + len(read)] = read
        there = decode(found)
        same = np.where(self._is_bit, self.raw == there.raw, decode(self.bytes).same(there))
        return self.judged(write.rows, same)

    def _masked(self, chosen: NDArray[np.bool_]) -> Iterator[Write]:
        """Yield a write of each register in which bits are to change."""
        for start, each in groupby(np.flatnonzero(chosen).tolist(), lambda row: int(self._start[row])):
            rows = list(each)
            masks = {row: bit_mask(self.points[row].address) for row in rows}
            keep = 0xFFFF & ~sum(masks.values())
            put = sum(mask for row, mask in masks.items() if self.raw[row])
            place = Request(self.unit, self.table, start, 1)
            request = Request(self.unit, self.table, start, 1, put.to_bytes(2, "big"), keep)
            yield Write(place, (request,), self, np.array(rows, np.intp))

    def _spans(self, chosen: NDArray[np.bool_]) -> list[Span]:
        rows = np.flatnonzero(chosen).tolist()
        return [Span(int(self._start[row]), int(self._count[row]), row) for row in rows]

    def _runs(self, chosen: NDArray[np.bool_], max_count: int) -> Iterator[list[Span]]:
        return coalesce(self._spans(chosen), max_count, 0)

    def _data(self, start: int, count: int) -> bytes:
        size = self.table.place_size
        data = self.bytes[(start - self._base) * size : (start - self._base + count) * size]
        return pack_bits(data) if self.table.is_bits else data.tobytes()


def _places(run: Sequence[Span]) -> int:
    return max(span.end for span in run) - run[0].start


class Outputs(outputs.Outputs[Area]):
    """All that a client writes to its device; `single` joins no neighbours."""

    def __init__(self, points: Sequence[Point], tag_count: int, single: bool = False) -> None:
        def place(point: Point) -> tuple[int, int]:
            return point.address.unit, point.address.table.digit

        together = groupby(sorted(points, key=place), place)
        super().__init__([Area(list(each), tag_count, single) for _, each in together])
