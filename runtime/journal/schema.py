"""The tables of the journal, and how values are written in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from runtime.contract import Value
from runtime.errors import StoreError
from runtime.journal import certificates, chain
from runtime.migration import copied, copies_of

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
# What takes a journal from each format to the next; a new one begins with the tables and takes all of them.
_STEPS: tuple[str | Callable[[sqlite3.Connection], None], ...] = (
    _TABLES,
    """
ALTER TABLE alarm_state ADD COLUMN latched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm_state ADD COLUMN suppressed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm_state ADD COLUMN first_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm_state ADD COLUMN shelved_ns INTEGER;
ALTER TABLE alarm_state ADD COLUMN shelved_until_ns INTEGER;
ALTER TABLE alarm_state ADD COLUMN shelved_by TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm_state ADD COLUMN shelved_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm_state ADD COLUMN removed_ns INTEGER;
ALTER TABLE alarm_state ADD COLUMN removed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm_state ADD COLUMN removed_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm_journal ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;
UPDATE alarm_journal SET announced = 1 WHERE transition = 'raised';
CREATE INDEX alarm_journal_at ON alarm_journal (at_ns);
""",
    chain.TABLES,
    chain.link_all,
    """
CREATE TABLE gate_mode (
    only INTEGER PRIMARY KEY CHECK (only = 1), mode TEXT NOT NULL, read_only INTEGER NOT NULL,
    actor TEXT NOT NULL, reason TEXT NOT NULL, since_ns INTEGER NOT NULL
);
CREATE TABLE gate_hold (
    path TEXT PRIMARY KEY, type TEXT NOT NULL, previous TEXT NOT NULL, value TEXT NOT NULL,
    until_ns INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE users (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, secret TEXT NOT NULL, added_by TEXT NOT NULL,
    added_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, hash BLOB NOT NULL, read TEXT NOT NULL, write TEXT NOT NULL,
    created_ns INTEGER NOT NULL, created_by TEXT NOT NULL, expires_ns INTEGER, revoked_ns INTEGER
) WITHOUT ROWID;
""",
    "ALTER TABLE users ADD COLUMN areas TEXT NOT NULL DEFAULT '[]';",
    """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, hash BLOB NOT NULL, role TEXT NOT NULL, areas TEXT NOT NULL,
    mark BLOB NOT NULL, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE locks (
    name TEXT PRIMARY KEY, failures INTEGER NOT NULL, until_ns INTEGER NOT NULL
) WITHOUT ROWID;
""",
    certificates.TABLES,
    "ALTER TABLE audit ADD COLUMN signatures TEXT NOT NULL DEFAULT '';",
    """
CREATE TABLE config_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    version INTEGER NOT NULL, digest TEXT NOT NULL, comment TEXT NOT NULL, result TEXT NOT NULL,
    detail TEXT NOT NULL
);
""",
    "CREATE TABLE gate_sent (number INTEGER PRIMARY KEY AUTOINCREMENT, rows TEXT NOT NULL);",
    """
ALTER TABLE locks RENAME TO locks_before;
CREATE TABLE locks (
    name TEXT NOT NULL, address TEXT NOT NULL, failures INTEGER NOT NULL, until_ns INTEGER NOT NULL,
    PRIMARY KEY (name, address)
) WITHOUT ROWID;
INSERT INTO locks SELECT name, '*', failures, until_ns FROM locks_before;
DROP TABLE locks_before;
""",
    """
ALTER TABLE alarm_state ADD COLUMN shelved_once INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm_state ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm_state ADD COLUMN confirmed_ns INTEGER;
ALTER TABLE alarm_state ADD COLUMN confirmed_by TEXT NOT NULL DEFAULT '';
""",
    """
ALTER TABLE audit ADD COLUMN type TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN unit_text TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm_journal ADD COLUMN type TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm_journal ADD COLUMN unit_text TEXT NOT NULL DEFAULT '';
""",
    """
CREATE TABLE damaged (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, source TEXT NOT NULL, row TEXT NOT NULL
);
""",
)
VERSION = len(_STEPS)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none, and bring older ones to this format.

    Raises:
        StoreError: a later Ironworks wrote it, or it cannot be brought to this format.
        sqlite3.DatabaseError: its tables are not what they must be.
    """
    chain.install(connection)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(
            f"the journal has format {version}, this Ironworks knows {VERSION}",
            "a later Ironworks wrote it: install that version or a newer one",
        )
    file = connection.execute("PRAGMA database_list").fetchone()[2]
    if 0 < version < VERSION and file:
        _bring_along(connection, Path(file), version)
    else:
        _take_steps(connection, version)
        for each in copies_of(Path(file)) if file else ():
            each.unlink()  # a kill came between the last step and this
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        chain.install(made)
        _take_steps(made, 0)
        damaged = _columns(made) - _columns(connection)
    if damaged:  # SQLite takes nearly any word for a name or a type
        table, column, *_ = min(damaged)
        raise sqlite3.DatabaseError(f"the column {column} of the table {table} is not what it was")


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str, str, int, int]]:
    """Return table, name, type, whether it must be there, and place in the key, of every column."""
    read_any_text(connection)
    try:
        return set(
            connection.execute(
                'SELECT tables.name, columns.name, columns.type, "notnull", pk FROM sqlite_master AS tables'
                " JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
            )
        )
    finally:
        connection.text_factory = str


def _bring_along(connection: sqlite3.Connection, file: Path, version: int) -> None:
    """Bring an older journal to this format.

    Raises:
        StoreError: it cannot be; nothing of a step that failed was done.
    """

    def copy(target: Path) -> None:
        with closing(sqlite3.connect(target)) as into:
            connection.backup(into)
            into.execute("PRAGMA journal_mode = DELETE")

    try:
        with copied(file, version, copy):
            _take_steps(connection, version)
    except (sqlite3.Error, OSError) as exc:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise StoreError(
            f"the journal {file} cannot be brought from format {version} to {VERSION}: {exc}",
            "free space on its disk and start again; else go back to the Ironworks that wrote it",
        ) from exc


def _take_steps(connection: sqlite3.Connection, version: int) -> None:
    for number, step in enumerate(_STEPS[version:], version + 1):
        if isinstance(step, str):
            connection.executescript(f"BEGIN;{step}PRAGMA user_version = {number};COMMIT;")
            continue
        connection.execute("BEGIN IMMEDIATE")
        step(connection)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def to_json(value: Value | None) -> str:
    """Write a value so that its type is kept."""
    return json.dumps(value, ensure_ascii=False)


def parsed(row: Sequence[Any], *columns: int) -> list[Any]:
    """Return a row with the given columns read back from JSON."""
    return [_value(cell) if index in columns else cell for index, cell in enumerate(row)]


def read_any_text(connection: sqlite3.Connection) -> None:
    """Have a connection read text that is not UTF-8 as well, as far as it is."""
    connection.text_factory = lambda data: data.decode("utf-8", "replace")


def as_text(cell: object) -> str:
    """Return a cell of a column of text; what somebody else wrote there stands as its text."""
    return cell if isinstance(cell, str) else str(cell)


def as_number(cell: object) -> int:
    """Return a cell of a column of whole numbers; 0 for what somebody else wrote there."""
    return cell if isinstance(cell, int) else 0


def _value(cell: str) -> Value | None:
    """Read a value back; what somebody else wrote there stands as its text: the chain names the row."""
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return str(cell)
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else str(cell)
    return value if value is None or isinstance(value, float | str) else str(cell)
