"""The pens of the trend: number, name, value now, range of the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tui.model import View
from tui.shown import described, format_number, show, unit_of
from tui.trend import Curve
from tui.widgets.cells import Cell
from tui.widgets.rows import Column, Rows


class Legend(Rows[str]):
    """Rows are pens by path."""

    COLUMNS: ClassVar[Sequence[Column]] = (
        Column("", 4),
        Column("column.tag", -3),
        Column("column.value", 12, "right"),
        Column("column.unit", 7),
        Column("column.quality", 15),
        Column("trend.range", 16, "right", hide_below=70),
        Column("column.description", -2, hide_below=100),
    )
    EMPTY = "trend.empty"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._curves: Mapping[str, Curve] = {}

    def show(self, view: View, curves: Sequence[Curve]) -> None:
        """Show the newest values."""
        self._curves = {curve.tag.path: curve for curve in curves}
        self.put(view, tuple(self._curves))

    def cells(self, key: str) -> Sequence[Cell]:
        curve = self._curves[key]
        tag, view = curve.tag, self.view
        shown = show(view, tag)
        span = curve.high - curve.low
        pen = f"pen-{curve.number}"
        return (
            Cell(f"━ {curve.number}", pen),
            Cell(view.tags.short.get(tag.id, tag.path), pen),
            Cell(shown.text, shown.style),
            Cell(unit_of(tag), "label"),
            Cell(f"{shown.mark} {shown.word}", "label" if shown.style == "value" else shown.style),
            Cell(f"{format_number(curve.low, span)} … {format_number(curve.high, span)}", "label"),
            Cell(described(tag, view.words), "dim"),
        )
