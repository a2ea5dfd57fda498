"""What the gate keeps over restarts: its mode, and values that go back by themselves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from runtime.contract import Value
from runtime.journal.audit import AuditEntry
from runtime.journal.schema import parsed, to_json


@dataclass(frozen=True, slots=True)
class ModeRecord:
    """The plant's mode, since when, by whom and why.

    Attributes:
        mode: `auto` or `maintenance`.
        read_only: the emergency switch; it stands above the mode.
    """

    mode: str = "auto"
    read_only: bool = False
    actor: str = ""
    reason: str = ""
    since_ns: int = 0

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        values = (self.mode, self.read_only, self.actor, self.reason, self.since_ns)
        yield "INSERT OR REPLACE INTO gate_mode VALUES (1, ?, ?, ?, ?, ?)", values


@dataclass(frozen=True, slots=True)
class Hold:
    """A tag that was written for a time only.

    Attributes:
        path: whole path of the tag; `type` is its IEC type.
        previous: value to which it goes back at `until_ns`.
        value: what was written.
    """

    path: str
    type: str
    previous: Value
    value: Value
    until_ns: int
    actor: str
    reason: str

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        values = (to_json(self.previous), to_json(self.value), self.until_ns, self.actor, self.reason)
        yield "INSERT OR REPLACE INTO gate_hold VALUES (?, ?, ?, ?, ?, ?, ?)", (self.path, self.type, *values)


@dataclass(frozen=True, slots=True)
class HoldEnd:
    """The tag went back, or was written anew; a hold that was made meanwhile stays."""

    path: str
    until_ns: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "DELETE FROM gate_hold WHERE path = ? AND until_ns = ?", (self.path, self.until_ns)


@dataclass(frozen=True, slots=True)
class Sent:
    """A write that goes to its owner now, or another change that begins: its row follows, after a kill too.

    Attributes:
        attempt: the row as far as it is known.
        also: whatever else is to be kept in the same commit.
    """

    attempt: AuditEntry
    also: tuple[Hold, ...] = ()

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes; the first gives the number."""
        rows = [self.attempt, *(each for each in self.attempt.also if isinstance(each, AuditEntry))]
        yield "INSERT INTO gate_sent (rows) VALUES (?)", (json.dumps([each.cells() for each in rows]),)
        for record in self.also:
            yield from record.statements()


@dataclass(frozen=True, slots=True)
class SentEnd:
    """The row of the audit is there."""

    number: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "DELETE FROM gate_sent WHERE number = ?", (self.number,)


_VALUE = "the plant ended before the owner's answer was kept: the value may have arrived"
_CHANGE = "the plant ended before it was known to be done: `ironworks config log` tells what ran then"


def unanswered(connection: sqlite3.Connection) -> list[AuditEntry]:
    """Return the rows of attempts whose end the plant did not live to see."""
    found = []
    for number, text in connection.execute("SELECT number, rows FROM gate_sent ORDER BY number"):
        attempt, *others = map(AuditEntry.of, json.loads(text))
        detail = _CHANGE if attempt.action in ("apply", "rollback") else _VALUE
        found.append(replace(attempt, outcome="failed", detail=detail, also=(*others, SentEnd(number))))
    return found


def gate_rows(connection: sqlite3.Connection) -> tuple[ModeRecord, list[Hold]]:
    """Return the mode and the holds that were kept."""
    row = connection.execute("SELECT mode, read_only, actor, reason, since_ns FROM gate_mode").fetchone()
    mode = ModeRecord(row[0], bool(row[1]), *row[2:]) if row else ModeRecord()
    holds = connection.execute("SELECT * FROM gate_hold ORDER BY path")
    return mode, [Hold(*parsed(hold, 2, 3)) for hold in holds]
