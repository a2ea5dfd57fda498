"""What the trend draws: pens with points in time, gaps kept as gaps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from runtime.contract import Quality
from runtime.wire import TagView, TrendSeries
from tui.equipment import is_float, is_measured
from tui.model import SECOND_NS, Point, View

MAX_PENS = 4
LIVE_POINTS = 4096
JOINED_NS = SECOND_NS  # values that come more often are joined by straight lines

WINDOWS_S = {"1min": 60, "10min": 600, "1h": 3600, "8h": 28_800}
Segment = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One pen, ready to draw.

    Attributes:
        low, high: values at the bottom and the top of the chart.
        segments: runs of (ns, value) without a gap in them.
    """

    number: int
    tag: TagView
    low: float
    high: float
    segments: tuple[Segment, ...]


@dataclass(slots=True)
class Pen:
    """A tag on the trend: stored points, and the live ones after them."""

    path: str
    stored: tuple[tuple[int, float | None], ...] = ()
    live: deque[tuple[int, float | None]] = field(default_factory=lambda: deque(maxlen=LIVE_POINTS))

    def take_history(self, series: TrendSeries) -> None:
        """Take stored buckets; each becomes its least and its greatest value, so that no peak is lost."""
        points: list[tuple[int, float | None]] = []
        width_ns = series.points[1][0] - series.points[0][0] if len(series.points) > 1 else 0
        for at_ns, low, mean, high in series.points:
            if low is None or high is None or mean is None:
                points.append((at_ns, None))
            elif low == high:
                points.append((at_ns, mean))
            else:
                before = points[-1][1] if points else None
                falling = before is not None and abs(before - high) < abs(before - low)
                middle_ns = at_ns + width_ns // 2
                points += [(middle_ns, value) for value in ((high, low) if falling else (low, high))]
        while points and points[-1][1] is None:
            points.pop()  # buckets that are not committed yet are not a gap: the live points follow
        self.stored = tuple(points)

    def take_live(self, view: View, point: Point | None) -> None:
        """Take the newest value; a value that is not good ends the curve until the next good one."""
        good = point is not None and not view.stale and not Quality.is_bad(point.quality)
        value = float(point.value) if good and point and isinstance(point.value, int | float) else None
        if value is None:
            if self.live and self.live[-1][1] is not None:
                if not view.stale:
                    self._hold(view.now_ns)
                self.live.append((view.now_ns, None))
            return
        at_ns = max(point.source_ns if point else 0, self.live[-1][0] if self.live else 0)
        if not self.live or self.live[-1] != (at_ns, value):
            self._hold(at_ns)
            self.live.append((at_ns, value))

    def _hold(self, until_ns: int) -> None:
        """Keep the last value until another came: it is told when it changes, so a line between is a step."""
        if self.live:
            at_ns, value = self.live[-1]
            if value is not None and until_ns - at_ns > JOINED_NS:
                self.live.append((until_ns, value))

    def curve(self, number: int, tag: TagView, start_ns: int, now_ns: int, held: bool) -> Curve:
        """Return what to draw from `start_ns` to `now_ns`; `held` draws the last value up to now."""
        segments = tuple(_segments(self._points(now_ns, held), start_ns))
        low, high = tag.low, tag.high
        if low is None or high is None:
            values = [value for segment in segments for _, value in segment]
            least, most = (min(values), max(values)) if values else (0.0, 1.0)
            margin = (most - least) * 0.05 or max(abs(most) * 0.05, 0.5)
            low, high = least - margin, most + margin
        return Curve(number, tag, low, high, segments)

    def _points(self, now_ns: int, held: bool) -> Iterator[tuple[int, float | None]]:
        yield from self.stored
        end_ns = self.stored[-1][0] if self.stored else 0
        last: float | None = None
        for at_ns, value in self.live:
            last = value
            if at_ns > end_ns:
                yield at_ns, value
        if held and last is not None:
            yield now_ns, last


def _segments(points: Iterator[tuple[int, float | None]], start_ns: int) -> Iterator[Segment]:
    run: list[tuple[int, float]] = []
    for at_ns, value in points:
        if value is None:
            if run:
                yield tuple(run)
            run = []
        elif at_ns >= start_ns:
            run.append((at_ns, value))
        else:
            run = [(start_ns, value)]
    if run and run[-1][0] > start_ns:
        yield tuple(run)


def default_pens(tags: Sequence[TagView]) -> list[str]:
    """Choose up to four measured values with a range, of different equipment and of different kinds."""
    chosen: list[str] = []
    seen: set[str] = set()
    for tag in tags:
        equipment, _, signal = tag.path.rpartition("/")
        ranged = is_float(tag) and tag.low is not None and tag.high is not None
        if ranged and is_measured(tag) and not seen & {equipment, signal}:
            chosen.append(tag.path)
            seen |= {equipment, signal}
    return chosen[:MAX_PENS]
