"""Diagnostics: what the compiler has to say, as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches

from runtime.errors import PlantError
from softplc.source import SourceSet

ERROR, WARNING = "error", "warning"
MAX_MESSAGE = 240
MAX_LINE = 160


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: `at` and `end` are global offsets, the rest of the place is filled in by `located`."""

    code: str
    message: str
    at: int
    end: int
    remedy: str = ""
    severity: str = ERROR
    file: str = ""
    line: int = 0
    column: int = 0
    source_line: str = ""
    end_line: int = 0
    end_column: int = 0

    def located(self, sources: SourceSet) -> Diagnostic:
        """Return the same finding with file, line and column; the end column is the one behind it."""
        source = sources.at(self.at)
        (line, column), (end_line, end_column) = source.span(self.at, self.end)
        where = source.where(self.at)
        return replace(
            self,
            message=shortened(self.message, MAX_MESSAGE) + (f" ({where})" if where else ""),
            file=source.name,
            line=line,
            column=column,
            source_line=source.line_text(line),
            end_line=end_line,
            end_column=end_column,
        )

    def render(self) -> str:
        """Return the text people read: place, message, source line with carets, remedy."""
        text = f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code}: {self.message}"
        if self.source_line.strip():
            shown = self.source_line.expandtabs(1)
            start = max(0, self.column - MAX_LINE // 2) if len(shown) > MAX_LINE else 0
            shown = shown[start : start + MAX_LINE]
            column = self.column - start
            there = self.end_line == self.line
            width = self.end_column - self.column if there else self.end - self.at
            width = max(1, min(width, len(shown) - column + 1))
            gutter = f"{self.line:5} | "
            text += f"\n{gutter}{shown}\n{' ' * (len(gutter) - 2)}| {' ' * (column - 1)}{'^' * width}"
        if self.remedy:
            text += f"\n      help: {self.remedy}"
        return text

    def as_dict(self) -> dict[str, str | int]:
        """Return what a machine reads."""
        fields = asdict(self)
        return {key: value for key, value in fields.items() if key not in ("at", "end")}


def shortened(text: str, length: int) -> str:
    """Cut a text in its middle."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} ... {text[-half:]}"


class CompileError(PlantError):
    """The program is wrong; `diagnostics` has every finding in order of place."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(each.render() for each in self.diagnostics))

    def __reduce__(self) -> tuple[type[CompileError], tuple[tuple[Diagnostic, ...]]]:
        return (type(self), (self.diagnostics,))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a remedy that names the nearest known name, or nothing."""
    by_key = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), by_key, n=1, cutoff=0.7)
    return f"did you mean {by_key[near[0]]}?" if near else ""
