"""A record as it lies on disk: which scans are there, in which order, what is missing, who did what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec
import numpy as np

from runtime.errors import PlantError
from softplc.record.files import NOTES, Chunk, chunks, segments
from softplc.record.notes import WRITE, Note, unpacked
from softplc.record.programs import RecordedProgram
from softplc.record.recorder import PROGRAMS
from softplc.record.ring import Words

_CACHED = 8


@dataclass(frozen=True, slots=True)
class Gap:
    """Scans that are not in the record: those behind `first` up to `last`; `why` says more."""

    run: int
    first: int
    last: int
    at_ns: int
    why: str = ""

    @property
    def text(self) -> str:
        return f"scans {self.first + 1} to {self.last} are not in the record{self.why}"


class Record:
    """The record in a folder.

    Attributes:
        chunks: those that can be replayed, in order.
        gaps: what is missing between them.
        problems: what of it is damaged.
    """

    def __init__(self, folder: Path, core: Callable[[], bytes] = bytes) -> None:
        """Look through it; `core` makes the scan core of now, for what another version has recorded.

        Raises:
            PlantError: there is nothing.
        """
        self.folder = folder
        self._core = core
        self.problems: list[str] = []
        self.gaps: list[Gap] = []
        self.chunks: list[Chunk] = []
        self._notes: list[Chunk] = []
        for file in segments(folder):
            for each in chunks(file):
                if isinstance(each, str):
                    self.problems.append(each)
                elif each.head.kind == NOTES:
                    self._notes.append(each)
                else:
                    self._add(each)
        self._drop_idle()
        if not self.chunks:
            detail = f": {self.problems[0]}" if self.problems else ""
            remedy = "run the plant; with `plc: record: {disk_limit_mib: 0}` it records none"
            raise PlantError(f"no scans are recorded in {folder}{detail}", remedy)
        self._words = lru_cache(_CACHED)(self._read)
        self._programs: dict[bytes, RecordedProgram] = {}

    def _drop_idle(self) -> None:
        """Leave out a program on trial that came to no scan: the one before goes on as if it had not been."""
        if len(self.chunks) < 2:
            return
        before, last = self.chunks[-2].head, self.chunks[-1].head
        if last.first == last.last and last.run == before.run and last.block != before.block:
            self.chunks.pop()

    def _add(self, chunk: Chunk) -> None:
        if self.chunks and self.chunks[-1].head.block != chunk.head.block:
            self._drop_idle()
        before = self.chunks[-1] if self.chunks else None
        head = chunk.head
        if before is not None and before.head.run == head.run:
            old = head.last < before.head.last or (head.last == before.head.last and not head.key)
            if before.head.block == head.block and old:
                return  # written twice: the kernel was killed in between
            if head.first > before.head.last:
                self.gaps.append(Gap(head.run, before.head.last, head.first, head.first_ns))
        if not head.key and not self._goes_on(before, chunk):
            why = ": what came before them is lost"
            self.gaps.append(Gap(head.run, head.first, head.last, head.first_ns, why))
            return
        self.chunks.append(chunk)

    @staticmethod
    def _goes_on(before: Chunk | None, chunk: Chunk) -> bool:
        if before is None:
            return False
        return before.head.block == chunk.head.block and before.head.last == chunk.head.first

    @property
    def runs(self) -> Sequence[int]:
        """Return the lives of cores, in order."""
        return list(dict.fromkeys(each.head.run for each in self.chunks))

    def words(self, index: int) -> Words | None:
        """Return what a chunk holds; None where it is damaged, which is noted."""
        return self._words(index)

    def _read(self, index: int) -> Words | None:
        chunk = self.chunks[index]
        data = chunk.read()
        if data is None:
            text = f"{chunk.file.name} is damaged at byte {chunk.at}"
            if text not in self.problems:
                self.problems.append(text)
            return None
        return np.frombuffer(data, np.int64)

    def program(self, name: bytes) -> RecordedProgram:
        """Return a program of the record.

        Raises:
            PlantError: it cannot be had.
        """
        known = self._programs.get(name)
        if known is None:
            folder = self.folder / PROGRAMS
            try:
                known = RecordedProgram.load(folder, name)
            except PlantError as exc:
                core = self._core() if "another version" in exc.text else b""
                if not core:
                    raise
                known = RecordedProgram.load(folder, name, core)
            self._programs[name] = known
        return known

    @cached_property
    def notes(self) -> Sequence[Note]:
        """Return what was done, in order of time; what is said in several segments, once."""
        found: dict[Note, None] = {}
        for chunk in self._notes:
            data = chunk.read()
            if data is None:
                self.problems.append(f"{chunk.file.name} is damaged at byte {chunk.at}: who did what is lost")
                continue
            try:
                found |= dict.fromkeys(unpacked(data))
            except msgspec.MsgspecError as exc:
                self.problems.append(f"{chunk.file.name}: {exc}")
        return sorted(found, key=lambda note: note.at_ns)

    def newest(self, kind: str, number: int) -> Note | None:
        """Return the newest note of a kind and number; a plant gives each force another one."""
        return next((n for n in reversed(self.notes) if (n.kind, n.number) == (kind, number)), None)

    def write(self, block: int, number: int) -> Note | None:
        """Return who wrote what a scan took with a number: a text has several."""
        found = [n for n in self.notes if n.kind == WRITE and n.block == block and n.number >= number]
        return min(found, key=lambda note: note.number, default=None)

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self.chunks)
