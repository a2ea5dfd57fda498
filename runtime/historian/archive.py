"""The history of a plant that does not run: its file opened for reading only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.config import TagList
from runtime.contract import Batch, DataType, Tag
from runtime.historian.columns import Kinds
from runtime.historian.query import Bucket, read_samples, read_trend
from runtime.historian.store import open_file, told


class Archive:
    """Stored samples, by the tags that the store knows. A context manager.

    Attributes:
        tags: every tag that was ever recorded; a path is here once for each type that it had, the newest
            last, and looking a path up gives that one.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, root: str = "") -> None:
        self._connection = connection
        with told("the history cannot be read"):
            rows = connection.execute(
                "SELECT id, path, type, unit, retention FROM tags ORDER BY id"
            ).fetchall()
            last = connection.execute("SELECT max(last_ns) FROM recorder").fetchone()
        types = {each.iec: each for each in DataType}
        self.tags = TagList(
            [Tag(path, types[kind], unit, unit, retention=keep) for _, path, kind, unit, keep in rows], root
        )
        self.last_ns = int(last[0] or 0) if last else 0
        self._stored = np.array([row[0] for row in rows], np.int64)
        self._kinds = Kinds(self.tags)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def query(self, ids: NDArray[np.int32], start_ns: int, end_ns: int, limit: int | None = None) -> Batch:
        """Do what `Historian.query` does."""
        return read_samples(self._connection, self._stored, self._kinds, ids, (start_ns, end_ns), limit)

    def trend(self, tag_id: int, start_ns: int, end_ns: int, buckets: int) -> Sequence[Bucket]:
        """Do what `Historian.trend` does; values hold until the plant stopped."""
        stored = int(self._stored[tag_id])
        return read_trend(self._connection, stored, (start_ns, end_ns), buckets, self.last_ns)


def open_readonly(path: Path, root: str = "") -> Archive:
    """Open the history file of a plant that is stopped.

    Raises:
        StoreError: there is none, it is damaged, or the plant runs.
    """
    return Archive(open_file(path), root)
