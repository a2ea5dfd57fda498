"""What takes a reason and a second look: a word on a request, a change of mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button, Input, Static

from runtime.logins import Signing
from tui.model import View
from tui.screens.dialog import Dialog
from tui.shown import signer_of
from tui.widgets.signing import SigningFields


class ReasonDialog(Dialog):
    """Reason, then a second look with the focus on Cancel, then `y`. The plant's refusal is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "send", show=False)]

    def __init__(self, view: View, meanings: Sequence[str] = ()) -> None:
        """A signature is asked for where it may have `meanings`."""
        super().__init__(view)
        self._meanings = meanings
        self._confirming = False
        self._sending = False
        self._over = False

    def facts(self) -> str:
        """Return what one must know before."""
        raise NotImplementedError

    def question(self) -> str:
        """Return what is asked at the second look, with all that is needed to answer."""
        raise NotImplementedError

    def verb(self) -> str:
        """Return the text of the button that does it."""
        raise NotImplementedError

    def send(self, reason: str, signature: Signing | None) -> None:
        """Post what the app is to do."""
        raise NotImplementedError

    def body(self) -> ComposeResult:
        yield Static("", id="facts", markup=False)
        yield Static(self.words("write.reason"), id="reason-label", classes="label", markup=False)
        yield Input(id="reason", compact=True, max_length=200)
        yield Static("", id="question", markup=False)
        if self._meanings:
            yield SigningFields(self.words, self._meanings, signer_of(self.view))

    def buttons(self) -> Sequence[tuple[str, str]]:
        words = self.words
        return (
            ("ok", f"{words('key.ok')} (Enter)"),
            ("send", f"{self.verb()} (y)"),
            ("cancel", f"{words('key.cancel')} (Esc)"),
        )

    def on_mount(self) -> None:
        self._step(confirming=False)
        self.show(self.view)
        self.query_one("#reason").focus()

    def show(self, view: View) -> None:
        super().show(view)
        if self.is_mounted and self.query("#facts"):
            self.query_one("#facts", Static).update(self.facts())
            self.query_one("#question", Static).update(self.question())

    @property
    def reason(self) -> str:
        return self.query_one("#reason", Input).value.strip()

    def _step(self, *, confirming: bool) -> None:
        self._confirming = confirming
        self.query_one("#facts").display = not confirming  # the room is for the question and the signature
        for selector in ("#reason-label", "#reason", "#ok"):
            self.query_one(selector).display = not confirming and not self._over
        for selector in ("#question", "#send", "SigningFields"):
            for each in self.query(selector):
                each.display = confirming

    @on(Button.Pressed, "#ok")
    @on(Input.Submitted, "#reason")
    def check(self) -> None:
        """Ask for confirmation."""
        if not self.reason:
            self.say(self.words("write.need_reason"), wrong=True)
            self.query_one("#reason").focus()
            return
        self._step(confirming=True)
        self.show(self.view)
        if self._meanings:
            self.say(self.words("request.sign"))
            self.query_one(SigningFields).begin()
        else:
            self.say("")
            self.query_one("#cancel").focus()

    @on(SigningFields.Completed)
    def to_send(self) -> None:
        self.query_one("#send").focus()

    @on(Button.Pressed, "#send")
    def action_send(self) -> None:
        """Send it."""
        if not self._confirming or self._sending:
            return
        signature = self.query_one(SigningFields).signing() if self._meanings else None
        if self._meanings and signature is None:
            self.say(self.words("write.need_signature"), wrong=True)
            return
        self._sending = True
        self.say(self.words("write.sending"))
        self.send(self.reason, signature)

    def refused(self, text: str, remedy: str) -> None:
        """Show why the plant did not do it; it can be tried again."""
        self._sending = False
        self._step(confirming=False)
        self.say(f"{self.words('write.refused')}: {text}" + (f"\n{remedy}" if remedy else ""), wrong=True)
        self.query_one("#reason").focus()

    def end(self, text: str) -> None:
        """Say that there is nothing to send any more."""
        self._over = True
        self._step(confirming=False)
        self.say(text, wrong=True)
        self.query_one("#cancel").focus()
