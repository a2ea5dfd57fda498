"""Versions on disk: a folder for each, that can be read, compared and run as it stands."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from runtime.errors import PlantError
from runtime.versions.folder import Content, is_data, own_files, put, read_folder, settle

log = logging.getLogger(__name__)
KEPT = 50
T = TypeVar("T")
_RECORD = ".version.json"
_INTENT = "putting-back.json"
_STANDING = "standing.json"
_SHORT = 8
_WANTED = (
    "give its number, the first four digits or more of its digest, or good, the last that came up;"
    " `ironworks config list` shows those that are kept"
)


class Version(Struct, frozen=True):
    """A version; `digest` is over its files, whose own digests are in `files`."""

    number: int
    digest: str
    at_ns: int
    size: int

    @property
    def short(self) -> str:
        return self.digest[:_SHORT]

    def __str__(self) -> str:
        return f"{self.number} ({self.short})"


class Failure(Struct, frozen=True):
    """A version that did not come up, and why."""

    digest: str
    reason: str
    at_ns: int


class Standing(Struct, frozen=True):
    """Where the plant stands, kept over restarts; versions by digest, empty for none.

    Attributes:
        good: the last version that came up.
        trying: the version that was begun and has not come up yet; `starts` counts how often.
        failure: the version that runs no more because it did not come up; `good` runs in its place.
    """

    good: str = ""
    trying: str = ""
    starts: int = 0
    failure: Failure | None = None


class _PuttingBack(Struct, frozen=True):
    digest: str
    before: str = ""


class VersionStore:
    """The versions of one plant folder; `state` is where the plant keeps its stores.

    All of it waits for the disk: call it in a thread while a plant runs.
    """

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.root = state / "config"
        self.state = state
        self._versions = self.root / "versions"

    # Versions.

    def present(self) -> Content:
        """Return the plant folder's files as they are.

        Raises:
            PlantError: they cannot be read, or are too many.
        """
        return read_folder(self.folder, self.state)

    def keep(self, content: Content, now_ns: int, needed: str = "") -> Version:
        """Keep files as a version; the same files are the same version. The oldest go beyond `KEPT`.

        The version of the digest `needed` stays, however old it is.

        Raises:
            PlantError: the disk does not take it.
        """
        digest = content.digest
        with self._locked():
            known = self.versions()
            for each in known:
                if each.digest == digest:
                    return each
            number = known[-1].number + 1 if known else 1
            size = sum(map(len, content.files.values()))
            version = Version(number, digest, now_ns, size)
            self._write(version, content)
            self._prune([*known, version], needed)
            return version

    def versions(self) -> list[Version]:
        """Return what is kept, oldest first; a damaged record, or one that a kill left half, is left out."""
        found = []
        for file in self._versions.glob(f"[0-9]*/{_RECORD}"):
            with suppress(OSError, msgspec.MsgspecError):
                found.append(msgspec.json.decode(file.read_bytes(), type=Version))
        return sorted(found, key=lambda each: each.number)

    def find(self, name: str) -> Version:
        """Return a version by its number, the beginning of its digest, or `good`.

        Raises:
            PlantError: there is none, or several.
        """
        known = self.versions()
        if name == "good":
            name = self.standing().good
            if not name:
                raise PlantError("there is no version 'good': none came up yet", _WANTED)
        found = [each for each in known if name in (str(each.number), each.digest)]
        if not found and len(name) >= 4:
            found = [each for each in known if each.digest.startswith(name)]
        if len(found) != 1:
            text = f"several versions begin with {name!r}" if found else f"there is no version {name!r}"
            raise PlantError(text, _WANTED)
        return found[0]

    def place(self, version: Version) -> Path:
        """Return the folder with the files of a version."""
        return self._versions / f"{version.number:06d}-{version.short}"

    def content(self, version: Version) -> Content:
        """Return the files of a version.

        Raises:
            PlantError: they are damaged.
        """
        place = self.place(version)
        content = read_folder(place, place / ".none")
        if content.digest != version.digest:
            raise PlantError(
                f"version {version} is damaged: its files are not those that were kept",
                f"take another version, or look at {place}",
            )
        return content

    def applied(self, version: Version, path: Path) -> Path:
        """Return a folder within the plant folder as a version has it: itself, or the copy that is kept.

        The copy may not be there: then it was not when that version was kept. It lacks what no version has,
        such as hidden files.
        """
        here, folder = path.resolve(), self.folder.resolve()
        if not here.is_relative_to(folder) or any(
            part.startswith(".") for part in here.relative_to(folder).parts
        ):
            return path
        copy = self.place(version) / here.relative_to(folder)
        return path if self._is_same(here, copy) else copy

    def _is_same(self, folder: Path, copy: Path) -> bool:
        """Tell whether nobody edited a folder; what an app writes beside itself is no edit, code excepted."""
        try:
            kept = read_folder(copy, copy / ".none").files
            there = {file.relative_to(folder).as_posix() for file in own_files(folder, self.state)}
            if not kept or any(path.endswith(".py") for path in there - kept.keys()):
                return False
            return all((folder / path).read_bytes() == data for path, data in kept.items())
        except (OSError, PlantError):  # whatever that is, it is not what was applied
            return False

    # Putting a version back.

    def put_back(self, version: Version, now_ns: int) -> Version:
        """Make the plant folder what a version is; return the version that the folder was before.

        Exports that the version lacks stay: it reads none of them, and somebody made them.
        What is there is kept as a version first. A kill in between leaves what `finish` completes.

        Raises:
            PlantError: the version is damaged, or the disk does not take it.
        """
        content = self.content(version)
        before = self.keep(self.present(), now_ns, version.digest)
        with self._locked():
            with _told(self.root):
                put(self.root / _INTENT, msgspec.json.encode(_PuttingBack(version.digest, before.digest)))
            self._complete(content)
        return before

    def finish(self, now_ns: int) -> Version | None:
        """Complete what a kill interrupted; return the version that the folder is now, None if nothing was.

        Where the version that was to be put back is damaged or gone, the one before it comes back; where
        that is too, the folder stays as it is.

        Raises:
            PlantError: the disk does not take it.
        """
        intent = self._read(_INTENT, _PuttingBack)
        if intent is None:
            return None
        found = self._first_whole(intent.digest, intent.before)
        if found is None:
            with _told(self.root):
                (self.root / _INTENT).unlink()
            return None
        version, content = found
        present = self.present()
        if not self._is_between(present, content, intent.before):  # edited since: nothing is lost
            self.keep(present, now_ns, version.digest)
        with self._locked():
            self._complete(content)
        return version

    def _first_whole(self, *digests: str) -> tuple[Version, Content] | None:
        for digest in digests:
            try:
                version = self.find(digest)
                return version, self.content(version)
            except PlantError as exc:
                log.error("a rollback that was interrupted: %s", exc)
        return None

    def _is_between(self, present: Content, new: Content, before: str) -> bool:
        """Tell whether each file is as in the new content or as in the version before: kept already."""
        try:
            old = self.content(self.find(before))
        except PlantError:
            return False
        paths = {*present.files, *new.files, *old.files}
        return all(present.files.get(path) in (new.files.get(path), old.files.get(path)) for path in paths)

    def _complete(self, content: Content) -> None:
        with _told(self.folder):
            there = {file.relative_to(self.folder).as_posix() for file in own_files(self.folder, self.state)}
            for path, data in content.files.items():
                file = self.folder / path
                if path not in there or file.read_bytes() != data:
                    put(file, data)
            for path in sorted(there - set(content.files)):
                if is_data(path):
                    continue
                (self.folder / path).unlink()
                settle((self.folder / path).parent)
            (self.root / _INTENT).unlink(missing_ok=True)
            settle(self.root)

    # Where the plant stands.

    def standing(self) -> Standing:
        """Return what is known of the versions' fates; nothing where the file is lost or damaged."""
        return self._read(_STANDING, Standing) or Standing()

    def stand(self, standing: Standing) -> None:
        """Keep it.

        Raises:
            PlantError: the disk does not take it.
        """
        with _told(self.root):
            put(self.root / _STANDING, msgspec.json.encode(standing))

    def restand(self, change: Callable[[Standing], Standing]) -> Standing:
        """Keep what comes of it after a change, which nobody else makes one between; return it.

        Raises:
            PlantError: the disk does not take it.
        """
        with self._locked():
            after = change(self.standing())
            self.stand(after)
        return after

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode((self.root / name).read_bytes(), type=kind)
        except (OSError, msgspec.MsgspecError):
            return None

    def _write(self, version: Version, content: Content) -> None:
        """Write a version beside its place, then give it its name: it is there whole or not at all."""
        place = self.place(version)
        temporary = place.with_name(f".{place.name}.tmp")
        with _told(self.root):
            half = [each for each in self._versions.glob("[0-9]*") if not (each / _RECORD).exists()]
            for left in (*self._versions.glob(".*.tmp"), *half):  # by a kill
                shutil.rmtree(left, ignore_errors=True)
            for path, data in content.files.items():
                put(temporary / path, data)
            put(temporary / _RECORD, msgspec.json.encode(version))
            temporary.rename(place)
            settle(self._versions)

    def _prune(self, known: list[Version], kept: str) -> None:
        """Forget the oldest versions, but never those that the plant stands on."""
        standing = self.standing()
        needed = {kept, standing.good, standing.trying, known[-1].digest}
        needed |= {standing.failure.digest} if standing.failure else set()
        for version in known[: max(0, len(known) - KEPT)]:
            if version.digest not in needed:
                place = self.place(version)
                (place / _RECORD).unlink(missing_ok=True)  # from here on it is no version
                shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes away: a command for a stopped plant, a second start."""
        with _told(self.root):
            self._versions.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextmanager
def _told(what: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise PlantError(
            f"{exc.filename or what} cannot be written: {exc.strerror}",
            "give the plant's folders room and rights, then try again",
        ) from exc
