"""Figures of equal intervals of one tag, gathered from samples and from sums of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Quality

GOOD = int(Quality.GOOD)
# Source: OPC 10000-4, StatusCodes; OPC 10000-13 uses them for aggregates.
UNCERTAIN_SUB_NORMAL = 0x40A4_0000
BAD_NO_DATA = 0x809B_0000


@dataclass(frozen=True, slots=True)
class Sums:
    """What a run of samples of one tag adds up to, from its first sample to its last."""

    first_ns: int
    last_ns: int
    good: int
    head: float
    tail: float
    held: float
    least: float
    greatest: float
    total: float
    area: float
    good_ns: float
    uncertain: bool
    held_uncertain: bool


class Intervals:
    """Equal spans from `start` to `end`; feed samples in order of time, then `finish`.

    A value holds until the next sample, at most until `until`. Not-a-number is no value.

    Attributes:
        least, greatest: of what held in the interval.
        area, good_ns: integral of the value over time, and how long there was one.
        total, good: sum and number of the samples with a value.
        head, tail: first and last of these.
        uncertain: whether a value of uncertain quality held in it.
    """

    def __init__(self, start: int, end: int, width: int, until: int) -> None:
        self.start, self.end, self.width = start, end, width
        self.stop = max(start, min(end, until))
        n = -(-(end - start) // width)
        self.starts = start + np.arange(n, dtype=np.int64) * width
        self.least, self.greatest = np.full(n, np.nan), np.full(n, np.nan)
        self.head, self.tail = np.full(n, np.nan), np.full(n, np.nan)
        self.total, self.area, self.good_ns = np.zeros(n), np.zeros(n), np.zeros(n)
        self.good = np.zeros(n, np.int64)
        self.uncertain = np.zeros(n, np.bool_)
        self._at, self._held, self._doubt = start, math.nan, False

    def hold(self, value: float, uncertain: bool) -> None:
        """Begin with the value that held at the start."""
        self._held, self._doubt = value, uncertain

    def feed(self, t: NDArray[np.int64], value: NDArray[np.float64], uncertain: NDArray[np.bool_]) -> None:
        """Take samples in order of time, none before those already taken."""
        if not len(t):
            return
        self._hold_until(int(t[0]))
        good = ~np.isnan(value)
        bucket = (t - self.start) // self.width
        self._count(bucket[good], value[good])
        points, source = t, np.arange(len(t))
        first, last = int(bucket[0]), int(bucket[-1])
        if last > first:  # a value that holds on into the next intervals counts in each
            edges = self.starts[first + 1 : last + 1]
            before = np.searchsorted(t, edges, side="right") - 1
            points = np.concatenate([t, edges])
            source = np.concatenate([source, before])
            order = np.argsort(points, kind="stable")
            points, source = points[order], source[order]
        ns = np.diff(points).astype(np.float64)
        self._weigh((points[:-1] - self.start) // self.width, value[source[:-1]], ns)
        self._reach(bucket, value)
        if uncertain.any():
            doubtful = uncertain[source[:-1]] & ~np.isnan(value[source[:-1]])
            self.uncertain[((points[:-1] - self.start) // self.width)[doubtful]] = True
        self._at, self._held, self._doubt = int(t[-1]), float(value[-1]), bool(uncertain[-1])

    def feed_sums(self, sums: Sums) -> None:
        """Take a run of samples that lies within one interval, by what it adds up to."""
        self._hold_until(sums.first_ns)
        index = (sums.first_ns - self.start) // self.width
        if sums.good:
            if not self.good[index]:
                self.head[index] = sums.head
            self.tail[index] = sums.tail
            self.total[index] += sums.total
            self.good[index] += sums.good
            self.area[index] += sums.area
            self.good_ns[index] += sums.good_ns
            self.uncertain[index] |= sums.uncertain
            self._touch(index, sums.least)
            self._touch(index, sums.greatest)
        self._at, self._held, self._doubt = sums.last_ns, sums.held, sums.held_uncertain

    def finish(self) -> None:
        """Let the last value hold until the end, or until now."""
        self._hold_until(self.stop)

    @property
    def weighted(self) -> NDArray[np.float64]:
        """Return the means weighted by time."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.clip(self.area / self.good_ns, self.least, self.greatest)
        return np.where(self.good_ns > 0, mean, self.least)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the means of the samples."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.good > 0, np.clip(self.total / self.good, self.least, self.greatest), np.nan)

    def quality(self, figure: NDArray[np.float64]) -> NDArray[np.uint32]:
        """Return how far a figure stands for its interval: good where there was a value all the time."""
        ends = np.minimum(self.starts + self.width, self.stop)
        partly = (self.good_ns < (ends - self.starts) * (1 - 1e-9)) | self.uncertain
        code = np.where(partly, UNCERTAIN_SUB_NORMAL, GOOD)
        return np.where(np.isnan(figure), BAD_NO_DATA, code).astype(np.uint32)

    def _hold_until(self, to: int) -> None:
        """Let the present value hold until a time, through as many intervals as it takes."""
        if not math.isnan(self._held) and to > self._at:
            first, last = (self._at - self.start) // self.width, (to - 1 - self.start) // self.width
            if first == last:
                self._lay(first, to - self._at)
            else:
                self._lay(first, int(self.starts[first]) + self.width - self._at)
                self._lay(last, to - int(self.starts[last]))
                if last - first > 1:
                    between = slice(first + 1, last)
                    self.area[between] += self._held * self.width
                    self.good_ns[between] += self.width
                    self.uncertain[between] |= self._doubt
                    self.least[between] = np.fmin(self.least[between], self._held)
                    self.greatest[between] = np.fmax(self.greatest[between], self._held)
        self._at = max(self._at, to)

    def _lay(self, index: int, ns: int) -> None:
        self.area[index] += self._held * ns
        self.good_ns[index] += ns
        self.uncertain[index] |= self._doubt
        self._touch(index, self._held)

    def _touch(self, index: int, value: float) -> None:
        least, greatest = self.least[index], self.greatest[index]
        if not least <= value:
            self.least[index] = value
        if not greatest >= value:
            self.greatest[index] = value

    def _count(self, bucket: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """Count samples with a value."""
        if not len(bucket):
            return
        begin = np.append(0, np.flatnonzero(np.diff(bucket)) + 1)
        at = bucket[begin]
        fresh = self.good[at] == 0
        self.head[at[fresh]] = value[begin[fresh]]
        self.tail[at] = value[np.append(begin[1:], len(value)) - 1]
        self.total[at] += np.add.reduceat(value, begin)
        self.good[at] += np.diff(np.append(begin, len(value)))

    def _weigh(self, bucket: NDArray[np.int64], value: NDArray[np.float64], ns: NDArray[np.float64]) -> None:
        """Add values that held for a time."""
        good = ~np.isnan(value)
        bucket, value, ns = bucket[good], value[good], ns[good]
        if not len(bucket):
            return
        begin = np.append(0, np.flatnonzero(np.diff(bucket)) + 1)
        at = bucket[begin]
        self.area[at] += np.add.reduceat(value * ns, begin)
        self.good_ns[at] += np.add.reduceat(ns, begin)
        self._bound(at, begin, value)

    def _reach(self, bucket: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """Let samples count into least and greatest, however short they held."""
        good = ~np.isnan(value)
        bucket, value = bucket[good], value[good]
        if len(bucket):
            begin = np.append(0, np.flatnonzero(np.diff(bucket)) + 1)
            self._bound(bucket[begin], begin, value)

    def _bound(self, at: NDArray[np.int64], begin: NDArray[np.intp], value: NDArray[np.float64]) -> None:
        self.least[at] = np.fmin(self.least[at], np.minimum.reduceat(value, begin))
        self.greatest[at] = np.fmax(self.greatest[at], np.maximum.reduceat(value, begin))


class Ticks:
    """The samples around given times of one tag; feed samples in order of time."""

    def __init__(self, ticks: NDArray[np.int64]) -> None:
        n = len(ticks)
        self.ticks = ticks
        self.before_ns, self.after_ns = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        self.before, self.after = np.full(n, np.nan), np.full(n, np.nan)
        self.quality = np.full(n, BAD_NO_DATA, np.uint32)

    def feed(self, t: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        """Take samples; not-a-number is no value."""
        if not len(t):
            return
        index = np.searchsorted(t, self.ticks, side="right") - 1
        known = np.flatnonzero(index >= 0)
        self.before_ns[known] = t[index[known]]
        self.before[known] = value[index[known]]
        self.quality[known] = quality[index[known]]
        ahead = np.flatnonzero((index + 1 < len(t)) & (self.after_ns < 0))
        self.after_ns[ahead] = t[index[ahead] + 1]
        self.after[ahead] = value[index[ahead] + 1]

    def held(self, until: int) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Return the value that held at each time, with its quality; nothing after `until`."""
        there = self.ticks <= until
        value = np.where(there, self.before, np.nan)
        quality = np.where(there, self.quality, BAD_NO_DATA).astype(np.uint32)
        strange = np.isnan(value) & (quality >> 31 == 0)  # infinite, or not a number
        return value, np.where(strange, BAD_NO_DATA, quality).astype(np.uint32)

    def interpolated(self, until: int) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Return values on the straight line between the samples around each time.

        Where no value follows, the value before holds, as uncertain.
        """
        value, quality = self.held(until)
        exact = self.before_ns == self.ticks
        between = ~exact & ~np.isnan(value) & ~np.isnan(self.after)
        span = np.where(between, self.after_ns - self.before_ns, 1)
        share = np.where(between, self.ticks - self.before_ns, 0) / span
        line = np.where(between, self.before + (self.after - self.before) * share, value)
        alone = ~exact & ~between & ~np.isnan(value)
        return line, np.where(alone, UNCERTAIN_SUB_NORMAL, quality).astype(np.uint32)
