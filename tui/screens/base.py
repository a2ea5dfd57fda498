"""What every screen has: header, banner, keys, and the newest view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen

from tui.model import View
from tui.widgets.banner import Banner
from tui.widgets.header import Header
from tui.widgets.keybar import Hint, KeyBar


class PlantScreen(Screen[None]):
    """One of the six screens."""

    TITLE_KEY: ClassVar[str] = ""
    HINTS: ClassVar[Sequence[Hint]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.view = View()

    def body(self) -> ComposeResult:
        """Yield the widgets between banner and keys."""
        raise NotImplementedError

    def refresh_body(self) -> None:
        """Hand `self.view` to the widgets of the body."""
        raise NotImplementedError

    def watched(self) -> Iterable[int]:
        """Return the ids of the tags whose values the screen needs."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Banner(id="banner")
        yield from self.body()
        yield KeyBar(id="keys")

    def show(self, view: View) -> None:
        """Show the newest view."""
        self.view = view
        if not self.is_mounted or not self.query("#keys"):
            return
        self.query_one(Header).show(view)
        self.query_one(Banner).show(view)
        self.query_one(KeyBar).show(view.words, self.TITLE_KEY, self.HINTS)
        self.refresh_body()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(lambda: self.show(self.view))
