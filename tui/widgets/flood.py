"""The line over the alarms while more come than a person can handle: the first matters most."""

from __future__ import annotations

from collections.abc import Iterable

from tui.model import View
from tui.shown import fit
from tui.widgets.cells import Cell
from tui.widgets.sheet import Sheet

_TAGS = ("sys/alarms/flood", "sys/alarms/flood_first", "sys/alarms/rate_10min")


class FloodLine(Sheet):
    """Hidden while there is no flood."""

    def show(self, view: View) -> None:
        """Show the newest figures."""
        points = [view.values.get(id_) for id_ in flood_tags(view)]
        flood, first, rate = [point.value if point else None for point in points] or (None, None, None)
        self.display = flood is True
        if self.display:
            text = view.words("alarm.flood", rate=str(rate), first=str(first))
            self.put([(Cell(fit(f" ! {text}", self.size.width or 80), "high"),)])


def flood_tags(view: View) -> Iterable[int]:
    """Return the ids of the tags that the line needs; none where the plant is too old to have them."""
    tags = [view.tags.get(path) for path in _TAGS]
    return [tag.id for tag in tags if tag] if all(tags) else []
