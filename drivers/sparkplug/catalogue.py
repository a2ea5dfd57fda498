"""What an edge node publishes: which tag is which metric of which device, under which alias."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.sparkplug.datatypes import (
    SPARKPLUG,
    carried,
    flag_property,
    number_property,
    quality_property,
    text_property,
)
from drivers.sparkplug.payload import Metric, Property
from drivers.sparkplug.spool import MetricKey
from runtime.config import TagList
from runtime.contract import Access, Batch, DataType, Quality, Tag

MS_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the edge node: globs of its tags, and the tag that tells whether it is there."""

    name: str
    globs: tuple[str, ...]
    online: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A tag as a metric; `device` is empty for the edge node's own."""

    tag: Tag
    device: str
    metric: str

    @property
    def key(self) -> MetricKey:
        return self.device, self.metric, self.tag.data_type.iec


def published(tags: TagList, root: str, globs: Sequence[str], devices: Sequence[Device]) -> list[Published]:
    """Return what is published. A tag is of the first device whose globs match it, else the node's own.

    The metrics of a device are named by what follows the fixed levels of the glob, others by the path
    below the plant's root.
    """
    found: dict[int, Published] = {}
    for device in devices:
        for glob in device.globs:
            fixed = _fixed_levels(glob)
            for id_ in tags.select(glob).tolist():
                tag = tags[id_]
                name = _below(tag.path, root)
                found.setdefault(id_, Published(tag, device.name, name.removeprefix(fixed) or name))
    for id_ in tags.select(*globs).tolist():
        tag = tags[id_]
        if not tag.path.startswith("sys/") or any(each.startswith("sys/") for each in globs):
            found.setdefault(id_, Published(tag, "", _below(tag.path, root)))
    return [found[id_] for id_ in sorted(found)]


def _below(path: str, root: str) -> str:
    return path.removeprefix(f"{root}/")


def _fixed_levels(glob: str) -> str:
    """Return the part of a glob before the first level that has a wildcard."""
    levels = glob.split("/")
    fixed = next((n for n, level in enumerate(levels) if "*" in level or "?" in level), len(levels) - 1)
    return "".join(f"{level}/" for level in levels[:fixed])


def online_tag(tags: TagList, device: Device, own: Iterable[Published]) -> Tag | None:
    """Return the tag that tells whether a device is there: the named one, else its only driver's own."""
    if device.online:
        return tags[device.online]
    sources = {each.tag.source for each in own if each.device == device.name}
    path = f"sys/drivers/{next(iter(sources), '')}/online"
    return tags[path] if len(sources) == 1 and path in tags else None


class Catalogue:
    """The metrics of a run by tag and by alias.

    Attributes:
        entries: what is published, in order of the tags.
        ids: their tags' ids, int32 of shape (n,).
        alias: their aliases, int32 of shape (n,).
        devices: names, in the order of the plant file.
        is_of, rows_of: by device, "" for the node, which entries are its own: as mask and as indices.
    """

    def __init__(
        self,
        entries: Sequence[Published],
        aliases: Mapping[MetricKey, int],
        devices: Sequence[str],
        tag_count: int,
    ) -> None:
        self.entries = list(entries)
        self.devices = list(devices)
        self.ids = np.array([each.tag.id for each in entries], np.int32)
        self.alias = np.array([aliases[each.key] for each in entries], np.int32)
        self.is_of = {
            name: np.array([each.device == name for each in entries], np.bool_) for name in ("", *devices)
        }
        self.rows_of = {name: np.flatnonzero(mask) for name, mask in self.is_of.items()}
        self._row_of_id = np.full(tag_count, -1, np.int32)
        self._row_of_id[self.ids] = np.arange(len(entries), dtype=np.int32)
        self._row_of_alias = dict(zip(self.alias.tolist(), range(len(entries)), strict=True))
        self._row_of_name = {(each.device, each.metric): row for row, each in enumerate(entries)}

    def rows_of_ids(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the row of each tag id, -1 where it is not published."""
        return self._row_of_id[ids]

    def row_of_alias(self, alias: int) -> int | None:
        return self._row_of_alias.get(alias)

    def find(self, device: str, metric: Metric) -> Published | None:
        """Return what a metric of a command means, None where there is no such."""
        if metric.alias is not None and not metric.name:
            row = self._row_of_alias.get(metric.alias)
        else:
            row = self._row_of_name.get((device, metric.name))
        entry = None if row is None else self.entries[row]
        return entry if entry is not None and entry.device == device else None

    def births(self, device: str, present: Batch, writable: bool, now_ms: int) -> Iterator[Metric]:
        """Yield the metrics of a birth, in order of their times; `present` has a row for each entry.

        What never had a value is null at the time of the birth.
        """
        rows = self.rows_of[device]
        times_ms = np.where(present.source_ns > 0, present.source_ns // MS_NS, now_ms)
        for row in rows[np.argsort(times_ms[rows], kind="stable")].tolist():
            entry = self.entries[row]
            tag, status = entry.tag, int(present.quality[row])
            value = (
                None
                if Quality.is_bad(status)
                else carried(tag.data_type, int(present.raw[row]), present.text.get(row))
            )
            yield Metric(
                entry.metric,
                int(self.alias[row]),
                int(times_ms[row]),
                SPARKPLUG[tag.data_type],
                is_null=value is None,
                value=value,
                properties=_properties(tag, status, writable),
            )


def _properties(tag: Tag, status: int, writable: bool) -> dict[str, Property]:
    """Return what is told of a metric at birth."""
    out = {"Quality": quality_property(status)}
    unit = "ns" if tag.data_type is DataType.TIME else tag.unit_text or tag.unit
    if unit:
        out["engUnit"] = text_property(unit)
    if tag.low is not None:
        out["engLow"] = number_property(tag.low)
    if tag.high is not None:
        out["engHigh"] = number_property(tag.high)
    if tag.description:
        out["documentation"] = text_property(tag.description)
    out["readOnly"] = flag_property(not writable or tag.access is not Access.READ_WRITE)
    return out
