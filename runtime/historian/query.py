"""Reading samples: as they are, or in buckets for a trend."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.contract import NO_TEXT, Batch
from runtime.historian.columns import Kinds
from runtime.historian.store import told

Bucket = tuple[int, float | None, float | None, float | None]

_SAMPLES = """
SELECT tag, t, value, exact, quality{text} FROM samples
WHERE tag IN (SELECT unnest($tags::UINTEGER[])) AND t >= $start AND t < $end
{newest} ORDER BY tag, t, rowid
"""
_NEWEST = "QUALIFY row_number() OVER (PARTITION BY tag ORDER BY t DESC, rowid DESC) <= $limit"

# A value holds until the next sample: the mean is weighted by time. `ends` is the end of a sample's bucket.
_TREND = """
WITH held AS (
    SELECT t, (t - $start) // $width AS bucket, least($until, $start + (bucket + 1) * $width) AS ends,
        lead(t, 1, $until) OVER (ORDER BY t, rowid) AS next,
        CASE WHEN quality < 2147483648 AND isfinite(value) THEN value END AS good
    FROM samples WHERE tag = $tag AND t >= $start AND t < $until
)
SELECT bucket, min(t), min(good), max(good), sum(good * (least(next, ends) - t)),
    sum(least(next, ends) - t) FILTER (good IS NOT NULL), max(good) FILTER (next >= ends)
FROM held GROUP BY bucket ORDER BY bucket
"""
_BEFORE = """
SELECT CASE WHEN quality < 2147483648 AND isfinite(value) THEN value END FROM samples
WHERE tag = ? AND t < ? ORDER BY t DESC, rowid DESC LIMIT 1
"""


def read_samples(
    cursor: duckdb.DuckDBPyConnection,
    stored: NDArray[np.int64],
    kinds: Kinds,
    ids: NDArray[np.int32],
    span: tuple[int, int],
    limit: int | None,
) -> Batch:
    """Return the samples of tags in order of tag and time, start included, end not.

    With a limit, the newest so many of each tag. `stored` has the store's id of each tag.
    """
    ids = np.unique(ids[stored[ids] >= 0]).astype(np.int32)
    texts = bool(kinds.text[ids].any())
    query = _SAMPLES.format(text=", text" if texts else "", newest="" if limit is None else _NEWEST)
    values: dict[str, Any] = {"tags": stored[ids].tolist(), "start": span[0], "end": span[1]}
    if limit is not None:
        values["limit"] = limit
    with told("the history cannot be read"):
        columns = cursor.execute(query, values).fetchnumpy()
    order = np.argsort(stored[ids])
    place = order[np.searchsorted(stored[ids][order], columns["tag"])]
    found = ids[place]
    value = np.ma.filled(columns["value"], np.nan).astype(np.float64)
    raw = kinds.encode(found, value)
    exact = np.ma.masked_array(columns["exact"])
    known = ~np.ma.getmaskarray(exact)
    raw[known] = exact.data[known]
    nothing = np.ma.getmaskarray(columns["value"]) & ~known
    raw[nothing] = 0
    text = NO_TEXT
    if texts:
        rows = zip(kinds.text[found].tolist(), np.ma.filled(columns["text"], None).tolist(), strict=True)
        text = {row: words for row, (is_text, words) in enumerate(rows) if is_text and words is not None}
    batch = Batch(found, raw, columns["quality"], columns["t"], text)
    return batch.take(np.argsort(found, kind="stable")) if (np.diff(found) < 0).any() else batch


def read_trend(
    cursor: duckdb.DuckDBPyConnection, tag: int, span: tuple[int, int], buckets: int, until_ns: int
) -> list[Bucket]:
    """Return (start ns, least, mean, greatest) of at most so many equal buckets of one tag of the store.

    A value holds until the next sample, at most until `until_ns`. None where the tag had no good value.
    """
    start, end = span
    width = max(1, -(-(end - start) // max(1, buckets)))
    until = min(end, until_ns)
    with told("the history cannot be read"):
        row = cursor.execute(_BEFORE, [tag, start]).fetchone()
        held: float | None = row[0] if row else None
        values = {"tag": tag, "start": start, "until": until, "width": width}
        rows = cursor.execute(_TREND, values).fetchall() if until > start else []
    found = {bucket: rest for bucket, *rest in rows}
    out: list[Bucket] = []
    for index, at in enumerate(range(start, end, width)):
        if index not in found:
            value = held if at < until else None
            out.append((at, value, value, value))
            continue
        first, least, greatest, area, good_ns, last = found[index]
        area, good_ns = area or 0.0, good_ns or 0
        if held is not None and first > at:
            least = held if least is None else min(least, held)
            greatest = held if greatest is None else max(greatest, held)
            area += held * (first - at)
            good_ns += first - at
        mean = min(max(area / good_ns, least), greatest) if good_ns else least
        out.append((at, least, mean, greatest))
        held = last
    return out
