"""A guarded write: value and reason, then a look at what will be sent, then the plant's answer.

A tag that takes two persons gets a request instead, which someone else approves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Button, Input, Static

from runtime.config import parse_value
from runtime.contract import DataType, Value
from runtime.logins import Signing
from runtime.wire import TagView
from tui.model import Point, View
from tui.screens.dialog import Dialog
from tui.shown import described, format_range, format_value, role_word, show_point, signer_of, unit_of
from tui.widgets.signing import SigningFields

_TYPES = {each.iec: each for each in DataType}


@dataclass
class WriteWanted(Message):
    """Someone confirmed a write, or a request for one; the dialog waits for the answer."""

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
        yield Input(id="value", compact=True, placeholder=self._wanted() or self.tag.type)
        yield Static(self.words("write.reason"), id="reason-label", classes="label", markup=False)
        yield Input(id="reason", compact=True, max_length=200)
        yield Static("", id="question", markup=False)
        if self.tag.signature:
            yield SigningFields(self.words, self.tag.signature, signer_of(self.view))

    def buttons(self) -> Sequence[tuple[str, str]]:
        words = self.words
        return (
            ("ok", f"{words('key.ok')} (Enter)"),
            ("send", f"{words('key.request' if self.tag.two_person else 'key.write')} (y)"),
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
            if not self._sending:
                self.query_one("#question", Static).update(self._question())

    def watched(self) -> Iterable[int]:
        now = self.view.tags.get(self.tag.path)
        return (now.id,) if now else ()

    def _point(self) -> Point | None:
        """Return the present value; the tag has another number where another configuration runs now."""
        now = self.view.tags.get(self.tag.path)
        return self.view.values.get(now.id) if now else None

    def _facts(self) -> str:
        words, tag = self.words, self.tag
        shown = show_point(self.view, tag, self._point())
        role = role_word(tag.role, words)
        mine = role_word(self.view.info.user.role_at(tag.path), words) if self.view.info else ""
        description = described(tag, words)
        lines = [description] if description else []
        lines += [
            f"{words('write.now')}: {shown.text} {unit_of(tag)}  {shown.mark} {shown.word}",
            f"{words('tags.range')}: {format_range(tag, words)}",
            f"{words('tags.role')}: {role} ({words('write.your_role', role=mine)})",
        ]
        if tag.interlock:
            lines.append(f"{words('tags.interlock')}: {tag.interlock}")
        if tag.two_person:
            lines.append(words("request.told"))
        return "\n".join(lines)

    def _ask(self) -> None:
        self._value = None
        self._step(confirming=False)

    def _step(self, *, confirming: bool) -> None:
        for selector in ("#value-label", "#value", "#reason-label", "#reason", "#ok"):
            self.query_one(selector).display = not confirming
        self.query_one("#facts").display = not (confirming and self.tag.signature)  # it takes the room
        self.query_one("#question").display = confirming
        for each in self.query(SigningFields):
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
        except ValueError:
            told = self.words("write.wrong", value=repr(text), type=self.tag.type)
            self.say(f"{told}: {self._wanted()}", wrong=True)
            self.query_one("#value").focus()
            return
        if not reason:
            self.say(self.words("write.need_reason"), wrong=True)
            self.query_one("#reason").focus()
            return
        self.query_one("#question", Static).update(self._question())
        self.say("")
        self._step(confirming=True)
        if self.tag.signature:
            self.say(self.words("write.sign"))
            self.query_one(SigningFields).begin()
        else:
            self.query_one("#cancel").focus()

    def _question(self) -> str:
        """Return what will be sent, beside the present value and how far that is to be trusted."""
        if self._value is None:
            return ""
        words, tag = self.words, self.tag
        unit = f" {unit_of(tag)}" if unit_of(tag) else ""
        old = show_point(self.view, tag, self._point()).marked.rstrip()
        asked = words("request.question" if tag.two_person else "write.question")
        reason = self.query_one("#reason", Input).value.strip()
        return f"{asked}\n\n  {old}{unit}  ->  {self._told()}{unit}\n  {words('write.reason')}: {reason}"

    def _wanted(self) -> str:
        """Return how a value is typed; nothing where it is text."""
        data_type = _TYPES[self.tag.type]
        if data_type is DataType.STRING:
            return ""
        if self.words.has(f"write.wanted.{data_type.iec}"):
            return self.words(f"write.wanted.{data_type.iec}")
        if data_type.limits is None:
            return self.words("write.wanted.number")
        low, high = data_type.limits
        return self.words("write.wanted.whole", low=low, high=high)

    def _told(self) -> str:
        """Return the new value: as it was typed, but for what the console writes in its own way."""
        if isinstance(self._value, bool) or self.tag.type in ("TIME", "DT"):
            return format_value(self._value, self.tag, self.words)
        return str(self._value)

    @on(Button.Pressed, "#send")
    def action_send(self) -> None:
        """Send the confirmed value."""
        if self._value is None or self._sending:
            return
        signature = self.query_one(SigningFields).signing() if self.tag.signature else None
        if self.tag.signature and signature is None:
            self.say(self.words("write.need_signature"), wrong=True)
            return
        self._sending = True
        self.say(self.words("write.sending"))
        reason = self.query_one("#reason", Input).value.strip()
        self.app.post_message(WriteWanted(self, self.tag, self._value, reason, signature))

    @on(SigningFields.Completed)
    def to_send(self) -> None:
        self.query_one("#send").focus()

    def refused(self, text: str, remedy: str) -> None:
        """Show why the plant did not take the value, and let it be corrected."""
        self._sending = False
        self._ask()
        self.say(f"{self.words('write.refused')}: {text}" + (f"\n{remedy}" if remedy else ""), wrong=True)
        self.query_one("#value").focus()
