"""A few lines of styled text: what is not a list."""

from __future__ import annotations

from collections.abc import Sequence

from tui.shown import plain
from tui.widgets.cells import Cells, Line


class Sheet(Cells, can_focus=False):
    """Shows the lines that it is given."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._lines: Sequence[Line] = ()

    def line(self, y: int) -> Line:
        index = y + round(self.scroll_offset.y)
        return self._lines[index] if index < len(self._lines) else ()

    def put(self, lines: Sequence[Line]) -> None:
        """Show other lines."""
        self._lines = [tuple(cell._replace(text=plain(cell.text)) for cell in line) for line in lines]
        self.resize_content(len(lines))
        self.sync()
