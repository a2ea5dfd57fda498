"""The console's picture of the plant."""

import msgspec
import pytest

from runtime.wire import AlarmChange, BusHealth, Health, Info, Text, User, Values
from tui.locale import Words
from tui.model import Link, PlantModel, TagIndex

NOW = 1_700_000_000 * 10**9
INFO = Info("p", Text("P"), "nb/bottling/line1", "0.1", NOW + 5 * 10**9, NOW, User("wang", "operator", "x"))


@pytest.fixture
def model(plant):
    model = PlantModel(Words("en"))
    model.connected(NOW, INFO, plant.tag_list, tuple(plant.alarm_list.values()), (), plant.gate_view)
    return model


def test_alarms_are_in_order_of_priority_then_newest_first(model, make_alarm):
    for name, priority, raised_ns in (("b", "low", 5), ("c", "critical", 1), ("d", "critical", 9)):
        model.apply(AlarmChange(make_alarm(name, "tank/level_pct", priority, "x", "x", raised_ns)))
    order = [(alarm.priority, alarm.raised_ns) for alarm in model.view(NOW).alarms]
    assert [priority for priority, _ in order] == sorted(
        (priority for priority, _ in order), key=["critical", "high", "medium", "low"].index
    )
    assert [name for name in (alarm.name for alarm in model.view(NOW).alarms) if name in "cd"] == ["d", "c"]


def test_an_alarm_that_became_normal_leaves_the_list(model, plant):
    gone = msgspec.structs.replace(plant.alarm_list["tank.level_low"], state="normal", active=False)
    model.apply(AlarmChange(gone))
    assert "tank.level_low" not in [alarm.name for alarm in model.view(NOW).alarms]


def test_values_that_are_no_longer_followed_are_forgotten(model):
    model.watch(frozenset({0, 1}))
    model.apply(Values(((0, 1.5, 0, NOW), (1, 2.5, 0, NOW), (2, 3.5, 0, NOW))))
    assert set(model.view(NOW).values) == {0, 1}
    model.watch(frozenset({1}))
    assert set(model.view(NOW).values) == {1}


def test_a_view_does_not_change_after_it_was_taken(model):
    model.watch(frozenset({0}))
    model.apply(Values(((0, 1.5, 0, NOW),)))
    view = model.view(NOW)
    model.apply(Values(((0, 9.0, 0, NOW),)))
    assert view.values[0].value == 1.5


def test_lost_keeps_values_but_marks_them_stale_since_the_first_failure(model):
    model.watch(frozenset({0}))
    model.apply(Values(((0, 1.5, 0, NOW),)))
    model.lost(NOW + 10**9, NOW + 2 * 10**9, "gone")
    first = model.view(NOW + 10**9)
    model.lost(NOW + 9 * 10**9, NOW + 10 * 10**9, "gone")
    assert first.stale
    assert first.link is Link.LOST
    assert first.values[0].value == 1.5
    assert model.view(NOW).changed_ns == first.changed_ns


def test_time_is_the_plants(model):
    assert model.view(NOW).now_ns == INFO.now_ns


def test_bus_rate_comes_from_two_reports(model):
    model.take_health(NOW, Health(True, {}, None, BusHealth(1000, 0)))
    assert model.view(NOW).updates_per_s is None
    model.take_health(NOW + 2 * 10**9, Health(True, {}, None, BusHealth(5000, 0)))
    assert model.view(NOW).updates_per_s == 2000


def test_filter_wants_every_word_in_path_or_description_of_either_language(plant):
    index = TagIndex(plant.tag_list, "nb/bottling/line1")
    assert [index.short[id_] for id_ in index.matching("CAPPER torq")] == ["capper/torque_nm"]
    assert [index.short[id_] for id_ in index.matching("糖浆 温度")] == ["tank/temperature_c"]
    assert len(index.matching("")) == len(plant.tag_list)
