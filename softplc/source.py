"""Source texts: one offset space over all files, and the way back to file, line and column."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from softplc.iectypes import align_up


@dataclass(slots=True)
class Source:
    """One file; `base` is the global offset of its first character."""

    name: str
    text: str
    base: int
    index: int
    starts: list[int] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """Return the text that lines and columns count in: what people see."""
        return self.text

    @property
    def mapped(self) -> bool:
        """Tell whether the text was made of the file, so that its offsets are not those of the file."""
        return False

    def line_starts(self) -> list[int]:
        """Return the offset at which each line begins."""
        if not self.starts:
            self.starts = [0]
            self.starts.extend(i + 1 for i, char in enumerate(self.shown) if char == "\n")
        return self.starts

    def place(self, at: int) -> tuple[int, int]:
        """Return line and column, from 1, of a global offset."""
        starts = self.line_starts()
        local = min(max(at - self.base, 0), len(self.text))
        line = bisect_right(starts, local)
        return line, local - starts[line - 1] + 1

    def span(self, at: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the places of a piece of text: its first character, and what is behind it."""
        return self.place(at), self.place(max(end, at))

    def where(self, at: int) -> str:
        """Return what helps to find a place beside its line, or nothing."""
        return ""

    def line_text(self, line: int) -> str:
        starts = self.line_starts()
        if not 0 < line <= len(starts):
            return ""
        end = starts[line] - 1 if line < len(starts) else len(self.shown)
        return self.shown[starts[line - 1] : end].rstrip("\r")


class SourceSet:
    """All files of one compilation; a position anywhere is a single integer.

    Each file begins at a multiple of `room`, so that those behind one that grows keep their place.
    """

    def __init__(self, room: int = 1) -> None:
        self._room = room
        self.files: list[Source] = []
        self._bases: list[int] = []
        self._end = 0

    def add(self, name: str, text: str) -> Source:
        return self.take(Source(name, text, 0, 0))

    def take(self, source: Source) -> Source:
        """Give a source its place behind the others."""
        source.base, source.index = self._end, len(self.files)
        self.files.append(source)
        self._bases.append(source.base)
        self._end += align_up(len(source.text) + 1, self._room)
        return source

    def drop(self, source: Source) -> None:
        """Forget the last source; nothing may lie in it any more."""
        if self.files[-1] is not source:
            raise ValueError(f"{source.name} is not the last source")
        self.files.pop()
        self._end = self._bases.pop()

    def at(self, position: int) -> Source:
        return self.files[max(0, bisect_right(self._bases, position) - 1)]

    def line(self, position: int) -> int:
        return self.at(position).place(position)[0]
