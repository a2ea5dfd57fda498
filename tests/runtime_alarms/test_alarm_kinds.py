"""Conditions over two tags, time, links and expressions: played, and against a scalar oracle."""

import math
import warnings
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.alarms import AlarmEngine, Trigger
from runtime.alarms.model import Alarm
from runtime.cli.alarms import conditions
from runtime.config import AlarmConfig, TagList
from runtime.contract import Batch, DataType, Quality, Tag
from runtime.wire import AlarmView

S = 1_000_000_000
TAGS = TagList(
    [
        Tag("a/other", DataType.REAL, source="plc"),
        Tag("a/level", DataType.REAL, source="plc"),
        Tag("a/sp", DataType.INT, source="operator"),
        Tag("a/run", DataType.BOOL, source="plc"),
        Tag("a/far", DataType.REAL, source="rio", device="rio"),
        Tag("sys/drivers/rio/online", DataType.BOOL, source="rio"),
    ],
    "a",
)


def config(name, tag, kind, **more):
    return AlarmConfig(name=name, tag=tag, kind=kind, text=name, **more)


def values(*rows, at_ns=0):
    """Build a batch of (path, value) or (path, value, quality)."""
    tags = [TAGS[path] for path, *_ in rows]
    raws = [tag.data_type.encode(value) for tag, (_, value, *_) in zip(tags, rows, strict=True)]
    qualities = np.array([row[2] if len(row) > 2 else Quality.GOOD for row in rows], np.uint32)
    return Batch.of([tag.id for tag in tags], raws, at_ns, qualities)


def moves(transitions):
    return [(each.alarm.name, each.trigger.value) for each in transitions]


def test_deviation_follows_value_and_setpoint():
    engine = AlarmEngine(
        [config("off", "level", "deviation", setpoint="sp", limit=5, deadband=1, on_delay="2s")], TAGS
    )
    assert engine.on_batch(values(("level", 50.0)), 1) == []  # no setpoint yet: nothing can be said
    assert engine.on_batch(values(("sp", 50)), 2) == []
    assert engine.on_batch(values(("sp", 60)), 3) == []
    assert moves(engine.on_time(3 + 2 * S)) == [("off", "raised")]
    assert engine.on_batch(values(("level", 55.5)), 4 * S) == []  # within the deadband
    assert moves(engine.on_batch(values(("level", 64.0)), 5 * S)) == [("off", "cleared")]
    engine.on_batch(values(("level", 66.0)), 6 * S)
    assert engine.on_batch(values(("sp", 0, Quality.BAD)), 7 * S) == []
    assert engine.on_time(60 * S) == []  # the delay starts anew with the next good setpoint


def test_communication_is_lost_when_the_driver_says_so_or_is_gone():
    engine = AlarmEngine([config("link", "far", "communication")], TAGS)
    online = "sys/drivers/rio/online"
    assert engine.tag_ids.tolist() == [TAGS[online].id]
    assert engine.on_batch(values((online, False, Quality.BAD_WAITING_FOR_INITIAL_DATA)), 1) == []
    assert engine.on_batch(values((online, True)), 2) == []
    assert moves(engine.on_batch(values((online, False)), 3)) == [("link", "raised")]
    assert moves(engine.on_batch(values((online, True)), 4)) == [("link", "cleared")]
    assert moves(engine.on_batch(values((online, True, Quality.BAD_NOT_CONNECTED)), 5)) == [
        ("link", "raised")
    ]


def test_expression_holds_what_it_was_while_it_cannot_be_judged():
    engine = AlarmEngine([config("dry", "level", "expression", expression="level < 10 AND run")], TAGS)
    assert engine.on_batch(values(("run", True)), 1) == []
    assert moves(engine.on_batch(values(("level", 5.0)), 2)) == [("dry", "raised")]
    assert engine.alarm("dry").value == 5.0
    assert engine.on_batch(values(("level", 50.0, Quality.BAD)), 3) == []
    assert moves(engine.on_batch(values(("run", False), ("level", 5.0)), 4)) == [("dry", "cleared")]


