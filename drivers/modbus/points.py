"""From the tag table to points on a device, and what is wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from drivers.frame.address import AddressError, tags_of
from drivers.modbus.address import Address, Point, RawType, parse
from runtime.config import Plant
from runtime.contract import Access, DataType, Tag
from runtime.errors import Finding


def points_of(plant: Plant, device: str, unit: int, order: str) -> list[Point]:
    """Return the points of a device. The plant was checked: every address parses."""
    return [Point(tag, parse(tag.address, tag.data_type, unit, order)) for tag in tags_of(plant.tags, device)]


def check_points(
    plant: Plant, device: str, unit: int, order: str, is_output: Callable[[Tag], bool]
) -> Iterator[Finding]:
    """Yield what is wrong with the addresses of a device.

    `is_output` tells which tags are written into the device's coils and holding registers by us.
    """
    outputs: list[Point] = []
    for tag in tags_of(plant.tags, device):
        place = plant.place_of(tag)
        if not tag.address:
            text = f"tag {tag.path!r} is on {device} but has no address"
            yield Finding(text, place, "write one, such as 40001, into the column address")
            continue
        try:
            address = parse(tag.address, tag.data_type, unit, order)
        except AddressError as exc:
            yield exc.finding(tag, place)
            continue
        point = Point(tag, address)
        yield from _narrow(plant, point)
        if is_output(tag):
            outputs.append(point)
    yield from _overlaps(plant, outputs)


def check_writable(plant: Plant, device: str, unit: int, order: str) -> Iterator[Finding]:
    """Yield the tags that a client must write, but that lie in tables that cannot be written."""
    for tag, address in _parsed(plant, device, unit, order):
        if address.table.writable:
            continue
        table = address.table.name.replace("_", " ").lower()
        if tag.source != device:
            text = f"tag {tag.path!r} of {tag.source!r} is written to {device}, but lies in {table}s"
            remedy = f"use a coil or a holding register, or set source to {device}"
            yield Finding(text, plant.place_of(tag), remedy)
        elif tag.access is Access.READ_WRITE:
            text = f"tag {tag.path!r} can be written by people, but lies in {table}s"
            yield Finding(text, plant.place_of(tag), "set access to r, or use a coil or a holding register")


def check_inputs(plant: Plant, device: str, unit: int, order: str) -> Iterator[Finding]:
    """Yield the tags that masters must write on a server, but that lie in tables that cannot be written."""
    for tag, address in _parsed(plant, device, unit, order):
        if tag.source == device and not address.table.writable:
            table = address.table.name.replace("_", " ").lower()
            text = f"tag {tag.path!r} comes from masters of {device}, but they cannot write {table}s"
            remedy = "use a coil or a holding register, or set source to what produces the tag"
            yield Finding(text, plant.place_of(tag), remedy)


def _parsed(plant: Plant, device: str, unit: int, order: str) -> Iterator[Point]:
    """Yield the points whose address is right; `check_points` tells of the others."""
    for tag in tags_of(plant.tags, device):
        with suppress(AddressError):
            yield Point(tag, parse(tag.address, tag.data_type, unit, order))


def _narrow(plant: Plant, point: Point) -> Iterator[Finding]:
    """Yield a warning where a raw value may not fit the tag's type."""
    tag, address = point
    wide = {RawType.UINT16: 16, RawType.INT16: 16, RawType.INT32: 32, RawType.UINT32: 32}.get(address.raw)
    limits = tag.data_type.limits
    if wide is None or limits is None or address.scaled or tag.data_type is DataType.BOOL:
        return
    signed = address.raw in (RawType.INT16, RawType.INT32)
    high = (1 << (wide - 1 if signed else wide)) - 1
    low = -(1 << (wide - 1)) if signed else 0
    explicit = ":" in tag.address
    if explicit and (high > limits[1] or low < limits[0]):
        text = (
            f"tag {tag.path!r}: {address.raw.text} ({low} to {high}) does not always fit {tag.data_type.iec}"
        )
        remedy = "values outside are held at the limit and marked uncertain; use a wider type for the tag"
        yield Finding(text, plant.place_of(tag), remedy, "warning")


def _overlaps(plant: Plant, outputs: list[Point]) -> Iterator[Finding]:
    """Yield tags that are written to the same place."""
    taken: dict[tuple[object, ...], Tag] = {}
    for tag, address in outputs:
        for place in _places(address):
            other = taken.setdefault(place, tag)
            if other is not tag:
                text = f"tags {other.path!r} and {tag.path!r} are both written to {address}"
                yield Finding(text, plant.place_of(tag), "give one of them another address")
                break


def _places(address: Address) -> Iterator[tuple[object, ...]]:
    """Yield every bit that a value takes."""
    for place in range(address.start, address.start + address.count):
        for bit in [address.bit] if address.is_register_bit else range(1 if address.table.is_bits else 16):
            yield address.unit, address.table, place, bit
