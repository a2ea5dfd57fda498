"""The tables of the history's DuckDB file, their format, and the lists in them."""

from __future__ import annotations

import duckdb

from runtime.historian.cold import Part
from runtime.historian.intervals import Lines

FORMAT = 3
COLUMNS = "tag, t, value, exact, text, quality"

SAMPLES = "(tag UINTEGER, t BIGINT, value DOUBLE, exact UBIGINT, text VARCHAR, quality UINTEGER)"
PART = "number, day, keep, first_ns, last_ns, rows, size, crc, merged, digested, sent"
# Defaults are plain constants: DuckDB cannot replay its log with others ("list_value is not in the catalog").
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS tags (
    id UINTEGER PRIMARY KEY, path VARCHAR, type VARCHAR, unit VARCHAR, retention VARCHAR
);
CREATE TABLE IF NOT EXISTS recorder (format INTEGER, last_ns BIGINT);
ALTER TABLE recorder ADD COLUMN IF NOT EXISTS store UBIGINT;
ALTER TABLE recorder ADD COLUMN IF NOT EXISTS commits UBIGINT DEFAULT 0;
ALTER TABLE recorder ADD COLUMN IF NOT EXISTS samples UBIGINT DEFAULT 0;
ALTER TABLE recorder ADD COLUMN IF NOT EXISTS whole BOOLEAN DEFAULT true;
ALTER TABLE tags ADD COLUMN IF NOT EXISTS lines BIGINT[];
ALTER TABLE tags ADD COLUMN IF NOT EXISTS recorded BOOLEAN DEFAULT true;
CREATE TABLE IF NOT EXISTS parts (
    number UBIGINT, day VARCHAR, keep VARCHAR, first_ns BIGINT, last_ns BIGINT, rows UBIGINT, size UBIGINT,
    crc UINTEGER, merged BOOLEAN, digested BOOLEAN
);
ALTER TABLE parts ADD COLUMN IF NOT EXISTS sent BOOLEAN DEFAULT false;
CREATE TABLE IF NOT EXISTS gone (name VARCHAR);
CREATE TABLE IF NOT EXISTS held {SAMPLES};
CREATE TABLE IF NOT EXISTS digests (
    part UBIGINT, tag UINTEGER, first_ns BIGINT, last_ns BIGINT, rows UBIGINT, good UBIGINT, head DOUBLE,
    tail DOUBLE, held DOUBLE, quality UINTEGER, least DOUBLE, greatest DOUBLE, total DOUBLE, area DOUBLE,
    good_ns DOUBLE, uncertain BOOLEAN
);
ALTER TABLE digests ADD COLUMN IF NOT EXISTS opens DOUBLE;
CREATE TABLE IF NOT EXISTS feed (
    id BIGINT, batch UBIGINT, kind VARCHAR, number UBIGINT, first UBIGINT, rows UBIGINT, caught_up_ns BIGINT
);
CREATE TABLE IF NOT EXISTS sent_tables (number UBIGINT);
"""
_EVER = (1 << 63) - 1


def format_of(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the format of a store, 0 for a new one."""
    if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'recorder'").fetchone():
        return 0
    row = connection.execute("SELECT max(format) FROM recorder").fetchone()
    return int(row[0] or 0) if row else 0


def bring_along(connection: duckdb.DuckDBPyConnection, found: int) -> None:
    """Bring an older store to this format; format 1 had one table of samples and no files."""
    connection.begin()
    connection.execute(SCHEMA)
    if found == 1:
        connection.execute("ALTER TABLE samples RENAME TO samples_1")
    connection.execute("UPDATE recorder SET format = ?", [FORMAT])
    connection.commit()


def parts_in(cursor: duckdb.DuckDBPyConnection) -> list[Part]:
    """Return the cold files that count, oldest first."""
    found = cursor.execute(f"SELECT {PART} FROM parts ORDER BY day, number").fetchall()  # noqa: S608
    return [Part(*row) for row in found]


def lines_in(cursor: duckdb.DuckDBPyConnection, condition: str) -> dict[int, Lines]:
    """Return from when to when straight lines join the samples, of the tags of which they ever did."""
    rows = cursor.execute(f"SELECT id, lines FROM tags WHERE len(lines) > 0 AND {condition}").fetchall()  # noqa: S608
    return {
        id_: list(zip(turns[::2], [*turns[1::2], _EVER][: len(turns[::2])], strict=True))
        for id_, turns in rows
    }


def tables_in(cursor: duckdb.DuckDBPyConnection) -> list[int]:
    """Return the numbers of the tables of samples, the one that is written last."""
    found = cursor.execute(
        "SELECT table_name[9:]::INTEGER FROM duckdb_tables() WHERE starts_with(table_name, 'samples_')"
    ).fetchall()
    return sorted(number for (number,) in found)
