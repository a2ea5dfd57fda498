"""The file of samples: opening it whatever its state, appending, making room. One thread at a time."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.config import TagList
from runtime.contract import Clock, Quality, Tag
from runtime.errors import StoreError
from runtime.historian.columns import Columns

log = logging.getLogger(__name__)
FORMAT = 1
_EVER = (1 << 63) - 1
NOT_RECORDED = int(Quality.BAD_OUT_OF_SERVICE)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tags (
    id UINTEGER PRIMARY KEY, path VARCHAR, type VARCHAR, unit VARCHAR, retention VARCHAR
);
CREATE TABLE IF NOT EXISTS samples (
    tag UINTEGER, t BIGINT, value DOUBLE, exact UBIGINT, text VARCHAR, quality UINTEGER
);
CREATE TABLE IF NOT EXISTS recorder (format INTEGER, last_ns BIGINT);
"""
# Of each tag the newest sample before the cut stays: it is the value that held from then on.
_OLD = "t < $cut AND tag IN (SELECT id FROM tags WHERE retention = ANY($classes))"
_DELETE = f"""
DELETE FROM samples WHERE {_OLD}
AND rowid NOT IN (SELECT arg_max(rowid, (t, rowid)) FROM samples WHERE t < $cut GROUP BY tag)
"""  # noqa: S608 - constants
_SLICE = 2_000_000  # samples that one transaction deletes: memory is limited


