"""The scan loop and its watchdog in threads of their own, as close to real time as the system permits.

Runs in the core's process, which has neither numpy nor the kernel's modules: that costs memory and time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import threading
import weakref
from collections.abc import Callable
from ctypes import Array

from softplc.core.layout import Control, Task
from softplc.core.native import Native

HIGHEST_PRIORITY = 81  # of the watchdog; the scan is one below, above a PREEMPT_RT kernel's interrupts
_PR_SET_TIMERSLACK = 29
_LEAD_NS = 2_000_000
_libc = ctypes.CDLL(None, use_errno=True)


class ScanThread:
    """Runs the loop of a block and its watchdog until stopped; `Control` tells what the system granted."""

    def __init__(self, native: Native, address: int, control: Control, tasks: Array[Task]) -> None:
        self._native = native
        self._address = address
        self._control = control
        self._tasks = tasks
        self._granted: list[tuple[int, int]] = []
        self._ready = threading.Barrier(3)
        highest = highest_priority()
        self._threads = [
            self._thread("plc-watchdog", highest, native.monitor),
            self._thread("plc-scan", highest - 1, native.loop),
        ]

    def _thread(self, name: str, priority: int, body: Callable[[int], None]) -> threading.Thread:
        address, granted, ready = self._address, self._granted, self._ready

        def run() -> None:
            granted.append(_tune(priority))
            ready.wait()
            body(address)

        return threading.Thread(target=run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to scan: every task is due in a moment."""
        first_ns = self._native.now() + _LEAD_NS
        for task in self._tasks:
            task.next_ns = first_ns
        weakref.finalize(self, _halt, self._native, self._control, self._threads)
        for thread in self._threads:
            thread.start()
        self._ready.wait()
        self._control.fifo = min(each[0] for each in self._granted)
        self._control.timer_slack = min(each[1] for each in self._granted)

    @property
    def alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End the loop after the scan that runs; a scan that does not end is aborted. Tells if it ended."""
        return _halt(self._native, self._control, self._threads, timeout_s)


def _halt(native: Native, control: Control, threads: list[threading.Thread], timeout_s: float = 2.0) -> bool:
    control.stop = 1
    end_ns = native.now() + round(timeout_s * 1e9)
    for thread in reversed(threads):
        if thread.is_alive():
            thread.join(max(0.0, (end_ns - native.now()) / 1e9))
    return not any(thread.is_alive() for thread in threads)


def highest_priority() -> int:
    """Return the priority to ask for: what the account may have at most. Source: sched(7), RLIMIT_RTPRIO."""
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    return min(HIGHEST_PRIORITY, limit) if limit > 1 else HIGHEST_PRIORITY  # a capability needs no limit


def _tune(priority: int) -> tuple[int, int]:
    """Make the calling thread as prompt as permitted: (real-time priority, timer slack)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    slack = 1 if _libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0) == 0 else -ctypes.get_errno()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError as exc:
        return -(exc.errno or errno.EPERM), slack
    return priority, slack
