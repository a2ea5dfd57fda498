"""The line as the overview draws it, read from the tags: no drawing is kept by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runtime.client import TagView

LINE = "line"
STATE = "state"
FAULT = "fault"
MAX_VALUES = 4


@dataclass(frozen=True, slots=True)
class Station:
    """One equipment: the last path level but one of its tags.

    Attributes:
        path: path of the equipment, without the signal.
        state: tag of its PackML-like state code; None for a tank or buffer.
        level: tag whose value is drawn as a bar over its range.
        values: its key values, most telling first.
    """

    path: str
    name: str
    state: TagView | None
    level: TagView | None
    values: tuple[TagView, ...]

    @property
    def tags(self) -> tuple[TagView, ...]:
        return tuple(each for each in (self.state, self.level, *self.values) if each)


@dataclass(frozen=True, slots=True)
class Picture:
    """What the overview shows: stations in order of the tag list, and figures of the whole line."""

    stations: tuple[Station, ...] = ()
    figures: tuple[TagView, ...] = ()

    @property
    def tags(self) -> tuple[TagView, ...]:
        return tuple(tag for each in self.stations for tag in each.tags) + self.figures


def read_picture(tags: Iterable[TagView]) -> Picture:
    """Group the tags by equipment and choose what tells most about each."""
    groups: dict[str, list[TagView]] = {}
    for tag in tags:
        path, _, signal = tag.path.rpartition("/")
        if path and signal and not _is_kernel(path):
            groups.setdefault(path, []).append(tag)
    stations = []
    figures: list[TagView] = []
    for path, members in groups.items():
        name = path.rsplit("/", 1)[-1]
        if name == LINE:
            figures += members
            continue
        state = next((tag for tag in members if _signal(tag) == STATE), None)
        level = next((tag for tag in members if _is_level(tag)), None)
        if state is None and level is None:
            continue
        values = tuple(tag for tag in members if tag is not level and _is_value(tag))
        stations.append(Station(path, name, state, level, values[:MAX_VALUES]))
    return Picture(tuple(stations), tuple(sorted(figures, key=lambda tag: tag.access == "rw")))


def _signal(tag: TagView) -> str:
    return tag.path.rsplit("/", 1)[-1]


def _is_kernel(path: str) -> bool:
    return "sys" in path.split("/")


def _is_level(tag: TagView) -> bool:
    signal = _signal(tag)
    ranged = tag.low is not None and tag.high is not None
    return ranged and (signal.endswith(("level_pct", "_count")) or signal in ("level", "count"))


def _is_value(tag: TagView) -> bool:
    return bool(tag.unit_text) and tag.type not in ("BOOL", "STRING") and _signal(tag) != STATE