class Store:
    """One DuckDB file with one writer; readers take cursors of their own.

    Attributes:
        problems: what went wrong with the file and was set right.
    """

    def __init__(self, path: Path, clock: Clock, memory_limit_mib: int) -> None:
        self.path = path
        self.problems: list[str] = []
        self._clock = clock
        self._memory_mib = memory_limit_mib
        self._connection: duckdb.DuckDBPyConnection | None = None

    def open(self) -> None:
        """Open the file; a damaged one is set aside and a new one begun.

        Raises:
            StoreError: the file cannot be used.
        """
        with told(f"the history {self.path} cannot be opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._connect()
            except duckdb.Error as exc:
                if not _is_damage(exc):
                    raise
                self._set_aside(exc)
                self._connection = self._connect()

    def close(self) -> None:
        """Write the log into the file and let go of it.

        Raises:
            StoreError: the disk refused; the log stays beside the file and is read at the next start.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            with told(f"the history {self.path} cannot be closed"), contextlib.closing(connection):
                connection.execute("CHECKPOINT")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for one reader.

        Raises:
            StoreError: the store is not open.
        """
        connection = self._connection
        if connection is None:
            raise StoreError("the history is not open", "wait for the historian, or see its state")
        with told("the history cannot be read"):
            return connection.cursor()

    def last_ns(self) -> int:
        """Return until when this store was recorded into; 0 for never."""
        return self._number("SELECT last_ns FROM recorder")

    def count(self) -> int:
        """Return the number of samples in the file."""
        return self._number("SELECT count(*) FROM samples")

    def used_bytes(self) -> int:
        """Return the disk in use; blocks that are free for new samples do not count."""
        with told("the history cannot be read"), self.cursor() as cursor:
            cursor.execute("SELECT block_size * used_blocks FROM pragma_database_size()")
            blocks = int((cursor.fetchone() or (0,))[0])
        wal = self.path.with_name(self.path.name + ".wal")
        return blocks + (wal.stat().st_size if wal.exists() else 0)

    def register(self, tags: TagList) -> NDArray[np.int64]:
        """Return the store's id of each recorded tag by tag id, -1 where its retention is none."""
        stored = np.full(len(tags), -1, np.int64)
        recorded = [tag for tag in tags if tag.retention != "none"]
        with self._transaction() as connection:
            rows = connection.execute("SELECT path, type, id FROM tags").fetchall()
            known: dict[tuple[str, str], int] = {(path, kind): id_ for path, kind, id_ in rows}
            following = max(known.values(), default=-1) + 1
            fresh: list[Tag] = []
            for tag in recorded:
                key = (tag.path, tag.data_type.iec)
                if key not in known:
                    known[key] = following + len(fresh)
                    fresh.append(tag)
                stored[tag.id] = known[key]
            if recorded:
                given = {
                    "id": stored[[tag.id for tag in recorded]],
                    "path": np.array([tag.path for tag in recorded], np.object_),
                    "type": np.array([tag.data_type.iec for tag in recorded], np.object_),
                    "unit": np.array([tag.unit for tag in recorded], np.object_),
                    "retention": np.array([tag.retention for tag in recorded], np.object_),
                }
                connection.register("given", given)
                connection.execute("INSERT INTO tags BY NAME SELECT * FROM given WHERE id >= ?", [following])
                connection.execute(
                    "UPDATE tags SET unit = given.unit, retention = given.retention FROM given"
                    " WHERE tags.id = given.id"
                    " AND (tags.unit, tags.retention) IS DISTINCT FROM (given.unit, given.retention)"
                )
                connection.unregister("given")
        return stored

    def append(self, columns: Columns, now_ns: int) -> None:
        """Commit rows; when this returns they are on disk.

        Raises:
            StoreError: they could not be written, and none was.
        """
        with self._transaction() as connection:
            special = columns.special
            plain: dict[str, NDArray[np.generic]] = {
                "tag": columns.tag, "t": columns.t, "value": columns.value, "quality": columns.quality
            }  # fmt: skip
            if len(special):
                others = np.ones(len(columns), np.bool_)
                others[special] = False
                more = {name: column[special] for name, column in plain.items()}
                more |= {"exact": columns.exact, "text": columns.text}
                plain = {name: column[others] for name, column in plain.items()}
                connection.register("more", more)
                connection.execute("INSERT INTO samples SELECT tag, t, value, exact, text, quality FROM more")
                connection.unregister("more")
            connection.register("plain", plain)
            connection.execute("INSERT INTO samples SELECT tag, t, value, NULL, NULL, quality FROM plain")
            connection.unregister("plain")
            connection.execute("UPDATE recorder SET last_ns = greatest(last_ns, ?)", [now_ns])

    def recorded_until(self, now_ns: int) -> None:
        """Note that nothing changed since the last samples, and that this is known until now."""
        with self._transaction() as connection:
            connection.execute("UPDATE recorder SET last_ns = greatest(last_ns, ?)", [now_ns])

    def mark_gap(self, stored: NDArray[np.int64], at_ns: int) -> None:
        """Say of tags that nothing is known from a time on, until their next sample."""
        with self._transaction() as connection:
            connection.register("gone", {"tag": stored})
            connection.execute(
                "INSERT INTO samples SELECT tag, ?, NULL, NULL, NULL, ? FROM gone", [at_ns, NOT_RECORDED]
            )
            connection.unregister("gone")

    def delete_oldest(self, classes: list[str], *, before_ns: int = _EVER, share: float = 1.0) -> int:
        """Delete the oldest samples of retention classes, one slice; return how many, 0 when done.

        Only those before a time, and only about a share of all. Of each tag the newest of them stays,
        since it is the value that held from then on.
        """
        given: dict[str, Any] = {"cut": before_ns, "classes": classes}
        with self._transaction() as connection:
            found = connection.execute(f"SELECT count(*) FROM samples WHERE {_OLD}", given).fetchone()  # noqa: S608
            count = int(found[0]) if found else 0
            if count == 0:
                return 0
            part = min(share, _SLICE / count)
            if part < 1:
                found = connection.execute(
                    f"SELECT approx_quantile(t, {part:.4f})::BIGINT FROM samples WHERE {_OLD}",  # noqa: S608
                    given,
                ).fetchone()
                given["cut"] = found[0] if found else 0
            deleted = connection.execute(_DELETE, given).fetchone()
        return int(deleted[0]) if deleted else 0

    def compact(self) -> None:
        """Give the room of deleted samples back to new ones."""
        with told("the history cannot be compacted"), self.cursor() as cursor:
            cursor.execute("CHECKPOINT")

    def _number(self, query: str) -> int:
        with told("the history cannot be read"), self.cursor() as cursor:
            row = cursor.execute(query).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            str(self.path),
            config={
                "threads": 1,
                "memory_limit": f"{self._memory_mib}MiB",
                "temp_directory": str(self.path.with_name(self.path.name + ".tmp")),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            connection.execute(_SCHEMA)
            row = connection.execute("SELECT max(format) FROM recorder").fetchone()
            found = row[0] if row else None
            if found is None:
                connection.execute("INSERT INTO recorder VALUES (?, 0)", [FORMAT])
            elif found > FORMAT:
                raise StoreError(
                    f"the history has format {found}, this Ironworks knows {FORMAT}",
                    "a later Ironworks wrote it: install that version or a newer one",
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, cause: duckdb.Error) -> None:
        kept = f"{self.path.name}.corrupt-{self._clock.now_ns()}"
        for suffix in ("", ".wal"):
            file = self.path.with_name(self.path.name + suffix)
            if file.exists():
                file.rename(self.path.with_name(kept + suffix))
        first = str(cause).splitlines()[0]
        self.problems.append(
            f"the history was damaged ({first}); it is kept as {kept} and a new one was begun"
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Commit what the block does, or nothing of it; a connection that broke is opened anew next time."""
        if self._connection is None:
            self.open()
        connection = self._connection
        if connection is None:
            raise StoreError("the history is not open", "see the state of the historian")
        with told("the history cannot be written"):
            try:
                connection.begin()
                yield connection
                connection.commit()
            except duckdb.Error as exc:
                self._give_up(connection, exc)
                raise

    def _give_up(self, connection: duckdb.DuckDBPyConnection, cause: duckdb.Error) -> None:
        try:
            connection.rollback()
        except duckdb.Error as exc:
            log.debug("no transaction to roll back: %s", exc)
        if isinstance(cause, duckdb.FatalException | duckdb.InternalException) or _is_damage(cause):
            connection.close()
            self._connection = None
            if _is_damage(cause):
                self._set_aside(cause)


def open_file(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the file for reading only.

    Raises:
        StoreError: there is none, it is damaged, or a running plant holds it.
    """
    if not path.exists():
        raise StoreError(f"there is no history at {path}", "the plant has not run yet, or keeps no history")
    with told(f"the history {path} cannot be opened"):
        return duckdb.connect(str(path), read_only=True, config={"threads": 1})


@contextlib.contextmanager
def told(text: str) -> Iterator[None]:
    """Turn the library's errors into errors for people.

    Raises:
        StoreError: says what could not be done, why, and what to do.
    """
    try:
        yield
    except OSError as exc:
        raise StoreError(
            f"{text}: {exc.strerror}", "check the state folder, its rights and its disk"
        ) from exc
    except duckdb.Error as exc:
        first = str(exc).splitlines()[0]
        remedy = "free space on the disk of the plant's state folder"
        if "set lock" in first:
            first = "another process has it open"
            remedy = "the plant runs: ask it through `ironworks history`, or stop it first"
        elif _is_damage(exc):
            remedy = "start the plant: it sets the damaged file aside and begins a new one"
        raise StoreError(f"{text}: {first}", remedy) from exc


def _is_damage(exc: duckdb.Error) -> bool:
    """Tell a damaged file from a full disk, a lock or missing rights, by what the library says."""
    text = str(exc)
    return isinstance(exc, duckdb.SerializationException) or any(
        words in text
        for words in ("not a valid DuckDB", "Corrupt database", "Could not read enough bytes", "checksum")
    )
