"""What the scan core has to tell about itself, as values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FINE = 16


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
        if not (marks := _marks(bins)).size:
            return cls()
        max_us = max_ns / 1000
        p50, p99, p999 = (
            max_us if mark == len(bins) - 1 else min(mark + 1.0, max_us) for mark in marks.tolist()
        )
        return cls(p50, p99, p999, max_us, last_ns / 1000, min_ns / 1000)

    @classmethod
    def of_laps(cls, bins: NDArray[np.uint32], max_ns: int, last_ns: int, min_ns: int) -> Spread:
        """Read a histogram of bins that grow with the duration, 16 in each doubling."""
        if not (marks := _marks(bins)).size:
            return cls()
        shifts = np.maximum(marks // _FINE - 1, 0)
        limits_ns = np.where(marks < _FINE, marks + 1, (marks % _FINE + _FINE + 1) << shifts)
        p50, p99, p999 = (min(each, max_ns) / 1000 for each in limits_ns.tolist())
        return cls(p50, p99, p999, max_ns / 1000, last_ns / 1000, min_ns / 1000)


def _marks(bins: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the bins of median, 99 % and 99.9 %; none where nothing is counted."""
    total = np.cumsum(bins, dtype=np.int64)
    if not total[-1]:
        return np.empty(0, np.int64)
    marks: NDArray[np.int64] = np.searchsorted(total, np.ceil(np.array([0.5, 0.99, 0.999]) * total[-1]))
    return marks


@dataclass(frozen=True, slots=True)
class ProgramStats:
    """One program instance, or a block with a task of its own, since the start of this program version.

    Attributes:
        execution: duration of a scan; percentiles to 6 %.
        total_ns: of all its scans.
        worst_scan: number of the longest.
    """

    name: str
    scans: int
    execution: Spread
    total_ns: int
    worst_scan: int


@dataclass(frozen=True, slots=True)
class TaskFault:
    """Why a task stands still.

    Attributes:
        code: a `softplc.faults.Fault`; 0 where another task's fault has stopped it.
        file, unit: indices into the application's files and units.
        operands: what the operation worked on, 64 bits each; see `softplc.faults.operands_text`.
        scan, at_ns: the scan of the core that it ended, and that one's start, monotonic.
    """

    task: str
    code: int
    line: int
    file: int
    unit: int = 0
    operands: tuple[int, int, int] = (0, 0, 0)
    unsigned: bool = False
    scan: int = 0
    at_ns: int = 0


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
    programs: tuple[ProgramStats, ...] = ()


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
