"""The list of wanted items: what the plant is told when the server speaks, is late, or is gone."""

import numpy as np
import pytest
from asyncua import ua

from drivers.opcua.client.address import Point, parse
from drivers.opcua.client.items import Items, Said
from drivers.opcua.client.subscribe import PATIENCE, Group, Subscription
from drivers.opcua.client.values import said
from runtime.contract import DataType, Quality, Tag

GOOD, HELD = 0, int(Quality.UNCERTAIN_LAST_USABLE_VALUE)
LOST, REFUSED = int(Quality.BAD_NO_COMMUNICATION), int(Quality.BAD_CONFIGURATION_ERROR)
ALL = np.arange(2)


@pytest.fixture
def items():
    tags = [Tag(f"s/{name}", DataType.DINT, id=at) for at, name in enumerate("ab")]
    return Items([Point(tag, parse("ns=2;s=x")) for tag in tags])


def rows(batch):
    return [] if batch is None else [(each.id, each.raw, each.quality, each.source_ns) for each in batch]


def test_a_value_keeps_its_source_time_and_status(items):
    assert rows(items.take([Said(0, 7, 0x4096_0000, 100)], 500)) == [(0, 7, 0x4096_0000, 100)]


@pytest.mark.parametrize("code", [GOOD, 0x4092_0000])  # UncertainInitialValue
def test_a_status_that_is_not_bad_without_a_value_is_no_data(code):
    data = ua.DataValue(ua.Variant(None, ua.VariantType.Null), ua.StatusCode(code))
    told = said(0, DataType.REAL, None, data, 500)
    assert (told.raw, told.quality) == (None, 0x809B_0000)  # BadNoData


def test_silence_makes_values_uncertain_then_bad_and_each_is_told_once(items):
    items.take([Said(0, 7, GOOD, 100)], 500)
    assert rows(items.hold(ALL, 600)) == [(0, 7, HELD, 600)]  # the other never had a value
    assert rows(items.hold(ALL, 700)) == []
    assert rows(items.lose(ALL, 800)) == [(0, 7, LOST, 800), (1, 0, LOST, 800)]
    assert rows(items.lose(ALL, 900)) == []
    assert rows(items.hold(ALL, 950)) == []


def test_a_late_server_gives_held_values_back_as_they_were(items):
    items.take([Said(0, 7, 0x4096_0000, 100), Said(1, 8, GOOD, 100)], 500)
    items.hold(ALL, 600)
    assert rows(items.affirm(ALL, 700)) == [(0, 7, 0x4096_0000, 700), (1, 8, GOOD, 700)]


def test_what_the_server_calls_bad_is_not_made_better_by_silence(items):
    items.take([Said(0, None, int(Quality.BAD_SENSOR_FAILURE), 100)], 500)
    assert rows(items.hold(ALL, 600)) == []


def test_after_a_gap_an_old_value_is_stamped_with_when_it_was_known_to_hold(items):
    items.take([Said(0, 7, GOOD, 100)], 500)
    items.lose(ALL, 800)
    assert rows(items.take([Said(0, 7, GOOD, 100)], 900)) == [(0, 7, GOOD, 900)]
    assert rows(items.take([Said(0, 8, GOOD, 950)], 990)) == [(0, 8, GOOD, 950)]


def test_a_mark_never_lies_before_the_value_that_it_marks(items):
    items.take([Said(0, 7, GOOD, 5_000)], 500)  # the server's clock is ahead
    assert rows(items.hold(ALL, 600)) == [(0, 7, HELD, 5_001)]


def test_a_refused_item_stays_refused_until_the_server_says_a_value(items):
    assert rows(items.refuse(np.array([1]), 600)) == [(1, 0, REFUSED, 600)]
    assert items.refused == [1]
    items.lose(ALL, 700)
    assert items.refused == [1]
    items.take([Said(1, 3, GOOD, 800)], 900)
    assert items.refused == []


def test_a_gap_reaches_from_the_last_value_before_to_the_first_after(items):
    """That one lies in it where the plant is told it with another time."""
    items.take([Said(0, 7, GOOD, 100)], 500)
    items.hold(ALL, 600)
    assert items.held.tolist() == [0]
    items.lose(ALL, 700)
    items.resumed_ns[0] = 0
    items.take([Said(0, 8, GOOD, 650), Said(0, 9, GOOD, 800)], 900)
    assert (items.resumed_ns[0], items.source_ns[0], items.mark_ns[0]) == (651, 800, 0)
    items.lose(ALL, 1000)
    items.resumed_ns[0] = 0
    items.take([Said(0, 8, GOOD, 1100), Said(0, 9, GOOD, 1200)], 1200)
    assert items.resumed_ns[0] == 1100


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100])
def test_a_server_that_counts_two_cycles_more_before_a_keep_alive_is_neither_late_nor_lost(count):
    """As python-opcua does: a value that stays the same went uncertain again and again."""
    cycle_ns = 10**9
    group = Group("slow", cycle_ns, cycle_ns, 0.0, False, ALL)
    made = Subscription(group, 1, count * cycle_ns, cycle_ns, 0)
    comes_ns = (count + 2) * cycle_ns if count < 5 else 3 * count * cycle_ns // 2
    assert comes_ns <= made.late_ns < made.lost_ns(PATIENCE) <= 5 * count * cycle_ns
