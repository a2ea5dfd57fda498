"""The components and how they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from runtime.wire import ComponentView
from tui.model import View
from tui.shown import COMPONENT_SHAPE, COMPONENT_STYLE, format_since
from tui.widgets.cells import Cell
from tui.widgets.rows import Column, Rows


class ComponentList(Rows[str]):
    """Rows are components by name."""

    COLUMNS: ClassVar[Sequence[Column]] = (
        Column("column.component", 18),
        Column("column.state", 12),
        Column("column.since", 19, hide_below=70),
        Column("column.restarts", 8, "right"),
        Column("column.kind", 14, hide_below=90),
        Column("column.health", -1),
    )

    def show(self, view: View) -> None:
        """Show the newest states."""
        self.put(view, tuple(each.name for each in view.components))

    def cells(self, key: str) -> Sequence[Cell]:
        words = self.view.words
        each = self._find(key)
        if self.view.stale:
            state = Cell(f"? {words(f'component.{each.state}')}", "stale")
        else:
            style = COMPONENT_STYLE.get(each.state, "warning")
            state = Cell(f"{COMPONENT_SHAPE.get(each.state, '·')} {words(f'component.{each.state}')}", style)
        plain = "stale" if self.view.stale else "text"
        return (
            Cell(each.name, plain),
            state,
            Cell(format_since(each.since_ns, self.view.now_ns), "label"),
            Cell(str(each.restarts), "warning" if each.restarts and not self.view.stale else plain),
            Cell(each.kind, "label"),
            Cell(each.text, state.style if each.state in ("degraded", "faulted") else "label"),
        )

    def _find(self, name: str) -> ComponentView:
        return next(each for each in self.view.components if each.name == name)
