"""F6: who may write now, what waits for a second person, and what goes back by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from runtime.wire import RequestView
from tui.screens.base import PlantScreen
from tui.screens.decide import DecideDialog
from tui.screens.mode import ModeDialog
from tui.widgets.hold_list import HoldList
from tui.widgets.mode_line import ModeLine
from tui.widgets.request_detail import RequestDetail
from tui.widgets.request_list import RequestList
from tui.widgets.rows import Rows
from tui.widgets.tabs import Tabs


class GateScreen(PlantScreen):
    """Mode above, requests in the middle, values for a time below."""

    TITLE_KEY = "gate"
    HINTS = (
        ("a", "key.approve", "screen.approve"),
        ("x", "key.reject", "screen.reject"),
        ("m", "key.maintenance", "screen.maintenance"),
        ("e", "key.read_only", "screen.read_only"),
        ("Tab", "key.pane", "screen.focus_next"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "approve", show=False),
        Binding("x", "reject", show=False),
        Binding("m", "maintenance", show=False),
        Binding("e", "read_only", show=False),
    ]

    def body(self) -> ComposeResult:
        yield ModeLine(id="mode")
        yield Tabs(id="requests-title")
        yield RequestList(id="requests")
        yield RequestDetail(id="detail")
        yield Tabs(id="holds-title")
        yield HoldList(id="holds")

    def on_mount(self) -> None:
        self.query_one(RequestList).focus()

    def watched(self) -> Iterable[int]:
        tags = (self.view.tags.get(each.path) for each in self.view.requests)
        return [tag.id for tag in tags if tag]

    def refresh_body(self) -> None:
        view, words = self.view, self.view.words
        requests = self.query_one(RequestList)
        holds = len(view.gate.holds) if view.gate else 0
        self.query_one(ModeLine).show(view)
        self.query_one("#requests-title", Tabs).show(words("gate.requests", count=len(view.requests)), ())
        requests.show(view)
        self.query_one(RequestDetail).show(view, requests.request)
        self.query_one("#holds-title", Tabs).show(words("gate.holds", count=holds), ())
        self.query_one(HoldList).show(view)

    @on(Rows.Moved, "#requests")
    def follow(self) -> None:
        self.refresh_body()

    @on(Rows.Chosen, "#requests")
    def action_approve(self) -> None:
        """Ask for the word that writes the selected request."""
        self._decide(approve=True)

    def action_reject(self) -> None:
        """Ask for the word that ends the selected request."""
        self._decide(approve=False)

    def _decide(self, *, approve: bool) -> None:
        request: RequestView | None = self.query_one(RequestList).request
        if request is None:
            self.notify(self.view.words("gate.no_requests"))
            return
        self.app.push_screen(DecideDialog(self.view, request, approve=approve))

    def action_maintenance(self) -> None:
        """Begin or end maintenance."""
        self._change("auto", "maintenance")

    def action_read_only(self) -> None:
        """Throw the emergency switch, or end it."""
        self._change("writable", "read_only")

    def _change(self, off: str, on_: str) -> None:
        gate = self.view.gate
        if gate is None:
            return
        self.app.push_screen(ModeDialog(self.view, off if gate.mode == on_ else on_))
