"""Restart a component, after a yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Button, Static

from tui.model import View
from tui.screens.dialog import Dialog


@dataclass
class RestartWanted(Message):
    """Someone restarts a component."""

    name: str


class RestartDialog(Dialog):
    """Says what a restart means; `y` does it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "accept", show=False)]

    def __init__(self, view: View, name: str) -> None:
        super().__init__(view)
        self._component = name

    def title_text(self) -> str:
        return self.words("restart.title")

    def body(self) -> ComposeResult:
        yield Static(self.words("restart.question", name=self._component), id="question", markup=False)

    def buttons(self) -> Sequence[tuple[str, str]]:
        return (("ok", f"{self.words('key.ok')} (y)"), ("cancel", f"{self.words('key.cancel')} (Esc)"))

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    @on(Button.Pressed, "#ok")
    def action_accept(self) -> None:
        if not self.is_current:
            return
        self.app.post_message(RestartWanted(self._component))
        self.finish()
