"""An online change as the kernel sees it: lay another version out, offer it, see what becomes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from softplc.build import Build
from softplc.core.layout import RETURNED_FAULT
from softplc.core.remote import RECORD, CoreProcess, Options
from softplc.core.scancore import CoreTask, ScanCore
from softplc.online.generation import Kept, Start
from softplc.online.plan import Migration
from softplc.online.records import packed
from softplc.wiring import fault_text

_NOTHING = Kept()


class State(Enum):
    """How far an online change is."""

    WAITING = "waiting"
    REFUSED = "refused"
    ON_TRIAL = "on trial"
    DONE = "done"
    RETURNED = "returned"


class Offer:
    """One online change of one core.

    Attributes:
        old, new: the core's memory with the program before, and with the changed one.
        pairs: which task is which, in the order of the two blocks.
        trial_ns: so long the changed program is left again where it fails.
    """

    def __init__(
        self,
        process: CoreProcess,
        lay: Callable[[int], ScanCore],
        build: Build,
        key: str,
        folder: Path,
        options: Options,
        ways: tuple[Migration, Migration],
        kept: Kept = _NOTHING,
        trial_ns: int = 0,
    ) -> None:
        """Lay the changed program out in memory of its own, which `lay` makes in a file."""
        self.old = process.core
        self.pairs: list[tuple[int, int]] = []
        self._process, self._build = process, build
        self.trial_ns = trial_ns
        self._taken = False
        self._block, self._code = os.memfd_create("plc-block"), os.memfd_create("plc-code")
        try:
            self.new = lay(self._block)
            there = self.pairs = _pairs(self.old.tasks, self.new.tasks)
            back = [(target, source) for source, target in there]
            lists = [
                packed(way.moves, way.spans, pairs) for way, pairs in zip(ways, (there, back), strict=True)
            ]
            program = build.application.object_code
            start = Start(
                [task.symbol for task in self.new.tasks], len(program), str(folder / RECORD),
                list(options.cpus), options.stale_ns, options.alone_ns, kept, key,
                len(lists[0]), len(lists[1]), trial_ns,
            )  # fmt: skip
            with os.fdopen(os.dup(self._code), "wb") as file:
                file.write(start.to_line() + program + lists[0] + lists[1] + build.core_object)
        except BaseException:
            self.close()
            raise

    def make(self) -> None:
        """Offer it to the core's process."""
        control = self.old.control
        control.offer_pid, control.offer_block, control.offer_code = os.getpid(), self._block, self._code
        control.refused = 0
        self.old.post("offer")
        self._process.wake()

    @property
    def state(self) -> State:
        if self.new.word("handed"):
            return State.RETURNED
        if self.old.word("handed"):
            self._taken = True
            return State.ON_TRIAL if self.new.word("predecessor") else State.DONE
        if self._taken:
            return State.ON_TRIAL  # it is being left just now
        refused = self.old.same("offer", "answered") and self.old.control.refused
        return State.REFUSED if refused else State.WAITING

    @property
    def reason(self) -> str:
        """Say in words why the core went back to the program before."""
        control = self.new.control
        if control.returned == RETURNED_FAULT:
            return "; ".join(fault_text(fault, self._build.application) for fault in self.new.faults())
        slow = next(
            task
            for task, record in zip(self.new.tasks, self.new.records, strict=True)
            if record.mask == control.returned_task
        )
        took, interval = (f"{ns / 1e6:.3g} ms" for ns in (control.returned_ns, slow.interval_ns))
        return f"task {slow.name} needed {took} of processor time in one scan, its interval is {interval}"

    @property
    def fds(self) -> tuple[int, int]:
        """Return the descriptors of the changed program's block and code."""
        return self._block, self._code

    def close(self) -> None:
        """Give up the descriptors: the core's process has its own by now."""
        for fd in (self._block, self._code):
            os.close(fd)


def _pairs(old: list[CoreTask], new: list[CoreTask]) -> list[tuple[int, int]]:
    """Return which task is which, by name; of several of one name the first is the first."""
    left = list(enumerate(new))
    found = []
    for source, task in enumerate(old):
        match = next((pair for pair in left if pair[1].name.casefold() == task.name.casefold()), None)
        if match is not None:
            left.remove(match)
            found.append((source, match[0]))
    return found
