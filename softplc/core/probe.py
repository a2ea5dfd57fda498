"""Figures of a running core, read from outside: whoever asks disturbs neither scan nor kernel."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import PlantError
from softplc.core.layout import BINS, Control, Task
from softplc.core.remote import Record


@dataclass(frozen=True, slots=True)
class Reading:
    """What a core counted up to now, all tasks together.

    Attributes:
        scans, skipped: activations that ran, that were dropped.
        latency, execution: histograms in bins of 1 µs, the last one open; uint32 of shape (BINS,).
        latency_max_ns: since the core's start.
    """

    scans: int
    skipped: int
    latency: NDArray[np.int64]
    execution: NDArray[np.int64]
    latency_max_ns: int


class Probe:
    """The block of a plant's core, mapped for reading.

    Attributes:
        pid: the core's process.
    """

    def __init__(self, folder: Path) -> None:
        """Find the core of a state folder.

        Raises:
            PlantError: none runs.
        """
        record = Record.read(folder)
        try:
            if record is None:
                raise FileNotFoundError
            fd = os.open(f"/proc/{record.pid}/fd/{record.fd}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as exc:
            raise PlantError(f"no PLC core runs for {folder}", "start the plant: ironworks run") from exc
        try:
            self._memory = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
        finally:
            os.close(fd)
        self.pid = record.pid
        self._control = Control.from_buffer(self._memory, 0)

    @property
    def scanning(self) -> bool:
        return bool(self._control.scans)

    @property
    def stopped(self) -> bool:
        """Tell whether a fault has stopped a task."""
        return bool(self._control.fault_mask)

    @property
    def stale(self) -> bool:
        """Tell whether the inputs are old, since no kernel is there."""
        return bool(self._control.stale)

    @property
    def untold(self) -> int:
        """How many events no kernel has told yet."""
        return int(self._control.event_head - self._control.events_read)

    def read(self) -> Reading:
        tasks = [self._task(index) for index in range(self._control.task_count)]
        return Reading(
            sum(task.scans for task, _ in tasks),
            sum(task.skipped for task, _ in tasks),
            np.sum([self._bins(at + task.latency_bins) for task, at in tasks], axis=0),
            np.sum([self._bins(at + task.execution_bins) for task, at in tasks], axis=0),
            max(task.latency_max_ns for task, _ in tasks),
        )

    def _task(self, index: int) -> tuple[Task, int]:
        at = self._control.tasks + index * ctypes.sizeof(Task)
        return Task.from_buffer(self._memory, at), at

    def _bins(self, at: int) -> NDArray[np.int64]:
        return np.frombuffer(self._memory, np.uint32, BINS, at).astype(np.int64)
