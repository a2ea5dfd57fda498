"""Sign in again, where the session is over: nobody pressed a key for too long, or it was ended."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Button, Input, Static

from tui.model import View
from tui.screens.dialog import Dialog


@dataclass
class SignInWanted(Message):
    """Someone gives a name and a secret."""

    dialog: SignInDialog
    name: str
    secret: str

    def __repr__(self) -> str:
        return f"SignInWanted({self.name!r})"


class SignInDialog(Dialog):
    """Asks for name and secret, and goes by itself when the plant answers again."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._sending = False

    def title_text(self) -> str:
        return self.words("signin.title")

    def body(self) -> ComposeResult:
        words = self.words
        yield Static(words("signin.told"), id="facts", markup=False)
        yield Static(words("signin.name"), classes="label", markup=False)
        name = self.view.info.user.name if self.view.info else ""
        yield Input(name, id="name", compact=True, max_length=64)
        yield Static(words("write.secret"), classes="label", markup=False)
        yield Input(id="secret", compact=True, max_length=256, password=True)

    def on_mount(self) -> None:
        self.query_one("#secret" if self.query_one("#name", Input).value else "#name").focus()

    def show(self, view: View) -> None:
        super().show(view)
        if not view.over:
            self.finish()

    @on(Input.Submitted, "#name")
    def to_secret(self) -> None:
        self.query_one("#secret").focus()

    @on(Button.Pressed, "#ok")
    @on(Input.Submitted, "#secret")
    def send(self) -> None:
        """Send name and secret; the secret is forgotten here."""
        name, typed = self.query_one("#name", Input).value.strip(), self.query_one("#secret", Input)
        if self._sending:
            return
        if not name or not typed.value:
            self.say(self.words("signin.need"), wrong=True)
            self.query_one("#secret" if name else "#name").focus()
            return
        self._sending = True
        self.say(self.words("write.sending"))
        secret, typed.value = typed.value, ""
        self.app.post_message(SignInWanted(self, name, secret))

    def refused(self, text: str, remedy: str) -> None:
        """Show why the plant did not let in; it can be tried again."""
        self._sending = False
        self.say(f"{self.words('write.refused')}: {text}" + (f"\n{remedy}" if remedy else ""), wrong=True)
        self.query_one("#secret").focus()
