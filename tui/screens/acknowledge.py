"""Acknowledge one alarm, or all that are seen, with a comment."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Button, Input, Static

from runtime.wire import AlarmView
from tui.model import View
from tui.screens.dialog import Dialog
from tui.shown import PRIORITY_SHAPE, fit

_LISTED = 8
_WIDTH = 64  # of a line of the dialog


@dataclass
class AcknowledgeWanted(Message):
    """Someone acknowledges alarms, by name."""

    names: tuple[str, ...]
    comment: str


class AcknowledgeDialog(Dialog):
    """Lists what will be acknowledged and asks for a comment."""

    def __init__(self, view: View, alarms: tuple[AlarmView, ...]) -> None:
        super().__init__(view)
        self._alarms = alarms

    def title_text(self) -> str:
        return self.words("acknowledge.title" if len(self._alarms) == 1 else "acknowledge.all_title")

    def body(self) -> ComposeResult:
        words = self.words
        lines = [
            f"{PRIORITY_SHAPE[alarm.priority]} {words.pick(alarm.text) or alarm.name}"
            for alarm in self._alarms[:_LISTED]
        ]
        if len(lines) > 1:  # a line each, so that question and buttons are seen whatever the texts
            lines = [fit(each, _WIDTH).rstrip() for each in lines]
        if len(self._alarms) > _LISTED:
            lines.append(f"… +{len(self._alarms) - _LISTED}")
        if len(self._alarms) > 1:
            lines.append("")
            lines.append(words("acknowledge.all_question", count=len(self._alarms)))
        yield Static("\n".join(lines), id="question", markup=False)
        yield Static(words("acknowledge.comment"), classes="label", markup=False)
        yield Input(id="comment", compact=True, max_length=200)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Button.Pressed, "#ok")
    @on(Input.Submitted)
    def accept(self) -> None:
        if not self.is_current:  # Enter came twice
            return
        names = tuple(alarm.name for alarm in self._alarms)
        self.app.post_message(AcknowledgeWanted(names, self.query_one(Input).value.strip()))
        self.finish()
