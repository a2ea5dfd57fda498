"""The alarm engine: batches and time in, transitions out. Pure: no clock, no store, no waiting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from runtime.alarms.model import Alarm, Transition
from runtime.alarms.rules import NEVER, Rules
from runtime.alarms.states import State, Trigger, after
from runtime.config import AlarmConfig, TagList
from runtime.contract import Actor, Batch, Role, Value
from runtime.errors import WriteRejectedError
from runtime.journal import AlarmRow


class AlarmEngine:
    """All alarms of a plant. The configs must have passed `check_alarms`."""

    def __init__(self, configs: Sequence[AlarmConfig], tags: TagList) -> None:
        self._rules = Rules(configs, tags)
        self._tags = [tags[config.tag] for config in configs]
        self._alarms = [Alarm(config, tag.path) for config, tag in zip(configs, self._tags, strict=True)]
        self._rows = {config.name: row for row, config in enumerate(configs)}
        self._next_due = NEVER

    @property
    def tag_ids(self) -> NDArray[np.int32]:
        """Ids of the tags that any alarm watches, in order."""
        return self._rules.tag_ids

    def alarms(self) -> tuple[Alarm, ...]:
        """Return all alarms, in order of the plant folder."""
        return tuple(self._alarms)

    def alarm(self, name: str) -> Alarm:
        """Return one alarm.

        Raises:
            WriteRejectedError: there is none of that name.
        """
        row = self._rows.get(name)
        if row is None:
            close = get_close_matches(name, self._rows, 1)
            raise WriteRejectedError(
                f"there is no alarm {name!r}",
                f"did you mean {close[0]!r}?" if close else "`ironworks alarms` lists them",
            )
        return self._alarms[row]

    def on_batch(self, batch: Batch, now_ns: int) -> list[Transition]:
        """Take values, in order; return what they change at once."""
        out = self.on_time(now_ns)
        layers = self._rules.layers(batch)
        for layer in layers:
            out += self._moved(self._rules.take(batch, layer, now_ns), now_ns)
        if layers:
            self._next_due = int(self._rules.due_ns.min())
        return out

    def on_time(self, now_ns: int) -> list[Transition]:
        """End the delays that are over; return what this changes."""
        if self._next_due > now_ns:
            return []
        out = self._moved(self._rules.expire(now_ns), now_ns)
        self._next_due = int(self._rules.due_ns.min())
        return out

    def next_due_ns(self) -> int | None:
        """Return when the next delay ends."""
        return None if self._next_due == NEVER else self._next_due

    def acknowledge(self, name: str, actor: Actor, comment: str, now_ns: int) -> Transition:
        """Acknowledge an alarm.

        Raises:
            WriteRejectedError: no such alarm, nothing to acknowledge, or the role does not allow it.
        """
        alarm = self.alarm(name)
        if actor.role < Role.OPERATOR:
            raise WriteRejectedError(
                f"{actor.name} is {actor.role.name.lower()} and may not acknowledge alarms",
                "ask an operator, or log in as one",
            )
        state = after(alarm.state, Trigger.ACKNOWLEDGE)
        if state is None:
            raise WriteRejectedError(
                f"alarm {name!r} has nothing to acknowledge: it is {alarm.state.value}",
                "only unacknowledged and returned alarms wait for it",
            )
        new = replace(alarm, state=state, acknowledged_ns=now_ns, acknowledged_by=actor.name, comment=comment)
        self._alarms[self._rows[name]] = new
        return Transition(new, Trigger.ACKNOWLEDGE, now_ns, actor.name, comment)

    def restore(self, rows: Iterable[AlarmRow]) -> list[Alarm]:
        """Put alarms into the states they had before; return those that are not normal.

        Rows of alarms that the plant no longer has are left out.
        """
        standing = []
        for row in rows:
            index = self._rows.get(row.name)
            if index is None:
                continue
            alarm = replace(
                self._alarms[index],
                state=State(row.state),
                raised_ns=row.raised_ns,
                cleared_ns=row.cleared_ns,
                acknowledged_ns=row.acknowledged_ns,
                acknowledged_by=row.acknowledged_by,
                comment=row.comment,
                value=row.value,
                count=row.count,
            )
            self._alarms[index] = alarm
            self._rules.force(index, alarm.state.active)
            if alarm.state is not State.NORMAL:
                standing.append(alarm)
        return standing

    def undo(self, alarm: Alarm) -> None:
        """Put an alarm back to a state it had, its condition untouched: the journal refused the new one."""
        self._alarms[self._rows[alarm.name]] = alarm

    def _moved(self, rows: NDArray[np.intp], now_ns: int) -> list[Transition]:
        return [self._move(row, now_ns) for row in rows.tolist()]

    def _move(self, row: int, now_ns: int) -> Transition:
        alarm = self._alarms[row]
        trigger = Trigger.RAISE if self._rules.active[row] else Trigger.CLEAR
        state = after(alarm.state, trigger)
        if state is None:
            raise AssertionError(f"alarm {alarm.name} cannot be {trigger.value} from {alarm.state.value}")
        value = self._value(row)
        if trigger is Trigger.RAISE:
            new = replace(
                alarm, state=state, raised_ns=now_ns, acknowledged_ns=None, acknowledged_by="",
                comment="", value=value, count=alarm.count + 1,
            )  # fmt: skip
        else:
            new = replace(alarm, state=state, cleared_ns=now_ns, value=value)
        self._alarms[row] = new
        return Transition(new, trigger, now_ns)

    def _value(self, row: int) -> Value | None:
        """Return the value that moved an alarm; none while the alarm is that there is no good one."""
        if self._alarms[row].config.kind == "bad_quality" and self._rules.active[row]:
            return None
        value = self._tags[row].data_type.decode(int(self._rules.raw[row]), self._rules.text.get(row))
        return None if isinstance(value, float) and not np.isfinite(value) else value
