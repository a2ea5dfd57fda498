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
import os
import resource
import signal
import sys
from pathlib import Path

from softplc.core.layout import END_ALONE, END_ASKED, END_REPLACED, END_SIGNAL, Control
from softplc.core.native import Native
from softplc.core.slots import Slots
from softplc.core.thread import ScanThread
from softplc.online.generation import Generation, Generations, Kept
from softplc.online.tapes import Tapes

BEAT_S = 0.1
BUSY_BEAT_S = 0.005
STALE_COUNTS_NS = 250_000_000  # the kernel beats every 20 ms, and may be late
_RECORD_GRACE_NS = 3_000_000_000
_COPY_BEATS = 10
_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4
_ROOMY = 256 << 20
_TAKEN = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)


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
        first = Generation(block, code)
        self.native = Native(first.core)
        self._tapes = Tapes()
        self._own = {"pid": os.getpid(), "ticks": start_ticks(os.getpid())}
        self.programs = Generations(self.native, first, self._own)
        self.start = first.start
        self.thread = ScanThread(self.native, first.address, first.control, first.tasks)
        self._retain = _Retain(first)
        self._asked = False
        self._began_ns = self.native.now()
        self._copied = self.control.copy_done

    @property
    def control(self) -> Control:
        return self.programs.current.control

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Taken one by one, never in a handler: that could wait for a lock which the code below it holds.
        signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN)
        self.control.pinned = _pin(self.start.cpus)
        self.control.locked = _lock()
        self.thread.start()
        self.control.scanning = 1
        beats = 0
        while self.thread.alive:
            told = signal.sigtimedwait(_TAKEN, BUSY_BEAT_S if self.programs.busy else BEAT_S)
            if told is not None:
                self._hear(told.si_signo)
            if self._asked:
                self._end(END_SIGNAL)
            if self.programs.look():
                self._retain = _Retain(self.programs.current, self._retain)
                self._copied = self.control.copy_done
            self._tapes.look(self.control)
            beats += told is None
            self._look(beats)
        self.programs.look()
        self._retain.store(self.programs.current.part(self.control.image))

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
            data = self._retain.of(self.programs.current.part(control.copy))
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

    def _hear(self, number: int) -> None:
        """Take a signal: USR1 ends it, USR2 only wakes it.

        TERM ends it unless a kernel is there to do it in order: a service manager signals both at once.
        """
        alone = self.native.now() - self.control.beat_ns > STALE_COUNTS_NS
        if number == signal.SIGUSR1 or (number == signal.SIGTERM and alone):
            self._asked = True

    def _end(self, why: int) -> None:
        if not self.control.stop:
            self.control.end = why
        for each in self.programs.all:  # whichever is scanned
            each.control.stop = 1
        self.thread.stop()


class _Retain:
    """Stores what is retained of a program, when it has changed; goes on counting where one before ended."""

    def __init__(self, program: Generation, before: _Retain | None = None) -> None:
        self._control = program.control
        kept = Kept(*program.start.kept)
        self._ranges = kept.ranges
        self._layout = bytes.fromhex(kept.layout)
        self._slots = Slots(Path(program.start.record).parent)
        self._last = b""
        self._control.stored = before.stored if before else kept.stored

    @property
    def stored(self) -> int:
        return int(self._control.stored)

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
