"""The base of the live widgets: lines of styled cells, of which only what changed is drawn again."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

STYLES = (
    "text", "value", "label", "dim", "title", "line", "key", "selected", "header", "strong",
    "bad", "uncertain", "stale", "override", "warning", "fault", "bar", "trough", "lost",
    "critical", "high", "medium", "low", "critical-new", "high-new", "medium-new", "low-new",
    "pen-1", "pen-2", "pen-3", "pen-4",
)  # fmt: skip


class Cell(NamedTuple):
    """A run of text in one style; `action` is run by a click on it."""

    text: str
    style: str = "text"
    action: str = ""


Line = tuple[Cell, ...]


class Cells(ScrollView):
    """Draws what `line` returns; `sync` redraws where that differs from what stands on the screen."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"cells--{name}" for name in STYLES}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._drawn: dict[int, Line] = {}
        self._styles_made: dict[str, Style] = {}

    def line(self, y: int) -> Line:
        """Return a line of the viewport, without padding to its width."""
        raise NotImplementedError

    def style_of(self, name: str) -> Style:
        """Return a style by its short name; a space joins several, the later on top."""
        style = self._styles_made.get(name)
        if style is None:
            style = self.rich_style
            for each in name.split():
                style += self.get_component_rich_style(f"cells--{each}", partial=True)
            self._styles_made[name] = style
        return style

    def notify_style_update(self) -> None:
        """Forget the styles made from an older style sheet or another focus."""
        self._styles_made.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        line = self.line(y)
        self._drawn[y] = line
        segments = []
        for cell in line:
            style = self.style_of(cell.style)
            if cell.action:
                style += Style.from_meta({"@click": cell.action})
            segments.append(Segment(cell.text, style))
        strip = Strip(segments)
        left = round(self.scroll_offset.x)
        return strip.crop_extend(left, left + self.size.width, self.rich_style)

    def sync(self) -> None:
        """Draw again what differs from the screen."""
        for y in range(self.size.height):
            old = self._drawn.get(y)
            if old is None:
                continue  # not drawn yet, so a draw is on its way
            new = self.line(y)
            if new != old:
                self.refresh(_difference(old, new, y, self.size.width))

    def resize_content(self, height: int, width: int = 0) -> None:
        """Say how many lines there are."""
        size = Size(width, height)
        if self.virtual_size != size:
            self.virtual_size = size


def _difference(old: Line, new: Line, y: int, width: int) -> Region:
    same_left = 0
    for was, now in zip(old, new, strict=False):
        if was != now:
            break
        same_left += cell_len(now.text)
    old_width = sum(cell_len(cell.text) for cell in old)
    new_width = sum(cell_len(cell.text) for cell in new)
    same_right = 0
    if old_width == new_width:
        for was, now in zip(reversed(old), reversed(new), strict=False):
            if was != now:
                break
            same_right += cell_len(now.text)
    right = max(old_width, new_width) - same_right
    return Region(min(same_left, width), y, max(1, right - same_left), 1)
