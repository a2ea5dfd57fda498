"""The figures of the whole line: a name above, the value below, as many beside each other as fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from runtime.wire import TagView
from tui.equipment import is_state
from tui.model import View
from tui.shown import fit, label_of, show, show_state, unit_of
from tui.widgets.cells import Cell, Line
from tui.widgets.sheet import Sheet

MIN_WIDTH = 16
MAX_WIDTH = 24


class Figures(Sheet):
    """One or two rows of figures; what does not fit is left to the tag browser."""

    def show(self, view: View, tags: Sequence[TagView], rows: int) -> None:
        """Show the newest values in at most so many rows."""
        self.display = bool(tags)
        room = max(MIN_WIDTH, self.size.width - 1)
        columns = max(1, min(room // MIN_WIDTH, -(-len(tags) // rows)))
        width = min(MAX_WIDTH, room // columns)
        lines: list[Line] = []
        for first in range(0, min(len(tags), columns * rows), columns):
            lines += _row(view, tags[first : first + columns], width)
        self.put(lines)


def _row(view: View, tags: Sequence[TagView], width: int) -> list[Line]:
    names = [Cell(" ")]
    values = [Cell(" ")]
    for tag in tags:
        label = view.words("column.state") if is_state(tag) else label_of(tag, view.words, width - 2)
        names.append(Cell(fit(label, width - 2) + "  ", "label"))
        if is_state(tag):
            shown = show_state(view, tag)
            text, unit = f"{shown.mark} {_cut(shown.text, width - 3)}", ""
        else:
            shown = show(view, tag)
            text, unit = f"{_cut(shown.text, width - 2)}{shown.mark}", unit_of(tag)
        style = "title" if shown.style in ("value", "text") else shown.style
        values += [Cell(text, style), Cell(fit(unit, max(0, width - cell_len(text))), "label")]
    return [tuple(names), tuple(values)]


def _cut(text: str, most: int) -> str:
    """Return a text of at most so many cells, so that the next value stands below its own name."""
    return fit(text, min(cell_len(text), most))
