"""Alarms at the console: seen, acknowledged, shelved, told of, against a plant in memory."""

from __future__ import annotations

import re

import msgspec
import pytest

from runtime.clock import monotonic_ns
from runtime.errors import WriteRejectedError
from runtime.wire import AlarmNote
from tests.tui.acting import appears, drive, goes, seen
from tui.shown import DAY_NS, format_clock
from tui.widgets.alarm_list import AlarmList


def test_alarms_are_sorted_and_told_by_word_and_shape(plant):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Vibration sensor fault")
        rows = [line.strip() for line in seen(app).splitlines() if re.match(r" [◆▲■●] ", line)]
        assert [row.split()[:3] for row in rows] == [
            ["◆", "critical", "unacknowledged"], ["▲", "high", "acknowledged"], ["■", "medium", "returned"],
        ]  # fmt: skip

    drive(plant, script)


def test_an_alarm_of_another_day_is_not_told_as_of_today(plant):
    three_days_ns = plant.alarm_list["tank.level_low"].raised_ns - 3 * DAY_NS
    plant.alarm_list["tank.level_low"] = msgspec.structs.replace(
        plant.alarm_list["tank.level_low"], raised_ns=three_days_ns
    )
    day, clock = format_clock(three_days_ns, date=True)[5:].split()

    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, f"{day} +Syrup tank level low")
        assert f"{clock} Syrup tank level low" not in seen(app)

    drive(plant, script)


def test_header_counts_what_nobody_has_acknowledged(plant):
    async def script(app, pilot):
        await appears(pilot, "◆ 1")
        assert re.search("■ 1", seen(app).splitlines()[0])
        assert "▲" not in seen(app).splitlines()[0]

    drive(plant, script)


def test_details_tell_cause_consequence_and_action(plant):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("enter")
        await appears(pilot, "Clutch worn")
        assert "Caps come loose" in seen(app)
        assert "replace the clutch" in seen(app)
        await pilot.press("escape")
        await goes(pilot, "Clutch worn")

    drive(plant, script)


def test_acknowledge_sends_the_comment_and_shows_the_new_state(plant):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("a")
        await appears(pilot, "Comment")
        await pilot.press(*"on it", "enter")
        await goes(pilot, "unacknowledged")
        assert ("acknowledge", "capper.torque_high", "on it") in plant.calls

    drive(plant, script)


def test_acknowledge_all_asks_first(plant):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("A")
        await appears(pilot, "Acknowledge 2 alarms at once")
        await pilot.press("escape")
        assert not [call for call in plant.calls if call[0] == "acknowledge"]
        await pilot.press("A")
        await appears(pilot, "Acknowledge 2 alarms at once")
        await pilot.press("enter")
        await appears(pilot, "2 acknowledged")
        assert {call[1] for call in plant.calls if call[0] == "acknowledge"} == {
            "capper.torque_high", "capper.vibration_bad",
        }  # fmt: skip

    drive(plant, script)


def test_acknowledge_all_fits_at_80_by_24_whatever_the_texts(plant, make_alarm):
    long = "Level of the syrup tank is so low that the filler will run dry within minutes"
    for number in range(12):
        plant.raise_alarm(make_alarm(f"x{number}", "tank/level_pct", "high", long, "液位低" * 20, number + 1))

    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Level of the syrup tank")
        await pilot.press("A")
        await appears(pilot, "Acknowledge 14 alarms at once")
        frame = app.screen.query_one("#frame").region
        for widget in app.screen.query("#frame Input, #frame Button"):
            assert frame.contains_region(widget.region)

    drive(plant, script, (80, 24))


def test_what_a_narrow_terminal_cuts_off_in_a_list_says_so(plant):
    async def script(app, pilot):
        await pilot.press("f3")
        await appears(pilot, r"63\.4")
        (row,) = [line for line in seen(app).splitlines() if "━ 1" in line]
        assert "0.0" not in row, "0 to 10 is not the range of a level up to 100"
        await pilot.resize_terminal(24, 20)
        await pilot.press("f2")
        await appears(pilot, "critical unacknowled…")

    drive(plant, script, (56, 20))


def test_a_refused_acknowledge_says_why(plant):
    async def script(app, pilot):
        plant.refusal = WriteRejectedError("viewers do not acknowledge", "log in as operator")
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("a", "enter")
        await appears(pilot, "viewers do not acknowledge")
        assert "log in as operator" in seen(app)

    drive(plant, script)


def test_an_alarm_that_cannot_be_acknowledged_keeps_none_of_the_others_back(plant):
    acknowledge = plant.acknowledge

    async def only_some(name, comment=""):
        if name == "capper.torque_high":
            raise WriteRejectedError(f"{name} has nothing to acknowledge", "another did it")
        return await acknowledge(name, comment)

    plant.acknowledge = only_some

    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("A", "enter")
        await appears(pilot, "capper.torque_high has nothing to acknowledge")
        await appears(pilot, "1 acknowledged")
        assert [call[1] for call in plant.calls if call[0] == "acknowledge"] == ["capper.vibration_bad"]

    drive(plant, script)


