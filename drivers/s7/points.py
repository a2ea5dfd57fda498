"""From the tag table to points of a CPU, and what is wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from drivers.frame.address import tags_of
from drivers.frame.points import addressed, narrow, overlaps, unwritable
from drivers.s7.address import Address, Area, Point, parse
from drivers.s7.datatypes import Family
from runtime.config import Plant
from runtime.contract import Tag
from runtime.errors import Finding

_AREAS = {Area.INPUT: "inputs", Area.TIMER: "timers", Area.COUNTER: "counters"}


def points_of(plant: Plant, device: str) -> list[Point]:
    """Return the points of a CPU. The plant was checked: every address parses."""
    return [Point(tag, parse(tag.address, tag.data_type)) for tag in tags_of(plant.tags, device)]


def check_points(plant: Plant, device: str) -> Iterator[Finding]:
    """Yield what is wrong with the addresses of a CPU."""
    found, wrong = addressed(plant, device, lambda tag: parse(tag.address, tag.data_type), "DB1.DBD4")
    yield from wrong
    for tag, address in found:
        yield from _narrow(plant, tag, address)
        if not address.area.writable:
            yield from unwritable(plant, device, tag, _AREAS[address.area], "a data block or flags")
    yield from overlaps(plant, [each for each in found if each[0].source != device], _places)


def _narrow(plant: Plant, tag: Tag, address: Address) -> Iterator[Finding]:
    """Yield a warning where a type named in the address may not fit the tag's type."""
    raw = address.raw
    if address.scaled or raw.family is not Family.NUMBER or raw.text not in tag.address.upper():
        return
    if raw.dtype[1:2] == "f":
        yield from narrow(plant, tag, raw.text, -inf, inf)
        return
    bits = raw.size * 8
    low = -(1 << (bits - 1)) if raw.dtype[1:2] == "i" else 0
    high = (1 << (bits - 1 if low else bits)) - 1
    yield from narrow(plant, tag, f"{raw.text} ({low} to {high})", low, high)


def _places(address: Address) -> Iterator[tuple[object, ...]]:
    """Yield every bit that a value takes."""
    for place in range(address.start, address.start + address.count):
        for bit in range(8) if address.bit is None else [address.bit]:
            yield address.area, address.db, place, bit
