"""The memory of one running program and the calls that exchange values with it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Batch, Quality
from softplc.core.block import Block, Sizes
from softplc.core.elf import Code
from softplc.core.kinds import Variable
from softplc.core.layout import BINS, FRESH, MAX_TASKS, Control, Slot, Snapshot
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
    """

    name: str
    symbol: str
    interval_ns: int
    priority: int
    watchdog_ns: int


@dataclass(frozen=True, slots=True)
class Bound:
    """A variable bound to a key, usually a tag id.

    Attributes:
        tasks: names of the tasks whose fault makes an output invalid.
        safe: raw pattern published instead while one of these stands still.
        fault_quality: quality that it then has.
    """

    key: int
    variable: Variable
    tasks: frozenset[str] = frozenset()
    safe: int = 0
    fault_quality: int = Quality.BAD_DEVICE_FAILURE


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
        hold_on_fault: bool = False,
        fd: int | None = None,
        attach: bool = False,
    ) -> None:
        """Lay the block out, in memory of its own or in a file; or attach to one in which a loop runs.

        Raises:
            ValueError: the file holds another block.
        """
        if not 0 < len(tasks) <= MAX_TASKS:
            raise ValueError(f"a program has 1 to {MAX_TASKS} tasks, not {len(tasks)}")
        self.native = native
        self._code: Code | None = None
        self.tasks = sorted(tasks, key=lambda task: (task.priority, task.interval_ns))
        self._masks = {task.name: 1 << index for index, task in enumerate(self.tasks)}
        keys = max((bound.key for bound in inputs), default=-1) + 1
        self._block = Block(Sizes(len(image), len(tasks), len(inputs), len(outputs), keys), fd)
        self._views = {name: self._block.view(name) for name in _VIEWS}
        self._control = self._block.control
        self.address = self._block.address
        self.records = self._block.tasks
        self._views["shown_quality"][:] = _UNSEEN_QUALITY
        self._control.collected = 0
        if attach:
            self._control.filling = self._free_buffer()
            return
        self._control.hold_on_fault = int(hold_on_fault)
        self._control.filling, self._control.latched = 1, 2
        self._views["image"][:] = np.frombuffer(image, np.uint8)
        self._bind_tasks()
        self._bind_inputs(inputs, image)
        self._bind_outputs(outputs)

    def _bind_tasks(self) -> None:
        limits = [task.watchdog_ns for task in self.tasks if task.watchdog_ns]
        self._control.monitor_ns = min(max(min(limits, default=0) // 4, 500_000), 20_000_000)
        for task, record in zip(self.tasks, self.records, strict=True):
            record.mask = self._masks[task.name]
            record.interval_ns = task.interval_ns
            record.watchdog_ns = task.watchdog_ns

    def _bind_inputs(self, inputs: Sequence[Bound], image: bytes) -> None:
        slots = self._block.records("inputs", Slot, len(inputs))
        self._views["keys"][:] = -1
        for index, (bound, slot) in enumerate(zip(inputs, slots, strict=True)):
            _place(slot, bound)
            self._views["keys"][bound.key] = index
            self._views["master"][index] = bound.variable.raw(image)
        self._views["buffers"].reshape(3, -1)[:] = self._views["master"]

    def _bind_outputs(self, outputs: Sequence[Bound]) -> None:
        slots = self._block.records("outputs", Slot, len(outputs))
        for bound, slot in zip(outputs, slots, strict=True):
            _place(slot, bound)
            slot.mask = sum(self._masks[name] for name in bound.tasks)
            slot.safe = _signed(bound.safe)
            slot.quality = bound.fault_quality

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
        self, keys: NDArray[np.int32], raw: NDArray[np.uint64], quality: NDArray[np.uint32]
    ) -> int:
        """Hand in values for the next scan; rows of bad quality keep the last one. Returns how many did."""
        views, held = self._views, 0
        room = len(views["in_ids"])
        for start in range(0, len(keys), room):
            rows = slice(start, start + room)
            n = len(keys[rows])
            views["in_ids"][:n] = keys[rows]
            views["in_raw"][:n] = raw[rows]
            views["in_quality"][:n] = quality[rows]
            held += self.native.write_inputs(self.address, n)
        return held

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
        return Batch(
            views["out_ids"][:n].copy(),
            views["out_raw"][:n].copy(),
            views["out_quality"][:n].copy(),
            views["out_at"][:n].copy(),
        )

    def read_outputs(self) -> Outputs | None:
        """Return the newest complete snapshot; None before the first scan."""
        to = np.empty(self._control.ring_stride // 8, np.uint64)
        number = self.native.read_snapshot(self.address, to.ctypes.data)
        if number <= 0:
            return None
        values = to[_HEAD_WORDS : _HEAD_WORDS + self._control.output_count]
        return Outputs(number, int(to[1]), int(to[2]), values)

    def shown(self, index: int) -> int:
        """Return the raw pattern last collected of an output."""
        return int(self._views["shown_raw"][index])

    def write(self, variable: Variable, raw: int) -> int | None:
        """Queue a write for the next scan; returns its number, None when the queue is full."""
        number = self.native.push_write(
            self.address, variable.offset, variable.kind, variable.bit, _signed(raw)
        )
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
        while control.copy_done != control.copy_wanted:
            if time.monotonic() > end:
                raise TimeoutError("the scan loop did not answer")
            time.sleep(0.001)
        return bytes(self._views["copy"])

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

    def set_clock(self, offset_ns: int) -> None:
        """Let the program's clock and source times run ahead of monotonic time."""
        self._control.wall_offset_ns = offset_ns
        self._control.source_offset_ns = offset_ns

    def faults(self) -> tuple[TaskFault, ...]:
        """Return the faults of the tasks that stand still."""
        stopped = self._control.fault_mask
        return tuple(
            TaskFault(task.name, record.fault_code, record.fault_line, record.fault_file)
            for task, record in zip(self.tasks, self.records, strict=True)
            if record.mask & stopped
        )

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
                    Spread.of(bins[index, 0], record.execution_max_ns),
                    Spread.of(bins[index, 1], record.latency_max_ns),
                    faults.get(task.name),
                )
                for index, (task, record) in enumerate(zip(self.tasks, records, strict=True))
            ),
        )  # fmt: skip


def _place(slot: Slot, bound: Bound) -> None:
    slot.offset, slot.kind, slot.bit = bound.variable.offset, bound.variable.kind, bound.variable.bit
    slot.key = bound.key


def _signed(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw
