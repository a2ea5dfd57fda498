"""The store of samples: a DuckDB file for new ones and the list of cold files. One thread writes."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime import heap
from runtime.config import TagList
from runtime.contract import Clock, Quality, Tag
from runtime.errors import StoreError
from runtime.historian.checkpoint import Checkpoints, let_go_of_blocks, log_of, put_right
from runtime.historian.cold import (
    SUFFIX,
    UNFINISHED,
    Part,
    about_file,
    checksum,
    listed,
    whole,
    write_file,
    write_piece,
)
from runtime.historian.columns import Columns, execute_on
from runtime.historian.counter import Counter, Mark
from runtime.historian.digests import Digest, digest, newest
from runtime.historian.faults import is_damage, told
from runtime.historian.room import Ballast
from runtime.historian.schema import (
    COLUMNS,
    FORMAT,
    PART,
    SAMPLES,
    SCHEMA,
    bring_along,
    format_of,
    parts_in,
    tables_in,
)
from runtime.historian.sorting import slices
from runtime.migration import copied, copies_of

log = logging.getLogger(__name__)
_PIECES = 10  # of a file that are written before memory is given back
NOT_RECORDED = int(Quality.BAD_OUT_OF_SERVICE)
TAGS_FILE = f"tags{SUFFIX}"
_HELD = """
SELECT tag, max(t), last(value ORDER BY t, n), last(exact ORDER BY t, n), last(text ORDER BY t, n),
    last(quality ORDER BY t, n)
