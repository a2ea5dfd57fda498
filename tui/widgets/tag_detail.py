"""All about the tag under the cursor, in three lines."""

from __future__ import annotations

from runtime.wire import TagView
from tui.model import View
from tui.shown import described, format_range, role_word
from tui.widgets.cells import Cell, Line
from tui.widgets.sheet import Sheet


class TagDetail(Sheet):
    """Follows the cursor of the tag list."""

    def show(self, view: View, tag: TagView | None) -> None:
        """Show a tag's definition."""
        self.put(_lines(view, tag) if tag else ())


def _lines(view: View, tag: TagView) -> list[Line]:
    words = view.words
    description = described(tag, words)
    role = role_word(tag.role, words)
    facts = [("tags.type", tag.type), ("tags.range", format_range(tag, words)), ("tags.access", tag.access)]
    if tag.access == "rw":
        facts.append(("tags.role", role))
    wired = [each for each in (tag.device, tag.address, tag.variable) if each]
    if wired:
        facts.append(("tags.wired", " ".join(wired)))
    if tag.interlock:
        facts.append(("tags.interlock", tag.interlock))
    cells: list[Cell] = []
    for name, value in facts:
        cells += [Cell(f" {words(name)} ", "label"), Cell(f"{value} ", "text")]
    return [(Cell(f" {tag.path}", "title"), Cell(f"  {description}", "text")), tuple(cells)]
