"""The strip of the line's figures: a name above, the value below, as many beside each other as fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from runtime.client import TagView
from tui.model import View
from tui.shown import fit, label_of, show
from tui.widgets.cells import Cell
from tui.widgets.sheet import Sheet

WIDTH = 16


class Figures(Sheet):
    """Two lines of figures."""

    def show(self, view: View, tags: Sequence[TagView]) -> None:
        """Show the newest values; what does not fit is left to the tag browser."""
        room = self.size.width - 1
        count = min(len(tags), max(1, room // WIDTH))
        self.display = bool(tags)
        if not count:
            return
        width = min(24, room // count)
        names = [Cell(" ")]
        values = [Cell(" ")]
        for tag in tags[:count]:
            shown = show(view, tag)
            names.append(Cell(fit(label_of(tag, view.words, width - 2), width - 2) + "  ", "label"))
            text = f"{shown.text}{shown.mark}"
            style = "title" if shown.style == "value" else shown.style
            values += [Cell(text, style), Cell(fit(tag.unit_text, max(0, width - cell_len(text))), "label")]
        self.put([tuple(names), tuple(values)])