def test_a_source_that_is_silent_hides_no_alarm_that_another_decides():
    """Of two faults joined by OR the one that is known is told, in whichever order they stand."""
    for text in ("far > 90 OR run", "run OR far > 90"):
        engine = AlarmEngine([config("fault", "run", "expression", expression=text)], TAGS)
        engine.on_batch(values(("far", 0.0, Quality.BAD_NO_COMMUNICATION), ("run", False)), 1)
        assert moves(engine.on_batch(values(("run", True)), 2)) == [("fault", "raised")]


def test_rate_of_change_sees_ramps_and_steps_and_their_end():
    engine = AlarmEngine([config("fast", "level", "rate_of_change", limit=2, over="10s")], TAGS)

    def at(second, value):
        return moves(engine.on_batch(values(("level", value), at_ns=second * S), second * S))

    assert at(100, 0.0) == []
    for second in range(101, 130):
        assert at(second, (second - 100) * 1.9) == []  # 1.9 a second, sampled every second: never 2
    assert moves(engine.on_time(200 * S)) == []
    assert at(300, 100.0) == [("fast", "raised")]  # a step after a quiet time
    assert engine.next_due_ns() == 315 * S
    assert moves(engine.on_time(315 * S)) == [("fast", "cleared")]
    assert engine.next_due_ns() is None


def test_a_late_sample_is_no_step():
    engine = AlarmEngine([config("fast", "level", "rate_of_change", limit=2, over="10s")], TAGS)
    for at_s, source_s, value in ((100, 100, 50.0), (101, 60, 0.0), (102, 102, 50.0), (103, 99, 0.0)):
        assert engine.on_batch(values(("level", value), at_ns=source_s * S), at_s * S) == []
    assert engine.next_due_ns() is None  # nothing moved
    assert moves(engine.on_batch(values(("level", 90.0), at_ns=104 * S), 104 * S)) == [("fast", "raised")]


def test_a_late_sample_after_a_bad_one_begins_no_delay():
    engine = AlarmEngine(
        [config("fast", "level", "rate_of_change", limit=2, over="10s", on_delay="5s")], TAGS
    )
    engine.on_batch(values(("level", 0.0), at_ns=100 * S), 100 * S)
    engine.on_batch(values(("level", 90.0), at_ns=101 * S), 101 * S)
    assert engine.next_due_ns() == 106 * S
    engine.on_batch(values(("level", 0.0, Quality.BAD), at_ns=102 * S), 102 * S)
    assert engine.next_due_ns() is None
    assert engine.on_batch(values(("level", 90.0), at_ns=99 * S), 103 * S) == []
    assert engine.next_due_ns() is None


def test_a_source_whose_clock_was_set_back_is_measured_again_after_a_window():
    engine = AlarmEngine([config("fast", "level", "rate_of_change", limit=2, over="10s")], TAGS)
    told = []
    for second in range(100, 220):
        source_s = second if second < 110 else second - 90
        value = float(second) if second < 200 else 900.0  # 1 a second, then a step
        batch = values(("level", value), at_ns=source_s * S)
        told += [(second, *each) for each in moves(engine.on_batch(batch, second * S))]
    assert told == [(200, "fast", "raised"), (210, "fast", "cleared")]


