"""Values of operator tags (setpoints, modes), kept so that they survive a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.contract import Batch, Tags

_SIGN = 1 << 63
_WRAP = 1 << 64


@dataclass(frozen=True, slots=True)
class OperatorValue:
    """The last value of one tag.

    Attributes:
        path: whole path of the tag.
        type: IEC name of the type that `raw` is a pattern of; a value of another type is not restored.
    """

    path: str
    type: str
    raw: int
    text: str | None
    quality: int
    source_ns: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield (
            "INSERT OR REPLACE INTO operator_values VALUES (?, ?, ?, ?, ?, ?)",
            (self.path, self.type, _signed(self.raw), self.text, self.quality, self.source_ns),
        )


@dataclass(frozen=True, slots=True)
class AbsentValue:
    """Another value for an operator tag that the plant does not have now: with it the tag comes back.

    Nothing is kept of a tag that was never one, or is of another type.
    """

    path: str
    type: str
    raw: int
    text: str | None
    source_ns: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield (
            "UPDATE operator_values SET raw = ?, text = ?, source_ns = ? WHERE path = ? AND type = ?",
            (_signed(self.raw), self.text, self.source_ns, self.path, self.type),
        )


def _signed(raw: int) -> int:
    """Return a pattern as SQLite's integers have it."""
    return raw - _WRAP if raw >= _SIGN else raw


def operator_values(connection: sqlite3.Connection) -> list[OperatorValue]:
    """Return all kept values by path."""
    rows = connection.execute(
        "SELECT path, type, raw, text, quality, source_ns FROM operator_values ORDER BY path"
    )
    return [OperatorValue(path, type_, raw % _WRAP, *rest) for path, type_, raw, *rest in rows]


def restored(values: Sequence[OperatorValue], tags: Tags) -> Batch:
    """Return the values as a batch, of those whose tag is still set by operators and of the same type."""
    kept = [
        (tags[value.path].id, value)
        for value in values
        if value.path in tags
        and tags[value.path].source == "operator"
        and tags[value.path].data_type.iec == value.type
    ]
    return Batch.of(
        [id_ for id_, _ in kept],
        [value.raw for _, value in kept],
        np.array([value.source_ns for _, value in kept], np.int64),
        np.array([value.quality for _, value in kept], np.uint32),
        {row: value.text for row, (_, value) in enumerate(kept) if value.text is not None},
    )
