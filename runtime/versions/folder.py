"""A plant folder's own files: which they are, what they hold, and how one is written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.backup.manifest import SUFFIX
from runtime.errors import PlantError

MOST_FILES = 2000
MOST_BYTES = 64 << 20
_SKIPPED = ("__pycache__",)
_DATA = (".csv", ".parquet", ".arrow", ".pcap", ".pcapng")


@dataclass(frozen=True)
class Content:
    """Files by their path in the folder, with `/`, and the digest over all of them."""

    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        total = hashlib.sha256()
        for path in sorted(self.files):
            total.update(f"{path}\0{digest_of(self.files[path])}\n".encode())
        return total.hexdigest()

    def without_left(self, version: Content) -> Content:
        """Return it without the files that a rollback to a version leaves: exports, which people made."""
        kept = {path: data for path, data in self.files.items() if path in version.files or not is_data(path)}
        return Content(kept)


def is_data(path: str) -> bool:
    """Tell whether a file is of a kind that commands export; a configuration reads those by name only."""
    return path.lower().endswith(_DATA)


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(data).hexdigest()


def read_folder(folder: Path, state: Path) -> Content:
    """Read the plant folder's own files.

    These are all but hidden ones, caches, backups, links to folders and the state folder.

    Raises:
        PlantError: they are too many or too large to be kept as a version, or one cannot be read or named.
    """
    files: dict[str, bytes] = {}
    room = MOST_BYTES
    for file in own_files(folder, state):
        path = file.relative_to(folder).as_posix()
        try:
            path.encode()
            size = file.stat().st_size
            if len(files) >= MOST_FILES or size > room:
                raise PlantError(
                    f"{folder} holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB",
                    "keep recordings and other data elsewhere, or below a name that begins with .",
                )
            data = file.read_bytes()
        except UnicodeEncodeError as exc:
            raise PlantError(
                f"{folder} holds {path!r}, and that name is not UTF-8", "give it another, or its folder"
            ) from exc
        except OSError as exc:
            raise PlantError(
                f"{file} cannot be read: {exc.strerror}", "check the owner of the file and its rights"
            ) from exc
        room -= len(data)
        files[path] = data
    return Content(files)


def own_files(folder: Path, state: Path) -> Iterator[Path]:
    """Yield the files that belong to the configuration, in order."""
    state = state.resolve()
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and (here / name).resolve() != state
        )
        for name in sorted(names):
            file = here / name
            if not name.startswith(".") and not name.endswith(SUFFIX) and file.is_file():
                yield file


def put(file: Path, data: bytes) -> None:
    """Write a file so that at every instant it is the old one or the new one, whole and on disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.ironworks-tmp")
    try:
        with temporary.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if file.exists():
            temporary.chmod(file.stat().st_mode & 0o777)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    settle(file.parent)


def settle(folder: Path) -> None:
    """Bring a folder's names to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
