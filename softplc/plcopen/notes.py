"""What there is to say about a project, by the element it is about."""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc.diagnostics import ERROR, WARNING
from softplc.plcopen.text import Origin

BROKEN, IL, UNKNOWN, NETWORK, NAME = "ST1020", "ST1021", "ST1022", "ST1023", "ST1024"
LOOSE, PRAGMA, ELSEWHERE = "ST6020", "ST6021", "ST6022"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to say."""

    code: str
    message: str
    origin: Origin
    remedy: str
    severity: str = ERROR


@dataclass(slots=True)
class Notes:
    """Everything to say about one file."""

    found: list[Note] = field(default_factory=list)

    def error(self, code: str, message: str, origin: Origin, remedy: str) -> None:
        self.found.append(Note(code, message, origin, remedy))

    def warning(self, code: str, message: str, origin: Origin, remedy: str) -> None:
        self.found.append(Note(code, message, origin, remedy, WARNING))
