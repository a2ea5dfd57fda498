"""The alarm engine: batches and time in, transitions out. Pure: no clock, no store, no waiting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.alarms.commands import COMMANDS, SHELVE_ONCE, allow, check
from runtime.alarms.model import Alarm, Note, Transition, notes_of, standing_of
from runtime.alarms.rates import NEVER
from runtime.alarms.rules import Rules, in_rounds
from runtime.alarms.states import NORMAL, Standing, State, Trigger, after
from runtime.alarms.suppression import Suppression
from runtime.alarms.watched import watched_tag
from runtime.config import AlarmConfig, TagList, closest
from runtime.contract import LONGEST_SHELF_NS, Actor, Batch, Tag, Value
from runtime.errors import WriteRejectedError
from runtime.journal import AlarmRow
from runtime.tagtable import TagTable

_CALLING = (Trigger.RAISE, Trigger.RE_ALARM, Trigger.UNSHELVE, Trigger.UNSUPPRESS, Trigger.RETURN)
_SAYING = (Trigger.ACKNOWLEDGE, Trigger.CONFIRM, Trigger.COMMENT)  # what is said with these is the comment


class Counts(NamedTuple):
    """How many alarms are what; the first two count only those that are not hidden."""

    active: int = 0
    unacknowledged: int = 0
    shelved: int = 0
    suppressed: int = 0
    out_of_service: int = 0


def _counts(standing: Standing) -> Counts:
    seen = not standing.hidden
    return Counts(
        seen and standing.active,
        seen and not standing.acknowledged,
        standing.shelved,
        standing.suppressed,
        standing.out_of_service,
    )


class AlarmEngine:
    """All alarms of a plant. The configs must have passed `check_alarms`."""

    def __init__(self, configs: Sequence[AlarmConfig], tags: TagList) -> None:
        self._table = TagTable(tags)
        self._rules = Rules(configs, tags, self._table)
        self._suppression = Suppression(configs, tags, self._table)
        self._watched = self._rules.index.watched | self._suppression.index.watched
        self._tags = [watched_tag(config, tags) for config in configs]
        self._alarms = [Alarm(config, tag.path) for config, tag in zip(configs, self._tags, strict=True)]
        self._rows = {config.name: row for row, config in enumerate(configs)}
        self._groups: dict[str, list[int]] = {}
        for row, config in enumerate(configs):
            if config.group:
                self._groups.setdefault(config.group, []).append(row)
        self._timer_ns = np.full(len(configs), NEVER, np.int64)
        self._acknowledged_ns = np.zeros(len(configs), np.int64)  # moves with the clock, unlike what is kept
        self._next_due = NEVER
        self.counts = Counts()

    @property
    def tag_ids(self) -> NDArray[np.int32]:
        """Ids of the tags that any alarm looks at, in order."""
        return np.flatnonzero(self._watched).astype(np.int32)

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
            close = closest(name, self._rows)
            raise WriteRejectedError(
                f"there is no alarm {name!r}",
                f"did you mean {close!r}?" if close else "`ironworks alarms` lists them",
            )
        return self._alarms[row]

    def tag(self, name: str) -> Tag:
        """Return the tag that an alarm watches."""
        return self._tags[self._rows[name]]

    def on_batch(self, batch: Batch, now_ns: int) -> list[Transition]:
        """Take values, in order; return what they change at once."""
        out = self.on_time(now_ns)
        for each in in_rounds(batch, self._watched):
            self._table.apply(each)
            verdicts = list(self._suppression.judge(each.ids))
            out += self._suppress((rows for rows, holds in verdicts if holds), Trigger.SUPPRESS, now_ns)
            out += self._moved(self._rules.judge(each.ids, now_ns), now_ns)
            out += self._suppress((rows for rows, holds in verdicts if not holds), Trigger.UNSUPPRESS, now_ns)
        self._plan()
        return out + self.on_time(now_ns)

    def on_time(self, now_ns: int) -> list[Transition]:
        """End the delays, windows and shelves that are over, announce again; return what changes."""
        if self._next_due > now_ns:
            return []
        out = []
        for row in np.flatnonzero(self._timer_ns <= now_ns).tolist():
            shelf = self._alarms[row].shelf
            over = shelf is not None and shelf.until_ns is not None and shelf.until_ns <= now_ns
            moved = self._apply(row, Trigger.UNSHELVE if over else Trigger.RE_ALARM, now_ns)
            out += [moved] if moved else []
        out += self._moved(self._rules.expire(now_ns), now_ns)
        self._plan()
        return out

    def shift(self, step_ns: int) -> list[Alarm]:
        """Move delays, windows and shelves with a clock that was set; return the alarms whose shelf moved."""
        self._rules.shift(step_ns)
        moved = []
        for row, alarm in enumerate(self._alarms):
            if alarm.shelf is not None and alarm.shelf.until_ns is not None:
                self._alarms[row] = replace(
                    alarm, shelf=replace(alarm.shelf, until_ns=alarm.shelf.until_ns + step_ns)
                )
                moved.append(self._alarms[row])
        self._timer_ns[self._timer_ns != NEVER] += step_ns
        self._acknowledged_ns += step_ns
        self._plan()
        return moved

    def next_due_ns(self) -> int | None:
        """Return when time alone may change something next."""
        return None if self._next_due == NEVER else self._next_due

    def acknowledge(self, name: str, actor: Actor, comment: str, now_ns: int) -> Transition:
        """Acknowledge an alarm.

        Raises:
            WriteRejectedError: no such alarm, nothing to acknowledge, or the role does not allow it.
        """
        return self.command("acknowledge", name, actor, comment, now_ns)

    def at(self, actor: Actor, name: str) -> Actor:
        """Return the actor with the role that it has for an alarm: by its tag, or by its area."""
        row = self._rows.get(name)
        return actor if row is None else actor.at(self._alarms[row].tag, self._alarms[row].config.area)

    def command(
        self, verb: str, name: str, actor: Actor, reason: str, now_ns: int, for_ns: int = 0
    ) -> Transition:
        """Carry out one of `COMMANDS`; a shelf lasts `for_ns` at the most.

        Raises:
            WriteRejectedError: no such alarm, nothing to do, no reason, or the role does not allow it.
        """
        alarm = self.alarm(name)
        command = COMMANDS[verb]
        allow(command, self.at(actor, name))
        check(command, name, reason, for_ns)
        trigger = command.trigger
        changes: dict[str, Any] = {}
        once = verb == SHELVE_ONCE
        if trigger is Trigger.ACKNOWLEDGE:
            changes = {"acknowledged_ns": now_ns, "acknowledged_by": actor.name}
        elif trigger is Trigger.CONFIRM:
            changes = {"confirmed_ns": now_ns, "confirmed_by": actor.name}
        elif trigger is Trigger.SHELVE:
            changes = {"shelf": Note(now_ns, actor.name, reason, now_ns + for_ns, once)}
        elif trigger is Trigger.REMOVE:
            changes = {"removal": Note(now_ns, actor.name, reason)}
        if reason and trigger in _SAYING:
            changes["comment"] = reason
        pointless = once and alarm.shelf is not None and alarm.shelf.once
        row = self._rows[name]
        moved = None if pointless else self._apply(row, trigger, now_ns, actor.name, reason, changes)
        if moved is None:
            what, remedy = command.pointless
            if trigger in (Trigger.ACKNOWLEDGE, Trigger.CONFIRM, Trigger.RESET):
                what += f": it is {alarm.state.value}"
            raise WriteRejectedError(f"alarm {name!r} {what}", remedy)
        self._plan()
        return moved

    def restore(
        self, rows: Iterable[AlarmRow], now_ns: int = NEVER, before: AlarmEngine | None = None
    ) -> list[Alarm]:
        """Put alarms as they stood before; return those that are not normal or hidden.

        Rows of alarms that the plant no longer has are left out; the wait for a confirmation, and being the
        first of a group, that an alarm no longer has end; a suppression does with `unsuppress`. The time
        until an alarm is announced again goes on from the engine before; without one it begins no later than
        now, whatever the clock was then, and no shelf lasts longer than any may.
        """
        kept = []
        for row in rows:
            index = self._rows.get(row.name)
            if index is None:
                continue
            alarm = self._alarms[index]
            standing = standing_of(row)
            if not alarm.config.confirm:
                standing = standing._replace(unconfirmed=False)
            shelf, removal = notes_of(row)
            if shelf and shelf.until_ns is not None:  # the clock may have been set back meanwhile
                shelf = replace(shelf, until_ns=min(shelf.until_ns, now_ns + LONGEST_SHELF_NS))
            alarm = replace(
                alarm,
                standing=standing,
                raised_ns=row.raised_ns,
                cleared_ns=row.cleared_ns,
                acknowledged_ns=row.acknowledged_ns,
                acknowledged_by=row.acknowledged_by,
                confirmed_ns=row.confirmed_ns,
                confirmed_by=row.confirmed_by,
                comment=row.comment,
                value=row.value,
                count=row.count,
                first_out=row.first_out and bool(alarm.config.group),
                shelf=shelf,
                removal=removal,
            )
            self._put(index, alarm)
            since = min(self._acknowledged_ns[index], now_ns)
            if before and row.name in before._rows:
                since = before._acknowledged_ns[before._rows[row.name]]
            self._acknowledged_ns[index] = since
            self._time(index)
            self._rules.force(index, standing.active)
            if standing != NORMAL:
                kept.append(alarm)
        for members in self._groups.values():
            firsts = sorted(
                (each for each in members if self._alarms[each].first_out),
                key=lambda each: self._alarms[each].raised_ns or 0,
            )
            for older in firsts[:-1]:
                self._alarms[older] = replace(self._alarms[older], first_out=False)
        self._plan()
        return kept

    def unsuppress(self, now_ns: int) -> list[Transition]:
        """Show the alarms that were suppressed before, and that no expression suppresses any more."""
        rows = [
            row
            for row, alarm in enumerate(self._alarms)
            if alarm.standing.suppressed and not alarm.config.suppressed_when
        ]
        moved = self._suppress([rows], Trigger.UNSUPPRESS, now_ns)
        self._plan()
        return moved

    def undo(self, alarm: Alarm) -> None:
        """Put an alarm back to how it stood, its condition untouched: the journal refused the new one."""
        self._put(self._rows[alarm.name], alarm)
        self._plan()

    def _plan(self) -> None:
        self._next_due = min(self._rules.next_due_ns, int(self._timer_ns.min(initial=NEVER)))

    def _suppress(self, groups: Iterable[list[int]], trigger: Trigger, now_ns: int) -> list[Transition]:
        moves = (self._apply(row, trigger, now_ns) for rows in groups for row in rows)
        return [moved for moved in moves if moved]

    def _moved(self, rows: NDArray[np.intp], now_ns: int) -> list[Transition]:
        return [self._move(row, now_ns) for row in rows.tolist()]

    def _move(self, row: int, now_ns: int) -> Transition:
        alarm = self._alarms[row]
        trigger = Trigger.RAISE if not alarm.standing.active else Trigger.CLEAR
        changes: dict[str, Any] = {"value": self._value(row, trigger)}
        if trigger is Trigger.RAISE:
            changes |= {"raised_ns": now_ns, "count": alarm.count + 1}
        else:
            changes["cleared_ns"] = now_ns
        moved = self._apply(row, trigger, now_ns, changes=changes)
        if moved is None:
            raise AssertionError(f"alarm {alarm.name} cannot be {trigger.value} from {alarm.standing}")
        return moved

    def _apply(
        self,
        row: int,
        trigger: Trigger,
        now_ns: int,
        actor: str = "",
        comment: str = "",
        changes: dict[str, Any] | None = None,
    ) -> Transition | None:
        """Move one alarm; None where the trigger changes nothing."""
        alarm = self._alarms[row]
        standing = after(alarm.standing, trigger, alarm.config.latching, alarm.config.confirm)
        if standing is None:
            return None
        calls = trigger in _CALLING and standing.state is State.UNACKNOWLEDGED
        announced = calls and not standing.hidden
        if calls:
            alarm = replace(
                alarm,
                acknowledged_ns=None,
                acknowledged_by="",
                confirmed_ns=None,
                confirmed_by="",
                comment="",
            )
        new = replace(
            alarm,
            standing=standing,
            shelf=alarm.shelf if standing.shelved else None,
            removal=alarm.removal if standing.out_of_service else None,
        )
        new = replace(new, **changes) if changes else new
        if new.shelf and new.shelf.once and alarm.standing.in_alarm and not standing.in_alarm:
            new = replace(new, shelf=replace(new.shelf, until_ns=now_ns))  # the episode ends, so does this
        if announced and alarm.config.group and trigger is not Trigger.RE_ALARM:
            new = self._first_out(row, new)
        self._put(row, new)
        return Transition(new, trigger, now_ns, actor, comment, announced)

    def _first_out(self, row: int, alarm: Alarm) -> Alarm:
        """Mark the first alarm of a group in which all was normal."""
        others = [each for each in self._groups[alarm.config.group] if each != row]
        standings = [self._alarms[each].standing for each in others]
        alone = all(each.hidden or each.state is State.NORMAL for each in standings)
        before = self._alarms[row].standing
        if not alone or not (before.hidden or before.state is State.NORMAL):
            return alarm
        for each in others:
            if self._alarms[each].first_out:
                self._alarms[each] = replace(self._alarms[each], first_out=False)
        return replace(alarm, first_out=True)

    def _put(self, row: int, new: Alarm) -> None:
        """Let an alarm stand so, and its timer and the counts follow."""
        old, self._alarms[row] = self._alarms[row], new
        if old.standing != new.standing:
            pairs = zip(self.counts, _counts(new.standing), _counts(old.standing), strict=True)
            self.counts = Counts(*(count + now - before for count, now, before in pairs))
        if old.acknowledged_ns != new.acknowledged_ns:
            self._acknowledged_ns[row] = new.acknowledged_ns or 0
        self._time(row)

    def _time(self, row: int) -> None:
        """Set when a shelf ends, or an alarm is announced again."""
        alarm = self._alarms[row]
        due = [NEVER]
        if alarm.shelf and alarm.shelf.until_ns:
            due.append(alarm.shelf.until_ns)
        standing = alarm.standing
        waits = standing.state is State.ACKNOWLEDGED and standing.active and not standing.hidden
        if waits and alarm.config.re_alarm and alarm.acknowledged_ns is not None:
            due.append(int(self._acknowledged_ns[row]) + alarm.config.re_alarm)
        self._timer_ns[row] = min(due)

    def _value(self, row: int, trigger: Trigger) -> Value | None:
        """Return the value that moved an alarm; none while the alarm is that there is no good one."""
        tag = self._tags[row]
        if self._alarms[row].config.kind == "bad_quality" and trigger is Trigger.RAISE:
            return None
        value = tag.data_type.decode(int(self._table.raw[tag.id]), self._table.text.get(tag.id))
        return None if isinstance(value, float) and not np.isfinite(value) else value
