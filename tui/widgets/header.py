"""The line at the top: plant, alarms, connection, user, language, clock."""

from __future__ import annotations

from rich.cells import cell_len

from tui.model import PRIORITIES, Link, View
from tui.shown import PRIORITY_SHAPE, REQUEST_SHAPE, fit, format_clock, role_word
from tui.widgets.cells import Cell, Line
from tui.widgets.sheet import Sheet

_ROOMY = 100
_TITLE = 14  # cells of the plant's name that are there in any case


class Header(Sheet):
    """Says at every moment where one is, as whom, and whether something waits for an answer."""

    def show(self, view: View) -> None:
        """Show the newest state."""
        self.put([_compose(view, self.size.width)])


def _compose(view: View, width: int) -> Line:
    words = view.words
    right: list[Cell] = []
    if view.link is Link.ONLINE:
        right.append(Cell(f"● {words('link.online')}", "header"))
    elif view.over:
        right.append(Cell(f" ? {words('link.signed_out')} ", "lost"))
    elif view.link is Link.CONNECTING:
        right.append(Cell(f"○ {words('link.connecting')}", "header"))
    else:
        state = words("link.silent" if view.link is Link.SILENT else "link.lost")
        right.append(Cell(f" ? {state} ", "lost"))
    if view.info:
        user = view.info.user
        role = role_word(user.role, words)
        name = fit(user.name, min(cell_len(user.name), 12))
        right.append(Cell(f" │ {name} ({role})", "header"))
    right.append(Cell(" │ ", "header"))
    right.append(Cell(words("language"), "header", "app.speak"))
    right.append(Cell(f" │ {format_clock(view.now_ns)} " if view.now_ns else "  ", "header"))
    alarms = [*_requests(view, width), *_alarms(view)]
    title = words.pick(view.info.title) or view.info.plant if view.info else words("header.plant")
    room = width - min(cell_len(title) + 2, _TITLE)
    while len(right) > 1 and _width(*right, *alarms) > room:
        right.pop()  # better no clock than a part of one, or than a plant without a name
    used = _width(*right, *alarms)
    return (Cell(fit(f" {title}", max(0, width - used)), "header strong"), *alarms, *right)


def _width(*cells: Cell) -> int:
    return sum(cell_len(cell.text) for cell in cells)


def _requests(view: View, width: int) -> list[Cell]:
    count = len(view.requests)
    if not count:
        return []
    text = view.words("header.requests", count=count) if width >= _ROOMY else count
    return [Cell(f" {REQUEST_SHAPE} {text} ", "header strong", "app.goto('gate')"), Cell("│ ", "header")]


def _alarms(view: View) -> list[Cell]:
    cells = []
    for priority in PRIORITIES:
        count = view.new_alarms()[priority]
        if count:
            text = f" {PRIORITY_SHAPE[priority]} {count} "
            cells += [Cell(text, f"{priority}-new", "app.goto('alarms')"), Cell(" ", "header")]
    if not cells and view.info:
        cells = [Cell(f"{view.words('header.no_alarms')} ", "header dim")]
    return [*cells, Cell("│ ", "header")] if cells else []
