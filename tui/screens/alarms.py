"""F2: alarms, what to do about them, and their journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from runtime.wire import AlarmView, JournalEntry
from tui.model import needs_acknowledgement
from tui.screens.acknowledge import AcknowledgeDialog
from tui.screens.alarm_command import AlarmCommandDialog
from tui.screens.base import PlantScreen
from tui.widgets.alarm_detail import AlarmDetail
from tui.widgets.alarm_list import AlarmList
from tui.widgets.flood import FloodLine, flood_tags
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
        ("c", "key.confirm", "screen.confirm"),
        ("s", "key.shelve", "screen.shelve"),
        ("o", "key.service", "screen.service"),
        ("r", "key.reset", "screen.reset"),
        ("h", "key.hidden", "screen.hidden"),
        ("j", "key.journal", "screen.journal"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "acknowledge", show=False),
        Binding("A", "acknowledge_all", show=False),
        Binding("c", "confirm", show=False),
        Binding("s", "shelve", show=False),
        Binding("o", "service", show=False),
        Binding("r", "reset", show=False),
        Binding("h", "hidden", show=False),
        Binding("j", "journal", show=False),
        Binding("escape", "close_details", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[JournalEntry] = ()
        self._alarms: Sequence[AlarmView] = ()

    def body(self) -> ComposeResult:
        yield Tabs(id="tabs")
        yield FloodLine(id="flood")
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
        return flood_tags(self.view)

    def refresh_body(self) -> None:
        view = self.view
        alarms = self.query_one(AlarmList)
        alarms.show(view)
        self.query_one(JournalList).show(view, self._entries)
        self.query_one(AlarmDetail).show(view, alarms.alarm)
        self.query_one(FloodLine).show(view)
        count, hidden = str(len(view.alarms)), str(len(view.hidden_alarms))
        seen = not self.in_journal and not alarms.hidden
        choices = (
            ("", view.words("alarm.tab.list", count=count), seen, "screen.list"),
            ("", view.words("alarm.tab.hidden", count=hidden), alarms.hidden, "screen.hidden"),
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
        self.query_one(AlarmList).hidden = False
        to_journal = not self.in_journal
        self.query_one("#journal").display = to_journal
        self.query_one("#alarms").display = not to_journal
        self.query_one("#detail").display = False
        self.query_one("#journal" if to_journal else "#alarms").focus()
        if to_journal:
            self.post_message(JournalWanted())
        self.call_after_refresh(lambda: self.show(self.view))

    def action_list(self) -> None:
        """Show the alarms that are to be seen."""
        if self.in_journal:
            self.action_journal()
        elif self.query_one(AlarmList).hidden:
            self.action_hidden()

    def action_hidden(self) -> None:
        """Go from the alarms that are to be seen to the hidden ones, or back."""
        if self.in_journal:
            self.action_journal()
        alarms = self.query_one(AlarmList)
        alarms.hidden = not alarms.hidden
        self.call_after_refresh(lambda: self.show(self.view))

    def action_confirm(self) -> None:
        """Confirm that what the selected alarm asked for was done."""
        alarm = self._selected()
        if alarm and not alarm.confirmed:
            self._ask(alarm, "confirm")
        elif alarm:
            self.notify(self.view.words("command.confirmed"))

    def action_shelve(self) -> None:
        """Shelve the selected alarm, or end its shelf."""
        alarm = self._selected()
        if alarm:
            self._ask(alarm, "unshelve" if alarm.shelved else "shelve")

    def action_service(self) -> None:
        """Take the selected alarm out of service, or return it."""
        alarm = self._selected()
        if alarm:
            self._ask(alarm, "in-service" if alarm.out_of_service else "out-of-service")

    def action_reset(self) -> None:
        """Reset the latch of the selected alarm."""
        alarm = self._selected()
        if alarm and alarm.latched:
            self._ask(alarm, "reset")
        elif alarm:
            self.notify(self.view.words("command.not_latched"))

    def _selected(self) -> AlarmView | None:
        alarm = None if self.in_journal else self.query_one(AlarmList).alarm
        if alarm is None:
            self.notify(self.view.words("command.nothing"))
        return alarm

    def _ask(self, alarm: AlarmView, verb: str) -> None:
        self.app.push_screen(AlarmCommandDialog(self.view, alarm, verb))

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
