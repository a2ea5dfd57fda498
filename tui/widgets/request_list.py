"""The writes that wait for a second person: what, from what to what, who asked, why, how long still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from runtime.wire import RequestView
from tui.approval import change_of, format_left
from tui.model import View
from tui.widgets.cells import Cell
from tui.widgets.rows import Column, Rows

_SOON_NS = 60_000_000_000


class RequestList(Rows[int]):
    """Rows are requests by number."""

    COLUMNS: ClassVar[Sequence[Column]] = (
        Column("column.request", 4, "right"),
        Column("column.tag", -3),
        Column("column.change", -3),
        Column("column.asked_by", 10),
        Column("column.left", 6, "right"),
        Column("column.reason", -2),
    )
    EMPTY = "gate.no_requests"

    def show(self, view: View) -> None:
        """Show the newest requests."""
        self.put(view, tuple(each.id for each in view.requests))

    @property
    def request(self) -> RequestView | None:
        """The request under the cursor."""
        return self._find(self.key) if self.key is not None else None

    def cells(self, key: int) -> Sequence[Cell]:
        view = self.view
        request = self._find(key)
        if request is None:
            return [Cell("")] * len(self.COLUMNS)
        tag = view.tags.get(request.path)
        plain = "stale" if view.stale else "text"
        left_ns = request.until_ns - view.now_ns
        return (
            Cell(str(request.id), "label"),
            Cell(view.tags.short[tag.id] if tag else request.path, plain),
            Cell(change_of(view, request), plain),
            Cell(request.actor, plain),
            Cell(format_left(left_ns), "warning" if left_ns < _SOON_NS and not view.stale else plain),
            Cell(request.reason, "label"),
        )

    def _find(self, number: int) -> RequestView | None:
        return next((each for each in self.view.requests if each.id == number), None)
