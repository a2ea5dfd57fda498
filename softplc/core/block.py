"""The block of memory that holds a running program: private, or a file that two processes map."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from softplc.core.layout import (
    BINS,
    EVENTS,
    FORCES,
    RING,
    WATCH_BYTES,
    WATCH_RANGES,
    WRITES,
    Control,
    EventRecord,
    Force,
    ForceTable,
    Lap,
    LapHead,
    Range,
    Slot,
    Snapshot,
    Task,
    Write,
)
from softplc.record.words import FIRST, RecordHead

_ALIGN = 64
_VERSION = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the block has to hold: bytes of the image, numbers of the rest.

    `keys`: the greatest and one; `programs`: those of all tasks; `record`: words of the ring in which scans
    are recorded, 0 for none.
    """

    image: int
    tasks: int
    inputs: int
    outputs: int
    keys: int
    programs: int = 0
    record: int = 0


class Block:
    """Lays the parts out, each on a cache line of its own; where a part lies follows from the sizes alone.

    Attributes:
        address: where it is mapped here; what its fields point to counts from there.
        size: bytes.
    """

    def __init__(self, sizes: Sizes, fd: int | None = None) -> None:
        """Map the block: anonymous memory, or a file, which is made as long as it must be.

        Raises:
            ValueError: the file holds a block of another shape.
        """
        self.sizes = sizes
        self.stride = -(-(ctypes.sizeof(Snapshot) + 8 * sizes.outputs) // _ALIGN) * _ALIGN
        self._end = 0
        self._parts: dict[str, tuple[int, int, DTypeLike]] = {}
        self._plan()
        self.size = self._end
        fresh = True
        self._shared = fd is not None
        if fd is None:
            self._memory = mmap.mmap(-1, self.size)
        else:
            fresh = os.fstat(fd).st_size == 0
            if fresh:
                os.ftruncate(fd, self.size)
            elif os.fstat(fd).st_size != self.size:
                raise ValueError("the block has another shape")
            self._memory = mmap.mmap(fd, self.size)
        self._whole = np.frombuffer(self._memory, np.uint8)
        self.address = int(self._whole.ctypes.data)
        self.control = Control.from_buffer(self._memory, 0)
        self.tasks = (Task * sizes.tasks).from_buffer(self._memory, self._parts["tasks"][0])
        if fresh:
            self._describe()
        elif self.control.version != _VERSION:
            raise ValueError("the block is of another version")

    def _plan(self) -> None:
        has = self.sizes
        rows = max(has.inputs, 1)
        for name, dtype, count in (
            ("control", np.uint8, ctypes.sizeof(Control)),  # first, so that it is found without the plan
            ("image", np.uint8, has.image), ("copy", np.uint8, has.image),
            ("tasks", np.uint8, has.tasks * ctypes.sizeof(Task)),
            ("inputs", np.uint8, has.inputs * ctypes.sizeof(Slot)),
            ("outputs", np.uint8, has.outputs * ctypes.sizeof(Slot)),
            ("writes", np.uint8, WRITES * ctypes.sizeof(Write)),
            ("keys", np.int32, has.keys), ("master", np.uint64, has.inputs),
            ("buffers", np.uint64, 3 * has.inputs),
            ("ring", np.uint8, RING * self.stride), ("scratch", np.uint64, self.stride // 8),
            ("in_ids", np.int32, rows), ("in_raw", np.uint64, rows), ("in_quality", np.uint32, rows),
            ("out_ids", np.int32, has.outputs), ("out_raw", np.uint64, has.outputs),
            ("out_quality", np.uint32, has.outputs), ("out_at", np.int64, has.outputs),
            ("shown_raw", np.uint64, has.outputs), ("shown_quality", np.uint32, has.outputs),
            ("bins", np.uint32, has.tasks * 2 * BINS),
            ("forces", np.uint8, 2 * (ctypes.sizeof(ForceTable) + FORCES * ctypes.sizeof(Force))),
            ("events", np.uint8, EVENTS * ctypes.sizeof(EventRecord)),
            ("laps", np.uint8, ctypes.sizeof(LapHead) + has.programs * ctypes.sizeof(Lap)),
            ("worst", np.uint64, has.tasks * has.inputs),
            ("watch", np.uint8, WATCH_RANGES * ctypes.sizeof(Range)), ("watched", np.uint8, WATCH_BYTES),
            ("record", np.uint8, has.record and ctypes.sizeof(RecordHead) + 8 * (has.inputs + has.record)),
        ):  # fmt: skip
            size = np.dtype(dtype).itemsize * count
            self._parts[name] = (self._end, size, dtype)
            self._end += -(-size // _ALIGN) * _ALIGN

    def _describe(self) -> None:
        """Write into the block where its parts lie."""
        control, has = self.control, self.sizes
        for name, (offset, _, _) in self._parts.items():
            if hasattr(Control, name):
                setattr(control, name, offset)
        control.version = _VERSION
        control.image_size = has.image
        control.task_count, control.key_count = has.tasks, has.keys
        control.input_count, control.output_count = has.inputs, has.outputs
        control.ring_stride = self.stride
        self._describe_record()
        bins, tasks, worst = (self._parts[name][0] for name in ("bins", "tasks", "worst"))
        for index, task in enumerate(self.tasks):
            own = tasks + index * ctypes.sizeof(Task)
            task.execution_bins = bins + 8 * BINS * index - own
            task.latency_bins = task.execution_bins + 4 * BINS
            task.worst_inputs = worst + 8 * has.inputs * index - own

    def _describe_record(self) -> None:
        if not self.sizes.record:
            self.control.record = 0
            return
        head = RecordHead.from_buffer(self._memory, self._parts["record"][0])
        head.capacity, head.reason, head.latched = self.sizes.record, FIRST, -1
        head.noted = ctypes.sizeof(RecordHead)
        head.ring = head.noted + 8 * self.sizes.inputs

    def view(self, name: str) -> NDArray[Any]:
        """Return a part as an array."""
        offset, size, dtype = self._parts[name]
        return self._whole[offset : offset + size].view(dtype)

    def part(self, name: str) -> memoryview:
        """Return a part as memory."""
        offset, size, _ = self._parts[name]
        return memoryview(self._memory)[offset : offset + size]

    def let_go(self, name: str, start: int, stop: int) -> None:
        """Take bytes of a part out of this process's memory; in the file they stay as they are.

        Anonymous memory has no file and stays.
        """
        if self._shared:
            offset, page = self._parts[name][0], mmap.PAGESIZE
            first, last = ((offset + each) // page * page for each in (start, stop))
            if last > first:
                self._memory.madvise(mmap.MADV_DONTNEED, first, last - first)

    def records(self, name: str, kind: type[ctypes.Structure], count: int) -> Any:
        """Return a part as records."""
        return (kind * count).from_buffer(self._memory, self._parts[name][0])
