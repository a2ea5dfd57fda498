"""Errors that people meet: each says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file; line and column count from 1, 0 where unknown."""

    file: Path | str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [str(self.file)]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong in the plant folder: place, what, and what to do about it."""

    text: str
    place: Place
    remedy: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {self.text}" + (f"\n    {self.remedy}" if self.remedy else "")


class PlantError(Exception):
    """Base of all errors that are told to people; `remedy` says what to do."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy

    def __str__(self) -> str:
        return self.text + (f" ({self.remedy})" if self.remedy else "")


class ConfigError(PlantError):
    """The plant folder is wrong; `findings` has every place."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(each) for each in findings))


class ConnectError(PlantError):
    """A device or server cannot be reached."""


class WriteRejectedError(PlantError):
    """A write or command was refused; the text says why."""


class ForbiddenError(WriteRejectedError):
    """Refused for who asks."""


class UnfitValueError(WriteRejectedError):
    """Refused for what is asked, whatever the state of the plant: a value out of range, a reason missing."""


class AbsentError(WriteRejectedError):
    """Refused because what it names is not there."""


class RateLimitedError(WriteRejectedError):
    """Refused for coming too often; after `wait_s` there is room."""

    def __init__(self, text: str, remedy: str = "", wait_s: int = 1) -> None:
        super().__init__(text, remedy)
        self.wait_s = wait_s


class ReturnedError(PlantError):
    """A component became what was wanted, did not do well, and is what it was before."""


class UnknownVariableError(PlantError, KeyError):
    """A program has no such variable."""

    def __str__(self) -> str:
        return PlantError.__str__(self)


class StoreError(PlantError):
    """A store on disk cannot be read or written."""
