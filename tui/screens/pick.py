"""Choose the tags of the trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input, Static

from tui.model import View
from tui.screens.dialog import Dialog
from tui.trend import MAX_PENS
from tui.widgets.rows import Rows
from tui.widgets.tag_list import TagList


@dataclass
class PenToggled(Message):
    """Someone adds a tag to the trend, or takes it out."""

    path: str


class PickDialog(Dialog):
    """A tag list with a filter; Enter adds and removes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", show=False),
        Binding("down", "to_list", show=False),
    ]

    def __init__(self, view: View, paths: Sequence[str]) -> None:
        super().__init__(view)
        self._paths = list(paths)

    def title_text(self) -> str:
        return self.words("pick.title", count=len(self._paths))

    def body(self) -> ComposeResult:
        yield Input(id="filter", compact=True, placeholder=self.words("tags.filter"))
        yield TagList(id="tags")

    def buttons(self) -> Sequence[tuple[str, str]]:
        return (("cancel", f"{self.words('key.close')} (Esc)"),)

    def on_mount(self) -> None:
        self.show(self.view)
        self.say(f"Enter: {self.words('key.toggle')}   /: {self.words('key.filter')}")
        self.query_one(TagList).focus()

    def show(self, view: View) -> None:
        super().show(view)
        if not self.is_mounted or not self.query("#tags"):
            return
        marked = {tag.id for path in self._paths if (tag := view.tags.get(path))}
        numeric = [
            id_
            for id_ in view.tags.matching(self.query_one(Input).value)
            if view.tags[id_].type not in ("STRING", "DT")
        ]
        self.query_one(TagList).show(view, numeric, marked)

    def watched(self) -> Sequence[int]:
        """Return the ids of the tags that are seen."""
        return self.query_one(TagList).in_sight() if self.query("#tags") else ()

    @on(Rows.Chosen)
    def toggle(self, event: Rows.Chosen) -> None:
        path = self.view.tags[int(str(event.key))].path
        if path in self._paths:
            self._paths.remove(path)
        elif len(self._paths) == MAX_PENS:
            self.say(self.words("trend.full"), wrong=True)
            return
        else:
            self._paths.append(path)
        self.query_one("#title", Static).update(self.title_text())
        self.app.post_message(PenToggled(path))
        self.show(self.view)

    @on(Input.Changed)
    def filter_changed(self) -> None:
        self.query_one(TagList).go_to(0)
        self.show(self.view)

    @on(Input.Submitted)
    def action_to_list(self) -> None:
        self.query_one(TagList).focus()

    def action_filter(self) -> None:
        self.query_one(Input).focus()
