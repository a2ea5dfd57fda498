"""The history of a plant that does not run: its file opened for reading only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.config import TagList
from runtime.contract import Batch, DataType, Tag
from runtime.historian.analyst import Answer, answer, library
from runtime.historian.columns import Kinds
from runtime.historian.faults import DamagedPartsError, told
from runtime.historian.query import Bucket, Points, read_figures, read_samples, read_trend
from runtime.historian.reading import Snapshot
from runtime.historian.store import open_file

T = TypeVar("T")


class Archive:
    """Stored samples, by the tags that the store knows. A context manager.

    Attributes:
        tags: every tag that was ever recorded; a path is here once for each type that it had, the newest
            last, and looking a path up gives that one.
        problems: files that were found damaged; what they held is missing from the answers.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, root: str = "") -> None:
        self._connection = connection
        self._folder = folder
        self._avoided: list[int] = []
        self._whole: set[int] = set()
        self.problems: list[str] = []
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
        span = (start_ns, end_ns)
        return self._read(lambda view: read_samples(view, self._stored, self._kinds, ids, span, limit))

    def trend(self, tag_id: int, start_ns: int, end_ns: int, buckets: int) -> Sequence[Bucket]:
        """Do what `Historian.trend` does; values hold until the plant stopped."""
        stored = int(self._stored[tag_id])
        return self._read(lambda view: read_trend(view, stored, (start_ns, end_ns), buckets, self.last_ns))

    def figures(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, interval_ns: int, mode: str
    ) -> dict[int, Points]:
        """Do what `Historian.figures` does; values hold until the plant stopped."""
        stored = {int(self._stored[id_]): int(id_) for id_ in ids}
        span = (start_ns, end_ns)
        steps = {tag for tag, id_ in stored.items() if self.tags[id_].data_type is DataType.BOOL}
        found = self._read(
            lambda view: read_figures(view, list(stored), span, interval_ns, mode, self.last_ns, steps)
        )
        return {stored[tag]: points for tag, points in found.items()}

    def sql(self, query: str, limit: int, seconds: float) -> Answer:
        """Do what `Historian.sql` does."""

        def ask(view: Snapshot) -> Answer:
            with library(self._folder, view, self._connection.cursor()) as books:
                return answer(books, query, limit, seconds)

        return self._read(ask)

    def _read(self, work: Callable[[Snapshot], T]) -> T:
        while True:
            try:
                with Snapshot(self._connection.cursor(), self._folder, self._whole, self._avoided) as view:
                    return work(view)
            except DamagedPartsError as exc:
                self._avoided += exc.numbers
                self.problems.append(exc.text)


def open_readonly(path: Path, root: str = "") -> Archive:
    """Open the history file of a plant that is stopped.

    Raises:
        StoreError: there is none, it is damaged, or the plant runs.
    """
    return Archive(open_file(path), path.with_suffix(""), root)
