"""The mimic: one box a station, in the order of the line, wrapped to the width of the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from runtime.wire import TagView
from tui.equipment import Station, is_float
from tui.model import PRIORITIES, View, needs_acknowledgement
from tui.shown import PRIORITY_SHAPE, equipment_name, fit, label_of, show, show_state, unit_of
from tui.widgets.cells import Cell, Cells, Line

MIN_WIDTH = 18
MAX_WIDTH = 30
GAP = 2
UNIT_WIDTH = 5
ROOMY = 18  # cells within a box from which units stand in a column
FRAME_ROWS = 3  # top, state, bottom
_PARTS = " ▏▎▍▌▋▊▉█"


class Mimic(Cells, can_focus=True):
    """Grey while all is normal; colour marks what is not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", show=False),
        Binding("right", "move(1)", show=False),
        Binding("up", "move_row(-1)", show=False),
        Binding("down", "move_row(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    @dataclass
    class Chosen(Message):
        """A station was chosen."""

        path: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._stations: Sequence[Station] = ()
        self._lines: Sequence[Line] = ()
        self._cursor = 0
        self._room = 0

    @property
    def wanted_height(self) -> int:
        """How many lines the drawing has."""
        return len(self._lines)

    def line(self, y: int) -> Line:
        index = y + round(self.scroll_offset.y)
        return self._lines[index] if index < len(self._lines) else ()

    def show(self, view: View, stations: Sequence[Station], room: int) -> None:
        """Draw the newest values into at most `room` lines."""
        self._stations = stations
        self._room = room
        self._cursor = min(self._cursor, max(0, len(stations) - 1))
        if not stations:
            text = view.words("overview.empty") if view.info else ""
            self._lines = [(), (Cell(f"  {text}", "dim"),)]
        else:
            self._lines = self._draw(view)
        self.resize_content(len(self._lines))
        self.sync()

    @property
    def columns(self) -> int:
        """How many boxes stand in one row: as few as let all of them be seen."""
        count = max(1, len(self._stations))
        room = self.size.width - 2 + GAP
        most = max(1, min(count, room // (MIN_WIDTH + GAP)))
        least = min(most, -(-room // (MAX_WIDTH + GAP)))
        height = self._wanted + FRAME_ROWS
        fitting = (each for each in range(least, most) if -(-count // each) * height <= self._room)
        return next(fitting, most)

    @property
    def _wanted(self) -> int:
        """How many lines below the state the fullest box has."""
        return max(
            len(each.values) + (each.level is not None and each.state is not None) for each in self._stations
        )

    def _draw(self, view: View) -> list[Line]:
        columns = self.columns
        width = min(MAX_WIDTH, (self.size.width - 2 - GAP * (columns - 1)) // columns)
        rows = -(-len(self._stations) // columns)
        inner_rows = self._inner_rows(rows)
        marks = _alarm_marks(view)
        lines: list[Line] = []
        for row in range(rows):
            first = row * columns
            members = self._stations[first : first + columns]
            boxes = [
                _box(
                    view, each, width, inner_rows, self.has_focus and first + i == self._cursor,
                    marks.get(each.path), first + i,
                )
                for i, each in enumerate(members)
            ]  # fmt: skip
            for y in range(len(boxes[0])):
                cells: list[Cell] = [Cell(" ")]
                for i, box in enumerate(boxes):
                    cells += box[y]
                    last = first + i == len(self._stations) - 1
                    joined = y == 1 and not last and self._flows(first + i)
                    cells.append(Cell("─▸" if joined else "  ", "line"))
                lines.append(tuple(cells))
        return lines

    def _flows(self, index: int) -> bool:
        """Tell whether the product goes from a station to the next."""
        return self._stations[index].in_flow and self._stations[index + 1].in_flow

    def _inner_rows(self, rows: int) -> int:
        """Return how many lines of values each box gets, so that all boxes are seen if they can be."""
        return max(1, min(self._wanted, self._room // rows - FRAME_ROWS))

    def action_move(self, step: int) -> None:
        self._cursor = max(0, min(self._cursor + step, len(self._stations) - 1))
        self.post_message(self.Moved())

    def action_move_row(self, step: int) -> None:
        if 0 <= self._cursor + step * self.columns < len(self._stations):
            self.action_move(step * self.columns)

    def action_choose(self) -> None:
        if self._stations:
            self.post_message(self.Chosen(self._stations[self._cursor].path))

    def action_pick(self, index: int) -> None:
        """Choose a station by its number in the line."""
        self._cursor = index
        self.action_choose()

    @dataclass
    class Moved(Message):
        """The cursor stands on another station."""

    def on_focus(self) -> None:
        self.post_message(self.Moved())

    def on_blur(self) -> None:
        self.post_message(self.Moved())

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Moved())


def _alarm_marks(view: View) -> Mapping[str, Cell]:
    """Return the mark of the gravest alarm of each equipment; unacknowledged before acknowledged."""
    marks: dict[str, Cell] = {}
    root = f"{view.info.root}/" if view.info else ""
    for priority in reversed(PRIORITIES):
        for new in (False, True):
            for alarm in view.alarms:
                if alarm.priority == priority and needs_acknowledgement(alarm) is new:
                    tag = alarm.tag if alarm.tag.startswith(root) else root + alarm.tag
                    style = f"{priority}-new" if new else priority
                    marks[tag.rpartition("/")[0]] = Cell(f" {PRIORITY_SHAPE[priority]} ", style)
    return marks


def _box(
    view: View, station: Station, width: int, inner_rows: int, selected: bool, mark: Cell | None, number: int
) -> list[Line]:
    action = f"pick({number})"
    inner = width - 4
    edge = "strong" if selected else "line"
    state = show_state(view, station.state) if station.state is not None else None
    if state and state.style == "fault":
        edge = "fault"
    name = equipment_name(station.tags, station.name, view.words)
    left = mark.text if mark else ""
    title = fit(name, min(cell_len(name), inner - cell_len(left)))
    rule = "─" * (width - 4 - cell_len(title) - cell_len(left))
    corner = ("┏", "┓", "┗", "┛", "━", "┃") if selected else ("┌", "┐", "└", "┘", "─", "│")
    rule = rule.replace("─", corner[4])
    top: list[Cell] = [Cell(corner[0], edge), Cell(f" {title} ", "title", action), Cell(rule, edge)]
    if mark:
        top.append(Cell(mark.text, mark.style, "app.goto('alarms')"))
    top.append(Cell(corner[1], edge))
    body: list[Line] = []
    if state:
        body.append((Cell(fit(f"{state.mark} {state.text}", inner), state.style, action),))
    if station.level is not None:
        body.append(_level(view, station.level, inner, action))
    body += [_value(view, tag, inner, action) for tag in station.values]
    body = body[: inner_rows + 1]
    body += [(Cell(" " * inner, "text", action),)] * (inner_rows + 1 - len(body))
    side = corner[5]
    lines = [tuple(top)]
    lines += [(Cell(f"{side} ", edge), *each, Cell(f" {side}", edge)) for each in body]
    lines.append((Cell(corner[2] + corner[4] * (width - 2) + corner[3], edge),))
    return lines


def _value(view: View, tag: TagView, width: int, action: str) -> Line:
    shown = show(view, tag)
    unit = unit_of(tag) if cell_len(unit_of(tag)) <= UNIT_WIDTH else ""
    unit_width = UNIT_WIDTH if width >= ROOMY else cell_len(unit)
    text = fit(shown.text, min(cell_len(shown.text), max(1, width - unit_width - 2)))
    number = f"{text}{shown.mark}"
    room = width - cell_len(number) - unit_width - 1
    label = fit(label_of(tag, view.words, room), room) if room > 2 else " " * max(0, room)
    return (
        Cell(label + " ", "label", action),
        Cell(number, shown.style, action),
        Cell(fit(unit, unit_width), "label", action),
    )


def _level(view: View, tag: TagView, width: int, action: str) -> Line:
    shown = show(view, tag)
    point = view.values.get(tag.id)
    low, high = 0.0 if tag.low is None else tag.low, 1.0 if tag.high is None else tag.high
    if is_float(tag):
        unit = unit_of(tag) if cell_len(unit_of(tag)) <= 2 else ""
        number = f"{shown.text}{shown.mark}{unit}"
    else:
        number = f"{shown.text}{shown.mark.strip()}/{high:g}"
    number_width = min(width, max(cell_len(number) + 1, width // 2))
    room = width - number_width
    share = 0.0
    if point and isinstance(point.value, int | float):
        share = max(0.0, min(1.0, (float(point.value) - low) / (high - low)))
    full, part = divmod(round(share * room * 8), 8)
    bar = "█" * full + (_PARTS[part] if full < room and part else "")
    style = "bar" if shown.style == "value" else "stale"
    return (
        Cell(bar, f"trough {style}", action),
        Cell(" " * (room - len(bar)), "trough", action),
        Cell(fit(number, number_width, "right"), shown.style, action),
    )
