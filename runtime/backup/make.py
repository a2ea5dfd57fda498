"""What every backup takes: manifest and name; and the whole backup of a plant that does not run."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from runtime import statelock
from runtime.backup.manifest import FORMAT, SUFFIX, Manifest, possible
from runtime.backup.pack import Source, entries, packed, write_whole
from runtime.backup.staging import gather, sources, staging
from runtime.config.plant import Plant, make_folder
from runtime.errors import StoreError
from runtime.journal import AuditEntry, chain
from runtime.journal.schema import VERSION


def prepare(
    plant: Plant, staged: Path, at_ns: int, tell: Callable[[], None] = lambda: None
) -> tuple[Manifest, list[Source]]:
    """Return the manifest of what was gathered, and its files.

    Raises:
        StoreError: a file has a name that could not be restored.
    """
    found = sources(staged)
    for each in found:
        if not possible(each.name):
            raise StoreError(
                f"a backup cannot hold the file {each.name!r}",
                "give it a shorter name, in UTF-8 and without control characters, or move it elsewhere",
            )
    files = entries(found, tell)
    return Manifest(FORMAT, version("ironworks"), plant.name, plant.file.name, at_ns, files), found


def file_name(plant: str, at_ns: int) -> str:
    """Return the usual name of a backup."""
    at = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{plant}-{at:%Y%m%dT%H%M%SZ}{SUFFIX}"


def made_before(plant: str, target: Path) -> list[Path]:
    """Return the plant's backups of usual names beside the newest, oldest first, it the last.

    Those of later names are older as well: the clock was ahead when they were made.
    """
    usual = re.compile(rf"{re.escape(plant)}-\d{{8}}T\d{{6}}Z{re.escape(SUFFIX)}")
    found = [file for file in target.parent.iterdir() if usual.fullmatch(file.name)]
    return sorted(found, key=lambda file: (file.name <= target.name, file.name))


def back_up_stopped(plant: Plant, target: Path, at_ns: int, tell: Callable[[int], None]) -> Manifest:
    """Write a backup of a plant that does not run; it cannot start meanwhile.

    Raises:
        PlantError: it runs, or the backup cannot be written.
    """
    make_folder(plant.state)
    with statelock.held(plant.state), staging(plant) as staged:
        gather(plant, staged, live_history=False)
        manifest, found = prepare(plant, staged, at_ns)
        write_whole(target, packed(manifest, found), tell)
    return manifest


def note(journal: Path, entry: AuditEntry) -> bool:
    """Keep an audit row in the journal of a plant that does not run; False where that is not possible.

    A journal of an older format, or one that is damaged, stays as it is: the next start mends it.
    """
    if not journal.is_file():
        return False
    try:
        with closing(sqlite3.connect(journal, timeout=10, isolation_level=None)) as connection:
            chain.install(connection)
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found != VERSION:
                return False
            connection.execute("BEGIN IMMEDIATE")
            for sql, values in entry.statements():
                connection.execute(sql, values)
            connection.execute("COMMIT")
    except sqlite3.Error:
        return False
    return True
