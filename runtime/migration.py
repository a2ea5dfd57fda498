"""Bringing a store to the present format: a copy of it as it was is kept until that is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def copied(file: Path, version: int, copy: Callable[[Path], None]) -> Iterator[Path]:
    """Keep a copy of a store while the block brings it to another format; with success it goes.

    A copy that is there already was made before an attempt that was killed: it is the store as it was.

    Args:
        file: the store.
        version: its format before.
        copy: writes the copy to the path that it is given.
    """
    kept = file.with_name(f"{file.name}.format-{version}")
    found = copies_of(file)
    if found:
        kept = found[0]
    else:
        unfinished = kept.with_name(f"{kept.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        try:
            copy(unfinished)
            _sync(unfinished)
            unfinished.replace(kept)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync(kept.parent)
    yield kept
    kept.unlink()


def copies_of(file: Path) -> list[Path]:
    """Return the copies of a store that are kept, oldest format first."""
    start = f"{file.name}.format-"
    found = [each for each in file.parent.iterdir() if each.name.startswith(start)]
    return sorted((each for each in found if each.name[len(start) :].isdecimal()), key=lambda each: each.name)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
