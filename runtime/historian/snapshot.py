"""The whole history as of one time, in another folder: for a backup of a plant that runs."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from runtime.historian.cold import part_name, quoted
from runtime.historian.faults import told
from runtime.historian.store import TAGS_FILE, Store

log = logging.getLogger(__name__)


def snapshot(store: Store, folder: Path) -> None:
    """Copy the store and link its files; the caller sees to it that no file goes meanwhile.

    Raises:
        StoreError: the store cannot be read, or the folder not be written.
    """
    with told("the history cannot be copied"), store.reading() as cursor:
        folder.mkdir(parents=True, exist_ok=True)
        cursor.execute(f"ATTACH {quoted(folder / store.path.name)} AS snapshot")
        try:
            cursor.execute("SELECT current_database()")
            cursor.execute(f'COPY FROM DATABASE "{(cursor.fetchone() or ("",))[0]}" TO snapshot')
            cursor.execute("SELECT day, keep, number FROM snapshot.parts")
            names = [part_name(*row) for row in cursor.fetchall()]
            cursor.execute("CHECKPOINT snapshot")
        finally:
            cursor.execute("DETACH snapshot")
        for name in (*names, TAGS_FILE):
            _link(store.folder / name, folder / store.folder.name / name)


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except FileNotFoundError:
        log.warning("%s is gone: the backup goes without it", file)
    except OSError:  # a disk without links
        shutil.copyfile(file, target)
