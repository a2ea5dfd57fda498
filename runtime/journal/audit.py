"""The audit trail: who tried to change what, and what came of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

from runtime.contract import Value
from runtime.journal import chain
from runtime.journal.schema import as_number, as_text, parsed, read_any_text, to_json
from runtime.journal.values import OperatorValue

if TYPE_CHECKING:
    from runtime.journal.store import Record

_WIDTH = 14  # cells of an entry
_FIELDS = ", ".join(f"?{number}" for number in range(1, _WIDTH + 1))
_NEXT = (
    "SELECT coalesce((SELECT hash FROM audit_head), x'') AS p,"
    " 1 + max(coalesce((SELECT seq FROM audit_head), 0), coalesce((SELECT max(seq) FROM audit), 0)) AS n"
)
_INSERT = (
    f"INSERT INTO audit ({chain.ALL_CELLS}, previous, hash)"  # noqa: S608 - our own names
    f" SELECT n, {_FIELDS}, p, audit_hash(p, n, {_FIELDS}) FROM ({_NEXT})"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """An electronic signature: who signed, when, and what it means.

    It is a cell of the audit row of what was signed, so the chain binds the two.

    Source: 21 CFR 11.50(a), 11.70; EU GMP Annex 11, 14.
    """

    name: str
    meaning: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One attempt of a person, client or app.

    Attributes:
        role: name of the role in lower case.
        via: the way it came (`console`, `opcua`, `app`).
        action: `write`, `acknowledge`, `restart`, ...
        type, unit_text: IEC type and unit of `old` and `new`; empty where they are no values of a tag.
        outcome: `done`, `refused` or `failed`; `detail` says why.
        keep: value of an operator tag to be kept for the next start, in the same commit.
        also: whatever else is to be kept in the same commit.
        signatures: of who asked, and of who approved.
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
    also: tuple[Record, ...] = ()
    signatures: tuple[Signature, ...] = ()
    type: str = ""
    unit_text: str = ""

    def cells(self) -> tuple[Any, ...]:
        """Return what the row holds, in order."""
        who = (self.at_ns, self.actor, self.role, self.via)
        what = (self.action, self.target, self.old, self.new)
        signatures = tuple(map(astuple, self.signatures))
        return *who, *what, self.reason, self.outcome, self.detail, signatures, self.type, self.unit_text

    @classmethod
    def of(cls, cells: Sequence[Any]) -> AuditEntry:
        """Return the entry of cells that were kept as JSON."""
        whole = list(cells) + [""] * (_WIDTH - len(cells))  # those of an older format lack the last
        *plain, signatures, type_, unit = whole
        signed = tuple(Signature(*each) for each in signatures)
        return replace(cls(*plain), signatures=signed, type=type_, unit_text=unit)

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes; the first gives the sequence number."""
        *head, old, new, reason, outcome, detail, signatures, type_, unit = self.cells()
        signed = json.dumps(signatures) if signatures else ""
        yield _INSERT, (*head, to_json(old), to_json(new), reason, outcome, detail, signed, type_, unit)
        yield chain.ADVANCE, ()
        if self.keep is not None:
            yield from self.keep.statements()
        for record in self.also:
            yield from record.statements()


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
    signatures: tuple[Signature, ...] = ()
    type: str = ""
    unit_text: str = ""


def audit_log(connection: sqlite3.Connection, limit: int, before: int | None = None) -> list[AuditRow]:
    """Return the newest entries, newest first; those before a sequence number if given."""
    read_any_text(connection)
    rows = connection.execute(
        f"SELECT {chain.all_cells(connection)} FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (2**63 - 1 if before is None else before, limit),
    )
    return [_row(*parsed(cells, 7, 8)) for cells in rows]


def _row(seq: int, at_ns: object, *cells: Any) -> AuditRow:
    """Return a row of the file, which anybody may have written; the chain names those that are not ours."""
    *who, old, new, reason, outcome, detail, signed, type_, unit = cells
    head = [seq, as_number(at_ns), *map(as_text, who), old, new, *map(as_text, (reason, outcome, detail))]
    return AuditRow(*[*head, _signatures(signed), as_text(type_), as_text(unit)])


def _signatures(cell: Any) -> tuple[Signature, ...]:
    try:
        found = json.loads(cell or "[]")
        return tuple(Signature(str(name), str(meaning), int(at_ns)) for name, meaning, at_ns in found)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return (Signature(as_text(cell), "cannot be read", 0),)


def last_done_ns(connection: sqlite3.Connection, action: str) -> int | None:
    """Return when something was done last; None for never."""
    row = connection.execute(
        "SELECT at_ns FROM audit WHERE action = ? AND outcome = 'done' ORDER BY seq DESC LIMIT 1", (action,)
    ).fetchone()
    return int(row[0]) if row else None
