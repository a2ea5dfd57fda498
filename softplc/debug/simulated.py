"""Simulated: the program in virtual time, scan by scan; a fault stops a task, not the rest."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from softplc.application import Application
from softplc.guard import Watched
from softplc.layout import SCAN_COUNT
from softplc.simulator import PlcFaultError, Simulator


class Scans(Protocol):
    """What a machine runs, one scan after the other."""

    @property
    def image(self) -> memoryview: ...

    @property
    def start(self) -> int:
        """Where the image lies."""
        ...

    @property
    def now_ns(self) -> int: ...

    @property
    def scan_count(self) -> int:
        """The number of the scan that runs, or of the next one."""
        ...

    @property
    def task(self) -> str:
        """The task that runs, empty between two scans."""
        ...

    @property
    def runs(self) -> int:
        """How many times a task was run."""
        ...

    @property
    def watched(self) -> Watched: ...

    def step(self) -> str:
        """Do the next scan; return why there is none any more, else nothing."""
        ...


class Simulated(Simulator):
    """A simulator that goes on without the tasks that a fault has stopped."""

    def __init__(self, application: Application, period_ns: int, say: Callable[[str], None]) -> None:
        super().__init__(application)
        self.start = self._address
        self.period_ns = period_ns
        self.task = ""
        self.runs = 0
        self._say = say
        self._dead: set[str] = set()

    @property
    def scan_count(self) -> int:
        (count,) = struct.unpack_from("<q", self.image, SCAN_COUNT)
        return int(count)

    @property
    def watched(self) -> Watched:
        return self._watched

    def step(self) -> str:
        self.scan(1, self.period_ns)
        alive = {name for name in self._entries if name not in self._dead}
        return "" if alive else "every task has stopped"

    def _run(self, name: str, run: Callable[[int], int]) -> None:
        if name in self._dead:
            return
        self.task = name
        self.runs += 1
        try:
            super()._run(name, run)
        except PlcFaultError as exc:
            self._dead.add(name)
            self._say(f"{exc.text}\n")
        finally:
            self.task = ""
