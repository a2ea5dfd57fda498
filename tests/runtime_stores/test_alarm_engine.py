"""Conditions, deadband and delays against a scalar oracle; acknowledging and restoring."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.alarms import AlarmEngine, State, Trigger
from runtime.config import AlarmConfig, TagList
from runtime.contract import Actor, Batch, DataType, Quality, Role, Tag
from runtime.errors import WriteRejectedError

S = 1_000_000_000
TAGS = TagList(
    [
        Tag("a/other", DataType.REAL, source="plc"),
        Tag("a/level", DataType.REAL, source="plc"),
        Tag("a/count", DataType.INT, source="plc"),
        Tag("a/fault", DataType.BOOL, source="plc"),
        Tag("a/recipe", DataType.STRING, source="plc"),
        Tag("a/big", DataType.ULINT, source="plc"),
    ],
    "a",
)
ANN = Actor("ann", Role.OPERATOR, "console")


def config(name, tag, kind, **more):
    return AlarmConfig(name=name, tag=tag, kind=kind, text=name, **more)


def values(*rows, at_ns=0):
    """Build a batch of (path, value) or (path, value, quality)."""
    ids, raws, qualities, texts = [], [], [], {}
    for index, (path, value, *quality) in enumerate(rows):
        tag = TAGS[path]
        ids.append(tag.id)
        raws.append(tag.data_type.encode(value))
        qualities.append(quality[0] if quality else Quality.GOOD)
        if isinstance(value, str):
            texts[index] = value
    return Batch.of(ids, raws, at_ns, np.array(qualities, np.uint32), texts)


def moves(transitions):
    return [(each.alarm.name, each.trigger.value) for each in transitions]


def test_high_alarm_with_deadband():
    engine = AlarmEngine([config("high", "level", "high", limit=80, deadband=2)], TAGS)
    played = (80, 80.5, 79, 78.1, 78, 80, 81)
    told = [moves(engine.on_batch(values(("level", value)), 0)) for value in played]
    raised, cleared = [("high", "raised")], [("high", "cleared")]
    assert told == [[], raised, [], [], cleared, [], raised]
    (alarm,) = engine.alarms()
    assert (alarm.state, alarm.value, alarm.count) == (State.UNACKNOWLEDGED, 81.0, 2)


@pytest.mark.parametrize(
    ("alarm", "normal", "wrong"),
    [
        (config("x", "count", "low", limit=-3), -3, -4),
        (config("x", "count", "high", limit=10), 10, 11),
        (config("x", "big", "high", limit=9e18), 9_000_000_000_000_000_000, 2**64 - 1),
        (config("x", "fault", "discrete"), False, True),
        (config("x", "fault", "discrete", state=False), True, False),
        (config("x", "count", "discrete", state=5), 4, 5),
        (config("x", "recipe", "discrete", state="bad"), "good", "bad"),
        (config("x", "level", "discrete", state=0), 1.0, -0.0),
        (config("x", "level", "discrete", state=-0.0), 1.0, 0.0),
    ],
)
def test_each_kind_and_type(alarm, normal, wrong):
    engine = AlarmEngine([alarm], TAGS)
    tag = alarm.tag
    assert engine.on_batch(values((tag, normal)), 1) == []
    assert moves(engine.on_batch(values((tag, wrong)), 2)) == [("x", "raised")]
    assert engine.alarms()[0].value == wrong
    assert moves(engine.on_batch(values((tag, normal)), 3)) == [("x", "cleared")]


def test_a_value_at_the_limit_is_not_beyond_it():
    """Values of a REAL are rounded: 80.3 is a little more than that, 80.1 a little less."""
    for tenths in range(1, 1000, 7):
        limit = tenths / 10
        alarms = [config(kind, "level", kind, limit=limit, deadband=0.4) for kind in ("high", "low")]
        engine = AlarmEngine(alarms, TAGS)
        told = {}
        for step in (0, 1, 0.1, -3, -4, -5, 0.2, 3, 4):
            told[step] = moves(engine.on_batch(values(("level", round(tenths + step) / 10)), 0))
        assert {step: moved for step, moved in told.items() if moved} == {
            1: [("high", "raised")],
            -3: [("low", "raised")],
            -4: [("high", "cleared")],
            3: [("high", "raised")],
            4: [("low", "cleared")],
        }


def test_a_value_that_was_there_and_gone_within_one_batch_is_an_alarm():
    engine = AlarmEngine([config("high", "level", "high", limit=80)], TAGS)
    batch = values(("level", 10), ("other", 1), ("level", 90), ("level", 10))
    assert moves(engine.on_batch(batch, 5)) == [("high", "raised"), ("high", "cleared")]


def test_bad_value_holds_the_alarm_and_raises_bad_quality():
    alarms = [config("high", "level", "high", limit=80), config("bad", "level", "bad_quality")]
    engine = AlarmEngine(alarms, TAGS)
    assert moves(engine.on_batch(values(("level", 90)), 0)) == [("high", "raised")]
    lost = values(("level", 0, Quality.BAD_NO_COMMUNICATION))
    assert moves(engine.on_batch(lost, 1)) == [("bad", "raised")]
    assert engine.alarm("bad").value is None
    assert moves(engine.on_batch(values(("level", math.nan)), 2)) == []
    assert moves(engine.on_batch(values(("level", 10)), 3)) == [("high", "cleared"), ("bad", "cleared")]


def test_waiting_for_the_first_value_is_no_alarm():
    engine = AlarmEngine([config("bad", "level", "bad_quality")], TAGS)
    assert engine.on_batch(values(("level", 0, Quality.BAD_WAITING_FOR_INITIAL_DATA)), 0) == []
    assert len(engine.on_batch(values(("level", 0, Quality.BAD_SENSOR_FAILURE)), 1)) == 1


def test_delays_are_told_ahead_and_end_in_order_of_time():
    alarms = [
        config("slow", "level", "high", limit=80, on_delay="5s", off_delay="2s"),
        config("quick", "level", "high", limit=80, on_delay="3s"),
    ]
    engine = AlarmEngine(alarms, TAGS)
    assert engine.next_due_ns() is None
    engine.on_batch(values(("level", 90)), 0)
    assert engine.next_due_ns() == 3 * S
    assert engine.on_time(3 * S - 1) == []
    assert moves(engine.on_time(9 * S)) == [("quick", "raised"), ("slow", "raised")]
    assert moves(engine.on_batch(values(("level", 10)), 10 * S)) == [("quick", "cleared")]
    assert engine.next_due_ns() == 12 * S
    assert engine.on_batch(values(("level", 90)), 11 * S) == []  # slow never cleared, quick starts anew
    assert engine.next_due_ns() == 14 * S
    assert engine.alarm("slow").standing.active


def test_acknowledge_says_why_not():
    engine = AlarmEngine([config("tank.high", "level", "high", limit=80)], TAGS)
    with pytest.raises(WriteRejectedError, match=r"no alarm 'tank\.hihg'") as caught:
        engine.acknowledge("tank.hihg", ANN, "", 0)
    assert "tank.high" in caught.value.remedy
    with pytest.raises(WriteRejectedError, match="nothing to acknowledge"):
        engine.acknowledge("tank.high", ANN, "", 0)
    engine.on_batch(values(("level", 90)), 1)
    with pytest.raises(WriteRejectedError, match="viewer"):
        engine.acknowledge("tank.high", Actor("bob", Role.VIEWER, "api"), "", 2)
    moved = engine.acknowledge("tank.high", ANN, "on my way", 3)
    alarm = moved.alarm
    assert (alarm.state, alarm.acknowledged_ns, alarm.acknowledged_by, alarm.comment) == (
        State.ACKNOWLEDGED,
        3,
        "ann",
        "on my way",
    )
    assert moves(engine.on_batch(values(("level", 10)), 4)) == [("tank.high", "cleared")]
    assert engine.alarm("tank.high").state is State.NORMAL


def test_a_restored_alarm_stands_until_live_values_say_otherwise():
    alarms = [config("high", "level", "high", limit=80, deadband=5), config("low", "level", "low", limit=5)]
    first = AlarmEngine(alarms, TAGS)
    first.on_batch(values(("level", 90)), 1)
    rows = [alarm.as_row() for alarm in first.alarms()]
    again = AlarmEngine(alarms, TAGS)
    standing = again.restore(rows)
    assert [alarm.name for alarm in standing] == ["high"]
    assert again.alarms() == first.alarms()
    assert again.on_batch(values(("level", 0, Quality.BAD_WAITING_FOR_INITIAL_DATA)), 2) == []
    assert again.on_batch(values(("level", 76)), 3) == []  # inside the deadband of an active alarm
    assert moves(again.on_batch(values(("level", 75)), 4)) == [("high", "cleared")]
    assert again.alarm("high").state is State.RETURNED


class Oracle:
    """One alarm, one value at a time, written as the sentences of runtime.alarms.rules say."""

    def __init__(self, kind, limit, deadband, on_ns, off_ns):
        self.kind, self.limit, self.deadband = kind, limit, deadband
        self.delay = {True: on_ns, False: off_ns}
        self.condition = self.active = False
        self.due = None

    def time(self, now):
        if self.due is not None and self.due <= now:
            self.active, self.due = not self.active, None
            return [self.active]
        return []

    def value(self, value, quality, now):
        bad = Quality.is_bad(quality) or math.isnan(value)
        if self.kind == "bad_quality":
            if quality == Quality.BAD_WAITING_FOR_INITIAL_DATA:
                self.due = None
                return []
            self.condition = bad
        elif bad:
            self.due = None
            return []
        elif self.kind == "high":
            self.condition = value > (self.limit - self.deadband if self.condition else self.limit)
        elif self.kind == "low":
            self.condition = value < (self.limit + self.deadband if self.condition else self.limit)
        else:
            self.condition = value == 1
        if self.condition == self.active:
            self.due = None
        elif self.due is None:
            self.due = now + self.delay[self.condition]
        return self.time(now)


qualities = st.sampled_from(
    [Quality.GOOD] * 6
    + [Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD, Quality.BAD_WAITING_FOR_INITIAL_DATA]
)
kinds = st.sampled_from(["high", "low", "discrete", "bad_quality"])
numbers = st.sampled_from([-2.0, 0.0, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0, math.nan, math.inf])
shape = st.tuples(
    kinds,
    st.sampled_from(["level", "other"]),
    st.sampled_from([1.0, 3.0]),
    st.sampled_from([0.0, 1.0]),
    st.integers(0, 3),
    st.integers(0, 3),
)
steps = st.lists(
    st.tuples(
        st.integers(0, 4), st.lists(st.tuples(st.sampled_from(["level", "other"]), numbers, qualities))
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(shape, min_size=1, max_size=6), steps)
def test_engine_agrees_with_the_oracle(shapes, played):
    configs = [
        config(
            f"a{n}", tag, kind, limit=limit, state=1, deadband=band, on_delay=f"{on}s", off_delay=f"{off}s"
        )
        for n, (kind, tag, limit, band, on, off) in enumerate(shapes)
    ]
    engine = AlarmEngine(configs, TAGS)
    oracles = [Oracle(kind, limit, band, on * S, off * S) for kind, _, limit, band, on, off in shapes]
    now = 0
    for wait_s, rows in played:
        now += wait_s * S
        expected = {config.name: oracle.time(now) for config, oracle in zip(configs, oracles, strict=True)}
        for path, value, quality in rows:
            for each, oracle in zip(configs, oracles, strict=True):
                if each.tag == path:
                    expected[each.name] += oracle.value(value, quality, now)
        told = {each.name: [] for each in configs}
        for moved in engine.on_batch(values(*rows), now):
            told[moved.alarm.name].append(moved.trigger is Trigger.RAISE)
        assert told == expected
        dues = [oracle.due for oracle in oracles if oracle.due is not None]
        assert engine.next_due_ns() == min(dues, default=None)
