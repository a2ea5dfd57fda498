"""Curves: gaps stay gaps, peaks stay peaks, live values follow the stored ones."""

from runtime.contract import Quality
from runtime.wire import TrendSeries
from tui.model import Link, Point, View
from tui.trend import Pen

S = 10**9
ROW = ("tank/level_pct", "REAL", "%", 0, 100, "Level", "液位", "r", 63.4)


def online(now_s):
    return View(link=Link.ONLINE, now_ns=now_s * S)


def test_a_gap_in_history_splits_the_curve(make_tag):
    pen = Pen("x")
    points = ((0, 1.0, 1.0, 1.0), (S, 2.0, 2.0, 2.0), (2 * S, None, None, None), (3 * S, 4.0, 4.0, 4.0))
    pen.take_history(TrendSeries("x", "%", points))
    curve = pen.curve(1, make_tag(0, ROW, 0), 0, 4 * S, held=False)
    assert curve.segments == (((0, 1.0), (S, 2.0)), ((3 * S, 4.0),))


def test_a_bucket_keeps_its_least_and_greatest_value(make_tag):
    pen = Pen("x")
    pen.take_history(TrendSeries("x", "%", ((0, 1.0, 2.0, 9.0), (S, 3.0, 3.0, 3.0))))
    (segment,) = pen.curve(1, make_tag(0, ROW, 0), 0, 2 * S, held=False).segments
    assert {value for _, value in segment} == {1.0, 9.0, 3.0}


def test_live_values_follow_history_and_hold_until_now(make_tag):
    pen = Pen("x")
    pen.take_history(TrendSeries("x", "%", ((0, 1.0, 1.0, 1.0), (S, 2.0, 2.0, 2.0))))
    pen.take_live(online(1), Point(1.9, 0, S))  # already in history
    pen.take_live(online(2), Point(3.0, 0, 2 * S))
    (segment,) = pen.curve(1, make_tag(0, ROW, 0), 0, 9 * S, held=True).segments
    assert segment == ((0, 1.0), (S, 2.0), (2 * S, 3.0), (9 * S, 3.0))


def test_bad_quality_and_lost_connection_end_the_curve(make_tag):
    pen = Pen("x")
    pen.take_live(online(1), Point(5.0, 0, S))
    pen.take_live(online(2), Point(5.0, Quality.BAD_NO_COMMUNICATION, 2 * S))
    pen.take_live(online(3), Point(6.0, 0, 3 * S))
    pen.take_live(View(link=Link.LOST, now_ns=4 * S), Point(6.0, 0, 3 * S))
    curve = pen.curve(1, make_tag(0, ROW, 0), 0, 9 * S, held=True)
    assert curve.segments == (((S, 5.0),), ((3 * S, 6.0),))


def test_a_live_value_holds_until_another_comes_or_it_turns_bad(make_tag):
    pen = Pen("x")
    pen.take_live(online(1), Point(5.0, 0, S))
    pen.take_live(online(60), Point(9.0, 0, 60 * S))
    pen.take_live(online(90), Point(9.0, Quality.BAD_NO_COMMUNICATION, 90 * S))
    curve = pen.curve(1, make_tag(0, ROW, 0), 0, 99 * S, held=True)
    assert curve.segments == (((S, 5.0), (60 * S, 5.0), (60 * S, 9.0), (90 * S, 9.0)),)


def test_a_value_from_before_the_window_enters_at_its_edge(make_tag):
    pen = Pen("x")
    pen.take_live(online(1), Point(5.0, 0, S))
    (segment,) = pen.curve(1, make_tag(0, ROW, 0), 10 * S, 20 * S, held=True).segments
    assert segment == ((10 * S, 5.0), (20 * S, 5.0))


def test_axis_is_the_range_of_the_tag_or_else_that_of_the_values(make_tag):
    pen = Pen("x")
    pen.take_live(online(1), Point(40.0, 0, S))
    pen.take_live(online(2), Point(60.0, 0, 2 * S))
    ranged = pen.curve(1, make_tag(0, ROW, 0), 0, 9 * S, held=True)
    assert (ranged.low, ranged.high) == (0, 100)
    free = pen.curve(1, make_tag(0, (*ROW[:3], None, None, *ROW[5:]), 0), 0, 9 * S, held=True)
    assert free.low < 40 < 60 < free.high
