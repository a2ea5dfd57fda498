"""The tag list: value, unit, quality by mark, word and colour, age, source."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from tui.model import View
from tui.shown import described, format_age, show, unit_of
from tui.widgets.cells import Cell
from tui.widgets.rows import Column, Rows


class TagList(Rows[int]):
    """Rows are tags by id; `marked` ones carry a tick."""

    COLUMNS: ClassVar[Sequence[Column]] = (
        Column("", 1),
        Column("column.tag", -3),
        Column("column.value", 12, "right"),
        Column("column.unit", 7),
        Column("column.quality", 16),
        Column("column.age", 4, "right"),
        Column("column.source", 12, hide_below=74),
        Column("column.description", -2, hide_below=116),
    )
    EMPTY = "tags.none"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._marked: Collection[int] = ()

    def show(self, view: View, ids: Sequence[int], marked: Collection[int] = ()) -> None:
        """Show these tags."""
        self._marked = marked
        self.put(view, ids)

    def cells(self, key: int) -> Sequence[Cell]:
        view = self.view
        tag = view.tags[key]
        shown = show(view, tag)
        point = view.values.get(key)
        age = format_age(view.now_ns - point.source_ns) if point and point.source_ns else ""
        mark = "✓" if key in self._marked else "w" if tag.access == "rw" else " "
        name = "title" if key in self._marked else "text"
        return (
            Cell(mark, "dim"),
            Cell(view.tags.short[key], name),
            Cell(shown.text, shown.style),
            Cell(unit_of(tag), "label"),
            Cell(f"{shown.mark} {shown.word}", "label" if shown.style == "value" else shown.style),
            Cell(age, "label" if shown.style == "value" else shown.style),
            Cell(tag.source, "dim"),
            Cell(described(tag, view.words), "dim"),
        )
