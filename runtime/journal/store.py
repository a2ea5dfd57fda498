"""The journal's file: one writer thread that commits in groups, readers beside it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from runtime.contract import Batch, Clock, Tags
from runtime.errors import StoreError
from runtime.journal.alarmlog import AlarmLogEntry, alarm_log
from runtime.journal.audit import AuditEntry, AuditRow, audit_log
from runtime.journal.schema import prepare
from runtime.journal.values import OperatorValue, operator_values, restored

T = TypeVar("T")
_GROUP = 256  # requests in one commit
_REMEDY = "free space on the disk of the plant's state folder, then try again"


class Record(Protocol):
    """Something the journal can keep."""

    def statements(self) -> Iterable[tuple[str, tuple[Any, ...]]]:
        """Yield SQL and parameters; the first statement's row number is the record's sequence number."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    records: Sequence[Record]
    answer: asyncio.Future[list[int]]
    loop: asyncio.AbstractEventLoop


class Journal:
    """Append-only records in SQLite, answered only after the commit is on disk.

    At most `depth` requests wait for the writer; further callers wait for their turn, nothing is dropped.

    Attributes:
        problems: what went wrong with the file and was set right, for the kernel to alarm.
        failing: the last commit failed for want of room or rights; the next that succeeds ends it.
    """

    def __init__(self, path: Path, clock: Clock, depth: int = 1024) -> None:
        self.path = path
        self.clock = clock
        self.problems: list[str] = []
        self.failing = False
        self._room = asyncio.Semaphore(depth)
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    async def open(self) -> None:
        """Open the file and start the writer; a damaged file is set aside and a new one begun.

        Raises:
            StoreError: the folder or file cannot be used.
        """
        connection = await asyncio.to_thread(self._connect)
        self._writer = threading.Thread(target=self._write, args=(connection,), name="journal", daemon=True)
        self._writer.start()

    @property
    def is_open(self) -> bool:
        """Tell whether records are taken."""
        return self._writer is not None

    async def close(self) -> None:
        """Commit what waits, then close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._requests.put(None)
            await asyncio.to_thread(writer.join)

    async def append(self, record: Record) -> int:
        """Keep a record; return its sequence number once it is on disk.

        Raises:
            StoreError: it could not be written, and nothing of it was.
        """
        return (await self.append_all([record]))[0]

    async def append_all(self, records: Sequence[Record]) -> list[int]:
        """Keep some records in one commit: all or none.

        Raises:
            StoreError: they could not be written, and nothing of them was.
        """
        async with self._room:
            if self._writer is None:
                raise StoreError("the journal is closed", "the plant is stopping: start it again")
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[list[int]] = loop.create_future()
            self._requests.put(_Request(records, answer, loop))
            return await answer

    async def append_audit(self, entry: AuditEntry) -> int:
        """Keep an audit entry, and the operator value that goes with it, in one commit.

        Raises:
            StoreError: it could not be written.
        """
        return await self.append(entry)

    async def put_value(self, value: OperatorValue) -> None:
        """Keep the value of an operator tag for the next start.

        Raises:
            StoreError: it could not be written.
        """
        await self.append(value)

    async def audit(self, limit: int, before: int | None = None) -> list[AuditRow]:
        """Return the newest audit entries, newest first; those before a sequence number if given."""
        return await self.read(audit_log, limit, before)

    async def alarm_log(self, limit: int, before: int | None = None) -> list[AlarmLogEntry]:
        """Return the newest transitions of alarms, newest first; those before a sequence number if given."""
        return await self.read(alarm_log, limit, before)

    async def operator_values(self, tags: Tags) -> Batch:
        """Return the kept values of the plant's operator tags."""
        return restored(await self.read(operator_values), tags)

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        """Run one of this package's queries (`audit_log`, `alarm_rows`, ...) beside the writer.

        Raises:
            StoreError: the file cannot be read.
        """
        return await asyncio.to_thread(self.read_now, query, *args)

    def read_now(self, query: Callable[..., T], *args: Any) -> T:
        """Do what `read` does, waiting: at start, and for a plant that is stopped.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
                return query(connection, *args)
        except sqlite3.Error as exc:
            raise StoreError(
                f"the journal {self.path} cannot be read: {exc}", "see `ironworks doctor`"
            ) from exc

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._begin()
        except (OSError, sqlite3.OperationalError) as exc:
            raise StoreError(
                f"the journal {self.path} cannot be opened: {exc}",
                "check that the folder exists, may be written, and its disk has space",
            ) from exc
        except sqlite3.DatabaseError as exc:
            kept = f"{self.path.name}.corrupt-{self.clock.now_ns()}"
            for suffix in ("", "-wal", "-shm"):
                file = self.path.with_name(self.path.name + suffix)
                if file.exists():
                    file.rename(self.path.with_name(kept + suffix))
            self.problems.append(
                f"the journal was damaged ({exc}); it is kept as {kept} and a new one was begun:"
                " alarm states, audit and operator values start anew"
            )
            return self._begin()

    def _begin(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _write(self, connection: sqlite3.Connection) -> None:
        with contextlib.closing(connection):
            last = False
            while not last:
                group = [self._requests.get()]
                while len(group) < _GROUP and not self._requests.empty():
                    group.append(self._requests.get())
                last = None in group
                requests = [each for each in group if each is not None]
                if requests:
                    self._commit(connection, requests)

    def _commit(self, connection: sqlite3.Connection, requests: list[_Request]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            answers = [_execute(connection, request) for request in requests]
            connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as exc:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(requests) > 1 and not isinstance(exc, sqlite3.OperationalError):
                for request in requests:  # one record is wrong: the others must not suffer
                    self._commit(connection, [request])
                return
            self.failing = isinstance(exc, sqlite3.Error)
            for request in requests:
                error = StoreError(f"the journal cannot be written: {exc}", _REMEDY)
                error.__cause__ = exc
                request.loop.call_soon_threadsafe(_fail, request.answer, error)
            return
        self.failing = False
        for request, numbers in zip(requests, answers, strict=True):
            request.loop.call_soon_threadsafe(_succeed, request.answer, numbers)


def _execute(connection: sqlite3.Connection, request: _Request) -> list[int]:
    numbers = []
    for record in request.records:
        cursors = [connection.execute(sql, values) for sql, values in record.statements()]
        numbers.append(cursors[0].lastrowid or 0)
    return numbers


def _succeed(answer: asyncio.Future[list[int]], numbers: list[int]) -> None:
    if not answer.done():
        answer.set_result(numbers)


def _fail(answer: asyncio.Future[list[int]], error: StoreError) -> None:
    if not answer.done():
        answer.set_exception(error)