FROM (SELECT *, row_number() OVER () AS n FROM (SELECT * FROM held UNION ALL SELECT * FROM given))
GROUP BY tag
"""


class Store:
    """One DuckDB file with one writer; readers take cursors of their own.

    New samples go to the last of the tables `samples_N`; the others are sealed: nothing is added to them
    any more, and what they hold becomes files in the folder beside the store. A file counts from when it is
    in the table `parts`, in the same transaction in which what it was made of goes.

    Attributes:
        folder: where the cold files are.
        ballast: room that is given up when there is no other.
        problems: what went wrong with the files and was set right.
        merging, compacting: numbers of the files that are being made one, of the tables that become files:
            nothing else is to be done with them meanwhile.
        unsent_lost: samples that went from here before the sink had them.
    """

    def __init__(self, path: Path, clock: Clock, memory_limit_mib: int) -> None:
        self.path = path
        self.folder = path.with_suffix("")
        self.ballast = Ballast(path)
        self.problems: list[str] = []
        self.merging: frozenset[int] = frozenset()
        self.compacting: frozenset[int] = frozenset()
        self.unsent_lost = 0
        self.waiting_rows = 0
        self.waiting_since_ns = 0
        self._clock = clock
        self._memory_mib = memory_limit_mib
        self._root: duckdb.DuckDBPyConnection | None = None  # only there to have cursors
        self._asking = threading.Lock()  # a connection that two threads use at a time refuses
        self._writing = threading.Lock()  # nobody is to be short of memory while it is written
        self._readers = 0
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._checkpoints: Checkpoints | None = None
        self._counter = Counter(path.with_suffix(".count"))
        self._mark = Mark(0, 0, 0, 0)
        self._table = 0
        self._following = 1
        self._working: duckdb.DuckDBPyConnection | None = None
        self._stopping = False
        self._whole = True

    # Opening and closing.

    def open(self) -> None:
        """Open the file; a damaged one is set aside and a new one begun with the cold files that are there.

        Raises:
            StoreError: the file cannot be used.
        """
        with told(f"the history {self.path} cannot be opened"):
            self.ballast.give_up()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._stopping = False
            try:
                self._begin(self._connect)
            except (duckdb.Error, StoreError) as exc:  # told already: by its first checkpoint
                cause = exc.__cause__ if isinstance(exc, StoreError) else exc
                if isinstance(cause, duckdb.Error) and is_damage(cause):
                    self._begin(lambda: self._reopen(cause))
                elif isinstance(cause, duckdb.FatalException):  # the disk refused it: the log is read as well
                    self._begin(self._connect, checkpoint=False)
                else:
                    raise

    def _begin(self, connect: Callable[[], duckdb.DuckDBPyConnection], checkpoint: bool = True) -> None:
        try:
            self._settle(connect(), checkpoint)
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        with self._asking:
            root, self._root = self._root, None
            connection, self._connection = self._connection, None
            checkpoints, self._checkpoints = self._checkpoints, None
            for each in (connection, root, checkpoints):
                if each is not None:
                    try:
                        each.close()
                    except duckdb.Error as exc:  # what is committed is in the log
                        log.warning("the history was not closed as it should: %s", str(exc).splitlines()[0])

    def close(self) -> None:
        """Write the log into the file and let go of it.

        Raises:
            StoreError: the disk refused; the log stays beside the file and is read at the next start.
        """
        if self._connection is None or self._checkpoints is None:
            return
        self._counter.close()
        try:
            with told(f"the history {self.path} cannot be closed"):
                self._checkpoints.run(self._connection)
        finally:
            self._let_go()

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for one reader.

        Raises:
            StoreError: the store is not open.
        """
        with self._asking, told("the history cannot be read"):
            if self._root is None:
                raise StoreError("the history is not open", "wait for the historian, or see its state")
            cursor = self._root.cursor()
            self._readers += 1
        try:
            with cursor:
                yield cursor
        finally:
            with self._asking:
                self._readers -= 1

    # What it knows.

    @property
    def is_open(self) -> bool:
        """Tell whether it is open; it is not where the library broke, until it is opened or written again."""
        return self._connection is not None

    def last_ns(self) -> int:
        """Return until when this store was recorded into; 0 for never."""
        return self._mark.last_ns

    def ended_whole(self) -> bool:
        """Tell whether nothing was held back when it was recorded into last, before it was opened."""
        return self._whole

    def used_bytes(self) -> int:
        """Return the disk in use, cold files included; blocks that are free for new samples do not count."""
        with told("the history cannot be read"), self.cursor() as cursor:
            cursor.execute("SELECT block_size * used_blocks FROM pragma_database_size()")
            blocks = int((cursor.fetchone() or (0,))[0])
            cursor.execute("SELECT coalesce(sum(size), 0) FROM parts")
            cold = int((cursor.fetchone() or (0,))[0])
        log_file = log_of(self.path)
        return blocks + cold + (log_file.stat().st_size if log_file.exists() else 0)

    def parts(self) -> list[Part]:
        """Return the cold files, oldest first."""
        with told("the history cannot be read"), self.cursor() as cursor:
            return parts_in(cursor)

    def sealed(self) -> list[int]:
        """Return the tables to which nothing is added any more, oldest first; not one that is being sent."""
        with told("the history cannot be read"), self.cursor() as cursor:
            sending = cursor.execute("SELECT number FROM feed WHERE kind = 'table'").fetchall()
            return [number for number in tables_in(cursor)[:-1] if (number,) not in sending]

    # Writing.

    def register(self, tags: TagList, since_ns: int = 0) -> NDArray[np.int64]:
        """Return the store's id of each recorded tag by tag id, -1 where its retention is none.

        Of each tag is kept from when to when its samples are joined by straight lines. Of those that are
        recorded no more history says that it knows nothing since a time, where one is given.
        """
        stored = np.full(len(tags), -1, np.int64)
        recorded = [tag for tag in tags if tag.retention != "none"]
        with self.transaction() as connection:
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
                    "straight": np.array([tag.compression == "swinging_door" for tag in recorded], np.bool_),
                }
                execute_on(
                    connection,
                    given,
                    "INSERT INTO tags BY NAME SELECT * EXCLUDE straight,"
                    " CASE WHEN straight THEN [0] ELSE [] END AS lines FROM given WHERE id >= ?",
                    [following],
                )
                execute_on(
                    connection,
                    given,
                    "UPDATE tags SET lines = list_append(coalesce(lines, []), ?) FROM given"
                    " WHERE tags.id = given.id AND (len(coalesce(lines, [])) % 2 = 1) <> straight",
                    [self._clock.now_ns()],
                )
                execute_on(
                    connection,
                    given,
                    "UPDATE tags SET unit = given.unit, retention = given.retention, recorded = true"
                    " FROM given WHERE tags.id = given.id AND (tags.unit, tags.retention, recorded)"
                    " IS DISTINCT FROM (given.unit, given.retention, true)",
                )
            known_ids = connection.execute("SELECT id FROM tags WHERE recorded").fetchnumpy()["id"]
            left = np.setdiff1d(known_ids, stored)
            others = "UPDATE tags SET recorded = false FROM given WHERE tags.id = given.id"
            execute_on(connection, {"id": left}, others)
            if len(left) and since_ns:
                self._say_lost(connection, left, since_ns, self._clock.now_ns())
        with told("the list of recorded tags cannot be written"), self.cursor() as cursor:
            # Beside the cold files: they are of use without this store too.
            write_file(cursor, "SELECT * FROM tags ORDER BY id", self.folder / TAGS_FILE, {})
        return stored

    def append(self, columns: Columns, now_ns: int) -> None:
        """Commit rows; when this returns they are on disk.

        Raises:
            StoreError: they could not be written, and none was.
        """
        with self.transaction(samples=len(columns), until_ns=now_ns) as connection:
            into = f"INSERT INTO samples_{self._table}"
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
                execute_on(connection, more, f"{into} SELECT tag, t, value, exact, text, quality FROM given")  # noqa: S608
            execute_on(connection, plain, f"{into} SELECT tag, t, value, NULL, NULL, quality FROM given")  # noqa: S608
        if not self.waiting_rows:
            self.waiting_since_ns = self._clock.now_ns()
        self.waiting_rows += len(columns)
        if self._checkpoints is not None and self._checkpoints.due():
            try:
                self._checkpoint_or_reopen()
            except StoreError as exc:  # the samples are on disk; the house tries again
                log.warning("%s", exc)

    def recorded_until(self, now_ns: int) -> None:
        """Note that nothing changed since the last samples, and that this is known until now."""
        with self.transaction(until_ns=now_ns):
            pass

    def clock_set(self, now_ns: int) -> None:
        """Take it that the time is known anew: what was recorded into so far may lie in the future."""
        self._mark = replace(self._mark, last_ns=now_ns)
        self.recorded_until(now_ns)

    def end_whole(self, now_ns: int) -> None:
        """Note that nothing is held back any more."""
        with self.transaction(until_ns=now_ns, whole=True):
            pass

    def mark_gap(self, stored: NDArray[np.int64], since_ns: int, until_ns: int) -> int:
        """Say of tags that nothing is known until a time, but what their samples since another one say.

        Their last sample in between is where it begins, until their next: it may be of a clock that is ahead,
        or later ones were held back and lost. Return where it begins for all of them.
        """
        with self.transaction(samples=len(stored), until_ns=since_ns + 1) as connection:  # said once
            return self._say_lost(connection, stored, since_ns, until_ns)

    def seal(self) -> None:
        """Begin a new table for samples; what the present one holds may go to cold files."""
        with self.transaction() as connection:
            connection.execute(f"CREATE TABLE samples_{self._table + 1} {SAMPLES}")
        self._table += 1
        self.waiting_rows = 0

    # Cold files. `write_part` and `digest` only read the store: they may run beside the writing thread.

    def new_number(self) -> int:
        """Return the number of the next cold file."""
        self._following += 1
        return self._following - 1

    def write_part(self, query: str, part: Part, replaces: Sequence[Part] = ()) -> Part:
        """Write the rows of a query (sorted by tag and time) as a cold file; it does not count yet."""
        file = self.folder / part.name
        about = {
            "store": self._mark.store, "number": part.number, "day": part.day, "keep": part.keep,
            "replaces": [each.name for each in replaces],
        }  # fmt: skip
        with told("cold history cannot be written"), self.reading() as cursor:
            write_file(cursor, query, file, about)
            return _measured(cursor, file, part)

    def write_sorted(self, source: str, place: str, part: Part, replaces: Sequence[Part] = ()) -> Part:
        """Write samples of a source as a cold file, slice by slice; it does not count yet.

        Args:
            source: what stands after FROM.
            place: orders samples of one tag and time.
            part: what the file is to be.
            replaces: the files of which it is made.
        """
        file = self.folder / part.name
        pieces: list[Path] = []
        try:
            with told("the history cannot be read"), self.reading() as cursor:
                wanted = list(slices(cursor, source))
            for number, condition in enumerate(wanted):
                query = f"SELECT {COLUMNS} FROM {source} WHERE {condition} ORDER BY tag, t, {place}"  # noqa: S608
                if len(wanted) == 1:
                    return self.write_part(query, part, replaces)
                with told("cold history cannot be written"), self.reading() as cursor:
                    pieces.append(write_piece(cursor, query, file, number))
                if not len(pieces) % _PIECES:
                    self._give_back()
            return self.write_part(f"SELECT {COLUMNS} FROM read_parquet({listed(pieces)})", part, replaces)  # noqa: S608
        finally:
            for piece in pieces:
                piece.unlink(missing_ok=True)

    def commit_parts(
        self, written: Sequence[tuple[Part, Digest]], table: int | None = None, replaced: Sequence[Part] = ()
    ) -> None:
        """Let files count; in the same transaction the table or files they were made of go.

        Raises:
            StoreError: they could not be noted, or are gone: the store was opened anew since they were
                written, and then files go that do not count yet.
        """
        with self.transaction() as connection:
            for part, _ in written:
                if not (self.folder / part.name).exists():
                    raise StoreError(f"{part.name} is gone", "it is made again of what is in the history")
            numbers = {part.number for part in replaced}  # as they are now: the sink may have begun anew
            sent = bool(numbers) and all(each.sent for each in parts_in(connection) if each.number in numbers)
            _remove(connection, replaced)
            if table is not None:
                known = connection.execute(
                    "DELETE FROM sent_tables WHERE number = ? RETURNING number", [table]
                )
                sent = bool(known.fetchall())
                connection.execute(f"DROP TABLE samples_{table}")
            for part, digest in written:
                _keep_part(connection, replace(part, sent=sent))
                _keep_digest(connection, part, digest)

    def digest(self, part: Part) -> Digest:
        """Return the sums of each tag of a file."""
        with told("cold history cannot be read"), self.reading() as cursor:
            return digest(cursor, self.folder, part)

    def commit_digest(self, part: Part, digest: Digest) -> None:
        """Keep the sums of a file that had none."""
        with self.transaction() as connection:
            _keep_digest(connection, part, digest)

    def newest(self, part: Part) -> Digest:
        """Return the last sample of each tag of a file."""
        with told("cold history cannot be read"), self.reading() as cursor:
            return newest(cursor, self.folder, part)

    def drop_part(self, part: Part, newest: Digest) -> None:
        """Delete a file; the newest sample of each tag stays: it is the value that held from then on."""
        with self.transaction() as connection:
            execute_on(connection, newest, f"CREATE OR REPLACE TEMP TABLE newly_held AS {_HELD}")
            connection.execute("DELETE FROM held")
            connection.execute("INSERT INTO held SELECT * FROM newly_held")
            connection.execute("DROP TABLE newly_held")
            unsent = _unsent(connection, [part])
            _remove(connection, [part])
        self.unsent_lost += unsent

    def lose_parts(self, parts: Sequence[Part]) -> None:
        """Set damaged files aside, those that still count.

        History says of each tag that had samples there from when on it knows nothing; of all where that is
        not known.
        """
        with self.transaction() as connection:
            counting = {part.number for part in parts_in(connection)}
            parts = [part for part in parts if part.number in counting]
            for part in parts:
                lost, values = "SELECT id, ?::BIGINT FROM tags", [part.first_ns]
                if part.digested:
                    lost, values = "SELECT tag, first_ns FROM digests WHERE part = ?", [part.number]
                connection.execute(
                    f"INSERT INTO samples_{self._table} SELECT *, NULL, NULL, NULL, {NOT_RECORDED}"  # noqa: S608
                    f" FROM ({lost})",
                    values,
                )
            unsent = _unsent(connection, parts)
            _remove(connection, parts, keep_files=True)
        self.unsent_lost += unsent
        for part in parts:
            file = self.folder / part.name
            kept = file.with_name(f"{file.name}.corrupt")
            there = file.exists()
            if there:
                file.replace(kept)
            fate = f"kept as {self.folder.name}/{part.day}/{kept.name}" if there else "gone"
            self.problems.append(
                f"{part.rows} samples between {_iso(part.first_ns)} and {_iso(part.last_ns)} are lost:"
                f" {part.name} was damaged; it is {fate}"
            )

    def lose_if_damaged(self) -> bool:
        """Read all that the store holds; set it aside where that fails, and begin anew with the cold files.

        Return whether it was.
        """
        connection = self._connection
        if connection is None:
            return False
        try:
            tables = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE NOT temporary"
            ).fetchall()
            for (table,) in tables:
                connection.execute(f"SELECT bit_xor(hash(each)) FROM {table} AS each").fetchall()  # noqa: S608
        except duckdb.Error as exc:
            self._give_up(connection, exc)
            if self._connection is None:  # else it is no damage: memory was short, or the disk refused
                self.open()
                return True
        return False

    def sweep(self) -> None:
        """Delete the files that do not count any more, and give free room back to the disk."""
        self._delete_gone()
        self._checkpoint_or_reopen()

    def _delete_gone(self) -> None:
        with told("old history cannot be deleted"), self.cursor() as cursor:
            names = [name for (name,) in cursor.execute("SELECT name FROM gone").fetchall()]
            for name in names:
                file = self.folder / name
                file.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # other files are still in it
                    file.parent.rmdir()
        if names:
            with self.transaction() as connection:
                connection.execute(f"DELETE FROM gone WHERE name IN ({_marks(len(names))})", names)  # noqa: S608

    def _checkpoint_or_reopen(self) -> None:
        """Make a checkpoint; where the disk refuses it, DuckDB answers nobody until it is opened anew."""
        try:
            self._checkpoint()
        except StoreError as exc:
            if isinstance(exc.__cause__, duckdb.FatalException) and not is_damage(exc.__cause__):
                self._let_go()
                with told(f"the history {self.path} cannot be opened"):
                    self._begin(self._connect, checkpoint=False)
            raise

    def _checkpoint(self) -> None:
        with told("the history cannot be compacted"), self.cursor() as cursor:
            try:
                if self._checkpoints is not None:
                    self._checkpoints.run(cursor)
            except duckdb.TransactionException as exc:  # the log grows a little until the next time
                log.debug("no checkpoint now: %s", str(exc).splitlines()[0])
                return
        self._give_back()
        heap.trim()  # each time at the same point: else resident memory goes up and down over hours

    def _give_back(self) -> None:
        """Have DuckDB give back what nobody uses, unless somebody reads: nobody is to be short of memory."""
        with self._writing:
            try:
                with self._asking, told("the history cannot give memory back"):
                    if self._root is not None and not self._readers:
                        let_go_of_blocks(self._root, self._memory_mib)
            except StoreError:
                self._let_go()  # opened anew, it has its whole limit
                raise

    def interrupt(self) -> None:
        """Break off what runs beside the writing thread, now and from now on."""
        self._stopping = True
        if self._working is not None:
            self._working.interrupt()

    # Inside.

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor for work that may take long, and that `interrupt` breaks off."""
        with self.cursor() as cursor:
            self._working = cursor
            try:
                if self._stopping:
                    raise StoreError("the history is being closed")
                yield cursor
            finally:
                self._working = None

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if put_right(self.path):
            log.warning("the history was ended within a checkpoint, and was put right")
        self._root = duckdb.connect(
            str(self.path),
            config={
                "checkpoint_threshold": "1TB",  # see runtime.historian.checkpoint: only we make one
                "threads": 1,
                "memory_limit": f"{self._memory_mib}MiB",
                "temp_directory": str(self.path.with_name(self.path.name + ".tmp")),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "enable_external_file_cache": False,  # remembers each file for ever, caches none
            },
        )
        try:
            connection = self._connection = self._root.cursor()
            checkpoints = self._checkpoints = Checkpoints(connection, self.path)
            found = format_of(connection)
            if found > FORMAT:
                raise StoreError(
                    f"the history has format {found}, this Ironworks knows {FORMAT}",
                    "a later Ironworks wrote it: install that version or a newer one",
                )
            if 0 < found < FORMAT:
                checkpoints.run(connection)  # all of it is in the file now, and nobody else writes
                with copied(self.path, found, checkpoints.copy):
                    bring_along(connection, found)
                checkpoints.run(connection)
            connection.execute(SCHEMA)
        except BaseException:
            self._let_go()
            raise
        for each in copies_of(self.path):
            each.unlink()  # a kill came between the last step and this
        return connection

    def _settle(self, connection: duckdb.DuckDBPyConnection, checkpoint: bool) -> None:
        """Bring what an earlier run left half done to its end, and find out what is missing."""
        fresh = connection.execute("SELECT count(*) FROM recorder").fetchone() == (0,)
        connection.begin()
        if fresh:
            connection.execute("INSERT INTO recorder (format, last_ns) VALUES (?, 0)", [FORMAT])
        connection.execute(
            "UPDATE recorder SET format = ?, store = coalesce(store, ?), commits = coalesce(commits, 0),"
            " samples = coalesce(samples, 0)",
            [FORMAT, secrets.randbits(63)],
        )
        tables = tables_in(connection)
        if not tables:
            connection.execute(f"CREATE TABLE samples_1 {SAMPLES}")
            tables = [1]
        connection.commit()
        row = connection.execute("SELECT store, commits, samples, last_ns FROM recorder").fetchone()
        self._mark = Mark(*(int(each) for each in row or ()))
        self._whole = connection.execute("SELECT whole FROM recorder").fetchone() == (True,)
        self._table = tables[-1]
        counted = connection.execute(f"SELECT count(*) FROM samples_{self._table}").fetchone()  # noqa: S608
        self.waiting_rows, self.waiting_since_ns = int((counted or (0,))[0]), self._clock.now_ns()
        self._compare_counts()
        numbers = [each.number for each in parts_in(connection)]
        numbers += [int(file.stem.rpartition("-")[2]) for file in self._files() if file.stem[-1:].isdecimal()]
        # Not below what it was: a file may be in the making while the store is opened anew.
        self._following = max([self._following, *(number + 1 for number in numbers)])
        self._find_files(connection, fresh, checkpoint)

    def _compare_counts(self) -> None:
        counted = self._counter.read()
        if counted and counted.store == self._mark.store and counted.commits > self._mark.commits:
            samples = max(0, counted.samples - self._mark.samples)
            self.problems.append(
                f"{counted.commits - self._mark.commits} commits with {samples} samples between"
                f" {_iso(self._mark.last_ns)} and {_iso(counted.last_ns)} are missing:"
                " the log of the history was damaged"
            )
        self._counter.write(self._mark)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*/*{SUFFIX}"))

    def _find_files(self, connection: duckdb.DuckDBPyConnection, fresh: bool, checkpoint: bool) -> None:
        for file in self.folder.rglob(f"*{UNFINISHED}"):
            file.unlink()
        if fresh:
            self._adopt(connection)
        self._delete_gone()
        if checkpoint:
            self._checkpoint()
        parts = parts_in(connection)
        known = {part.name for part in parts}
        for file in self._files():
            name = file.relative_to(self.folder).as_posix()
            if name not in known and self._about(connection, file).get("store") == self._mark.store:
                file.unlink()  # about to count when the process was killed: its samples are in the store
        lost = [part for part in parts if not (self.folder / part.name).exists()]
        if lost:
            self.lose_parts(lost)

    def _about(self, connection: duckdb.DuckDBPyConnection, file: Path) -> dict[str, object]:
        try:
            return about_file(connection, file)
        except duckdb.Error as exc:
            log.warning("%s is no file of samples: %s", file, str(exc).splitlines()[0])
            return {}

    def _adopt(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take the cold files into a new store, and the ids of the tags, by which more is still to come."""
        files = self._files()
        names = self.folder / TAGS_FILE
        if not names.exists():
            return
        found = {file: about for file in files if (about := self._about(connection, file))}
        replaced = {name for about in found.values() for name in _names(about.get("replaces"))}
        connection.begin()
        connection.execute(f"INSERT INTO tags BY NAME SELECT * FROM read_parquet({listed([names])})")  # noqa: S608
        for file, about in found.items():
            name = file.relative_to(self.folder).as_posix()
            if name in replaced:
                connection.execute("INSERT INTO gone VALUES (?)", [name])
                continue
            number = int(str(about["number"]))
            part = Part(number, str(about["day"]), str(about["keep"]), 0, 0, 0, 0, 0)
            if (
                name == part.name
            ):  # whether the sink has it is not known: once lost is better told than twice sent
                part = replace(
                    _measured(connection, file, part), merged=bool(about.get("replaces")), sent=True
                )
                _keep_part(connection, part)
        connection.execute(
            "UPDATE recorder SET last_ns = greatest(last_ns, (SELECT coalesce(max(last_ns), 0) FROM parts))"
        )
        connection.commit()
        row = connection.execute("SELECT last_ns FROM recorder").fetchone()
        self._mark = replace(self._mark, last_ns=int((row or (0,))[0]))

    def _reopen(self, cause: duckdb.Error) -> duckdb.DuckDBPyConnection:
        """Set the log aside where that is enough, else all of the store."""
        if "WAL" in str(cause):
            self._set_aside(cause, (".wal",))
            try:
                return self._connect()
            except duckdb.Error as exc:
                if not is_damage(exc):
                    raise
                cause = exc
        self._set_aside(cause)
        return self._connect()

    def _set_aside(self, cause: duckdb.Error, suffixes: tuple[str, ...] = ("", ".wal")) -> None:
        kept = f"{self.path.name}.corrupt-{self._clock.now_ns()}"
        for suffix in suffixes:
            file = self.path.with_name(self.path.name + suffix)
            if file.exists():
                file.rename(self.path.with_name(kept + suffix))
        what = "the history" if "" in suffixes else "the log of the history"
        kept += "" if "" in suffixes else ".wal"
        self.problems.append(
            f"{what} was damaged ({str(cause).splitlines()[0]}); it is kept as {kept} and a new one was begun"
        )

    def _say_lost(
        self, connection: duckdb.DuckDBPyConnection, stored: NDArray[np.generic], since_ns: int, until_ns: int
    ) -> int:
        sources = [f"samples_{number}" for number in tables_in(connection)]
        parts = [
            each for each in parts_in(connection) if since_ns < each.last_ns and each.first_ns < until_ns
        ]
        files = [self.folder / part.name for part in parts if self._is_whole(part)]
        sources += [f"read_parquet({listed(files)})"] if files else []
        newest = " UNION ALL ".join(
            f"SELECT tag, t FROM {source} WHERE t > $since AND t < $until"  # noqa: S608
            for source in sources
        )
        execute_on(
            connection,
            {"tag": stored},
            f"INSERT INTO samples_{self._table} SELECT given.tag, 1 + coalesce(max(t), $since), NULL, NULL,"  # noqa: S608
            f" NULL, $quality FROM given LEFT JOIN ({newest}) AS newest USING (tag) GROUP BY given.tag"
            " RETURNING t",
            {"since": since_ns, "until": until_ns, "quality": NOT_RECORDED},
        )
        return max((t for (t,) in connection.fetchall()), default=since_ns + 1)

    def _is_whole(self, part: Part) -> bool:
        try:
            return whole(self.folder / part.name, part)
        except StoreError:  # the house looks again, and tells
            return False

    @contextlib.contextmanager
    def transaction(
        self, samples: int = 0, until_ns: int = 0, whole: bool = False
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Commit what the block does, or nothing of it; a connection that broke is opened anew next time."""
        if self._connection is None:
            self.open()
        connection = self._connection
        if connection is None:
            raise StoreError("the history is not open", "see the state of the historian")
        mark = self._mark
        mark = replace(
            mark,
            commits=mark.commits + 1,
            samples=mark.samples + samples,
            last_ns=max(mark.last_ns, until_ns),
        )
        with self._writing, told("the history cannot be written"):
            try:
                connection.begin()
                yield connection
                connection.execute(
                    "UPDATE recorder SET commits = ?, samples = ?, last_ns = ?, whole = ?",
                    [mark.commits, mark.samples, mark.last_ns, whole],
                )
                connection.commit()
            except duckdb.Error as exc:
                self._give_up(connection, exc)
                raise
            except BaseException:
                connection.rollback()
                raise
        self._mark = mark
        try:
            self._counter.write(mark)
        except OSError as exc:  # what is committed stays so; a count that is behind raises no alarm
            log.warning("%s cannot be written: %s", self._counter, exc.strerror)

    def _give_up(self, connection: duckdb.DuckDBPyConnection, cause: duckdb.Error) -> None:
        try:
            connection.rollback()
        except duckdb.Error as exc:
            log.debug("no transaction to roll back: %s", exc)
        if isinstance(cause, duckdb.FatalException | duckdb.InternalException) or is_damage(cause):
            self._let_go()
            if is_damage(cause) and not put_right(self.path):
                self._set_aside(cause)


def _measured(cursor: duckdb.DuckDBPyConnection, file: Path, part: Part) -> Part:
    row = cursor.execute(f"SELECT count(*), min(t), max(t) FROM read_parquet({listed([file])})").fetchone()  # noqa: S608
    rows, first_ns, last_ns = row or (0, 0, 0)
    return replace(
        part,
        first_ns=first_ns or 0,
        last_ns=last_ns or 0,
        rows=rows,
        size=file.stat().st_size,
        crc=checksum(file),
    )


def _remove(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], keep_files: bool = False) -> None:
    for part in parts:
        connection.execute("DELETE FROM parts WHERE number = ?", [part.number])
        connection.execute("DELETE FROM digests WHERE part = ?", [part.number])
        if not keep_files:
            connection.execute("INSERT INTO gone VALUES (?)", [part.name])


def _keep_part(connection: duckdb.DuckDBPyConnection, part: Part) -> None:
    connection.execute(f"INSERT INTO parts ({PART}) VALUES ({_marks(11)})", astuple(part))  # noqa: S608


def _unsent(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part]) -> int:
    """Return how many samples of files the sink does not have."""
    rows = sum(part.rows for part in parts if not part.sent)
    if rows:
        numbers = [part.number for part in parts]
        sent = connection.execute("SELECT number, first FROM feed WHERE kind = 'part'").fetchall()
        rows -= sum(first for number, first in sent if number in numbers)
    return rows


def _keep_digest(connection: duckdb.DuckDBPyConnection, part: Part, digest: Digest) -> None:
    execute_on(connection, digest, "INSERT INTO digests BY NAME SELECT * FROM given")
    connection.execute("UPDATE parts SET digested = true WHERE number = ?", [part.number])


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _names(found: object) -> list[str]:
    return [str(each) for each in found] if isinstance(found, list) else []


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="seconds")


def open_file(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the file for reading only.

    Raises:
        StoreError: there is none, it is damaged, a running plant holds it, or it is of an older format.
    """
    if not path.exists():
        raise StoreError(f"there is no history at {path}", "the plant has not run yet, or keeps no history")
    with told(f"the history {path} cannot be opened"):
        connection = duckdb.connect(str(path), read_only=True, config={"threads": 1})
        found = connection.execute("SELECT format FROM recorder").fetchone()
    if not found or found[0] != FORMAT:
        connection.close()
        raise StoreError(
            f"the history {path} has format {found[0] if found else '?'}, this Ironworks reads {FORMAT}",
            "start the plant once: it brings an older history up to date",
        )
    return connection
