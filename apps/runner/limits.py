"""What a worker lays on itself before it loads the app."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
HEADROOM_MIB = 128
NICE = 5
FILES = 256


def apply(memory_mib: int, parent: int) -> None:
    """End with the kernel, yield to it, and bound memory.

    The bound is on private writable memory (RLIMIT_DATA), not on address space: libraries map far more
    than they touch. It stops a runaway at once; the budget itself is on resident memory, which the host
    watches.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            raise SystemExit("the kernel has ended")
    os.nice(NICE)
    bound = (memory_mib + HEADROOM_MIB) * 1024 * 1024
    for kind, value in (
        (resource.RLIMIT_DATA, bound),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
