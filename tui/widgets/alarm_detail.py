"""What to do about one alarm: cause, consequence, action."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells

from runtime.wire import AlarmView
from tui.model import View
from tui.shown import PRIORITY_SHAPE, format_limit, format_since, plain
from tui.widgets.cells import Cell, Line
from tui.widgets.sheet import Sheet


class AlarmDetail(Sheet):
    """Hidden until asked for; follows the selected alarm."""

    def show(self, view: View, alarm: AlarmView | None) -> None:
        """Show what the plant's engineers wrote about the alarm."""
        self.put(_lines(view, alarm, max(20, self.size.width - 2)) if alarm else ())


def _lines(view: View, alarm: AlarmView, width: int) -> list[Line]:
    words = view.words
    head = f"{PRIORITY_SHAPE[alarm.priority]} {words.pick(alarm.text) or alarm.name}"
    facts = [f"{words('alarm.tag')} {alarm.tag}"]
    if alarm.limit is not None:
        facts.append(f"{words('alarm.limit')} {format_limit(alarm, view.tags.get(alarm.tag))}")
    if alarm.raised_ns:
        facts.append(words("alarm.raised", time=format_since(alarm.raised_ns, view.now_ns)))
    acts = (
        ("acknowledged", alarm.acknowledged_by, alarm.acknowledged_ns),
        ("confirmed", alarm.confirmed_by, alarm.confirmed_ns),
    )
    for done, by, ns in acts:
        if by and ns:
            at = format_since(ns, view.now_ns)
            facts.append(f"{words(f'alarm.{done}')} {words('alarm.by', name=by, time=at)}")
    if not alarm.confirmed:
        facts.append(words("alarm.unconfirmed"))
    for key, note in (("shelved", alarm.shelved), ("out_of_service", alarm.out_of_service)):
        if note:
            until = format_since(note.until_ns, view.now_ns) if note.until_ns else "-"
            once = "_once" if note.once else ""
            facts.append(words(f"alarm.{key}{once}_by", name=note.by, until=until, reason=note.reason))
    lines: list[Line] = [(Cell(f" {head}", alarm.priority), Cell(f"  {alarm.name}", "dim"))]
    lines += [(Cell(f" {piece}", "label"),) for piece in wrap(" · ".join(facts), width - 1)]
    parts = [(name, words.pick(getattr(alarm, name))) for name in ("cause", "consequence", "action")]
    parts.append(("comment", alarm.comment or ""))
    indent = 2 + max(cell_len(words(f"alarm.{name}")) for name, _ in parts)
    for name, text in parts:
        for row, piece in enumerate(wrap(text, width - indent - 1)):
            label = f" {words(f'alarm.{name}')}" if row == 0 else ""
            lines.append((Cell(label + " " * (indent + 1 - cell_len(label)), "label"), Cell(piece, "text")))
    return lines


def wrap(text: str, width: int) -> list[str]:
    """Break text into lines of at most `width` cells: at spaces, and between double-width characters.

    A word wider than a line is cut.
    """
    lines: list[str] = []
    line = ""
    for word in _words(plain(text)):
        if line and cell_len(line + word.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += word
        if cell_len(line.rstrip()) > width:
            *full, line = chop_cells(line, width)
            lines += full
    return [each.rstrip() for each in (*lines, line) if each.strip()]


def _words(text: str) -> list[str]:
    words: list[str] = []
    for character in text:
        before = words[-1][-1] if words else " "
        within = before != " " and cell_len(before) < 2 and cell_len(character) < 2
        if words and (within or character in " ，。；：、！？）"):
            words[-1] += character
        else:
            words.append(character)
    return words
