"""Figures of an alarm system over a span of time: load, floods, nuisance alarms, priorities.

Source: ANSI/ISA-18.2-2016, 16 (monitoring and assessment): chattering, fleeting and stale alarms, top ten,
priority distribution of about 80 % low, 15 % medium and 5 % high.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

from runtime.alarms.flood import WINDOW_NS, Flood, FloodWatch
from runtime.alarms.model import Alarm
from runtime.journal import AlarmMove

CHATTERS = (3, 60 * 1_000_000_000)  # so many announcements within that time
FLEETING_NS = 10 * 1_000_000_000
STALE_NS = 24 * 3600 * 1_000_000_000
TOP = 10
TARGETS = {"low": 80.0, "medium": 15.0, "high": 5.0}  # critical counts as high


class Chatter:
    """Tells which alarms come again and again."""

    def __init__(self) -> None:
        self.worst: Counter[str] = Counter()
        self._latest: defaultdict[str, deque[int]] = defaultdict(deque)

    def add(self, at_ns: int, alarm: str) -> None:
        """Take one announcement."""
        times = self._latest[alarm]
        times.append(at_ns)
        while times[0] <= at_ns - CHATTERS[1]:
            times.popleft()
        self.worst[alarm] = max(self.worst[alarm], len(times))

    def shift(self, step_ns: int) -> None:
        """Move with a clock that was set."""
        for alarm, times in self._latest.items():
            self._latest[alarm] = deque(at_ns + step_ns for at_ns in times)

    def now(self, now_ns: int) -> list[str]:
        """Return the alarms that chatter at this time, and forget those that are quiet."""
        for alarm, times in list(self._latest.items()):
            while times and times[0] <= now_ns - CHATTERS[1]:
                times.popleft()
            if not times:
                del self._latest[alarm]
        return [alarm for alarm, times in self._latest.items() if len(times) >= CHATTERS[0]]


def stale(alarms: Iterable[Alarm], now_ns: int) -> list[Alarm]:
    """Return the alarms that the operator has seen standing for more than a day, oldest first."""
    standing = (alarm for alarm in alarms if alarm.standing.in_alarm and not alarm.standing.hidden)
    old = [alarm for alarm in standing if alarm.raised_ns is not None and now_ns - alarm.raised_ns > STALE_NS]
    return sorted(old, key=lambda alarm: alarm.raised_ns or 0)


def performance(
    moves: Iterable[AlarmMove],
    alarms: Sequence[Alarm],
    start_ns: int,
    end_ns: int,
    before: Iterable[AlarmMove] = (),
) -> dict[str, Any]:
    """Return the figures of a span with the fields of `runtime.wire.AlarmFigures`.

    `alarms` is how they stand at the end; transitions of alarms that the plant no longer has count as of no
    area and low priority. `before`: the transitions of the time before, in which a flood may have begun.
    """
    known = {alarm.name: alarm.config for alarm in alarms}
    watches = {area: FloodWatch(area) for area in sorted({config.area for config in known.values()})}
    for move in before:
        if move.announced:
            area = known[move.alarm].area if move.alarm in known else ""
            watches.setdefault(area, FloodWatch(area)).add(move.at_ns, move.alarm)
    for watch in watches.values():
        watch.count_from(start_ns)
    chatter = Chatter()
    counts: Counter[str] = Counter()
    fleeting: Counter[str] = Counter()
    raised: dict[str, int] = {}
    for move in moves:
        if move.announced:
            area = known[move.alarm].area if move.alarm in known else ""
            watches.setdefault(area, FloodWatch(area)).add(move.at_ns, move.alarm)
            chatter.add(move.at_ns, move.alarm)
            counts[move.alarm] += 1
        if move.transition == "raised" and move.announced:  # what is hidden is no nuisance
            raised[move.alarm] = move.at_ns
        elif move.transition == "cleared" and move.at_ns - raised.pop(move.alarm, 0) <= FLEETING_NS:
            fleeting[move.alarm] += 1
    span_ns = max(1, end_ns - start_ns)
    total = counts.total()
    priorities: Counter[str] = Counter()
    for name, count in counts.items():
        priority = known[name].priority if name in known else "low"
        priorities["high" if priority == "critical" else priority] += count
    operators = []
    for watch in watches.values():
        watch.advance(end_ns)
        lasting = end_ns - max(watch.flood.began_ns, start_ns) if watch.flood else 0
        operators.append(
            {
                "area": watch.area,
                "announced": watch.total,
                "last_10min": watch.rate,
                "average_10min": watch.total * WINDOW_NS / span_ns,
                "peak_10min": watch.peak,
                "flood_percent": min(100.0, 100 * (watch.flood_ns + lasting) / span_ns),
            }
        )
    floods = sorted((each for watch in watches.values() for each in watch.floods), key=_began)
    standing = [alarm for alarm in alarms if alarm.standing.in_alarm and not alarm.standing.hidden]
    return {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "announced": total,
        "standing": len(standing),
        "operators": operators,
        "floods": [flood_view(each) for each in floods],
        "top": [
            {"alarm": name, "count": count, "percent": 100 * count / total}
            for name, count in counts.most_common(TOP)
        ],
        "chattering": [each for each in _counted(chatter.worst) if each["count"] >= CHATTERS[0]],
        "fleeting": _counted(fleeting),
        "stale": [{"alarm": alarm.name, "since_ns": alarm.raised_ns} for alarm in stale(alarms, end_ns)],
        "priorities": [
            {
                "priority": priority,
                "count": priorities[priority],
                "percent": 100 * priorities[priority] / total if total else 0.0,
                "target_percent": target,
            }
            for priority, target in TARGETS.items()
        ],
    }


def flood_view(flood: Flood) -> dict[str, Any]:
    """Return a flood with the fields of `runtime.wire.AlarmFlood`."""
    return {name: getattr(flood, name) for name in ("area", "first", "began_ns", "count", "ended_ns")}


def _began(flood: Flood) -> int:
    return flood.began_ns


def _counted(counts: Counter[str]) -> list[dict[str, Any]]:
    return [{"alarm": name, "count": count} for name, count in counts.most_common()]
