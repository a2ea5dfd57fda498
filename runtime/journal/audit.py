"""The audit trail: who tried to change what, and what came of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.contract import Value
from runtime.journal.schema import parsed, to_json
from runtime.journal.values import OperatorValue

_INSERT = (
    "INSERT INTO audit (at_ns, actor, role, via, action, target, old, new, reason, outcome, detail)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One attempt of a person, client or app.

    Attributes:
        role: name of the role in lower case.
        via: the way it came (`console`, `opcua`, `app`).
        action: `write`, `acknowledge`, `restart`, ...
        outcome: `done`, `refused` or `failed`; `detail` says why.
        keep: value of an operator tag to be kept for the next start, in the same commit.
    """

    at_ns: int
    actor: str
    role: str
    via: str
    action: str
    target: str
    old: Value | None = None
    new: Value | None = None
    reason: str = ""
    outcome: str = "done"
    detail: str = ""
    keep: OperatorValue | None = None

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes; the first gives the sequence number."""
        old, new = to_json(self.old), to_json(self.new)
        yield (
            _INSERT,
            (
                self.at_ns,
                self.actor,
                self.role,
                self.via,
                self.action,
                self.target,
                old,
                new,
                self.reason,
                self.outcome,
                self.detail,
            ),
        )
        if self.keep is not None:
            yield from self.keep.statements()


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it stands in the journal."""

    seq: int
    at_ns: int
    actor: str
    role: str
    via: str
    action: str
    target: str
    old: Value | None
    new: Value | None
    reason: str
    outcome: str
    detail: str


def audit_log(connection: sqlite3.Connection, limit: int, before: int | None = None) -> list[AuditRow]:
    """Return the newest entries, newest first; those before a sequence number if given."""
    rows = connection.execute(
        "SELECT seq, at_ns, actor, role, via, action, target, old, new, reason, outcome, detail"
        " FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?",
        (2**63 - 1 if before is None else before, limit),
    )
    return [AuditRow(*parsed(row, 7, 8)) for row in rows]
