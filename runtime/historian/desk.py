"""Where one SQL query is answered: a process of its own, whose memory and time are not the kernel's.

A script that gets its job as JSON and answers as JSON; it imports nothing of Ironworks, to start soon.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import threading
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray

MEMORY_MIB = 256  # of DuckDB; long values come on top
_MORE_MIB = 512  # of the process, beyond what it begins with
_LARGEST_MIB = 32  # of an answer, as JSON
_PIECE = 100  # rows
_NICE = 5
_COLUMNS = "tag, t, value, quality, text"
_NAMES = ("id", "path", "type", "unit", "retention")
_OF_FILES = (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException)


class Job(msgspec.Struct, frozen=True):
    """A query, and what it may read.

    Attributes:
        files: literal names for `read_parquet`.
        allowed: the names by which files may be opened.
        tags: rows of id, path, type, unit, retention.
        most: rows of the answer.
    """

    query: str
    files: list[str]
    allowed: list[str]
    tags: list[tuple[Any, ...]]
    most: int
    seconds: float


class Outcome(msgspec.Struct, frozen=True):
    """The rows, or why there are none; `of_files` tells that a file may be damaged or gone."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    refusal: str = ""
    remedy: str = ""
    of_files: bool = False


def answered(job: Job) -> Outcome:
    """Run one SELECT over the views `samples(path, t, t_ns, value, quality, text)` and `tags`."""
    late = threading.Event()
    with duckdb.connect(":memory:", config={"threads": 1, "memory_limit": f"{MEMORY_MIB}MiB"}) as desk:

        def stop() -> None:
            late.set()
            desk.interrupt()

        timer = threading.Timer(job.seconds, stop)
        timer.start()
        try:
            _lay_out(desk, job)
            statements = desk.extract_statements(job.query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                return Outcome(
                    refusal="only one SELECT is answered", remedy="history is read here, never changed"
                )
            found = desk.execute(job.query)
            columns = tuple(each[0] for each in found.description or ())
            rows = _taken(found, job.most)
            if rows is None:
                text = f"the answer is larger than {_LARGEST_MIB} MiB"
                return Outcome(refusal=text, remedy="ask for fewer rows or shorter values")
            return Outcome(columns, rows)
        except (OverflowError, RecursionError):
            return _untold()
        except MemoryError:
            return too_much()
        except duckdb.Error as exc:
            if late.is_set():
                return too_long(job.seconds)
            return _refused(exc)
        finally:
            timer.cancel()


def too_long(seconds: float) -> Outcome:
    """Return the refusal of a query that takes more time than it was given."""
    text = f"the query took longer than {seconds:g} s"
    return Outcome(refusal=text, remedy="ask for less: fewer tags, t_ns >= ...")


def too_much() -> Outcome:
    """Return the refusal of a query that takes more memory than there is for it."""
    text = "the query takes too much memory"
    return Outcome(refusal=text, remedy="ask for less: fewer rows or shorter values")


def _untold() -> Outcome:
    text = "the answer has a value that cannot be told: too great, or nested too deep"
    return Outcome(refusal=text, remedy="select it as text: value::VARCHAR")


def _refused(exc: duckdb.Error) -> Outcome:
    lines = [line for line in str(exc).splitlines() if line.strip()]
    remedy = "tables: samples(path, t, t_ns, value, quality, text), tags(path, type, unit, retention)"
    if "TIMESTAMP WITH TIME ZONE" in lines[0]:
        remedy = "t is UTC without a zone: now()::TIMESTAMP; t >= now()::TIMESTAMP - INTERVAL 1 HOUR"
    elif isinstance(exc, duckdb.OutOfMemoryException):
        return too_much()
    return Outcome(
        refusal=lines[0], remedy=remedy, of_files=type(exc) is duckdb.Error or isinstance(exc, _OF_FILES)
    )


def _lay_out(desk: duckdb.DuckDBPyConnection, job: Job) -> None:
    desk.execute(
        "CREATE TABLE ids (id UINTEGER, path VARCHAR, type VARCHAR, unit VARCHAR, retention VARCHAR)"
    )
    if job.tags:
        columns = (np.array(column, np.object_) for column in zip(*job.tags, strict=True))
        _insert(desk, dict(zip(_NAMES, columns, strict=True)))
    desk.execute(  # once each: what is joined by path counts once, also of a tag that had another type
        "CREATE VIEW tags AS SELECT path, type, unit, retention FROM ids"
        " QUALIFY row_number() OVER (PARTITION BY path ORDER BY id DESC) = 1 ORDER BY id"
    )
    files = ", ".join("'" + name.replace("'", "''") + "'" for name in job.files)
    desk.execute(
        "CREATE VIEW samples AS SELECT path, make_timestamp_ns(t) AS t, t AS t_ns, value, quality, text"  # noqa: S608
        f" FROM (SELECT {_COLUMNS} FROM read_parquet([{files}])) AS s JOIN ids ON ids.id = s.tag"
    )
    desk.execute("SET allowed_paths = ?", [job.allowed])
    for setting in (
        "autoinstall_known_extensions = false", "autoload_known_extensions = false",
        "TimeZone = 'UTC'", "temp_directory = ''", "enable_external_access = false",
        "lock_configuration = true",
    ):  # fmt: skip
        desk.execute(f"SET {setting}")


def _insert(desk: duckdb.DuckDBPyConnection, given: Mapping[str, NDArray[Any]]) -> None:
    desk.execute("INSERT INTO ids BY NAME SELECT * FROM given")


def _taken(found: duckdb.DuckDBPyConnection, most: int) -> tuple[tuple[Any, ...], ...] | None:
    """Take the rows of an answer while they are few and small enough to be sent; None where they are not."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while piece := found.fetchmany(min(_PIECE, most - len(rows))):
        plain = [tuple(_plain(value) for value in row) for row in piece]
        size += len(msgspec.json.encode(plain))
        if size > _LARGEST_MIB << 20:
            return None
        rows += plain
    return tuple(rows)


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


def main() -> None:
    os.nice(_NICE)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        most = int(file.read().split()[0]) * resource.getpagesize() + ((MEMORY_MIB + _MORE_MIB) << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        data = msgspec.json.encode(answered(job))
    except RecursionError:
        data = msgspec.json.encode(_untold())
    except MemoryError:
        data = msgspec.json.encode(too_much())
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
