"""The keys and the marks, on one page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from tui.locale import Words
from tui.model import PRIORITIES, View
from tui.screens.dialog import Dialog
from tui.shown import PRIORITY_SHAPE
from tui.widgets.keybar import SCREENS, Hint

_MARKS = (("×", "bad"), ("~", "uncertain"), ("?", "stale"), ("=", "override"), ("…", "loading"))

_KEY_WIDTH = 12


class HelpDialog(Dialog):
    """Lists what can be done here."""

    def __init__(self, view: View, hints: Sequence[Hint]) -> None:
        super().__init__(view)
        self._hints = hints

    def title_text(self) -> str:
        return self.words("help.title")

    def body(self) -> ComposeResult:
        words = self.words
        screens = [(f"F{n} {n}", words(f"nav.{name}")) for n, name in enumerate(SCREENS, 1)]
        here = [(key, words(text)) for key, text, _ in self._hints]
        everywhere = [
            ("↑↓ PgUp/Dn", words("help.move")),
            ("l", words("help.language")),
            ("?", words("key.help")),
            ("q", words("key.quit")),
        ]
        marks = [(mark, words(f"help.mark.{name}")) for mark, name in _MARKS]
        marks += [(PRIORITY_SHAPE[name], words(f"priority.{name}")) for name in PRIORITIES]
        with Horizontal(id="columns"):
            left = _page(words, (("help.screens", screens), ("help.here", here)))
            yield Static(left, markup=False)
            right = _page(words, (("help.everywhere", everywhere), ("help.marks", marks)))
            yield Static(right, markup=False)

    def buttons(self) -> Sequence[tuple[str, str]]:
        return (("cancel", f"{self.words('key.close')} (Esc)"),)

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()


def _page(words: Words, parts: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    lines: list[str] = []
    for title, rows in parts:
        lines += [
            words(title),
            *(f" {key}{' ' * (_KEY_WIDTH - cell_len(key))}{text}" for key, text in rows),
            "",
        ]
    return "\n".join(lines[:-1])
