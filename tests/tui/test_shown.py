"""How values look: never as good when they are not, and in columns that align."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from runtime.contract import Quality
from runtime.wire import JournalEntry
from tui.locale import Words
from tui.model import SECOND_NS, Link, Point, View
from tui.shown import (
    fit,
    format_age,
    format_clock,
    format_kept,
    format_limit,
    format_number,
    format_range,
    format_value,
    plain_name,
    show,
)
from tui.widgets.alarm_detail import wrap

ROW = ("tank/level_pct", "REAL", "%", 0, 100, "Level", "液位", "r", 63.4)


def view_of(point, link=Link.ONLINE):
    return View(words=Words("en"), link=link, now_ns=10**18, values={0: point} if point else {})


@pytest.mark.parametrize(
    ("quality", "mark", "word"),
    [
        (Quality.GOOD, " ", "good"),
        (Quality.GOOD_LOCAL_OVERRIDE, "=", "override"),
        (Quality.UNCERTAIN_LAST_USABLE_VALUE, "~", "last usable"),
        (Quality.BAD_NO_COMMUNICATION, "×", "no comm."),
        (Quality.BAD_SENSOR_FAILURE | 0x400, "×", "sensor fault"),
        (0x80AB_0000, "×", "bad"),
        (0x4000_0000, "~", "uncertain"),
    ],
)
def test_quality_is_told_by_mark_word_and_style(make_tag, quality, mark, word):
    shown = show(view_of(Point(63.4, int(quality), 0)), make_tag(0, ROW, 0))
    assert (shown.text, shown.mark, shown.word) == ("63.4", mark, word)
    assert (shown.style == "value") is (mark == " ")


def test_no_value_looks_good_without_a_connection(make_tag):
    shown = show(view_of(Point(63.4, 0, 0), Link.LOST), make_tag(0, ROW, 0))
    assert (shown.marked, shown.word, shown.style) == ("63.4?", "stale", "stale")


def test_what_is_no_number_does_not_look_good(make_tag):
    tag = make_tag(7, ROW, 0)
    for quality in (Quality.GOOD, Quality.UNCERTAIN_LAST_USABLE_VALUE):
        shown = show(View(link=Link.ONLINE, values={7: Point(None, quality, 1)}), tag)
        assert (shown.text, shown.mark, shown.word, shown.style) == ("---", "×", "no number", "bad")


def test_a_value_that_was_never_told_is_not_made_up(make_tag):
    assert show(view_of(None), make_tag(0, ROW, 0)).marked == "---…"


@pytest.mark.parametrize(
    ("value", "span", "text"),
    [
        (63.44, 100, "63.4"),
        (1.934, 5, "1.93"),
        (500.42, 600, "500.4"),
        (12873.3, 60000, "12873"),
        (-0.0001, 100, "0.0"),
        (1e12, None, "1e+12"),
        (0.0, None, "0.0"),
    ],
)
def test_decimals_follow_the_range(value, span, text):
    assert format_number(value, span) == text


@pytest.mark.parametrize(
    ("data_type", "low", "high", "text"),
    [
        ("REAL", 0, 100, "0 … 100 s"),
        ("REAL", 5, None, "≥ 5 s"),
        ("REAL", None, 0, "≤ 0 s"),
        ("REAL", None, None, "---"),
        ("TIME", 2.5e8, 1e10, "0.25 s … 10 s"),
    ],
)
def test_a_range_may_be_open_and_times_have_their_unit(make_tag, data_type, low, high, text):
    unit = "" if data_type == "TIME" else "s"
    tag = make_tag(0, ("tank/t", data_type, unit, low, high, "", "", "rw", 0), 0)
    assert format_range(tag, Words("en")) == text


@pytest.mark.parametrize(
    ("value", "type_", "unit", "text"),
    [
        (9_000_000_000, "TIME", "", "9.000 s"),
        (51.25, "REAL", "%", "51.2 %"),
        (True, "BOOL", "", "on"),
        (-5, "INT", "1", "-5"),
        (7, "", "", "7"),
        (10**30, "DT", "", f"{10**30}"),
        ("soon", "TIME", "", "soon"),
        (None, "REAL", "%", "---"),
    ],
)
def test_a_value_of_the_journal_says_what_it_is(value, type_, unit, text):
    entry = JournalEntry(1, 1, "a", "raised", "normal", "", "", value, type=type_, unit_text=unit)
    assert format_kept(entry, Words("en")) == text


def test_the_limit_of_an_alarm_is_on_the_scale_of_its_tag(make_tag, make_alarm):
    for data_type, unit, kind, limit, text in (
        ("TIME", "", "high", 2.5e9, "2.5 s"),
        ("REAL", "%", "high", 95.0, "95.0 %"),
        ("REAL", "%", "rate_of_change", 5.0, "5.00 %/s"),
        ("INT", "", "low", 3.0, "3.00"),
        ("DT", "", "high", 3e9, format_clock(3 * SECOND_NS, date=True)),
        ("DT", "", "deviation", 3e9, "3 s"),
        ("DT", "", "rate_of_change", 3e9, "3 s/s"),
    ):
        tag = make_tag(0, ("tank/t", data_type, unit, None, None, "", "", "rw", 0), 0)
        alarm = msgspec.structs.replace(
            make_alarm("a", "tank/t", "high", "x", "x", 0), kind=kind, limit=limit
        )
        assert format_limit(alarm, tag) == text
    assert format_limit(alarm, None) == "3e+09/s"


@pytest.mark.parametrize(("ns", "text"), [(0, "0.000 s"), (2_500_000_000, "2.500 s"), (250_000, "0.00025 s")])
def test_a_time_is_told_in_seconds(make_tag, ns, text):
    tag = make_tag(0, ("tank/t", "TIME", "", None, None, "", "", "rw", ns), 0)
    assert format_value(ns, tag, Words("en")) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (61, "1m"), (7200, "2h"), (86400 * 3, "3d"), (-5, "0s")]
)
def test_age_is_short(seconds, text):
    assert format_age(seconds * 10**9) == text


@given(
    st.text(alphabet="aB 液位高°·—", max_size=30),
    st.integers(0, 20),
    st.sampled_from(["left", "right", "center"]),
)
def test_fitted_text_has_exactly_its_width_in_cells(text, width, align):
    assert cell_len(fit(text, width, align)) == width


@given(st.text(alphabet="ab 液位高，。", max_size=80), st.integers(8, 40))
@example(" 。。。。。", 8)
@example("abababababab", 8)
def test_wrapped_text_keeps_its_words_and_its_width(text, width):
    lines = wrap(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(0 < cell_len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("signal", "unit", "name"),
    [("torque_nm", "N·m", "Torque"), ("vibration_mm_s", "mm/s", "Vibration"), ("run_cmd", "", "Run cmd")],
)
def test_signal_names_are_readable(signal, unit, name):
    assert plain_name(signal, unit) == name
