"""The book of what is forced: by path on disk, by place in the core's block.

A force holds until it is released or its time is over, whatever is restarted meanwhile: kernel, core,
component or machine. The file says what is meant; what the core holds follows it. Where the program has no
such variable any more, the force ends, and is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from runtime.clock import monotonic_ns
from runtime.contract import Value
from runtime.errors import PlantError, StoreError
from softplc.core.forces import Forced, Forces
from softplc.core.slots import settle
from softplc.lookup import Lookup

log = logging.getLogger(__name__)
FILE = "forces.json"
_OVER = "its time is over"


class Entry(msgspec.Struct, frozen=True):
    """One force as it is kept; times are ns since 1970, `until_ns` is 0 where it has no end."""

    number: int
    path: str
    type: str
    value: Value
    since_ns: int
    until_ns: int
    actor: str
    reason: str


class _File(msgspec.Struct, frozen=True):
    next: int
    forces: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A force, and how the core knows it; its end is counted in monotonic time."""

    entry: Entry
    forced: Forced


class ForceBook:
    """The forces of one plant; who changes them takes turns.

    Attributes:
        held: what is forced.
        over: forces that ended by themselves, and why; they stay on disk until that is recorded.
        lost: the file could not be read, so nothing that it says is forced.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._next = 1
        self._entries: dict[int, Entry] = {}
        self._until: dict[int, int] = {}
        self.held: dict[int, Held] = {}
        self.over: dict[int, tuple[Entry, str]] = {}
        self._loaded = False
        self.lost = False
        self._saving = asyncio.Lock()

    def load(self, now_ns: int) -> None:
        """Read the file, once; `now_ns` is the plant's time."""
        if self._loaded:
            return
        self._loaded = True
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_File)
        except FileNotFoundError:
            return
        except OSError as exc:
            self.lost = True
            log.error("%s cannot be read, so nothing is forced: %s", self._file, exc)
            return
        except msgspec.MsgspecError as exc:
            self.lost = True
            aside = self._file.with_suffix(".corrupt")
            log.error(
                "%s is damaged, so nothing is forced: %s; it is kept as %s", self._file, exc, aside.name
            )
            self._set_aside(aside)
            return
        self._next = kept.next
        steady_ns = monotonic_ns()
        for entry in kept.forces:
            self._entries[entry.number] = entry
            if entry.until_ns:
                self._until[entry.number] = max(1, steady_ns + entry.until_ns - now_ns)

    def _set_aside(self, aside: Path) -> None:
        try:
            self._file.replace(aside)
        except OSError as exc:
            log.error("%s cannot be renamed: %s", self._file, exc.strerror)

    def resolve(self, lookup: Lookup) -> None:
        """Find the variables of all forces in the program that runs from now on; those not there end."""
        self.held, lost = self.found_in(lookup)
        for entry, why in lost:
            self._end(entry, why)

    def found_in(self, lookup: Lookup) -> tuple[dict[int, Held], list[tuple[Entry, str]]]:
        """Return the forces as they are in a program, and those that are not there, with the reason."""
        held, lost = {}, []
        for entry in self.entries:
            try:
                held[entry.number] = self._held(entry, lookup)
            except PlantError as exc:
                lost.append((entry, exc.text))
        return held, lost

    def _held(self, entry: Entry, lookup: Lookup) -> Held:
        symbol = lookup.symbol(entry.path)
        if symbol.declared != entry.type:
            raise PlantError(f"{entry.path} is {symbol.declared} now, not {entry.type}")
        _, raws = lookup.parse(symbol, entry.value)
        until_ns = self._until.get(entry.number, 0)
        return Held(entry, Forced(entry.number, lookup.variable(symbol), raws, until_ns))

    def _end(self, entry: Entry, why: str) -> None:
        log.warning("%s is not forced any more: %s", entry.path, why)
        self.held.pop(entry.number, None)
        self.over[entry.number] = entry, why

    def lost_in(self, lookup: Lookup) -> Iterator[tuple[str, str]]:
        """Yield the forced variables that a program does not have as they are, and why."""
        for held in list(self.held.values()):
            try:
                self._held(held.entry, lookup)
            except PlantError as exc:
                yield held.entry.path, exc.text

    # The core's side.

    def lay(self, forces: Forces, lookup: Lookup | None = None) -> None:
        """Hand all forces to a core that does not scan yet; with `lookup`, to one of another program."""
        held = self.held.values()
        forced = [self._held(each.entry, lookup).forced if lookup else each.forced for each in held]
        forces.lay(forced)
        forces.mark(each.variable for each in forced)

    def hand_over(self, forces: Forces) -> None:
        """Hand all forces to a core that scans and has taken what it got before."""
        forces.write(each.forced for each in self.held.values())
        self.mark(forces)

    def mark(self, forces: Forces) -> None:
        forces.mark(each.forced.variable for each in self.held.values())

    def learn(self, forces: Forces) -> None:
        """Learn from a core what has ended, and when the rest ends: it counts time even without a kernel."""
        there = forces.there()
        for number, held in list(self.held.items()):
            if number not in there:
                continue
            until_ns = there[number]
            if until_ns is None:
                self._end(held.entry, _OVER)
            elif until_ns != held.forced.until_ns:
                self._until[number] = until_ns
                self.held[number] = replace(held, forced=replace(held.forced, until_ns=until_ns))

    # Changes; each is on disk before it is in the book.

    async def add(self, entry: Entry, forced: Forced) -> None:
        """Keep a force in place of one on the same variable.

        Raises:
            StoreError: the disk refuses.
        """
        async with self._saving:
            same = [number for number, each in self.held.items() if each.forced.variable == forced.variable]
            entries = {number: each for number, each in self._entries.items() if number not in same}
            await self._save({**entries, entry.number: entry}, entry.number + 1)
            for number in same:
                self._drop(number)
            self._next = entry.number + 1
            self._entries[entry.number] = entry
            if forced.until_ns:
                self._until[entry.number] = forced.until_ns
            self.held[entry.number] = Held(entry, forced)

    async def remove(self, numbers: Iterable[int]) -> None:
        """Forget forces.

        Raises:
            StoreError: the disk refuses.
        """
        gone = set(numbers)
        async with self._saving:
            await self._save(
                {key: each for key, each in self._entries.items() if key not in gone}, self._next
            )
            for number in gone:
                self._drop(number)

    def _drop(self, number: int) -> None:
        for kept in (self._entries, self._until, self.held, self.over):
            kept.pop(number, None)

    @property
    def next(self) -> int:
        return self._next

    @property
    def entries(self) -> Sequence[Entry]:
        """Return all forces that have not ended, found in a program or not yet."""
        return [each for number, each in list(self._entries.items()) if number not in self.over]

    def remaining_ns(self, number: int) -> int:
        """Return how long a force goes on; 0 for ever, at least 1 otherwise."""
        until_ns = self._until.get(number, 0)
        return max(1, until_ns - monotonic_ns()) if until_ns else 0

    async def _save(self, entries: dict[int, Entry], following: int) -> None:
        data = msgspec.json.encode(_File(following, tuple(entries.values())))
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        part = self._file.with_suffix(".tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)
            settle(self._file.parent)
        except OSError as exc:
            raise StoreError(f"{self._file} cannot be written: {exc.strerror}", "check the disk") from exc
