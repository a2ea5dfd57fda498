"""The line as the overview draws it, read from the tags: no drawing is kept by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runtime.wire import TagView

LINE = "line"
STATE = "state"
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

    @property
    def in_flow(self) -> bool:
        """Whether the product passes through it: machines, belts, and buffers that count pieces."""
        return self.state is not None or (self.level is not None and not is_float(self.level))


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
        if path and signal and "sys" not in path.split("/"):
            groups.setdefault(path, []).append(tag)
    stations = []
    figures: list[TagView] = []
    for path, members in groups.items():
        name = path.rsplit("/", 1)[-1]
        if name == LINE:
            figures += members
            continue
        state = next((tag for tag in members if is_state(tag)), None)
        level = next((tag for tag in members if _is_level(tag)), None)
        if state is None and level is None:
            continue
        values = sorted((tag for tag in members if tag is not level and _is_value(tag)), key=_rank)
        stations.append(Station(path, name, state, level, tuple(values[:MAX_VALUES])))
    return Picture(tuple(stations), tuple(sorted(figures, key=_figure_rank)))


def is_state(tag: TagView) -> bool:
    return _signal(tag) == STATE


def is_float(tag: TagView) -> bool:
    return tag.type in ("REAL", "LREAL")


def is_measured(tag: TagView) -> bool:
    """Tell whether a device reads it from the field."""
    return bool(tag.device) and tag.source == tag.device


def _signal(tag: TagView) -> str:
    return tag.path.rsplit("/", 1)[-1]


def _is_level(tag: TagView) -> bool:
    """Tell whether a bar suits it: a level in percent, or pieces of which there is room for some."""
    if tag.low is None or tag.high is None or is_state(tag) or tag.access == "rw":
        return False
    signal = _signal(tag)
    return signal.endswith(("level_pct", "_count")) or bool(tag.unit_text and _is_whole(tag))


def _is_whole(tag: TagView) -> bool:
    return not is_float(tag) and tag.type not in ("BOOL", "STRING", "TIME", "DT")


def _is_value(tag: TagView) -> bool:
    return bool(tag.unit_text) and (is_float(tag) or _is_whole(tag)) and not is_state(tag)


def _rank(tag: TagView) -> tuple[bool, bool, bool]:
    """Measured values come first, then computed ones, then counters, then what people set."""
    return tag.access == "rw", not is_float(tag), not is_measured(tag)


def _figure_rank(tag: TagView) -> tuple[bool, bool, bool]:
    return not is_state(tag), tag.access == "rw", not tag.unit_text
