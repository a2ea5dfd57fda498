"""What stands under the header while the plant does not answer: since when, why, and what to do."""

from __future__ import annotations

from tui.model import SECOND_NS, Link, View
from tui.shown import fit, format_since
from tui.widgets.cells import Cell
from tui.widgets.sheet import Sheet


class Banner(Sheet):
    """Hidden while the plant answers."""

    def show(self, view: View) -> None:
        """Show the newest state."""
        self.display = view.link in (Link.SILENT, Link.LOST) or bool(view.trouble)
        if not self.display:
            return
        words = view.words
        at = format_since(view.changed_ns, view.now_ns) if view.changed_ns else ""
        if view.over:
            text = words("link.over", time=at)
        elif view.link is Link.CONNECTING:
            text = words("link.first")
        elif view.link is Link.SILENT:
            text = words("link.waiting", time=at)
        elif view.retry_ns > view.now_ns:
            wait_s = -((view.now_ns - view.retry_ns) // SECOND_NS)
            text = words("link.banner", time=at, wait=wait_s)
        else:
            text = words("link.trying", time=at)
        lines = [f" ? {text}"]
        if view.trouble and not view.over:
            lines.append(f"   {' · '.join(view.trouble.splitlines())}")
        self.put([(Cell(fit(each, self.size.width or 80), "lost"),) for each in lines])
