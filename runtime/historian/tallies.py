"""Figures of equal intervals that need every sample: counts, times of qualities, spread, extremes.

Of a tag whose samples straight lines join, those that are stored count.

Source: OPC 10000-13, 5.4.3; each result has the StatusCode that its clause says, with the bits of
OPC 10000-4, 7.39.1 where there are any.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.historian.intervals import BAD_NO_DATA, GOOD, UNCERTAIN_SUB_NORMAL

CALCULATED, RAW, MULTIPLE = 0x401, 0x400, 0x410
_BAD = 2  # what is worse than good (0) and uncertain (1), as the two highest bits of a status code tell
_NS_PER_MS = 1e6

Floats = NDArray[np.float64]
Codes = NDArray[np.uint32]


class Tallies:
    """The samples of one tag by equal spans from `start` to `end`; feed them in order of time, then `finish`.

    A quality holds until the next sample, at most until `until`. Before the first sample ever it is bad.
    """

    def __init__(self, start: int, end: int, width: int, until: int) -> None:
        n = -(-(end - start) // width)
        self._start, self._width = start, width
        self._stop = max(start, min(end, until))
        self._edges = np.minimum(np.arange(n + 1, dtype=np.int64) * width, end - start)
        self._known = False  # whether there was a sample
        self._since = 0  # the interval of the first
        self._done, self._held = start, _BAD
        self._before = np.nan  # the last value that was not bad
        self._rows, self._good, self._bad = (np.zeros(n, np.int64) for _ in range(3))
        self._changes = np.zeros(n, np.int64)
        self._good_ns, self._bad_ns = np.zeros(n), np.zeros(n)
        self._head, self._tail = np.full(n, np.nan), np.full(n, np.nan)
        self._skipped = np.zeros(n, np.bool_)  # a sample that is not good comes before the first good one
        self._trails = np.zeros(n, np.bool_)  # or after the last
        self._sum, self._squares = np.zeros(n), np.zeros(n)  # of what differs from the head
        self._least, self._greatest, self._worst = (_Extreme(n) for _ in range(3))

    def hold(self, value: float, quality: int) -> None:
        """Begin with the newest sample before the start; not-a-number is no value."""
        self._known = True
        self._held = min(quality >> 30, _BAD)
        self._before = value

    def feed(self, t: NDArray[np.int64], value: Floats, quality: Codes) -> None:
        """Take samples in order of time, none before those already taken; not-a-number is no value."""
        upto = int(np.searchsorted(t, self._stop))
        t, value, quality = t[:upto], value[:upto], quality[:upto]
        if not len(t):
            return
        n = len(self._rows)
        bucket = (t - self._start) // self._width
        if not self._known:
            self._known, self._since = True, int(bucket[0])
        severity = np.minimum(quality >> 30, _BAD).astype(np.int64)
        good = (severity == 0) & ~np.isnan(value)
        self._rows += np.bincount(bucket, minlength=n)
        self._good += np.bincount(bucket[good], minlength=n)
        self._bad += np.bincount(bucket[severity == _BAD], minlength=n)
        self._ends(bucket, value, good)
        apart = value[good] - self._head[bucket[good]]
        self._sum += np.bincount(bucket[good], apart, n)
        self._squares += np.bincount(bucket[good], apart**2, n)
        self._least.feed(bucket[good], value[good], t[good])
        self._greatest.feed(bucket[good], -value[good], t[good])
        self._worst.feed(bucket, -severity.astype(np.float64), quality)
        usable = (severity != _BAD) & ~np.isnan(value)
        values = np.append(self._before, value[usable])
        changed = values[1:] != values[:-1]  # not-a-number, where none was before, differs
        self._changes += np.bincount(bucket[usable][changed], minlength=n)
        self._before = float(values[-1])
        self._lay(np.append(self._done, t), np.append(self._held, severity[:-1]))
        self._done, self._held = int(t[-1]), int(severity[-1])

    def finish(self) -> None:
        """Let the last quality hold until the end, or until now."""
        self._lay(np.array([self._done, max(self._stop, self._done)]), np.array([self._held]))

    def figure(self, mode: str) -> tuple[NDArray[np.int64], Floats, Codes]:
        """Return time, value and status of each interval, by a mode of `TALLIES`."""
        starts = self._start + self._edges[:-1]
        value, code = _FIGURES[mode](self)
        numbers = np.arange(len(starts))
        nothing = (starts >= self._stop) | (not self._known) | (numbers < self._since) | np.isnan(value)
        at = starts
        if mode in _ACTUAL:
            extreme = self._least if mode == "min_at" else self._greatest
            at = np.where(nothing, starts, extreme.what)
        return at, np.where(nothing, np.nan, value), np.where(nothing, BAD_NO_DATA, code).astype(np.uint32)

    def _ends(self, bucket: NDArray[np.int64], value: Floats, good: NDArray[np.bool_]) -> None:
        """See what each interval begins and ends with."""
        places, first, counts = np.unique(bucket, return_index=True, return_counts=True)
        fresh = self._rows[places] == counts  # these are all until now
        self._skipped[places[fresh]] = ~good[first[fresh]]
        self._trails[places] = ~good[first + counts - 1]
        value = value[good]
        places, first, counts = np.unique(bucket[good], return_index=True, return_counts=True)
        fresh = np.isnan(self._head[places])
        self._head[places[fresh]] = value[first[fresh]]
        self._tail[places] = value[first + counts - 1]

    def _lay(self, points: NDArray[np.int64], severity: NDArray[np.int64]) -> None:
        """Add how long qualities held, each from its point to the next."""
        at = (points - self._start).astype(np.float64)
        for column, wanted in ((self._good_ns, 0), (self._bad_ns, _BAD)):
            upto = np.append(0.0, np.cumsum(np.diff(at) * (severity == wanted)))
            column += np.diff(np.interp(self._edges, at, upto))

    # Value and status of each interval; not-a-number where there is none.

    def _if_good(self, value: Floats) -> tuple[Floats, Codes]:
        """Return what is uncertain where samples are not good."""
        doubt = self._good < self._rows
        return np.where(self._good > 0, value, np.nan), self._codes(doubt)

    @staticmethod
    def _codes(doubt: NDArray[np.bool_], bits: int = CALCULATED) -> Codes:
        return (np.where(doubt, UNCERTAIN_SUB_NORMAL, GOOD) | bits).astype(np.uint32)

    def _always(self, value: Floats) -> tuple[Floats, Codes]:
        return value, np.full(len(value), GOOD | CALCULATED, np.uint32)

    def _count(self) -> tuple[Floats, Codes]:
        return self._good.astype(np.float64), self._codes(self._good < self._rows)

    def _transitions(self) -> tuple[Floats, Codes]:
        return self._changes.astype(np.float64), self._codes(self._bad > 0)

    def _delta(self) -> tuple[Floats, Codes]:
        return self._tail - self._head, self._codes(self._skipped | self._trails)

    def _range(self) -> tuple[Floats, Codes]:
        return self._if_good(-self._greatest.best - self._least.best)

    def _share(self, of_ns: Floats) -> tuple[Floats, Codes]:
        """Return per cent of an interval, or of what was of it until now."""
        long_ns = np.diff(np.minimum(self._edges, self._stop - self._start)).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._always(np.minimum(of_ns / long_ns * 100, 100))

    def _part(self, count: NDArray[np.int64]) -> tuple[Floats, Codes]:
        """Return per cent of the samples."""
        with np.errstate(invalid="ignore"):
            return self._always(count / self._rows * 100)

    def _deviation(self, less: int) -> tuple[Floats, Codes]:
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = self._squares - self._sum**2 / self._good
            found = np.sqrt(np.maximum(squares, 0) / np.maximum(self._good - less, 1))
        return self._if_good(found)

    def _worst_quality(self) -> tuple[Floats, Codes]:
        value = np.where(self._rows > 0, self._worst.what.astype(np.float64), np.nan)
        bits = np.where(self._worst.many & (self._worst.best < 0), MULTIPLE, 0)
        return value, (GOOD | CALCULATED | bits).astype(np.uint32)

    def _actual(self, extreme: _Extreme, sign: int) -> tuple[Floats, Codes]:
        bits = np.where(extreme.many, MULTIPLE, RAW)
        value, _ = self._if_good(sign * extreme.best)
        return value, self._codes(self._good < self._rows, 0) | bits.astype(np.uint32)


class _Extreme:
    """The least of each interval, what comes with its first occurrence, and whether it occurs again."""

    def __init__(self, n: int) -> None:
        self.best = np.full(n, np.nan)
        self.what = np.zeros(n, np.int64)
        self.many = np.zeros(n, np.bool_)

    def feed(self, bucket: NDArray[np.int64], value: Floats, what: NDArray[np.generic]) -> None:
        """Take values in order of time, with what comes with each."""
        if not len(bucket):
            return
        places, begin, counts = np.unique(bucket, return_index=True, return_counts=True)
        least = np.minimum.reduceat(value, begin)
        hits = np.flatnonzero(value == np.repeat(least, counts))
        _, first, times = np.unique(bucket[hits], return_index=True, return_counts=True)
        before = self.best[places]
        better = ~(before <= least)
        self.best[places[better]] = least[better]
        self.what[places[better]] = what[hits[first]][better]
        self.many[places[better]] = times[better] > 1
        self.many[places[before == least]] = True


_FIGURES: dict[str, Callable[[Tallies], tuple[Floats, Codes]]] = {
    "count": Tallies._count,
    "transitions": Tallies._transitions,
    "delta": Tallies._delta,
    "range": Tallies._range,
    "duration_good": lambda found: found._always(found._good_ns / _NS_PER_MS),
    "duration_bad": lambda found: found._always(found._bad_ns / _NS_PER_MS),
    "percent_good": lambda found: found._share(found._good_ns),
    "percent_bad": lambda found: found._share(found._bad_ns),
    "samples_good": lambda found: found._part(found._good),
    "samples_bad": lambda found: found._part(found._bad),
    "worst_quality": Tallies._worst_quality,
    "deviation_sample": lambda found: found._deviation(1),
    "deviation_population": lambda found: found._deviation(0),
    "min_at": lambda found: found._actual(found._least, 1),
    "max_at": lambda found: found._actual(found._greatest, -1),
}
_ACTUAL = ("min_at", "max_at")
TALLIES = tuple(_FIGURES)
