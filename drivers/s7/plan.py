"""Blocks that a client reads as one item, several items a request, and what they said last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, takewhile
from typing import Protocol, TypeVar

from drivers.frame import polling
from drivers.frame.deadband import bands_of
from drivers.frame.plan import Span, coalesce
from drivers.s7.address import Area, Point
from drivers.s7.codec import Codec
from drivers.s7.messages import MAX_ITEMS, Item, Read
from drivers.s7.pdu import READ_HEAD, READ_ITEM, REPLY_HEAD, REPLY_ITEM, max_read

LEAST_PDU = 240  # of S7-300 and S7-1200; until a CPU grants more


@dataclass(frozen=True, slots=True)
class Rules:
    """How points are joined and told.

    Attributes:
        max_gap: the greatest number of unused bytes read along; -1 joins nothing but bits of one byte.
        encoding: of STRING and CHAR.
        deadband: as `drivers.frame.deadband` has it.
    """

    max_gap: int = 32
    encoding: str = "latin-1"
    deadband: tuple[float, bool] = (0.0, False)


def _memory(point: Point) -> tuple[int, int]:
    return point.address.area.code, point.address.db


def blocks_of(points: Sequence[Point], rules: Rules, pdu: int = LEAST_PDU) -> list[Block]:
    """Join points into blocks of one memory, each read as one item of a message of `pdu` bytes.

    A value longer than a message is a block of its own.
    """
    blocks: list[Block] = []
    for _, together in groupby(sorted(points, key=_memory), _memory):
        chosen = list(together)
        size = chosen[0].address.area.place_size
        spans = [Span(point.address.start, point.address.count, row) for row, point in enumerate(chosen)]
        runs = coalesce(spans, max_read(pdu) // size, rules.max_gap // size)
        blocks += [Block([chosen[span.index] for span in run], rules) for run in runs]
    return blocks


def planned_again(blocks: Sequence[Block], rules: Rules, pdu: int) -> list[Block]:
    """Return blocks for another length of messages, which hold what these held."""
    was = {point.tag.id: (block, row) for block in blocks for row, point in enumerate(block.points)}
    again = blocks_of([point for block in blocks for point in block.points], rules, pdu)
    for block in again:
        places = [was[point.tag.id] for point in block.points]
        block.inherit([(old, slice(row, row + 1)) for old, row in places])
        block.failures = max(old.failures for old, _ in places)
    return again


class Block(polling.Block):
    """Points that one item brings, in order of their address."""

    def __init__(self, points: Sequence[Point], rules: Rules) -> None:
        tags = [point.tag for point in points]
        bands = bands_of(tags, rules.deadband) if rules.deadband[0] else None
        first = points[0].address
        codec = Codec(points, first.start, rules.encoding)
        super().__init__([tag.id for tag in tags], codec, bands)
        self.points: tuple[Point, ...] = tuple(points)
        end = max(point.address.start + point.address.count for point in points)
        self.memory: tuple[Area, int] = (first.area, first.db)
        self.item = Item(first.area, first.db, first.start, end - first.start)
        self._rules = rules

    def __str__(self) -> str:
        return str(self.item)

    def of(self, points: Sequence[Point]) -> Block:
        return Block(points, self._rules)


def pieces(item: Item, most: int) -> Iterator[Item]:
    """Yield an item in pieces of at most `most` bytes."""
    places = most // item.area.place_size
    for first in range(0, item.count, places):
        yield Item(item.area, item.db, item.start + first, min(places, item.count - first))


def packed(items: Iterable[Item], pdu: int, most: int = MAX_ITEMS) -> Iterator[Read]:
    """Yield requests that bring the items in order, at most `most` and within `pdu` bytes both ways."""
    chosen: list[Item] = []
    asked, answered = READ_HEAD, REPLY_HEAD
    for item in items:
        size = REPLY_ITEM + item.size + item.size % 2
        full = asked + READ_ITEM > pdu or answered + size > pdu or len(chosen) == most
        if chosen and full:
            yield Read(tuple(chosen))
            chosen, asked, answered = [], READ_HEAD, REPLY_HEAD
        chosen.append(item)
        asked += READ_ITEM
        answered += size
    if chosen:
        yield Read(tuple(chosen))


class Wanted(Protocol):
    """What one item brings."""

    @property
    def item(self) -> Item: ...


W = TypeVar("W", bound=Wanted)


def taken(todo: deque[W], pdu: int, depth: int, most_items: int = MAX_ITEMS) -> tuple[list[W], list[Read]]:
    """Take from the front what `depth` requests bring; or one that needs several, alone."""
    most = max_read(pdu)
    if todo[0].item.size > most:
        first = todo.popleft()
        return [first], [Read((piece,)) for piece in pieces(first.item, most)]
    items = (each.item for each in takewhile(lambda each: each.item.size <= most, todo))
    requests = list(islice(packed(items, pdu, most_items), depth))
    return [todo.popleft() for request in requests for _ in request.items], requests
