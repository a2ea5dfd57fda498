"""What the machine kept from the plant: how long it was ready to run, and others had the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from runtime.clock import SECOND_NS


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent in a stretch of time.

    Attributes:
        kernel_s: of processors by the kernel.
        withheld_s: that the kernel waited for a processor that others on the machine had.
        late_s: that the good clients were late by themselves, at most: their process stood still.
    """

    kernel_s: float
    withheld_s: float
    late_s: float

    @property
    def machine_s(self) -> float:
        """Return what of a wait may be the machine's."""
        return self.withheld_s + self.late_s


class Machine:
    """Tells a slow server from a loaded machine.

    That a process waited for a processor says little alone: the server's own threads, or the attack, may
    have had it. So it counts only as far as processes that are not the campaign's took time.
    """

    def __init__(self, kernel: int) -> None:
        self._kernel = psutil.Process(kernel)
        self._last = self._look()

    def take(self, late_s: float = 0.0) -> Spent:
        """Return what was spent since the call before; the good clients tell how late they were."""
        last, self._last = self._last, self._look()
        kernel, waited, foreign = (max(0.0, now - then) for now, then in zip(self._last, last, strict=True))
        return Spent(round(kernel, 1), round(min(waited, foreign), 1), round(late_s, 1))

    def _look(self) -> tuple[float, float, float]:
        return cpu_s(self._kernel), waited_s(self._kernel.pid), _foreign_s()


def cpu_s(process: psutil.Process) -> float:
    """Return the time that a process took of processors, 0 where it is gone."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def waited_s(pid: int) -> float:
    """Return how long the first thread of a process waited for a processor; 0 where Linux does not tell.

    Source: Linux, Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat.
    """
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / SECOND_NS
    except (OSError, IndexError, ValueError):
        return 0.0


def _foreign_s() -> float:
    """Return the time of processors that is not of this process and its children."""
    all_ = psutil.cpu_times()
    busy = all_.user + getattr(all_, "nice", 0.0) + all_.system + getattr(all_, "steal", 0.0)
    this = psutil.Process()
    ours: Sequence[psutil.Process] = [this, *this.children(recursive=True)]
    return float(busy) - sum(map(cpu_s, ours))
