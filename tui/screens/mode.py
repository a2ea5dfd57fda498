"""Change who may write: maintenance, and the emergency switch."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from runtime.logins import Signing
from tui.model import View
from tui.screens.reason import ReasonDialog


@dataclass
class ModeWanted(Message):
    """Someone changes the mode; the dialog waits for the answer."""

    dialog: ModeDialog
    change: str
    reason: str


class ModeDialog(ReasonDialog):
    """Says what the change means; `change` is `auto`, `maintenance`, `read_only` or `writable`."""

    def __init__(self, view: View, change: str) -> None:
        super().__init__(view)
        self._change = change

    def title_text(self) -> str:
        return self.words(f"mode.to.{self._change}")

    def facts(self) -> str:
        return self.words(f"mode.told.{self._change}")

    def question(self) -> str:
        words = self.words
        return f"{self.facts()}\n{words('mode.question')}\n\n  {words('write.reason')}: {self.reason}"

    def verb(self) -> str:
        return self.words("key.change")

    def send(self, reason: str, signature: Signing | None) -> None:
        self.app.post_message(ModeWanted(self, self._change, reason))
