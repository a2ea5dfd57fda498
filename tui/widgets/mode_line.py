"""Who may write now: the plant's mode, who set it and why."""

from __future__ import annotations

from tui.model import View
from tui.shown import fit, format_since
from tui.widgets.cells import Cell, Line
from tui.widgets.sheet import Sheet

_STYLE = {"auto": "value", "maintenance": "warning", "read_only": "fault"}
_SHAPE = {"auto": "▶", "maintenance": "!", "read_only": "✖"}


class ModeLine(Sheet):
    """Two lines: the mode and what it means, then who, when and why."""

    def show(self, view: View) -> None:
        """Show the newest mode."""
        gate, words = view.gate, view.words
        if gate is None:
            self.put(())
            return
        style = "stale" if view.stale else _STYLE.get(gate.mode, "warning")
        shape = "?" if view.stale else _SHAPE.get(gate.mode, "!")
        mode = words(f"mode.{gate.mode}") if words.has(f"mode.{gate.mode}") else gate.mode
        lines: list[Line] = [(Cell(f" {words('gate.mode')} ", "label"), Cell(f"{shape} {mode}", style))]
        if gate.since_ns:
            since = format_since(gate.since_ns, view.now_ns)
            told = words("gate.mode_by", name=gate.actor, time=since, reason=gate.reason)
            lines.append((Cell(fit(f" {told}", self.size.width or 80), "label"),))
        self.put(lines)
