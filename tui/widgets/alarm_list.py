"""The alarm list: by priority, then newest first; unacknowledged ones inverse, nothing flashes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from runtime.wire import AlarmView
from tui.model import View, needs_acknowledgement
from tui.shown import PRIORITY_SHAPE, format_number, format_since, format_value, unit_of
from tui.widgets.cells import Cell
from tui.widgets.rows import Column, Rows


class AlarmList(Rows[str]):
    """Rows are alarms by name."""

    COLUMNS: ClassVar[Sequence[Column]] = (
        Column("column.priority", 10),
        Column("column.state", 14),
        Column("column.time", 8),
        Column("column.text", -1),
        Column("column.value", 14, "right", hide_below=70),
    )
    EMPTY = "alarm.none"

    hidden = False

    def show(self, view: View) -> None:
        """Show the newest alarms, or the hidden ones."""
        self.put(view, tuple(alarm.name for alarm in self._shown(view)))

    def _shown(self, view: View) -> Sequence[AlarmView]:
        return view.hidden_alarms if self.hidden else view.alarms

    @property
    def alarm(self) -> AlarmView | None:
        """The alarm under the cursor."""
        return self.find(self.key) if self.key is not None else None

    def find(self, name: str) -> AlarmView | None:
        return next((each for each in self._shown(self.view) if each.name == name), None)

    def cells(self, key: str) -> Sequence[Cell]:
        alarm = self.find(key)
        if alarm is None:
            return [Cell("")] * len(self.COLUMNS)
        words = self.view.words
        new = needs_acknowledgement(alarm)
        stale = "?" if self.view.stale else ""
        text_style = "stale" if self.view.stale else "title" if new else "text" if alarm.active else "dim"
        text = words.pick(alarm.text) or alarm.name
        if alarm.first_out:
            text = f"{words('alarm.first_out')} {text}"
        return (
            Cell(
                f"{PRIORITY_SHAPE[alarm.priority]} {words(f'priority.{alarm.priority}')}",
                f"{alarm.priority}-new" if new else alarm.priority,
            ),
            Cell(words(f"alarm.{standing_of(alarm)}") + stale, text_style),
            Cell(_raised(alarm, self.view.now_ns), text_style),
            Cell(text, text_style),
            Cell(value_of(self.view, alarm), text_style),
        )


def _raised(alarm: AlarmView, now_ns: int) -> str:
    """Return when an alarm was raised, in eight cells: the clock today, month and day before."""
    text = format_since(alarm.raised_ns, now_ns) if alarm.raised_ns else ""
    return text if len(text) <= 8 else text[5:10]


def standing_of(alarm: AlarmView) -> str:
    """Return the word for how an alarm stands: what hides it before its state."""
    if alarm.out_of_service:
        return "out_of_service"
    if alarm.shelved:
        return "shelved"
    if alarm.suppressed:
        return "suppressed"
    if alarm.latched:
        return "latched"
    return alarm.state if alarm.confirmed else "unconfirmed"


def value_of(view: View, alarm: AlarmView) -> str:
    """Return the value that an alarm was raised with, and its unit."""
    if alarm.value is None:
        return ""
    tag = view.tags.get(alarm.tag)
    if tag is None:
        return format_number(alarm.value, None) if isinstance(alarm.value, float) else str(alarm.value)
    return f"{format_value(alarm.value, tag, view.words)} {unit_of(tag)}".strip()
