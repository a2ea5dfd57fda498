"""Rows to a file of one's own, as many as there are: Parquet, or Arrow's file format."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from runtime.errors import PlantError
from runtime.historian.cold import listed, quoted
from runtime.historian.columns import execute_on
from runtime.historian.faults import told

Put = Callable[[Mapping[str, Sequence[Any]]], None]
_ELSEWHERE = "check the folder and its disk"
_DESK = {"threads": 1, "memory_limit": "128MiB"}
_BATCH = 65_536  # rows
_EXACT = 1 << 53  # up to here a double holds whole numbers as they are
_ARRAYS: dict[str, Any] = {"whole": np.int64, "unsigned": np.uint64, "number": np.float64, "truth": np.bool_}


@contextmanager
def parquet_of(file: Path) -> Iterator[Put]:
    """Give what takes columns, as often as there are some; the file is written in the end, if there were any.

    Times (`time_ns`) are written as timestamps, too.

    Raises:
        StoreError: the file cannot be written.
    """
    with _pieces(file) as (put, desk, query):
        yield put
        if found := query():
            desk.execute(f"COPY ({found}) TO {quoted(file)} (FORMAT parquet, COMPRESSION zstd)")


@contextmanager
def arrow_of(file: Path) -> Iterator[Put]:
    """Do the same for an Arrow IPC file (Feather V2).

    Raises:
        PlantError: pyarrow is missing.
        StoreError: the file cannot be written.
    """
    try:
        from pyarrow import ipc
    except ImportError as exc:
        remedy = "install it: pip install 'ironworks[arrow]', or write --parquet"
        raise PlantError("Arrow files need pyarrow", remedy) from exc
    with _pieces(file) as (put, desk, query):
        yield put
        if found := query():
            batches = desk.sql(found).to_arrow_reader(_BATCH)
            with file.open("wb") as out, ipc.new_file(out, batches.schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)


def write_parquet(file: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns at once, as `parquet_of` does."""
    with parquet_of(file) as put:
        put(columns)


def write_arrow(file: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns at once, as `arrow_of` does."""
    with arrow_of(file) as put:
        put(columns)


@contextmanager
def _pieces(file: Path) -> Iterator[tuple[Put, duckdb.DuckDBPyConnection, Callable[[], str]]]:
    """Give what lays columns down beside the file, a desk, and the query for all that was laid down.

    What type a column has is known once all of it was seen.
    """
    seen: dict[str, _Column] = {}
    number = 0
    with (
        told(f"{file} cannot be written", _ELSEWHERE),
        tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder,
        duckdb.connect(":memory:", config=_DESK) as desk,
    ):

        def put(columns: Mapping[str, Sequence[Any]]) -> None:
            nonlocal number
            given: dict[str, Any] = {}
            for place, (name, values) in enumerate(columns.items()):
                given |= seen.setdefault(name, _Column(place)).arrays(values)
            with told(f"{file} cannot be written", _ELSEWHERE):
                piece = quoted(Path(folder) / f"{number}.parquet")
                execute_on(desk, given, f"COPY (SELECT * FROM given) TO {piece} (FORMAT parquet)")  # noqa: S608
            number += 1

        def query() -> str:
            wanted = [f'{column.expression} AS "{_escaped(name)}"' for name, column in seen.items()]
            if "time_ns" in seen:
                wanted.insert(0, f"make_timestamp_ns({seen['time_ns'].expression}) AS time")
            files = listed([Path(folder) / f"{each}.parquet" for each in range(number)])
            source = f"read_parquet({files}, union_by_name = true)"
            return f"SELECT {', '.join(wanted)} FROM {source}" if number else ""  # noqa: S608

        yield put, desk, query


class _Column:
    """What was seen of a column: each value is laid down as what it is, the type is chosen in the end."""

    def __init__(self, place: int) -> None:
        self._place = place
        self._kinds: set[str] = set()
        self._least = 0
        self._greatest = 0

    def arrays(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return values by their kinds, each under a name of its own."""
        kinds = [self._kind(value) for value in values]
        found = set(kinds) - {""}
        self._kinds |= found
        out: dict[str, Any] = {}
        for kind, dtype in _ARRAYS.items():
            if kind in found:
                mine = [value if each == kind else 0 for each, value in zip(kinds, values, strict=True)]
                absent = np.array([each != kind for each in kinds])
                array = np.array(mine, dtype)
                out[self._name(kind)] = np.ma.masked_array(array, absent | (array != array))
        texts = [str(value) if each == "text" else None for each, value in zip(kinds, values, strict=True)]
        return out | {self._name("text"): np.array(texts, np.object_)}

    @property
    def expression(self) -> str:
        """Return what selects the column: in its one type, numbers of two as doubles, others as text.

        Whole numbers for which that would have to round are text, too.
        """
        whole, unsigned, number, truth = (self._name(kind) for kind in _ARRAYS)
        match sorted(self._kinds):
            case ["whole"] | ["number"] | ["truth"]:
                return self._name(*self._kinds)
            case ["unsigned"]:
                return unsigned
            case ["unsigned", "whole"] if self._least >= 0:
                return f"coalesce({unsigned}, {whole}::UBIGINT)"
            case ["number", "whole"] if self._least >= -_EXACT and self._greatest <= _EXACT:
                return f"coalesce({number}, {whole}::DOUBLE)"
        as_text = {
            "truth": f"CASE WHEN {truth} THEN 'True' WHEN NOT {truth} THEN 'False' END",
            "whole": f"{whole}::VARCHAR", "unsigned": f"{unsigned}::VARCHAR", "number": f"{number}::VARCHAR",
        }  # fmt: skip
        known = [as_text[kind] for kind in as_text if kind in self._kinds]
        return f"coalesce({', '.join([self._name('text'), *known])}, NULL)"

    def _name(self, kind: str) -> str:
        return f"{kind}_{self._place}"

    def _kind(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "truth"
        if isinstance(value, float):
            return "number"
        if isinstance(value, int):
            self._least, self._greatest = min(self._least, value), max(self._greatest, value)
            if -(1 << 63) <= value < 1 << 64:
                return "whole" if value < 1 << 63 else "unsigned"
        return "text"


def _escaped(name: str) -> str:
    return name.replace('"', '""')
