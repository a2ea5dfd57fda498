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
from runtime.historian.digests import Digest
from runtime.historian.faults import UnreadablePartError, told
from runtime.historian.room import FULL, ROOMY, Allowance, Room, room
from runtime.historian.snapshot import snapshot
from runtime.historian.store import Store
from runtime.historian.threads import Threads

log = logging.getLogger(__name__)
TIDY_S = 60.0
_AT_ONCE = 16  # files that are deleted for want of room, before it is looked at again
UNREADABLE_NS = 300_000_000_000  # a file that cannot be read for so long is taken for damaged


class Keeper:
    """Keeps the house of a store while samples are committed to it.

    Attributes:
        config: what is kept, and how much.
        tidying: held by whoever needs the files to stay as they are.
        room: what the history took, and might have taken, when that was looked at last.
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
        self.room = Room(0, config.disk_limit_mib << 20, config.disk_limit_mib << 20, 0, False)
        self.evicting = False
        self._store = store
        self._clock = clock
        self._threads = threads
        self._lose_store = lose_store  # sets it aside, if it is damaged
        self._full = asyncio.Event()
        self._checked = 0
        self._unreadable: dict[int, int] = {}  # since when, by number
        self._spared_until_ns = 0
        self._allowance = Allowance(clock.steady_ns())
        self._evicted = 0  # samples, since the last round

    def note_fullness(self) -> None:
        """Have the table that is written compacted if it is full."""
        if self._store.waiting_rows >= compaction.table_rows(self.room):
            self.make_room()

    def make_room(self) -> None:
        """Make room now: the next round may be too late."""
        self._full.set()

    async def run(self, port: Port) -> None:
        """Make room, then tidy once a minute, until cancelled."""
        await self._round(port, self._begin)
        while True:
            await port.clock.sleep(TIDY_S)
            await self._round(port, self.tidy)

    async def _round(self, port: Port, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StoreError as exc:
            log.error("the history cannot be tidied: %s", exc)
            await self._lose_store(exc)
        self._tell_evicted(port)

    async def _begin(self) -> None:
        async with self.tidying:  # a disk that is full does not wait for the first round
            await self._evict()

    def _tell_evicted(self, port: Port) -> None:
        evicted, self._evicted = self._evicted, 0
        self.evicting = evicted > 0
        if evicted:
            why = (
                f"its disk has {self.room.free >> 20} MiB left"
                if self.room.crowded
                else "it reached its limit"
            )
            text = f"{evicted} samples were deleted early: the history has no more room, {why}"
            port.emit(Event("historian.evicted", port.name, port.clock.now_ns(), text, {"samples": evicted}))

    async def compact_when_full(self) -> None:
        """Make room and compact whenever the table that is written, or the disk, is full, until cancelled."""
        while True:
            await self._full.wait()
            self._full.clear()
            try:
                async with self.tidying:
                    await self._evict()
                    await self.compact()
            except StoreError as exc:  # the next round of the house tries again
                log.error("the history cannot be compacted: %s", exc)
                await self._lose_store(exc)

    async def tidy(self) -> None:
        """Compact, delete what is too old or too much."""
        async with self.tidying:
            await self._evict()  # what follows needs room
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
            await self._evict()

    async def compact(self) -> None:
        """Turn sealed tables into files, and files of a day into one. Samples are committed meanwhile."""
        store = self._store
        if compaction.due(store, self.room, self._clock.now_ns()):
            await self._threads.write(store.seal)
        most = compaction.file_rows(self.room)
        try:
            for table in await self._threads.write(self._choose_tables):
                written = await self._threads.read(compaction.write_table, store, table)
                await self._threads.write(store.commit_parts, written, table)
                self._allowance.change(sum(part.size for part, _ in written))
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
        if (newest := await self._newest(part)) is not None:
            await self._threads.write(self._store.drop_part, part, newest)

    async def _newest(self, part: Part) -> Digest | None:
        """Return the last sample of each tag of a file; None where it was damaged, and is set aside."""
        try:
            return await self._threads.read(self._store.newest, part)
        except StoreError:
            if not await self._lose_damaged([part]):
                raise
            return None

    async def _evict(self) -> None:
        """Delete the oldest files while the history takes more than it may."""
        store, goal = self._store, FULL
        await self._look_at_room()
        while self.room.share > goal and (self._allowance.left > 0 or not self.room.crowded):
            goal = ROOMY
            parts = await self._threads.write(store.parts)
            if parts:
                await self._evict_oldest(parts, self.room.used - goal * self.room.limit)
            elif store.waiting_rows:
                await self._threads.write(store.seal)
                await self.compact()
            else:
                break
            await self._look_at_room()

    async def _evict_oldest(self, parts: Sequence[Part], size: float) -> None:
        """Delete the oldest files, some at a time, until they are of a size."""
        most = min(size, self._allowance.left) if self.room.crowded else size
        chosen: list[tuple[Part, Digest]] = []
        for part in sorted(parts, key=lambda each: each.last_ns)[:_AT_ONCE]:
            if most > 0 and (newest := await self._newest(part)) is not None:
                chosen.append((part, newest))
                most -= part.size
        await self._threads.write(self._drop_now, chosen)
        self._allowance.change(-sum(part.size for part, _ in chosen))
        self._evicted += sum(part.rows for part, _ in chosen)

    async def _look_at_room(self) -> None:
        self.room = await self._threads.write(self._measured)
        self._allowance.grow(self.room, self._clock.steady_ns())

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

    def _measured(self) -> Room:
        store = self._store
        with told("the disk of the history cannot be looked at"):
            given = self.config.disk_limit_mib << 20
            found = room(store.used_bytes(), given, store.folder, store.ballast.size)
            store.ballast.take(found.reserve)
            return found

    def _drop_now(self, chosen: Sequence[tuple[Part, Digest]]) -> None:
        """Delete files at once: what else is written would take the room that the ballast leaves for it."""
        with told("old history cannot be deleted"):
            self._store.ballast.give_up()
        for part, newest in chosen:
            self._store.drop_part(part, newest)
        self._store.sweep()

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
