"""A SQLite file that a store keeps through kills and losses of power; what is damaged is set aside."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from runtime.config import make_folder
from runtime.errors import StoreError


def open_file(
    path: Path, what: str, prepare: Callable[[sqlite3.Connection], None], now_ns: int
) -> tuple[sqlite3.Connection, str]:
    """Open a file or begin one; return the connection, and what was wrong with the file and is set right.

    Args:
        path: the file; its folder is made.
        what: the store's name, for people.
        prepare: makes the tables of a new file, and checks that an older one can be used.
        now_ns: wall time, in the name of a damaged file that is set aside.

    Raises:
        StoreError: the folder or file cannot be used.
    """
    try:
        make_folder(path.parent)
        return _begin(path, prepare), ""
    except (OSError, sqlite3.OperationalError) as exc:
        raise StoreError(
            f"the {what} {path} cannot be opened: {getattr(exc, 'strerror', None) or exc}",
            "check that the folder exists, may be written, and its disk has space",
        ) from exc
    except (sqlite3.DatabaseError, UnicodeDecodeError) as exc:  # Python reads SQLite's words as UTF-8, too
        kept = f"{path.name}.corrupt-{now_ns}"
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                file.rename(path.with_name(kept + suffix))
        return _begin(
            path, prepare
        ), f"the {what} was damaged ({exc}); it is kept as {kept} and a new one was begun"


def known_or_empty(connection: sqlite3.Connection, table: str, columns: Iterable[str]) -> list[str]:
    """Return what to select for columns of a table, which an older format may lack; they are text then."""
    known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    return [column if column in known else "''" for column in columns]


def _begin(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    if os.geteuid() == 0 and not path.exists():  # the account of the plant must be able to open it too
        owner = path.parent.stat()
        path.touch()
        os.chown(path, owner.st_uid, owner.st_gid)
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (report,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if report != "ok":
            raise sqlite3.DatabaseError(report)
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection
