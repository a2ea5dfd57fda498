"""A line of choices, one of them taken: time windows, alarm list or journal."""

from __future__ import annotations

from collections.abc import Sequence

from tui.widgets.cells import Cell
from tui.widgets.sheet import Sheet

Choice = tuple[str, str, bool, str]
"""Key, text, whether it is the one, and the action that a click runs."""


class Tabs(Sheet):
    """Shows the choices."""

    def show(self, label: str, choices: Sequence[Choice], right: str = "") -> None:
        """Show a label and the choices after it."""
        cells = [Cell(f" {label} " if label else " ", "label")]
        for key, text, taken, action in choices:
            cells.append(Cell(f" {key} " if key else " ", "key", action))
            cells.append(Cell(f"[{text}]" if taken else f" {text} ", "title" if taken else "label", action))
            cells.append(Cell(" ", "label"))
        if right:
            cells.append(Cell(f"  {right}", "dim"))
        self.put([tuple(cells)])
