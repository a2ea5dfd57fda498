"""The values that go back by themselves: to what, when, who set them and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from runtime.wire import HoldView
from tui.approval import format_left, told
from tui.model import View
from tui.shown import format_value
from tui.widgets.cells import Cell
from tui.widgets.rows import Column, Rows


class HoldList(Rows[str]):
    """Rows are values for a time, by path."""

    COLUMNS: ClassVar[Sequence[Column]] = (
        Column("column.tag", -3),
        Column("column.goes_back", -3),
        Column("column.set_by", 10),
        Column("column.left", 6, "right"),
        Column("column.reason", -2),
    )
    EMPTY = "gate.no_holds"

    def show(self, view: View) -> None:
        """Show the newest ones, the next to go back first."""
        holds = sorted(view.gate.holds if view.gate else (), key=lambda each: each.until_ns)
        self.put(view, tuple(each.path for each in holds))

    def cells(self, key: str) -> Sequence[Cell]:
        view = self.view
        hold = self._find(key)
        if hold is None:
            return [Cell("")] * len(self.COLUMNS)
        tag = view.tags.get(key)
        now = format_value(hold.value, tag, view.words) if tag else str(hold.value)
        plain = "stale" if view.stale else "text"
        left = format_left(hold.until_ns - view.now_ns)
        due = Cell(view.words("gate.late"), "fault") if hold.late else Cell(left, plain)
        return (
            Cell(view.tags.short[tag.id] if tag else key, plain),
            Cell(f"{now} -> {told(hold.previous, tag, view.words)}", plain),
            Cell(hold.actor, plain),
            due,
            Cell(hold.reason, "label"),
        )

    def _find(self, path: str) -> HoldView | None:
        holds = self.view.gate.holds if self.view.gate else ()
        return next((each for each in holds if each.path == path), None)
