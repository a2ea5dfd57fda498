"""What goes into a backup: the plant folder and the state folder, gathered so that all is of one time.

Everything is copied into a folder within the state folder first: databases through their own means, cold
history as links, since those files never change. Caches, logs and what was set aside as damaged stay behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime import statelock
from runtime.backup.manifest import PLANT, STATE, SUFFIX
from runtime.backup.pack import Source
from runtime.config import Plant
from runtime.errors import StoreError

FOLDER = "backup.unfinished"
_SQLITE = ".sqlite"
_HISTORY = "history"
_NOT_STATE = re.compile(
    rf"cache/.*|plc/(core|forces)\.json|plc/record/.*|{FOLDER}/.*|{statelock.NAME}|.*\.(unfinished|tmp|log(\.\d+)?|format-\d+)"
    rf"|.*{_SQLITE}-(wal|shm)|.*\.corrupt.*",
    re.DOTALL,
)


@contextmanager
def staging(plant: Plant) -> Iterator[Path]:
    """Give a folder to gather in; what a killed backup left there goes, and in the end all of it.

    Raises:
        StoreError: it cannot be made or filled.
    """
    folder = plant.state / FOLDER
    try:
        with gathering(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, parents=True)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def gathering(folder: Path) -> Iterator[None]:
    """Tell what the disk refuses.

    Raises:
        StoreError: it does.
    """
    try:
        yield
    except OSError as exc:
        raise StoreError(
            f"the backup cannot be gathered: {exc.filename or folder}: {exc.strerror or exc}",
            "a backup needs room for a copy of the newest history on the disk of the state folder",
        ) from exc


def gather(plant: Plant, into: Path, *, live_history: bool, leave_out: Path | None = None) -> None:
    """Copy what a backup needs, all but the history of a historian that runs.

    Args:
        plant: whose folders.
        into: the folder of `staging`.
        live_history: whether the historian runs, and adds its own files.
        leave_out: a folder of backups, which are not backed up again.
    """
    home, state = plant.folder.resolve(), plant.state.resolve()
    left_out = {leave_out.resolve()} if leave_out else set()
    for file in _files(home, left_out | {state}):
        _copy(file, into / PLANT / file.relative_to(home))
    for file in _files(state, left_out):
        relative = file.relative_to(state)
        name = relative.as_posix()
        of_history = name.startswith((f"{_HISTORY}.", f"{_HISTORY}/"))
        if _NOT_STATE.fullmatch(name) or (of_history and live_history):
            continue
        if file.suffix == _SQLITE:
            _copy_sqlite(file, into / STATE / relative)
        elif of_history:
            link(file, into / STATE / relative)
        else:
            _copy(file, into / STATE / relative)


def sources(staged: Path) -> list[Source]:
    """Return what was gathered, the plant folder first."""
    return [
        Source(f"{part}/{file.relative_to(staged / part).as_posix()}", file)
        for part in (PLANT, STATE)
        for file in sorted((staged / part).rglob("*"))
        if file.is_file()
    ]


def link(file: Path, target: Path) -> None:
    """Give a file that never changes a second name, where the disk can; else copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copy2(file, target)


def _files(folder: Path, left_out: set[Path]) -> Iterator[Path]:
    for found, folders, names in os.walk(folder):
        here = Path(found)
        folders[:] = sorted(
            name
            for name in folders
            if name != "__pycache__"
            and here / name not in left_out
            and not (here / name / "journal.sqlite").exists()  # the state of a rack beside this plant
        )
        for name in sorted(names):
            if not name.endswith(SUFFIX) and (here / name).is_file():
                yield here / name


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # gone since it was listed
        shutil.copy2(file, target)


def _copy_sqlite(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        uri = f"{file.as_uri()}?mode=ro"
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as exc:
        raise StoreError(f"{file} cannot be copied: {exc}", "see `ironworks doctor`") from exc
