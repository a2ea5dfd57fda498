"""Shelving, service, latches, re-alarm and first-out: what people do, and what time does."""

import asyncio
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from runtime.alarms import TAGS as SYSTEM_TAGS
from runtime.alarms import AlarmEngine, AlarmService, Standing, State
from runtime.config import AlarmConfig, TagList
from runtime.contract import Actor, Batch, DataType, Quality, Role, Tag
from runtime.errors import WriteRejectedError
from runtime.journal import Journal, alarm_log, alarm_rows
from runtime.testing import FakePort
from runtime.testing.virtual import VirtualPlant

S = 1_000_000_000
LEVEL = Tag("site/area/line/level", DataType.REAL, source="plc")
OTHER = Tag("site/area/line/other", DataType.REAL, source="plc")
TAGS = TagList([LEVEL, OTHER], "site/area/line")
ANN = Actor("ann", Role.OPERATOR, "console")
EVE = Actor("eve", Role.ENGINEER, "console")


def config(name="high", tag="level", **more):
    return AlarmConfig(**({"name": name, "tag": tag, "kind": "high", "limit": 80, "text": name} | more))


class Played:
    """An engine with one hand on the values and the other on the clock, in seconds."""

    def __init__(self, *configs):
        self.engine = AlarmEngine(configs, TAGS)
        self.now_s = 1

    def set(self, value, tag="level"):
        raw = DataType.REAL.encode(value)
        batch = Batch.of([TAGS[tag].id], [raw], self.now_s * S)
        return [moved.trigger.value for moved in self.engine.on_batch(batch, self.now_s * S)]

    def wait(self, seconds):
        self.now_s += seconds
        return self.engine.on_time(self.now_s * S)

    def do(self, verb, actor=ANN, reason="", for_s=0, name="high"):
        return self.engine.command(verb, name, actor, reason, self.now_s * S, for_s * S)

    def alarm(self, name="high"):
        return self.engine.alarm(name)


def test_a_delay_ends_in_its_time_in_a_virtual_plant_in_which_nothing_else_moves(tmp_path):
    (tmp_path / "plant.yaml").write_text(
        "plant: p\nroot: s/l\napi: null\nhistory: null\nalarms: alarms.csv\n"
    )
    (tmp_path / "tags.csv").write_text("path,type\nlevel,REAL\n")
    (tmp_path / "alarms.csv").write_text("name,tag,kind,limit,on_delay,text\nhigh,level,high,80,2s,x\n")
    plant = VirtualPlant(tmp_path)
    plant.force("level", 90.0)
    plant.run_for("60s")
    assert plant.alarms()[0]["raised_ns"] == plant.start_ns + 2 * S


def test_a_shelf_hides_and_ends_by_itself():
    played = Played(config())
    played.set(90.0)
    played.do("acknowledge")
    assert played.do("shelve", reason="sensor is cleaned", for_s=600).alarm.standing.hidden
    assert played.engine.counts[:3] == (0, 0, 1)
    assert played.wait(599) == []
    assert played.engine.next_due_ns() == 601 * S
    (moved,) = played.wait(1)
    assert (moved.trigger.value, moved.actor, moved.announced) == ("unshelved", "", True)
    assert (moved.alarm.state, moved.alarm.shelf) == (State.UNACKNOWLEDGED, None)
    assert played.engine.counts[:3] == (1, 1, 0)


def test_what_came_and_went_on_the_shelf_asks_for_nothing():
    played = Played(config())
    played.do("shelve", reason="known", for_s=60)
    assert played.set(90.0) == ["raised"]
    assert played.set(10.0) == ["cleared"]
    assert played.alarm().state is State.RETURNED
    assert [moved.announced for moved in played.wait(60)] == [False]
    assert played.alarm().state is State.NORMAL


