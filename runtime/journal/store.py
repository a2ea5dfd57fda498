"""The journal's file: one thread writes and commits in groups, readers beside it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from runtime.contract import Batch, Clock, Tags
from runtime.errors import StoreError
from runtime.journal.alarmlog import AlarmLogEntry, alarm_log
from runtime.journal.audit import AuditEntry, AuditRow, audit_log
from runtime.journal.schema import prepare
from runtime.journal.soundness import set_aside
from runtime.journal.values import OperatorValue, operator_values, restored
from runtime.sqlitefile import open_file
from runtime.tracing import span

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
        self._waiting: deque[_Request] = deque()
        self._writing: asyncio.Task[None] | None = None
        self.connection: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Open the file; a damaged one is set aside and a new one begun.

        Raises:
            StoreError: the folder or file cannot be used.
        """
        self._thread = ThreadPoolExecutor(1, "journal")
        try:
            self.connection = await self._call(self._connect)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    @property
    def is_open(self) -> bool:
        """Tell whether records are taken."""
        return self.connection is not None

    async def close(self) -> None:
        """Commit what waits, then close the file."""
        connection, self.connection = self.connection, None
        if connection is None or self._thread is None:
            return
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self._call(connection.close)
        self._thread.shutdown()

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
            if self.connection is None:
                raise StoreError("the journal is closed", "the plant is stopping: start it again")
            answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
            with span("journal.commit", records=len(records)):
                self._waiting.append(_Request(records, answer))
                if self._writing is None:
                    self._writing = asyncio.create_task(self._write(self.connection), name="journal")
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

    async def alarm_log(
        self, limit: int, before: int | None = None, alarm: str | None = None
    ) -> list[AlarmLogEntry]:
        """Return the newest transitions first; of one alarm, or before a sequence number, if given."""
        return await self.read(alarm_log, limit, before, alarm)

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
            if not self.path.with_name(f"{self.path.name}-wal").exists():
                uri += "&immutable=1"  # nobody has it open, and nothing is made beside it
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
                return query(connection, *args)
        except sqlite3.Error as exc:
            raise StoreError(
                f"the journal {self.path} cannot be read: {exc}", "see `ironworks doctor`"
            ) from exc

    def _connect(self) -> sqlite3.Connection:
        now_ns = self.clock.now_ns()

        def ready(connection: sqlite3.Connection) -> None:
            prepare(connection)
            self.problems += set_aside(connection, now_ns)

        connection, problem = open_file(self.path, "journal", ready, now_ns)
        if problem:
            self.problems.append(f"{problem}: alarm states, audit and operator values start anew")
        return connection

    async def _call(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def _write(self, connection: sqlite3.Connection) -> None:
        """Commit until nothing waits; what comes during a commit goes together into the next."""
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
                answers = await self._call(self._commit, connection, [each.records for each in group])
                for request, answer in zip(group, answers, strict=True):
                    if request.answer.done():  # nobody waits any more
                        continue
                    if isinstance(answer, StoreError):
                        request.answer.set_exception(answer)
                    else:
                        request.answer.set_result(answer)
        finally:
            self._writing = None

    def _commit(
        self, connection: sqlite3.Connection, requests: Sequence[Sequence[Record]]
    ) -> list[list[int] | StoreError]:
        """Commit all in one; where that fails each gets an error, or those that are wrong do."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            answers: list[list[int] | StoreError] = [_execute(connection, records) for records in requests]
            connection.execute("COMMIT")
        except Exception as exc:  # noqa: BLE001 - whatever it is, who waits must learn of it
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # of a disk that fails: it is done before the next
                    connection.execute("ROLLBACK")
            if len(requests) > 1 and not isinstance(exc, sqlite3.OperationalError):
                # one record is wrong: the others must not suffer
                return [answer for records in requests for answer in self._commit(connection, [records])]
            self.failing = isinstance(exc, sqlite3.Error)
            error = StoreError(f"the journal cannot be written: {exc}", _REMEDY)
            error.__cause__ = exc
            return [error] * len(requests)
        self.failing = False
        return answers


def _execute(connection: sqlite3.Connection, records: Sequence[Record]) -> list[int]:
    numbers = []
    for record in records:
        cursors = [connection.execute(sql, values) for sql, values in record.statements()]
        numbers.append(cursors[0].lastrowid or 0)
    return numbers
