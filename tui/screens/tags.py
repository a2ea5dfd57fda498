"""F4: every tag, filtered as one types; guarded write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from runtime.wire import TagView
from tui.model import TagIndex
from tui.screens.base import PlantScreen
from tui.screens.write import WriteDialog
from tui.widgets.rows import Rows
from tui.widgets.tabs import Tabs
from tui.widgets.tag_detail import TagDetail
from tui.widgets.tag_list import TagList

MARGIN = 24


@dataclass
class ToTrend(Message):
    """Someone wants to see a tag in the trend."""

    path: str


class TagsScreen(PlantScreen):
    """The list follows only the values that are on the screen, and a few around them."""

    TITLE_KEY = "tags"
    HINTS = (
        ("/", "key.filter", "screen.filter"),
        ("w", "key.write", "screen.write"),
        ("t", "key.to_trend", "screen.to_trend"),
        ("Esc", "key.close", "screen.leave_filter"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", show=False),
        Binding("w", "write", show=False),
        Binding("t", "to_trend", show=False),
        Binding("escape", "leave_filter", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._ids: Sequence[int] = ()
        self._read: tuple[TagIndex, str] | None = None
        self._filter = ""
        self._window: frozenset[int] = frozenset()

    def body(self) -> ComposeResult:
        yield Tabs(id="tabs")
        yield Input(id="filter", compact=True)
        yield TagList(id="tags")
        yield TagDetail(id="detail")

    def on_mount(self) -> None:
        box = self.query_one(Input)
        box.value = self._filter
        box.display = bool(self._filter)
        self.query_one(TagList).focus()

    def watched(self) -> Iterable[int]:
        if not self.is_mounted or not self.query("#tags"):
            return ()
        tags = self.query_one(TagList)
        if not self._window.issuperset(tags.in_sight()):
            self._window = frozenset(tags.in_sight(MARGIN))
        return self._window

    def refresh_body(self) -> None:
        view = self.view
        if self._read != (view.tags, self._filter):
            self._read = (view.tags, self._filter)
            self._ids = view.tags.matching(self._filter)
            self._window = frozenset()
        tags = self.query_one(TagList)
        tags.show(view, self._ids)
        count = view.words("tags.count", shown=len(self._ids), total=len(view.tags))
        self.query_one(Tabs).show(count, (), f"/{self._filter}" if self._filter else "")
        self.query_one(Input).placeholder = view.words("tags.filter")
        self.query_one(TagDetail).show(view, self.tag)

    @property
    def tag(self) -> TagView | None:
        """The tag under the cursor."""
        key = self.query_one(TagList).key
        return self.view.tags[key] if key is not None else None

    def set_filter(self, text: str) -> None:
        """Show only the tags that have all these words."""
        self._filter = text
        if self.is_mounted and self.query("#filter"):
            box = self.query_one(Input)
            box.value = text
            box.display = bool(text)
            self.query_one(TagList).go_to(0)
            self.query_one(TagList).focus()
            self.refresh_body()

    @on(Rows.Moved)
    def follow(self) -> None:
        self.refresh_body()

    @on(Rows.Chosen)
    def action_write(self) -> None:
        """Open the guarded write for the tag under the cursor."""
        tag = self.tag
        if tag is None:
            return
        if tag.access != "rw":
            self.notify(self.view.words("tags.readonly", tag=self.view.tags.short[tag.id]))
            return
        self.app.push_screen(WriteDialog(self.view, tag))

    def action_to_trend(self) -> None:
        if self.tag is not None:
            self.post_message(ToTrend(self.tag.path))

    def action_filter(self) -> None:
        box = self.query_one(Input)
        box.display = True
        box.focus()

    def action_leave_filter(self) -> None:
        """Go back to the list; from the list, drop the filter."""
        if self.query_one(Input).has_focus:
            self.query_one(TagList).focus()
        else:
            self.set_filter("")

    @on(Input.Changed, "#filter")
    def filter_changed(self, event: Input.Changed) -> None:
        if event.value != self._filter:
            self._filter = event.value
            self.query_one(TagList).go_to(0)
            self.refresh_body()

    @on(Input.Submitted, "#filter")
    def to_list(self) -> None:
        self.query_one(TagList).focus()
        self.query_one(Input).display = bool(self._filter)
