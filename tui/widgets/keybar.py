"""The two lines at the bottom: keys of the screen, and the screens themselves. All can be clicked."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui.locale import Words
from tui.widgets.cells import Cell, Line
from tui.widgets.sheet import Sheet

SCREENS = ("overview", "alarms", "trend", "tags", "system", "gate")
Hint = tuple[str, str, str]
"""A key as people read it, the text's key in the locale, and the action that a click runs."""


class KeyBar(Sheet):
    """Shows which keys do what."""

    def show(self, words: Words, current: str, hints: Sequence[Hint]) -> None:
        """Show the keys of a screen and mark it among the screens."""
        keys: list[Cell] = []
        room = self.size.width
        for key, text, action in hints:
            part = f" {key} "
            label = f"{words(text)}  "
            room -= cell_len(part + label)
            if room < 0:
                break
            keys += [Cell(part, "key", action), Cell(label, "label", action)]
        self.put([tuple(keys), self._screens(words, current)])

    def _screens(self, words: Words, current: str) -> Line:
        cells: list[Cell] = []
        for number, name in enumerate(SCREENS, 1):
            here = "title" if name == current else "label"
            action = f"app.goto('{name}')"
            cells += [Cell(f" F{number} ", "key", action), Cell(f"{words(f'nav.{name}')} ", here, action)]
        right = [
            Cell(" ? ", "key", "app.help"),
            Cell(f"{words('key.help')} ", "label", "app.help"),
            Cell(" q ", "key", "app.quit"),
            Cell(f"{words('key.quit')} ", "label", "app.quit"),
        ]
        speak = [Cell(" l ", "key", "app.speak"), Cell(f"{words('language.other')} ", "label", "app.speak")]
        used = sum(cell_len(cell.text) for cell in (*cells, *right))
        room = sum(cell_len(cell.text) for cell in speak)
        if used + room <= self.size.width:  # the header has it too
            right[2:2] = speak
            used += room
        return (*cells, Cell(" " * max(0, self.size.width - used), "label"), *right)