def test_a_value_that_stays_infinite_has_no_rate_and_gives_no_warning():
    engine = AlarmEngine([config("fast", "level", "rate_of_change", limit=2, over="10s")], TAGS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = []
        for second, value in ((1, 0.0), (100, math.inf), (103, math.inf)):
            told += moves(engine.on_batch(values(("level", value), at_ns=second * S), second * S))
        told += moves(engine.on_time(200 * S))
    assert told == [("fast", "raised"), ("fast", "cleared")]


def test_a_ramp_that_stays_fast_stays_an_alarm():
    engine = AlarmEngine([config("fast", "level", "rate_of_change", limit=2, over="5s", deadband=0.5)], TAGS)
    told = []
    for second in range(1, 60):
        value = min(second, 30) * 3.0
        told += moves(engine.on_batch(values(("level", value), at_ns=second * S), second * S))
    assert told == [("fast", "raised"), ("fast", "cleared")]


@pytest.mark.parametrize("late_ms", [0, 300])
def test_a_ramp_whose_source_tells_once_a_window_stays_an_alarm_though_it_is_late_at_times(late_ms):
    engine = AlarmEngine([config("fast", "level", "rate_of_change", limit=2, over="5s")], TAGS)
    told = []
    for count in range(1, 30):
        at_ns = 5 * count * S
        now_ns = at_ns + late_ms * 1_000_000 * (count % 3)
        told += moves(engine.on_time(now_ns))
        told += moves(engine.on_batch(values(("level", 15.0 * count), at_ns=at_ns), now_ns))
    told += moves(engine.on_time(now_ns + 10 * S))
    assert told == [("fast", "raised"), ("fast", "cleared")]


def test_suppression_hides_what_it_causes_and_shows_what_stays():
    alarms = [
        config("flow", "level", "low", limit=5, suppressed_when="NOT run"),
        config("hot", "other", "high", limit=80, suppressed_when="NOT run"),
    ]
    engine = AlarmEngine(alarms, TAGS)
    engine.on_batch(values(("run", True), ("level", 50.0), ("other", 20.0)), 1)
    stopped = engine.on_batch(values(("level", 0.0), ("run", False)), 2)
    assert moves(stopped) == [("flow", "suppressed"), ("hot", "suppressed"), ("flow", "raised")]
    assert not any(each.announced for each in stopped)
    assert engine.counts._asdict() == {
        "active": 0, "unacknowledged": 0, "shelved": 0, "suppressed": 2, "out_of_service": 0,
    }  # fmt: skip
    engine.on_batch(values(("other", 90.0)), 3)
    started = engine.on_batch(values(("run", True), ("level", 50.0)), 4)
    assert moves(started) == [("flow", "cleared"), ("flow", "unsuppressed"), ("hot", "unsuppressed")]
    assert [each.alarm.state.value for each in started[1:]] == ["normal", "unacknowledged"]
    assert [each.announced for each in started] == [False, False, True]


def test_what_decides_a_suppression_does_not_wait_for_the_rest():
    alarms = [config("hot", "other", "high", limit=80, suppressed_when="NOT run OR far > 5")]
    engine = AlarmEngine(alarms, TAGS)
    engine.on_batch(values(("far", 0.0, Quality.BAD_WAITING_FOR_INITIAL_DATA), ("run", False)), 1)
    assert engine.alarm("hot").standing.suppressed
    engine.on_batch(values(("run", True)), 2)
    assert engine.alarm("hot").standing.suppressed  # not known: as before until `far` has a first value
    engine.on_batch(values(("far", 1.0)), 3)
    assert not engine.alarm("hot").standing.suppressed


def test_an_interlock_that_is_not_known_hides_nothing():
    alarms = [config("hot", "other", "high", limit=80, suppressed_when="run")]
    engine = AlarmEngine(alarms, TAGS)
    engine.on_batch(values(("run", True), ("other", 90.0)), 1)
    assert engine.alarm("hot").standing.hidden
    again = AlarmEngine(alarms, TAGS)
    again.restore([engine.alarm("hot").as_row()])
    assert again.on_batch(values(("run", False, Quality.BAD_WAITING_FOR_INITIAL_DATA)), 2) == []
    (shown,) = again.on_batch(values(("run", True, Quality.BAD_NO_COMMUNICATION)), 3)
    assert (shown.trigger, shown.announced) == (Trigger.UNSUPPRESS, True)
    gone = AlarmEngine([config("hot", "other", "high", limit=80)], TAGS)
    gone.restore([engine.alarm("hot").as_row()])
    (shown,) = gone.unsuppress(4)  # the plant no longer suppresses it
    assert (shown.trigger, shown.announced, gone.unsuppress(5)) == (Trigger.UNSUPPRESS, True, [])


class Oracle:
    """One alarm, one value at a time, as the sentences of runtime.alarms.rules and .rates say it."""

    def __init__(self, shape):
        self.__dict__.update(shape)
        self.seen = {}
        self.condition = self.active = False
        self.due = self.window = None
        self.last = self.origin = None  # (value, source time)
        self.newest = self.late = None  # source time seen; since when only older ones come

    def compare(self, measure):
        self.condition = measure > (self.limit - self.band if self.condition else self.limit)

    def delay(self, now):
        if self.condition == self.active:
            self.due = None
        elif self.due is None:
            self.due = now + (self.on if self.condition else self.off)
        return self.end_delay(now)

    def end_delay(self, now):
        if self.due is None or self.due > now:
            return []
        self.active, self.due = not self.active, None
        return [self.active]

    def time(self, now):
        out = []
        while True:
            at = min((each for each in (self.due, self.window) if each is not None), default=None)
            if at is None or at > now:
                return out
            out += self.end_delay(at)
            if self.window == at:
                speed = abs(self.last[0] - self.origin[0]) / self.over
                self.last = self.origin = (self.last[0], self.last[1] + self.over)
                self.compare(speed)
                self.window = at + 1.5 * self.over if self.condition else None
                out += self.delay(at)

    def value(self, path, value, quality, source, now):
        if path not in (self.tag, getattr(self, "setpoint", None)):
            return []
        bad = Quality.is_bad(quality) or math.isnan(value)
        self.seen[path] = None if bad else value
        if self.kind == "deviation":
            numbers = [self.seen.get(self.tag), self.seen.get(self.setpoint)]
            if None in numbers:
                self.due = None
                return []
            self.compare(abs(numbers[0] - numbers[1]))
            return self.delay(now)
        if self.kind == "expression":
            if bad:
                self.due = None
                return []
            self.condition = value > self.limit
            return self.delay(now)
        if bad:
            self.last = self.origin = self.due = self.window = None
            return []
        if self.newest is not None and source < self.newest:
            self.late = now if self.late is None else self.late
            if now - self.late < self.over:
                return []
            self.last = None
        self.late, self.newest = None, source
        if self.last is None:
            self.last = self.origin = (value, source)
        elif source - self.last[1] >= self.over:
            self.origin = (self.last[0], source - self.over)
        span = source - self.origin[1]
        speed = abs(value - self.origin[0]) / max(span, self.over)
        if span >= self.over or speed > self.limit:
            self.compare(speed)
        self.last = (value, max(source, self.last[1]))
        if span >= self.over:
            self.origin = (value, source)
        moving = self.condition or self.last[0] != self.origin[0]
        self.window = now + 1.5 * self.over if moving else None
        return self.delay(now)


qualities = st.sampled_from([Quality.GOOD] * 7 + [Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD])
numbers = st.sampled_from([-2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 8.0, 16.0, math.nan])
shapes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["deviation", "rate_of_change", "expression"]),
        "tag": st.sampled_from(["level", "other"]),
        "limit": st.sampled_from([1.0, 2.0, 3.0]),
        "band": st.sampled_from([0.0, 0.5]),
        "on": st.integers(0, 3),
        "off": st.integers(0, 3),
        "over": st.integers(1, 4),
    }
)
rows = st.tuples(st.sampled_from(["level", "other"]), numbers, qualities, st.integers(-6, 0))
steps = st.lists(st.tuples(st.integers(0, 5), st.lists(rows, max_size=4)), max_size=30)


