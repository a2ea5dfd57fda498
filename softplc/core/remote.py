"""The core's process as the kernel sees it: starting, finding again, ending."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.clock import monotonic_ns
from runtime.errors import PlantError
from softplc.build import Build
from softplc.core.layout import END_ALONE, END_REPLACED, END_SIGNAL
from softplc.core.process import start_ticks
from softplc.core.scancore import ScanCore
from softplc.online.generation import Kept, Start

RECORD, MESSAGES = "core.json", "core.log"
_START_S = 20.0
_STOP_S = 3.0
_STEP_S = 0.002
_NOTHING = Kept()
_ENDS = {
    END_ALONE: "it was without a kernel for too long",
    END_REPLACED: "another core is in force",
    END_SIGNAL: "it was asked to by a signal",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How the core's process lives; see `softplc.section.PlcConfig`."""

    cpus: tuple[int, ...] = ()
    stale_ns: int = 1_000_000_000
    alone_ns: int = 600_000_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """Names the core in force, in a file of the plant's state.

    Attributes:
        ticks: when the process started: a pid alone may be another's by now.
        fd: its file descriptor of the block.
        key: what it runs, and how it is bound; see `key_of`.
    """

    pid: int
    ticks: int
    fd: int
    key: str

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """Return the record if the process that it names lives."""
        try:
            record = cls(**json.loads((folder / RECORD).read_bytes()))
            return record if start_ticks(record.pid) == record.ticks else None
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        part = folder / f"{RECORD}.tmp"  # one kernel at a time: it holds the lock of the state folder
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(folder / RECORD)


def key_of(build: Build, core: str, options: Options) -> str:
    """Name what a core runs and how: another kernel takes it over only if all of it is the same."""
    digest = hashlib.sha256(build.application.identity)
    digest.update(build.core_object)
    digest.update(f"{core} {options}".encode())
    return digest.hexdigest()


