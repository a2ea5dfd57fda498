"""A guarded write: value and reason, then a look at what will be sent, then the plant's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Button, Input, Select, Static

from runtime.config import parse_value
from runtime.contract import DataType, Value
from runtime.logins import Signing
from runtime.wire import TagView
from tui.model import View
from tui.screens.dialog import Dialog
from tui.shown import described, format_value, show, unit_of

_TYPES = {each.iec: each for each in DataType}


@dataclass
class WriteWanted(Message):
    """Someone confirmed a write; the dialog waits for the answer."""

    dialog: WriteDialog
    tag: TagView
    value: Value
    reason: str
    signature: Signing | None = None


class WriteDialog(Dialog):
    """Two steps, so that no single key writes to the plant. The gate alone decides; its refusal is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "send", show=False)]

    def __init__(self, view: View, tag: TagView) -> None:
        super().__init__(view)
        self.tag = tag
        self._value: Value | None = None
        self._sending = False

    def title_text(self) -> str:
        return f"{self.words('write.title')} · {self.view.tags.short.get(self.tag.id, self.tag.path)}"

    def body(self) -> ComposeResult:
        yield Static("", id="facts", markup=False)
        yield Static(self.words("write.new"), id="value-label", classes="label", markup=False)
        hint = "write.example.BOOL" if self.tag.type == "BOOL" else "write.value_hint"
        yield Input(id="value", compact=True, placeholder=self.words(hint, type=self.tag.type))
        yield Static(self.words("write.reason"), id="reason-label", classes="label", markup=False)
        yield Input(id="reason", compact=True, max_length=200)
        yield Static("", id="question", markup=False)
        if self.tag.signature:
            yield Static(self.words("write.signer"), id="signer-label", classes="label", markup=False)
            yield Input(self._me(), id="signer", compact=True, max_length=64)
            yield Static(self.words("write.secret"), id="secret-label", classes="label", markup=False)
            yield Input(id="secret", compact=True, max_length=256, password=True)
            yield Static(self.words("write.meaning"), id="meaning-label", classes="label", markup=False)
            meanings = [(each, each) for each in self.tag.signature]
            first = meanings[0][0] if len(meanings) == 1 else Select.NULL
            yield Select(meanings, id="meaning", compact=True, prompt=self.words("write.choose"), value=first)

    def _me(self) -> str:
        return self.view.info.user.signer if self.view.info else ""

    def buttons(self) -> Sequence[tuple[str, str]]:
        words = self.words
        return (
            ("ok", f"{words('key.ok')} (Enter)"),
            ("send", f"{words('key.write')} (y)"),
            ("cancel", f"{words('key.cancel')} (Esc)"),
        )

    def on_mount(self) -> None:
        self._ask()
        self.show(self.view)
        self.say(self.words("write.check"))
        self.query_one("#value").focus()

    def show(self, view: View) -> None:
        super().show(view)
        if self.is_mounted and self.query("#facts"):
            self.query_one("#facts", Static).update(self._facts())

    def _facts(self) -> str:
        words, tag = self.words, self.tag
        shown = show(self.view, tag)
        span = words("write.no_range")
        if tag.low is not None and tag.high is not None:
            span = f"{tag.low:g} … {tag.high:g} {unit_of(tag)}"
        role = words(f"role.{tag.role}") if words.has(f"role.{tag.role}") else tag.role
        user = self.view.info.user.role_at(tag.path) if self.view.info else ""
        mine = words(f"role.{user}") if words.has(f"role.{user}") else user
        description = described(tag, words)
        lines = [description] if description else []
        lines += [
            f"{words('write.now')}: {shown.text} {unit_of(tag)}  {shown.mark} {shown.word}",
            f"{words('tags.range')}: {span}",
            f"{words('tags.role')}: {role} ({words('write.your_role', role=mine)})",
        ]
        if tag.interlock:
            lines.append(f"{words('tags.interlock')}: {tag.interlock}")
        return "\n".join(lines)

    def _ask(self) -> None:
        self._value = None
        self._step(confirming=False)

    def _step(self, *, confirming: bool) -> None:
        for selector in ("#value-label", "#value", "#reason-label", "#reason", "#ok"):
            self.query_one(selector).display = not confirming
        self.query_one("#question").display = confirming
        for each in self.query("#signer-label, #signer, #secret-label, #secret, #meaning-label, #meaning"):
            each.display = confirming
        self.query_one("#send").display = confirming

    @on(Input.Submitted, "#value")
    def next_field(self) -> None:
        self.query_one("#reason").focus()

    @on(Button.Pressed, "#ok")
    @on(Input.Submitted, "#reason")
    def check(self) -> None:
        """Read what was typed and ask for confirmation."""
        text = self.query_one("#value", Input).value.strip()
        reason = self.query_one("#reason", Input).value.strip()
        if not text and self.tag.type != "STRING":
            self.say(self.words("write.need_value"), wrong=True)
            self.query_one("#value").focus()
            return
        try:
            self._value = parse_value(_TYPES[self.tag.type], text)
        except ValueError as exc:
            self.say(str(exc), wrong=True)
            self.query_one("#value").focus()
            return
        if not reason:
            self.say(self.words("write.need_reason"), wrong=True)
            self.query_one("#reason").focus()
            return
        words, tag = self.words, self.tag
        unit = f" {unit_of(tag)}" if unit_of(tag) else ""
        old = format_value(self.view.values[tag.id].value if tag.id in self.view.values else None, tag, words)
        question = (
            f"{words('write.question')}\n\n  {old}{unit}  ->  {self._told()}{unit}\n"
            f"  {words('write.reason')}: {reason}"
        )
        self.query_one("#question", Static).update(question)
        self.say("")
        self._step(confirming=True)
        if tag.signature:
            self.say(words("write.sign"))
            self.query_one("#secret" if self._me() else "#signer").focus()
        else:
            self.query_one("#cancel").focus()

    def _told(self) -> str:
        if isinstance(self._value, bool):
            return self.words("value.on" if self._value else "value.off")
        return str(self._value)

    @on(Button.Pressed, "#send")
    def action_send(self) -> None:
        """Send the confirmed value."""
        if self._value is None or self._sending:
            return
        signature = self._signature()
        if self.tag.signature and signature is None:
            self.say(self.words("write.need_signature"), wrong=True)
            return
        self._sending = True
        self.say(self.words("write.sending"))
        reason = self.query_one("#reason", Input).value.strip()
        self.app.post_message(WriteWanted(self, self.tag, self._value, reason, signature))

    def _signature(self) -> Signing | None:
        """Return what was signed with; None while something is missing. The secret is forgotten here."""
        if not self.tag.signature:
            return None
        name = self.query_one("#signer", Input).value.strip()
        typed = self.query_one("#secret", Input)
        meaning = self.query_one("#meaning", Select).value
        if not name or not typed.value or not isinstance(meaning, str):
            return None
        secret, typed.value = typed.value, ""
        return Signing(name, secret, meaning)

    @on(Input.Submitted, "#signer")
    def to_secret(self) -> None:
        self.query_one("#secret").focus()

    @on(Input.Submitted, "#secret")
    def to_meaning(self) -> None:
        chosen = isinstance(self.query_one("#meaning", Select).value, str)
        self.query_one("#send" if chosen else "#meaning").focus()

    def refused(self, text: str, remedy: str) -> None:
        """Show why the plant did not take the value, and let it be corrected."""
        self._sending = False
        self._ask()
        self.say(f"{self.words('write.refused')}: {text}" + (f"\n{remedy}" if remedy else ""), wrong=True)
        self.query_one("#value").focus()