def test_a_shelf_can_be_renewed_and_ended():
    played = Played(config())
    played.do("shelve", reason="known", for_s=60)
    played.wait(30)
    played.do("shelve", reason="takes longer", for_s=120)
    assert played.wait(60) == []
    assert played.do("unshelve").actor == "ann"
    assert played.engine.next_due_ns() is None


@pytest.mark.parametrize(
    ("verb", "actor", "more", "said"),
    [
        ("shelve", ANN, {"for_s": 60}, "needs a reason"),
        ("shelve", ANN, {"reason": " ", "for_s": 60}, "needs a reason"),
        ("shelve", ANN, {"reason": "x"}, "cannot be shelved for 0ns"),
        ("shelve", ANN, {"reason": "x", "for_s": 86_401}, "cannot be shelved for"),
        ("shelve", Actor("bob", Role.VIEWER, "http"), {"reason": "x", "for_s": 1}, "bob is viewer"),
        ("unshelve", ANN, {}, "is not shelved"),
        ("shelve-once", ANN, {"for_s": 60}, "needs a reason"),
        ("shelve-once", ANN, {"reason": "x", "for_s": 86_401}, "cannot be shelved for"),
        ("shelve-once", Actor("bob", Role.VIEWER, "http"), {"reason": "x", "for_s": 1}, "bob is viewer"),
        ("confirm", ANN, {}, "has nothing to confirm: it is normal"),
        ("confirm", Actor("bob", Role.VIEWER, "http"), {}, "bob is viewer and may not confirm"),
        ("reset", ANN, {}, "is not latched"),
        ("out-of-service", ANN, {"reason": "x"}, "needs engineer"),
        ("in-service", EVE, {}, "is in service already"),
    ],
)
def test_a_command_that_is_refused_says_why_and_changes_nothing(verb, actor, more, said):
    played = Played(config())
    before = played.alarm()
    with pytest.raises(WriteRejectedError, match=said):
        played.do(verb, actor, **more)
    assert played.alarm() == before


def test_a_shelf_for_once_ends_with_the_episode_in_which_it_began():
    played = Played(config())
    played.set(90.0)
    shelf = played.do("shelve-once", reason="known", for_s=3600).alarm.shelf
    assert (shelf.once, shelf.until_ns) == (True, 3601 * S)
    assert played.wait(600) == []
    assert played.set(10.0) == ["cleared", "unshelved"]
    assert (played.alarm().standing, played.alarm().shelf) == (Standing(), None)
    assert played.engine.next_due_ns() is None
    assert played.set(90.0) == ["raised"]
    assert played.alarm().standing == Standing(State.UNACKNOWLEDGED)


def test_a_shelf_for_once_on_a_normal_alarm_hides_its_next_episode():
    played = Played(config())
    played.do("shelve-once", reason="test run", for_s=3600)
    assert played.set(90.0) == ["raised"]
    assert played.alarm().standing.hidden
    assert played.set(10.0) == ["cleared", "unshelved"]
    assert played.alarm().state is State.NORMAL


def test_a_shelf_for_once_ends_in_its_time_and_by_hand():
    played = Played(config())
    played.set(90.0)
    played.do("shelve-once", reason="known", for_s=60)
    (moved,) = played.wait(60)
    assert (moved.trigger.value, moved.announced, moved.alarm.state) == (
        "unshelved", True, State.UNACKNOWLEDGED,
    )  # fmt: skip
    played.do("shelve-once", reason="known", for_s=60)
    with pytest.raises(WriteRejectedError, match="already until its episode ends"):
        played.do("shelve-once", reason="longer", for_s=3600)
    assert not played.do("shelve", reason="longer", for_s=120).alarm.shelf.once
    assert played.set(10.0) == ["cleared"]  # a timed one does not end with the episode
    assert played.do("shelve-once", reason="known", for_s=60).alarm.shelf.once
    assert played.do("unshelve").actor == "ann"
    assert played.alarm().state is State.NORMAL


