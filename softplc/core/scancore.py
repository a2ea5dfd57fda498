"""The memory of one running program and the calls that exchange values with it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.contract import NO_TEXT, Batch, Quality
from runtime.errors import UnknownVariableError
from softplc.core.block import Block, Sizes
from softplc.core.elf import Code
from softplc.core.figures import WorstScan, programs_of, worst_of
from softplc.core.kinds import Text, Variable
from softplc.core.layout import BINS, FRESH, MAX_TASKS, Control, Slot, Snapshot, Write
from softplc.core.native import Native
from softplc.core.stats import Spread, Stats, TaskFault, TaskStats

_TRIES = 1000
_UNSEEN_QUALITY = 0xFFFF_FFFF
_VIEWS = (
    "image", "copy", "keys", "master", "buffers", "scratch", "in_ids", "in_raw", "in_quality",
    "out_ids", "out_raw", "out_quality", "out_at", "shown_raw", "shown_quality", "bins",
)  # fmt: skip
_HEAD_WORDS = ctypes.sizeof(Snapshot) // 8


@dataclass(frozen=True, slots=True)
class CoreTask:
    """One task: its compiled function, when it runs and how long it may take.

    Attributes:
        symbol: name of the function in the program's object code.
        watchdog_ns: a scan that takes longer is aborted; 0 lets it run.
        hold: after a fault its outputs keep their last value; else they have their safe one.
        stops_all: its fault stops every task.
        programs: names of the programs that it runs, the first of which is number `first` in the application.
    """

    name: str
    symbol: str
    interval_ns: int
    priority: int
    watchdog_ns: int
    hold: bool = False
    stops_all: bool = False
    programs: tuple[str, ...] = ()
    first: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """A variable bound to a key, usually a tag id.

    Attributes:
        tasks: names of the tasks whose fault makes an output invalid.
        safe: raw pattern published instead while one of these stands still; `safe_text` of a text.
        fault_quality: quality that it then has.
    """

    key: int
    variable: Variable | Text
    tasks: frozenset[str] = frozenset()
    safe: int = 0
    fault_quality: int = Quality.BAD_DEVICE_FAILURE
    safe_text: str = ""


@dataclass(frozen=True, slots=True)
class Outputs:
    """One complete snapshot of the outputs, in the order in which they were bound."""

    number: int
    at_ns: int
    scans: int
    raw: NDArray[np.uint64]


class ScanCore:
    """A program's image with its inputs, outputs and tasks, scanned by a `ScanThread` or by `step`.

    Attributes:
        tasks, records: the tasks in order of urgency, and what the block knows of each.
        input_rows, output_rows: first word and number of words of what is bound, by key.

    The native calls that hand values over keep the GIL, so callers need no lock.
    """

    def __init__(
        self,
        native: Native,
        image: bytes,
        tasks: Sequence[CoreTask],
        inputs: Sequence[Bound],
        outputs: Sequence[Bound],
        *,
        fd: int | None = None,
        attach: bool = False,
        record_words: int = 0,
    ) -> None:
        """Lay the block out, in memory of its own or in a file; or attach to one in which a loop runs.

        With `record_words` scans are recorded in a ring of so many words.

        Raises:
            ValueError: the file holds another block.
        """
        if not 0 < len(tasks) <= MAX_TASKS:
            raise ValueError(f"a program has 1 to {MAX_TASKS} tasks, not {len(tasks)}")
        self.native = native
        self._code: Code | None = None
        self.tasks = sorted(tasks, key=lambda task: (task.priority, task.interval_ns))
        self._masks = {task.name: 1 << index for index, task in enumerate(self.tasks)}
        ins, outs = self._split_inputs(inputs), self._split_outputs(outputs)
        keys = max((row.key for row in ins), default=-1) + 1
        programs = sum(len(task.programs) for task in tasks)
        sizes = Sizes(len(image), len(tasks), len(ins), len(outs), keys, programs, record_words)
        self._block = Block(sizes, fd)
        self._views = {name: self._block.view(name) for name in _VIEWS}
        self._control = self._block.control
        self.address = self._block.address
        self.records = self._block.tasks
        self._views["shown_quality"][:] = _UNSEEN_QUALITY
        self._control.collected = 0
        if attach:
            self._control.filling = self._free_buffer()
            return
        self._control.filling, self._control.latched = 1, 2
        self._views["image"][:] = np.frombuffer(image, np.uint8)
        self._bind_tasks()
        self._bind_inputs(ins, image)
        self._bind_outputs(outs)

    def _split_inputs(self, inputs: Sequence[Bound]) -> list[_Row]:
        """Note the texts among the inputs and return them as parts, whose keys follow those of the tags."""
        self._texts_in: dict[int, tuple[Text, NDArray[np.int32]]] = {}
        self.input_rows: dict[int, tuple[int, int]] = {}
        rows: list[_Row] = []
        key = self._first_part = max((bound.key for bound in inputs), default=-1) + 1
        for bound in inputs:
            self.input_rows[bound.key] = len(rows), len(bound.variable.parts)
            if isinstance(bound.variable, Text):
                parts = bound.variable.parts
                rows += [_Row(key + number, part, bound) for number, part in enumerate(parts)]
                self._texts_in[bound.key] = bound.variable, np.arange(key, key + len(parts), dtype=np.int32)
                key += len(parts)
            else:
                rows.append(_Row(bound.key, bound.variable, bound))
        self._text_keys = np.array(sorted(self._texts_in), np.int32)
        return rows

    def _split_outputs(self, outputs: Sequence[Bound]) -> list[_Row]:
        """Note where the outputs lie, and return them with texts as parts, all under one negative key."""
        self._rows: dict[int, int] = {}
        self.output_rows: dict[int, tuple[int, int]] = {}
        self._texts_out: list[_TextOut] = []
        rows: list[_Row] = []
        for bound in outputs:
            self._rows[bound.key] = len(rows)
            self.output_rows[bound.key] = len(rows), len(bound.variable.parts)
            if isinstance(bound.variable, Text):
                text, key = bound.variable, -1 - len(self._texts_out)
                parts = zip(text.parts, text.pack(bound.safe_text), strict=True)
                rows += [_Row(key, part, bound, safe) for part, safe in parts]
                self._texts_out.append(_TextOut(bound.key, text, slice(self._rows[bound.key], len(rows))))
            else:
                rows.append(_Row(bound.key, bound.variable, bound, bound.safe))
        return rows

    def _bind_tasks(self) -> None:
        limits = [task.watchdog_ns for task in self.tasks if task.watchdog_ns]
        self._control.monitor_ns = min(max(min(limits, default=0) // 4, 500_000), 20_000_000)
        everyone = sum(self._masks.values())
        self._control.hold_mask = _signed(sum(self._masks[task.name] for task in self.tasks if task.hold))
        for task, record in zip(self.tasks, self.records, strict=True):
            record.mask = self._masks[task.name]
            record.stops = _signed(everyone) if task.stops_all else record.mask
            record.interval_ns = task.interval_ns
            record.watchdog_ns = task.watchdog_ns

    def _bind_inputs(self, rows: Sequence[_Row], image: bytes) -> None:
        slots = self._block.records("inputs", Slot, len(rows))
        self._views["keys"][:] = -1
        for index, (row, slot) in enumerate(zip(rows, slots, strict=True)):
            row.fill(slot)
            self._views["keys"][row.key] = index
            self._views["master"][index] = row.variable.raw(image)
        self._views["buffers"].reshape(3, -1)[:] = self._views["master"]

    def _bind_outputs(self, rows: Sequence[_Row]) -> None:
        slots = self._block.records("outputs", Slot, len(rows))
        for row, slot in zip(rows, slots, strict=True):
            row.fill(slot)
            slot.mask = sum(self._masks[name] for name in row.bound.tasks)
            slot.safe = _signed(row.safe)
            slot.quality = row.bound.fault_quality

    def enter(self, code: Code) -> None:
        """Let the tasks call code that is loaded in this process."""
        self._code = code
        for task, record in zip(self.tasks, self.records, strict=True):
            record.function = code.address(task.symbol)

    def _free_buffer(self) -> int:
        """Return the input buffer that is the writer's: it may have died between the exchange and its note.

        The scan only ever exchanges the other two.

        Raises:
            ValueError: the block is damaged.
        """
        for _ in range(_TRIES):
            latched, ready = self._control.latched, self._control.ready & ~FRESH
            if latched != ready:
                return int(3 - ready - latched)
        raise ValueError("the input buffers are mixed up")

    # Values in and out.

    def write_inputs(
        self,
        keys: NDArray[np.int32],
        raw: NDArray[np.uint64],
        quality: NDArray[np.uint32],
        text: Mapping[int, str] = NO_TEXT,
    ) -> int:
        """Hand in values for the next scan; rows of bad quality keep the last one. Returns how many did.

        `text` is that of the rows of texts.
        """
        views, held = self._views, 0
        if self._texts_in:
            keys, raw, quality, held = self._with_parts(keys, raw, quality, text)
        room = len(views["in_ids"])
        for start in range(0, len(keys), room):
            rows = slice(start, start + room)
            n = len(keys[rows])
            views["in_ids"][:n] = keys[rows]
            views["in_raw"][:n] = raw[rows]
            views["in_quality"][:n] = quality[rows]
            held += self.native.write_inputs(self.address, n)
        return held

    def _with_parts(
        self,
        keys: NDArray[np.int32],
        raw: NDArray[np.uint64],
        quality: NDArray[np.uint32],
        text: Mapping[int, str],
    ) -> tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.uint32], int]:
        """Add rows for the parts of texts; return how many texts were held back, too."""
        known = keys < self._first_part  # what comes from elsewhere is no part
        held, ids, words = 0, [keys[known]], [raw[known]]
        for row in np.flatnonzero(np.isin(keys, self._text_keys)).tolist():
            if quality[row] >> 31:
                held += 1
                continue
            place, parts = self._texts_in[int(keys[row])]
            ids.append(parts)
            words.append(np.array(place.pack(text.get(row, "")), np.uint64))
        self._control.held += held
        good = np.zeros(sum(map(len, ids[1:])), np.uint32)
        return np.concatenate(ids), np.concatenate(words), np.concatenate([quality[known], good]), held

    def inputs(self) -> tuple[NDArray[np.int32], NDArray[np.uint64], dict[int, str]]:
        """Return what was handed in last: keys, raw patterns, and the text of the rows of texts."""
        slots, master = self._views["keys"], self._views["master"]
        keys = np.flatnonzero(slots[: self._first_part] >= 0).astype(np.int32)
        texts = {}
        for row, (text, parts) in enumerate(self._texts_in.values(), len(keys)):
            texts[row] = text.unpack(master[slots[parts]].tolist())
        raw = np.concatenate([master[slots[keys]], np.zeros(len(texts), np.uint64)])
        return np.concatenate([keys, np.array([*self._texts_in], np.int32)]), raw, texts

    def collect(self) -> Batch | None:
        """Return the outputs that differ from those last collected, if any."""
        return self._staged(self.native.collect(self.address))

    def step(self, now_ns: int) -> Batch | None:
        """Run the tasks that are due at a plant time; return the outputs that changed."""
        return self._staged(self.native.step(self.address, now_ns))

    def _staged(self, n: int) -> Batch | None:
        if not n:
            return None
        views = self._views
        batch = Batch(
            views["out_ids"][:n].copy(),
            views["out_raw"][:n].copy(),
            views["out_quality"][:n].copy(),
            views["out_at"][:n].copy(),
        )
        return self._with_texts(batch) if self._texts_out else batch

    def _with_texts(self, batch: Batch) -> Batch | None:
        """Put a row for each text that changed in the place of the rows of its parts."""
        places: dict[int, int] = {}
        for row in np.flatnonzero(batch.ids < 0).tolist():
            places.setdefault(-1 - int(batch.ids[row]), row)
        rows, text = np.flatnonzero(batch.ids >= 0), {}
        for number, row in places.items():
            output = self._texts_out[number]
            value = output.text.unpack(self._views["shown_raw"][output.rows].tolist())
            if output.changes(value, int(batch.quality[row])):
                text[len(rows)] = value
                rows = np.append(rows, row)
                batch.ids[row], batch.raw[row] = output.key, 0
        return replace(batch.take(rows), text=text) if len(rows) else None

    def read_outputs(self) -> Outputs | None:
        """Return the newest complete snapshot, texts as their parts; None before the first scan."""
        to = np.empty(self._control.ring_stride // 8, np.uint64)
        number = self.native.read_snapshot(self.address, to.ctypes.data)
        if number <= 0:
            return None
        values = to[_HEAD_WORDS : _HEAD_WORDS + self._control.output_count]
        return Outputs(number, int(to[1]), int(to[2]), values)

    def shown(self, key: int) -> int | str:
        """Return the raw pattern of an output last collected, or its text."""
        text = next((each for each in self._texts_out if each.key == key), None)
        if text is not None:
            return text.value
        return int(self._views["shown_raw"][self._rows[key]])

    def write(self, variable: Variable | Text, value: int | str) -> int | None:
        """Queue a raw pattern or a text for the next scan; returns its number, None with a full queue."""
        parts: Sequence[Variable]
        if isinstance(variable, Text):
            parts, raws = variable.parts, variable.pack(str(value))
        else:
            parts, raws = (variable,), [int(value)]
        writes = (Write * len(parts))()
        for write, part, raw in zip(writes, parts, raws, strict=True):
            write.offset, write.kind, write.bit, write.raw = part.offset, part.kind, part.bit, _signed(raw)
        number = self.native.push_writes(self.address, ctypes.addressof(writes), len(parts))
        return None if number < 0 else int(number)

    @property
    def writes_taken(self) -> int:
        """Number of the last write that a collected scan has seen."""
        return int(self._views["scratch"][3])

    def read_image(self, timeout_s: float = 1.0) -> bytes:
        """Return a copy of the whole image as it was between two scans of the running loop.

        Raises:
            TimeoutError: the loop did not answer.
        """
        control = self._control
        control.copy_wanted += 1
        end = time.monotonic() + timeout_s
        while True:
            number = control.copy_done
            if number == control.copy_wanted:
                image = bytes(self._views["copy"])
                if control.copy_wanted == number:
                    return image  # else its process has asked meanwhile: it may be half of each
            if time.monotonic() > end:
                raise TimeoutError("the scan loop did not answer")
            time.sleep(0.001)

    def image(self) -> bytes:
        """Return the image at once; only for a core that is stepped by hand or has stopped."""
        return bytes(self._views["image"])

    def last_whole_image(self) -> bytes | None:
        """Return the newest image between two scans that a dead loop has left; None if there is none."""
        control = self._control
        if not control.active:
            return self.image()
        return bytes(self._views["copy"]) if control.copy_done == control.copy_wanted > 0 else None

    # State.

    @property
    def control(self) -> Control:
        return self._control

    @property
    def block(self) -> Block:
        return self._block

    def same(self, wanted: str, done: str) -> bool:
        """Tell whether the loop has answered: two words of `Control` are the same."""
        control, word = self.address, self.native.word
        answer: int = word(control + getattr(Control, done).offset)
        asked: int = word(control + getattr(Control, wanted).offset)
        return answer == asked

    def word(self, name: str) -> int:
        """Return a word of `Control`, before all that is read after it."""
        return int(self.native.word(self.address + getattr(Control, name).offset))

    def post(self, wanted: str) -> None:
        """Ask the loop for something, by counting up a word of `Control`."""
        self.native.post(self.address + getattr(Control, wanted).offset)

    def set_clock(self, offset_ns: int) -> None:
        """Let the program's clock and source times run ahead of monotonic time."""
        self._control.wall_offset_ns = offset_ns
        self._control.source_offset_ns = offset_ns

    def faults(self) -> tuple[TaskFault, ...]:
        """Return the faults of the tasks that stand still."""
        stopped = self._control.fault_mask
        return tuple(
            TaskFault(
                task.name, record.fault_code, record.fault_line, record.fault_file, record.fault_unit,
                (record.fault_a, record.fault_b, record.fault_c), bool(record.fault_unsigned),
                record.fault_scan, record.fault_at_ns,
            )
            for task, record in zip(self.tasks, self.records, strict=True)
            if record.mask & stopped
        )  # fmt: skip

    def stats(self) -> Stats:
        """Return counters and percentiles since the start."""
        bins = self._views["bins"].reshape(len(self.tasks), 2, BINS).copy()
        faults = {fault.task: fault for fault in self.faults()}
        records = list(self.records)
        return Stats(
            scans=sum(record.scans for record in records),
            overruns=sum(record.overruns for record in records),
            skipped=sum(record.skipped for record in records),
            aborts=self._control.aborts,
            held_inputs=self._control.held,
            execution=Spread.of(bins[:, 0].sum(axis=0), max(record.execution_max_ns for record in records)),
            latency=Spread.of(bins[:, 1].sum(axis=0), max(record.latency_max_ns for record in records)),
            tasks=tuple(
                TaskStats(
                    task.name, task.interval_ns, record.scans, record.overruns, record.skipped,
                    Spread.of(
                        bins[index, 0], record.execution_max_ns,
                        record.execution_last_ns, record.execution_min_ns,
                    ),
                    Spread.of(
                        bins[index, 1], record.latency_max_ns, record.latency_last_ns, record.latency_min_ns
                    ),
                    faults.get(task.name), task.priority, task.watchdog_ns,
                    record.worst_scan, record.worst_at_ns,
                    programs_of(self._block, task.programs, task.first),
                )
                for index, (task, record) in enumerate(zip(self.tasks, records, strict=True))
            ),
        )  # fmt: skip

    def task_index(self, name: str) -> int:
        """Return the place of a task.

        Raises:
            UnknownVariableError: there is none of that name.
        """
        places = {task.name.casefold(): index for index, task in enumerate(self.tasks)}
        if name.casefold() not in places:
            known = ", ".join(task.name for task in self.tasks)
            raise UnknownVariableError(f"there is no task {name!r}", f"its tasks: {known}")
        return places[name.casefold()]

    def worst(self, index: int) -> WorstScan | None:
        """Return the longest scan of a task."""
        return worst_of(self.native, self._block, self.records[index])

    def input_value(self, inputs: NDArray[np.uint64], key: int) -> int | str:
        """Return the raw pattern of an input, or its text, out of all inputs of a scan."""
        first, count = self.input_rows[key]
        text = self._texts_in.get(key)
        if text is not None:
            return text[0].unpack(inputs[first : first + count].tolist())
        return int(inputs[first])


class _Row(NamedTuple):
    """What one slot of the core exchanges: a bound variable, or a part of a bound text."""

    key: int
    variable: Variable
    bound: Bound
    safe: int = 0

    def fill(self, slot: Slot) -> None:
        slot.offset, slot.kind, slot.bit = self.variable.offset, self.variable.kind, self.variable.bit
        slot.key = self.key


@dataclass(slots=True)
class _TextOut:
    """A text among the outputs: its key, the rows of its parts, and what was collected last."""

    key: int
    text: Text
    rows: slice
    value: str = ""
    quality: int = -1

    def changes(self, value: str, quality: int) -> bool:
        """Keep a value and its quality; tell whether they are new."""
        old = self.value, self.quality
        self.value, self.quality = value, quality
        return old != (value, quality)


def _signed(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw
