"""From the tag table to points on a device, and what is wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np

from drivers.frame.address import AddressError, tags_of
from drivers.frame.points import addressed, narrow, overlaps, unwritable
from drivers.modbus.address import Address, Point, RawType, parse
from runtime.config import Plant
from runtime.contract import DataType, Tag
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
    found, wrong = addressed(
        plant, device, lambda tag: parse(tag.address, tag.data_type, unit, order), "40001"
    )
    yield from wrong
    for tag, address in found:
        whole = address.raw is not RawType.BOOL and address.raw.dtype[1:2] in ("i", "u")
        if ":" in tag.address and whole and not address.scaled and tag.data_type is not DataType.BOOL:
            limits = np.iinfo(address.raw.dtype)
            low, high = int(limits.min), int(limits.max)
            yield from narrow(plant, tag, f"{address.raw.text} ({low} to {high})", low, high)
    yield from overlaps(plant, [each for each in found if is_output(each[0])], _places)


def check_writable(plant: Plant, device: str, unit: int, order: str) -> Iterator[Finding]:
    """Yield the tags that a client must write, but that lie in tables that cannot be written."""
    for tag, address in parsed(plant, device, unit, order):
        if not address.table.writable:
            table = address.table.name.replace("_", " ").lower()
            yield from unwritable(plant, device, tag, f"{table}s", "a coil or a holding register")


def check_units(plant: Plant, device: str, unit: int, order: str) -> Iterator[Finding]:
    """Yield the tags on a serial line whose unit no device can be: 0 is all at once, and none answers.

    Source: MODBUS over Serial Line V1.02, 2.2 MODBUS Addressing rules.
    """
    for tag, address in parsed(plant, device, unit, order):
        if not 1 <= address.unit <= 247:
            text = f"tag {tag.path!r}: no device on a serial line is unit {address.unit}"
            yield Finding(
                text, plant.place_of(tag), "units there are 1 to 247: write `3!40001`, or set `unit:`"
            )


def check_inputs(plant: Plant, device: str, unit: int, order: str) -> Iterator[Finding]:
    """Yield the tags that masters must write on a server, but that lie in tables that cannot be written."""
    for tag, address in parsed(plant, device, unit, order):
        if tag.source == device and not address.table.writable:
            table = address.table.name.replace("_", " ").lower()
            text = f"tag {tag.path!r} comes from masters of {device}, but they cannot write {table}s"
            remedy = "use a coil or a holding register, or set source to what produces the tag"
            yield Finding(text, plant.place_of(tag), remedy)


def parsed(plant: Plant, device: str, unit: int, order: str) -> Iterator[Point]:
    """Yield the points whose address is right; `check_points` tells of the others."""
    for tag in tags_of(plant.tags, device):
        with suppress(AddressError):
            yield Point(tag, parse(tag.address, tag.data_type, unit, order))


def _places(address: Address) -> Iterator[tuple[object, ...]]:
    """Yield every bit that a value takes."""
    for place in range(address.start, address.start + address.count):
        for bit in [address.bit] if address.is_register_bit else range(1 if address.table.is_bits else 16):
            yield address.unit, address.table, place, bit
