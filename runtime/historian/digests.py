"""Sums of each tag of a cold file, so that figures over years need not read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.historian.cold import Part, listed
from runtime.historian.schema import lines_in

Digest = dict[str, NDArray[Any]]

# Sums of each tag of a sorted file, up to its last sample there. A value holds until the next sample.
_DIGEST = """
WITH rows AS (
    SELECT tag, t, quality, CASE WHEN quality < 2147483648 AND isfinite(value) THEN value END AS good,
        lead(tag) OVER () AS next_tag, lead(t) OVER () AS next_t
    FROM read_parquet({files})
), spans AS (
    SELECT tag, t, quality, good, CASE WHEN next_tag = tag THEN (next_t - t)::DOUBLE ELSE 0 END AS ns
    FROM rows
)
SELECT {part}::UBIGINT AS part, tag, min(t) AS first_ns, max(t) AS last_ns, count(*)::UBIGINT AS rows,
    count(good)::UBIGINT AS good, first(good) FILTER (good IS NOT NULL) AS head,
    last(good) FILTER (good IS NOT NULL) AS tail, last(good) AS held, last(quality) AS quality,
    min(good) AS least, max(good) AS greatest, sum(good) AS total, coalesce(sum(good * ns), 0) AS area,
    coalesce(sum(ns) FILTER (good IS NOT NULL), 0) AS good_ns,
    coalesce(bool_or(quality >> 30 = 1) FILTER (good IS NOT NULL), false) AS uncertain, first(good) AS opens
FROM spans GROUP BY tag ORDER BY tag
"""
# What lies between the steps and the straight lines, where lines join the samples. OFFSET keeps the rows in
# their order: a join holds few of them back behind many.
_UNDER_LINES = """
WITH rows AS (
    SELECT tag, t, CASE WHEN quality < 2147483648 AND isfinite(value) THEN value END AS good,
        lead(tag) OVER () AS next_tag, lead(t) OVER () AS next_t, lead(good) OVER () AS next_good
    FROM (FROM read_parquet({files}) WHERE tag IN (SELECT tag FROM lines) OFFSET 0)
)
SELECT rows.tag, sum((next_good - good) / 2 * (next_t - t)) AS more FROM rows
JOIN lines ON lines.tag = rows.tag AND t >= begun AND next_t <= ended
WHERE next_tag = rows.tag AND good IS NOT NULL AND next_good IS NOT NULL GROUP BY rows.tag
"""
_NEWEST = """
SELECT tag, t, value, exact, text, quality FROM (
    SELECT *, lead(tag) OVER () AS next_tag FROM read_parquet({files})
) WHERE next_tag IS DISTINCT FROM tag
"""


def digest(cursor: duckdb.DuckDBPyConnection, folder: Path, part: Part) -> Digest:
    """Return the sums of each tag of a file."""
    files = listed([folder / part.name])
    found: Digest = cursor.execute(_DIGEST.format(part=part.number, files=files)).fetchnumpy()
    lines = lines_in(cursor, "true")
    if lines:
        spans = [(tag, *span) for tag, mine in lines.items() for span in mine]
        names, columns = ("tag", "begun", "ended"), zip(*spans, strict=True)
        cursor.register("lines", {n: np.array(c) for n, c in zip(names, columns, strict=True)})
        for tag, more in cursor.execute(_UNDER_LINES.format(files=files)).fetchall():
            found["area"][found["tag"] == tag] += more
    return found


def newest(cursor: duckdb.DuckDBPyConnection, folder: Path, part: Part) -> Digest:
    """Return the last sample of each tag of a file."""
    found: Digest = cursor.execute(_NEWEST.format(files=listed([folder / part.name]))).fetchnumpy()
    return found
