"""The tables of the journal, and how values are written in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from runtime.contract import Value
from runtime.errors import StoreError

VERSION = 1

_TABLES = """
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL,
    via TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
    reason TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE alarm_journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, alarm TEXT NOT NULL,
    transition TEXT NOT NULL, state TEXT NOT NULL, actor TEXT NOT NULL, comment TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE TABLE alarm_state (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, raised_ns INTEGER, cleared_ns INTEGER,
    acknowledged_ns INTEGER, acknowledged_by TEXT NOT NULL, comment TEXT NOT NULL, value TEXT NOT NULL,
    count INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE operator_values (
    path TEXT PRIMARY KEY, type TEXT NOT NULL, raw INTEGER NOT NULL, text TEXT,
    quality INTEGER NOT NULL, source_ns INTEGER NOT NULL
) WITHOUT ROWID;
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Check the file and make the tables where there are none.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
        StoreError: a later Ironworks wrote it.
    """
    (report,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if report != "ok":
        raise sqlite3.DatabaseError(report)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(
            f"the journal has format {version}, this Ironworks knows {VERSION}",
            "a later Ironworks wrote it: install that version or a newer one",
        )
    if version == 0:
        connection.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {VERSION};COMMIT;")


def to_json(value: Value | None) -> str:
    """Write a value so that its type is kept."""
    return json.dumps(value, ensure_ascii=False)


def parsed(row: Sequence[Any], *columns: int) -> list[Any]:
    """Return a row with the given columns read back from JSON."""
    return [json.loads(cell) if index in columns else cell for index, cell in enumerate(row)]
