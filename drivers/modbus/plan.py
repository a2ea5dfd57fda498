"""Blocks that a client reads with one request, and what they said last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from drivers.frame.connection import Backoff
from drivers.frame.plan import Span, coalesce
from drivers.modbus.address import Point, Table
from drivers.modbus.codec import Codec, unpack_bits
from drivers.modbus.messages import Request
from runtime.contract import NO_TEXT, Batch, Quality

RETEST_S = 30.0


def blocks_of(points: Sequence[Point], max_gap: int) -> Iterator[Block]:
    """Join points into blocks of one unit and table; `max_gap` is in registers (16 coils count as one)."""

    def place(point: Point) -> tuple[int, int]:
        return point.address.unit, point.address.table.digit

    for _, together in groupby(sorted(points, key=place), place):
        chosen = list(together)
        table = chosen[0].address.table
        spans = [Span(point.address.start, point.address.count, row) for row, point in enumerate(chosen)]
        gap = max_gap * 16 if table.is_bits else max_gap
        for run in coalesce(spans, table.max_read, gap):
            yield Block([chosen[span.index] for span in run])


class Block:
    """Points that one read brings, in order of their address.

    Attributes:
        failures: reads in a row that brought nothing.
        retest_ns: time before which a failed block is left alone.
        rejected: the device refuses the address; retested slowly.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        first = points[0].address
        self.unit: int = first.unit
        self.table: Table = first.table
        self.start = first.start
        self.count = max(point.address.start + point.address.count for point in points) - self.start
        self.failures = 0
        self.retest_ns = 0
        self.rejected = False
        self._backoff = Backoff()
        self._codec = Codec(points, self.start)
        self._ids: NDArray[np.int32] = np.array([point.tag.id for point in points], np.int32)
        self._raw: NDArray[np.uint64] = np.zeros(len(points), np.uint64)
        self._quality: NDArray[np.uint32] = np.full(
            len(points), Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32
        )
        self._text: Mapping[int, str] = NO_TEXT
        self._seen = False

    def __str__(self) -> str:
        first = self.table.digit * 100_000 + self.start + 1
        return f"{self.unit}!{first:06d}" + (f"..{first + self.count - 1:06d}" if self.count > 1 else "")

    @property
    def request(self) -> Request:
        return Request(self.unit, self.table, self.start, self.count)

    def is_due(self, now_ns: int) -> bool:
        """Tell whether it is to be read in this scan; blocks that failed wait longer."""
        waits = 0 < self.retest_ns - now_ns <= RETEST_S * 1e9  # longer: the clock was set back
        return (self.failures < 2 and not self.rejected) or not waits

    def take(self, data: bytes, now_ns: int) -> Batch | None:
        """Decode a reply and return what changed."""
        self.failures, self.rejected, self._seen = 0, False, True
        self._backoff.reset()
        payload = unpack_bits(data, self.count) if self.table.is_bits else np.frombuffer(data, np.uint8)
        values = self._codec.decode(payload)
        changed = (values.raw != self._raw) | (values.quality != self._quality)
        for row, text in values.text.items():
            changed[row] |= text != self._text.get(row)
        self._raw, self._quality, self._text = values.raw, values.quality, values.text
        return self._changed(changed, now_ns)

    def fail(self, now_ns: int) -> Batch | None:
        """Count a read without an answer: uncertain once, bad from the second on; return what changed."""
        self.failures += 1
        if self.failures > 1:
            self.retest_ns = now_ns + round(self._backoff.next_s() * 1e9)
        if self.rejected:
            return None
        return self.hold(now_ns) if self.failures == 1 else self.degrade(Quality.BAD_NO_COMMUNICATION, now_ns)

    def hold(self, now_ns: int) -> Batch | None:
        """Keep the last values as uncertain; return what changed."""
        known = Quality.UNCERTAIN_LAST_USABLE_VALUE
        return self.degrade(known if self._seen else Quality.BAD_NO_COMMUNICATION, now_ns)

    def reject(self, now_ns: int) -> Batch | None:
        """Take in that the device knows no such address; return what changed."""
        self.failures, self.rejected = 0, True
        self.retest_ns = now_ns + round(RETEST_S * 1e9)
        return self.degrade(Quality.BAD_CONFIGURATION_ERROR, now_ns)

    def degrade(self, quality: Quality, now_ns: int) -> Batch | None:
        """Give every point a quality, keep the values; return what changed."""
        changed = self._quality != quality
        self._quality = np.full(len(self._ids), quality, np.uint32)
        return self._changed(changed, now_ns)

    def split(self) -> tuple[Block, Block] | None:
        """Return two blocks that share the points between places; None where that cannot be."""
        starts = [point.address.start for point in self.points]
        middle = len(starts) // 2
        cuts = [row for row in range(1, len(starts)) if starts[row] != starts[row - 1]]
        if not cuts:
            return None
        cut = min(cuts, key=lambda row: abs(row - middle))
        return self._part(0, cut), self._part(cut, len(starts))

    def _part(self, first: int, end: int) -> Block:
        part = Block(self.points[first:end])
        part._raw, part._quality = self._raw[first:end], self._quality[first:end]
        part._text = {row - first: text for row, text in self._text.items() if first <= row < end}
        part._seen = self._seen
        return part

    def _changed(self, changed: NDArray[np.bool_], now_ns: int) -> Batch | None:
        if not changed.any():
            return None
        batch = Batch.of(self._ids, self._raw, now_ns, self._quality, self._text)
        return batch if changed.all() else batch.take(changed)
