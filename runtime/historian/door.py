"""The swinging door: keeps the samples from which straight lines tell the others."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from runtime.config import TagList
from runtime.contract import Batch
from runtime.historian.columns import Kinds

HOLD_NS = 60_000_000_000
_FEW = 48  # rows of different tags: for fewer a loop is faster than numpy

Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]


class SwingingDoor:
    """Holds the newest sample of each tag back until it is known whether it is needed.

    A sample is dropped only if it lies within the tag's deadband of the straight line between the samples
    kept before and after it. A change of quality, a late sample and a value that is no number end the line:
    they are kept, and what was held back too. A tag that said nothing for longer than `HOLD_NS` rested: if it
    moved then, its old value is stored once more just before, so that no line runs through the rest.
    """

    def __init__(self, tags: TagList, kinds: Kinds) -> None:
        n = len(tags)
        self._kinds = kinds
        self.mine = np.array([tag.compression == "swinging_door" for tag in tags], np.bool_)
        self._band = np.array([tag.deadband for tag in tags], np.float64)
        # The newest sample kept: where the line begins. The slopes between which it must run.
        self.known = np.zeros(n, np.bool_)
        self._t, self._raw = np.zeros(n, np.int64), np.zeros(n, np.uint64)
        self._quality, self._value = np.zeros(n, np.uint32), np.full(n, np.nan)
        self._low, self._high = np.full(n, -np.inf), np.full(n, np.inf)
        # The sample held back, and when (in steady time) the first one after the newest kept came.
        self._waits = np.zeros(n, np.bool_)
        self._next_t, self._next_raw = np.zeros(n, np.int64), np.zeros(n, np.uint64)
        self._next_value, self._since = np.full(n, np.nan), np.zeros(n, np.int64)

    def forget(self) -> None:
        """Keep the next row of every tag."""
        self.known[:] = False
        self._waits[:] = False

    def waiting(self) -> Batch:
        """Return the samples held back."""
        return self._held(np.flatnonzero(self._waits).astype(np.int32))

    def release(self, since_ns: int) -> Batch:
        """Keep what is held back of the tags of which something is held back since then."""
        ids = np.flatnonzero(self._waits & (self._since <= since_ns)).astype(np.int32)
        out = self._held(ids)
        self._begin_at_held(ids)
        return out

    def clock_set(self) -> Batch:
        """Take no sample for late because the clock was set back; return what was held back."""
        out = self.release((1 << 63) - 1)
        self._t[:], self._value[:] = 0, np.nan
        return out

    def keep(self, batch: Batch, steady_ns: int) -> Batch:
        """Return the samples that are kept now."""
        value = self._kinds.decode(batch.ids, batch.raw)
        order = np.argsort(batch.ids, kind="stable")
        first = np.flatnonzero(np.append(True, np.diff(batch.ids[order]) != 0))
        turn = np.empty(len(order), np.intp)  # the how manieth row of its tag each row is
        turn[order] = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
        kept: list[Batch] = []
        left = np.arange(len(order))
        number = 0
        while len(rows := left[turn[left] == number]) >= _FEW:
            kept += self._step(batch.take(rows), value[rows], steady_ns)
            left = left[turn[left] > number]
            number += 1
        if len(left):
            kept += self._walk(batch.take(left), value[left], steady_ns)
        return Batch.joined(kept)

    def _step(self, batch: Batch, value: NDArray[np.float64], steady_ns: int) -> list[Batch]:
        """Judge rows of different tags; return what is kept, in order of time for each tag."""
        ids, t = batch.ids, batch.source_ns
        waits, begun, band = self._waits[ids], self._value[ids], self._band[ids]
        last_t = np.where(waits, self._next_t[ids], self._t[ids])
        last = np.where(waits, self._next_value[ids], begun)
        usable = (batch.quality >> 31 == 0) & np.isfinite(value)
        same = self.known[ids] & (batch.quality == self._quality[ids])
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            goes_on = usable & np.isfinite(last) & self.known[ids] & (t > last_t)
            rested = goes_on & (t - last_t > HOLD_NS) & ~(np.abs(value - last) <= band)
            joins = goes_on & same & ~rested
            slope = (value - begun) / (t - self._t[ids])
            run = (self._next_t[ids] - self._t[ids]).astype(np.float64)
            low = np.fmax(self._low[ids], (last - band - begun) / run)
            high = np.fmin(self._high[ids], (last + band - begun) / run)
            fits = joins & waits & (low <= slope) & (slope <= high) & np.isfinite(slope)
        repeats = same & ~usable & (batch.raw == self._raw[ids])
        turns, ends = joins & waits & ~fits, ~joins & ~repeats
        out = [self._held(ids[(turns | ends) & waits]), self._rested(ids[rested], t[rested] - 1)]
        out.append(batch.take(ends))
        self._low[ids[fits]], self._high[ids[fits]] = low[fits], high[fits]
        self._begin_at_held(ids[(turns | ends) & waits])
        starts = joins & ~fits
        self._waits[ids[joins]] = True
        self._next_t[ids[joins]] = t[joins]
        self._next_raw[ids[joins]] = batch.raw[joins]
        self._next_value[ids[joins]] = value[joins]
        self._since[ids[starts]] = steady_ns
        anew = ends & ((t >= last_t) | ~self.known[ids])
        at = ids[anew]
        self.known[at] = True
        self._t[at], self._raw[at], self._quality[at] = t[anew], batch.raw[anew], batch.quality[anew]
        self._value[at] = np.where(usable[anew], value[anew], np.nan)
        return out

    def _walk(self, batch: Batch, value: NDArray[np.float64], steady_ns: int) -> list[Batch]:
        """Do what `_step` does, row by row: rows may be of one tag."""
        kept: list[tuple[int, int, int, int]] = []
        rows = zip(
            batch.ids.tolist(), batch.source_ns.tolist(), batch.raw.tolist(), batch.quality.tolist(),
            value.tolist(), strict=True,
        )  # fmt: skip
        for id_, t, raw, quality, now in rows:
            known, waits, band = bool(self.known[id_]), bool(self._waits[id_]), float(self._band[id_])
            begun_t, begun = int(self._t[id_]), float(self._value[id_])
            last_t, last = begun_t, begun
            if waits:
                last_t, last = int(self._next_t[id_]), float(self._next_value[id_])
            usable = quality >> 31 == 0 and math.isfinite(now)
            same = known and quality == self._quality[id_]
            if same and not usable and raw == self._raw[id_]:
                continue
            goes_on = usable and math.isfinite(last) and known and t > last_t
            rested = goes_on and t - last_t > HOLD_NS and not abs(now - last) <= band
            if goes_on and same and not rested:
                slope = (now - begun) / (t - begun_t)
                fits = False
                if waits:
                    low = max(float(self._low[id_]), (last - band - begun) / (last_t - begun_t))
                    high = min(float(self._high[id_]), (last + band - begun) / (last_t - begun_t))
                    fits = low <= slope <= high and math.isfinite(slope)
                if fits:
                    self._low[id_], self._high[id_] = low, high
                else:
                    if waits:
                        kept.append((id_, last_t, int(self._next_raw[id_]), quality))
                        self._begin_at_held(np.array([id_], np.int32))
                    self._since[id_] = steady_ns
                self._waits[id_] = True
                self._next_t[id_], self._next_raw[id_], self._next_value[id_] = t, raw, now
                continue
            last_raw = int(self._next_raw[id_] if waits else self._raw[id_])
            last_quality = int(self._quality[id_])
            if waits:
                kept.append((id_, last_t, last_raw, last_quality))
                self._begin_at_held(np.array([id_], np.int32))
            if rested:
                kept.append((id_, t - 1, last_raw, last_quality))
            kept.append((id_, t, raw, quality))
            if t >= last_t or not known:
                self.known[id_] = True
                self._t[id_], self._raw[id_], self._quality[id_] = t, raw, quality
                self._value[id_] = now if usable else math.nan
        if not kept:
            return []
        ids, times, raws, qualities = zip(*kept, strict=True)
        return [Batch.of(ids, raws, np.array(times, np.int64), np.array(qualities, np.uint32))]

    def _held(self, ids: Ids) -> Batch:
        return Batch(ids, self._next_raw[ids], self._quality[ids], self._next_t[ids])

    def _rested(self, ids: Ids, t: NDArray[np.int64]) -> Batch:
        """Return the newest values once more, at other times."""
        raw = np.where(self._waits[ids], self._next_raw[ids], self._raw[ids])
        return Batch(ids, raw, self._quality[ids], t)

    def _begin_at_held(self, ids: Ids) -> None:
        """Let the lines begin anew where the samples are that were held back."""
        self._t[ids], self._raw[ids] = self._next_t[ids], self._next_raw[ids]
        self._value[ids] = self._next_value[ids]
        self._low[ids], self._high[ids] = -np.inf, np.inf
        self._waits[ids] = False
