"""What a model is fitted on and what comes of it: the face of an app's `fit` function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.models.registry import Golden
from apps.sdk import Reading, Values
from runtime.contract import Quality, Value

Points = Sequence[tuple[int, Value | None, int]]


@dataclass(frozen=True)
class Excluded:
    """A time that is not normal, and why."""

    start_ns: int
    end_ns: int
    why: str


@dataclass(frozen=True)
class History:
    """Samples of tags, oldest first: path (relative to the plant's root) to (time ns, value, quality).

    Attributes:
        source: `virtual` or `history`.
        excluded: times in which every value counts as bad.
    """

    source: str
    start_ns: int
    end_ns: int
    points: Mapping[str, Points]
    excluded: tuple[Excluded, ...] = ()

    def replay(self, period_ns: int) -> Iterator[tuple[int, Values]]:
        """Yield the values as an app of this period would have met them, step by step."""
        events = sorted(
            ((at, path, value, quality) for path, rows in self.points.items() for at, value, quality in rows),
            key=lambda event: event[0],
        )
        out = sorted(self.excluded, key=lambda each: each.start_ns)
        values, position, now_ns = Values(), 0, self.start_ns
        latest: dict[str, Reading] = {}
        was_out = False
        while now_ns <= self.end_ns:
            changes: dict[str, Reading] = {}
            while position < len(events) and events[position][0] <= now_ns:
                at, path, value, quality = events[position]
                changes[path] = Reading(value, quality, at)
                position += 1
            latest |= changes
            is_out = any(each.start_ns <= now_ns < each.end_ns for each in out)
            if is_out:
                changes = {
                    path: Reading(None, Quality.BAD_OUT_OF_SERVICE, reading.source_ns)
                    for path, reading in latest.items()
                }
            elif was_out:
                changes = dict(latest)
            was_out = is_out
            values.take(changes)
            yield now_ns, values
            now_ns += period_ns


@dataclass(frozen=True)
class Fitted:
    """What a fit made.

    Attributes:
        facts: for the model's card.
        report: figures for people, held-out ones among them.
        notes: what people should know.
    """

    model: bytes
    golden: list[Golden]
    facts: Mapping[str, Any]
    samples: int
    report: Mapping[str, Any]
    notes: Sequence[str] = field(default_factory=tuple)
