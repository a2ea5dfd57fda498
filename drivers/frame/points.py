"""From the tag table to points on a device, and what is wrong on the way, whatever addresses look like."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from drivers.frame.address import AddressError, tags_of
from runtime.config import Plant
from runtime.contract import Access, Tag
from runtime.errors import Finding

A = TypeVar("A")
DEFAULT_GROUP = "default"


def addressed(
    plant: Plant, device: str, parse: Callable[[Tag], A], example: str
) -> tuple[list[tuple[Tag, A]], list[Finding]]:
    """Return the tags of a device with their addresses, and what is wrong with the others' addresses.

    `parse` raises an AddressError where an address is wrong.
    """
    found: list[tuple[Tag, A]] = []
    wrong: list[Finding] = []
    for tag in tags_of(plant.tags, device):
        place = plant.place_of(tag)
        if not tag.address:
            text = f"tag {tag.path!r} is on {device} but has no address"
            wrong.append(Finding(text, place, f"write one, such as {example}, into the column address"))
            continue
        try:
            found.append((tag, parse(tag)))
        except AddressError as exc:
            wrong.append(exc.finding(tag, place))
    return found, wrong


def unwritable(plant: Plant, device: str, tag: Tag, where: str, instead: str) -> Iterator[Finding]:
    """Yield what is wrong with a tag in memory that cannot be written: it is written by us, or by people."""
    if tag.source != device:
        text = f"tag {tag.path!r} of {tag.source!r} is written to {device}, but lies in {where}"
        yield Finding(text, plant.place_of(tag), f"use {instead}, or set source to {device}")
    elif tag.access is Access.READ_WRITE:
        text = f"tag {tag.path!r} can be written by people, but lies in {where}"
        yield Finding(text, plant.place_of(tag), f"set access to r, or use {instead}")


def narrow(plant: Plant, tag: Tag, of: str, low: float, high: float) -> Iterator[Finding]:
    """Yield a warning where a device's type, with its least and greatest number, may not fit the tag's."""
    limits = tag.data_type.limits
    if limits is not None and (high > limits[1] or low < limits[0]):
        text = f"tag {tag.path!r}: {of} does not always fit {tag.data_type.iec}"
        remedy = "values outside are held at the limit and marked uncertain; use a wider type for the tag"
        yield Finding(text, plant.place_of(tag), remedy, "warning")


def overlaps(
    plant: Plant, outputs: Iterable[tuple[Tag, A]], places: Callable[[A], Iterator[Hashable]]
) -> Iterator[Finding]:
    """Yield tags that are written to the same place; `places` yields every bit that a value takes."""
    taken: dict[Hashable, Tag] = {}
    for tag, address in outputs:
        for place in places(address):
            other = taken.setdefault(place, tag)
            if other is not tag:
                text = f"tags {other.path!r} and {tag.path!r} are both written to {address}"
                yield Finding(text, plant.place_of(tag), "give one of them another address")
                break


def check_groups(
    plant: Plant, device: str, groups: Iterable[tuple[str, Iterable[str]]], key: tuple[str | int, ...]
) -> Iterator[Finding]:
    """Yield what is wrong with scan groups: name and globs over the device's tags."""
    for name, patterns in groups:
        place = plant.place(*key, "groups", name)
        if name == DEFAULT_GROUP:
            yield Finding(f"group {name!r} is taken", place, "use `period` of the driver, or another name")
        for pattern in patterns:
            if not any(plant.tags[id_].device == device for id_ in plant.tags.select(pattern).tolist()):
                text = f"group {name!r}: no tag of {device} matches {pattern!r}"
                yield Finding(text, place, "`*` matches within a level, `**` across levels", "warning")
