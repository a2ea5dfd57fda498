"""Columns of a file of one's own hold what was told, be it missing or beyond what doubles tell apart."""

import duckdb
import pytest

from runtime.historian import parquet_of, write_parquet


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ([2**53 + 1, None, -5], "BIGINT", None),
        ([2**64 - 1, None], "UBIGINT", None),
        ([True, None, False], "BOOLEAN", None),
        ([1, 0.5, float("nan"), None], "DOUBLE", [1.0, 0.5, None, None]),
        ([2**53 + 1, 0.5, None], "VARCHAR", ["9007199254740993", "0.5", None]),
        ([2**64 - 1, -1], "VARCHAR", ["18446744073709551615", "-1"]),
        ([34_000_000_000_000_000_000], "VARCHAR", ["34000000000000000000"]),
        (["x", None, 1], "VARCHAR", ["x", None, "1"]),
    ],
)
def test_a_column_rounds_nothing(tmp_path, values, kind, told):
    file = tmp_path / "out.parquet"
    write_parquet(file, {"value": values})
    found = duckdb.sql(f"SELECT value, typeof(value) FROM '{file}'").fetchall()
    assert [value for value, _ in found] == (values if told is None else told)
    assert {name for _, name in found} == {kind}


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 2**63 + 5, 3], [1, -1, 0.5], [1, 2**53 + 1, 0.5], [True, None, 2], [None, None, 7],
        [0.1, 1e20, "x"], [2**64, 1],
    ],
)  # fmt: skip
def test_a_column_that_comes_in_pieces_is_as_one_that_comes_at_once(tmp_path, values):
    once, pieces = tmp_path / "once.parquet", tmp_path / "pieces.parquet"
    columns = {"time_ns": [*range(len(values))], 'a "b"': values}
    write_parquet(once, columns)
    with parquet_of(pieces) as put:
        for row in range(len(values)):
            put({name: column[row : row + 1] for name, column in columns.items()})
    read = "SELECT *, typeof(COLUMNS(*)) FROM '{}'"
    assert duckdb.sql(read.format(pieces)).fetchall() == duckdb.sql(read.format(once)).fetchall()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["once.parquet", "pieces.parquet"]
