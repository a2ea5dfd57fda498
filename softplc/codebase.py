"""What compiles: the files of this package, LLVM and the processor all change what comes of a program."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

Stamp = tuple[tuple[str, int, int], ...]
_PACKAGE = Path(__file__).parent


def stamp() -> Stamp:
    """Return names, times and sizes of the package's files: they change where its text does."""
    return tuple(sorted(_files(str(_PACKAGE))))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith((".py", ".st")):
                status = entry.stat()
                yield entry.path, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=1)
def digest(files: Stamp) -> bytes:
    """Return what names the compiler, of the files that `stamp` has told."""
    from importlib.metadata import version

    found = hashlib.sha256()
    for path, _, _ in files:
        file = Path(path)
        found.update(file.relative_to(_PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    found.update(f"{version('llvmlite')} {sys.platform} {platform.machine()} {_processor()}".encode())
    return found.digest()


def _processor() -> str:
    """Return what tells one kind of processor from another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", 1)[0].splitlines()
    except OSError:
        return platform.processor()
    telling = ("flags", "features", "model name", "cpu implementer", "cpu part", "cpu architecture")
    return "\n".join(line for line in lines if line.partition("\t")[0].strip().lower() in telling)
