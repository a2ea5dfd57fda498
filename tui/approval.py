"""How a write that waits for a second person is told: what would change, who asked, how long still."""

from __future__ import annotations

from runtime.config import format_duration
from runtime.contract import Value
from runtime.wire import RequestView, TagView
from tui.locale import Words
from tui.model import View
from tui.shown import described, format_since, format_value, plain, role_word, show, unit_of


def change_of(view: View, request: RequestView) -> str:
    """Return the present value and the one that is asked for."""
    tag = view.tags.get(request.path)
    now = show(view, tag).marked.strip() if tag else view.words("value.none")
    time = f" ({format_duration(request.for_ns)})" if request.for_ns else ""
    return f"{now} -> {told(request.value, tag, view.words)}{time}"


def told(value: Value, tag: TagView | None, words: Words) -> str:
    """Return a value with its unit, also where the plant has no such tag any more."""
    return f"{format_value(value, tag, words)} {unit_of(tag)}".strip() if tag else str(value)


def facts_of(view: View, request: RequestView) -> list[str]:
    """Return all that a second person must know, the most important first."""
    words = view.words
    tag = view.tags.get(request.path)
    what = f"{view.tags.short[tag.id]}  {described(tag, words)}".strip() if tag else request.path
    asked = words(
        "request.asked",
        name=request.actor,
        role=role_word(request.role, words),
        time=format_since(request.at_ns, view.now_ns),
        reason=request.reason or "-",
    )
    until = words(
        "request.until",
        time=format_since(request.until_ns, view.now_ns),
        left=format_left(request.until_ns - view.now_ns),
    )
    lines = [f"{request.id} · {what}", change_of(view, request), asked, until]
    if tag:
        mine = role_word(view.info.user.role_at(tag.path), words) if view.info else ""
        needs = f"{words('tags.role')}: {role_word(tag.role, words)}"
        lines.append(f"{needs} ({words('write.your_role', role=mine)})")
    if tag and tag.interlock:
        lines.append(f"{words('tags.interlock')}: {tag.interlock}")
    return [plain(each) for each in lines]


def format_left(left_ns: int) -> str:
    """Write how long something still lasts, in at most six cells: minutes and seconds below an hour."""
    seconds = max(0, left_ns) // 1_000_000_000
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02}"
    minutes = seconds // 60
    return f"{minutes // 60}h{minutes % 60:02}m" if minutes < 100 * 60 else f"{minutes // 1440}d"
