"""Figures of equal intervals of one tag, gathered from samples and from sums of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Quality

GOOD = int(Quality.GOOD)
# Source: OPC 10000-4, StatusCodes; OPC 10000-13 uses them for aggregates.
UNCERTAIN_SUB_NORMAL = 0x40A4_0000
BAD_NO_DATA = 0x809B_0000

Lines = Sequence[tuple[int, int]]  # from when to when the samples of a tag are joined by straight lines


def joined_by_lines(lines: Lines, begun: NDArray[np.int64], ended: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which pairs of times are those of samples that a straight line joins."""
    found = np.zeros(len(begun), np.bool_)
    for first, last in lines:
        found |= (begun >= first) & (ended <= last) & (ended > begun)
    return found


@dataclass(frozen=True, slots=True)
class Sums:
    """What a run of samples of one tag adds up to, from its first sample to its last.

    `opens` and `held` are the values of these two, `head` and `tail` of the first and last that have one.
    """

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
    opens: float = math.nan


class Intervals:
    """Equal spans from `start` to `end`; feed samples in order of time, then `finish`.

    A value holds until the next sample, at most until `until`; within `lines` it runs straight to it.
    Not-a-number is no value.

    Attributes:
        least, greatest: of what held in the interval.
        area, good_ns: integral of the value over time, and how long there was one.
        total, good: sum and number of the samples with a value.
        head, tail: first and last of these.
        uncertain: whether a value of uncertain quality held in it.
    """

    def __init__(self, start: int, end: int, width: int, until: int, lines: Lines = ()) -> None:
        self._lines = lines
        self.start, self.end, self.width = start, end, width
        self.stop = max(start, min(end, until))
        n = -(-(end - start) // width)
        self.starts = start + np.arange(n, dtype=np.int64) * width
        self.least, self.greatest = np.full(n, np.nan), np.full(n, np.nan)
        self.head, self.tail = np.full(n, np.nan), np.full(n, np.nan)
        self.total, self.area, self.good_ns = np.zeros(n), np.zeros(n), np.zeros(n)
        self.good = np.zeros(n, np.int64)
        self.uncertain = np.zeros(n, np.bool_)
        self._done = start
        self._at, self._held, self._doubt = start, math.nan, False

    def hold(self, at_ns: int, value: float, uncertain: bool) -> None:
        """Begin with the newest sample before the start."""
        self._at, self._held, self._doubt = at_ns, value, uncertain

    def feed(self, t: NDArray[np.int64], value: NDArray[np.float64], uncertain: NDArray[np.bool_]) -> None:
        """Take samples in order of time, none before those already taken."""
        if not len(t):
            return
        self._carry(int(t[0]), int(t[0]), float(value[0]))
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
        left = right = value[source[:-1]]
        if self._lines:
            left, right = self._on_lines(t, value, points, source[:-1])
        self._weigh((points[:-1] - self.start) // self.width, left, right, ns)
        self._reach(bucket, value)
        if uncertain.any():
            doubtful = uncertain[source[:-1]] & ~np.isnan(value[source[:-1]])
            self.uncertain[((points[:-1] - self.start) // self.width)[doubtful]] = True
        self._at, self._held, self._doubt = int(t[-1]), float(value[-1]), bool(uncertain[-1])
        self._done = self._at

    def feed_sums(self, sums: Sums) -> None:
        """Take a run of samples that lies within one interval, by what it adds up to."""
        self._carry(sums.first_ns, sums.first_ns, sums.opens)
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
        self._done = self._at

    def finish(self, after_ns: int = 0, after: float = math.nan) -> None:
        """Let the last value hold until the end, or until now; on a line it runs to the sample after that."""
        self._carry(self.stop, after_ns, after)

    @property
    def weighted(self) -> NDArray[np.float64]:
        """Return the means weighted by time."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.clip(self.area / self.good_ns, self.least, self.greatest)
        return np.where(self.good_ns > 0, mean, self.least)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the means of the samples; on lines samples are missing, so there they are those by time."""
        if self._lines:
            return self.weighted
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.good > 0, np.clip(self.total / self.good, self.least, self.greatest), np.nan)

    def quality(self, figure: NDArray[np.float64]) -> NDArray[np.uint32]:
        """Return how far a figure stands for its interval: good where there was a value all the time."""
        spans = np.minimum(self.width, self.stop - self.starts)
        partly = (self.good_ns < spans * (1 - 1e-9)) | self.uncertain
        code = np.where(partly, UNCERTAIN_SUB_NORMAL, GOOD)
        return np.where(np.isnan(figure), BAD_NO_DATA, code).astype(np.uint32)

    def _carry(self, to: int, next_ns: int, following: float) -> None:
        """Let the present value hold, or run to the next one, through as many intervals as it takes."""
        begun, self._done = self._done, max(self._done, to)
        if math.isnan(self._held) or to <= begun:
            return
        slope = 0.0
        if not math.isnan(following) and any(
            first <= self._at < next_ns <= last for first, last in self._lines
        ):
            slope = (following - self._held) / (next_ns - self._at)
        first, last = (begun - self.start) // self.width, (to - 1 - self.start) // self.width
        if first == last:
            self._lay(first, begun, to, slope)
            return
        second, end = int(self.starts[first]) + self.width, int(self.starts[last])
        self._lay(first, begun, second, slope)
        self._lay(last, end, to, slope)
        if last - first > 1:
            between = slice(first + 1, last)
            left = self._held + slope * (self.starts[between] - self._at)
            right = left + slope * self.width
            self.area[between] += (left + right) / 2 * self.width
            self.good_ns[between] += self.width
            self.uncertain[between] |= self._doubt
            self.least[between] = np.fmin(self.least[between], np.minimum(left, right))
            self.greatest[between] = np.fmax(self.greatest[between], np.maximum(left, right))

    def _lay(self, index: int, begun: int, to: int, slope: float) -> None:
        left, right = self._held + slope * (begun - self._at), self._held + slope * (to - self._at)
        self.area[index] += (left + right) / 2 * (to - begun)
        self.good_ns[index] += to - begun
        self.uncertain[index] |= self._doubt
        self._touch(index, left)
        if slope:
            self._touch(index, right)

    def _on_lines(
        self,
        t: NDArray[np.int64],
        value: NDArray[np.float64],
        points: NDArray[np.int64],
        source: NDArray[np.intp],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the values at which each span between points begins and ends; `source` is its sample."""
        slope = np.zeros(len(t))
        rise = np.diff(value)
        straight = joined_by_lines(self._lines, t[:-1], t[1:]) & ~np.isnan(rise)
        slope[:-1][straight] = rise[straight] / np.diff(t)[straight]
        begun = value[source]
        return (
            begun + slope[source] * (points[:-1] - t[source]),
            begun + slope[source] * (points[1:] - t[source]),
        )

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

    def _weigh(
        self,
        bucket: NDArray[np.int64],
        left: NDArray[np.float64],
        right: NDArray[np.float64],
        ns: NDArray[np.float64],
    ) -> None:
        """Add values that held for a time, or ran from one to the other in it."""
        good = ~np.isnan(left)
        straight = right is not left
        bucket, left, right, ns = bucket[good], left[good], right[good], ns[good]
        if not len(bucket):
            return
        begin = np.append(0, np.flatnonzero(np.diff(bucket)) + 1)
        at = bucket[begin]
        middle = (left + right) / 2 if straight else left
        self.area[at] += np.add.reduceat(middle * ns, begin)
        self.good_ns[at] += np.add.reduceat(ns, begin)
        self._bound(at, begin, left)
        if straight:
            self._bound(at, begin, right)

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
        self.after_doubt = np.zeros(n, np.bool_)

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
        self.after_doubt[ahead] = quality[index[ahead] + 1] >> 30 == 1

    def held(self, until: int, lines: Lines = ()) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Return the value at each time with its quality: held, or on its line; nothing after `until`."""
        there = self.ticks <= until
        value = np.where(there, self.before, np.nan)
        quality = np.where(there, self.quality, BAD_NO_DATA).astype(np.uint32)
        strange = np.isnan(value) & (quality >> 31 == 0)  # infinite, or not a number
        if lines:
            value = self._between(value, joined_by_lines(lines, self.before_ns, self.after_ns))
        return value, np.where(strange, BAD_NO_DATA, quality).astype(np.uint32)

    def interpolated(self, until: int) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Return values on the straight line between the samples around each time.

        Where no value follows, the value before holds, as uncertain; so is a line to a value that is.
        """
        value, quality = self.held(until)
        between = (self.before_ns != self.ticks) & ~np.isnan(value)
        unsure = between & (np.isnan(self.after) | (self.after_doubt & (quality >> 30 == 0)))
        line = self._between(value, np.ones(len(value), np.bool_))
        return line, np.where(unsure, UNCERTAIN_SUB_NORMAL, quality).astype(np.uint32)

    def _between(self, value: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return values on the line from the sample before to the one after, where there are both."""
        between = where & (self.before_ns != self.ticks) & ~np.isnan(value) & ~np.isnan(self.after)
        span = np.where(between, self.after_ns - self.before_ns, 1)
        share = np.where(between, self.ticks - self.before_ns, 0) / span
        return np.where(between, self.before + (self.after - self.before) * share, value)
