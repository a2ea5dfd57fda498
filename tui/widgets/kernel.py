"""Figures of the kernel: how long it is up, bus, historian."""

from __future__ import annotations

from tui.model import SECOND_NS, View
from tui.shown import fit, format_count
from tui.widgets.cells import Cell, Line
from tui.widgets.sheet import Sheet

_LABEL = 18
_VALUE = 16
_PAIR = _LABEL + _VALUE + 2


class Kernel(Sheet):
    """Pairs of name and value, in as many columns as fit."""

    def show(self, view: View) -> None:
        """Show the newest figures."""
        pairs = _pairs(view)
        columns = max(1, self.size.width // _PAIR)
        rows = -(-len(pairs) // columns)
        lines: list[Line] = []
        for row in range(rows):
            cells: list[Cell] = []
            for name, value, style in pairs[row::rows]:
                shown = "stale" if view.stale else style
                mark = "?" if view.stale else " "
                cells += [
                    Cell(fit(f" {view.words(name)}", _LABEL), "label"),
                    Cell(fit(value + mark, _VALUE, "right") + "  ", shown),
                ]
            lines.append(tuple(cells))
        self.put(lines)


def _pairs(view: View) -> list[tuple[str, str, str]]:
    words = view.words
    pairs: list[tuple[str, str, str]] = []
    if view.info:
        pairs.append(("system.version", view.info.version, "value"))
        pairs.append(("system.up", _duration(view.now_ns - view.info.started_ns), "value"))
    pairs.append(("system.tags", format_count(len(view.tags)), "value"))
    health = view.health
    if health is None:
        return pairs
    pairs.insert(0, ("system.health", words("system.ok" if health.ok else "system.not_ok"), _good(health.ok)))
    pairs.append(("system.updates", format_count(health.bus.updates), "value"))
    if view.updates_per_s is not None:
        pairs.append(("system.rate", format_count(view.updates_per_s), "value"))
    pairs.append(("system.overflow", format_count(health.bus.overflow), _good(not health.bus.overflow)))
    if health.history is None:
        pairs.append(("system.no_history", "", "value"))
        return pairs
    history = health.history
    pairs.append(("system.samples", format_count(history.samples), "value"))
    pairs.append(("system.committed", format_count(history.committed), "value"))
    pairs.append(("system.dropped", format_count(history.dropped), _good(not history.dropped)))
    pairs.append(("system.lag", f"{history.lag_ms:.0f} ms", "value"))
    return pairs


def _good(ok: bool) -> str:
    return "value" if ok else "warning"


def _duration(ns: int) -> str:
    seconds = max(0, ns // SECOND_NS)
    days, seconds = divmod(seconds, 86_400)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{days} d {clock}" if days else clock
