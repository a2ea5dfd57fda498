"""Rows to a Parquet file of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from runtime.historian.cold import quoted
from runtime.historian.faults import told


def write_parquet(file: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns; times (`time_ns`) also as timestamps.

    Raises:
        StoreError: the file cannot be written.
    """
    given = {name: _column(values) for name, values in columns.items()}
    with told(f"{file} cannot be written"), duckdb.connect(":memory:") as desk:
        desk.register("given", given)
        more = "make_timestamp_ns(time_ns) AS time, " if "time_ns" in given else ""
        desk.execute(
            f"COPY (SELECT {more}* FROM given) TO {quoted(file)} (FORMAT parquet, COMPRESSION zstd)"  # noqa: S608
        )


def _column(values: Sequence[Any]) -> Any:
    """Return values of one type as they are, of several as text: a column has one type."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds:
        whole = kinds == {int}
        if not whole or None in values:
            data = np.array([np.nan if value is None else float(value) for value in values])
            return np.ma.masked_array(data, np.isnan(data))
        small = all(-(1 << 63) <= value < 1 << 63 for value in values)
        return np.array(values, np.int64 if small else np.uint64)
    if kinds == {bool} and None not in values:
        return np.array(values, np.bool_)
    return np.array([None if value is None else str(value) for value in values], np.object_)
