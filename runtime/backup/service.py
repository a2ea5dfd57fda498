"""Backups of the running plant: a stream for who asks, and a component that makes them on a schedule."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from runtime.backup.make import file_name, made_before, prepare
from runtime.backup.manifest import STATE, Manifest
from runtime.backup.pack import packed, write_whole
from runtime.backup.staging import gather, gathering, staging
from runtime.clock import SECOND_NS
from runtime.config.models import AlarmConfig, Text
from runtime.config.plant import Declared, Plant
from runtime.contract import Actor, Batch, Clock, DataType, Event, Port, Role, Tag
from runtime.errors import PlantError, StoreError, WriteRejectedError
from runtime.gate.attempts import Attempts, lacking
from runtime.journal import Journal, last_done_ns

if TYPE_CHECKING:
    from runtime.historian import Historian

log = logging.getLogger(__name__)
T = TypeVar("T")
ACTION = "backup"
_LOOK_S = 10.0
_AGAIN_NS = 600 * SECOND_NS
_HOUR_NS = 3600 * SECOND_NS
_TAGS = (
    ("age_h", DataType.REAL, "h", "Hours since the last good backup", "距上次成功备份的小时数"),
    ("size_mib", DataType.REAL, "MiBy", "Size of the last scheduled backup", "上次定时备份的大小"),
    ("overdue", DataType.BOOL, "", "The last good backup is too old", "上次成功备份过旧"),
)


def declare() -> Declared:
    """Return the tags and the alarm of scheduled backups."""
    tags = [
        Tag(
            f"sys/backup/{name}", kind, unit, unit, description=en, description_zh=zh,
            source="backup", retention="short",
        )
        for name, kind, unit, en, zh in _TAGS
    ]  # fmt: skip
    alarm = AlarmConfig(
        name="backup.overdue",
        tag="sys/backup/overdue",
        kind="discrete",
        priority="medium",
        text=Text(en="The last good backup is too old", zh="上次成功备份过旧"),
        cause=Text(
            en="The folder for backups is not there, is full, or cannot be written",
            zh="备份文件夹不存在、已满或无法写入",
        ),
        consequence=Text(
            en="After a loss of the disk, what was changed since then is gone",
            zh="若磁盘损坏，此后的更改将丢失",
        ),
        action=Text(
            en="`ironworks components list` says why; or make one: `ironworks backup`",
            zh="运行 ironworks components list 查看原因；或手动执行 ironworks backup",
        ),
    )
    return Declared(tags, [alarm])


class Backups:
    """Makes backups, one at a time. As a component it keeps the schedule of the plant file."""

    name = "backup"

    def __init__(
        self, plant: Plant, clock: Clock, journal: Journal, attempts: Attempts, historian: Historian | None
    ) -> None:
        self._plant = plant
        self._clock = clock
        self._journal = journal
        self._attempts = attempts
        self._historian = historian
        self._busy = False
        self._config = plant.head.backup
        self._to = plant.path(self._config.to) if self._config else None
        self._last_ns: int | None = None

    async def open(self, actor: Actor, reason: str = "") -> Handed:
        """Gather a backup for someone who fetches it; the caller closes what is returned.

        Raises:
            WriteRejectedError: not an admin, or another backup is being made.
            StoreError: it cannot be gathered.
        """
        entry = self._attempts.entry(f"{ACTION}.send", self._plant.name, actor, reason)
        refusal = lacking(actor, Role.ADMIN, "a backup")
        if refusal:
            await self._attempts.refused(entry, refusal)
            raise refusal
        stack = ExitStack()
        try:
            manifest, pieces = await self._gathered(stack)
            detail = f"{len(manifest.files)} files, {manifest.size} bytes"
            await self._attempts.record(replace(entry, detail=detail))
        except BaseException as exc:
            stack.close()
            if isinstance(exc, PlantError):
                await self._attempts.refused(entry, exc)
            raise
        return Handed(manifest, pieces, stack, lambda: self._done(actor, detail))

    async def run(self, port: Port) -> None:
        if self._config is None:
            return
        every_ns = self._config.every
        since_ns = self._clock.now_ns()
        again_ns = 0
        self._last_ns = await self._journal.read(last_done_ns, ACTION)
        size_mib = 0.0
        while True:
            now_ns = self._clock.now_ns()
            age_ns = now_ns - (self._last_ns or since_ns)
            values = (age_ns / _HOUR_NS, size_mib, age_ns > 2 * every_ns)
            self._tell(port, values, known=self._last_ns is not None)
            await port.clock.sleep(_LOOK_S)
            if (self._last_ns is None or not 0 <= age_ns < every_ns) and self._clock.steady_ns() >= again_ns:
                try:
                    size_mib = await self._make(port) / 2**20
                except PlantError as exc:
                    again_ns = self._clock.steady_ns() + min(_AGAIN_NS, every_ns)
                    port.health(False, exc.text)
                else:
                    port.health(True)

    def _tell(self, port: Port, values: tuple[float, float, bool], *, known: bool) -> None:
        tags = [port.tags[f"sys/backup/{name}"] for name, *_ in _TAGS]
        rows = [(tag.id, tag.data_type.encode(value)) for tag, value in zip(tags, values, strict=True)]
        rows = rows if known else rows[2:]
        port.submit(Batch.of([id_ for id_, _ in rows], [raw for _, raw in rows], self._clock.now_ns()))

    async def _make(self, port: Port) -> int:
        """Make a backup in the folder of the plant file; return its size."""
        if self._config is None or self._to is None:
            raise StoreError("no folder for backups is configured", "add backup: {to: ...} to the plant file")
        target = self._to / file_name(self._plant.name, self._clock.now_ns())
        entry = self._attempts.entry(ACTION, str(target), Actor("schedule", Role.ADMIN, "kernel"))
        with ExitStack() as stack:
            try:
                if not self._to.is_dir():
                    raise StoreError(f"the folder {self._to} is not there", "make it, or mount its disk")
                manifest, pieces = await self._gathered(stack)
                size = await self._in_thread(lambda stop: write_whole(target, pieces, lambda _: stop()))
            except PlantError as exc:
                log.error("no backup was made: %s", exc)
                port.emit(Event("backup.failed", self.name, self._clock.now_ns(), str(exc)))
                await self._attempts.record(replace(entry, outcome="failed", detail=str(exc)))
                raise
        detail = f"{len(manifest.files)} files, {manifest.size} bytes in {size}"
        await self._attempts.record(replace(entry, detail=detail))
        self._last_ns = self._clock.now_ns()
        port.emit(Event("backup.done", self.name, self._last_ns, f"{target}: {detail}"))
        for old in made_before(self._plant.name, target)[: -self._config.keep]:
            old.unlink(missing_ok=True)
        return size

    async def _done(self, actor: Actor, detail: str) -> None:
        await self._attempts.record(
            replace(self._attempts.entry(ACTION, self._plant.name, actor), detail=detail)
        )
        self._last_ns = self._clock.now_ns()

    async def _gathered(self, stack: ExitStack) -> tuple[Manifest, Iterator[bytes]]:
        """Gather everything; it is given back with the stack."""
        if self._busy:
            raise WriteRejectedError("a backup is being made", "wait until it is done")
        self._busy = True
        stack.callback(setattr, self, "_busy", False)
        staged = stack.enter_context(staging(self._plant))
        live = self._historian is not None
        at_ns = self._clock.now_ns()
        with gathering(staged):
            await self._in_thread(
                lambda _: gather(self._plant, staged, live_history=live, leave_out=self._to)
            )
            if self._historian is not None:
                await self._historian.snapshot(staged / STATE)
            manifest, found = await self._in_thread(lambda stop: prepare(self._plant, staged, at_ns, stop))
        return manifest, packed(manifest, found)

    async def _in_thread(self, work: Callable[[Callable[[], None]], T]) -> T:
        """Work in a thread; a cancellation stops it, and waits until it has stopped."""
        stopping = threading.Event()

        def stop() -> None:
            if stopping.is_set():
                raise StoreError("the plant stops", "make the backup later")

        job = asyncio.ensure_future(asyncio.to_thread(work, stop))
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            stopping.set()
            await asyncio.wait([job])
            job.exception()
            raise
        return job.result()


class Handed:
    """A backup that somebody fetches piece by piece."""

    def __init__(
        self,
        manifest: Manifest,
        pieces: Iterator[bytes],
        stack: ExitStack,
        done: Callable[[], Awaitable[None]],
    ) -> None:
        self.manifest = manifest
        self._pieces = pieces
        self._stack = stack
        self._done = done

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the archive; when the last piece is taken the backup counts as made."""
        while (piece := await asyncio.to_thread(next, self._pieces, None)) is not None:
            yield piece
        await self._done()

    def close(self) -> None:
        """Give back what it was gathered in."""
        self._stack.close()
