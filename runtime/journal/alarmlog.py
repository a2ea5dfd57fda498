"""Alarms in the journal: the present state of each, and every transition."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.contract import Value
from runtime.journal.schema import parsed, to_json

_COLUMNS = "name, state, raised_ns, cleared_ns, acknowledged_ns, acknowledged_by, comment, value, count"


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """The present state of one alarm; times are None until the first such transition."""

    name: str
    state: str
    raised_ns: int | None = None
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    comment: str = ""
    value: Value | None = None
    count: int = 0

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield (
            f"INSERT OR REPLACE INTO alarm_state ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                self.name,
                self.state,
                self.raised_ns,
                self.cleared_ns,
                self.acknowledged_ns,
                self.acknowledged_by,
                self.comment,
                to_json(self.value),
                self.count,
            ),
        )


@dataclass(frozen=True, slots=True)
class AlarmLogEntry:
    """One transition; `seq` is 0 until it is committed.

    Attributes:
        transition: `raised`, `cleared` or `acknowledged`.
        state: state after it.
        after: the whole row of the alarm after it, written in the same commit; None when read back.
    """

    seq: int
    at_ns: int
    alarm: str
    transition: str
    state: str
    actor: str = ""
    comment: str = ""
    value: Value | None = None
    after: AlarmRow | None = None

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes; the first gives the sequence number."""
        yield (
            "INSERT INTO alarm_journal (at_ns, alarm, transition, state, actor, comment, value)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.at_ns,
                self.alarm,
                self.transition,
                self.state,
                self.actor,
                self.comment,
                to_json(self.value),
            ),
        )
        if self.after is not None:
            yield from self.after.statements()


def alarm_rows(connection: sqlite3.Connection) -> list[AlarmRow]:
    """Return the present state of every alarm that ever had a transition."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM alarm_state ORDER BY name")  # noqa: S608
    return [AlarmRow(*parsed(row, 7)) for row in rows]


def alarm_log(
    connection: sqlite3.Connection, limit: int, before: int | None = None, alarm: str | None = None
) -> list[AlarmLogEntry]:
    """Return the newest transitions, newest first; of one alarm, or before a sequence number, if given."""
    rows = connection.execute(
        "SELECT seq, at_ns, alarm, transition, state, actor, comment, value FROM alarm_journal"
        " WHERE seq < ? AND (?2 IS NULL OR alarm = ?2) ORDER BY seq DESC LIMIT ?3",
        (2**63 - 1 if before is None else before, alarm, limit),
    )
    return [AlarmLogEntry(*parsed(row, 7)) for row in rows]
