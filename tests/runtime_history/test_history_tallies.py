"""Figures that look at each sample, against a scalar reading after OPC 10000-13, 5.4.3."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract import Quality
from runtime.historian import compaction
from runtime.historian.query import read_figures
from runtime.historian.tallies import TALLIES, Tallies

GOOD, BAD, UNCERTAIN = 0, int(Quality.BAD_NO_COMMUNICATION), int(Quality.UNCERTAIN_LAST_USABLE_VALUE)
NO_DATA, DOUBTFUL = 0x809B_0000, 0x40A4_0000
CALCULATED, RAW, MULTIPLE = 0x401, 0x400, 0x410
MS = 10**6

sample = st.tuples(
    st.integers(0, 100),
    st.sampled_from([1.0, 2.5, -4.0, 1e9, math.nan]),
    st.sampled_from([GOOD, GOOD, BAD, int(Quality.BAD), UNCERTAIN]),
)
runs = st.lists(sample, max_size=30, unique_by=lambda row: row[0]).map(sorted)


def severity(quality):
    return min(quality >> 30, 2)


def scalar(rows, start, end, width, until):
    """Yield the figures of each interval, each as value and status, or None where there is no data."""
    first = rows[0][0] if rows else math.inf
    for begin in range(start, end, width):
        finish = min(begin + width, end, until)
        inside = [row for row in rows if begin <= row[0] < finish]
        if begin >= until or first >= min(begin + width, until):
            yield dict.fromkeys(TALLIES)
            continue
        good = [(t, value) for t, value, quality in inside if severity(quality) == 0 and value == value]
        values = [value for _, value in good]
        worst = max((severity(quality) for *_, quality in inside), default=0)
        worst_ones = [quality for *_, quality in inside if severity(quality) == worst]
        before = [row for row in rows if row[0] < begin][-1:]
        states = [(begin, severity(before[0][2]) if before else 2)]
        states += [(t, severity(quality)) for t, _, quality in inside]
        ends = [t for t, _ in states[1:]] + [finish]
        spans = [(upto - t, state) for (t, state), upto in zip(states, ends, strict=True)]
        lasted = {state: sum(ns for ns, each in spans if each == state) for state in (0, 2)}
        usable = [(t, value) for t, value, quality in rows if severity(quality) != 2 and value == value]
        held = [row for row in rows if row[0] < start][-1:]
        if held and (severity(held[0][2]) == 2 or held[0][1] != held[0][1]):
            usable = [row for row in usable if row[0] >= start]  # no other is looked for
        changes = [
            t
            for number, (t, value) in enumerate(usable)
            if begin <= t < finish and (number == 0 or usable[number - 1][1] != value)
        ]
        doubt = DOUBTFUL if len(good) < len(inside) else 0
        ends_bad = bool(inside) and any(row[:2] not in good for row in (inside[0], inside[-1]))
        least, greatest = min(values, default=0), max(values, default=0)
        bad = sum(severity(quality) == 2 for *_, quality in inside)
        many = MULTIPLE if worst and len(worst_ones) > 1 else 0
        some = {
            "range": (greatest - least, doubt | CALCULATED),
            "delta": (values[-1] - values[0], (DOUBTFUL if ends_bad else 0) | CALCULATED) if good else None,
            "deviation_population": (statistics.pstdev(values), doubt | CALCULATED) if good else None,
            "deviation_sample": (
                statistics.stdev(values) if len(values) > 1 else 0.0,
                doubt | CALCULATED,
            ),
            "min_at": (least, doubt | (MULTIPLE if values.count(least) > 1 else RAW)),
            "max_at": (greatest, doubt | (MULTIPLE if values.count(greatest) > 1 else RAW)),
        }
        yield {
            "count": (len(good), doubt | CALCULATED),
            "transitions": (len(changes), (DOUBTFUL if bad else 0) | CALCULATED),
            "duration_good": (lasted[0] / MS, CALCULATED),
            "duration_bad": (lasted[2] / MS, CALCULATED),
            "percent_good": (100 * lasted[0] / (finish - begin), CALCULATED),
            "percent_bad": (100 * lasted[2] / (finish - begin), CALCULATED),
            "samples_good": (100 * len(good) / len(inside), CALCULATED) if inside else None,
            "samples_bad": (100 * bad / len(inside), CALCULATED) if inside else None,
            "worst_quality": (worst_ones[0], CALCULATED | many) if inside else None,
            **{name: each if good else None for name, each in some.items()},
        }


@settings(max_examples=60, deadline=None)
@given(
    rows=runs, cut=st.integers(0, 30), width=st.sampled_from([7, 25, 100, 200]), until=st.integers(20, 130)
)
def test_tallies_are_those_of_a_scalar_reading(rows, cut, width, until):
    start, end = 20, 120
    found = Tallies(start, end, width, until)
    before = [row for row in rows if row[0] < start]
    if before:
        _, value, quality = before[-1]
        found.hold(value if severity(quality) < 2 else math.nan, quality)
    inside = [row for row in rows if start <= row[0] < end]
    for piece in (inside[:cut], inside[cut:]):
        t, value, quality = zip(*piece, strict=True) if piece else ((), (), ())
        usable = [math.nan if severity(q) == 2 else v for v, q in zip(value, quality, strict=True)]
        found.feed(np.array(t, np.int64), np.array(usable, float), np.array(quality, np.uint32))
    found.finish()
    expected = list(scalar([row for row in rows if row[0] < until], start, end, width, until))
    for mode in TALLIES:
        at, value, quality = found.figure(mode)
        for number, each in enumerate(expected):
            told = each[mode]
            assert quality[number] == (NO_DATA if told is None else told[1]), (mode, number)
            begin = start + number * width
            if told is None:
                assert math.isnan(value[number])
                assert at[number] == begin
                continue
            assert value[number] == pytest.approx(told[0], abs=1e-5), (mode, number)
            if mode in ("min_at", "max_at"):
                row = next(t for t, v, q in rows if t >= begin and v == told[0] and q == GOOD)
                assert at[number] == row
            else:
                assert at[number] == begin


def test_figures_of_samples_are_read_from_tables_and_files(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level = shelf.tags["site/area/line/level"]
    stored = int(shelf.stored[level.id])
    shelf.append(kit.batch(level, [0, 3600], [10.0, 20.0]))
    shelf.store.seal()
    for table in shelf.store.sealed():
        shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    shelf.append(kit.batch(level, [2 * 3600, 3 * 3600], [40.0, 0.0], [0, BAD]))
    span = (kit.T0 - 3600 * kit.S, kit.T0 + 5 * 3600 * kit.S)

    def figures(mode, width_s=2 * 3600):
        with shelf.view() as view:
            points = read_figures(view, [stored], span, width_s * kit.S, mode, kit.T0 + 4 * 3600 * kit.S)
        found = points[stored]
        return [
            (None if math.isnan(value) else value, int(quality))
            for value, quality in zip(found.value.tolist(), found.quality.tolist(), strict=True)
        ]

    nothing = (None, NO_DATA)
    assert figures("count") == [(1, CALCULATED), (2, CALCULATED), (0, DOUBTFUL | CALCULATED)]
    hours = 3_600_000.0
    assert figures("duration_good") == [(hours, CALCULATED), (2 * hours, CALCULATED), (0, CALCULATED)]
    assert figures("percent_bad") == [(50, CALCULATED), (0, CALCULATED), (100, CALCULATED)]
    assert figures("worst_quality")[2] == (BAD, CALCULATED)
    assert figures("total") == [(36_000, DOUBTFUL), (20 * 3600 + 40 * 3600, 0), nothing]
    assert figures("span") == [(0, DOUBTFUL), (20, 0), nothing]
    assert figures("delta_bounds") == [nothing, nothing, nothing]
    assert figures("delta_bounds", 3600) == [nothing, (10, CALCULATED), (20, CALCULATED), *[nothing] * 3]
    held, interpolated = RAW, 0x402
    assert figures("held", 1800)[2:7] == [
        (10, held), (10, interpolated), (20, held), (20, interpolated), (40, held)
    ]  # fmt: skip
    assert figures("between", 1800)[2:5] == [(10, held), (15, interpolated), (20, held)]
    shelf.store.close()
