"""Alarm conditions over columns: which of thousands of alarms hold for the values of a batch.

A condition is a comparator with hysteresis followed by a delay:

- `high` holds beyond the limit (value > limit) and until the value is back by the deadband
  (value <= limit - deadband); `low` is its mirror image; `discrete` holds while the value equals `state`.
- The alarm goes active when its condition has held for `on_delay`, and inactive when it was gone for
  `off_delay`. Both run in the kernel's time.
- A bad value says nothing about these three: comparator and alarm hold what they are and a running delay
  starts anew with the next good value. Not-a-number is a bad value.
- `bad_quality` holds while the value is bad; a tag that still waits for its first value says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.config import AlarmConfig, TagList
from runtime.contract import Batch, DataType, Quality

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max

_HIGH, _LOW, _DISCRETE, _BAD = range(4)
_KINDS = {"high": _HIGH, "low": _LOW, "discrete": _DISCRETE, "bad_quality": _BAD}


class Rules:
    """The conditions of all alarms, and how each stands.

    Attributes:
        active: whether each alarm is active, after delays, shape (alarms,).
        due_ns: when a running delay ends, `NEVER` where none runs, shape (alarms,).
        raw, text: last pattern and text seen of each alarm's tag.
    """

    def __init__(self, configs: Sequence[AlarmConfig], tags: TagList) -> None:
        chosen = [tags[config.tag] for config in configs]
        n = len(configs)
        order = np.argsort([tag.id for tag in chosen], kind="stable") if n else np.zeros(0, np.intp)
        ids = np.array([tag.id for tag in chosen], np.intp)
        self.tag_ids = np.unique(ids).astype(np.int32)
        self.active = np.zeros(n, np.bool_)
        self.due_ns = np.full(n, NEVER, np.int64)
        self.raw = np.zeros(n, np.uint64)
        self.text: dict[int, str] = {}
        self._by_tag = order.astype(np.intp)
        self._first = np.searchsorted(ids[order], np.arange(len(tags) + 1))
        self._watched = np.diff(self._first) > 0
        self._newest = np.zeros(len(tags), np.intp)
        self._condition = np.zeros(n, np.bool_)
        self._kind = np.array([_KINDS[config.kind] for config in configs], np.int8)
        self._float = np.array([tag.data_type.kind == "f" for tag in chosen], np.bool_)
        self._signed = np.array([tag.data_type.kind == "i" for tag in chosen], np.bool_)
        self._limit = np.array([config.limit or 0.0 for config in configs], np.float64)
        self._deadband = np.array([config.deadband for config in configs], np.float64)
        self._on_ns = np.array([config.on_delay for config in configs], np.int64)
        self._off_ns = np.array([config.off_delay for config in configs], np.int64)
        self._state = np.zeros(n, np.uint64)
        self._state_text: dict[int, str] = {}
        for row, (config, tag) in enumerate(zip(configs, chosen, strict=True)):
            if config.kind == "discrete":
                self._state[row] = tag.data_type.encode(config.state)
                if tag.data_type is DataType.STRING:
                    self._state_text[row] = str(config.state)

    def layers(self, batch: Batch) -> list[Rows]:
        """Return the batch's rows that any alarm watches, as rounds in which no tag occurs twice."""
        rows = np.flatnonzero(self._watched[batch.ids])
        ids = batch.ids[rows]
        self._newest[ids] = rows
        if (self._newest[ids] == rows).all():
            return [rows] if len(rows) else []
        order = np.argsort(ids, kind="stable")
        sorted_ids = ids[order]
        first = np.append(True, sorted_ids[1:] != sorted_ids[:-1])
        turn = np.arange(len(rows))
        turn -= np.maximum.accumulate(np.where(first, turn, 0))
        by_turn = np.argsort(turn, kind="stable")
        ends = np.cumsum(np.bincount(turn))[:-1]
        return [np.sort(layer) for layer in np.split(rows[order[by_turn]], ends)]

    def take(self, batch: Batch, layer: Rows, now_ns: int) -> Rows:
        """Evaluate one layer; return the alarms whose activity changes now."""
        alarms, rows = self._expand(batch.ids[layer], layer)
        raw = batch.raw[rows]
        self.raw[alarms] = raw
        if self._state_text or batch.text:
            for alarm, row in zip(alarms.tolist(), rows.tolist(), strict=True):
                if row in batch.text:
                    self.text[alarm] = batch.text[row]
        quality = batch.quality[rows]
        value = self._number(alarms, raw)
        bad = (quality >> 31 == 1) | np.isnan(value)
        condition = self._compare(alarms, raw, value, bad)
        watches_bad = self._kind[alarms] == _BAD
        silent = np.where(watches_bad, quality == Quality.BAD_WAITING_FOR_INITIAL_DATA, bad)
        condition = np.where(silent, self._condition[alarms], condition)
        self._condition[alarms] = condition
        return self._delay(alarms, condition, silent, now_ns)

    def expire(self, now_ns: int) -> Rows:
        """End the delays that are over; return the alarms whose activity changes now, in order of time."""
        changed = np.flatnonzero(self.due_ns <= now_ns)
        changed = changed[np.argsort(self.due_ns[changed], kind="stable")]
        self._flip(changed)
        return changed

    def force(self, alarm: int, active: bool) -> None:
        """Put an alarm and its comparator into a state, as it was before a restart."""
        self.active[alarm] = self._condition[alarm] = active
        self.due_ns[alarm] = NEVER

    def _expand(self, ids: NDArray[np.int32], rows: Rows) -> tuple[Rows, Rows]:
        first = self._first[ids]
        counts = self._first[ids + 1] - first
        total = int(counts.sum())
        starts = np.cumsum(counts) - counts
        index = np.arange(total) + np.repeat(first - starts, counts)
        return self._by_tag[index], np.repeat(rows, counts)

    def _number(self, alarms: Rows, raw: NDArray[np.uint64]) -> NDArray[np.float64]:
        value = np.where(self._float[alarms], raw.view(np.float64), raw.astype(np.float64))
        return np.where(self._signed[alarms], raw.view(np.int64).astype(np.float64), value)

    def _compare(self, alarms: Rows, raw: NDArray[np.uint64], value: NDArray[np.float64], bad: Mask) -> Mask:
        kind = self._kind[alarms]
        limit = self._limit[alarms]
        band = np.where(self._condition[alarms], self._deadband[alarms], 0.0)
        equal = raw == self._state[alarms]
        if self._state_text:
            for row, alarm in enumerate(alarms.tolist()):
                if alarm in self._state_text:
                    equal[row] = self.text.get(alarm, "") == self._state_text[alarm]
        holds: Mask = np.choose(kind, [value > limit - band, value < limit + band, equal, bad])
        return holds

    def _delay(self, alarms: Rows, condition: Mask, silent: Mask, now_ns: int) -> Rows:
        wanted = (condition != self.active[alarms]) & ~silent
        delay = np.where(condition, self._on_ns[alarms], self._off_ns[alarms])
        due = np.minimum(self.due_ns[alarms], now_ns + delay)
        due[~wanted] = NEVER
        now = wanted & (due <= now_ns)
        self.due_ns[alarms] = due
        changed: Rows = alarms[now]
        self._flip(changed)
        return changed

    def _flip(self, alarms: Rows) -> None:
        self.active[alarms] = ~self.active[alarms]
        self.due_ns[alarms] = NEVER
