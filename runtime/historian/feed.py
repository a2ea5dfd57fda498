"""What a sink gets next: pieces of the history itself, each once, with the place kept in the store.

The sink's database counts the pieces that it took in the transactions that take them; the store notes which
piece is under way before it is sent. So after any break the two counts tell whether it arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.contract import DataType
from runtime.historian.cold import listed, part_name, quoted
from runtime.historian.faults import told
from runtime.historian.schema import tables_in
from runtime.historian.store import Store

PIECE_ROWS = 50_000
_SIGNED = ", ".join(quoted(each.iec) for each in DataType if each.kind == "i")
_CSV = "FORMAT csv, HEADER false, NULLSTR '\\N'"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sink stands.

    It sends a table or file from its first row to its last before it begins another one. A table that it
    is in does not become a file, a file that it is in does not become part of another one.

    Attributes:
        feed: a number that the sink's database knows this history by.
        batch: how many pieces it took before this one.
        kind: `table`, `part` (a cold file), or nothing.
        number: of the table or file.
        first: row there with which the piece begins.
        rows: of the piece; 0 while nothing is under way.
        caught_up_ns: when all there was had been sent, or was about to be, for the last time.
    """

    feed: int
    batch: int = 0
    kind: str = ""
    number: int = 0
    first: int = 0
    rows: int = 0
    caught_up_ns: int = 0


def place(store: Store) -> Place | None:
    """Return where the sink stands, None where there never was one."""
    with told("the history cannot be read"), store.cursor() as cursor:
        row = cursor.execute("SELECT * FROM feed").fetchone()
    return Place(*row) if row else None


def part_in_hand(store: Store) -> int | None:
    """Return the number of the file that is being sent."""
    at = place(store)
    return at.number if at and at.kind == "part" else None


def begin(store: Store, feed: int, now_ns: int) -> Place:
    """Begin with a database that has nothing yet: all of history is to be sent, if any was sent before.

    What came from an older store is not sent again: it is not known whether it was.
    """
    before = place(store)
    at = Place(feed, caught_up_ns=now_ns)
    with store.transaction() as connection:
        if before and before.batch:
            connection.execute("UPDATE parts SET sent = false")
            connection.execute("DELETE FROM sent_tables")
        _keep(connection, at)
    return at


def advance(store: Store, taken: bool, now_ns: int) -> Place:
    """Return the next piece, without rows where nothing is left; `taken`: the one under way arrived."""
    before = place(store)
    if before is None:
        raise ValueError("nothing was begun")
    at = before
    if taken:
        at = replace(at, batch=at.batch + 1, first=at.first + at.rows)
    at = replace(at, rows=0)
    finished: list[Place] = []
    with told("the history cannot be read"), store.cursor() as cursor:
        newest = tables_in(cursor)[-1]
        while (left := _rows(cursor, at) - at.first) <= 0 and (at.kind, at.number) != ("table", newest):
            if at.kind:
                finished.append(at)
            at = _following(store, cursor, at, finished)
            if not at.kind:
                break
    at = replace(at, rows=max(0, min(left, PIECE_ROWS)))
    if (at.rows or before.rows) and at.rows == left and (at.kind, at.number) == ("table", newest):
        at = replace(at, caught_up_ns=now_ns)
    if at != before:
        with store.transaction() as connection:
            for each in finished:
                if each.kind == "part":
                    connection.execute("UPDATE parts SET sent = true WHERE number = ?", [each.number])
                else:
                    connection.execute("INSERT INTO sent_tables VALUES (?)", [each.number])
            _keep(connection, at)
    return at


def waiting(store: Store) -> int:
    """Return how many samples are to be sent."""
    with told("the history cannot be read"), store.cursor() as cursor:
        cursor.begin()  # one moment of the store: it is written meanwhile
        row = cursor.execute("SELECT coalesce(sum(rows), 0) FROM parts WHERE NOT sent").fetchone()
        rows = int(row[0]) if row else 0
        sent = cursor.execute("SELECT number FROM sent_tables").fetchall()
        tables = [Place(0, kind="table", number=each) for each in tables_in(cursor) if (each,) not in sent]
        rows += sum(_rows(cursor, each) for each in tables)
        row = cursor.execute("SELECT first FROM feed").fetchone()
    return max(0, rows - (int(row[0]) if row else 0))