def test_a_shelf_for_once_lasts_as_long_as_the_latch():
    played = Played(config(latching=True))
    played.set(90.0)
    played.do("shelve-once", reason="known", for_s=3600)
    assert played.set(10.0) == ["cleared"]
    assert played.do("reset").alarm.standing.shelved
    assert [moved.trigger.value for moved in played.wait(0)] == ["unshelved"]
    assert played.alarm().standing == Standing()


def test_a_shelf_for_once_that_a_delay_ends_is_over_at_once():
    played = Played(config(off_delay="10s"))
    played.set(90.0)
    played.do("shelve-once", reason="known", for_s=3600)
    assert played.set(10.0) == []
    assert [moved.trigger.value for moved in played.wait(10)] == ["cleared"]
    assert played.engine.next_due_ns() == played.now_s * S
    again = AlarmEngine([config(off_delay="10s")], TAGS)  # a kill came between the two
    again.restore([played.alarm().as_row()])
    assert [moved.trigger.value for moved in again.on_time(played.now_s * S)] == ["unshelved"]
    assert [moved.trigger.value for moved in played.wait(0)] == ["unshelved"]


def test_an_alarm_that_needs_it_waits_to_be_confirmed_after_it_is_normal_again():
    played = Played(config(confirm=True))
    played.set(90.0)
    with pytest.raises(WriteRejectedError, match="nothing to confirm: it is unacknowledged"):
        played.do("confirm")
    assert not played.do("acknowledge", reason="seen").alarm.as_dict()["confirmed"]
    assert played.set(10.0) == ["cleared"]
    assert (played.alarm().state, played.alarm().standing.unconfirmed) == (State.NORMAL, True)
    played.wait(5)
    moved = played.do("confirm", EVE, "valve replaced")
    assert (moved.trigger.value, moved.actor, moved.comment) == ("confirmed", "eve", "valve replaced")
    alarm = moved.alarm.as_dict()
    assert (alarm["confirmed"], alarm["confirmed_by"], alarm["confirmed_ns"]) == (True, "eve", 6 * S)
    assert (alarm["acknowledged_by"], alarm["comment"]) == ("ann", "valve replaced")
    with pytest.raises(WriteRejectedError, match="nothing to confirm"):
        played.do("confirm")


def test_an_alarm_that_comes_again_is_to_be_acknowledged_before_it_is_confirmed():
    played = Played(config(confirm=True, re_alarm="10min"))
    played.set(90.0)
    played.do("acknowledge")
    assert [moved.trigger.value for moved in played.wait(600)] == ["re_alarmed"]
    assert played.alarm().standing == Standing(State.UNACKNOWLEDGED)
    played.do("acknowledge")
    played.do("confirm", reason="done")
    assert (played.alarm().comment, played.alarm().confirmed_by) == ("done", "ann")
    played.set(10.0)
    played.set(90.0)
    alarm = played.alarm()
    assert (alarm.confirmed_ns, alarm.confirmed_by, alarm.comment) == (None, "", "")
    played.do("shelve", reason="known", for_s=600)
    played.do("acknowledge")
    played.set(10.0)
    assert [moved.trigger.value for moved in played.wait(600)] == ["unshelved"]
    assert played.alarm().standing == Standing(unconfirmed=True)  # hiding it confirms nothing


def test_what_is_said_without_words_leaves_the_last_words():
    played = Played(config(confirm=True))
    played.set(90.0)
    played.do("comment", reason="pump 3")
    assert played.do("acknowledge").alarm.comment == "pump 3"
    assert played.do("confirm").alarm.comment == "pump 3"


def test_a_definition_that_needs_no_confirmation_any_more_waits_for_none():
    played = Played(config(confirm=True))
    played.set(90.0)
    played.do("acknowledge")
    rows = [played.alarm().as_row()]
    same, without = AlarmEngine([config(confirm=True)], TAGS), AlarmEngine([config()], TAGS)
    assert [each.standing.unconfirmed for each in same.restore(rows)] == [True]
    assert [each.standing for each in without.restore(rows)] == [Standing(State.ACKNOWLEDGED)]


