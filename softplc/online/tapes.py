"""Tapes in the core's process: the kernel offers memory, the loop keeps its scans there."""

from __future__ import annotations

import ctypes
import mmap
import os

from softplc.core.layout import Control


class Tapes:
    """Maps the tape that is wanted; one that is not wanted any more once the loop has let it go."""

    def __init__(self) -> None:
        self._tape: mmap.mmap | None = None
        self._left: tuple[mmap.mmap, int] | None = None

    def look(self, control: Control) -> None:
        """Take up a tape that is offered, or withdrawn; the loop has let one go when it copies the image."""
        if self._left is not None and control.copy_done != self._left[1]:
            self._left = None
        if control.tape_wanted == control.tape_there or self._left is not None:
            return
        control.tape = 0
        if self._tape is not None:
            self._left, self._tape = (self._tape, control.copy_done), None
            if control.copy_done == control.copy_wanted:
                control.copy_wanted += 1
            return
        if control.tape_fd >= 0:
            self._open(control)
        control.tape_there = control.tape_wanted

    def _open(self, control: Control) -> None:
        try:
            fd = os.open(f"/proc/{control.tape_pid}/fd/{control.tape_fd}", os.O_RDWR | os.O_CLOEXEC)
            try:
                self._tape = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
            finally:
                os.close(fd)
        except (OSError, ValueError) as exc:
            print(f"the tape of a rehearsal cannot be mapped: {exc}", flush=True)  # noqa: T201
            return
        control.tape = ctypes.addressof(ctypes.c_char.from_buffer(self._tape))
