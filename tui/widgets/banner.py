"""The line that stands under the header while the plant does not answer."""

from __future__ import annotations

from tui.model import SECOND_NS, Link, View
from tui.shown import fit, format_since
from tui.widgets.cells import Cell
from tui.widgets.sheet import Sheet


class Banner(Sheet):
    """Hidden while the plant answers."""

    def show(self, view: View) -> None:
        """Show the newest state."""
        self.display = view.link is Link.LOST or bool(view.trouble)
        if not self.display:
            return
        words = view.words
        at = format_since(view.changed_ns, view.now_ns) if view.changed_ns else ""
        reason = view.trouble.splitlines()[0] if view.trouble else ""
        if view.link is Link.CONNECTING:
            text = words("link.first", reason=reason)
        elif view.retry_ns > view.now_ns:
            wait_s = -((view.now_ns - view.retry_ns) // SECOND_NS)
            text = words("link.banner", time=at, wait=wait_s, reason=reason)
        else:
            text = words("link.trying", time=at, reason=reason)
        self.put([(Cell(fit(f" ? {text}", self.size.width or 80), "lost"),)])
