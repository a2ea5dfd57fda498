"""Sorting more samples than memory holds: slice by slice, each small enough to be sorted at once."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

AT_ONCE = 100_000  # samples: DuckDB sorts that many in about 13 MiB


def slices(cursor: duckdb.DuckDBPyConnection, source: str, most: int = AT_ONCE) -> Iterator[str]:
    """Yield conditions that cut a source into slices of at most so many samples, in order of tag and time.

    A slice has more only where more samples have the same tag and time.

    Args:
        cursor: reads the source.
        source: what stands after FROM.
        most: samples of a slice.
    """
    counts = cursor.execute(
        f"SELECT tag, count(*), min(t), max(t) FROM {source} GROUP BY tag ORDER BY tag"  # noqa: S608
    ).fetchall()
    tags: list[int] = []
    together = 0
    for tag, rows, first_ns, last_ns in counts:
        if tags and together + rows > most:
            yield _of_tags(tags)
            tags, together = [], 0
        if rows > most:
            yield from _of_one(cursor, source, tag, rows, first_ns, last_ns, most)
        else:
            tags.append(tag)
            together += rows
    if tags:
        yield _of_tags(tags)


def _of_tags(tags: list[int]) -> str:
    return f"tag BETWEEN {tags[0]} AND {tags[-1]}"


def _of_one(
    cursor: duckdb.DuckDBPyConnection,
    source: str,
    tag: int,
    rows: int,
    first_ns: int,
    last_ns: int,
    most: int,
) -> Iterator[str]:
    """Halve the time until the samples are few enough."""
    within = f"tag = {tag} AND t BETWEEN {first_ns} AND {{}}"
    if rows <= most or first_ns == last_ns:
        if rows:
            yield within.format(last_ns)
        return
    middle_ns = (first_ns + last_ns) // 2
    found = cursor.execute(f"SELECT count(*) FROM {source} WHERE {within.format(middle_ns)}").fetchone()  # noqa: S608
    earlier = int((found or (0,))[0])
    yield from _of_one(cursor, source, tag, earlier, first_ns, middle_ns, most)
    yield from _of_one(cursor, source, tag, rows - earlier, middle_ns + 1, last_ns, most)
