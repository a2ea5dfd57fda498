"""The alarm journal: every transition, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from runtime.wire import JournalEntry
from tui.model import View
from tui.shown import format_kept, format_since
from tui.widgets.cells import Cell
from tui.widgets.rows import Column, Rows


class JournalList(Rows[int]):
    """Rows are entries by sequence number."""

    COLUMNS: ClassVar[Sequence[Column]] = (
        Column("column.time", 19),
        Column("column.alarm", -3),
        Column("column.transition", 15),
        Column("column.state", 14, hide_below=108),
        Column("column.value", 14, hide_below=92),
        Column("column.actor", 10),
        Column("column.comment", -2, hide_below=118),
    )
    EMPTY = "alarm.journal_empty"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._entries: dict[int, JournalEntry] = {}

    def show(self, view: View, entries: Sequence[JournalEntry]) -> None:
        """Show these entries."""
        self._entries = {entry.seq: entry for entry in entries}
        self.put(view, tuple(self._entries))

    def cells(self, key: int) -> Sequence[Cell]:
        entry = self._entries[key]
        words = self.view.words
        state, change = f"alarm.{entry.state}", f"alarm.change.{entry.transition}"
        return (
            Cell(format_since(entry.at_ns, 1 << 62), "label"),
            Cell(entry.alarm, "text"),
            Cell(words(change) if words.has(change) else entry.transition, "text"),
            Cell(words(state) if words.has(state) else entry.state, "label"),
            Cell("" if entry.value is None else format_kept(entry, words), "text"),
            Cell(entry.actor or "", "text"),
            Cell(entry.comment or "", "label"),
        )
