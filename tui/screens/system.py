"""F5: how the plant's own parts are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tui.model import TagIndex
from tui.screens.base import PlantScreen
from tui.screens.restart import RestartDialog
from tui.widgets.component_list import ComponentList
from tui.widgets.kernel import Kernel
from tui.widgets.tabs import Tabs
from tui.widgets.tag_list import TagList


class SystemScreen(PlantScreen):
    """Components, kernel, and the kernel's facts as tags."""

    TITLE_KEY = "system"
    HINTS = (
        ("r", "key.restart", "screen.restart"),
        ("Tab", "key.pane", "screen.focus_next"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "restart", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._ids: Sequence[int] = ()
        self._read: TagIndex | None = None
        self._window: frozenset[int] = frozenset()

    def body(self) -> ComposeResult:
        with Vertical(id="system"):
            yield Tabs(id="components-title")
            yield ComponentList(id="components")
            yield Tabs(id="kernel-title")
            yield Kernel(id="kernel")
            yield Tabs(id="sys-title")
            yield TagList(id="sys")

    def on_mount(self) -> None:
        self.query_one(ComponentList).focus()

    def watched(self) -> Iterable[int]:
        if not self.is_mounted or not self.query("#sys"):
            return ()
        tags = self.query_one("#sys", TagList)
        if not self._window.issuperset(tags.in_sight()):
            self._window = frozenset(tags.in_sight(24))
        return self._window

    def refresh_body(self) -> None:
        view = self.view
        if view.tags is not self._read:
            self._read = view.tags
            self._ids = tuple(tag.id for tag in view.tags if "sys" in tag.path.split("/")[:-1])
            self._window = frozenset()
        self.query_one("#components-title", Tabs).show(view.words("system.components"), ())
        self.query_one("#kernel-title", Tabs).show(view.words("system.figures"), ())
        self.query_one("#sys-title", Tabs).show(view.words("system.sys_tags"), ())
        components = self.query_one(ComponentList)
        components.styles.height = min(len(view.components) + 1, max(4, self.size.height // 3))
        components.show(view)
        self.query_one(Kernel).show(view)
        self.query_one("#sys", TagList).show(view, self._ids)

    def action_restart(self) -> None:
        name = self.query_one(ComponentList).key
        if name is not None:
            self.app.push_screen(RestartDialog(self.view, name))
