"""How many rows the refusals of one actor may have: a client that tries for ever fills no disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runtime.clock import SECOND_NS
from runtime.journal.audit import AuditEntry

BURST = 60
_ACTORS = 1000


@dataclass(slots=True)
class _Rows:
    room: float
    at_ns: int
    untold: int = 0
    last: AuditEntry | None = None


class Refusals:
    """Sixty rows at once, then one a second, which tells how many attempts have none."""

    def __init__(self) -> None:
        self._actors: dict[str, _Rows] = {}

    def paced(self, row: AuditEntry, now_ns: int) -> AuditEntry | None:
        """Return the row as it is to be kept; None where a later one counts it."""
        rows = self._actors.pop(row.actor, None) or _Rows(BURST, now_ns)
        while len(self._actors) >= _ACTORS:
            del self._actors[next(iter(self._actors))]  # whoever has been quiet for longest
        self._actors[row.actor] = rows
        if not _take(rows, now_ns):
            rows.untold += 1
            rows.last = row
            return None
        return _told(row, rows)

    def due(self, now_ns: int) -> list[AuditEntry]:
        """Return the rows of those who have stopped: the last attempt of each that was not told."""
        ended = []
        for rows in self._actors.values():
            if rows.last is not None and _take(rows, now_ns):
                rows.untold -= 1
                ended.append(_told(rows.last, rows))
        return ended


def _take(rows: _Rows, now_ns: int) -> bool:
    rows.room = min(BURST, rows.room + (now_ns - rows.at_ns) / SECOND_NS)
    rows.at_ns = now_ns
    if rows.room < 1:
        return False
    rows.room -= 1
    return True


def _told(row: AuditEntry, rows: _Rows) -> AuditEntry:
    count, rows.untold, rows.last = rows.untold, 0, None
    if not count:
        return row
    return replace(row, detail=f"{row.detail}; {count} refused attempts before have no row of their own")
