"""The boxes and figures of the overview keep their places, whatever the values are."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from runtime.contract import Quality
from runtime.wire import Info, Text, User
from tui.equipment import read_picture
from tui.model import PRIORITIES, Link, Point, TagIndex, View
from tui.shown import format_clock
from tui.widgets.alarm_list import AlarmList
from tui.widgets.component_list import ComponentList
from tui.widgets.figures import _row
from tui.widgets.header import _compose
from tui.widgets.journal_list import JournalList
from tui.widgets.legend import Legend
from tui.widgets.mimic import _box
from tui.widgets.tag_list import TagList

ROOT = "nb/bottling/line1"
ROWS = [
    ("tank/level_pct", "REAL", "%", 0, 100, "Level", "液位", "r", 3.4e38),
    ("tank/temperature_c", "REAL", "°C", 0, 100, "Temperature", "温度", "r", -1.5e20),
    ("press/state", "INT", "", None, None, "State", "状态", "r", 32767),
    ("press/way", "LINT", "m", None, None, "Way", "距离", "r", -(2**63)),
    ("table/box_count", "ULINT", "", 0, 1.8e19, "Boxes", "箱数", "r", 2**64 - 1),
]


def seen(make_tag, rows) -> View:
    tags = [make_tag(number, row, 1) for number, row in enumerate(rows)]
    exceeded = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    points = {tag.id: Point(tag.value, exceeded, 1) for tag in tags}
    return View(link=Link.ONLINE, tags=TagIndex(tags, ROOT), values=points)


def text_of(line) -> str:
    return "".join(cell.text for cell in line)


def test_a_narrow_header_leaves_out_rather_than_cuts(make_alarm):
    alarms = tuple(make_alarm(p, "a/b", p, p, p, 1, state="unacknowledged") for p in PRIORITIES)
    user = User("wang", "operator", "session")
    info = Info("p", Text("Bottling line 1"), ROOT, "1", 1, 1, user)
    for width in (60, 74, 80, 100):
        view = View(link=Link.LOST, info=info, alarms=alarms, now_ns=1)
        text = text_of(_compose(view, width))
        assert cell_len(text) == width
        assert text.startswith(" Bottling")  # goes before the clock
        assert (format_clock(1) in text) == (width >= 100)


@pytest.mark.parametrize("rows", [AlarmList, ComponentList, JournalList, Legend, TagList])
def test_what_matters_in_a_list_has_room_at_60_columns(rows):
    columns = [each for each in rows.COLUMNS if each.hide_below <= 60]
    fixed = sum(each.width for each in columns if each.width > 0) + len(columns)
    assert 60 - 1 - fixed >= 10


@pytest.mark.parametrize("width", [18, 22, 30])
def test_a_value_far_beyond_its_range_stays_in_its_box(make_tag, width):
    view = seen(make_tag, ROWS)
    for station in read_picture(view.tags).stations:
        lines = [text_of(line) for line in _box(view, station, width, 4, False, None, 0)]
        assert {cell_len(line) for line in lines} == {width}
    assert any(
        "-1.5e+20~" in text_of(line) for line in _box(view, station_of(view, "tank"), 30, 4, False, None, 0)
    )


def station_of(view, name):
    return next(each for each in read_picture(view.tags).stations if each.name == name)


def test_a_level_below_zero_is_drawn_within_its_own_range(make_tag):
    view = seen(make_tag, [("cold/room_count", "INT", "", -50, 0, "Room", "室", "r", -25)])
    lines = [text_of(line) for line in _box(view, station_of(view, "cold"), 30, 1, False, None, 0)]
    assert "-25~/0" in lines[1]


def test_a_long_text_among_the_figures_moves_none_of_the_others(make_tag):
    recipe = ("line/recipe", "STRING", "", None, None, "Recipe", "配方", "r", "Lemon, without sugar, 0.5 L")
    view = seen(make_tag, [recipe, ("line/rate_bpm", "REAL", "bpm", 0, 60, "Rate", "速度", "r", 41.2)])
    names, values = (text_of(line) for line in _row(view, list(view.tags), 16))
    assert values.index("41.2") == names.index("Rate")


def test_a_state_that_is_a_text_is_shown_as_such(make_tag):
    view = seen(make_tag, [("press/state", "STRING", "", None, None, "State", "状态", "r", "JAMMED")])
    lines = [text_of(line) for line in _box(view, station_of(view, "press"), 30, 1, False, None, 0)]
    assert "~ JAMMED" in lines[1]
