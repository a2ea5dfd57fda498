"""What became of the plant's configurations: which ran, by whom, and which did not come up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ConfigRecord:
    """One step in a configuration's life.

    Attributes:
        action: `start`, `apply`, `rollback` or `return` (to the last good version, by itself).
        version: its number; `digest` is over its files.
        result: `applied`, `good` (it came up), `failed` or `rolled back`; `detail` says more.
    """

    at_ns: int
    actor: str
    action: str
    version: int
    digest: str
    comment: str
    result: str
    detail: str = ""

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        values = (self.at_ns, self.actor, self.action, self.version, self.digest, self.comment)
        yield (
            "INSERT INTO config_log (at_ns, actor, action, version, digest, comment, result, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, self.result, self.detail),
        )


def config_log(connection: sqlite3.Connection, limit: int) -> list[ConfigRecord]:
    """Return the newest records, newest first."""
    rows = connection.execute(
        "SELECT at_ns, actor, action, version, digest, comment, result, detail FROM config_log"
        " ORDER BY seq DESC LIMIT ?",
        (limit,),
    )
    return [ConfigRecord(*row) for row in rows]
