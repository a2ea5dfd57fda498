"""The fields of an electronic signature: who signs, the secret, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Select, Static

from runtime.logins import Signing
from tui.locale import Words


class SigningFields(Vertical):
    """Asks for the three parts; Enter goes from one to the next."""

    @dataclass
    class Completed(Message):
        """Enter in the last field."""

    def __init__(self, words: Words, meanings: Sequence[str], name: str) -> None:
        super().__init__()
        self._words = words
        self._meanings = meanings
        self._name = name

    def compose(self) -> ComposeResult:
        words = self._words
        yield Static(words("write.signer"), classes="label", markup=False)
        yield Input(self._name, id="signer", compact=True, max_length=64)
        yield Static(words("write.secret"), classes="label", markup=False)
        yield Input(id="secret", compact=True, max_length=256, password=True)
        yield Static(words("write.meaning"), classes="label", markup=False)
        choices = [(each, each) for each in self._meanings]
        only: Any = self._meanings[0] if len(self._meanings) == 1 else Select.NULL
        yield Select(choices, id="meaning", compact=True, prompt=words("write.choose"), value=only)

    def begin(self) -> None:
        """Put the cursor where something is missing."""
        self.query_one("#secret" if self._name else "#signer").focus()

    def signing(self) -> Signing | None:
        """Return what was signed with; None while something is missing. The secret is forgotten here."""
        name = self.query_one("#signer", Input).value.strip()
        typed = self.query_one("#secret", Input)
        meaning = self.query_one("#meaning", Select).value
        if not name or not typed.value or not isinstance(meaning, str):
            return None
        secret, typed.value = typed.value, ""
        return Signing(name, secret, meaning)

    @on(Input.Submitted, "#signer")
    def to_secret(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#secret").focus()

    @on(Input.Submitted, "#secret")
    def to_meaning(self, event: Input.Submitted) -> None:
        event.stop()
        if isinstance(self.query_one("#meaning", Select).value, str):
            self.post_message(self.Completed())
        else:
            self.query_one("#meaning").focus()
