"""F3: up to four tags over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from runtime.wire import TrendSeries
from tui.model import SECOND_NS, TagIndex
from tui.screens.base import PlantScreen
from tui.screens.pick import PickDialog
from tui.trend import MAX_PENS, WINDOWS_S, Curve, Pen, default_pens
from tui.widgets.chart import Chart
from tui.widgets.legend import Legend
from tui.widgets.rows import Rows
from tui.widgets.tabs import Tabs

_NAMES = tuple(WINDOWS_S)
_FIRST_DIGIT = 6
_REDRAWS = 240  # of one window, so that the newest point moves by less than a cell
_SLOWEST_REDRAW_NS = 5 * SECOND_NS
_FASTEST_REDRAW_NS = SECOND_NS // 2
_REFETCHES = 20


@dataclass
class HistoryWanted(Message):
    """The trend needs stored values."""

    paths: tuple[str, ...]
    start_ns: int
    end_ns: int
    buckets: int


class TrendScreen(PlantScreen):
    """Stored buckets first, live values after them."""

    TITLE_KEY = "trend"
    HINTS = (
        ("t", "key.pick", "screen.pick"),
        ("↑↓", "key.pen", ""),
        ("x", "key.remove_pen", "screen.remove"),
        ("6-9", "key.window", ""),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "pick", show=False),
        Binding("x,delete", "remove", show=False),
        *(Binding(str(_FIRST_DIGIT + i), f"window('{name}')", show=False) for i, name in enumerate(_NAMES)),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._pens: list[Pen] = []
        self._window = "10min"
        self._read: TagIndex | None = None
        self._drawn_ns = 0
        self._asked_ns = 0
        self._trouble = ""
        self._curves: tuple[Curve, ...] = ()

    def body(self) -> ComposeResult:
        yield Tabs(id="tabs")
        yield Chart(id="chart")
        yield Legend(id="legend-rows")

    def on_mount(self) -> None:
        self.query_one(Legend).focus()

    def on_screen_resume(self) -> None:
        """Ask for what happened while another screen was looked at: no live values were taken then."""
        self._asked_ns = 0

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(pen.path for pen in self._pens)

    @property
    def window_ns(self) -> int:
        return WINDOWS_S[self._window] * SECOND_NS

    def watched(self) -> Iterable[int]:
        return [tag.id for path in self.paths if (tag := self.view.tags.get(path))]

    def refresh_body(self) -> None:
        view = self.view
        if view.tags is not self._read and len(view.tags):
            if self._read is None and not self._pens:
                self._pens = [Pen(path) for path in default_pens(list(view.tags))]
            self._read = view.tags
            self._asked_ns = 0
        for pen in self._pens:
            tag = view.tags.get(pen.path)
            if tag:
                pen.take_live(view, view.values.get(tag.id))
        if not view.stale and self._pens and abs(view.now_ns - self._asked_ns) >= self._refetch_ns:
            self._ask_history()
        if abs(view.now_ns - self._drawn_ns) >= self._redraw_ns:
            self._draw()
        choices = [
            (str(_FIRST_DIGIT + i), view.words(f"trend.{name}"), name == self._window,
             f"screen.window('{name}')")
            for i, name in enumerate(_NAMES)
        ]  # fmt: skip
        trouble = view.words("trend.no_history", reason=self._trouble) if self._trouble else ""
        self.query_one(Tabs).show(view.words("trend.window"), choices, trouble)
        self.query_one(Legend).show(view, self._curves)

    @property
    def _redraw_ns(self) -> int:
        return max(_FASTEST_REDRAW_NS, min(_SLOWEST_REDRAW_NS, self.window_ns // _REDRAWS))

    @property
    def _refetch_ns(self) -> int:
        return max(5 * SECOND_NS, self.window_ns // _REFETCHES)

    def _ask_history(self) -> None:
        now_ns = self.view.now_ns
        self._asked_ns = now_ns
        buckets = max(50, min(1000, self.query_one(Chart).size.width))
        self.post_message(HistoryWanted(self.paths, now_ns - self.window_ns, now_ns, buckets))

    def _draw(self) -> None:
        view = self.view
        self._drawn_ns = view.now_ns
        start_ns = view.now_ns - self.window_ns
        self._curves = tuple(
            pen.curve(number, tag, start_ns, view.now_ns, not view.stale)
            for number, pen in enumerate(self._pens, 1)
            if (tag := view.tags.get(pen.path))
        )
        self.query_one(Chart).show(self._curves, self._selected, start_ns, view.now_ns)

    @property
    def _selected(self) -> int:
        key = self.query_one(Legend).key
        return self.paths.index(key) + 1 if key in self.paths else 1

    def take_history(self, series: Sequence[TrendSeries]) -> None:
        """Take the stored values that were asked for."""
        self._trouble = ""
        by_path = {each.path: each for each in series}
        for pen in self._pens:
            if pen.path in by_path:
                pen.take_history(by_path[pen.path])
        self._redraw()

    def no_history(self, reason: str) -> None:
        """Say why there are no stored values; live ones are drawn all the same."""
        self._trouble = reason
        self.refresh_body()

    def toggle(self, path: str) -> None:
        """Add a tag to the pens, or take it out."""
        if path in self.paths:
            self._pens = [pen for pen in self._pens if pen.path != path]
        elif len(self._pens) == MAX_PENS:
            self.notify(self.view.words("trend.full"))
        else:
            self._pens.append(Pen(path))
        self._asked_ns = 0
        self._redraw()

    def _redraw(self) -> None:
        self._drawn_ns = 0
        if self.is_mounted and self.query("#chart"):
            self.refresh_body()

    @on(Rows.Moved)
    def axis_changed(self) -> None:
        if self.view.now_ns:
            self._redraw()

    def action_window(self, name: str) -> None:
        self._window = name
        self._asked_ns = 0
        self._redraw()

    def action_remove(self) -> None:
        key = self.query_one(Legend).key
        if key in self.paths:
            self.toggle(str(key))

    def action_pick(self) -> None:
        self.app.push_screen(PickDialog(self.view, self.paths))
