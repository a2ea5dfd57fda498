"""Where a metric lies: `group/node:metric`, or `group/node/device:metric`.

Ids have no slash; the first colon ends them, so a metric's name may have both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from drivers.frame.address import AddressError, tags_of
from drivers.sparkplug.topics import check_id
from runtime.config import Plant
from runtime.contract import Tag
from runtime.errors import Finding

_EXAMPLE = "write it like bottling/line1/filler:speed, or bottling/line1:speed"


class NodeId(NamedTuple):
    """An edge node."""

    group: str
    node: str

    def __str__(self) -> str:
        return f"{self.group}/{self.node}"


class Address(NamedTuple):
    """A metric of a node, or of one of its devices."""

    node: NodeId
    device: str
    metric: str


class Point(NamedTuple):
    """A tag and its place."""

    tag: Tag
    address: Address


def parse(text: str) -> Address:
    """Return the address that a text names.

    Raises:
        AddressError: it names none.
    """
    place, colon, metric = text.partition(":")
    ids = place.split("/")
    if not colon or not metric or len(ids) not in (2, 3) or not all(ids):
        raise AddressError("not a metric of an edge node", _EXAMPLE)
    try:
        for each in ids:
            check_id(each)
    except ValueError as exc:
        raise AddressError(str(exc), _EXAMPLE) from exc
    return Address(NodeId(ids[0], ids[1]), ids[2] if len(ids) == 3 else "", metric)


def points_of(plant: Plant, name: str) -> list[Point]:
    """Return the points of a host. The plant was checked: every address parses."""
    return [Point(tag, parse(tag.address)) for tag in tags_of(plant.tags, name)]


def check_points(plant: Plant, name: str) -> Iterator[Finding]:
    """Yield what is wrong with the addresses of a host's tags."""
    seen: dict[Address, Tag] = {}
    for tag in tags_of(plant.tags, name):
        place = plant.place_of(tag)
        if not tag.address:
            yield Finding(f"tag {tag.path!r} is on {name} but has no address", place, _EXAMPLE)
            continue
        try:
            address = parse(tag.address)
        except AddressError as exc:
            yield exc.finding(tag, place)
            continue
        if tag.source != name:
            text = f"tag {tag.path!r} comes from {tag.source!r}, but hosts only read, and write for people"
            yield Finding(text, place, f"set source to {name}, with access rw where people write")
        other = seen.setdefault(address, tag)
        if other is not tag:
            text = f"tags {other.path!r} and {tag.path!r} are both {tag.address}"
            yield Finding(text, place, "give one of them another address")