def test_out_of_service_lasts_until_an_engineer_ends_it():
    played = Played(config())
    played.set(90.0)
    played.do("out-of-service", EVE, "transmitter is away")
    with pytest.raises(WriteRejectedError, match="already"):
        played.do("out-of-service", EVE, "again")
    assert played.wait(10_000_000) == []
    played.do("shelve", reason="both", for_s=10)
    assert [moved.announced for moved in played.wait(10)] == [False]  # still out of service
    moved = played.do("in-service", EVE)
    assert (moved.announced, moved.alarm.state) == (True, State.UNACKNOWLEDGED)


def test_a_latched_alarm_stands_until_it_is_reset():
    played = Played(config(latching=True))
    played.set(90.0)
    with pytest.raises(WriteRejectedError, match="not latched"):
        played.do("reset")
    played.set(10.0)
    alarm = played.do("acknowledge").alarm
    assert (alarm.state, alarm.standing.latched, alarm.standing.active) == (State.ACKNOWLEDGED, True, False)
    assert played.do("reset").alarm.state is State.NORMAL
    assert played.set(90.0) == ["raised"]
    played.set(10.0)
    assert played.set(90.0) == ["raised"]
    assert played.alarm().standing == Standing(State.UNACKNOWLEDGED)


def test_a_standing_alarm_calls_again():
    played = Played(config(re_alarm="10min"))
    played.set(90.0)
    assert played.wait(3600) == []  # nobody acknowledged: it still asks
    played.do("acknowledge")
    assert played.wait(599) == []
    (moved,) = played.wait(1)
    assert (moved.trigger.value, moved.announced, moved.alarm.acknowledged_by) == ("re_alarmed", True, "")
    played.do("acknowledge")
    played.set(10.0)
    assert played.wait(3600) == []


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_standing_alarm_calls_again_in_time_though_the_clock_was_set(jump_s):
    played = Played(config(re_alarm="10min", confirm=True))
    played.now_s = 10_000
    played.set(90.0)
    played.do("acknowledge")
    acknowledged_ns = played.alarm().acknowledged_ns
    played.wait(300)
    played.engine.shift(jump_s * S)
    played.now_s += jump_s
    played.do("comment", reason="sensor ordered")
    played.do("confirm")
    assert played.wait(100) == []
    renewed = AlarmEngine([config(re_alarm="10min")], TAGS)
    renewed.restore([played.alarm().as_row()], before=played.engine)
    played.engine = renewed  # as another configuration takes it over
    assert played.alarm().acknowledged_ns == acknowledged_ns  # what is on record stays
    assert played.wait(199) == []
    assert [moved.trigger.value for moved in played.wait(1)] == ["re_alarmed"]


def test_an_alarm_calls_again_after_a_start_with_a_clock_that_was_set_back():
    played = Played(config(re_alarm="10min"))
    played.now_s = 10_000
    played.set(90.0)
    played.do("acknowledge")
    again = Played(config(re_alarm="10min"))
    again.engine.restore([played.alarm().as_row()], again.now_s * S)
    assert again.wait(599) == []
    assert [moved.trigger.value for moved in again.wait(1)] == ["re_alarmed"]


def test_a_shelf_ends_after_a_start_with_a_clock_that_was_set_back():
    """A gateway without a battery starts in 1970; with the first time server the shelf moved ahead, too."""
    played = Played(config())
    played.now_s = 56 * 365 * 86_400
    played.do("shelve", reason="sensor is cleaned", for_s=600)
    again = Played(config())
    again.engine.restore([played.alarm().as_row()], again.now_s * S)
    again.now_s += played.now_s
    again.engine.shift(played.now_s * S)
    assert again.wait(86_399) == []
    assert [moved.trigger.value for moved in again.wait(1)] == ["unshelved"]


