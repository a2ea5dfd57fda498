"""Figures of intervals against a scalar reading, however the samples lie in tables and files."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.contract import DataType, Quality, Tag
from runtime.historian import compaction
from runtime.historian.query import read_figures, read_trend
from runtime.historian.reading import Wanted

BAD, UNCERTAIN = int(Quality.BAD), int(Quality.UNCERTAIN_LAST_USABLE_VALUE)
DAY = 86_400

sample = st.tuples(
    st.integers(0, 4 * DAY // 600).map(lambda step: step * 600),
    st.sampled_from([1.0, -2.0, 10.0, 3.5, math.nan]),
    st.sampled_from([0, 0, 0, BAD, UNCERTAIN]),
)
runs = st.lists(st.lists(sample, max_size=25, unique_by=lambda row: row[0]), max_size=4)
LINED = Tag("site/area/line/flow", DataType.LREAL, deadband=1.0, compression="swinging_door")
width = st.sampled_from([DAY, DAY // 2, 3600 * 5 + 7, 2 * DAY])


def value_at(rows, at, lines):
    """Return the value at a time, held or on the line to the next sample."""
    before = [row for row in rows if row[0] <= at][-1:]
    after = [row for row in rows if row[0] > at][:1]
    if not before or before[0][2] == BAD:
        return math.nan
    (t0, v0, _), (t1, v1, quality) = before[0], (after or [(0, math.nan, BAD)])[0]
    if not lines or quality == BAD or math.isnan(v0) or math.isnan(v1):
        return v0
    return v0 + (v1 - v0) * (at - t0) / (t1 - t0)


def scalar(rows, start, end, step, until, lines=False):
    """Yield each interval's figures, and the share of its time with a value."""
    for begin in range(start, end, step):
        finish = min(begin + step, end, until)
        inside = [row for row in rows if begin <= row[0] < finish]
        before = [(begin, *row[1:]) for row in rows if row[0] < begin][-1:]
        events = [(t, math.nan if quality == BAD else value) for t, value, quality in [*before, *inside]]
        events = events if begin < finish else []
        ends = [t for t, _ in events[1:]] + [finish] * bool(events)
        spans = [(b - a, value) for (a, value), b in zip(events, ends, strict=True) if value == value]
        reached = []
        if lines:  # what runs straight has the mean of its ends
            pieces = [(a, b) for (a, _), b in zip(events, ends, strict=True)]
            runs = [(a, b, value_at(rows, a, lines), value_at(rows, b - 1e-9, lines)) for a, b in pieces]
            spans = [(b - a, (left + right) / 2) for a, b, left, right in runs if left == left and b > a]
            reached = [each for a, b, *ends in runs for each in ends if each == each and b > a]
        good = [value for _, value, quality in inside if quality != BAD and value == value]
        held = reached or [value for length, value in spans if length > 0]
        held = held + good
        length = sum(each for each, _ in spans)
        yield (
            {
                "min": min(held, default=math.nan),
                "max": max(held, default=math.nan),
                "mean": math.nan if not good else sum(good) / len(good),
                "first": good[0] if good else math.nan,
                "last": good[-1] if good else math.nan,
                "time_weighted": sum(each * value for each, value in spans) / length if length else math.nan,
            },
            length / max(1, finish - begin),
        )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=runs, step=width, shift=st.sampled_from([0, 0, 3 * 3600]), lines=st.booleans())
