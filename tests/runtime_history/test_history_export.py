"""Columns of a file of one's own hold what was told, be it missing or beyond what doubles tell apart."""

import duckdb
import pytest

from runtime.historian import write_parquet


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
