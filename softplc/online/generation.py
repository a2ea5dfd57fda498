"""Program versions in the core's process: the one that is scanned, and the one before it.

The kernel offers another version by the numbers of its own descriptors, in words of the block that is
scanned; they are opened through /proc, as the kernel finds the core's. Needs neither numpy nor the kernel's
modules.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
from collections.abc import Sequence
from ctypes import Array
from pathlib import Path
from typing import NamedTuple

from softplc.core.elf import load
from softplc.core.layout import Control, Task
from softplc.core.native import Native

PATIENCE_NS = 5_000_000_000


class Kept(NamedTuple):
    """What of the image is kept on disk.

    Attributes:
        ranges: (offset, bytes).
        layout: digest of the program, in hex.
        stored: number of the newest store.
    """

    ranges: Sequence[tuple[int, int]] = ()
    layout: str = ""
    stored: int = 0


class Start(NamedTuple):
    """What a core's process is told of a program.

    Attributes:
        symbols: functions of the tasks, in the block's order.
        program: length of the program's object code.
        record: file that names the core in force.
        cpus: where its threads may run; empty: anywhere.
        stale_ns: without a kernel for longer, inputs are stale.
        alone_ns: without a kernel for longer, it ends.
        kept: what is retained, in a store beside the record.
        key: names the program for kernels to come.
        change, way_back: lengths of the lists of moves, behind the code; none for the first program.
        trial_ns: so long it is left again where it fails.
    """

    symbols: list[str]
    program: int
    record: str
    cpus: list[int]
    stale_ns: int
    alone_ns: int
    kept: Kept
    key: str = ""
    change: int = 0
    way_back: int = 0
    trial_ns: int = 0

    def to_line(self) -> bytes:
        return json.dumps(self._asdict()).encode() + b"\n"


class Generation:
    """One program version: its block, its code, and what it was started with.

    Attributes:
        block: this process's descriptor of the block.
        core: object code of the core itself.
    """

    def __init__(self, block: int, code: int) -> None:
        """Map a block and load code; both descriptors are this process's, `code` is closed.

        Raises:
            OSError: they cannot be mapped.
            ValueError: they do not hold what they should.
        """
        with os.fdopen(code, "rb") as file:
            file.seek(0)
            self.start = Start(**json.loads(file.readline()))
            program, rest = file.read(self.start.program), file.read()
        self.block = block
        self._memory = mmap.mmap(block, 0, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
        self.control = Control.from_buffer(self._memory, 0)
        self.address = ctypes.addressof(self.control)
        self._code = load(program)
        count, at = self.control.task_count, self.control.tasks
        self.tasks: Array[Task] = (Task * count).from_buffer(self._memory, at)
        for task, symbol in zip(self.tasks, self.start.symbols, strict=True):
            task.function = self._code.address(symbol)
        lengths = self.start.change, self.start.way_back
        self.core = rest[sum(lengths) :]
        self._moves = ctypes.create_string_buffer(rest[: sum(lengths)], max(sum(lengths), 1))
        self.change = ctypes.addressof(self._moves)
        self.way_back = self.change + lengths[0]

    def part(self, offset: int) -> memoryview:
        """Return a part of the block that is as long as the image."""
        return memoryview(self._memory)[offset : offset + self.control.image_size]

    def close(self) -> None:
        os.close(self.block)


class Generations:
    """Which program version is scanned, and which one is offered.

    Attributes:
        current: the one that is scanned, as far as is known.
    """

    def __init__(self, native: Native, first: Generation, own: dict[str, int]) -> None:
        self._native = native
        self._own = own
        self.current = first
        self._before: Generation | None = None
        self._next: Generation | None = None
        self._since_ns = self._number = 0

    @property
    def busy(self) -> bool:
        """Tell whether a version waits to be taken over, or to be looked at."""
        control = self.current.control
        return self._next is not None or bool(control.offer != control.answered)

    @property
    def all(self) -> list[Generation]:
        return [each for each in (self.current, self._before, self._next) if each]

    def look(self) -> bool:
        """Take up what is offered, and follow the loop; tells whether another version is scanned."""
        moved = self._follow()
        control = self.current.control
        if self._next is None and control.offer != control.answered:
            self._take(control)
        elif self._next is not None and self._native.now() - self._since_ns > PATIENCE_NS:
            self._give_up(control)
        return moved

    def _follow(self) -> bool:
        """Note that the loop went over to the next version, or back to the one before."""
        if self._next is not None and self._next.control.handed == self.current.address:
            self._answer(self.current.control)  # it failed before anybody looked
            self._before, self._next = self._next, None
            return False
        handed = self.current.control.handed
        there = next((each for each in self.all if each.address == handed), None)
        if there is None:
            return False
        left = self.current
        if there is self._next:
            self._next = None
            self._answer(left.control)
        self.current, self._before = there, left
        self._write_record(there)
        return True

    def _take(self, control: Control) -> None:
        self._number = control.offer
        if self._before is not None and control.predecessor:
            self._refuse(control, "the last change is on trial yet")
            return
        if self._before is not None and not control.watchdog_here:
            return  # it may still watch the one before: the next look will do
        if self._before is not None:
            self._before.close()
            self._before = None
        try:
            self._next = self._opened(control)
        except (OSError, ValueError, TypeError, ImportError) as exc:
            self._refuse(control, f"the changed program cannot be loaded: {exc}")
            return
        new = self._next
        self._since_ns = self._native.now()
        self._native.succeed(self.current.address, new.address, new.change, new.way_back, new.start.trial_ns)

    def _opened(self, control: Control) -> Generation:
        folder = Path(f"/proc/{control.offer_pid}/fd")
        code = os.open(folder / str(control.offer_code), os.O_RDONLY | os.O_CLOEXEC)
        block = os.open(folder / str(control.offer_block), os.O_RDWR | os.O_CLOEXEC)
        try:
            return Generation(block, code)
        except BaseException:
            os.close(block)
            raise

    def _give_up(self, control: Control) -> None:
        """Withdraw a version that was not taken over."""
        if self._next is None or not self._native.withdraw(self.current.address):
            return  # it has been taken over just now
        self._next.close()
        self._next = None
        self._refuse(control, "the scan leaves no time to change the program")

    def _refuse(self, control: Control, text: str) -> None:
        print(text, flush=True)  # noqa: T201
        control.refused = 1
        self._answer(control)

    def _answer(self, control: Control) -> None:
        """Tell that the offer that was taken up is dealt with; another one may have come meanwhile."""
        control.answered = self._number

    def _write_record(self, generation: Generation) -> None:
        """Let the next kernel find the core by what it runs now."""
        file = Path(generation.start.record)
        try:
            record = json.loads(file.read_bytes())
            if {key: record.get(key) for key in self._own} != self._own:
                return
            part = file.with_name(f"{file.name}.core")
            changed = record | {"fd": generation.block, "key": generation.start.key}
            part.write_text(json.dumps(changed), encoding="utf-8")
            part.replace(file)
        except (OSError, ValueError) as exc:
            print(f"the record of the changed program cannot be written: {exc}", flush=True)  # noqa: T201
