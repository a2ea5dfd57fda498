"""What a plant's processes cost: memory and CPU of a process and all its children."""

from __future__ import annotations

import psutil


class Family:
    """A process and its children, by pid."""

    def __init__(self, pid: int) -> None:
        self._head = psutil.Process(pid)

    def _members(self) -> list[psutil.Process]:
        return [self._head, *self._head.children(recursive=True)]

    def memory_mib(self) -> float:
        """Return the resident memory in MiB; pages that two processes share count twice."""
        return float(sum(each.memory_info().rss for each in self._members())) / 2**20

    def cpu_s(self) -> float:
        """Return the CPU time used so far by those that live, in seconds."""
        times = [each.cpu_times() for each in self._members()]
        return float(sum(each.user + each.system for each in times))
