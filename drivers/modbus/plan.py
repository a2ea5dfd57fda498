"""Blocks that a client reads with one request, and what they said last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from drivers.frame import polling
from drivers.frame.deadband import bands_of
from drivers.frame.held import Together
from drivers.frame.plan import Span, coalesce
from drivers.modbus.address import Point, Table
from drivers.modbus.codec import Codec, unpack_bits
from drivers.modbus.messages import Request


def blocks_of(
    points: Sequence[Point],
    max_gap: int | None,
    max_block: int = Table.HOLDING_REGISTER.max_read,
    deadband: tuple[float, bool] = (0.0, False),
) -> Iterator[Block]:
    """Join points into blocks of one unit and table; gap and block are in registers (16 coils count as one).

    Without a gap nothing is joined but what lies in the very same place. A value longer than a block is read
    by itself. `deadband` is as `drivers.frame.deadband` has it.
    """

    def place(point: Point) -> tuple[int, int]:
        return point.address.unit, point.address.table.digit

    for _, together in groupby(sorted(points, key=place), place):
        chosen = list(together)
        table = chosen[0].address.table
        spans = [Span(point.address.start, point.address.count, row) for row, point in enumerate(chosen)]
        if max_gap is None:
            alone = groupby(sorted(spans, key=_extent), _extent)
            runs: Iterator[list[Span]] = (list(each) for _, each in alone)
        else:
            size = 16 if table.is_bits else 1
            runs = coalesce(spans, min(table.max_read, max_block * size), max_gap * size)
        for run in runs:
            yield Block([chosen[span.index] for span in run], deadband)


def _extent(span: Span) -> tuple[int, int]:
    return span.start, span.count


class Block(polling.Block):
    """Points that one read brings, in order of their address."""

    def __init__(self, points: Sequence[Point], deadband: tuple[float, bool] = (0.0, False)) -> None:
        first = points[0].address
        tags = [point.tag for point in points]
        bands = bands_of(tags, deadband) if deadband[0] else None
        super().__init__([tag.id for tag in tags], Codec(points, first.start), bands)
        self._deadband = deadband
        self.points: tuple[Point, ...] = tuple(points)
        self.unit: int = first.unit
        self.table: Table = first.table
        self.start = first.start
        self.count = max(point.address.start + point.address.count for point in points) - self.start
        self.request = Request(self.unit, self.table, self.start, self.count)

    def __str__(self) -> str:
        first = self.table.digit * 100_000 + self.start + 1
        return f"{self.unit}!{first:06d}" + (f"..{first + self.count - 1:06d}" if self.count > 1 else "")

    @property
    def place(self) -> tuple[int, Table]:
        return self.unit, self.table

    @property
    def probe(self) -> Request:
        """Return the smallest read of it: any answer tells that the unit is there."""
        return Request(self.unit, self.table, self.start, 1)

    def payload(self, data: bytes) -> bytes:
        return unpack_bits(data, self.count).tobytes() if self.table.is_bits else data

    def of(self, points: Sequence[Point]) -> Block:
        return Block(points, self._deadband)


def together(blocks: Sequence[Block]) -> Together:
    """Return blocks as one that is decoded at once."""
    sizes = [block.count * block.table.place_size for block in blocks]
    starts = [
        sum(sizes[:at]) + (point.address.start - block.start) * block.table.place_size
        for at, block in enumerate(blocks)
        for point in block.points
    ]
    points = [point for block in blocks for point in block.points]
    return Together(blocks, sizes, Codec(points, starts=starts))
