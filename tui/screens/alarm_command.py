"""Confirm, shelve or take an alarm out of service, or undo it: with a reason, and the plant's answer."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Button, Input, Static

from runtime.config import parse_duration_ns
from runtime.wire import AlarmView
from tui.model import View
from tui.screens.dialog import Dialog
from tui.shown import PRIORITY_SHAPE

_SHELF = "30min"
NEEDS_REASON = ("shelve", "out-of-service")


@dataclass
class AlarmCommandWanted(Message):
    """Someone gave a command on an alarm; the dialog waits for the answer."""

    dialog: AlarmCommandDialog
    name: str
    verb: str
    reason: str
    for_ns: int


class AlarmCommandDialog(Dialog):
    """One alarm, one verb; a shelf has a duration. The plant alone decides; its refusal is shown."""

    def __init__(self, view: View, alarm: AlarmView, verb: str) -> None:
        super().__init__(view)
        self._alarm = alarm
        self._verb = verb
        self._sending = False

    def title_text(self) -> str:
        return self.words(f"alarm.verb.{self._verb}")

    def body(self) -> ComposeResult:
        words, alarm = self.words, self._alarm
        head = f"{PRIORITY_SHAPE[alarm.priority]} {words.pick(alarm.text) or alarm.name}"
        yield Static(f"{head}\n{words(f'alarm.told.{self._verb}')}", id="question", markup=False)
        if self._verb == "shelve":
            yield Static(words("command.for"), classes="label", markup=False)
            yield Input(_SHELF, id="for", compact=True, max_length=20)
        yield Static(words("write.reason"), classes="label", markup=False)
        yield Input(id="reason", compact=True, max_length=200)

    def on_mount(self) -> None:
        self.query_one("#reason").focus()

    @on(Input.Submitted, "#for")
    def next_field(self) -> None:
        self.query_one("#reason").focus()

    @on(Button.Pressed, "#ok")
    @on(Input.Submitted, "#reason")
    def accept(self) -> None:
        """Check what was typed and send it."""
        if self._sending:
            return
        reason = self.query_one("#reason", Input).value.strip()
        if not reason and self._verb in NEEDS_REASON:
            self.say(self.words("write.need_reason"), wrong=True)
            self.query_one("#reason").focus()
            return
        for_ns = 0
        if self._verb == "shelve":
            try:
                for_ns = parse_duration_ns(self.query_one("#for", Input).value.strip())
            except ValueError as exc:
                self.say(str(exc), wrong=True)
                self.query_one("#for").focus()
                return
        self._sending = True
        self.say(self.words("write.sending"))
        self.app.post_message(AlarmCommandWanted(self, self._alarm.name, self._verb, reason, for_ns))

    def refused(self, text: str, remedy: str) -> None:
        """Show why the plant did not do it."""
        self._sending = False
        self.say(f"{self.words('write.refused')}: {text}" + (f"\n{remedy}" if remedy else ""), wrong=True)
