"""The PLC core's own process: maps the block, loads the code and scans, whether or not a kernel is there.

    python -m softplc.core.process BLOCK CODE

Both are file descriptors. CODE holds a line of JSON (`Start`) and then the object code of program and core.
The process ends when the block asks, when it has been without a kernel for too long, or when the record in
the plant's state folder names another core. It imports neither numpy nor the kernel's modules.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from ctypes import Array
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from softplc.core.elf import load
from softplc.core.layout import END_ALONE, END_ASKED, END_REPLACED, END_SIGNAL, Control, Task
from softplc.core.native import Native
from softplc.core.slots import Slots
from softplc.core.thread import ScanThread

BEAT_S = 0.1
STALE_COUNTS_NS = 250_000_000  # the kernel beats every 20 ms, and may be late
_RECORD_GRACE_NS = 3_000_000_000
_COPY_BEATS = 10
_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4
_ROOMY = 256 << 20


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
    """What a core's process is told.

    Attributes:
        symbols: functions of the tasks, in the block's order.
        program: length of the program's object code.
        record: file that names the core in force.
        cpus: where its threads may run; empty: anywhere.
        stale_ns: without a kernel for longer, inputs are stale.
        alone_ns: without a kernel for longer, it ends.
        kept: what is retained, in a store beside the record.
    """

    symbols: list[str]
    program: int
    record: str
    cpus: list[int]
    stale_ns: int
    alone_ns: int
    kept: Kept

    def to_line(self) -> bytes:
        return json.dumps(self._asdict()).encode() + b"\n"


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot: with the pid it names a process.

    Raises:
        OSError: there is none.
    """
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return int(text.rpartition(")")[2].split()[19])


class _Core:
    """The loop and what watches over it."""

    def __init__(self, block: int, code: int) -> None:
        with os.fdopen(code, "rb") as file:
            file.seek(0)
            self.start = Start(**json.loads(file.readline()))
            program, core = file.read(self.start.program), file.read()
        self._memory = mmap.mmap(block, 0)
        self.control = Control.from_buffer(self._memory, 0)
        self.native = Native(core)
        self._program = load(program)
        tasks: Array[Task] = (Task * self.control.task_count).from_buffer(self._memory, self.control.tasks)
        for task, symbol in zip(tasks, self.start.symbols, strict=True):
            task.function = self._program.address(symbol)
        address = ctypes.addressof(self.control)
        self.thread = ScanThread(self.native, address, self.control, tasks)
        self._retain = _Retain(self.start, self.control)
        self._asked = threading.Event()
        self._own = {"pid": os.getpid(), "ticks": start_ticks(os.getpid())}
        self._began_ns = self.native.now()
        self._copied = self.control.copy_done

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGUSR1, lambda *_: self._asked.set())
        self.control.pinned = _pin(self.start.cpus)
        self.control.locked = _lock()
        self.thread.start()
        self.control.scanning = 1
        beats = 0
        while self.thread.alive:
            if self._asked.wait(BEAT_S):
                self._end(END_SIGNAL)
            beats += 1
            self._look(beats)
        self._retain.store(self._part(self.control.image))

    def _part(self, offset: int) -> memoryview:
        return memoryview(self._memory)[offset : offset + self.control.image_size]

    def _look(self, beats: int) -> None:
        """Watch the kernel and the record; keep a whole image for whoever comes after a crash."""
        control = self.control
        now_ns = self.native.now()
        silent_ns = now_ns - control.beat_ns
        if silent_ns > self.start.stale_ns:
            control.stale = 1
        elif silent_ns < STALE_COUNTS_NS:
            control.stale = 0
        if silent_ns > self.start.alone_ns:
            self._end(END_ALONE)
        turn = beats % _COPY_BEATS == 0
        self._take_copy(turn)
        if turn and now_ns - self._began_ns > _RECORD_GRACE_NS and not self._in_force():
            self._end(END_REPLACED)

    def _take_copy(self, ask: bool) -> None:
        """Store what is retained of the last whole image, and ask for the next one."""
        control = self.control
        number = control.copy_done
        if number == control.copy_wanted and number != self._copied:
            data = self._retain.of(self._part(control.copy))
            if control.copy_wanted == number:  # else somebody else has asked: it may be half of each
                self._copied = number
                self._retain.store_data(data)
        if ask and control.copy_done == control.copy_wanted:
            control.copy_wanted += 1

    def _in_force(self) -> bool:
        try:
            record = json.loads(Path(self.start.record).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(record, dict) and {key: record.get(key) for key in self._own} == self._own

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        """End, unless a kernel is there to do it in order: a service manager signals both at once."""
        if self.native.now() - self.control.beat_ns > STALE_COUNTS_NS:
            self._asked.set()

    def _end(self, why: int) -> None:
        if not self.control.stop:
            self.control.end = why
        self.thread.stop()


class _Retain:
    """Stores what is retained, when it has changed."""

    def __init__(self, start: Start, control: Control) -> None:
        self._control = control
        kept = Kept(*start.kept)
        self._ranges = kept.ranges
        self._layout = bytes.fromhex(kept.layout)
        self._slots = Slots(Path(start.record).parent)
        self._last = b""
        control.stored = kept.stored

    def of(self, image: memoryview) -> bytes:
        return b"".join(image[offset : offset + size] for offset, size in self._ranges)

    def store(self, image: memoryview) -> None:
        self.store_data(self.of(image))

    def store_data(self, data: bytes) -> None:
        if not data or data == self._last:
            return
        control = self._control
        try:
            self._slots.write(self._layout, data, control.stored + 1)
        except OSError as exc:
            if control.store_error != exc.errno:
                print(f"retained variables cannot be stored: {exc}", flush=True)  # noqa: T201
            control.store_error = exc.errno or errno.EIO
        else:
            self._last = data
            control.stored += 1
            control.store_error = 0


def _pin(cpus: list[int]) -> int:
    if not cpus:
        return 0
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as exc:
        return -(exc.errno or 1)
    return 1


def _lock() -> int:
    """Keep every page that is in memory there, also those to come; a small limit would forbid new ones."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    small = soft != resource.RLIM_INFINITY and soft < _ROOMY and os.geteuid() != 0
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_CURRENT | _ON_FAULT | (0 if small else _FUTURE)) == 0:
        return 1
    return -ctypes.get_errno()


def main(block: int, code: int) -> None:
    core = _Core(block, code)
    core.run()
    if not core.control.end:
        core.control.end = END_ASKED


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
