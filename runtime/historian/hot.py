"""The historian: takes every change off the bus and commits it in batches, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.config import HistoryConfig, TagList
from runtime.contract import Batch, Changes, Clock, DataType, Event, Port, Quality
from runtime.errors import StoreError
from runtime.historian.analyst import Answer, answer, library
from runtime.historian.asking import Asked, Asking
from runtime.historian.cold import DAY_NS
from runtime.historian.columns import Kinds, to_columns
from runtime.historian.compression import Compression
from runtime.historian.door import HOLD_NS
from runtime.historian.faults import ClosedError, DamagedPartsError, UnreadablePartError, tells_damage
from runtime.historian.house import TAGS
from runtime.historian.keeping import Keeper
from runtime.historian.query import Bucket, Points, read_figures, read_samples, read_trend
from runtime.historian.reading import Rows, Snapshot
from runtime.historian.store import Store
from runtime.historian.threads import Threads
from runtime.settled import settled, whole
from runtime.tracing import span

log = logging.getLogger(__name__)
T = TypeVar("T")
OPEN_S = 10.0  # how long a question waits for the store to open
FLUSH_ROWS = 100_000
FIGURES_S = 1.0
SUDDEN_NS = 7 * DAY_NS  # a clock that goes ahead by more may be wrong


@dataclass(frozen=True, slots=True)
class Stats:
    """What the historian did since the start.

    Attributes:
        samples: samples taken in.
        committed: samples on disk.
        dropped: samples lost because the store failed for too long.
        lag_ms: age of the oldest sample that is not on disk yet.
        last_ns: greatest source time on disk.
    """

    samples: int = 0
    committed: int = 0
    dropped: int = 0
    lag_ms: float = 0.0
    last_ns: int = 0


class Historian:
    """A component. Answers queries from when its store is open until it is stopped.

    While the store fails, samples wait in memory, at most `buffer_rows`; then new ones are dropped and
    counted, and history says so: the gap carries a sample of bad quality (BAD_OUT_OF_SERVICE) for each tag.
    The same marks the time in which the plant did not run.

    Attributes:
        problems: what went wrong with the file and was set right.
    """

    name = "historian"

    def __init__(
        self, path: Path, config: HistoryConfig, tags: TagList, clock: Clock, buffer_rows: int = 1_000_000
    ) -> None:
        self._config = config
        self._tags = tags
        self._clock = clock
        self._buffer_rows = buffer_rows
        self._store = Store(path, clock, config.memory_limit_mib)
        self._threads = Threads(self._store)
        self._asking = Asking()
        self._keeper = Keeper(self._store, config, clock, self._threads, self._lose_store)
        self._kinds = Kinds(tags)
        self._compression = Compression(tags, self._kinds)
        self._port: Port | None = None
        self._stored: NDArray[np.int64] = np.full(len(tags), -1, np.int64)
        self._recorded = np.array([tag.id for tag in tags if tag.retention != "none"], np.int32)
        self._writing = asyncio.Lock()
        self._whole: set[int] = set()
        self._buffer: list[Batch] = []
        self._rows = 0
        self._since_ns = 0
        self._begun_ns = 0
        self._unknown_ns = -1  # from when to the beginning nothing was recorded
        self._gap_ns: int | None = None
        self._failing = False
        self._backfill_waits = False
        self._stats = Stats()
        self._opened = asyncio.Event()
        self._changes: Changes | None = None
        self._seen_problems = 0

    @property
    def problems(self) -> list[str]:
        return self._store.problems

    @property
    def is_open(self) -> bool:
        """Tell whether questions are answered."""
        return self._opened.is_set()

    @property
    def _cannot_write(self) -> bool:
        return self._failing or self._backfill_waits

    def stats(self) -> Stats:
        """Return what was done so far."""
        lag_ms = (self._clock.steady_ns() - self._since_ns) / 1e6 if self._rows else 0.0
        return replace(self._stats, lag_ms=lag_ms)

    async def renew(self, config: HistoryConfig, tags: TagList) -> None:
        """Go on with other tags and settings; samples of tags that are gone stay.

        Raises:
            StoreError: the store does not open, or does not take the new tags.
        """
        before = self._stored
        stored = np.concatenate([before, np.full(len(tags) - len(before), -1, np.int64)])
        self._config, self._tags = config, tags
        self._keeper.config = config
        held = self._compression.rest()
        self._compression = Compression(tags, Kinds(tags))
        if self._port is not None:
            self._add(self._port, held)
        try:
            await self._until_open()
            found = await self._threads.write(self._store.register, tags)
            ended = [id_ for id_ in self._recorded if tags[int(id_)].path and found[id_] < 0]
            if ended:  # of tags that are gone the bus tells it
                now_ns = self._clock.now_ns()
                await self._threads.write(self._store.mark_gap, before[ended], now_ns, now_ns)
            stored = np.where(found < 0, stored, found)
        finally:
            self._stored = stored
            self._kinds = Kinds(tags)
            recorded = [tag.id for tag in tags if tag.retention != "none" and stored[tag.id] >= 0]
            self._recorded = np.array(recorded, np.int32)
            if self._changes is not None:
                # What comes back has its old value: as seen now, it is no sample that is there already.
                self._changes.follow(self._recorded, self._clock.now_ns())

    async def run(self, port: Port) -> None:
        """Work until cancelled; what waits then is committed before it ends."""
        self._port = port
        self._recorded = np.array([tag.id for tag in self._tags if tag.retention != "none"], np.int32)
        changes = self._changes = port.changes(
            self._recorded, every=True
        )  # what comes while the store opens counts
        with self._threads:
            try:
                await self._start(port, changes, self._clock.steady_ns())
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._flush_each_interval(port))
                        group.create_task(self._tell_figures(port))
                        group.create_task(self._keeper.run(port))
                        group.create_task(self._keeper.compact_when_full())
                        await self._record(port, changes)
                finally:
                    self._drain(port, changes)
            finally:
                self._opened.clear()
                await self._threads.break_off()  # a snapshot that somebody asked for
                await self._asking.break_off()
                await self._end(port)

    async def _start(self, port: Port, changes: Changes, told_ns: int) -> None:
        """Open the store and begin; a stop meanwhile waits, and keeps what the bus has handed out.

        The bus told the present values at `told_ns` (steady), and what has changed since comes after them.
        """
        opening = asyncio.create_task(self._threads.write(self._open))
        cancelled = await settled(opening)
        last_ns, ago_ns = opening.result(), self._clock.steady_ns() - told_ns
        beginning = asyncio.create_task(self._begin(port, last_ns, self._store.ended_whole(), ago_ns))
        cancelled |= await settled(beginning)
        beginning.result()
        if (present := changes.take()) is not None:
            self._take(port, self._as_of_start(present))
        self._opened.set()
        if cancelled:
            self._drain(port, changes)
            raise asyncio.CancelledError

    async def query(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, limit: int | None = None
    ) -> Batch:
        """Return samples in order of tag and time, `start_ns` included; the newest `limit` of each tag.

        What waits is committed first.

        Raises:
            StoreError: the store cannot be read.
        """
        span = (start_ns, end_ns)
        return await self._read(lambda view: read_samples(view, self._stored, self._kinds, ids, span, limit))

    async def trend(self, tag_id: int, start_ns: int, end_ns: int, buckets: int) -> Sequence[Bucket]:
        """Return (start ns, least, time-weighted mean, greatest) of at most `buckets` equal spans.

        A value holds until the next sample. None where there was no good value, and in the future.

        Raises:
            StoreError: the store cannot be read.
        """
        await self._until_open()
        stored, span = int(self._stored[tag_id]), (start_ns, end_ns)
        return await self._read(lambda view: read_trend(view, stored, span, buckets, self._clock.now_ns()))

    async def figures(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, interval_ns: int, mode: str
    ) -> dict[int, Points]:
        """Return a point for each interval of each tag, by a mode of `runtime.historian.MODES`.

        Raises:
            StoreError: the store cannot be read.
        """
        await self._until_open()
        stored = {int(self._stored[id_]): int(id_) for id_ in ids if self._stored[id_] >= 0}
        span = (start_ns, end_ns)
        steps = {tag for tag, id_ in stored.items() if self._tags[id_].data_type is DataType.BOOL}
        found = await self._read(
            lambda view: read_figures(
                view, list(stored), span, interval_ns, mode, self._clock.now_ns(), steps
            )
        )
        return {stored[tag]: points for tag, points in found.items()}

    async def sql(self, query: str, limit: int, seconds: float) -> Answer:
        """Return the rows of one SELECT; it can read the history and nothing else.

        Raises:
            SqlError: it is wrong, or takes too long or too much.
            StoreError: the store cannot be read.
        """
        await self._until_open()
        await self.flush()
        return await self._in_thread(self._answer, query, limit, seconds)

    async def backfill(self, batch: Batch) -> None:
        """Commit samples of the past, in any order, as they are; when this returns they are on disk.

        While the store fails they wait: whoever kept them through an outage has no other copy by now.

        Raises:
            StoreError: a tag keeps no history, a time is before 1970, or the store is not open.
        """
        await self._until_open()
        strangers = np.unique(batch.ids[self._stored[batch.ids] < 0])
        if len(strangers):
            raise StoreError(
                f"{self._tags[int(strangers[0])].path} keeps no history", "give it a retention in tags.csv"
            )
        if len(batch) and int(batch.source_ns.min()) < 0:
            raise StoreError("a sample is older than 1970", "give the times as ns since 1970-01-01 UTC")
        for first in range(0, len(batch), FLUSH_ROWS):
            piece = batch.take(np.arange(first, min(first + FLUSH_ROWS, len(batch))))
            try:
                while not await self._backfilled(piece):
                    await self._clock.sleep(self._config.flush / 1e9)
                    await self._until_open()
            finally:
                self._backfill_waits = False  # others who wait say so again
            self._keeper.note_fullness()

    async def _backfilled(self, piece: Batch) -> bool:
        """Commit samples of the past; where the store fails return False, and say so once."""
        try:
            await self._threads.write(self._append, [piece], 0)
        except StoreError as exc:
            if not self._backfill_waits:
                log.error("samples of the past wait: %s", exc)
                self._keeper.make_room()
            self._backfill_waits = True
            return False
        return True

    async def clock_set(self, step_ns: int) -> None:
        """Go on after the clock was set: samples come with the new time from now on.

        Raises:
            StoreError: the store cannot be written.
        """
        if step_ns > SUDDEN_NS:
            self._keeper.spare(step_ns)
        elif step_ns < 0:
            await self._until_open()
            await self.flush()
            await self._threads.write(self._store.clock_set, self._clock.now_ns())
            held = self._compression.clock_set()
            if self._port is not None:
                self._add(self._port, held)

    async def snapshot(self, folder: Path) -> None:
        """Write the history as of now into a folder, for a backup; samples are committed meanwhile.

        Raises:
            StoreError: it cannot be read, or the folder not be written.
        """
        await self._until_open()
        await self.flush()
        await self._keeper.snapshot(folder)

    @property
    def unsent_lost(self) -> int:
        """How many samples went since the start before a sink had them."""
        return self._store.unsent_lost

    async def beside_store(self, work: Callable[..., T], *args: Any) -> T:
        """Do work that only reads the store, in a thread of its own; a cancellation waits until it is done.

        Raises:
            StoreError: the store is not open, or fails.
        """
        await self._until_open()
        return await whole(asyncio.get_running_loop().run_in_executor(None, work, self._store, *args))

    async def check_file(self, number: int) -> None:
        """Set a cold file aside if it is damaged."""
        await self._until_open()
        await self._keeper.check_file(number)

    async def with_store(self, work: Callable[..., T], *args: Any) -> T:
        """Do work on the store, in the thread that writes it.

        Raises:
            StoreError: the store is not open, or fails.
        """
        await self._until_open()
        return await self._threads.write(work, self._store, *args)

    async def flush(self) -> None:
        """Commit what waits; where the store fails it waits on, and `stats` and the alarm say so.

        A store that broke since is opened anew, though nothing waits.
        """
        async with self._writing:
            if not self._rows and (self._store.is_open or not self.is_open):
                return
            batches, rows, since_ns = self._buffer, self._rows, self._since_ns
            self._buffer, self._rows = [], 0
            now_ns = self._clock.now_ns()
            job = self._threads.begun(self._append, batches, now_ns)
            cancelled = await settled(job)
            try:
                last_ns = max(self._stats.last_ns, job.result())
            except StoreError as exc:
                self._buffer = batches + self._buffer
                self._rows += rows
                self._since_ns = since_ns
                if not self._failing:
                    log.error("%s", exc)
                    self._keeper.make_room()
                self._failing = True
            else:
                if self._failing:
                    log.warning("history is written again; %d samples were lost", self._stats.dropped)
                self._failing = False
                committed = self._stats.committed + rows
                self._stats = replace(self._stats, committed=committed, last_ns=last_ns)
                self._keeper.note_fullness()
            if cancelled:
                raise asyncio.CancelledError

    async def _record(self, port: Port, changes: Changes) -> None:
        async for batch in changes:
            self._take(port, _told(batch))
            if self._rows >= FLUSH_ROWS and not self._failing:
                await self.flush()

    def _drain(self, port: Port, changes: Changes) -> None:
        """Keep what the bus has handed out by now, and all that is held back."""
        while (rest := changes.take()) is not None:
            self._take(port, _told(rest))
        self._add(port, self._compression.rest())

    def _take(self, port: Port, batch: Batch) -> None:
        self._add(port, self._compression.keep(self._with_present(batch), self._clock.steady_ns()))

    def _with_present(self, batch: Batch) -> Batch:
        """Say of first values that are older than the last gap that they hold now, too.

        Without that, a value that does not change would stay "not recorded" from the gap on.
        """
        old = batch.source_ns <= self._unknown_ns
        if not old.any() or not (old := old & ~self._compression.knows(batch.ids)).any():
            return batch
        known = batch.take(old)
        now_ns = max(self._clock.now_ns(), self._begun_ns)
        return Batch.joined([replace(known, source_ns=np.full(len(known), now_ns)), batch])

    def _add(self, port: Port, batch: Batch) -> None:
        rows = len(batch)
        if not rows:
            return
        if self._gap_ns is not None or self._rows + rows > self._buffer_rows:
            if self._gap_ns is None:
                self._gap_ns = int(batch.source_ns.min())
                self._emit(port, "historian.dropped", "history cannot be written and its buffer is full", {})
            self._stats = replace(self._stats, dropped=self._stats.dropped + rows)
            return
        if not self._rows:
            self._since_ns = self._clock.steady_ns()
        self._stats = replace(self._stats, samples=self._stats.samples + rows)
        self._buffer.append(batch)
        self._rows += rows

    def _as_of_start(self, batch: Batch) -> Batch:
        """Return present values as seen now; what still waits for a first value says nothing."""
        known = _told(batch)
        times = np.maximum(known.source_ns, self._begun_ns)
        times[times > self._clock.now_ns()] = self._begun_ns  # the clock was set back since: it is in history
        return replace(known, source_ns=times)

    async def _begin(self, port: Port, last_ns: int, whole: bool, ago_ns: int = 0) -> None:
        """Begin recording after a gap, `ago_ns` before now: nothing is known since `last_ns`, 0 for never.

        Unless `whole`, samples may have been held back: of such tags nothing is known since the last one.
        """
        now_ns = self._clock.now_ns() - ago_ns
        if last_ns > now_ns:
            text = "the history ends in the future: the clock was set back since, or is wrong now"
            self._emit(port, "historian.clock", text, {"last_ns": last_ns, "now_ns": now_ns})
            log.warning("%s", text)
            last_ns = now_ns
        elif last_ns and now_ns - last_ns > SUDDEN_NS:
            self._keeper.spare(now_ns - last_ns)
        self._unknown_ns = -1
        if last_ns:
            lost = self._compression.lined[self._recorded] & (not whole)
            held_ns = last_ns - HOLD_NS - self._config.flush  # what is held back is looked at each flush
            for ids, since_ns in ((self._recorded[~lost], last_ns), (self._recorded[lost], held_ns)):
                begun_ns = await self._threads.write(
                    self._store.mark_gap, self._stored[ids], since_ns, now_ns
                )
                self._unknown_ns = max(self._unknown_ns, begun_ns)
        self._begun_ns = max(now_ns, last_ns + 2)
        self._gap_ns = None
        self._compression.forget()
        port.health(True)

    async def _flush_each_interval(self, port: Port) -> None:
        told = False
        while True:
            await port.clock.sleep(self._config.flush / 1e9)
            self._add(port, self._compression.due(self._clock.steady_ns()))
            await self.flush()  # so do questions: what was told last is compared, not what was before
            if self._gap_ns is not None and not self._failing:
                await self._close_gap(port)
            if self._cannot_write != told:
                told = self._cannot_write
                port.health(not told, "history cannot be written" if told else "")

    async def _close_gap(self, port: Port) -> None:
        """Say in history what was lost, then go on from the present values."""
        gap_ns = self._gap_ns or 0
        try:
            await self._begin(port, gap_ns - 1, whole=False)
        except StoreError as exc:
            log.error("%s", exc)
            self._failing = True
            return
        self._take(port, self._as_of_start(port.tags.snapshot(self._recorded)))
        text = f"{self._stats.dropped} samples were lost since the start; recording again"
        self._emit(port, "historian.dropped", text, {"dropped": self._stats.dropped})

    async def _tell_figures(self, port: Port) -> None:
        tags = [port.tags[tag.path] for tag in TAGS]
        told: list[int] = []
        while True:
            if len(self.problems) > self._seen_problems:
                for text in self.problems[self._seen_problems :]:
                    self._emit(port, "historian.damaged", text, {})
                self._seen_problems = len(self.problems)
            stats, room = self.stats(), self._keeper.room
            values = (
                stats.committed, stats.dropped, stats.lag_ms, room.used / 2**20, 100 * room.share,
                room.free / 2**20, self._cannot_write, self._keeper.evicting, bool(self.problems),
            )  # fmt: skip
            raws = [tag.data_type.encode(value) for tag, value in zip(tags, values, strict=True)]
            changed = [row for row in range(len(raws)) if not told or raws[row] != told[row]]
            if changed:
                ids = [tags[row].id for row in changed]
                port.submit(Batch.of(ids, [raws[row] for row in changed], port.clock.now_ns()))
            told = raws
            await port.clock.sleep(FIGURES_S)

    async def _read(self, work: Callable[[Snapshot], T]) -> T:
        """Commit what waits, then read."""
        await self._until_open()
        await self.flush()
        return await self._in_thread(self._look, work, self._waiting())

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Read in a thread while somebody waits for it; damaged files are set aside and the rest is read.

        What is opened anew meanwhile is read anew; what is closed says so at the next look.
        """
        while True:
            try:
                return await self._asking.answer(work, *args)
            except ClosedError:
                await self.flush()
            except DamagedPartsError as exc:
                await self._keeper.lose_numbers(exc.numbers)
            except UnreadablePartError as exc:
                self._keeper.note_unreadable(exc.number)
                raise
            except StoreError as exc:
                if not await self._lose_store(exc):
                    raise

    async def _lose_store(self, exc: StoreError) -> bool:
        """Set the store aside if it is damaged, and go on from the present values; return whether it was."""
        port = self._port
        if (
            port is None
            or not tells_damage(exc)
            or not await self._threads.write(self._store.lose_if_damaged)
        ):
            return False
        self._add(port, self._compression.rest())
        await self._begin(port, self._store.last_ns(), whole=False)
        self._take(port, self._as_of_start(port.tags.snapshot(self._recorded)))
        await self.flush()
        return True

    async def _until_open(self) -> None:
        """Wait for the store: an answer before it is open would say that there is nothing.

        Raises:
            StoreError: it does not open.
        """
        try:
            async with asyncio.timeout(OPEN_S):
                await self._opened.wait()
        except TimeoutError as exc:
            remedy = "see why: ironworks components list"
            raise StoreError("the history is not open", remedy) from exc

    async def _end(self, port: Port) -> None:
        await self.flush()
        if self._rows:
            text = f"{self._rows} samples were not written when the historian stopped"
            self._emit(port, "historian.dropped", text, {"dropped": self._rows})
            log.error("%s", text)
            self._buffer, self._rows = [], 0
        now_ns = self._clock.now_ns()
        try:
            if not self._failing and self._gap_ns is None:
                await self._threads.write(self._store.end_whole, now_ns)
            await self._threads.write(self._store.close)
        except StoreError as exc:
            log.error("%s", exc)

    def _emit(self, port: Port, kind: str, text: str, data: dict[str, Any]) -> None:
        port.emit(Event(kind, self.name, port.clock.now_ns(), text, data))

    # In threads.

    def _open(self) -> int:
        self._store.open()
        self._stored = self._store.register(self._tags, self._store.last_ns())
        return self._store.last_ns()

    def _append(self, batches: Sequence[Batch], now_ns: int) -> int:
        if not batches:
            if not self._store.is_open:
                self._store.open()
            return 0
        columns = to_columns(batches, self._stored, self._kinds)
        with span("history.commit", samples=len(columns.t)):
            self._store.append(columns, now_ns)
        return int(columns.t.max())

    def _answer(self, asked: Asked, query: str, limit: int, seconds: float) -> Answer:
        folder = self._store.folder
        with ExitStack() as stack:
            with (
                self._store.cursor() as cursor,
                asked.using(cursor),
                Snapshot(cursor, folder, self._whole) as view,
            ):
                books = stack.enter_context(library(folder, view, cursor))
            return answer(books, query, limit, seconds, asked)

    def _look(self, asked: Asked, work: Callable[[Snapshot], T], waiting: Rows | None) -> T:
        with (
            self._store.cursor() as cursor,
            asked.using(cursor),
            Snapshot(cursor, self._store.folder, self._whole, waiting=waiting) as view,
        ):
            return work(view)

    def _waiting(self) -> Rows | None:
        """Return the samples that are held back, as an answer tells them."""
        batch = self._compression.waiting()
        if not len(batch):
            return None
        found = to_columns([batch], self._stored, self._kinds)
        exact = np.ma.masked_all(len(found), np.uint64)  # type: ignore[no-untyped-call]
        exact[found.special] = found.exact
        return Rows(found.tag, found.t, found.value, found.quality, exact)


def _told(batch: Batch) -> Batch:
    """Return the rows that say something: not those that wait for a first value."""
    told = batch.quality != Quality.BAD_WAITING_FOR_INITIAL_DATA
    return batch if told.all() else batch.take(np.flatnonzero(told))
