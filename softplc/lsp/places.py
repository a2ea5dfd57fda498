"""Places: offsets of the compiler to lines and columns of an editor, and back.

Source: Language Server Protocol 3.17, Position: columns count UTF-16 code units unless agreed otherwise.
"""

from __future__ import annotations

from lsprotocol import types
from pygls.workspace import PositionCodec

from softplc.source import Source, SourceSet


class Places:
    """Converts, counting columns as the client does."""

    def __init__(self, codec: PositionCodec) -> None:
        self._codec = codec

    def offset(self, text: str, position: types.Position) -> int:
        """Return the offset of a position; one behind the end of its line is there."""
        start = 0
        for _ in range(position.line):
            end = text.find("\n", start)
            if end < 0:
                return len(text)
            start = end + 1
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)].rstrip("\r")
        units = 0
        for column, char in enumerate(line):
            if units >= position.character:
                return start + column
            units += self._codec.client_num_units(char)
        return start + len(line)

    def position(self, source: Source, at: int) -> types.Position:
        """Return the position of a global offset."""
        line, column = source.place(at)
        start = source.line_starts()[line - 1]
        before = source.shown[start : start + column - 1]
        return types.Position(line - 1, self._codec.client_num_units(before))

    def range(self, texts: SourceSet, at: int, end: int) -> types.Range:
        source = texts.at(at)
        return types.Range(self.position(source, at), self.position(source, max(end, at)))

    def of_line(self, source: Source, line: int, column: int) -> types.Position:
        """Return the position of a line and column that count from 1."""
        starts = source.line_starts()
        start = starts[min(line, len(starts)) - 1]
        before = source.shown[start : start + column - 1]
        return types.Position(line - 1, self._codec.client_num_units(before))
