"""Trace: values of variables scan by scan, kept where they change, shown as a table."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from softplc.application import Symbol
from softplc.image import CHARACTERS, STRINGS, read_value
from softplc.simulator import Simulator
from softplc.texts import duration_text, shown

MOST_ROWS = 100_000
WIDTH = 110
LONGEST = 30


class Trace:
    """What some variables were from a moment on: a row for each scan in which one of them changed.

    `rows` are (time in ns, values in the order of `paths`), the oldest given up beyond 100,000.
    """

    def __init__(self, simulator: Simulator, paths: Sequence[str], most: int = MOST_ROWS) -> None:
        self._simulator = simulator
        self._found = [simulator.application.find(path) for path in paths]
        self.paths = tuple(paths)
        self.rows: deque[tuple[int, tuple[Any, ...]]] = deque(maxlen=most)

    def sample(self, now_ns: int) -> None:
        """Note the values, if one has changed."""
        image, read = self._simulator.image, self._simulator.read
        values = tuple(
            read_value(image, found) if isinstance(found, Symbol) else read(path)
            for path, found in zip(self.paths, self._found, strict=True)
        )
        if not self.rows or self.rows[-1][1] != values:
            self.rows.append((now_ns, values))

    def changes(self, path: str) -> list[tuple[float, Any]]:
        """Return (seconds, value) of one variable: the first and each that differs from the one before.

        Raises:
            KeyError: the trace does not have it.
        """
        keys = [each.casefold() for each in self.paths]
        if path.casefold() not in keys:
            raise KeyError(f"{path} is not in this trace of {', '.join(self.paths)}")
        column = keys.index(path.casefold())
        found: list[tuple[float, Any]] = []
        for now_ns, values in self.rows:
            if not found or found[-1][1] != values[column]:
                found.append((now_ns / 1e9, values[column]))
        return found

    def __str__(self) -> str:
        return "\n\n".join(self._tables())

    def _tables(self) -> Iterator[str]:
        """Yield tables that are narrow enough; a value stands where it is new."""
        times = ["time", *(duration_text(now_ns, "") for now_ns, _ in self.rows)]
        group, width = [times], max(map(len, times))
        for column, path in enumerate(self.paths):
            cells, last = [path], None
            for _, values in self.rows:
                text = text_of(self._found[column], values[column])
                cells.append("" if text == last else text)
                last = text
            needed = 2 + max(map(len, cells))
            if len(group) > 1 and width + needed > WIDTH:
                yield _table(group)
                group, width = [times], max(map(len, times))
            group.append(cells)
            width += needed
        yield _table(group)


def _table(columns: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in zip(*columns, strict=True):
        if row[0] != "time" and not any(row[1:]):
            continue  # the change is in another table
        cells = [row[0].rjust(widths[0]), *(c.ljust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def text_of(found: Symbol | tuple[Any, ...], value: Any) -> str:
    """Return how a value is written in ST; long ones are cut."""
    if isinstance(found, Symbol):
        names = {number: name for name, number in found.values.items()}
        if value in names:
            return names[value]
        if found.type in STRINGS or found.type in CHARACTERS:
            text = repr(value)
        else:
            value = shown(found.type, value)
            text = str(value).upper() if isinstance(value, bool) else str(value)
    else:
        text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