class CoreProcess:
    """A core's process and the block that this process shares with it.

    Attributes:
        alone_ns: how long it was without a kernel before this one took it over; 0 for a new one.
        was_stale: whether it scanned on with inputs that counted as stale meanwhile.
        missed: number of the last event before this kernel was there.
    """

    alone_ns = missed = 0
    was_stale = False

    def __init__(self, core: ScanCore, pid: int, pidfd: int, folder: Path) -> None:
        self.core = core
        self.pid = pid
        self._folder = folder
        self._pidfd = pidfd
        self._poll = select.poll()
        self._poll.register(pidfd, select.POLLIN)
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        lay: Callable[[int], ScanCore],
        build: Build,
        key: str,
        folder: Path,
        options: Options,
        kept: Kept = _NOTHING,
    ) -> CoreProcess:
        """Start a process on a new block, which `lay` makes in a file; waits until it scans.

        Raises:
            PlantError: it does not start.
        """
        block = os.memfd_create("plc-block")
        code = os.memfd_create("plc-code")
        try:
            core = lay(block)
            core.control.beat_ns = monotonic_ns()
            program = build.application.object_code
            start = Start(
                [task.symbol for task in core.tasks], len(program), str(folder / RECORD),
                list(options.cpus), options.stale_ns, options.alone_ns, kept, key,
            )  # fmt: skip
            with os.fdopen(os.dup(code), "wb") as file:
                file.write(start.to_line() + program + build.core_object)
            child = _spawn(block, code, folder)
        finally:
            os.close(code)
            os.close(block)
        process = cls(core, child.pid, os.pidfd_open(child.pid), folder)
        process._child = child
        try:
            process._await_scanning()
            Record(child.pid, start_ticks(child.pid), block, key).write(folder)
        except BaseException:
            process.stop()
            raise
        return process

    @classmethod
    def find(cls, lay: Callable[[int], ScanCore], key: str, folder: Path) -> CoreProcess | None:
        """Return the core that an earlier kernel left, if it is the one that is wanted; else end it."""
        record = Record.read(folder)
        if record is None:
            return None
        try:
            pidfd = os.pidfd_open(record.pid)
        except OSError:
            return None
        try:
            if record.key == key and start_ticks(record.pid) == record.ticks:
                block = os.open(f"/proc/{record.pid}/fd/{record.fd}", os.O_RDWR | os.O_CLOEXEC)
                try:
                    core = lay(block)
                finally:
                    os.close(block)
                if not core.control.stop:
                    process = cls(core, record.pid, pidfd, folder)
                    process._arrive()
                    return process
        except (OSError, ValueError):
            pass
        _end(record.pid, pidfd)
        os.close(pidfd)
        return None

    def _arrive(self) -> None:
        """Note how the core was without a kernel, then be one: it acts on the first beat at once."""
        control, now_ns = self.core.control, monotonic_ns()
        self.alone_ns = now_ns - control.beat_ns
        self.was_stale = bool(control.stale)
        self.missed = self.core.word("event_head")
        control.beat_ns = now_ns

    @property
    def alive(self) -> bool:
        return not self._poll.poll(0)

    def why(self) -> str:
        """Say in words how a process that is gone ended."""
        code = self._child.poll() if self._child else None
        if code is not None and code < 0:
            return f"the PLC core was killed by signal {-code}"
        if said := _ENDS.get(self.core.control.end):
            return f"the PLC core has ended: {said}"
        last = last_line(self._folder / MESSAGES)
        return f"the PLC core has ended{': ' if last else ''}{last}"

    def wake(self) -> None:
        """Let it look at once whether it is offered something."""
        with contextlib.suppress(ProcessLookupError):  # `alive` tells
            signal.pidfd_send_signal(self._pidfd, signal.SIGUSR2)

    def stop(self) -> bool:
        """End it after the scan that runs; tells whether it ended by itself."""
        self.core.control.stop = 1
        ended = _end(self.pid, self._pidfd)
        if self._child:
            self._child.wait()
        os.close(self._pidfd)
        record = Record.read(self._folder)
        if record is None or record.pid == self.pid:
            (self._folder / RECORD).unlink(missing_ok=True)
        return ended

    def scheduling(self) -> str:
        """Say what the system granted, and what it did not and why."""
        control = self.core.control
        granted = [
            (control.fifo, f"SCHED_FIFO {control.fifo}", "real-time priority"),
            (control.timer_slack, "timer slack 1 ns", "timer slack"),
            (control.locked, "memory locked", "locked memory"),
            (control.pinned, "CPU affinity", "CPU affinity"),
        ]
        texts = [
            yes if state > 0 else f"no {no}: {os.strerror(-state)}" for state, yes, no in granted if state
        ]
        return ", ".join(texts)

    def _await_scanning(self) -> None:
        end_s = time.monotonic() + _START_S
        while not self.core.control.scanning:
            if not self.alive:
                raise PlantError(self.why(), "see its messages in " + str(self._folder / MESSAGES))
            if time.monotonic() > end_s:
                raise PlantError(
                    f"the PLC core did not scan within {_START_S:g} s", "the machine is overloaded"
                )
            self.core.control.beat_ns = monotonic_ns()
            time.sleep(_STEP_S)


def own_process(module: str, *words: int) -> tuple[list[str], dict[str, str]]:
    """Return command and environment that run a module of ours that needs no other package."""
    home = str(Path(__file__).resolve().parent.parent.parent)
    packages = sysconfig.get_path("platlib")  # -S looks for none: half the memory and time
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH"), packages]))
    command = [sys.executable, "-P", "-S", "-m", module, *map(str, words)]
    return command, os.environ | {"PYTHONPATH": path}


def _spawn(block: int, code: int, folder: Path) -> subprocess.Popen[bytes]:
    command, environment = own_process("softplc.core.process", block, code)
    with (folder / MESSAGES).open("wb") as messages:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            env=environment,
            pass_fds=(block, code),
            start_new_session=True,  # Ctrl-C is for the kernel, which stops it in order
        )


def _end(pid: int, pidfd: int) -> bool:
    """End a process, in order if it can; return whether it could."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    for number, wait_s in ((signal.SIGUSR1, _STOP_S), (signal.SIGKILL, _STOP_S)):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)
        if poll.poll(round(wait_s * 1000)):
            return number is signal.SIGUSR1
    raise PlantError(f"the PLC core (pid {pid}) cannot be ended", "see what holds it, then start again")


def last_line(file: Path) -> str:
    """Return the last line of a file, shortened, or why it cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError as exc:
        return os.strerror(exc.errno or errno.EIO)
    return lines[-1][:300] if lines else ""
