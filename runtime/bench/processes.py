"""What a plant's processes cost: memory and CPU of a process and all its children."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psutil


class Family:
    """A process and its children, by pid."""

    def __init__(self, pid: int) -> None:
        self._head = psutil.Process(pid)

    def _members(self) -> list[psutil.Process]:
        return [self._head, *self._head.children(recursive=True)]

    def _told(self, ask: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for each in self._members():
            with contextlib.suppress(psutil.NoSuchProcess):  # a child that ended meanwhile
                total += ask(each)
        return total

    def memory_mib(self) -> float:
        """Return the resident memory in MiB; pages that two processes share count twice."""
        return self._told(lambda each: float(each.memory_info().rss)) / 2**20

    def cpu_s(self) -> float:
        """Return the CPU time used so far by those that live, in seconds."""
        return self._told(lambda each: float(sum(each.cpu_times()[:2])))
