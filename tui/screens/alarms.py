"""F2: alarms, what to do about them, and their journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from runtime.client import AlarmView, JournalEntry
from tui.model import needs_acknowledgement
from tui.screens.acknowledge import AcknowledgeDialog
from tui.screens.base import PlantScreen
from tui.widgets.alarm_detail import AlarmDetail
from tui.widgets.alarm_list import AlarmList
from tui.widgets.journal_list import JournalList
from tui.widgets.rows import Rows
from tui.widgets.tabs import Tabs


@dataclass
class JournalWanted(Message):
    """The journal is on the screen and may be old."""


class AlarmsScreen(PlantScreen):
    """List and journal, one at a time; the detail stands below the list."""

    TITLE_KEY = "alarms"
    HINTS = (
        ("Enter", "key.details", "screen.details"),
        ("a", "key.acknowledge", "screen.acknowledge"),
        ("A", "key.acknowledge_all", "screen.acknowledge_all"),
        ("j", "key.journal", "screen.journal"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "acknowledge", show=False),
        Binding("A", "acknowledge_all", show=False),
        Binding("j", "journal", show=False),
        Binding("escape", "close_details", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[JournalEntry] = ()
        self._alarms: Sequence[AlarmView] = ()

    def body(self) -> ComposeResult:
        yield Tabs(id="tabs")
        yield AlarmList(id="alarms")
        yield JournalList(id="journal")
        yield AlarmDetail(id="detail")

    def on_mount(self) -> None:
        self.query_one("#journal").display = False
        self.query_one("#detail").display = False
        self.query_one(AlarmList).focus()

    @property
    def in_journal(self) -> bool:
        return self.query_one("#journal").display

    def watched(self) -> Iterable[int]:
        return ()

    def refresh_body(self) -> None:
        view = self.view
        alarms = self.query_one(AlarmList)
        alarms.show(view)
        self.query_one(JournalList).show(view, self._entries)
        self.query_one(AlarmDetail).show(view, alarms.alarm)
        count = str(len(view.alarms))
        choices = (
            ("", view.words("alarm.tab.list", count=count), not self.in_journal, "screen.journal"),
            ("", view.words("alarm.tab.journal"), self.in_journal, "screen.journal"),
        )
        self.query_one(Tabs).show("", choices)
        if view.alarms is not self._alarms:
            self._alarms = view.alarms
            if self.in_journal:
                self.post_message(JournalWanted())

    def take_journal(self, entries: Sequence[JournalEntry]) -> None:
        """Show these journal entries."""
        self._entries = entries
        self.refresh_body()

    @on(Rows.Moved, "#alarms")
    def follow(self) -> None:
        self.refresh_body()

    @on(Rows.Chosen, "#alarms")
    def action_details(self) -> None:
        """Show or hide what to do about the selected alarm."""
        if self.in_journal:
            return
        detail = self.query_one("#detail")
        detail.display = not detail.display
        self.call_after_refresh(self.refresh_body)

    def action_close_details(self) -> None:
        self.query_one("#detail").display = False

    def action_journal(self) -> None:
        """Go from the list to the journal, or back."""
        to_journal = not self.in_journal
        self.query_one("#journal").display = to_journal
        self.query_one("#alarms").display = not to_journal
        self.query_one("#detail").display = False
        self.query_one("#journal" if to_journal else "#alarms").focus()
        if to_journal:
            self.post_message(JournalWanted())
        self.call_after_refresh(lambda: self.show(self.view))

    def action_acknowledge(self) -> None:
        alarm = self.query_one(AlarmList).alarm
        if self.in_journal or alarm is None or not needs_acknowledgement(alarm):
            self.notify(self.view.words("acknowledge.nothing"))
            return
        self.app.push_screen(AcknowledgeDialog(self.view, (alarm,)))

    def action_acknowledge_all(self) -> None:
        alarms = tuple(alarm for alarm in self.view.alarms if needs_acknowledgement(alarm))
        if self.in_journal or not alarms:
            self.notify(self.view.words("acknowledge.nothing"))
            return
        self.app.push_screen(AcknowledgeDialog(self.view, alarms))
