"""Floods, nuisance alarms and the mix of priorities, as an operator's shift would show them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.alarms import TAGS as SYSTEM_TAGS
from runtime.alarms import AlarmService
from runtime.alarms.flood import FloodWatch
from runtime.alarms.model import Alarm
from runtime.alarms.performance import performance
from runtime.alarms.states import Standing, State
from runtime.clock import ManualClock
from runtime.config import AlarmConfig
from runtime.contract import DataType, Tag
from runtime.journal import AlarmMove, Journal
from runtime.testing import FakePort

S = 1_000_000_000
MINUTE = 60 * S
HOUR = 60 * MINUTE


def alarm(name, area="", priority="low", **more):
    config = AlarmConfig(name=name, tag="t", kind="high", limit=1, text=name, area=area, priority=priority)
    return Alarm(config, "t", **more)


def raised(at_ns, name, announced=True):
    return AlarmMove(at_ns, name, "raised", announced)


def test_a_flood_keeps_its_first_alarm_and_ends_when_it_ebbs():
    watch = FloodWatch("")
    for number in range(10):
        watch.add(number * MINUTE // 2, f"a{number}")
    assert watch.flood is None
    watch.add(5 * MINUTE, "a10")
    assert (watch.flood.first, watch.flood.began_ns, watch.flood.count) == ("a0", 0, 11)
    watch.add(6 * MINUTE, "a11")
    watch.advance(13 * MINUTE + 30 * S - 1)
    assert watch.flood.count == 12
    watch.advance(13 * MINUTE + 30 * S)
    assert watch.flood is None
    assert (watch.floods[-1].first, watch.floods[-1].ended_ns) == ("a0", 13 * MINUTE + 30 * S)


@given(st.lists(st.integers(0, 100), max_size=80))
def test_flood_agrees_with_counting(gaps):
    watch, times, now, flood = FloodWatch(""), [], 0, False
    for gap in gaps:
        for _ in range(gap):
            now += 1
            watch.advance(now * S)
            recent = sum(at > now - 600 for at in times)
            flood = flood and recent >= 5
            assert (watch.flood is not None, watch.rate) == (flood, recent)
        times.append(now)
        watch.add(now * S, "a")
        recent = sum(at > now - 600 for at in times)
        flood = flood or recent > 10
        assert (watch.flood is not None, watch.rate) == (flood, recent)


def test_a_flood_that_comes_right_after_another_begins_where_that_ended():
    times = [0] * 11 + [500] * 4 + [700] * 7
    figures = performance([raised(at * S, f"a{at}") for at in times], [], 0, HOUR)
    assert [(each["began_ns"], each["ended_ns"], each["first"]) for each in figures["floods"]] == [
        (0, 600 * S, "a0"),
        (600 * S, 1300 * S, "a500"),
    ]
    (operator,) = figures["operators"]
    assert operator["flood_percent"] == pytest.approx(100 * 1300 / 3600)


def test_a_flood_that_began_before_the_span_lasts_in_it():
    """Eleven at once, and then one every 100 s: never again enough to begin a flood."""
    moves = [raised(0, f"a{n}") for n in range(11)] + [raised(n * 100 * S, "late") for n in range(1, 18)]
    start = 1000 * S
    before, within = moves[:20], moves[20:]
    figures = performance(within, [], start, 1800 * S, before)
    assert [(each["first"], each["began_ns"], each["ended_ns"]) for each in figures["floods"]] == [
        ("a0", 0, None)
    ]
    (operator,) = figures["operators"]
    assert (operator["announced"], operator["peak_10min"], operator["flood_percent"]) == (8, 6, 100)
    short = performance(moves[26:], [], 1600 * S, 1800 * S, moves[:26])["operators"][0]
    assert (short["announced"], short["last_10min"]) == (2, 5)
    ebbed = performance([], [], start, HOUR, [each for each in before if each.at_ns < 500 * S])
    assert (ebbed["floods"], ebbed["operators"][0]["flood_percent"]) == ([], 0)


def test_each_area_is_an_operators_own():
    alarms = [alarm("a", "north"), alarm("b", "south", "high")]
    moves = [raised(n * S, "a") for n in range(12)] + [raised(HOUR, "b"), raised(HOUR + 1, "b", False)]
    figures = performance(moves, alarms, 0, 2 * HOUR)
    north, south = figures["operators"]
    assert (north["area"], north["announced"], north["peak_10min"], north["average_10min"]) == (
        "north",
        12,
        12,
        1.0,
    )
    assert (south["announced"], south["flood_percent"]) == (1, 0.0)
    assert 8 < north["flood_percent"] < 9  # ten minutes and some seconds of two hours
    (flood,) = figures["floods"]
    assert (flood["area"], flood["first"], flood["count"]) == ("north", "a", 12)
    assert [(each["alarm"], each["count"]) for each in figures["top"]] == [("a", 12), ("b", 1)]


def test_nuisance_alarms_are_named():
    day = 24 * HOUR
    alarms = [
        alarm("stands", standing=Standing(State.ACKNOWLEDGED), raised_ns=1),
        alarm("hides", standing=Standing(State.ACKNOWLEDGED, shelved=True), raised_ns=1),
        alarm("fresh", standing=Standing(State.UNACKNOWLEDGED), raised_ns=day),
    ]
    moves = [raised(n * 20 * S, "chatters") for n in range(4)]
    moves += [raised(HOUR, "flees"), AlarmMove(HOUR + 9 * S, "flees", "cleared", False)]
    moves += [raised(2 * HOUR, "slow"), AlarmMove(2 * HOUR + 11 * S, "slow", "cleared", False)]
    moves += [raised(3 * HOUR, "hides", announced=False), AlarmMove(3 * HOUR + S, "hides", "cleared", False)]
    figures = performance(moves, alarms, 0, day + 2)
    assert figures["chattering"] == [{"alarm": "chatters", "count": 3}]
    assert figures["fleeting"] == [{"alarm": "flees", "count": 1}]
    assert figures["stale"] == [{"alarm": "stands", "since_ns": 1}]
    assert figures["standing"] == 2


def test_priorities_stand_beside_their_goal():
    alarms = [alarm("l"), alarm("m", priority="medium"), alarm("c", priority="critical")]
    moves = [raised(n, "l") for n in range(8)] + [raised(9, "m"), raised(10, "c")]
    mix = performance(moves, alarms, 0, HOUR)["priorities"]
    assert [(each["priority"], each["percent"], each["target_percent"]) for each in mix] == [
        ("low", 80.0, 80.0),
        ("medium", 10.0, 15.0),
        ("high", 10.0, 5.0),
    ]


def test_a_flood_is_told_as_tags_and_known_after_a_restart(tmp_path):
    tags = [Tag(f"site/area/line/t{n}", DataType.BOOL, source="plc") for n in range(12)]
    configs = [AlarmConfig(name=f"a{n}", tag=f"t{n}", kind="discrete", text="x") for n in range(12)]
    clock = ManualClock()

    async def life(act):
        port = FakePort([*tags, *SYSTEM_TAGS], name="alarms", clock=clock)
        journal = Journal(tmp_path / "journal.sqlite", port.clock)
        await journal.open()
        service = AlarmService(configs, port.tags.tags, journal)
        task = asyncio.create_task(service.run(port))
        await act(port, service)
        task.cancel()
        await asyncio.wait([task])
        await journal.close()

    async def until(condition):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - a thread and a disk are waited for
                await asyncio.sleep(0.001)

    async def flood(port, service):
        await until(lambda: port.value("sys/alarms/flood") is False)
        for number in range(12):
            port.set(f"t{number}", True)
        await until(lambda: port.value("sys/alarms/rate_10min") == 12)
        assert (port.value("sys/alarms/flood"), port.value("sys/alarms/flood_first")) == (True, "a0")
        figures = await service.figures(HOUR)
        assert (figures["announced"], figures["standing"], len(figures["floods"])) == (12, 12, 1)

    async def after(port, service):
        await until(lambda: port.value("sys/alarms/flood") is not None)
        await clock.advance(300)
        assert (port.value("sys/alarms/flood"), port.value("sys/alarms/flood_first")) == (True, "a0")
        await clock.advance(305)
        await until(lambda: port.value("sys/alarms/flood") is False)
        assert port.value("sys/alarms/flood_first") == ""

    async def main():
        await life(flood)
        await life(after)

    asyncio.run(main())
