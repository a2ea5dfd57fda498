"""A list with columns and a cursor, on the line API: ten thousand rows cost as much as forty."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.model import View
from tui.shown import fit
from tui.widgets.cells import Cell, Cells, Line

K = TypeVar("K", bound=Hashable)


class Column(NamedTuple):
    """A column: width in cells, or the share of what is left where it is negative.

    Attributes:
        hide_below: width of the list under which the column is left out.
    """

    title: str
    width: int
    align: str = "left"
    hide_below: int = 0


class Rows(Cells, Generic[K], can_focus=True):
    """Rows named by keys: the cursor stays on its key when the order changes."""

    COLUMNS: ClassVar[Sequence[Column]] = ()
    EMPTY: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "edge(0)", show=False),
        Binding("end", "edge(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    @dataclass
    class Chosen(Message):
        """Enter or a click on the row under the cursor."""

        rows: Rows[Any]
        key: Hashable

        @property
        def control(self) -> Rows[Any]:
            return self.rows

    @dataclass
    class Moved(Message):
        """The cursor stands on another row, or another part of the list is seen."""

        rows: Rows[Any]

        @property
        def control(self) -> Rows[Any]:
            return self.rows

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.view = View()
        self._keys: Sequence[K] = ()
        self._cursor = 0

    def cells(self, key: K) -> Sequence[Cell]:
        """Return one cell a column; the list cuts and pads them."""
        raise NotImplementedError

    @property
    def keys(self) -> Sequence[K]:
        return self._keys

    @property
    def key(self) -> K | None:
        """The key under the cursor."""
        return self._keys[self._cursor] if self._cursor < len(self._keys) else None

    def in_sight(self, margin: int = 0) -> Sequence[K]:
        """Return the keys on the screen, and `margin` more above and below."""
        top = round(self.scroll_offset.y)
        return self._keys[max(0, top - margin) : top + max(self.size.height, 24) + margin]

    def put(self, view: View, keys: Sequence[K]) -> None:
        """Show these rows."""
        self.view = view
        if keys is not self._keys and keys != self._keys:
            here = self.key
            self._keys = keys
            self._cursor = max(0, min(self._cursor, len(keys) - 1))
            if here is not None and self.key != here and here in keys:
                self._cursor = keys.index(here)
            self.resize_content(len(keys) + 1)
            self.post_message(self.Moved(self))
        self.sync()

    def line(self, y: int) -> Line:
        columns = [each for each in self.COLUMNS if self.size.width >= each.hide_below]
        widths = self._widths(columns)
        if y == 0:
            titles = [self.view.words(each.title) if each.title else "" for each in columns]
            heads = (
                Cell(fit(title, width, each.align) + " ", "header")
                for title, each, width in zip(titles, columns, widths, strict=True)
            )
            return (Cell(" ", "header"), *heads)
        index = y - 1 + round(self.scroll_offset.y)
        if index >= len(self._keys):
            empty = y == 2 and not self._keys and self.EMPTY
            return (Cell("  " + self.view.words(self.EMPTY), "dim"),) if empty else ()
        under = "selected " if index == self._cursor and self.has_focus else ""
        shown = [
            cell
            for cell, column in zip(self.cells(self._keys[index]), self.COLUMNS, strict=True)
            if column in columns
        ]
        out = [Cell(" ", under + "text")]
        for cell, column, width in zip(shown, columns, widths, strict=True):
            out.append(Cell(fit(cell.text, width, column.align), under + cell.style))
            out.append(Cell(" ", under + "text"))
        return tuple(out)

    def _widths(self, columns: Sequence[Column]) -> list[int]:
        free = self.size.width - 1 - len(columns) - sum(max(0, each.width) for each in columns)
        shares = -sum(min(0, each.width) for each in columns)
        widths = []
        for each in columns:
            if each.width >= 0:
                widths.append(each.width)
                continue
            part = max(4, free * -each.width // shares)
            widths.append(part)
            free -= part  # the last one gets what is left: rows reach the edge
            shares += each.width
        room = self.size.width - 1  # where that is too little, what is cut says so
        for index, width in enumerate(widths):
            widths[index] = max(0, min(width, room))
            room -= width + 1
        return widths

    def go_to(self, index: int) -> None:
        """Put the cursor on a row and bring it into view."""
        self._cursor = max(0, min(index, len(self._keys) - 1))
        top, room = round(self.scroll_offset.y), self.size.height - 1
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + room:
            self.scroll_to(y=self._cursor - room + 1, animate=False)
        self.sync()
        self.post_message(self.Moved(self))

    def action_move(self, step: int) -> None:
        self.go_to(self._cursor + step)

    def action_page(self, step: int) -> None:
        self.go_to(self._cursor + step * max(1, self.size.height - 2))

    def action_edge(self, end: int) -> None:
        self.go_to(end * (len(self._keys) - 1))

    def action_choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: events.Click) -> None:
        index = event.y - 1 + round(self.scroll_offset.y)
        if event.y > 0 and index < len(self._keys):
            again = index == self._cursor and event.chain == 2
            self.go_to(index)
            if again:
                self.action_choose()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Moved(self))

    def on_focus(self) -> None:
        self.sync()

    def on_blur(self) -> None:
        self.sync()
