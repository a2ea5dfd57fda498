"""The lock of a plant's state folder: one process writes the stores, whichever account starts it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import PlantError

NAME = "lock"


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Hold the lock of a state folder, which must be there; a process that ends in any way gives it back.

    Raises:
        PlantError: another process holds it, or it cannot be made.
    """
    file = state / NAME
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        remedy = "use the account that runs the plant, and see that the disk can be written"
        raise PlantError(f"{file} cannot be opened: {exc.strerror}", remedy) from exc
    try:
        if os.geteuid() == 0:  # the account of the plant must be able to open it too
            owner = state.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise PlantError(
                f"another process works with the state folder {state}",
                "the plant runs under another account, or a backup or restore is at work: wait, or stop it",
            ) from exc
        yield
    finally:
        os.close(handle)
