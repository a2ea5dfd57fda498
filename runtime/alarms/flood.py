"""Alarm floods of one operator: when more alarms came than a person can handle, and which came first.

A flood is there when more than 10 alarms were announced within 10 minutes, and over when fewer than 5 were.
The first alarm of those 10 minutes is kept as the flood's first: it is the likeliest cause. A flood begins
with it, or where the flood before ended: no two overlap.

Source: ANSI/ISA-18.2-2016, 16 (monitoring and assessment).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

WINDOW_NS = 600 * 1_000_000_000
BEGINS_ABOVE = 10
ENDS_BELOW = 5
_KEPT = 100


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood; `ended_ns` is None while it lasts."""

    area: str
    first: str
    began_ns: int
    count: int
    ended_ns: int | None = None


class FloodWatch:
    """Follows the announcements of one area.

    Attributes:
        floods: the latest floods, oldest first; the last may still last.
        peak: most announcements within 10 minutes.
        total: all announcements.
        flood_ns: how long the floods lasted that are over.
    """

    def __init__(self, area: str) -> None:
        self.area = area
        self.floods: deque[Flood] = deque(maxlen=_KEPT)
        self.peak = 0
        self.total = 0
        self.flood_ns = 0
        self._from_ns = 0  # since when it is counted
        self._over_ns = 0  # when the last flood ended
        self._latest: deque[tuple[int, str]] = deque()

    @property
    def rate(self) -> int:
        """Announcements in the last 10 minutes."""
        return len(self._latest)

    @property
    def flood(self) -> Flood | None:
        """The flood that lasts."""
        return self.floods[-1] if self.floods and self.floods[-1].ended_ns is None else None

    def add(self, at_ns: int, alarm: str) -> None:
        """Take one announcement; in order of time."""
        self.advance(at_ns)
        self._latest.append((at_ns, alarm))
        self.total += 1
        self.peak = max(self.peak, len(self._latest))
        flood = self.flood
        if flood:
            self.floods[-1] = replace(flood, count=flood.count + 1)
        elif len(self._latest) > BEGINS_ABOVE:
            began_ns, first = self._latest[0]
            began_ns = max(began_ns, self._over_ns)  # what came before may have been of the flood before
            self.floods.append(Flood(self.area, first, began_ns, len(self._latest)))

    def count_from(self, at_ns: int) -> None:
        """Count anew from a time on; a flood that lasts, and what came just before, still tell."""
        self.advance(at_ns)
        self.floods = deque([self.flood] if self.flood else [], maxlen=_KEPT)
        self.peak, self.total, self.flood_ns, self._from_ns = self.rate, 0, 0, at_ns

    def shift(self, step_ns: int) -> None:
        """Move what still counts with a clock that was set."""
        self._latest = deque((at_ns + step_ns, alarm) for at_ns, alarm in self._latest)
        self._over_ns += step_ns
        if self.flood:
            self.floods[-1] = replace(self.floods[-1], began_ns=self.floods[-1].began_ns + step_ns)

    def advance(self, now_ns: int) -> None:
        """Let time pass."""
        while self._latest and self._latest[0][0] + WINDOW_NS <= now_ns:
            over_ns = self._latest.popleft()[0] + WINDOW_NS
            flood = self.flood
            if flood and len(self._latest) < ENDS_BELOW:
                self.floods[-1] = replace(flood, ended_ns=over_ns)
                self.flood_ns += over_ns - max(flood.began_ns, self._from_ns)
                self._over_ns = over_ns
