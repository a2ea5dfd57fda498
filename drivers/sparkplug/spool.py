"""The queue on disk: what is to be sent, in pieces, oldest first; bounded by its bytes.

SQLite on a thread of its own. A piece counts as queued from `put`; `flush` makes it durable. While the disk
fails, pieces stay in memory within the same bound. Beside the queue the file keeps what must outlive a
restart: the alias of each metric, and the number of the last connection (bdSeq).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Clock
from runtime.errors import StoreError
from runtime.sqlitefile import open_file

T = TypeVar("T")
FORMAT = 1
_REMEDY = "free space on the disk of the plant's state folder"
_ROW_BYTES = 24
_PIECE_BYTES = 64  # what a piece costs beside its rows
_TABLES = """
CREATE TABLE pieces (
    id INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE aliases (
    alias INTEGER PRIMARY KEY, device TEXT NOT NULL, metric TEXT NOT NULL, type TEXT NOT NULL,
    UNIQUE (device, metric, type)
);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
MetricKey = tuple[str, str, str]  # device, metric, IEC type


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some values in the order of their arrival.

    Attributes:
        id: place in the queue; later pieces have greater ones.
        alias: which metric, int32 of shape (n,).
        raw, quality, source_ns: as in `Batch`, of shape (n,).
        text: row to text, for STRING rows.
    """

    id: int
    alias: NDArray[np.int32]
    raw: NDArray[np.uint64]
    quality: NDArray[np.uint32]
    source_ns: NDArray[np.int64]
    text: Mapping[int, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return (
            _PIECE_BYTES
            + len(self.alias) * _ROW_BYTES
            + sum(4 * len(each) + 8 for each in self.text.values())
        )

    def take(self, rows: NDArray[np.intp]) -> Piece:
        """Return some of the rows, by index."""
        text = {new: self.text[old] for new, old in enumerate(rows.tolist()) if old in self.text}
        return Piece(
            self.id, self.alias[rows], self.raw[rows], self.quality[rows], self.source_ns[rows], text
        )

    @classmethod
    def joined(cls, pieces: Sequence[Piece]) -> Piece:
        """Return the rows of one or more pieces as one, in order."""
        if len(pieces) == 1:
            return pieces[0]
        text: dict[int, str] = {}
        begin = 0
        for each in pieces:
            text |= {begin + row: word for row, word in each.text.items()}
            begin += len(each.alias)
        return cls(
            pieces[-1].id,
            np.concatenate([each.alias for each in pieces]),
            np.concatenate([each.raw for each in pieces]),
            np.concatenate([each.quality for each in pieces]),
            np.concatenate([each.source_ns for each in pieces]),
            text,
        )


class _Freed(NamedTuple):
    """What left the file; `evicted` of the rows had not been sent."""

    rows: int = 0
    bytes: int = 0
    evicted: int = 0


class Spool:
    """The queue of one edge node.

    Attributes:
        rows, bytes: what waits, in values and bytes.
        evicted: values that were given up for want of room, since the start.
        problem: what was wrong with the file when it was opened, and was set right.
        failing: why the disk did not take the last pieces; empty when it did.
    """

    def __init__(self, path: Path, clock: Clock, limit_bytes: int) -> None:
        self.rows = 0
        self.bytes = 0
        self.evicted = 0
        self.problem = ""
        self.failing = ""
        self.last_id = 0
        self._path = path
        self._clock = clock
        self._limit = limit_bytes
        self._fresh: dict[int, Piece] = {}
        self._done: set[int] = set()
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "sparkplug-spool")

    async def open(self) -> None:
        """Open the file; a damaged one is set aside and a new one begun.

        Raises:
            StoreError: the folder or file cannot be used.
        """
        self._connection = await self._call(self._connect)
        self.rows, self.bytes, self.last_id = await self._call(self._counted)

    async def close(self) -> None:
        """Write what is left, as far as the disk takes it."""
        if self._connection is not None:
            await self.flush()
            await self._call(self._connection.close)
            self._connection = None
        self._thread.shutdown(wait=False)

    async def aliases(self, keys: Sequence[MetricKey]) -> dict[MetricKey, int]:
        """Return the alias of each metric; one that had one keeps it.

        Raises:
            StoreError: the file cannot be written.
        """
        return await self._told(lambda db: _aliases(db, keys))

    async def next_bdseq(self) -> int:
        """Return the number of the next connection: 0 at first, then one more each time, after 255 again 0.

        Raises:
            StoreError: the file cannot be written.
        """
        return await self._told(_next_bdseq)

    def put(self, piece: Piece) -> None:
        """Queue a piece; its id must be greater than all before."""
        self.last_id = piece.id
        self._fresh[piece.id] = piece
        self.rows += len(piece.alias)
        self.bytes += piece.bytes

    def drop(self, ids: Iterable[int]) -> None:
        """Give up pieces that have been sent; they are gone from disk with the next `flush`."""
        self._done.update(ids)

    async def flush(self) -> None:
        """Bring the file to what was put and dropped; make room, oldest first, where there is too much."""
        for id_ in self._done & self._fresh.keys():
            self._forget(self._fresh.pop(id_))
            self._done.discard(id_)
        fresh, done = list(self._fresh.values()), list(self._done)
        excess = self.bytes - self._limit
        if not fresh and not done and excess <= 0:
            return
        try:
            change = await self._call(self._write, fresh, done, max(0, excess))
        except StoreError as exc:
            self.failing = exc.text
            self._shed()
            return
        self.failing = ""
        for piece in fresh:
            self._fresh.pop(piece.id, None)
        self._done.difference_update(done)
        self.evicted += change.evicted
        self.rows -= change.rows
        self.bytes -= change.bytes

    async def read(self, after: int, last: int, most_rows: int) -> list[Piece]:
        """Return the first pieces behind `after` up to `last`: one if there is any, more up to so many rows.

        Raises:
            StoreError: the file cannot be read.
        """
        found, is_all = await self._told(lambda db: _read(db, after, last, most_rows))
        rows = sum(len(each.alias) for each in found)
        seen = found[-1].id if found else after
        for id_, piece in self._fresh.items() if is_all else ():
            if seen < id_ <= last and (not found or rows + len(piece.alias) <= most_rows):
                found.append(piece)
                rows += len(piece.alias)
                seen = id_
            elif id_ > seen and found:
                break
        return [each for each in found if each.id not in self._done]

    def _shed(self) -> None:
        """Keep what cannot be written within the bound."""
        for piece in list(self._fresh.values()):
            if self.bytes <= self._limit:
                return
            del self._fresh[piece.id]
            self._forget(piece)
            self.evicted += len(piece.alias)

    def _forget(self, piece: Piece) -> None:
        self.rows -= len(piece.alias)
        self.bytes -= piece.bytes

    async def _told(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._call(self._transact, work)

    async def _call(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    # On the thread.

    def _connect(self) -> sqlite3.Connection:
        connection, self.problem = open_file(self._path, "queue", self._prepare, self._clock.now_ns())
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            text = f"the queue {self._path} was written by a later Ironworks"
            raise StoreError(text, "use that version, or move the file away")
        if version == 0:
            connection.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {FORMAT};COMMIT;")

    def _counted(self) -> tuple[int, int, int]:
        return self._transact(_count)

    def _write(self, fresh: Sequence[Piece], done: Sequence[int], excess: int) -> _Freed:
        return self._transact(lambda db: _bring(db, fresh, done, excess))

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StoreError("the queue is closed", "the plant is stopping: start it again")
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise StoreError(f"the queue {self._path} cannot be used: {exc}", _REMEDY) from exc
        return result


def _count(db: sqlite3.Connection) -> tuple[int, int, int]:
    rows, size = db.execute("SELECT coalesce(sum(rows), 0), coalesce(sum(bytes), 0) FROM pieces").fetchone()
    (last,) = db.execute("SELECT coalesce(max(value), 0) FROM counters WHERE name = 'piece'").fetchone()
    return int(rows), int(size), int(last)


def _bring(db: sqlite3.Connection, fresh: Sequence[Piece], done: Sequence[int], excess: int) -> _Freed:
    """Store and remove pieces; where that does not free `excess` bytes, give up the oldest."""
    freed = _Freed()
    for id_ in done:
        row = db.execute("DELETE FROM pieces WHERE id = ? RETURNING rows, bytes", (id_,)).fetchone()
        freed = _Freed(freed.rows + row[0], freed.bytes + row[1]) if row else freed
    db.executemany("INSERT INTO pieces VALUES (?, ?, ?, ?, ?)", [_packed(each) for each in fresh])
    if fresh:
        db.execute("INSERT OR REPLACE INTO counters VALUES ('piece', ?)", (fresh[-1].id,))
    while freed.bytes < excess:
        row = db.execute(
            "DELETE FROM pieces WHERE id = (SELECT min(id) FROM pieces) RETURNING rows, bytes"
        ).fetchone()
        if row is None:
            break
        freed = _Freed(freed.rows + row[0], freed.bytes + row[1], freed.evicted + row[0])
    return freed


def _packed(piece: Piece) -> tuple[int, int, int, bytes, str]:
    columns = (piece.alias, piece.raw, piece.quality, piece.source_ns)
    data = b"".join(np.ascontiguousarray(each).tobytes() for each in columns)
    text = json.dumps([[row, word] for row, word in piece.text.items()]) if piece.text else ""
    return piece.id, len(piece.alias), piece.bytes, data, text


def _read(db: sqlite3.Connection, after: int, last: int, most_rows: int) -> tuple[list[Piece], bool]:
    """Return pieces, and whether there are no more of them."""
    query = "SELECT id, rows, data, text FROM pieces WHERE id > ? AND id <= ? ORDER BY id"
    found: list[Piece] = []
    total = 0
    cursor = db.execute(query, (after, last))
    for id_, n, data, text in cursor:
        total += n
        if found and total > most_rows:
            cursor.close()
            return found, False
        found.append(_unpacked(id_, n, data, text))
    return found, True


def _unpacked(id_: int, n: int, data: bytes, text: str) -> Piece:
    if len(data) != n * _ROW_BYTES:
        raise sqlite3.DatabaseError(f"piece {id_} has {len(data)} bytes for {n} values")
    alias = np.frombuffer(data, np.int32, n)
    raw = np.frombuffer(data, np.uint64, n, n * 4)
    quality = np.frombuffer(data, np.uint32, n, n * 12)
    source_ns = np.frombuffer(data, np.int64, n, n * 16)
    return Piece(id_, alias, raw, quality, source_ns, dict(json.loads(text)) if text else {})


def _aliases(db: sqlite3.Connection, keys: Sequence[MetricKey]) -> dict[MetricKey, int]:
    insert = "INSERT OR IGNORE INTO aliases (device, metric, type) VALUES (?, ?, ?)"
    db.executemany(insert, keys)
    found = {(row[1], row[2], row[3]): int(row[0]) for row in db.execute("SELECT * FROM aliases")}
    return {key: found[key] for key in keys}


def _next_bdseq(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT value FROM counters WHERE name = 'bdSeq'").fetchone()
    number = (int(row[0]) + 1) % 256 if row else 0
    db.execute("INSERT OR REPLACE INTO counters VALUES ('bdSeq', ?)", (number,))
    return number