def built(number, shape):
    more = {"limit": shape["limit"], "deadband": shape["band"], "over": f"{shape['over']}s"}
    if shape["kind"] == "deviation":
        shape["setpoint"] = more["setpoint"] = "other" if shape["tag"] == "level" else "level"
    if shape["kind"] == "expression":
        more = {"expression": f"{shape['tag']} > {shape['limit']}"}
    delays = {"on_delay": f"{shape['on']}s", "off_delay": f"{shape['off']}s"}
    return config(f"a{number}", shape["tag"], shape["kind"], **more, **delays)


@settings(max_examples=300, deadline=None)
@given(st.lists(shapes, min_size=1, max_size=5), steps)
def test_engine_agrees_with_the_oracle(shapes, played):
    shapes = [dict(shape) for shape in shapes]
    configs = [built(number, shape) for number, shape in enumerate(shapes)]
    engine = AlarmEngine(configs, TAGS)
    oracles = [Oracle(shape) for shape in shapes]
    now = 1000
    for wait, batch in played:
        now += wait
        expected = {each.name: oracle.time(now) for each, oracle in zip(configs, oracles, strict=True)}
        if len({path for path, *_ in batch}) < len(batch):
            batch = batch[:1]  # several values of a tag are judged together with others: see the first test
        for path, value, quality, late in batch:
            for each, oracle in zip(configs, oracles, strict=True):
                both = len(batch) == 2 and each.kind == "deviation"
                if both and (path, value, quality, late) == batch[0]:
                    bad = Quality.is_bad(quality) or math.isnan(value)
                    oracle.seen[path] = None if bad else value  # both are judged once, with the second
                    continue
                expected[each.name] += oracle.value(path, value, quality, now + late, now)
        ids = [TAGS[path].id for path, *_ in batch]
        raws = [DataType.REAL.encode(value) for _, value, *_ in batch]
        times = np.array([(now + late) * S for *_, late in batch], np.int64)
        quality_column = np.array([quality for _, _, quality, _ in batch], np.uint32)
        told = {each.name: [] for each in configs}
        for moved in engine.on_batch(Batch.of(ids, raws, times, quality_column), now * S):
            told[moved.alarm.name].append(moved.trigger is Trigger.RAISE)
        assert told == expected
        dues = [each for oracle in oracles for each in (oracle.due, oracle.window) if each is not None]
        assert engine.next_due_ns() == min((each * S for each in dues), default=None)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), numbers, st.lists(st.tuples(st.integers(1, 9), st.floats(-9, 9))))),
    st.integers(4, 6),
)
def test_late_samples_change_no_rate(played, over):
    """A plant whose source sends late samples, too, has the alarms of one whose source does not."""
    alarm = config("fast", "level", "rate_of_change", limit=1, over=f"{over}s", deadband=0.5, on_delay="1s")
    with_late, without = AlarmEngine([alarm], TAGS), AlarmEngine([alarm], TAGS)
    now = 1000
    for wait, value, late in played:
        now += wait
        sample = values(("level", value), at_ns=now * S)
        assert moves(with_late.on_batch(sample, now * S)) == moves(without.on_batch(sample, now * S))
        for older, other in () if math.isnan(value) else late:
            assert with_late.on_batch(values(("level", other), at_ns=(now - older) * S), now * S) == []
        assert with_late.next_due_ns() == without.next_due_ns()


