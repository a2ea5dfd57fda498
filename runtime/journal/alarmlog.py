"""Alarms in the journal: the present state of each, and every transition."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from typing import Any, NamedTuple

from runtime.contract import Value
from runtime.journal.schema import as_number, as_text, parsed, read_any_text, to_json
from runtime.sqlitefile import known_or_empty


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """The present state of one alarm; times are None until the first such transition.

    Attributes:
        shelved_ns, removed_ns: since when it is shelved or out of service; None while it is not.
        shelved_once: its shelf ends with its episode, and at `shelved_until_ns` at the latest.
        unconfirmed: it was acknowledged and waits to be confirmed.
    """

    name: str
    state: str
    raised_ns: int | None = None
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    comment: str = ""
    value: Value | None = None
    count: int = 0
    latched: bool = False
    suppressed: bool = False
    first_out: bool = False
    shelved_ns: int | None = None
    shelved_until_ns: int | None = None
    shelved_by: str = ""
    shelved_reason: str = ""
    removed_ns: int | None = None
    removed_by: str = ""
    removed_reason: str = ""
    shelved_once: bool = False
    unconfirmed: bool = False
    confirmed_ns: int | None = None
    confirmed_by: str = ""

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        cells = list(astuple(self))
        cells[_VALUE] = to_json(self.value)
        yield _REPLACE, tuple(cells)


_NAMES = [field.name for field in fields(AlarmRow)]
_VALUE = _NAMES.index("value")
_FLAGS = tuple(
    _NAMES.index(name) for name in ("latched", "suppressed", "first_out", "shelved_once", "unconfirmed")
)
_COLUMNS = ", ".join(_NAMES)
_REPLACE = f"INSERT OR REPLACE INTO alarm_state ({_COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608


@dataclass(frozen=True, slots=True)
class AlarmLogEntry:
    """One transition; `seq` is 0 until it is committed.

    Attributes:
        transition: `raised`, `cleared`, `acknowledged`, `shelved` ...: a `runtime.alarms.Trigger`.
        state: state after it.
        after: the whole row of the alarm after it, written in the same commit; None when read back.
        announced: whether it asked the operator for attention.
        type, unit_text: IEC type and unit of the tag, as they were.
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
    announced: bool = False
    type: str = ""
    unit_text: str = ""

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes; the first gives the sequence number."""
        yield (
            "INSERT INTO alarm_journal (at_ns, alarm, transition, state, actor, comment, value, announced,"
            " type, unit_text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.at_ns,
                self.alarm,
                self.transition,
                self.state,
                self.actor,
                self.comment,
                to_json(self.value),
                self.announced,
                self.type,
                self.unit_text,
            ),
        )
        if self.after is not None:
            yield from self.after.statements()


def alarm_rows(connection: sqlite3.Connection) -> list[AlarmRow]:
    """Return the present state of every alarm that ever had a transition."""
    found = []
    for row in connection.execute(f"SELECT {_COLUMNS} FROM alarm_state ORDER BY name"):  # noqa: S608
        cells = parsed(row, _VALUE)
        for index in _FLAGS:
            cells[index] = bool(cells[index])
        found.append(AlarmRow(*cells))
    return found


def alarm_log(
    connection: sqlite3.Connection, limit: int, before: int | None = None, alarm: str | None = None
) -> list[AlarmLogEntry]:
    """Return the newest transitions, newest first; of one alarm, or before a sequence number, if given."""
    read_any_text(connection)
    rows = connection.execute(
        f"{_log(connection)} WHERE seq < ? AND (?2 IS NULL OR alarm = ?2) ORDER BY seq DESC LIMIT ?3",
        (2**63 - 1 if before is None else before, alarm, limit),
    )
    return [_entry(row) for row in rows]


def alarm_place(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return when this journal began, and where it is: number and time of the last transition."""
    ends = connection.execute(
        "SELECT seq, at_ns FROM alarm_journal WHERE seq IN"
        " ((SELECT min(seq) FROM alarm_journal), (SELECT max(seq) FROM alarm_journal)) ORDER BY seq"
    ).fetchall()
    return (ends[0][1], *ends[-1]) if ends else (0, 0, 0)


def alarm_log_after(connection: sqlite3.Connection, after: int, limit: int) -> list[AlarmLogEntry]:
    """Return the newest transitions after a sequence number, oldest first."""
    read_any_text(connection)
    rows = connection.execute(f"{_log(connection)} WHERE seq > ? ORDER BY seq DESC LIMIT ?", (after, limit))
    return [_entry(row) for row in rows][::-1]


class AlarmMove(NamedTuple):
    """A transition as the figures need it."""

    at_ns: int
    alarm: str
    transition: str
    announced: bool


def alarm_moves(connection: sqlite3.Connection, start_ns: int, end_ns: int) -> Iterator[AlarmMove]:
    """Yield the transitions of a span of time, oldest first: there may be millions."""
    read_any_text(connection)
    rows = connection.execute(
        "SELECT at_ns, alarm, transition, announced FROM alarm_journal"
        " WHERE at_ns >= ? AND at_ns < ? ORDER BY at_ns, seq",
        (start_ns, end_ns),
    )
    for at_ns, alarm, trigger, announced in rows:
        yield AlarmMove(as_number(at_ns), as_text(alarm), as_text(trigger), bool(announced))


def begun_ns(connection: sqlite3.Connection) -> int | None:
    """Return when the plant first ran, or had an alarm; None where that is not known."""
    (at_ns,) = connection.execute(
        "SELECT min(at_ns) FROM (SELECT min(at_ns) AS at_ns FROM alarm_journal"
        " UNION ALL SELECT * FROM (SELECT at_ns FROM config_log ORDER BY seq LIMIT 1))"
    ).fetchone()
    return None if at_ns is None else as_number(at_ns)


_CELLS = "seq, at_ns, alarm, transition, state, actor, comment, value"
_ADDED = ("announced", "type", "unit_text")


def _log(connection: sqlite3.Connection) -> str:
    """Return what reads entries; a stopped plant may be of an older format."""
    columns = (_CELLS, *known_or_empty(connection, "alarm_journal", _ADDED))
    return f"SELECT {', '.join(columns)} FROM alarm_journal"  # noqa: S608 - our own names


def _entry(row: tuple[Any, ...]) -> AlarmLogEntry:
    """Return a row of the file, which anybody may have written."""
    seq, at_ns, *texts, value, announced, type_, unit = parsed(row, 7)
    alarm, transition, state, actor, comment = map(as_text, texts)
    return AlarmLogEntry(
        seq=seq,
        at_ns=as_number(at_ns),
        alarm=alarm,
        transition=transition,
        state=state,
        actor=actor,
        comment=comment,
        value=value,
        announced=bool(announced),
        type=as_text(type_),
        unit_text=as_text(unit),
    )
