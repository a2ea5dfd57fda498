"""What the scan core has to tell about itself, as values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of a duration in µs, rounded up to the bin; `max_us`, `last_us` and `min_us` are exact."""

    p50_us: float = 0.0
    p99_us: float = 0.0
    p999_us: float = 0.0
    max_us: float = 0.0
    last_us: float = 0.0
    min_us: float = 0.0

    @classmethod
    def of(cls, bins: NDArray[np.uint32], max_ns: int, last_ns: int = 0, min_ns: int = 0) -> Spread:
        """Read a histogram of bins of 1 µs; the last bin holds all that is longer."""
        total = np.cumsum(bins, dtype=np.int64)
        if not total[-1]:
            return cls()
        marks = np.searchsorted(total, np.ceil(np.array([0.5, 0.99, 0.999]) * total[-1]))
        max_us = max_ns / 1000
        p50, p99, p999 = (
            max_us if mark == len(bins) - 1 else min(mark + 1.0, max_us) for mark in marks.tolist()
        )
        return cls(p50, p99, p999, max_us, last_ns / 1000, min_ns / 1000)


@dataclass(frozen=True, slots=True)
class TaskFault:
    """Why a task stands still; `file` is an index into the application's files."""

    task: str
    code: int
    line: int
    file: int


@dataclass(frozen=True, slots=True)
class TaskStats:
    """One task since the start.

    Attributes:
        overruns: scans that had not ended when the next was due.
        skipped: activations dropped because of that.
        execution: duration of a scan.
        latency: time from when a scan was due to its start.
        worst_scan, worst_ns: number and start (monotonic) of the longest scan.
    """

    name: str
    interval_ns: int
    scans: int
    overruns: int
    skipped: int
    execution: Spread
    latency: Spread
    fault: TaskFault | None
    priority: int = 0
    watchdog_ns: int = 0
    worst_scan: int = 0
    worst_ns: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole core since the start; `tasks` has each task by itself."""

    scans: int
    overruns: int
    skipped: int
    aborts: int
    held_inputs: int
    execution: Spread
    latency: Spread
    tasks: tuple[TaskStats, ...]
