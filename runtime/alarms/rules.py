"""Alarm conditions over columns: which of thousands of alarms hold for the values of a batch.

A condition is a comparator with hysteresis followed by a delay:

- `high` holds beyond the limit (value > limit) and until the value is back by the deadband
  (value <= limit - deadband); `low` is its mirror image. On a REAL tag both are rounded as its values are:
  a value that reads like the limit is not beyond it. `deviation` is `high` of the distance to the
  setpoint, `rate_of_change` is `high` of the speed (see `rates`). `discrete` holds while the value equals
  `state`, `expression` while its expression does.
- The alarm goes active when its condition has held for `on_delay`, and inactive when it was gone for
  `off_delay`. Both run in the kernel's time.
- A bad value says nothing about these: comparator and alarm hold what they are and a running delay
  starts anew with the next good value. Not-a-number is a bad value; so is an expression that cannot be
  judged.
- `bad_quality` holds while the value is bad, `communication` while the driver is offline or gone; a tag that
  still waits for its first value says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.alarms.condition import Condition
from runtime.alarms.rates import NEVER, Mask, Rates, Rows
from runtime.alarms.watched import Index, watched_tag
from runtime.config import AlarmConfig, TagList
from runtime.contract import Batch, DataType, Quality
from runtime.tagtable import TagTable

_KINDS = (
    "high", "low", "discrete", "bad_quality", "deviation", "rate_of_change", "communication", "expression",
)  # fmt: skip
_HIGH, _LOW, _DISCRETE, _BAD, _DEVIATION, _RATE, _LINK, _EXPRESSION = range(len(_KINDS))


class Rules:
    """The conditions of all alarms, and how each stands.

    Attributes:
        active: whether each alarm is active, after delays, shape (alarms,).
        due_ns: when a running delay ends, `NEVER` where none runs, shape (alarms,).
        table: present values of the tags that were told.
    """

    def __init__(self, configs: Sequence[AlarmConfig], tags: TagList, table: TagTable) -> None:
        chosen = [watched_tag(config, tags) for config in configs]
        n = len(configs)
        self.table = table
        self.active = np.zeros(n, np.bool_)
        self.due_ns = np.full(n, NEVER, np.int64)
        self._tag = np.array([tag.id for tag in chosen], np.intp)
        self._setpoint = self._tag.copy()
        self._condition = np.zeros(n, np.bool_)
        self._kind = np.array([_KINDS.index(config.kind) for config in configs], np.int8)
        self._number_of = np.array(["usif".index(tag.data_type.kind) for tag in tags], np.int8)
        self._limit = np.array([config.limit or 0.0 for config in configs], np.float64)
        deadband = np.array([config.deadband for config in configs], np.float64)
        back = np.where(self._kind == _LOW, self._limit + deadband, self._limit - deadband)
        self._edges = np.stack([self._limit, back])  # beyond the first it comes, beyond the second it stays
        single = np.array([tag.data_type is DataType.REAL for tag in chosen], np.bool_) & (self._kind <= _LOW)
        with np.errstate(over="ignore"):  # what a REAL cannot reach
            self._edges[:, single] = self._edges[:, single].astype(np.float32)
        self._on_ns = np.array([config.on_delay for config in configs], np.int64)
        self._off_ns = np.array([config.off_delay for config in configs], np.int64)
        self._state = np.zeros(n, np.uint64)
        self._state_text: dict[int, str] = {}
        self._expressions = {
            row: Condition(config.expression or "", tags, table)
            for row, config in enumerate(configs)
            if config.kind == "expression"
        }
        self._rates = Rates(np.array([config.over for config in configs], np.int64))
        self._any_rate = bool((self._kind == _RATE).any())
        pairs = []
        for row, (config, tag) in enumerate(zip(configs, chosen, strict=True)):
            looked_at = [tag.id]
            if config.kind == "discrete":
                self._state[row] = tag.data_type.encode(config.state) if config.state != 0 else 0  # -0.0 is 0
                if tag.data_type is DataType.STRING:
                    self._state_text[row] = str(config.state)
            elif config.kind == "deviation":
                self._setpoint[row] = tags[config.setpoint or ""].id
                looked_at.append(int(self._setpoint[row]))
            elif config.kind == "expression":
                looked_at = self._expressions[row].ids.tolist()
            pairs += [(row, id_) for id_ in set(looked_at)]
        self.index = Index(pairs, len(tags))

    @property
    def next_due_ns(self) -> int:
        """When a delay or a window ends; `NEVER` when none runs."""
        least = int(self.due_ns.min(initial=NEVER))
        return min(least, int(self._rates.due_ns.min(initial=NEVER))) if self._any_rate else least

    def judge(self, ids: NDArray[np.int32], now_ns: int) -> Rows:
        """Judge the alarms on tags that the table has just taken; return those whose activity changes now."""
        alarms = self.index.rows_of(ids)
        if not len(alarms):
            return alarms
        tag = self._tag[alarms]
        raw, quality = self.table.raw[tag], self.table.quality[tag]
        value = self._number(tag, raw)
        bad = (quality >> 31 == 1) | np.isnan(value)
        kind = self._kind[alarms]
        silent = np.where(
            (kind == _BAD) | (kind == _LINK), quality == Quality.BAD_WAITING_FOR_INITIAL_DATA, bad
        )
        measure = value
        keep = np.zeros(len(alarms), np.bool_)
        told = np.ones(len(alarms), np.bool_)  # a late sample says nothing: no delay begins or ends
        if (deviates := kind == _DEVIATION).any():
            other = self._setpoint[alarms]
            setpoint = self._number(other, self.table.raw[other])
            lost = (self.table.quality[other] >> 31 == 1) | np.isnan(setpoint)
            silent |= deviates & lost
            with np.errstate(invalid="ignore"):
                measure = np.where(deviates, np.abs(value - setpoint), measure)
        rows = np.flatnonzero(kind == _RATE)
        if len(rows):
            times = self.table.source_ns[tag[rows]]
            late = self._rates.late(alarms[rows], times, bad[rows], now_ns)
            keep[rows[late]], told[rows[late]] = True, False
            rows, times = rows[~late], times[~late]
            which = alarms[rows]
            with np.errstate(invalid="ignore"):
                speed, whole = self._rates.take(which, value[rows], times, bad[rows])
            measure = measure.copy()
            measure[rows] = speed
            keep[rows] = ~whole & ~(speed > self._limit[which])
        holds = self._compare(alarms, raw, measure, bad)
        for row in np.flatnonzero(kind == _EXPRESSION).tolist():
            verdict = self._expressions[int(alarms[row])].holds()
            silent[row] = verdict is None
            holds[row] = bool(verdict)
        condition = np.where(silent | keep, self._condition[alarms], holds)
        self._condition[alarms] = condition
        if len(rows):
            self._rates.watch(alarms[rows], condition[rows], bad[rows], now_ns)
        changed = self._delay(alarms[told], condition[told], silent[told], now_ns)
        return changed[np.argsort(self._moved_ns(changed), kind="stable")]

    def _moved_ns(self, alarms: Rows) -> NDArray[np.int64]:
        """Return the source time of the newest value that each alarm looks at."""
        source_ns = self.table.source_ns
        moved_ns = np.maximum(source_ns[self._tag[alarms]], source_ns[self._setpoint[alarms]])
        for row, alarm in enumerate(alarms.tolist()):
            if alarm in self._expressions:  # its tag is what it is about, and may be older or not among these
                moved_ns[row] = source_ns[self._expressions[alarm].ids].max()
        return moved_ns

    def expire(self, now_ns: int) -> Rows:
        """End the delays and windows that are over; return each change of activity, in order of time."""
        if not self._any_rate or int(self._rates.due_ns.min()) > now_ns:
            return self._end_delays(now_ns)
        changes: list[Rows] = []
        while (at_ns := self.next_due_ns) <= now_ns:
            changes.append(self._end_delays(at_ns))
            open_ = np.flatnonzero(self._rates.due_ns <= at_ns)
            if len(open_):
                changes.append(self._end_windows(open_, at_ns))
        return np.concatenate(changes)

    def _end_delays(self, now_ns: int) -> Rows:
        changed = np.flatnonzero(self.due_ns <= now_ns)
        changed = changed[np.argsort(self.due_ns[changed], kind="stable")]
        self._flip(changed)
        return changed

    def _end_windows(self, alarms: Rows, now_ns: int) -> Rows:
        speed = self._rates.settle(alarms)
        good = np.zeros(len(alarms), np.bool_)
        condition = self._compare(alarms, np.zeros(len(alarms), np.uint64), speed, good)
        self._condition[alarms] = condition
        self._rates.watch(alarms, condition, good, now_ns)
        return self._delay(alarms, condition, good, now_ns)

    def shift(self, step_ns: int) -> None:
        """Move what is timed with a clock that was set."""
        self.due_ns[self.due_ns != NEVER] += step_ns
        self._rates.shift(step_ns)

    def force(self, alarm: int, active: bool) -> None:
        """Put an alarm and its comparator into a state, as it was before a restart."""
        self.active[alarm] = self._condition[alarm] = active
        self.due_ns[alarm] = NEVER

    def _number(self, tags: Rows, raw: NDArray[np.uint64]) -> NDArray[np.float64]:
        shape = self._number_of[tags]
        value = np.where(shape == 3, raw.view(np.float64), raw.astype(np.float64))
        return np.where(shape == 2, raw.view(np.int64).astype(np.float64), value)

    def _compare(
        self, alarms: Rows, raw: NDArray[np.uint64], measure: NDArray[np.float64], bad: Mask
    ) -> Mask:
        kind = self._kind[alarms]
        edge = self._edges[self._condition[alarms].astype(np.intp), alarms]
        equal = np.where(measure == 0, np.uint64(0), raw) == self._state[alarms]
        if self._state_text:
            for row, alarm in enumerate(alarms.tolist()):
                if alarm in self._state_text:
                    equal[row] = self.table.text.get(int(self._tag[alarm]), "") == self._state_text[alarm]
        above = measure > edge
        holds: Mask = np.choose(
            kind, [above, measure < edge, equal, bad, above, above, bad | (raw == 0), equal]
        )
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


def rounds(ids: NDArray[np.int32], rows: Rows) -> list[Rows]:
    """Split rows of a batch, in order, into rounds in which no tag occurs twice."""
    if not len(rows):
        return []
    order = np.argsort(ids, kind="stable")
    sorted_ids = ids[order]
    first = np.append(True, sorted_ids[1:] != sorted_ids[:-1])
    if first.all():
        return [rows]
    turn = np.arange(len(rows))
    turn -= np.maximum.accumulate(np.where(first, turn, 0))
    by_turn = np.argsort(turn, kind="stable")
    ends = np.cumsum(np.bincount(turn))[:-1]
    return [np.sort(layer) for layer in np.split(rows[order[by_turn]], ends)]


def in_rounds(batch: Batch, watched: Mask) -> list[Batch]:
    """Return the watched values of a batch, as batches in which no tag occurs twice."""
    rows = np.flatnonzero(watched[batch.ids])
    layers = rounds(batch.ids[rows], rows)
    return [batch] if len(layers) == 1 and len(rows) == len(batch) else [batch.take(each) for each in layers]
