"""The hash chain of the audit trail: each row is bound to the one before it, so that tampering shows.

A row's hash is SHA-256 over the hash before it and the canonical JSON of its cells. `audit_head` keeps the
number and hash of the newest row, so that rows missing at the end show too. Who may write the file can
build a whole new chain: that shows only against a head that was noted elsewhere (`expect`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.sqlitefile import known_or_empty

CELLS = "seq, at_ns, actor, role, via, action, target, old, new, reason, outcome, detail"
ADDED = ("signatures", "type", "unit_text")  # by later formats: none of them counts in a row without it
ALL_CELLS = f"{CELLS}, {', '.join(ADDED)}"
TABLES = """
ALTER TABLE audit ADD COLUMN previous BLOB NOT NULL DEFAULT x'';
ALTER TABLE audit ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
CREATE TABLE audit_head (only INTEGER PRIMARY KEY CHECK (only = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL);
"""
ADVANCE = "INSERT OR REPLACE INTO audit_head SELECT 1, seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
HEAD = "[0-9A-Fa-f]{64}"  # the hash of a row, as people note it
_LISTED = 100


@dataclass(frozen=True, slots=True)
class Tampering:
    """One place where the chain does not hold; `kind` is `touched`, `removed`, `inserted` or `head`."""

    seq: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the chain found.

    Attributes:
        rows: how many rows there are.
        head_seq, head: number and hash (hex) of the newest row.
        findings: the first of what was found; `found` counts all.
    """

    ok: bool
    rows: int
    head_seq: int
    head: str
    findings: tuple[Tampering, ...]
    found: int


def all_cells(connection: sqlite3.Connection) -> str:
    """Return what to select for `ALL_CELLS`; a stopped plant may be of an older format."""
    return ", ".join((CELLS, *known_or_empty(connection, "audit", ADDED)))


def digest(previous: bytes, *cells: Any) -> bytes:
    """Return the hash of a row from the hash before it and its cells, in the order of `CELLS`."""
    canonical = json.dumps(cells, ensure_ascii=True, separators=(",", ":"), default=_blob)
    return hashlib.sha256(_bytes(previous) + canonical.encode()).digest()


def row_digest(previous: bytes, *cells: Any) -> bytes:
    """Return the hash of a row from `ALL_CELLS` of it; empty ones of `ADDED` at the end do not count."""
    whole = len(cells)
    while whole > len(cells) - len(ADDED) and cells[whole - 1] == "":
        whole -= 1
    return digest(previous, *cells[:whole])


def install(connection: sqlite3.Connection) -> None:
    """Give a connection that writes the SQL function `audit_hash`."""
    connection.create_function("audit_hash", -1, row_digest, deterministic=True)


def link_all(connection: sqlite3.Connection) -> None:
    """Chain the rows that are there: for a journal of a format without the chain."""
    previous = b""
    for cells in connection.execute(f"SELECT {CELLS} FROM audit ORDER BY seq").fetchall():  # noqa: S608
        own = digest(previous, *cells)
        connection.execute("UPDATE audit SET previous = ?, hash = ? WHERE seq = ?", (previous, own, cells[0]))
        previous = own
    connection.execute(ADVANCE)


def verify_audit(connection: sqlite3.Connection, expect: str = "") -> ChainReport:
    """Check every row of the audit trail.

    Args:
        connection: the journal.
        expect: a head (hex) noted earlier, which must still be the hash of a row.
    """
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    connection.execute("BEGIN")  # head and rows of one instant, also while the plant writes
    head = connection.execute("SELECT seq, hash FROM audit_head").fetchone()
    walk = _Walk(expect.lower())
    rows = connection.execute(f"SELECT {all_cells(connection)}, previous, hash FROM audit ORDER BY seq")  # noqa: S608
    findings: list[Tampering] = []
    found = 0
    for each in (*walk.over(rows), *walk.at_end(head)):
        found += 1
        if len(findings) < _LISTED:
            findings.append(each)
    return ChainReport(not found, walk.rows, walk.seq, walk.hash.hex(), tuple(findings), found)


class _Walk:
    """Goes from row to row."""

    def __init__(self, expect: str) -> None:
        self.rows = 0
        self.seq = 0
        self.hash = b""
        self._expect = expect
        self._suspect = 0  # the last row already told of
        self._follows: tuple[bytes, ...] = (b"",)

    def over(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[Tampering]:
        for *cells, previous, stored in rows:
            self.rows += 1
            seq = cells[0]
            if seq < 1:
                yield Tampering(seq, "inserted", f"row {seq} was inserted: rows count from 1")
                continue
            gap = seq != self.seq + 1
            if gap:
                yield _removed(self.seq + 1, seq - 1)
            previous, stored = _bytes(previous), _bytes(stored)
            own = row_digest(previous, *cells)
            whole = own == stored
            if not whole:
                self._suspect = seq
                yield Tampering(seq, "touched", f"row {seq} was touched: it does not give its hash")
            elif not gap and previous not in self._follows and self._suspect != seq - 1:
                yield (
                    _rewritten(seq - 1)
                    if seq > 1
                    else Tampering(seq, "touched", f"row {seq} was touched: the chain does not begin with it")
                )
            self._follows = (stored,) if whole else (stored, own)
            if stored.hex() == self._expect:
                self._expect = ""
            self.seq, self.hash = seq, stored

    def at_end(self, head: tuple[Any, Any] | None) -> Iterator[Tampering]:
        seq, hash_ = (head[0], _bytes(head[1])) if head else (0, b"")
        if seq > self.seq:
            yield _removed(self.seq + 1, seq)
        elif seq < self.seq:
            text = f"row {seq + 1} was inserted" if head else "the head of the chain was removed"
            yield Tampering(seq + 1, "inserted" if head else "head", f"{text}: rows go on to {self.seq}")
        elif hash_ not in self._follows and self._suspect != seq:
            yield _rewritten(seq)
        if self._expect:
            yield Tampering(
                self.seq, "head", f"no row has the hash {self._expect}: the chain was built anew or cut"
            )


def _removed(first: int, last: int) -> Tampering:
    what = f"row {first} was" if first == last else f"rows {first} to {last} were"
    return Tampering(first, "removed", f"{what} removed")


def _rewritten(seq: int) -> Tampering:
    return Tampering(seq, "touched", f"row {seq} was touched: what follows was bound to another hash")


def _bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else repr(cell).encode()


def _blob(cell: bytes) -> dict[str, str]:
    return {"blob": cell.hex()}
