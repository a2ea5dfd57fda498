"""Rows that are damaged in a file that is whole (a flipped bit, a foreign hand): set aside, the rest serves.

What the plant takes up at its start is looked at, once, before anybody reads it. The audit and the alarms'
journal are told as they are; the audit's chain names what was touched there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runtime.contract import DataType, Role, Value
from runtime.journal.audit import AuditEntry

ALARM_STATES = ("normal", "unacknowledged", "acknowledged", "returned")
MODES = ("auto", "maintenance")
MOST_KEPT = 10_000
_KINDS: dict[str, type] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
_TYPES = {each.iec: each for each in DataType}
_UNKNOWN = "the journal's row was damaged: nobody writes until an engineer has looked"
Row = Mapping[str, Any]


class DamagedRowError(ValueError):
    """A row that cannot be what was written."""


def set_aside(connection: sqlite3.Connection, now_ns: int) -> list[str]:
    """Move rows that cannot be what was written to the table `damaged`; return what to tell of it.

    Where the mode of the gate is lost, nobody may write.
    """
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    try:
        damaged = {
            table: [each for each in _rows(connection, table) if not _sound(each, check)]
            for table, check in _CHECKS.items()
        }
        if any(damaged.values()):
            connection.execute("BEGIN IMMEDIATE")
            _move_all(connection, damaged, now_ns)
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.text_factory = str
    return [
        f"{len(found)} damaged rows of the journal's {table} are set aside, first {found[0].key!r}"
        for table, found in damaged.items()
        if found
    ]


def _move_all(connection: sqlite3.Connection, damaged: Mapping[str, Sequence[_Found]], now_ns: int) -> None:
    for table, found in damaged.items():
        for each in found:
            _move(connection, table, each, now_ns)
    if damaged["gate_mode"]:
        values = (MODES[1], True, "", _UNKNOWN, now_ns)
        connection.execute("INSERT INTO gate_mode VALUES (1, ?, ?, ?, ?, ?)", values)
    connection.execute("DELETE FROM damaged WHERE seq <= (SELECT max(seq) FROM damaged) - ?", (MOST_KEPT,))


class _Found(NamedTuple):
    """A row: its cells, of what kind each is and whether it must be there, its key, and what finds it.

    It is found by the bytes of its key, whatever they are.
    """

    cells: Row
    kinds: Mapping[str, tuple[type, bool]]
    keys: Sequence[str]
    where: str

    @property
    def key(self) -> str:
        return ", ".join(str(self.cells[name]) for name in self.keys)


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[_Found]:
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    kinds = {name: (_KINDS[kind], bool(needed or key)) for _, name, kind, needed, _, key in columns}
    keys = [name for _, name, _, _, _, key in columns if key]
    bytes_of = [f"hex(CAST({name} AS BLOB))" for name in keys]
    where = " || ' AND ' || ".join(f"""'{each} = ''' || {each} || ''''""" for each in bytes_of)
    for *cells, found in connection.execute(f"SELECT {', '.join(kinds)}, {where} FROM {table}"):  # noqa: S608
        yield _Found(dict(zip(kinds, cells, strict=True)), kinds, keys, found)


def _sound(found: _Found, check: Callable[[Row], object]) -> bool:
    try:
        for name, (kind, needed) in found.kinds.items():
            if needed or found.cells[name] is not None:
                _as_declared(found.cells[name], kind)
        check(found.cells)
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        return False
    return True


def _as_declared(cell: object, kind: type) -> None:
    if not isinstance(cell, kind):
        raise DamagedRowError
    if isinstance(cell, str):
        cell.encode()  # text that is not UTF-8 cannot


def _move(connection: sqlite3.Connection, table: str, found: _Found, now_ns: int) -> None:
    """Set a row aside; with a user its certificates, which go with it."""
    if table == "users":
        for each in list(_rows(connection, "certificates")):
            if each.cells["user"] == found.cells["name"]:
                _move(connection, "certificates", each, now_ns)
    text = json.dumps(found.cells, default=bytes.hex)
    connection.execute("INSERT INTO damaged (at_ns, source, row) VALUES (?, ?, ?)", (now_ns, table, text))
    connection.execute(f"DELETE FROM {table} WHERE {found.where}")  # noqa: S608 - of our own making


def _any(row: Row) -> None:
    """Columns of the right kind are all that can be asked."""


def _alarm(row: Row) -> None:
    _one_of(row["state"], ALARM_STATES)


def _mode(row: Row) -> None:
    _one_of(row["mode"], MODES)


def _value(row: Row) -> None:
    _one_of(row["type"], _TYPES)
    if not 0 <= row["quality"] < 1 << 32 or (row["type"] == "STRING" and row["text"] is None):
        raise DamagedRowError


def _hold(row: Row) -> None:
    for name in ("previous", "value"):
        value: Value = json.loads(row[name])
        _TYPES[row["type"]].encode(value)


def _sent(row: Row) -> None:
    attempt, *others = map(AuditEntry.of, json.loads(row["rows"]))
    for each in (attempt, *others):
        for cell in (each.actor, each.role, each.via, each.action, each.target, each.reason, each.detail):
            _as_declared(cell, str)
        _as_declared(each.at_ns, int)


def _user(row: Row) -> None:
    from runtime.config import UserConfig

    UserConfig(name=row["name"], role=row["role"], secret=row["secret"], areas=dict(json.loads(row["areas"])))


def _token(row: Row) -> None:
    for name in ("read", "write"):
        for glob in _list(row[name]):
            _as_declared(glob, str)


def _session(row: Row) -> None:
    _one_of(row["role"], _ROLES)
    for glob, role in _list(row["areas"]):
        _as_declared(glob, str)
        _one_of(role, _ROLES)


def _certificate(row: Row) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    found = x509.load_pem_x509_certificate(row["pem"].encode())
    if found.fingerprint(SHA256()).hex() != row["fingerprint"]:
        raise DamagedRowError


def _list(text: str) -> list[Any]:
    found = json.loads(text)
    if not isinstance(found, list):
        raise DamagedRowError
    return found


def _one_of(word: str, words: Any) -> None:
    if word not in words:
        raise DamagedRowError


_ROLES = tuple(role.name.lower() for role in Role)
_CHECKS: dict[str, Callable[[Row], object]] = {
    "alarm_state": _alarm,
    "operator_values": _value,
    "gate_mode": _mode,
    "gate_hold": _hold,
    "gate_sent": _sent,
    "certificates": _certificate,  # before the users, with whom they would go
    "users": _user,
    "tokens": _token,
    "sessions": _session,
    "locks": _any,
    "config_log": _any,
}
