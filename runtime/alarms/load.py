"""What the alarms ask of each operator now: rate, floods, chattering and stale alarms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runtime.alarms.flood import FloodWatch
from runtime.alarms.model import Alarm
from runtime.alarms.performance import Chatter, stale
from runtime.config import AlarmConfig
from runtime.contract import Value
from runtime.journal import AlarmMove

_STALE_EVERY_NS = 60 * 1_000_000_000


class Load:
    """Follows the announcements; each area is an operator's."""

    def __init__(self, configs: Sequence[AlarmConfig]) -> None:
        self._watches: dict[str, FloodWatch] = {}
        self.configure(configs)
        self._chatter = Chatter()
        self._stale = 0
        self._stale_ns = 0

    def configure(self, configs: Sequence[AlarmConfig]) -> None:
        """Take up which alarms there are; areas that stay keep their load."""
        self._areas = {config.name: config.area for config in configs}
        there = self._watches
        self._watches = {area: there.get(area) or FloodWatch(area) for area in {"", *self._areas.values()}}

    def take(self, moves: Iterable[AlarmMove]) -> None:
        """Take what was announced before the start."""
        for move in moves:
            if move.announced:
                self.add(move.at_ns, move.alarm)

    def add(self, at_ns: int, alarm: str) -> None:
        """Take one announcement."""
        self._watches[self._areas.get(alarm, "")].add(at_ns, alarm)
        self._chatter.add(at_ns, alarm)

    def shift(self, step_ns: int) -> None:
        """Move what still counts with a clock that was set."""
        for watch in self._watches.values():
            watch.shift(step_ns)
        self._chatter.shift(step_ns)
        self._stale_ns = 0

    def figures(self, alarms: Sequence[Alarm], now_ns: int) -> tuple[Value, ...]:
        """Return rate, flood, the flood's first alarm, chattering and stale alarms, as the tags have them."""
        for watch in self._watches.values():
            watch.advance(now_ns)
        floods = [watch.flood for watch in self._watches.values() if watch.flood]
        first = min(floods, key=lambda flood: flood.began_ns).first if floods else ""
        if now_ns >= self._stale_ns:
            self._stale_ns = now_ns + _STALE_EVERY_NS
            self._stale = len(stale(alarms, now_ns))
        rate = max(watch.rate for watch in self._watches.values())
        return rate, bool(floods), first, len(self._chatter.now(now_ns)), self._stale
