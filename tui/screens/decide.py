"""A second person's word on a write that waits: approve it, or end it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.message import Message

from runtime.logins import Signing
from runtime.wire import RequestView
from tui.approval import facts_of
from tui.model import View
from tui.screens.reason import ReasonDialog

_ABOUT_NS = 2_000_000_000  # by which this machine's clock and the plant's may differ


@dataclass
class DecisionWanted(Message):
    """Someone decided; the dialog waits for the answer."""

    dialog: DecideDialog
    request: RequestView
    approve: bool
    reason: str
    signature: Signing | None = None


class DecideDialog(ReasonDialog):
    """The gate alone decides. When the request ends meanwhile, the dialog says so and sends nothing more."""

    def __init__(self, view: View, request: RequestView, *, approve: bool) -> None:
        super().__init__(view, request.signature if approve else ())
        self.request = request
        self._approve = approve

    def title_text(self) -> str:
        return self.words("request.approve" if self._approve else "request.reject")

    def facts(self) -> str:
        return "\n".join(facts_of(self.view, self.request))

    def question(self) -> str:
        words = self.words
        asked = words("request.approve_question" if self._approve else "request.reject_question")
        what, change, *_ = facts_of(self.view, self.request)
        return f"{asked}\n\n  {what}\n  {change}\n  {words('write.reason')}: {self.reason}"

    def verb(self) -> str:
        return self.words("key.approve" if self._approve else "key.reject")

    def watched(self) -> Iterable[int]:
        tag = self.view.tags.get(self.request.path)
        return (tag.id,) if tag else ()

    def on_mount(self) -> None:
        super().on_mount()
        if self.view.info and self.view.info.user.name == self.request.actor:
            self.say(self.words("request.own" if self._approve else "request.withdraw"))

    def show(self, view: View) -> None:
        waiting = view.gate.requests if view.gate else ()
        found = next((each for each in waiting if _same(each, self.request)), None)
        self.request = found or self.request  # its end moves with a clock that is set
        super().show(view)
        if self._over or self._sending or view.stale or not self.query("#facts"):
            return
        if view.now_ns >= self.request.until_ns - (0 if found else _ABOUT_NS):
            self.end(self.words("request.too_late"))
        elif found is None:
            self.end(self.words("request.over"))

    def send(self, reason: str, signature: Signing | None) -> None:
        self.app.post_message(DecisionWanted(self, self.request, self._approve, reason, signature))


def _same(one: RequestView, other: RequestView) -> bool:
    """Tell whether it is the very same request: numbers begin anew with the plant."""
    return (one.id, one.path, one.value, one.actor, one.at_ns) == (
        other.id,
        other.path,
        other.value,
        other.actor,
        other.at_ns,
    )
