"""Rows to a file of one's own: Parquet, or Arrow's file format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from runtime.errors import PlantError
from runtime.historian.cold import quoted
from runtime.historian.faults import told

_ELSEWHERE = "check the folder and its disk"


def write_parquet(file: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns; times (`time_ns`) also as timestamps.

    Raises:
        StoreError: the file cannot be written.
    """
    with told(f"{file} cannot be written", _ELSEWHERE), _laid_out(columns) as (desk, query):
        desk.execute(f"COPY ({query}) TO {quoted(file)} (FORMAT parquet, COMPRESSION zstd)")


def write_arrow(file: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns as an Arrow IPC file (Feather V2); times (`time_ns`) also as timestamps.

    Raises:
        PlantError: pyarrow is missing.
        StoreError: the file cannot be written.
    """
    try:
        from pyarrow import ipc
    except ImportError as exc:
        remedy = "install it: pip install 'ironworks[arrow]', or write --parquet"
        raise PlantError("Arrow files need pyarrow", remedy) from exc
    with told(f"{file} cannot be written", _ELSEWHERE), _laid_out(columns) as (desk, query):
        table = desk.sql(query).to_arrow_table()
        with file.open("wb") as out, ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)


@contextmanager
def _laid_out(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """Give a desk with the columns on it, and the query for them."""
    with duckdb.connect(":memory:") as desk:
        desk.register("given", {name: _column(values) for name, values in columns.items()})
        more = "make_timestamp_ns(time_ns) AS time, " if "time_ns" in columns else ""
        yield desk, f"SELECT {more}* FROM given"  # noqa: S608


def _column(values: Sequence[Any]) -> Any:
    """Return values of one type as they are, numbers of two as doubles, others as text.

    A column has one type; whole numbers for which it would have to round are text, too.
    """
    kinds = {type(value) for value in values if value is not None}
    absent = np.array([value is None for value in values], np.bool_)
    if kinds == {int}:
        known = [value for value in values if value is not None]
        for whole in (np.int64, np.uint64):
            if np.iinfo(whole).min <= min(known) and max(known) <= np.iinfo(whole).max:
                data = np.array([0 if value is None else value for value in values], whole)
                return np.ma.masked_array(data, absent)
    elif kinds == {bool}:
        return np.ma.masked_array(np.array([bool(value) for value in values]), absent)
    elif kinds and kinds <= {int, float} and all(_is_exact(value) for value in values):
        data = np.array([np.nan if value is None else float(value) for value in values])
        return np.ma.masked_array(data, np.isnan(data))
    return np.array([None if value is None else str(value) for value in values], np.object_)


def _is_exact(value: Any) -> bool:
    """Tell whether a double holds a number as it is."""
    return not isinstance(value, int) or abs(value) <= 1 << 53
