"""Two slots on disk for what is retained: the newer one is never touched while the other is written.

A slot is a head, then the data. The head is written twice: `writing` before the data, `whole` once they are
on disk. A slot that was being written when the process or the power went is no damage; one that says whole
and is not, is. Needs nothing but the standard library: the core's process writes them.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

NAMES = ("retain.a", "retain.b")
_MAGIC = b"IWRETAIN"
_WRITING, _WHOLE = 1, 2
_HEAD = struct.Struct(
    "<8sIIQ32sQI"
)  # magic, state, 0, sequence, layout, length, crc of all that and the data
_LARGEST = 1 << 30


class Slot(NamedTuple):
    """What one slot holds.

    Attributes:
        sequence: counts the stores; the greater one is the newer.
        layout: digest of where which variable lies in the data.
    """

    sequence: int
    layout: bytes
    data: bytes


class DamagedError(Exception):
    """A slot says that it is whole, and is not."""


class Slots:
    """The two files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.files = tuple(folder / name for name in NAMES)

    def read(self) -> tuple[Slot | None, list[str]]:
        """Return the newest whole slot, and what is damaged."""
        found: list[Slot] = []
        damaged: list[str] = []
        for file in self.files:
            try:
                slot = _read(file)
            except DamagedError as exc:
                damaged.append(f"{file.name}: {exc}")
            else:
                found += [slot] if slot else []
        return max(found, default=None, key=lambda slot: slot.sequence), damaged

    def write(self, layout: bytes, data: bytes, sequence: int) -> None:
        """Store; when this returns it is on disk. Sequences alternate between the files.

        Raises:
            OSError: the disk refuses; the other slot is as it was.
        """
        file = self.files[sequence % 2]
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _put(handle, _head(_WRITING, sequence, layout, b""), 0)
            _put(handle, data, _HEAD.size)
            os.ftruncate(handle, _HEAD.size + len(data))
            os.fsync(handle)
            _put(handle, _head(_WHOLE, sequence, layout, data), 0)
            os.fsync(handle)
        finally:
            os.close(handle)


def settle(folder: Path) -> None:
    """Bring the names in a folder to disk: a file's own fsync does that on some file systems only."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _head(state: int, sequence: int, layout: bytes, data: bytes) -> bytes:
    head = _HEAD.pack(_MAGIC, state, 0, sequence, layout, len(data), 0)
    return _HEAD.pack(_MAGIC, state, 0, sequence, layout, len(data), zlib.crc32(data, zlib.crc32(head)))


def _put(handle: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(handle, view, at)
        view, at = view[count:], at + count


def _read(file: Path) -> Slot | None:
    """Return what a slot holds; None if it was never written to its end.

    Raises:
        DamagedError: it is cut or changed, or cannot be read.
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise DamagedError(f"it cannot be read: {os.strerror(exc.errno or 5)}") from exc
    if not raw:
        return None  # it had just been made
    if len(raw) < _HEAD.size:
        raise DamagedError("it is cut")
    magic, state, _, sequence, layout, length, _ = _HEAD.unpack_from(raw)
    if magic == _MAGIC and state == _WRITING:
        return None
    data = raw[_HEAD.size : _HEAD.size + min(length, _LARGEST)]
    if raw[: _HEAD.size] != _head(_WHOLE, sequence, layout, data):
        raise DamagedError("it is not what was written")
    return Slot(sequence, layout, data)