def test_the_api_and_its_command_tell_the_definition_of_an_alarm():
    def shown(tag, kind, unit="", **more):
        defined = config("x", tag, kind, **more)
        alarm = msgspec.convert(Alarm(defined, f"a/{tag}").as_dict(), AlarmView)
        return conditions(alarm, SimpleNamespace(type=TAGS[tag].data_type.iec, unit_text=unit))

    assert shown("run", "discrete", state=False) == {"condition": "discrete of a/run, false"}
    assert shown("level", "deviation", "mm", limit=5, setpoint="sp", deadband=0.5) == {
        "condition": "deviation of a/level, 5 mm from sp", "deadband": "0.5 mm"
    }  # fmt: skip
    assert shown("level", "rate_of_change", "mm", limit=5, over="3s", on_delay="2s", off_delay="1min") == {
        "condition": "rate_of_change of a/level, 5 mm/s over T#3s", "delays": "T#2s on, T#1m off"
    }  # fmt: skip
    assert shown("level", "expression", expression="level > sp + 3", suppressed_when="not run") == {
        "condition": "expression of a/level", "expression": "level > sp + 3", "suppressed": "when not run"
    }  # fmt: skip
    assert shown("run", "discrete", latching=True, confirm=True, re_alarm="10min") == {
        "condition": "discrete of a/run, true",
        "latching": "until it is reset",
        "re-alarm": "T#10m after acknowledging",
        "to confirm": "once acknowledged",
    }
