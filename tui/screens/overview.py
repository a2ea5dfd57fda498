"""F1: the line at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from tui.equipment import Picture, read_picture
from tui.model import TagIndex
from tui.screens.base import PlantScreen
from tui.widgets.alarm_list import AlarmList
from tui.widgets.figures import Figures
from tui.widgets.mimic import Mimic

LEAST_ALARM_ROWS = 3
TALL = 34  # lines of the screen from which two rows of figures are worth their room


@dataclass
class ShowTags(Message):
    """Someone wants the tags of an equipment."""

    path: str


class OverviewScreen(PlantScreen):
    """Figures of the line above, its stations below, and the gravest alarms where there is room."""

    TITLE_KEY = "overview"
    HINTS = (
        ("←↑↓→", "key.select", ""),
        ("Enter", "key.open_tags", ""),
    )

    def __init__(self) -> None:
        super().__init__()
        self._picture = Picture()
        self._read: TagIndex | None = None

    def body(self) -> ComposeResult:
        yield Figures(id="figures")
        yield Mimic(id="mimic")
        yield AlarmList(id="newest")

    def on_mount(self) -> None:
        self.query_one(AlarmList).can_focus = False
        self.query_one(Mimic).focus()

    @property
    def _room(self) -> int:
        """Height for mimic and alarms."""
        others = ("#header", "#banner", "#figures", "#keys")
        return self.size.height - sum(
            each.outer_size.height for name in others if (each := self.query_one(name)).display
        )

    def watched(self) -> Iterable[int]:
        return [tag.id for tag in self._picture.tags]

    def refresh_body(self) -> None:
        if self.view.tags is not self._read:
            self._read = self.view.tags
            self._picture = read_picture(self._read)
        self.query_one(Figures).show(self.view, self._picture.figures, 2 if self.size.height >= TALL else 1)
        mimic, newest = self.query_one(Mimic), self.query_one(AlarmList)
        mimic.show(self.view, self._picture.stations, self._room)
        left = self._room - mimic.wanted_height
        newest.display = left >= LEAST_ALARM_ROWS
        mimic.styles.height = mimic.wanted_height if newest.display else "1fr"
        newest.show(self.view)

    @on(Mimic.Moved)
    def redraw(self) -> None:
        self.refresh_body()

    @on(Mimic.Chosen)
    def open_tags(self, event: Mimic.Chosen) -> None:
        event.stop()
        root = f"{self.view.tags.root}/"
        self.post_message(ShowTags(f"{event.path.removeprefix(root)}/"))
