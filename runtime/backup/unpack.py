"""Reading a backup: only exactly what its manifest lists is taken, anything else is refused.

The manifest comes first, so that sizes and names are known before a byte is written: an archive cannot
unpack to more than it says, or to another place.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tarfile import BLOCKSIZE, GNUTYPE_LONGNAME, REGTYPE, HeaderError, TarInfo

from runtime.backup.manifest import LARGEST, NAME, Entry, Manifest, parse
from runtime.backup.pack import PIECE, Tell, sync
from runtime.errors import StoreError

_LONGEST_NAME = 4096
_SPARE = 64 << 20  # left free on the disk


def verify(file: Path, tell: Tell = lambda *_: None) -> Manifest:
    """Read a whole backup and compare every file with the manifest.

    Raises:
        StoreError: it is not as it was written, or no backup.
    """
    with _opened(file) as archive:
        return archive.walk(None, tell)


def unpack(file: Path, into: Path, tell: Tell = lambda *_: None) -> Manifest:
    """Do what `verify` does, and write the files below a new folder; when this returns they are on disk.

    Raises:
        StoreError: it is not as it was written, or there is no room; the folder then holds part of it.
    """
    with _opened(file) as archive:
        return archive.walk(into, tell)


def look(file: Path) -> Manifest:
    """Read the manifest only.

    Raises:
        StoreError: this is no backup.
    """
    with _opened(file) as archive:
        return archive.manifest()


@contextmanager
def _opened(file: Path) -> Iterator[_Archive]:
    broken = "it was cut short or changed: take another backup"
    try:
        with gzip.open(file, "rb") as stream:
            yield _Archive(stream)
    except StoreError as exc:
        raise StoreError(f"{file}: {exc.text}", exc.remedy) from exc
    except gzip.BadGzipFile as exc:
        raise StoreError(f"{file} is no backup", "name a file that `ironworks backup` has made") from exc
    except (EOFError, zlib.error) as exc:
        raise StoreError(f"{file} cannot be read as a backup: {exc}", broken) from exc
    except OSError as exc:
        remedy = "see that the path is right, and its disk has room"
        raise StoreError(f"{exc.filename or file}: {exc.strerror or exc}", remedy) from exc


class _Archive:
    """A stream of tar, read in order."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def manifest(self) -> Manifest:
        info = self._header()
        if info is None or info.name != NAME or info.size > LARGEST:
            raise StoreError("it does not begin with a manifest", "this is no backup of Ironworks")
        data = self._exactly(info.size)
        self._exactly(-info.size % BLOCKSIZE)
        return parse(data)

    def walk(self, into: Path | None, tell: Tell) -> Manifest:
        manifest = self.manifest()
        if into is not None:
            _check_room(into, manifest)
        done = 0
        folders: set[Path] = set()
        for entry in manifest.files:
            info = self._header()
            if info is None or (info.name, info.size) != (entry.path, entry.size):
                found = "its end" if info is None else repr(info.name[:200])
                raise StoreError(f"{entry.path!r} is missing: there is {found}", _CHANGED)
            if into is None:
                self._file(entry, info, None, tell, (done, manifest.size))
            else:
                target = into / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.update((target.parent, *(each for each in target.parents if into in each.parents)))
                self._file(entry, info, target, tell, (done, manifest.size))
            done += entry.size
        if self._header() is not None or self._stream.read(BLOCKSIZE).strip(b"\0"):
            raise StoreError("it holds more than its manifest lists", _CHANGED)
        while rest := self._stream.read(PIECE):  # to the end, where the checksum of the stream is
            if rest.strip(b"\0"):
                raise StoreError("it holds more than its manifest lists", _CHANGED)
        for folder in folders:
            sync(folder)
        return manifest

    def _file(
        self, entry: Entry, info: TarInfo, target: Path | None, tell: Tell, told: tuple[int, int]
    ) -> None:
        digest, left = hashlib.sha256(), entry.size
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        handle = None if target is None else os.open(target, flags, info.mode & 0o755 | 0o600)
        try:
            while left:
                piece = self._exactly(min(left, PIECE))
                digest.update(piece)
                left -= len(piece)
                if handle is not None:
                    _write_all(handle, piece)
                tell(told[0] + entry.size - left, told[1])
            if digest.hexdigest() != entry.sha256:
                raise StoreError(f"{entry.path!r} is not what was backed up", _CHANGED)
            if handle is not None:
                os.fsync(handle)
        finally:
            if handle is not None:
                os.close(handle)
        self._exactly(-entry.size % BLOCKSIZE)

    def _header(self) -> TarInfo | None:
        """Return the header of the next file; None at the end."""
        block = self._exactly(BLOCKSIZE)
        if not block.strip(b"\0"):
            return None
        info = self._parsed(block)
        if info.type == GNUTYPE_LONGNAME:
            if info.size > _LONGEST_NAME:
                raise StoreError("it has a name that is too long", _CHANGED)
            name = self._exactly(info.size).rstrip(b"\0").decode("utf-8", "replace")
            self._exactly(-info.size % BLOCKSIZE)
            info = self._parsed(self._exactly(BLOCKSIZE))
            info.name = name
        if info.type != REGTYPE:
            raise StoreError(f"{info.name[:200]!r} is no plain file", _CHANGED)
        return info

    def _parsed(self, block: bytes) -> TarInfo:
        try:
            info = TarInfo.frombuf(block, "utf-8", "replace")
        except HeaderError as exc:
            raise StoreError(f"it is no archive: {exc}", _CHANGED) from exc
        if info.size < 0:  # the format can say so, and all that follows would be read at once
            raise StoreError(f"{info.name[:200]!r} has no size that can be", _CHANGED)
        return info

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError("it ends too early")
        return data


_CHANGED = "it was changed after it was written: take another backup"


def _check_room(into: Path, manifest: Manifest) -> None:
    free = shutil.disk_usage(into).free
    if manifest.size + _SPARE > free:
        mib = 1 << 20
        text = f"it unpacks to {manifest.size // mib} MiB, and {into} has {free // mib} MiB free"
        raise StoreError(text, "make room, or restore to another disk")


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
