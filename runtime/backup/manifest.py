"""The manifest of a backup: what is in it, as it must be found again. It is the first file of the archive."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated
from unicodedata import category

import msgspec
from msgspec import Meta, Struct

from runtime.errors import StoreError

FORMAT = 1
NAME = "manifest.json"
SUFFIX = ".ironworks.tar.gz"
LARGEST = 64 << 20  # of a manifest: several hundred thousand files
PLANT, STATE = "plant", "state"
_NAME_LIMIT = 1024
_NOT_IN_NAMES = ("Cc", "Cs")  # control characters, and bytes that are no UTF-8
_Size = Annotated[int, Meta(ge=0, le=1 << 50)]
_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Entry(Struct, frozen=True):
    """One file: `plant/...` lies in the plant folder, `state/...` in its state folder."""

    path: str
    size: _Size
    sha256: _Hash


class Manifest(Struct, frozen=True):
    """What a backup holds.

    Attributes:
        format: of the archive; a later Ironworks may write a later one.
        ironworks: version that wrote it.
        file: name of the plant file, usually `plant.yaml`.
    """

    format: int
    ironworks: str
    plant: str
    file: str
    at_ns: int
    files: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)


class _Head(Struct, frozen=True):
    format: int


def parse(data: bytes) -> Manifest:
    """Read and check a manifest; what it names can be made below a folder and nowhere else.

    Raises:
        StoreError: it is none, of a later format, or names what no backup holds.
    """
    try:
        found = msgspec.json.decode(data, type=_Head).format
        if found != FORMAT:
            raise StoreError(
                f"the backup has format {found}, this Ironworks knows {FORMAT}",
                "a later Ironworks wrote it: install that version or a newer one",
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise StoreError(f"its manifest cannot be read: {exc}", "this is no backup of Ironworks") from exc
    if not _plain(manifest.file):
        raise StoreError(f"its manifest names the plant file {manifest.file!r}", _STRANGE)
    seen: set[str] = set()
    for entry in manifest.files:
        if not possible(entry.path) or entry.path in seen:
            raise StoreError(f"its manifest names the file {entry.path[:200]!r}", _STRANGE)
        seen.add(entry.path)
    folders = {str(each) for path in seen for each in PurePosixPath(path).parents}
    if both := seen & folders:
        raise StoreError(f"its manifest has {min(both)!r} as a file and as a folder", _STRANGE)
    return manifest


_STRANGE = "Ironworks does not write such backups: do not trust where it came from"


def possible(path: str) -> bool:
    """Tell whether a backup can hold a file of this path."""
    parts = path.split("/")
    return (
        len(path) <= _NAME_LIMIT
        and len(parts) >= 2
        and parts[0] in (PLANT, STATE)
        and all(_plain(each) for each in parts)
    )


def _plain(part: str) -> bool:
    return (
        part not in ("", ".", "..")
        and "/" not in part
        and not any(category(each) in _NOT_IN_NAMES for each in part)
        and len(part.encode()) <= 255
    )
