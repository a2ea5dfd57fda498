"""The scan loop in a thread of its own, as close to real time as the system permits."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from runtime.clock import monotonic_ns
from softplc.core.scancore import ScanCore

_PRIORITY = 80
_PR_SET_TIMERSLACK = 29
_LEAD_NS = 2_000_000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What the system granted.

    Attributes:
        fifo: real-time priority; without it other programs can delay a scan by milliseconds.
        timer_slack: wake-ups are not deferred to save power.
        locked: the block cannot be swapped out.
    """

    fifo: bool
    timer_slack: bool
    locked: bool

    def __str__(self) -> str:
        kind = f"SCHED_FIFO {_PRIORITY}" if self.fifo else "SCHED_OTHER (no real-time priority permitted)"
        extra = [
            *(["timer slack 1 ns"] if self.timer_slack else []),
            *(["memory locked"] if self.locked else []),
        ]
        return ", ".join([kind, *extra])


class ScanThread:
    """Runs a core's loop and its watchdog until stopped."""

    def __init__(self, core: ScanCore) -> None:
        self.core = core
        self._granted: dict[str, tuple[bool, bool]] = {}
        self._ready = threading.Barrier(3)
        self._threads = [
            self._thread("plc-watchdog", _PRIORITY + 1, core.native.monitor),
            self._thread("plc-scan", _PRIORITY, core.native.loop),
        ]
        self.scheduling = Scheduling(fifo=False, timer_slack=False, locked=False)

    def _thread(self, name: str, priority: int, body: Callable[[int], None]) -> threading.Thread:
        core, granted, ready = self.core, self._granted, self._ready

        def run() -> None:
            granted[name] = _tune(priority)
            ready.wait()
            body(core.address)

        return threading.Thread(target=run, name=name, daemon=True)

    def start(self, wall_ns: int) -> Scheduling:
        """Begin to scan; the program's clock starts at `wall_ns`. Returns what the system granted."""
        locked = self.core.lock_memory(_libc)
        now_ns = monotonic_ns()
        self.core.set_times(now_ns + _LEAD_NS, wall_ns - now_ns)
        weakref.finalize(self, _halt, self.core, self._threads)
        for thread in self._threads:
            thread.start()
        self._ready.wait()
        fifo = all(each[0] for each in self._granted.values())
        slack = all(each[1] for each in self._granted.values())
        self.scheduling = Scheduling(fifo, slack, locked)
        return self.scheduling

    @property
    def alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End the loop after the scan that runs; a scan that does not end is aborted. Tells if it ended."""
        return _halt(self.core, self._threads, timeout_s)


def _halt(core: ScanCore, threads: list[threading.Thread], timeout_s: float = 2.0) -> bool:
    core.control.stop = 1
    end_ns = monotonic_ns() + round(timeout_s * 1e9)
    for thread in reversed(threads):
        if thread.is_alive():
            thread.join(max(0.0, (end_ns - monotonic_ns()) / 1e9))
    return not any(thread.is_alive() for thread in threads)


def _tune(priority: int) -> tuple[bool, bool]:
    """Make the calling thread as prompt as permitted: (real-time priority, timer slack)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    slack = _libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0) == 0
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError:
        return False, slack
    return True, slack