def test_a_new_alarm_appears_and_the_cursor_stays_on_its_alarm(plant, make_alarm):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Syrup tank level low")
        await pilot.press("down")
        plant.raise_alarm(
            make_alarm("filler.stop", "filler/state", "critical", "Filler stopped", "x", 10**18)
        )
        await appears(pilot, "Filler stopped")
        assert app.screen.query_one(AlarmList).key == "tank.level_low"

    drive(plant, script)


def test_an_alarm_is_shelved_with_a_reason_and_found_again(plant):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("s")
        await appears(pilot, "How long")
        await pilot.press("enter")
        await appears(pilot, "Give a reason")
        await pilot.press(*"known", "enter")
        await appears(pilot, "capper.torque_high: Shelve alarm")
        await appears(pilot, "Hidden 1")
        assert ("shelve", "capper.torque_high", 1800 * 10**9, "known") in plant.calls
        assert app.screen.query_one(AlarmList).key != "capper.torque_high"
        await pilot.press("h")
        await appears(pilot, "[Hidden 1]")
        await appears(pilot, "shelved")
        await pilot.press("s")
        await appears(pilot, "shown again at once")
        await pilot.press("enter")
        await appears(pilot, "Hidden 0")
        assert ("unshelve", "capper.torque_high", "") in plant.calls

    drive(plant, script)


def test_an_alarm_that_is_normal_again_stays_until_it_is_confirmed(plant):
    alarm = plant.alarm_list["capper.torque_high"]
    plant.alarm_list[alarm.name] = msgspec.structs.replace(
        alarm, state="normal", active=False, acknowledged=True, acknowledged_by="li",
        acknowledged_ns=alarm.raised_ns, confirm=True, confirmed=False,
    )  # fmt: skip

    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "to confirm +.*Capper torque high")
        await pilot.press("c")
        await appears(pilot, "What it asked for was done")
        await pilot.press(*"clutch", "enter")
        await appears(pilot, "capper.torque_high: Confirm alarm")
        assert ("confirm", "capper.torque_high", "clutch") in plant.calls
        await goes(pilot, "Capper torque high")
        await pilot.press("c")
        await appears(pilot, "does not wait to be confirmed")

    drive(plant, script)


def test_out_of_service_refused_says_why(plant):
    async def script(app, pilot):
        plant.refusal = WriteRejectedError("wang is operator", "ask an engineer")
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("r")
        await appears(pilot, "not latched")
        await pilot.press("o")
        await appears(pilot, "until an engineer returns it")
        await pilot.press(*"away", "enter")
        await appears(pilot, "ask an engineer")
        assert ("out-of-service", "capper.torque_high", "away") in plant.calls

    drive(plant, script)


def test_a_flood_tells_its_first_alarm(plant, make_tag):
    rows = (
        ("sys/alarms/flood", "BOOL", True),
        ("sys/alarms/flood_first", "STRING", "tank.high"),
        ("sys/alarms/rate_10min", "UDINT", 23),
    )
    for path, type_, value in rows:
        row = (path, type_, "", None, None, "", "", "r", value)
        plant.tag_list.append(make_tag(len(plant.tag_list), row, 1))

    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "ALARM FLOOD: 23 in 10 minutes · first: tank.high")
        plant.push("sys/alarms/flood", False)
        await goes(pilot, "ALARM FLOOD")

    drive(plant, script)


@pytest.mark.parametrize(
    ("language", "cleared", "text"), [("en", "cleared", "Capper torque high"), ("zh", "恢复", "扭矩")]
)
def test_journal_lists_transitions(plant, language, cleared, text):
    async def script(app, pilot):
        await pilot.press("f2", "j")
        await appears(pilot, cleared)
        assert "wang" in seen(app)
        assert "4.20 Nm" in seen(app)
        await pilot.press("j")
        await appears(pilot, text)

    drive(plant, script, language=language)


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
def test_who_hid_an_alarm_until_when_and_why_is_told_on_a_small_screen(plant, size):
    async def script(app, pilot):
        note = AlarmNote(1, "wang", "the clutch is on its way", monotonic_ns())
        for alarm in list(plant.alarm_list.values()):
            plant.raise_alarm(msgspec.structs.replace(alarm, shelved=note, hidden=True))
        await pilot.press("f2", "h")
        await appears(pilot, "shelved")
        await pilot.press("enter")
        await appears(pilot, "the clutch is on its")
        text = " ".join(seen(app).split())
        for told in ("limit 4.0", "shelved by wang until", "Stop the capper"):
            assert told in text

    drive(plant, script, size=size)
