"""From the tag table to points on a server, and what is wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drivers.frame.address import AddressError, tags_of
from drivers.opcua.client.address import Address, Point, parse
from runtime.config import Plant
from runtime.contract import Access, DataType, Tag
from runtime.errors import Finding


def points_of(plant: Plant, device: str) -> list[Point]:
    """Return the points of a server. The plant was checked: every address parses."""
    return [Point(tag, parse(tag.address)) for tag in tags_of(plant.tags, device)]


def check_points(plant: Plant, device: str) -> Iterator[Finding]:
    """Yield what is wrong with the addresses of a server."""
    written: dict[Address, Tag] = {}
    for tag in tags_of(plant.tags, device):
        place = plant.place_of(tag)
        if not tag.address:
            text = f"tag {tag.path!r} is on {device} but has no address"
            yield Finding(
                text,
                place,
                f"write one, such as ns=2;s=Pump.Speed; `ironworks drivers browse {device}` lists them",
            )
            continue
        try:
            address = parse(tag.address)
        except AddressError as exc:
            yield exc.finding(tag, place)
            continue
        yield from _check_use(plant, device, tag, address)
        if tag.source != device:
            other = written.setdefault(address, tag)
            if other is not tag:
                text = f"tags {other.path!r} and {tag.path!r} are both written to {address}"
                yield Finding(text, place, "give one of them another address")


def check_indices(plant: Plant, device: str) -> Iterator[Finding]:
    """Yield a warning where a node is named by the index of its namespace, for more than one server."""
    for tag in tags_of(plant.tags, device):
        found = re.search(r"(?:^|call:|event:|>)ns=([2-9]|\d\d+);", tag.address)
        if found:
            text = f"tag {tag.path!r} names its namespace by index: another server may count otherwise"
            remedy = f"write nsu= and the namespace's URI; `ironworks drivers browse {device}` does"
            yield Finding(text, plant.place_of(tag), remedy, "warning")
            return


def _check_use(plant: Plant, device: str, tag: Tag, address: Address) -> Iterator[Finding]:
    place = plant.place_of(tag)
    if address.is_condition:
        if tag.source != device or tag.access is Access.READ_WRITE:
            text = f"tag {tag.path!r} tells of a condition on {device}, which nobody can write"
            yield Finding(text, place, f"set access to r, and source to {device}")
        elif tag.data_type is not DataType.BOOL:
            yield Finding(f"tag {tag.path!r} tells whether a condition is active", place, "set type to BOOL")
    if address.method is None:
        return
    if tag.source != device:
        text = f"tag {tag.path!r} of {tag.source!r} would call a method whenever it changes"
        yield Finding(text, place, f"methods are called by people and apps: set source to {device}")
    elif address.is_result and tag.access is Access.READ_WRITE:
        text = f"tag {tag.path!r} is what a method gives back, which nobody can write"
        yield Finding(text, place, "set access to r")
    elif not address.is_result and tag.access is not Access.READ_WRITE:
        yield Finding(f"tag {tag.path!r} calls a method, but nobody may write it", place, "set access to rw")
