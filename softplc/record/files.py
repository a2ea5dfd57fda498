"""The record on disk: segments of chunks, each with its own checksum; the oldest segments make room.

A chunk that is cut or changed is lost with what follows in its segment, and no more than that.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_MAGIC = b"IWSC"
_HEAD = struct.Struct("<4sIIBBHIqqq16sqqqq")
_CRC_FROM = 8
SCANS, NOTES = 1, 2
_LEVEL = 1
_SEGMENTS = 32
_SMALLEST, _LARGEST = 1 << 16, 16 << 20
_LONGEST = 1 << 30
SUFFIX = ".seg"


class Head(NamedTuple):
    """What a chunk says of itself.

    Attributes:
        kind: `SCANS` or `NOTES`.
        key: 1 where it begins with a key.
        size: bytes of its data, unpacked.
        run, block: whose scans these are.
        behind: position behind it in the block's ring.
        program: names the program.
        first, last: scans before it, and behind it.
        first_ns, last_ns: the program's time at its first scan and at its last.
    """

    kind: int
    key: int
    size: int
    run: int = 0
    block: int = 0
    behind: int = 0
    program: bytes = b""
    first: int = 0
    last: int = 0
    first_ns: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk, and where its data lie."""

    head: Head
    file: Path
    at: int
    length: int
    crc: int

    def read(self) -> bytes | None:
        """Return its data; None where they are damaged or gone."""
        try:
            with self.file.open("rb") as file:
                file.seek(self.at - _HEAD.size)
                raw = file.read(_HEAD.size + self.length)
        except OSError:
            return None
        if len(raw) != _HEAD.size + self.length or zlib.crc32(raw[_CRC_FROM:]) != self.crc:
            return None
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(raw[_HEAD.size :], self.head.size + 1)
        except zlib.error:
            return None
        return data if len(data) == self.head.size else None


class Segments:
    """Appends chunks in a folder, within a budget of bytes."""

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._budget = budget
        self._size = min(max(budget // _SEGMENTS, _SMALLEST), _LARGEST)
        self._number = max((int(each.stem) for each in segments(folder)), default=0)
        self._fd = -1
        self._at = 0
        self.written = 0

    @property
    def full(self) -> bool:
        """Tell whether the next key should begin another segment."""
        return self._at >= self._size

    @property
    def fresh(self) -> bool:
        """Tell whether the segment has nothing yet."""
        return self._fd < 0

    def append(self, head: Head, data: bytes) -> None:
        """Write a chunk.

        Raises:
            OSError: the disk refuses; what was there before is as it was.
        """
        packed = zlib.compress(data, _LEVEL)
        fields = (
            head.kind, head.key, 0, len(data), head.run, head.block, head.behind, head.program,
            head.first, head.last, head.first_ns, head.last_ns,
        )  # fmt: skip
        rest = _HEAD.pack(_MAGIC, 0, len(packed), *fields)[_CRC_FROM:] + packed
        raw = _MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest
        if self._fd < 0:
            self._open()
        try:
            view, at = memoryview(raw), self._at
            while view:
                count = os.pwrite(self._fd, view, at)
                view, at = view[count:], at + count
        except OSError:
            os.ftruncate(self._fd, self._at)
            raise
        self._at += len(raw)
        self.written += len(raw)

    def _open(self) -> None:
        self._number += 1
        self._make_room()
        file = self._folder / f"{self._number:08d}{SUFFIX}"
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._at = 0

    def close(self) -> None:
        """End the segment; what is appended next begins another one."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._at = 0
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)

    def _make_room(self) -> None:
        files = segments(self._folder)
        sizes = {each: each.stat().st_size for each in files}
        left = sum(sizes.values())
        for each in files:
            if left + self._size <= self._budget:
                break
            each.unlink(missing_ok=True)
            left -= sizes[each]


def segments(folder: Path) -> list[Path]:
    """Return the segments of a folder, the oldest first."""
    return sorted(
        (each for each in folder.glob(f"*{SUFFIX}") if each.stem.isdecimal()), key=lambda f: int(f.stem)
    )


def chunks(file: Path) -> Iterator[Chunk | str]:
    """Yield the chunks of a segment; where it is damaged, at last why."""
    try:
        size = file.stat().st_size
        with file.open("rb") as handle:
            at = 0
            while at < size:
                handle.seek(at)
                raw = handle.read(_HEAD.size)
                chunk = _chunk(file, raw, at)
                if chunk is None or at + _HEAD.size + chunk.length > size:
                    yield f"{file.name} is {'damaged' if chunk is None else 'cut'} from byte {at} on"
                    return
                yield chunk
                at += _HEAD.size + chunk.length
    except OSError as exc:
        yield f"{file.name} cannot be read: {exc.strerror}"


def _chunk(file: Path, raw: bytes, at: int) -> Chunk | None:
    if len(raw) < _HEAD.size:
        return None
    magic, crc, length, kind, key, _, *rest = _HEAD.unpack(raw)
    if magic != _MAGIC or kind not in (SCANS, NOTES) or not 0 < length < _LONGEST:
        return None
    return Chunk(Head(kind, key, *rest), file, at + _HEAD.size, length, crc)