def tags_mark(store: Store) -> tuple[int, ...]:
    """Return what is another once a tag came or has another unit."""
    with told("the history cannot be read"), store.cursor() as cursor:
        row = cursor.execute("SELECT count(*), bit_xor(hash(id, unit)) FROM tags").fetchone()
    return row or ()


def tags(store: Store) -> list[tuple[int, str, str, str]]:
    """Return (id, path, type, unit) of every tag that was ever recorded."""
    with told("the history cannot be read"), store.cursor() as cursor:
        rows: list[tuple[int, str, str, str]] = cursor.execute(
            "SELECT id, path, type, unit FROM tags ORDER BY id"
        ).fetchall()
    return rows


def write_piece(store: Store, at: Place, numbers: NDArray[np.int64], file: Path) -> None:
    """Write a piece as CSV: number of the tag, time, ns, value, whole number, text, quality.

    `numbers` has the number in the sink's database by id of the tag here; without one, its database refuses.
    """
    if at.kind == "table":
        source, row = f"samples_{at.number}", "rowid"
    else:
        with told("the history cannot be read"), store.cursor() as cursor:
            found = cursor.execute("SELECT day, keep FROM parts WHERE number = ?", [at.number]).fetchone()
        day, keep = found or ("", "")
        name = part_name(day, keep, at.number)
        source = f"read_parquet({listed([store.folder / name])}, file_row_number = true)"
        row = "file_row_number"
    whole = f"CASE WHEN type IN ({_SIGNED}) AND exact >= 1::UBIGINT << 63 THEN exact - 18446744073709551616"
    query = (
        f"SELECT numbers.sink, make_timestamp(t // 1000), t, value, {whole}::HUGEINT ELSE exact END,"  # noqa: S608
        f" replace(text, chr(0), chr(65533)), quality FROM {source} AS s JOIN tags ON tags.id = s.tag"
        f" LEFT JOIN numbers ON numbers.id = s.tag"
        f" WHERE s.{row} >= {at.first} AND s.{row} < {at.first + at.rows}"
    )
    with told("the piece for the sink cannot be written"), store.cursor() as cursor:
        cursor.register("numbers", {"id": np.arange(len(numbers)), "sink": numbers})
        cursor.execute(f"COPY ({query}) TO {quoted(file)} ({_CSV})")


def _keep(connection: duckdb.DuckDBPyConnection, at: Place) -> None:
    connection.execute("DELETE FROM feed")
    connection.execute("INSERT INTO feed VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(at))


def _rows(cursor: duckdb.DuckDBPyConnection, at: Place) -> int:
    """Return how many rows a table or file has; 0 where it is gone."""
    row: tuple[int, ...] | None
    if at.kind == "part":
        row = cursor.execute("SELECT rows FROM parts WHERE number = ?", [at.number]).fetchone()
    elif at.number in tables_in(cursor):
        row = cursor.execute(f"SELECT count(*) FROM samples_{at.number}").fetchone()  # noqa: S608
    else:
        row = None
    return int(row[0]) if row else 0


def _following(
    store: Store, cursor: duckdb.DuckDBPyConnection, at: Place, finished: Sequence[Place]
) -> Place:
    """Return what is to be sent next, the oldest file first; nothing while it becomes another one."""
    done = {(each.kind, each.number) for each in finished}
    found = cursor.execute("SELECT number FROM parts WHERE NOT sent ORDER BY day, number").fetchall()
    sent = cursor.execute("SELECT number FROM sent_tables").fetchall()
    left = [("part", number) for (number,) in found]
    left += [("table", number) for number in tables_in(cursor) if (number,) not in sent]
    kind, number = next(each for each in left if each not in done)
    if number in (store.merging if kind == "part" else store.compacting):
        kind, number = "", 0
    return replace(at, kind=kind, number=number, first=0)