def test_figures_are_those_of_a_scalar_reading(tmp_path_factory, kit, written, step, shift, lines):
    shelf = kit.Shelf(tmp_path_factory.mktemp("figures") / "history.duckdb", [*kit.PLANT, LINED])
    level = shelf.tags["site/area/line/flow" if lines else "site/area/line/level"]
    stored = int(shelf.stored[level.id])
    rows = set()
    for number, run in enumerate(written):
        fresh = [row for row in run if row[0] not in rows]
        rows |= {row[0] for row in fresh}
        if fresh:
            shelf.append(kit.batch(level, *map(list, zip(*fresh, strict=True))))
        if number % 3 < 2:
            shelf.store.seal()
            for table in shelf.store.sealed():
                shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
        if number == 2 and (group := compaction.mergeable(shelf.store.parts(), 2**62, 10**6)):
            shelf.store.commit_parts([compaction.merge(shelf.store, group)], None, group)
    with shelf.view() as view:
        found = view.rows(Wanted([stored]), (0, 2**62))
    ordered = [
        ((t - kit.T0) // kit.S, value, quality)
        for t, value, quality in zip(
            found.t.tolist(), found.value.tolist(), found.quality.tolist(), strict=True
        )
    ]
    assert {row[0] for row in ordered} == rows
    start, end, until = shift, 4 * DAY, 4 * DAY - 1000
    span = (kit.T0 + start * kit.S, kit.T0 + end * kit.S)
    expected = list(scalar(ordered, start, end, step, until, lines))
    for mode in ("min", "max", "mean", "first", "last", "time_weighted"):
        with shelf.view() as view:
            points = read_figures(view, [stored], span, step * kit.S, mode, kit.T0 + until * kit.S)[stored]
        told = "time_weighted" if lines and mode == "mean" else mode
        figures = [each[told] if share or not lines else math.nan for each, share in expected]
        assert points.value.tolist() == pytest.approx(figures, nan_ok=True, abs=1e-6), mode
        for quality, value, (_, share) in zip(points.quality, points.value, expected, strict=True):
            assert (quality == 0x809B_0000) == math.isnan(value)
            if share < 0.999 and not math.isnan(value):
                assert quality == 0x40A4_0000
    with shelf.view() as view:
        trend = read_trend(view, stored, span, 7, kit.T0 + until * kit.S)
    assert len(trend) == 7
    with shelf.view() as view:
        found = read_figures(view, [stored], span, step * kit.S, "at", kit.T0 + until * kit.S)[stored]
    ticks = range(start, end, step)
    expected = [value_at(ordered, at, lines) if at <= until else math.nan for at in ticks]
    assert found.value.tolist() == pytest.approx(expected, nan_ok=True)
    shelf.store.close()


def test_values_at_times_and_between(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level = shelf.tags["site/area/line/level"]
    stored = int(shelf.stored[level.id])
    shelf.append(kit.batch(level, [0, 3600], [10.0, 20.0]))
    shelf.store.seal()
    for table in shelf.store.sealed():
        shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    shelf.append(kit.batch(level, [3 * 3600, 4 * 3600], [40.0, 0.0], [0, BAD]))
    span = (kit.T0 - 1800 * kit.S, kit.T0 + 5 * 3600 * kit.S)

    def values(mode):
        with shelf.view() as view:
            points = read_figures(view, [stored], span, 1800 * kit.S, mode, kit.T0 + 10 * 3600 * kit.S)[
                stored
            ]
        return [
            (None if math.isnan(value) else value, int(quality))
            for value, quality in zip(points.value.tolist(), points.quality.tolist(), strict=True)
        ]

    nothing, bad = (None, 0x809B_0000), (None, BAD)
    at = [10, 10, 20, 20, 20, 20, 40, 40]
    assert values("at") == [nothing, *((float(value), 0) for value in at), bad, bad]
    between = [10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0]
    unsure = (40.0, 0x40A4_0000)
    assert values("interpolated") == [nothing, *((value, 0) for value in between), unsure, bad, bad]
    shelf.store.close()


def test_an_interval_may_be_as_long_as_a_number_can_tell(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level = shelf.tags["site/area/line/level"]
    stored = int(shelf.stored[level.id])
    shelf.append(kit.batch(level, [0, 20], [1.0, 3.0]))
    span = (kit.T0, kit.T0 + 40 * kit.S)
    for width in (40 * kit.S, 2**62, 2**63 - 1):
        with shelf.view() as view:
            found = read_figures(view, [stored], span, width, "time_weighted", span[1])[stored]
        assert (found.value.tolist(), found.quality.tolist()) == ([2.0], [0])
    shelf.store.close()


def test_an_end_that_is_included_by_one_ns_has_its_interval_in_every_mode(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level = shelf.tags["site/area/line/level"]
    stored = int(shelf.stored[level.id])
    shelf.append(kit.batch(level, [0, 200 * DAY], [1.0, 3.0]))
    span = (kit.T0, kit.T0 + 200 * DAY * kit.S + 1)
    held, moved = [1.0] * 200 + [3.0], [0.0] * 199 + [2.0, 0.0]
    for mode, expected in (("at", held), ("time_weighted", held), ("delta_bounds", moved)):
        with shelf.view() as view:
            found = read_figures(view, [stored], span, DAY * kit.S, mode, span[1])[stored]
        assert found.t.tolist() == [kit.T0 + day * DAY * kit.S for day in range(201)], mode
        assert found.value.tolist() == expected, mode
    shelf.store.close()


def test_there_is_nothing_between_on_and_off(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level = shelf.tags["site/area/line/level"]
    stored = int(shelf.stored[level.id])
    shelf.append(kit.batch(level, [0, 20], [0.0, 1.0]))
    span = (kit.T0, kit.T0 + 30 * kit.S)
    with shelf.view() as view:
        found = read_figures(view, [stored], span, 10 * kit.S, "interpolated", span[1], {stored})[stored]
    assert [value for _, value, _ in found.listed(DataType.BOOL, "interpolated")] == [False, False, True]
    assert found.quality.tolist() == [0, 0, 0]
    shelf.store.close()


def test_a_line_is_no_better_than_the_values_at_its_ends(tmp_path, kit):
    """Source: OPC 10000-13, 5.4.3: a value that is made of an uncertain one is uncertain."""
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level = shelf.tags["site/area/line/level"]
    doubtful = 0x4090_0000
    shelf.append(kit.batch(level, [0, 20, 40, 60], [0.0, 20.0, 40.0, 60.0], [0, doubtful, 0, 0]))
    span = (kit.T0, kit.T0 + 60 * kit.S)
    with shelf.view() as view:
        found = read_figures(
            view, [int(shelf.stored[level.id])], span, 10 * kit.S, "interpolated", kit.T0 + 3600 * kit.S
        )[int(shelf.stored[level.id])]
    assert found.value.tolist() == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert found.quality.tolist() == [0, 0x40A4_0000, doubtful, doubtful, 0, 0]
    shelf.store.close()