def test_the_first_of_a_group_is_told_until_the_next_episode():
    played = Played(config("a", group="trip"), config("b", "other", group="trip"), config("c", "other"))
    played.set(90.0, "other")
    played.set(90.0)
    firsts = [alarm.name for alarm in played.engine.alarms() if alarm.first_out]
    assert firsts == ["b"]
    played.set(10.0, "other")
    played.do("acknowledge", name="b")
    played.set(90.0, "other")  # again, while a stands
    assert [alarm.name for alarm in played.engine.alarms() if alarm.first_out] == ["b"]
    for tag in ("other", "level"):
        played.set(10.0, tag)
    for name in ("a", "b"):
        played.do("acknowledge", name=name)
    played.set(90.0)
    assert [alarm.name for alarm in played.engine.alarms() if alarm.first_out] == ["a"]


def test_an_alarm_that_was_taken_out_of_its_group_is_no_first_of_it():
    played = Played(config(group="trip"))
    played.set(90.0)
    again = Played(config())
    again.engine.restore([played.alarm().as_row()])
    assert not again.alarm().first_out


def test_the_first_within_one_batch_is_the_one_with_the_earliest_source_time():
    engine = AlarmEngine([config("a", group="trip"), config("b", "other", group="trip")], TAGS)
    raw = DataType.REAL.encode(90.0)
    batch = Batch.of([LEVEL_ID, OTHER_ID], [raw, raw], np.array([7 * S, 5 * S]))
    assert [moved.alarm.name for moved in engine.on_batch(batch, 9 * S)] == ["b", "a"]
    assert engine.alarm("b").first_out


@pytest.mark.parametrize(
    "late",
    [
        {"kind": "expression", "limit": None, "expression": "third > 80"},
        {"kind": "deviation", "limit": 5, "setpoint": "third"},
    ],
)
def test_an_alarm_is_as_early_as_the_newest_value_that_it_is_judged_by(late):
    """Its tag may be what it is about alone, and old."""
    tags = TagList([LEVEL, OTHER, Tag("site/area/line/third", DataType.REAL, source="plc")], "site/area/line")
    engine = AlarmEngine([config("a", group="trip", **late), config("b", "other", group="trip")], tags)
    ids = [tags[path].id for path in ("level", "other", "third")]
    raws = [DataType.REAL.encode(value) for value in (0.0, 90.0, 90.0)]
    engine.on_batch(Batch.of(ids[:1], raws[:1], 1 * S), 1 * S)
    batch = Batch.of(ids[1:], raws[1:], np.array([5 * S, 7 * S]))
    assert [moved.alarm.name for moved in engine.on_batch(batch, 9 * S)] == ["b", "a"]
    assert engine.alarm("b").first_out


LEVEL_ID, OTHER_ID = TAGS["level"].id, TAGS["other"].id


def test_everything_comes_back_after_a_restart():
    configs = [
        config(latching=True, group="g"),
        config("b", "other", re_alarm="1min"),
        config("c", "other", confirm=True),
        config("d", "other", confirm=True),
    ]
    first = Played(*configs)
    first.set(90.0)
    first.set(10.0)
    first.do("shelve", reason="known", for_s=600)
    first.set(90.0, "other")
    first.do("acknowledge", name="b", reason="seen")
    first.do("out-of-service", EVE, "away", name="b")
    for name in "cd":
        first.do("acknowledge", name=name)
    first.do("confirm", EVE, "done", name="d")
    first.do("shelve-once", reason="known", for_s=900, name="d")
    again = AlarmEngine(configs, TAGS)
    assert len(again.restore([alarm.as_row() for alarm in first.engine.alarms()])) == 4
    assert again.alarms() == first.engine.alarms()
    assert again.counts == first.engine.counts
    assert again.next_due_ns() == first.engine.next_due_ns() == 601 * S


