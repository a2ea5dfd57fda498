"""How much was committed, told beside the store: a log that was cut short cannot hide it."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_FORM = struct.Struct("<QQQq")
_CHECK = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a store had committed: its own number, transactions, samples, and until when it recorded."""

    store: int
    commits: int
    samples: int
    last_ns: int


class Counter:
    """A small file with the newest mark, written after each commit.

    The store drops what follows a damaged place in its log without a word; then it has fewer
    commits than the mark. The mark is not synced: after a loss of power it may be behind, never ahead.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> Mark | None:
        """Return the mark, None where there is none that can be trusted."""
        if not self._path.exists():
            return None
        data = self._path.read_bytes()[: _FORM.size + _CHECK.size]
        body = data[: _FORM.size]
        if len(data) < _FORM.size + _CHECK.size or _CHECK.pack(zlib.crc32(body)) != data[_FORM.size :]:
            return None
        return Mark(*_FORM.unpack(body))

    def write(self, mark: Mark) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o640)
        body = _FORM.pack(mark.store, mark.commits, mark.samples, mark.last_ns)
        os.pwrite(self._file, body + _CHECK.pack(zlib.crc32(body)), 0)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
