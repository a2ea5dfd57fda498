"""What keeps the memory of a process level that runs for months: the C library's heap, Python's collector."""

from __future__ import annotations

import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h of glibc
_MAPPED_BYTES = 64 * 1024
_TRIMMED_BYTES = 128 * 1024
_libc = ctypes.CDLL(None)


def keep_compact() -> None:
    """Let glibc give large blocks back when they are freed, and keep one heap for all threads.

    By itself it takes ever larger ones from a heap for each thread, whose holes grew to 28 MiB in 20 minutes
    of 10,000 tags. To be called before threads are. Another C library goes on as it does.
    """
    option = getattr(_libc, "mallopt", None)
    if option is not None:
        for name, value in (
            (_MMAP_THRESHOLD, _MAPPED_BYTES),
            (_TRIM_THRESHOLD, _TRIMMED_BYTES),
            (_ARENA_MAX, 1),
        ):
            option(name, value)


def set_aside() -> None:
    """Take what is loaded by now out of the garbage collector's sight.

    Each look at the objects of 10,000 tags stops the event loop: 0.5 s where tests ran beside.
    """
    gc.freeze()
    gc.collect()  # so that it counts anew what is old


def look_through() -> None:
    """Collect what is no longer used of what was set aside; this takes the time that setting aside spares."""
    gc.unfreeze()
    gc.collect()


def tidy() -> None:
    """Collect what refers to itself, such as sessions that are over, and give back what is free.

    Where the rest is set aside, the collector by itself comes to it when as many objects are made again.
    """
    gc.collect()
    trim()


def trim() -> None:
    """Give what is free to the system, where the C library is glibc."""
    option = getattr(_libc, "malloc_trim", None)
    if option is not None:
        option(0)
