"""Values on their way to a CPU: neighbours joined, long ones in several writes; a bit is written as a bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from drivers.frame import outputs
from drivers.frame.outputs import Image, Mask, Outgoing
from drivers.frame.plan import Span, coalesce
from drivers.s7.address import Address, Point
from drivers.s7.codec import Codec
from drivers.s7.messages import Item, Write
from drivers.s7.pdu import max_read, max_write
from runtime.contract import NO_TEXT


def written(address: Address) -> Item:
    """Return what is written of a value: not the head of a text, whose greatest length is the program's."""
    start, count = address.start + address.head, address.count - address.head
    return Item(address.area, address.db, start, count, address.bit)


def writes_of(item: Item, data: bytes, pdu: int) -> Iterator[Write]:
    """Yield the writes that bring data to an item, each within a message of `pdu` bytes."""
    most = max_write(pdu)
    if item.bit is not None or len(data) <= most:
        yield Write(item, data)
        return
    for first in range(0, len(data), most):
        part = data[first : first + most]
        yield Write(Item(item.area, item.db, item.start + first, len(part)), part)


@dataclass(frozen=True, slots=True)
class Check:
    """What is read back of a memory, and the rows that lie there."""

    memory: Memory
    item: Item
    rows: NDArray[np.intp]


class Memory(Image[Point]):
    """The written points of one area or data block.

    Attributes:
        unverified: rows that were written and are to be read back.
        unreadable: rows that can be written only.
    """

    def __init__(self, points: Sequence[Point], tag_count: int, encoding: str) -> None:
        ordered = sorted(points, key=lambda point: (point.address.start, point.address.bit or 0))
        self._items = [written(point.address) for point in ordered]
        self._base = ordered[0].address.start
        end = max(point.address.start + point.address.count for point in ordered)
        self._codec = Codec(ordered, self._base, encoding)
        super().__init__(ordered, tag_count, self._codec, end - self._base)
        self.unverified: Mask = np.zeros(len(ordered), np.bool_)
        self.unreadable: Mask = np.zeros(len(ordered), np.bool_)

    def outgoing(self, pdu: int) -> tuple[list[Outgoing[Write]], list[Point]]:
        """Encode what is pending; return the writes, and the points whose values do not fit."""
        chosen, unfit = self.encode()
        rows = np.flatnonzero(chosen).tolist()
        bits = [row for row in rows if self._items[row].bit is not None]
        others = [row for row in rows if self._items[row].bit is None]
        out = [self._one(self._items[row], [row], bytes([bool(self.raw[row])]), pdu) for row in bits]
        for item, inside in self._joined(others, max_write(pdu)):
            first = item.start - self._base
            data = self.bytes[first : first + item.count].tobytes()
            out.append(self._one(item, inside, data, pdu))
        return out, unfit

    def checks(self, pdu: int) -> list[Check]:
        """Return what is to be read back, of bits their bytes."""
        if not self.unverified.any():
            return []
        rows = np.flatnonzero(self.unverified).tolist()
        return [Check(self, item, np.array(at, np.intp)) for item, at in self._joined(rows, max_read(pdu))]

    def compare(self, item: Item, data: bytes) -> Mask:
        """Tell which rows of an item that was read back are as they were written."""
        found = self.bytes.copy()
        first = item.start - self._base
        found[first : first + len(data)] = np.frombuffer(data, np.uint8)
        return self._codec.decode(self.bytes).same(self._codec.decode(found))

    def _joined(self, rows: Sequence[int], most: int) -> Iterator[tuple[Item, list[int]]]:
        """Yield places, those of neighbours as one of at most `most` bytes, and the rows there."""
        spans = [Span(self._items[row].start, self._items[row].count, row) for row in rows]
        joined = coalesce([span for span in spans if not self.alone[span.index]], most, 0)
        first = self._items[0]
        for run in [*joined, *([span] for span in spans if self.alone[span.index])]:
            start, end = run[0].start, max(span.end for span in run)
            yield Item(first.area, first.db, start, end - start), [span.index for span in run]

    def _one(self, item: Item, rows: list[int], data: bytes, pdu: int) -> Outgoing[Write]:
        return Outgoing(item, tuple(writes_of(item, data, pdu)), self, np.array(rows, np.intp))


class Outputs(outputs.Outputs[Memory]):
    """All that a client writes to its CPU."""

    def __init__(self, points: Sequence[Point], tag_count: int, encoding: str) -> None:
        def place(point: Point) -> tuple[int, int]:
            return point.address.area.code, point.address.db

        together = groupby(sorted(points, key=place), place)
        super().__init__([Memory(list(each), tag_count, encoding) for _, each in together])


def encoded(point: Point, raw: int, text: str | None, encoding: str) -> bytes | None:
    """Return the bytes of one value, its head included; None where the type cannot hold it."""
    payload = np.zeros(point.address.size, np.uint8)
    texts = NO_TEXT if text is None else {0: text}
    codec = Codec([point], point.address.start, encoding)
    unfit = codec.encode(payload, np.array([raw], np.uint64), np.ones(1, np.bool_), texts)
    return None if unfit[0] else payload.tobytes()
