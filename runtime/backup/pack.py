"""Writing a backup: files become one stream of compressed tar, piece by piece, with their manifest first."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from tarfile import BLOCKSIZE, GNU_FORMAT, TarInfo
from typing import Self

import msgspec

from runtime.backup.manifest import NAME, Entry, Manifest
from runtime.errors import StoreError

PIECE = 1 << 20
_PACKED = ".parquet"
_GZIP = 16 + zlib.MAX_WBITS
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that goes into a backup, and its name there."""

    name: str
    path: Path


def entries(sources: Iterable[Source], tell: Callable[[], None] = lambda: None) -> tuple[Entry, ...]:
    """Return size and checksum of each file."""
    found = []
    for each in sources:
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(each.path):
            tell()
            digest.update(piece)
            size += len(piece)
        found.append(Entry(each.name, size, digest.hexdigest()))
    return tuple(found)


def packed(manifest: Manifest, sources: Sequence[Source]) -> Iterator[bytes]:
    """Yield the archive; nothing of it is kept in memory.

    Cold history is packed already: it is stored as it is, in members of gzip of its own.

    Raises:
        StoreError: a file is not any more what the manifest says.
    """
    level, squeeze = 1, zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    for wanted, piece in _tar(manifest, sources):
        if wanted != level:
            yield squeeze.flush()
            level, squeeze = wanted, zlib.compressobj(wanted, zlib.DEFLATED, _GZIP)
        if out := squeeze.compress(piece):
            yield out
    yield squeeze.flush()


def _tar(manifest: Manifest, sources: Sequence[Source]) -> Iterator[tuple[int, bytes]]:
    """Yield pieces of tar, and how hard each is to be packed."""
    words = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    yield 1, _header(NAME, len(words), 0o600, manifest.at_ns)
    yield 1, words + _padding(len(words))
    for entry, source in zip(manifest.files, sources, strict=True):
        level = 0 if source.path.suffix == _PACKED else 1
        yield level, _header(entry.path, entry.size, source.path.stat().st_mode & 0o777, manifest.at_ns)
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(source.path):
            digest.update(piece)
            size += len(piece)
            yield level, piece
        if (size, digest.hexdigest()) != (entry.size, entry.sha256):
            raise StoreError(f"{source.path} changed while it was read", "make the backup once more")
        yield level, _padding(size)
    yield 1, bytes(2 * BLOCKSIZE)


def _header(name: str, size: int, mode: int, at_ns: int) -> bytes:
    info = TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, at_ns // 1_000_000_000
    return info.tobuf(GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCKSIZE)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


class Incoming:
    """A file that is written piece by piece, and is there whole and on disk or not at all.

    A context manager: without `finish` nothing is left of it. It raises StoreError where the file is there
    already or cannot be written.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.size = 0
        self._unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
        self._out: FileIO | None = None

    def __enter__(self) -> Self:
        if self.target.exists():
            remedy = "give the backup another name, or move that file"
            raise StoreError(f"{self.target} is there already", remedy)
        with self._told():
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            self._out = FileIO(os.open(self._unfinished, flags, 0o600), "wb")
        return self

    def write(self, piece: bytes) -> None:
        with self._told():
            view = memoryview(piece)
            while view:
                view = view[self._file.write(view) :]
            self.size += len(piece)

    def finish(self) -> None:
        """Give the file its name."""
        with self._told():
            os.fsync(self._file.fileno())
            self._unfinished.replace(self.target)
            sync(self.target.parent)

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._unfinished.unlink(missing_ok=True)

    @property
    def _file(self) -> FileIO:
        if self._out is None:
            raise RuntimeError("use it as a context manager")
        return self._out

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            text = f"{self.target} cannot be written: {exc.strerror}"
            raise StoreError(text, "see that the folder is there and its disk has room") from exc


def write_whole(target: Path, pieces: Iterable[bytes], tell: Callable[[int], None] = lambda _: None) -> int:
    """Write a file whole, or nothing; return its size.

    Raises:
        StoreError: there is such a file already, or it cannot be written.
    """
    with Incoming(target) as incoming:
        for piece in pieces:
            incoming.write(piece)
            tell(incoming.size)
        incoming.finish()
    return incoming.size


def sync(path: Path) -> None:
    """Bring a file or the entries of a folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
