"""SQL for analysts: a database of its own over the files of history, that can read these and nothing else."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from runtime.errors import PlantError, StoreError
from runtime.historian.asking import Asked
from runtime.historian.cold import listed, literal
from runtime.historian.columns import execute_on
from runtime.historian.faults import told
from runtime.historian.reading import Snapshot

MOST_ROWS = 100_000
_MEMORY_MIB = 256
_LARGEST_MIB = 32  # of an answer, as JSON
_PIECE = 1000  # rows
_COLUMNS = "tag, t, value, quality, text"
_OF_FILES = (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException)


class SqlError(PlantError):
    """A query that cannot be answered: says why."""


class _UnreadError(SqlError):
    """One that may be right, and a file be damaged or gone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query; `truncated` tells that there were more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Library:
    """What a query may read: files of samples, and the tags."""

    files: Sequence[Path]
    tags: Sequence[tuple[Any, ...]]


@contextmanager
def library(folder: Path, view: Snapshot, cursor: duckdb.DuckDBPyConnection) -> Iterator[Library]:
    """Give the cold files, and a copy of what is not in them yet.

    Raises:
        DamagedPartsError: a query did not end well because of them.
    """
    with tempfile.TemporaryDirectory(prefix="ironworks-sql-") as home:
        fresh = Path(home) / "fresh.parquet"
        pieces = " UNION ALL ".join(f"SELECT {_COLUMNS} FROM {table}" for table in ["held", *view.tables])  # noqa: S608
        with told("the newest samples cannot be read"):
            cursor.execute(f"COPY ({pieces}) TO '{fresh}' (FORMAT parquet)")
            tags = cursor.execute("SELECT id, path, type, unit, retention FROM tags ORDER BY id").fetchall()
        try:
            yield Library([*(folder / part.name for part in view.parts), fresh], tags)
        except (_UnreadError, StoreError):
            view.check(view.parts)
            raise


def answer(books: Library, query: str, limit: int, seconds: float, asked: Asked | None = None) -> Answer:
    """Run one SELECT over the views `samples(path, t, t_ns, value, quality, text)` and `tags`.

    `asked` breaks it off.

    Raises:
        SqlError: it is no SELECT, is wrong, takes too long or too much memory.
    """
    with (
        duckdb.connect(":memory:", config={"threads": 1, "memory_limit": f"{_MEMORY_MIB}MiB"}) as desk,
        asked.using(desk) if asked else nullcontext(),
    ):
        _lay_out(desk, books)
        late = threading.Event()

        def stop() -> None:
            late.set()
            desk.interrupt()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            _check(desk, query)
            found = desk.execute(query)
            columns = tuple(each[0] for each in found.description or ())
            rows = _taken(found, limit + 1)
        except (OverflowError, RecursionError) as exc:
            text = "the answer has a value that cannot be told: too great, or nested too deep"
            raise SqlError(text, "select it as text: value::VARCHAR") from exc
        except duckdb.Error as exc:
            if late.is_set():
                raise SqlError(
                    f"the query took longer than {seconds:g} s", "ask for less: fewer tags, t_ns >= ..."
                ) from exc
            lines = [line for line in str(exc).splitlines() if line.strip()]
            remedy = "tables: samples(path, t, t_ns, value, quality, text), tags(path, type, unit, retention)"
            if "TIMESTAMP WITH TIME ZONE" in lines[0]:
                remedy = "t is UTC without a zone: now()::TIMESTAMP; t >= now()::TIMESTAMP - INTERVAL 1 HOUR"
            of_files = type(exc) is duckdb.Error or isinstance(exc, _OF_FILES)
            raise (_UnreadError if of_files else SqlError)(lines[0], remedy) from exc
        finally:
            timer.cancel()
    return Answer(columns, tuple(rows[:limit]), len(rows) > limit)


def _lay_out(desk: duckdb.DuckDBPyConnection, books: Library) -> None:
    with told("the history cannot be opened"):
        desk.execute(
            "CREATE TABLE ids (id UINTEGER, path VARCHAR, type VARCHAR, unit VARCHAR, retention VARCHAR)"
        )
        if books.tags:
            names = ("id", "path", "type", "unit", "retention")
            columns = (np.array(column, np.object_) for column in zip(*books.tags, strict=True))
            given = dict(zip(names, columns, strict=True))
            execute_on(desk, given, "INSERT INTO ids BY NAME SELECT * FROM given")
        desk.execute(  # once each: what is joined by path counts once, also of a tag that had another type
            "CREATE VIEW tags AS SELECT path, type, unit, retention FROM ids"
            " QUALIFY row_number() OVER (PARTITION BY path ORDER BY id DESC) = 1 ORDER BY id"
        )
        source = f"SELECT {_COLUMNS} FROM read_parquet({listed(books.files)})"  # noqa: S608
        desk.execute(
            "CREATE VIEW samples AS SELECT path, make_timestamp_ns(t) AS t, t AS t_ns, value, quality, text"  # noqa: S608
            f" FROM ({source}) AS s JOIN ids ON ids.id = s.tag"
        )
        # By the name it is asked for, and by the one that is found.
        allowed = [name for file in books.files for name in (literal(file), str(file))]
        desk.execute("SET allowed_paths = ?", [allowed])
        for setting in (
            "autoinstall_known_extensions = false", "autoload_known_extensions = false",
            "TimeZone = 'UTC'", "temp_directory = ''", "enable_external_access = false",
            "lock_configuration = true",
        ):  # fmt: skip
            desk.execute(f"SET {setting}")


def _taken(found: duckdb.DuckDBPyConnection, most: int) -> list[tuple[Any, ...]]:
    """Take the rows of an answer while they are few and small enough to be sent.

    Raises:
        SqlError: they are too large.
    """
    rows: list[tuple[Any, ...]] = []
    size = 0
    while piece := found.fetchmany(min(_PIECE, most - len(rows))):
        plain = [tuple(_plain(value) for value in row) for row in piece]
        size += len(msgspec.json.encode(plain))
        if size > _LARGEST_MIB << 20:
            raise SqlError(
                f"the answer is larger than {_LARGEST_MIB} MiB", "ask for fewer rows or shorter values"
            )
        rows += plain
    return rows


def _check(desk: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = desk.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SqlError("only one SELECT is answered", "history is read here, never changed")


def _plain(value: Any) -> Any:
    """Return a value as JSON can carry it; what is infinite or not a number is no value there."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return str(value)
