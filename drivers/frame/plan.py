"""What to read together and how often: spans joined into blocks, tags put into scan groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.config import TagList
from runtime.contract import Tag


@dataclass(frozen=True, slots=True)
class Span:
    """`count` places from `start`; `index` is the caller's number for it."""

    start: int
    count: int
    index: int

    @property
    def end(self) -> int:
        return self.start + self.count


def coalesce(spans: Sequence[Span], max_count: int, max_gap: int) -> Iterator[list[Span]]:
    """Join spans, in order of their start, into runs of at most `max_count` places.

    Two spans are joined where at most `max_gap` unused places lie between them. A span longer than
    `max_count` is a run of its own.
    """
    run: list[Span] = []
    end = 0
    for span in sorted(spans, key=lambda each: (each.start, each.count)):
        reach = max(end, span.end)
        if run and (span.start - end > max_gap or reach - run[0].start > max_count):
            yield run
            run = []
            reach = span.end
        run.append(span)
        end = reach
    if run:
        yield run


def group_of(tags: TagList, groups: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Return tag id to group name; the first group whose globs match a tag has it."""
    chosen: dict[int, str] = {}
    for name, patterns in groups.items():
        for id_ in tags.select(*patterns).tolist():
            chosen.setdefault(id_, name)
    return chosen


def by_group(chosen: Mapping[int, str], tags: Sequence[Tag], default: str) -> dict[str, list[Tag]]:
    """Return group name to its tags, in the order given."""
    out: dict[str, list[Tag]] = {}
    for tag in tags:
        out.setdefault(chosen.get(tag.id, default), []).append(tag)
    return out
