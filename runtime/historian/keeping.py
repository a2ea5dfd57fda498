"""What becomes of committed samples: tables become files, files one, and what is old or damaged goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from runtime.config import HistoryConfig
from runtime.contract import Clock, Event, Port
from runtime.errors import StoreError
from runtime.historian import compaction, feed
from runtime.historian.cold import DAY_NS, Part, whole
from runtime.historian.faults import UnreadablePartError
from runtime.historian.snapshot import snapshot
from runtime.historian.store import Store
from runtime.historian.threads import Threads

log = logging.getLogger(__name__)
TIDY_S = 60.0
UNREADABLE_NS = 300_000_000_000  # a file that cannot be read for so long is taken for damaged


class Keeper:
    """Keeps the house of a store while samples are committed to it.

    Attributes:
        config: what is kept, and how much.
        tidying: held by whoever needs the files to stay as they are.
        used_bytes: disk in use at the last round.
        evicting: whether samples went early at the last round.
    """

    def __init__(
        self,
        store: Store,
        config: HistoryConfig,
        clock: Clock,
        threads: Threads,
        lose_store: Callable[[StoreError], Awaitable[bool]],
    ) -> None:
        self.config = config
        self.tidying = asyncio.Lock()
        self.used_bytes = 0
        self.evicting = False
        self._store = store
        self._clock = clock
        self._threads = threads
        self._lose_store = lose_store  # sets it aside, if it is damaged
        self._full = asyncio.Event()
        self._checked = 0
        self._unreadable: dict[int, int] = {}  # since when, by number
        self._spared_until_ns = 0

    def note_fullness(self) -> None:
        """Have the table that is written compacted if it is full."""
        if self._store.waiting_rows >= compaction.table_rows(self.config):
            self._full.set()

    async def run(self, port: Port) -> None:
        """Tidy once a minute, until cancelled."""
        while True:
            await port.clock.sleep(TIDY_S)
            try:
                evicted = await self.tidy()
            except StoreError as exc:
                log.error("the history cannot be tidied: %s", exc)
                await self._lose_store(exc)
                continue
            self.evicting = evicted > 0
            if evicted:
                text = f"{evicted} samples were deleted early: the history reached its disk limit"
                port.emit(
                    Event("historian.evicted", port.name, port.clock.now_ns(), text, {"samples": evicted})
                )

    async def compact_when_full(self) -> None:
        """Compact whenever the table that is written is full, until cancelled."""
        while True:
            await self._full.wait()
            self._full.clear()
            try:
                async with self.tidying:
                    await self.compact()
            except StoreError as exc:  # the next round of the house tries again
                log.error("the history cannot be compacted: %s", exc)
                await self._lose_store(exc)

    async def tidy(self) -> int:
        """Compact, delete what is too old or too much; return how many samples went before their time."""
        async with self.tidying:
            await self._threads.write(self._store.recorded_until, self._clock.now_ns())
            await self.compact()
            now_ns = self._clock.now_ns()
            if self._clock.steady_ns() >= self._spared_until_ns:
                for part in compaction.expired(
                    await self._threads.write(self._store.parts), self.config, now_ns
                ):
                    await self._drop(part)
            await self._check_one()
            await self._threads.write(self._store.sweep)
            evicted = await self._evict()
            self.used_bytes = await self._threads.write(self._store.used_bytes)
            return evicted

    async def compact(self) -> None:
        """Turn sealed tables into files, and files of a day into one. Samples are committed meanwhile."""
        store, config = self._store, self.config
        if compaction.due(store, config, self._clock.now_ns()):
            await self._threads.write(store.seal)
        most = compaction.file_rows(config)
        try:
            for table in await self._threads.write(self._choose_tables):
                written = await self._threads.read(compaction.write_table, store, table)
                await self._threads.write(store.commit_parts, written, table)
                await self._threads.write(store.sweep)
            store.compacting = frozenset()
            while group := await self._threads.write(self._choose_group, most):
                if await self._lose_damaged(group):  # the new file would be whole, with what is wrong in it
                    continue
                merged = await self._threads.read(compaction.merge, store, group)
                await self._threads.write(store.commit_parts, [merged], None, group)
                await self._threads.write(store.sweep)
        finally:
            store.compacting = store.merging = frozenset()
        for part in await self._threads.write(store.parts):
            if not part.digested:
                digest = await self._threads.read(store.digest, part)
                await self._threads.write(store.commit_digest, part, digest)

    def spare(self, step_ns: int) -> None:
        """Delete nothing for its age for a day: the clock may be wrong, and somebody should see it first."""
        self._spared_until_ns = self._clock.steady_ns() + DAY_NS
        log.warning("the clock is %d days ahead: for a day no history is too old", step_ns // DAY_NS)

    async def lose_numbers(self, numbers: Iterable[int]) -> None:
        """Set cold files aside that a reader found damaged, by number."""
        there = {part.number: part for part in await self._threads.write(self._store.parts)}
        lost = [there[number] for number in numbers if number in there]
        if lost:  # else they were replaced by others while they were read
            await self._threads.write(self._store.lose_parts, lost)

    def note_unreadable(self, number: int) -> None:
        """Look at a cold file again that could not be read; what stays so is set aside."""
        self._unreadable.setdefault(number, self._clock.steady_ns())

    async def check_file(self, number: int) -> None:
        """Set a cold file aside if it is damaged."""
        parts = await self._threads.write(self._store.parts)
        await self._lose_damaged([part for part in parts if part.number == number])

    async def snapshot(self, folder: Path) -> None:
        """Write what is committed into a folder."""
        async with self.tidying:  # no file goes while it is linked
            await self._threads.copy(snapshot, self._store, folder)

    async def _drop(self, part: Part) -> None:
        try:
            newest = await self._threads.read(self._store.newest, part)
        except StoreError:
            if not await self._lose_damaged([part]):
                raise
            return
        await self._threads.write(self._store.drop_part, part, newest)

    async def _evict(self) -> int:
        """Delete the oldest files while more than the disk limit allows is used; return how many samples."""
        store, evicted = self._store, 0
        goal = compaction.FULL
        while await self._threads.write(store.used_bytes) > goal * self.config.disk_limit_mib * 2**20:
            goal = compaction.ROOMY
            parts = await self._threads.write(store.parts)
            if not parts:
                if not store.waiting_rows:
                    break
                await self._threads.write(store.seal)
                await self.compact()
                continue
            oldest = min(parts, key=lambda part: part.last_ns)
            await self._drop(oldest)
            evicted += oldest.rows
            await self._threads.write(store.sweep)
        return evicted

    async def _check_one(self) -> None:
        """Check that one more file is as it was written, and those that could not be read.

        All of them take their turn. What stays unreadable is set aside.
        """
        parts = sorted(await self._threads.write(self._store.parts), key=lambda each: each.number)
        chosen = [each for each in parts if each.number in self._unreadable]
        self._unreadable = {part.number: self._unreadable[part.number] for part in chosen}
        if parts:
            part = next((each for each in parts if each.number > self._checked), parts[0])
            self._checked = part.number
            chosen.append(part)
        for part in chosen:
            now_ns = self._clock.steady_ns()
            try:
                await self._lose_damaged([part])
                self._unreadable.pop(part.number, None)
            except UnreadablePartError as exc:
                if now_ns - self._unreadable.setdefault(part.number, now_ns) >= UNREADABLE_NS:
                    log.error("%s", exc)
                    await self._threads.write(self._store.lose_parts, [part])

    async def _lose_damaged(self, parts: Sequence[Part]) -> bool:
        """Set those of the files aside that are damaged; return whether any was."""
        folder = self._store.folder
        # Who gives up waiting for it, as the sink may, breaks nothing else off.
        damaged = [part for part in parts if not await self._threads.copy(whole, folder / part.name, part)]
        if damaged:
            await self._threads.write(self._store.lose_parts, damaged)
        return bool(damaged)

    # In the thread that writes.

    def _choose_tables(self) -> list[int]:
        """Return the tables to make files of; they are not sent meanwhile."""
        tables = self._store.sealed()
        self._store.compacting = frozenset(tables)
        return tables

    def _choose_group(self, most_rows: int) -> list[Part]:
        """Return the files to make one of next; none that is being sent, and these are not sent meanwhile."""
        sending = feed.part_in_hand(self._store)
        parts = [part for part in self._store.parts() if part.number != sending]
        group = compaction.mergeable(parts, self._clock.now_ns(), most_rows)
        self._store.merging = frozenset(part.number for part in group)
        return group
