"""Rate limits: so many writes of one actor to one class of tags in a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from runtime.clock import SECOND_NS
from runtime.config.models import RateLimit, format_duration
from runtime.contract import Actor, Clock, Tag, Tags
from runtime.errors import RateLimitedError

_ACTORS = 1000


class RateLimits:
    """A token bucket for each actor and class; the classes are globs of the plant file."""

    def __init__(self, limits: Sequence[RateLimit], tags: Tags, clock: Clock) -> None:
        self._limits = [(each, frozenset(tags.select(*each.tags).tolist())) for each in limits]
        self._clock = clock
        self._buckets: dict[tuple[str, int], tuple[float, int]] = {}

    def check(self, tag: Tag, actor: Actor, *, take: bool) -> None:
        """Count an attempt in every class of the tag; only look where `take` is false.

        Raises:
            RateLimitedError: a class has no room for it.
        """
        now_ns = self._clock.steady_ns()
        filled = {}
        for index, (limit, ids) in enumerate(self._limits):
            if tag.id not in ids:
                continue
            room = self._room(index, actor, now_ns)
            if room < 1:
                raise _too_often(tag, actor, limit, 1 - room)
            filled[actor.name, index] = (room - 1, now_ns)
        if not take:
            return
        for key, bucket in filled.items():
            self._buckets.pop(key, None)
            while len(self._buckets) >= _ACTORS:
                del self._buckets[next(iter(self._buckets))]  # whoever has been quiet for longest
            self._buckets[key] = bucket

    def lacking(self, tags: Sequence[Tag], actor: Actor) -> tuple[Tag, RateLimitedError] | None:
        """Return the first of several writes that there is no room for, and why; none is counted."""
        now_ns = self._clock.steady_ns()
        left = [self._room(index, actor, now_ns) for index in range(len(self._limits))]
        for tag in tags:
            for index, (limit, ids) in enumerate(self._limits):
                if tag.id not in ids:
                    continue
                left[index] -= 1
                if left[index] < 0:
                    return tag, _too_often(tag, actor, limit, -left[index])
        return None

    def _room(self, index: int, actor: Actor, now_ns: int) -> float:
        limit, _ = self._limits[index]
        room, at_ns = self._buckets.get((actor.name, index), (float(limit.writes), now_ns))
        return min(limit.writes, room + (now_ns - at_ns) * limit.writes / limit.per)


def _too_often(tag: Tag, actor: Actor, limit: RateLimit, lacking: float) -> RateLimitedError:
    most = f"{limit.writes} in {format_duration(limit.per)}"
    text = f"{tag.path}: {actor.name} writes too often, more than {most}"
    wait_s = max(1, ceil(lacking * limit.per / limit.writes / SECOND_NS))
    return RateLimitedError(text, f"wait {wait_s} s, or raise gate.rates in plant.yaml", wait_s)
