"""What every dialog has: a frame, a title, a place for a message, and a way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tui.model import View


class Dialog(ModalScreen[None]):
    """A question over the screen; Escape always leaves it without doing anything."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", show=False)]

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.words = view.words

    def title_text(self) -> str:
        raise NotImplementedError

    def body(self) -> ComposeResult:
        """Yield what the dialog asks."""
        raise NotImplementedError

    def buttons(self) -> Sequence[tuple[str, str]]:
        """Return id and text of each button."""
        return (("ok", f"{self.words('key.ok')} (Enter)"), ("cancel", f"{self.words('key.cancel')} (Esc)"))

    def compose(self) -> ComposeResult:
        with Vertical(id="frame"):
            yield Static(self.title_text(), id="title", markup=False)
            yield from self.body()
            yield Static("", id="message", markup=False)
            with Horizontal(id="buttons"):
                for name, text in self.buttons():
                    yield Button(text, id=name, compact=True)

    def show(self, view: View) -> None:
        """Take the newest view."""
        self.view = view

    def watched(self) -> Iterable[int]:
        """Return the ids of the tags whose values the dialog needs, beside those of its screen."""
        return ()

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Show a message in the dialog."""
        message = self.query_one("#message", Static)
        message.update(text)
        message.set_class(wrong, "wrong")

    def finish(self) -> None:
        """Leave the dialog; nothing where it was left already: keys and the plant's answer cross."""
        if self.is_current:
            self.dismiss()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        self.finish()
