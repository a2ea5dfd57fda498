"""SQL for analysts: a database of its own over the files of history, that can read these and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from runtime.errors import PlantError, StoreError
from runtime.historian import desk
from runtime.historian.asking import Asked
from runtime.historian.cold import literal
from runtime.historian.desk import Job, Outcome, too_long, too_much
from runtime.historian.faults import told
from runtime.historian.reading import Snapshot

MOST_ROWS = 100_000
_LATE_S = 5.0  # beyond its time, after which a process is ended
_COLUMNS = "tag, t, value, quality, text"


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

    It is done in another process: a single value may take a gigabyte, and seconds in which nothing else runs
    in this one. `asked` breaks it off.

    Raises:
        SqlError: it is no SELECT, is wrong, takes too long or too much memory.
    """
    files = [literal(file) for file in books.files]
    allowed = [name for file in books.files for name in (literal(file), str(file))]  # as asked for, as found
    job = Job(query, files, allowed, list(books.tags), limit + 1, seconds)
    command = [sys.executable, "-P", desk.__file__]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process,
        asked.using(_Process(process)) if asked else nullcontext(),
    ):
        try:
            data, words = process.communicate(msgspec.json.encode(job), seconds + _LATE_S)
            killed = too_much()  # the end of its memory may be the end of it
        except subprocess.TimeoutExpired:  # at work on one great value it cannot be interrupted
            process.kill()
            data, words = process.communicate()
            killed = too_long(seconds)
    if process.returncode > 0:
        last = words.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise SqlError(f"the query cannot be answered: {last[0][:300]}", "please report this")
    outcome = killed if process.returncode else msgspec.json.decode(data, type=Outcome)
    if outcome.refusal:
        raise (_UnreadError if outcome.of_files else SqlError)(outcome.refusal, outcome.remedy)
    return Answer(outcome.columns, outcome.rows[:limit], len(outcome.rows) > limit)


class _Process:
    """A process as something that can be interrupted."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def interrupt(self) -> None:
        self._process.kill()