CONFIGS = [config(), config("b", "other"), config("c", confirm=True), config("d", confirm=True)]
CHILD = """
    import asyncio, pathlib, sys
    sys.path.insert(0, {here!r})
    from test_alarm_commands import ANN, CONFIGS, EVE, LEVEL, OTHER, SYSTEM_TAGS
    from runtime.alarms import AlarmService
    from runtime.journal import Journal
    from runtime.testing import FakePort

    async def main():
        port = FakePort([LEVEL, OTHER, *SYSTEM_TAGS], name="alarms")
        journal = Journal(pathlib.Path({path!r}), port.clock)
        await journal.open()
        service = AlarmService(CONFIGS, port.tags.tags, journal)
        task = asyncio.create_task(service.run(port))
        port.set("level", 90.0)
        while len(port.emitted) < 3:
            await asyncio.sleep(0.001)
        for name in ("high", "c", "d"):
            await service.command("acknowledge", name, ANN, "seen")
        await service.command("confirm", "d", EVE, "done")
        await service.command("shelve-once", "d", ANN, "test run", 900 * 10**9)
        await service.command("shelve", "high", ANN, "known", 600 * 10**9)
        await service.command("out-of-service", "b", EVE, "away")
        print("confirmed", flush=True)
        await task

    asyncio.run(main())
"""


async def until(condition):
    """Let everything run until a condition holds; the journal's thread takes real time."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a thread and a disk are waited for
            await asyncio.sleep(0.001)


def test_confirmed_commands_survive_a_kill_and_the_shelf_still_ends(tmp_path):
    path = tmp_path / "journal.sqlite"
    code = textwrap.dedent(CHILD).format(here=str(Path(__file__).parent), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "confirmed\n"
        child.send_signal(signal.SIGKILL)

    async def main():
        port = FakePort([LEVEL, OTHER, *SYSTEM_TAGS], name="alarms")
        journal = Journal(path, port.clock)
        await journal.open()
        service = AlarmService(CONFIGS, port.tags.tags, journal)
        task = asyncio.create_task(service.run(port))
        await until(lambda: port.value("sys/alarms/shelved") == 2)
        assert port.value("sys/alarms/out_of_service") == 1
        assert service.view("high")["shelved"]["reason"] == "known"
        assert service.view("high")["acknowledged_by"] == "ann"
        waits, done = service.view("c"), service.view("d")
        assert (waits["acknowledged_by"], waits["confirmed"], waits["confirmed_by"]) == ("ann", False, "")
        assert (done["confirmed"], done["confirmed_by"], done["comment"]) == (True, "eve", "done")
        assert (done["shelved"]["once"], done["shelved"]["reason"]) == (True, "test run")
        await service.command("confirm", "c", EVE, "done too")
        port.set("level", 10.0)
        await until(lambda: service.view("d")["shelved"] is None)
        assert [row.transition for row in journal.read_now(alarm_log, 1, None, "d")] == ["unshelved"]
        port.set("level", 90.0)
        await until(lambda: service.view("d")["active"])
        await port.clock.advance(601)
        await until(lambda: port.value("sys/alarms/shelved") == 0)
        assert service.view("high")["state"] == "unacknowledged"
        rows = {row.name: row for row in journal.read_now(alarm_rows)}
        assert (rows["high"].shelved_ns, rows["b"].removed_by) == (None, "eve")
        (newest,) = journal.read_now(alarm_log, 1)
        assert (newest.transition, newest.announced) == ("unshelved", True)
        task.cancel()
        await asyncio.wait([task])
        await journal.close()

    asyncio.run(main())


def test_bad_quality_is_restored_without_a_new_alarm():
    played = Played(config("bad", kind="bad_quality", limit=None))
    lost = Batch.of([LEVEL_ID], [0], S, Quality.BAD)
    assert [moved.alarm.value for moved in played.engine.on_batch(lost, S)] == [None]
    again = AlarmEngine([config("bad", kind="bad_quality", limit=None)], TAGS)
    again.restore([played.alarm("bad").as_row()])
    assert again.on_batch(lost, 2 * S) == []
