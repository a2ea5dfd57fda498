"""All about the request under the cursor, as far as four lines go."""

from __future__ import annotations

from runtime.wire import RequestView
from tui.approval import facts_of
from tui.model import View
from tui.widgets.alarm_detail import wrap
from tui.widgets.cells import Cell
from tui.widgets.sheet import Sheet


class RequestDetail(Sheet):
    """Follows the cursor of the request list; hidden while nothing waits."""

    def show(self, view: View, request: RequestView | None) -> None:
        """Show a request in whole."""
        self.display = request is not None
        if request is None:
            return
        first, *more = facts_of(view, request)
        width = max(20, self.size.width - 2)
        rows = [(Cell(f" {first}", "title"),)]
        rows += [(Cell(f" {piece}", "text"),) for piece in wrap(" · ".join(more), width)]
        self.put(rows)
