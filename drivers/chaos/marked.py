"""Words that say which group they are of and when they were read: no answer passes for another, or as new."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.contract import Batch, Quality, Tag

if TYPE_CHECKING:
    from drivers.chaos.campaign import Side

SPAN = 6000  # ticks until a group's words begin anew
TICK_NS = 100_000_000
GROUPS = 10
_OLD_TICKS = 15  # waiting for an answer, both ways of a slow wire, and a busy machine


def word(group: int, now_ns: int) -> int:
    """Return what a group's words are at a time: the group, and the time within ten minutes."""
    return group % GROUPS * SPAN + now_ns // TICK_NS % SPAN


class Marked:
    """Judges what a client says of such words; `groups` are those of its tags."""

    def __init__(self, tags: Sequence[Tag], groups: Sequence[int]) -> None:
        self._tags, self._groups = list(tags), groups
        self._group_of: dict[int, int] = {}

    def side(self, folder: Path, plugin: Any, settings: Any) -> Side:
        """Return a client with the tags in a plant of its own."""
        from drivers.chaos.campaign import Side

        made = Side(folder, self._tags, plugin, settings)
        groups = (group % GROUPS for group in self._groups)
        self._group_of = dict(zip(made.ids.tolist(), groups, strict=True))
        return made

    def judge(self, batch: Batch) -> str:
        """Return what is wrong with values that came, if anything is."""
        for each in batch:
            expected = self._group_of.get(each.id)
            if expected is None or not Quality.is_good(each.quality):
                continue
            group, tick = divmod(each.raw, SPAN)
            if group != expected:
                return f"a word of group {expected} was given the value of group {group}"
            age = (each.source_ns // TICK_NS - tick) % SPAN
            if age > _OLD_TICKS:
                return f"a value {age * TICK_NS / 1e9:g} s old was good"
        return ""
