"""Runs recorded scans again, bit for bit, forwards and backwards.

    with Replay(Record(folder)) as replay:
        replay.seek(scan=4_711)
        replay.step(-3)
        print(replay.at, replay.read("Main.level"))

The same native code as live, with the inputs, writes, forces and times of then. Wherever the record has a
whole image, the replay is compared with it.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.errors import PlantError
from softplc.core.layout import Range
from softplc.core.scancore import ScanCore
from softplc.core.stats import TaskFault
from softplc.core.watch import watch
from softplc.lookup import joined
from softplc.record.files import Chunk
from softplc.record.programs import Binding, RecordedProgram
from softplc.record.reader import Record
from softplc.record.ring import Key, Scan, Words, image_at
from softplc.record.state import State

_EVER = 1 << 62
_FLAGS_ABORTED = 2


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Behind a scan: the core's life (from 1), how many scans there had been, the program's time in ns."""

    run: int
    scan: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A whole image of the record that the replay did not come to: where, and its first differing byte."""

    at: Position
    offset: int


@dataclass(slots=True)
class _Bench:
    """A program in this process."""

    program: RecordedProgram
    core: ScanCore


class Replay:
    """Stands behind a scan of a record, and moves.

    Attributes:
        compared: whole images that the replay has come to and that were the same.
        differences: those that were not.
        jumped: whether the last move went over something that is not in the record, or to another core.
    """

    def __init__(self, record: Record) -> None:
        """Stand before the first scan.

        Raises:
            PlantError: it cannot be replayed.
        """
        self.record = record
        self.compared = 0
        self.differences: list[Difference] = []
        self.jumped = False
        self._benches: dict[bytes, _Bench] = {}
        self._runs = {run: number for number, run in enumerate(record.runs, 1)}
        self._bench: _Bench
        self._index = self._at = 0
        self._watched: tuple[tuple[int, int], ...] = ()
        self._aborted = self._was_changed = False
        self._load(self._first_key(0))

    # Where it stands.

    @property
    def at(self) -> Position:
        return Position(self._run, self.scans, self._now_ns)

    @property
    def scans(self) -> int:
        """Return how many scans there had been in this life of the core."""
        return int(self.core.control.scans)

    @property
    def _run(self) -> int:
        return self._runs[self._chunk.head.run]

    @property
    def _now_ns(self) -> int:
        return int(ctypes.c_int64.from_address(self._image_address).value)

    @property
    def _image_address(self) -> int:
        return self.core.address + int(self.core.control.image)

    @property
    def _chunk(self) -> Chunk:
        return self.record.chunks[self._index]

    @property
    def program(self) -> RecordedProgram:
        return self._bench.program

    @property
    def core(self) -> ScanCore:
        return self._bench.core

    @property
    def task(self) -> str:
        """Return the task that ran last."""
        newest = max(zip(self.core.records, self.core.tasks, strict=True), key=lambda pair: pair[0].last_ns)
        return newest[1].name

    @property
    def image(self) -> memoryview:
        """Return the image as it is now; it changes as the replay moves."""
        return self.core.block.part("image")

    @property
    def digest(self) -> str:
        """Return the hash of the image: of all variables, seen and hidden."""
        return hashlib.sha256(self.core.block.view("image")[self.program.state].tobytes()).hexdigest()

    def read(self, path: str) -> Any:
        """Return the value of a variable, or of what a tag is bound to, as it is shown.

        Raises:
            UnknownVariableError: there is none.
        """
        lookup = self.program.lookup
        return lookup.read(lookup.find(self.program.variable_of(path)), self.image)

    def faults(self) -> Sequence[TaskFault]:
        """Return the tasks that stand still, and why."""
        return self.core.faults()

    @property
    def run_id(self) -> int:
        """Return how the record names the life of the core."""
        return self._chunk.head.run

    @property
    def block_id(self) -> int:
        """Return how the record names the core's memory."""
        return self._chunk.head.block

    @property
    def state(self) -> State:
        """Return all that the next scan depends on."""
        return State.of(self.core)

    def _next(self) -> tuple[Words, int] | None:
        """Return where the next scan is; None at the end, and before a jump."""
        index, at = self._index, self._at
        while True:
            words = self.record.words(index)
            if words is None:
                return None
            if at < len(words):
                return words, at
            if index + 1 >= len(self.record.chunks) or not self._joined(index + 1):
                return None
            index += 1
            following = self.record.words(index)
            at = int(following[1]) if following is not None and self.record.chunks[index].head.key else 0

    def next_scan(self) -> Scan | None:
        """Return what the next scan took; None at the end, and before a jump."""
        found = self._next()
        return Scan.at(*found)[0] if found is not None else None

    def input_of(self, row: int) -> Binding:
        """Return the tag that is bound to a word of the inputs."""
        rows = [each for each in self.program.inputs for _ in each.at.parts]
        return rows[row]

    def beside(self, program: RecordedProgram, prepare: Callable[[memoryview], None]) -> memoryview | None:
        """Let another build of the same program do the next scan; None where there is none.

        Returns its image, which may be longer; `prepare` writes behind it.
        """
        found = self._next()
        if found is None:
            return None
        words, at = found
        core = program.core()
        self.state.enter(core, self.program.state)
        image = core.block.part("image")
        prepare(image)
        place, left = words.ctypes.data + 8 * at, len(words) - at
        core.native.replay(core.address, place, left, self.scans + 1, 0)
        return image

    # Moves.

    def step(self, count: int = 1) -> bool:
        """Do scans, or undo them where `count` is negative; tells whether the record has so many."""
        self.jumped = False
        if count < 0:
            return self._back(-count)
        return all(self._forward(self.scans + 1, watching=False) for _ in range(count))

    def _back(self, count: int) -> bool:
        target = self.scans - count
        first = self.record.chunks[self._start_of(self._index)].head.first
        if target >= first:
            index = self._index
            while self.record.chunks[index].head.first > target:
                index -= 1
            self._go(index, target)
            return True
        before = self._start_of(self._index) - 1
        if before < 0:
            self._go(0, first)
            return False
        left = count - (self.scans - first)
        self.jumped = True
        self._go(before, self.record.chunks[before].head.last)
        return self._back(left) if left > 0 else True

    def _start_of(self, index: int) -> int:
        """Return the first chunk of the scans that go on to this one without a jump."""
        while index > 0 and self._joined(index):
            index -= 1
        return index

    def _joined(self, index: int) -> bool:
        before, after = self.record.chunks[index - 1].head, self.record.chunks[index].head
        return before.block == after.block and before.last == after.first

    def run(self, until: Position | None = None, watch: Iterable[str] = ()) -> bool:
        """Go on to a position, or until one of the variables has changed; tells whether it came so far.

        Raises:
            UnknownVariableError: there is no such variable.
        """
        paths, jumped = list(watch), False

        def reached() -> bool:
            return until is not None and (self._run, self.scans) >= (until.run, until.scan)

        while not reached():
            self.jumped = False
            if paths:
                self._watch(paths)  # anew: it may be another program
            stop = until.scan if until is not None and self._run == until.run else _EVER
            if not self._forward(stop, watching=bool(paths)):
                break
            jumped |= self.jumped
            if paths and (self._was_changed or self.jumped):
                self.jumped = jumped
                return True
        self.jumped = jumped
        return not paths and (until is None or reached())

    def seek(self, scan: int | None = None, at_ns: int | None = None, run: int | None = None) -> Position:
        """Stand behind a scan, or behind the last one up to a time; of the newest core that has it.

        Raises:
            PlantError: it is not in the record.
        """
        self.jumped = False
        index, target = self._find_scan(scan, run) if scan is not None else self._find_time(at_ns or 0)
        self._go(index, target)
        return self.at

    def seek_end(self, run: int | None = None) -> Position:
        """Stand behind the last scan, or behind that of a run.

        Raises:
            PlantError: there is no such run.
        """
        last = self._chunks_of(run)[-1]
        self._go(last, self.record.chunks[last].head.last)
        return self.at

    def _find_scan(self, scan: int, run: int | None) -> tuple[int, int]:
        of_run = self._chunks_of(run)
        chunks = self.record.chunks
        found = [index for index in of_run if chunks[index].head.first <= scan <= chunks[index].head.last]
        if not found:
            heads = [chunks[index].head for index in of_run]
            newest = [each for each in heads if each.run == heads[-1].run]
            raise PlantError(
                f"scan {scan} is not in the record", f"it has {newest[0].first} to {newest[-1].last}"
            )
        newest_run = chunks[found[-1]].head.run
        index = next(each for each in found if chunks[each].head.run == newest_run)
        return index, scan

    def _chunks_of(self, run: int | None) -> list[int]:
        """Return the numbers of the chunks of a run, or of all."""
        chunks = enumerate(self.record.chunks)
        found = [index for index, each in chunks if run in (None, self._runs[each.head.run])]
        if not found:
            raise PlantError(f"the record has no run {run}", f"it has 1 to {len(self._runs)}")
        return found

    def _find_time(self, at_ns: int) -> tuple[int, int]:
        index = 0
        for number, each in enumerate(self.record.chunks):
            if each.head.first_ns <= at_ns:
                index = number
        chunk = self.record.chunks[index]
        if at_ns < chunk.head.first_ns:
            return index, chunk.head.first
        words = self.record.words(index)
        if words is None or at_ns >= chunk.head.last_ns:
            return index, chunk.head.last
        scan, at, now_ns = chunk.head.first, 0, 0
        first = True
        if chunk.head.key:
            at, now_ns, first = int(words[1]), int(words[image_at(words)]), False
        while at < len(words):
            found, behind = Scan.at(words, at)
            now_ns = chunk.head.first_ns if first else now_ns + found.after_ns
            first = False
            if now_ns > at_ns:
                break
            scan, at = scan + 1, behind
        return index, scan

    def seek_first(self) -> Position:
        """Stand where the record begins."""
        self.jumped = False
        self._load(self._first_key(0))
        return self.at

    def stretches(self) -> Iterator[int]:
        """Yield the numbers of the whole images up to here, the newest first."""
        index = self._index
        while index >= 0:
            index = self._first_key(index)
            yield index
            index -= 1

    def seek_stretch(self, number: int) -> Position:
        """Stand where a whole image is."""
        self.jumped = False
        self._load(number)
        return self.at

    def follows(self, number: int) -> bool:
        """Tell whether what is before a whole image goes on there."""
        return number > 0 and self._joined(number)

    def seek_before(self, number: int) -> Position | None:
        """Stand behind what the record has before a whole image; None where that is nothing."""
        if number == 0:
            return None
        self._go(number - 1, self.record.chunks[number - 1].head.last)
        return self.at

    # How.

    def _first_key(self, index: int) -> int:
        """Return the chunk with the newest key up to this one that can be read."""
        for each in range(index, -1, -1):
            if self.record.chunks[each].head.key and self.record.words(each) is not None:
                return each
            if each and not self._joined(each):
                break
        raise PlantError(
            "the record is damaged there: " + "; ".join(self.record.problems), "choose another time"
        )

    def _go(self, index: int, scan: int) -> None:
        """Stand behind a scan of a chunk, or of one that goes on from it."""
        here = self._bench.core.control.scans
        start = self._first_key(index)
        if not (start <= self._index <= index and here <= scan and not self._aborted):
            self._load(start)
        while self.scans < scan and not self.jumped and self._forward(scan, watching=False):
            pass
        if self.scans != scan or self._index > index:
            raise PlantError(
                f"scan {scan} is not in the record: " + "; ".join(self.record.problems), "choose another time"
            )

    def _load(self, index: int) -> None:
        words = self.record.words(index)
        if words is None:
            raise PlantError("the record is damaged there", "choose another time")
        self._enter(index, Key.of(words), int(words[1]))

    def _enter(self, index: int, key: Key, at: int) -> None:
        """Take up the state of a key."""
        name = self.record.chunks[index].head.program
        bench = self._benches.get(name)
        if bench is None:
            program = self.record.program(name)
            bench = self._benches[name] = _Bench(program, program.core())
            watch(bench.core)
        self._bench, self._index, self._at = bench, index, at
        State.of_key(key).enter(bench.core, bench.program.state)
        self._aborted = False

    def _forward(self, until: int, *, watching: bool) -> bool:
        """Go on to a number of scans of this life, or over a jump; False at the end of the record."""
        self._was_changed = False
        while self.scans < until:
            words = self.record.words(self._index)
            if words is None or self._at >= len(words):
                if not self._next_chunk():
                    return False
                if self.jumped:
                    return True
                continue
            control = self.core.control
            place = words.ctypes.data + 8 * self._at
            left = len(words) - self._at
            done = self.core.native.replay(self.core.address, place, left, until, int(watching))
            if done <= 0:
                raise PlantError("the record is damaged: there is a scan that is none", "choose another time")
            self._at += done
            self._aborted = self._ends_aborted(words, done)
            if watching and control.watch_scans == control.scans:
                self._was_changed = True
                return True
        return True

    def _ends_aborted(self, words: Any, done: int) -> bool:
        """Tell whether the watchdog had ended the last scan: only the key behind it knows the image."""
        if not self.core.control.fault_mask or self._at < len(words):
            return False
        at, last = self._at - done, 0
        while at < self._at:
            last, (_, at) = at, Scan.at(words, at)
        return bool(int(words[last]) >> 4 & _FLAGS_ABORTED)

    def _next_chunk(self) -> bool:
        index = self._index + 1
        while index < len(self.record.chunks):
            words = self.record.words(index)
            joined = index == self._index + 1 and self._joined(index)
            head = self.record.chunks[index].head
            if words is None or not (head.key or joined):
                index += 1
                continue
            if not head.key:
                self._index, self._at = index, 0
                return True
            key = Key.of(words)
            if joined and not self._aborted:
                self._compare(key)
            self._enter(index, key, int(words[1]))
            self.jumped = self.jumped or not joined
            return True
        return False

    def _compare(self, key: Key) -> None:
        here, there = self.core.block.view("image"), np.frombuffer(key.image, np.uint8)
        different = (here != there) & self.program.state
        if different.any():
            self.differences.append(Difference(self.at, int(different.argmax())))
        else:
            self.compared += 1

    # Watching.

    def _watch(self, paths: Sequence[str]) -> None:
        """Let the native code stop where one of these changes."""
        lookup = self.program.lookup
        spans = [span for path in paths for span in lookup.find(self.program.variable_of(path)).spans]
        ranges = joined(spans) if len(spans) > 1 else spans
        self._watched = tuple(ranges)
        core = self.core
        records: Any = core.block.records("watch", Range, len(ranges))
        for record, (offset, size) in zip(records, ranges, strict=True):
            record.offset, record.size = offset, size
        core.control.watch_count, core.control.watch_scans = len(ranges), -1
        data = self._picture()
        core.block.part("watched")[: len(data)] = data

    def _picture(self) -> bytes:
        return b"".join(self.image[offset : offset + size] for offset, size in self._watched)

    def close(self) -> None:
        """Forget the programs."""
        self._benches.clear()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
