"""The console as an operator meets it: keys in, screen out, against a plant in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from rich.cells import cell_len
from textual import events

from runtime.clock import monotonic_ns
from runtime.contract import Quality
from runtime.errors import WriteRejectedError
from runtime.wire import AlarmNote, TrendSeries
from tui.console import ConsoleApp, take_screenshots
from tui.locale import Words
from tui.model import Link
from tui.screens.tags import TagsScreen
from tui.screens.trend import TrendScreen
from tui.screens.write import WriteDialog
from tui.shown import DAY_NS, format_clock
from tui.widgets.alarm_list import AlarmList
from tui.widgets.keybar import SCREENS
from tui.widgets.mimic import Mimic
from tui.widgets.rows import Rows
from tui.widgets.tag_list import TagList


def seen(app: ConsoleApp) -> str:
    """Return the text that stands on the screen, the topmost dialog included."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


def drive(
    plant,
    script: Callable[..., Awaitable[None]],
    size: tuple[int, int] = (110, 32),
    language: str = "en",
) -> None:
    """Run a script of key presses on a console that is online."""

    async def main() -> None:
        app = ConsoleApp(plant.connect, Words(language))
        app.NOTIFICATION_TIMEOUT = 60
        async with app.run_test(size=size, notifications=True) as pilot:
            await appears(pilot, "● ")
            await script(app, pilot)

    asyncio.run(main())


async def appears(pilot, text: str, seconds: float = 60.0) -> None:
    """Wait until a text is on the screen."""
    end_ns = monotonic_ns() + round(seconds * 1e9)
    while not re.search(text, seen(pilot.app)):
        assert monotonic_ns() < end_ns, f"{text!r} did not appear:\n{seen(pilot.app)}"
        await pilot.pause(0.05)


async def goes(pilot, text: str, seconds: float = 60.0) -> None:
    end_ns = monotonic_ns() + round(seconds * 1e9)
    while re.search(text, seen(pilot.app)):
        assert monotonic_ns() < end_ns, f"{text!r} did not go away:\n{seen(pilot.app)}"
        await pilot.pause(0.05)


def test_overview_shows_the_line_with_values_units_and_states(plant):
    async def script(app, pilot):
        await appears(pilot, r"42\.0 bpm")
        text = seen(app)
        for expected in (
            "Bottling line 1", "wang (operator)", "12873", "Filler", "▶ running", "✖ faulted", "◁ starved",
            "▷ blocked", "63.4 %", "1.93", "N·m",
        ):  # fmt: skip
            assert expected in text
        assert re.search(r"---× ?mm/s", text), "a bad value carries its mark"

    drive(plant, script)


def test_overview_follows_a_value(plant):
    async def script(app, pilot):
        await appears(pilot, r"42\.0 bpm")
        plant.push("filler/rate_bpm", 37.5)
        await appears(pilot, r"37\.5 bpm")

    drive(plant, script)


def test_only_what_is_shown_is_streamed(plant):
    async def script(app, pilot):
        await appears(pilot, r"42\.0 bpm")
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        assert max(count for name, count, *_ in plant.calls if name == "stream") < len(plant.tag_list)

    drive(plant, script)


@pytest.mark.parametrize("key", ["f{}", "{}"])
def test_function_keys_and_digits_show_the_six_screens(plant, until, key):
    async def script(app, pilot):
        for number, name in enumerate(SCREENS, 1):
            await pilot.press(key.format(number))
            await until(lambda name=name: app.current_mode == name)

    drive(plant, script)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_every_screen_fits(plant, until, language, size):
    async def script(app, pilot):
        words = Words(language)
        for number, name in enumerate(SCREENS, 1):
            await pilot.press(f"f{number}")
            await until(lambda name=name: app.current_mode == name)
            await appears(pilot, re.escape(words.pick((await plant.info()).title)))
            await appears(pilot, re.escape(words("key.quit")))
            await pilot.pause(0.4)
            lines = [strip.text for strip in app.screen._compositor.render_strips(app.size)]
            assert len(lines) == size[1]
            assert {cell_len(line) for line in lines} == {size[0]}
            assert words.pick((await plant.info()).title) in lines[0]
            for other in SCREENS:
                assert words(f"nav.{other}") in lines[-1], name
            assert words("key.quit") in lines[-1]
            regions = [child.region for child in app.screen.children if child.display and child.region.area]
            for i, one in enumerate(regions):
                assert not any(one.overlaps(other) for other in regions[i + 1 :]), (name, regions)

    drive(plant, script, size, language)


def test_all_stations_are_seen_at_80_by_24(plant):
    async def script(app, pilot):
        await appears(pilot, "Conv3")
        for name in ("Tank", "Filler", "Conv1", "Buffer1", "Capper", "Conv2", "Labeller", "Conv3"):
            assert name in seen(app)

    drive(plant, script, (80, 24))


def test_choosing_a_station_lists_its_tags(plant):
    async def script(app, pilot):
        await appears(pilot, "Capper")
        await pilot.press("right", "enter")
        await appears(pilot, "filler/volume_ml")
        assert "capper/torque_nm" not in seen(app)

    drive(plant, script)


def test_a_click_on_a_station_lists_its_tags(plant):
    async def script(app, pilot):
        for last in ("Capper torque high", r"42\.0 bpm", "▶ running"):  # nothing moves any more
            await appears(pilot, last)
        lines = seen(app).splitlines()
        row = next(y for y, line in enumerate(lines) if " Filler " in line)
        mimic = app.screen.query_one(Mimic)
        await pilot.click(Mimic, offset=(lines[row].index("Filler"), row - mimic.region.y))
        await appears(pilot, "filler/volume_ml")

    drive(plant, script)


def test_language_switches_live(plant):
    async def script(app, pilot):
        await appears(pilot, "running")
        await pilot.press("l")
        await appears(pilot, "运行")
        assert "灌装线一号" in seen(app)
        assert "总览" in seen(app)
        await pilot.press("f2")
        await appears(pilot, "旋盖扭矩过高")
        await pilot.press("l")
        await appears(pilot, "Capper torque high")

    drive(plant, script)


# alarms


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


def test_a_connection_lost_on_another_day_says_so(plant):
    async def script(app, pilot):
        plant.cut()
        await appears(pilot, r"CONNECTION LOST \d\d:\d\d:\d\d ·")
        lost_ns = app.view.changed_ns
        now_ns = app.clock.now_ns
        app.clock.now_ns = lambda: now_ns() + 2 * DAY_NS
        await appears(pilot, f"CONNECTION LOST {format_clock(lost_ns, date=True)}")

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


# tags and writing


def test_filter_narrows_the_list_while_one_types(plant):
    async def script(app, pilot):
        await pilot.press("f4", "slash", *"capper tor")
        await appears(pilot, "1 of 30 tags")
        assert "torque_nm" in seen(app)
        await pilot.press("enter", "escape")
        await appears(pilot, "30 of 30 tags")

    drive(plant, script)


def test_bad_quality_is_a_word_and_a_mark(plant):
    async def script(app, pilot):
        await pilot.press("f4")
        await appears(pilot, r"vibration_mm_s +--- +mm/s +× sensor fault")

    drive(plant, script)


def writes(plant) -> list[tuple]:
    """Return what was sent; a stream that begins anew is a call as well."""
    return [call for call in plant.calls if call[0] == "write"]


async def open_write(pilot) -> None:
    await pilot.press("f4", "slash", *"speed_sp", "enter")
    await appears(pilot, "1 of 30 tags")
    await pilot.press("w")
    await appears(pilot, "Write a value")


def test_control_characters_of_a_device_or_a_person_move_no_cursor(plant, make_tag):
    said = "ended with code 1:\n  KeyError"
    plant.component_list["fault_warning"] = msgspec.structs.replace(
        plant.component_list["fault_warning"], text=said
    )
    plant.alarm_list["tank.level_low"] = msgspec.structs.replace(
        plant.alarm_list["tank.level_low"], comment="on its way\r\n\x1b[2Jsoon"
    )
    code = "A-17\r\n\x1b]0;x\x07"  # a scanner's line end, and what a terminal would obey
    plant.tag_list.append(
        make_tag(30, ("tank/batch", "STRING", "", None, None, "Batch", "批号", "rw", code), 0)
    )
    plant.ask("tank/batch", code, "li", "first line\nApprove: yes \u202eoN")

    async def script(app, pilot):
        for keys, text in (
            (("f2",), "Capper torque high"),
            (("down", "enter"), r"on its way\\x0d\\n\\x1b\[2Jsoon"),
            (("f5",), r"code 1:\\n  KeyError"),
            (("f6",), r"first line\\nApprove"),
            (("a",), r"first line\\nApprove"),
            (("escape", "f4", "slash", *"batch", "enter"), r"A-17\\x0"),
            (("w",), r"Now: A-17\\x0d\\n\\x1b\]0;x\\x07"),
        ):
            await pilot.press(*keys)
            await appears(pilot, text)
            await pilot.pause(0.3)
            for strip in app.screen._compositor.render_strips(app.size):
                assert strip.text.isprintable()
                assert cell_len(strip.text) == app.size.width

    drive(plant, script)


def test_write_shows_what_is_then_asks_twice_then_writes(plant):
    async def script(app, pilot):
        await open_write(pilot)
        await appears(pilot, r"42\.0 bpm")
        text = seen(app)
        assert "0 … 60 bpm" in text
        assert "operator" in text
        await pilot.press(*"45", "enter", *"more bottles", "enter")
        await appears(pilot, r"42\.0 bpm +-> +45\.0 bpm")
        assert writes(plant) == []
        await pilot.press("y")
        await goes(pilot, "Write this value")
        assert writes(plant) == [("write", "nb/bottling/line1/line/speed_sp_bpm", 45.0, "more bottles")]
        await appears(pilot, r"speed_sp_bpm +45\.0")

    drive(plant, script)


def test_the_second_look_shows_the_value_of_now_and_how_far_it_is_to_be_trusted(plant):
    async def script(app, pilot):
        await open_write(pilot)
        await appears(pilot, r"42\.0 bpm")
        await pilot.press(*"45", "enter", *"more bottles", "enter")
        await appears(pilot, r"42\.0 bpm +-> +45\.0 bpm")
        plant.push("line/speed_sp_bpm", 30.0, Quality.UNCERTAIN_LAST_USABLE_VALUE)
        await appears(pilot, r"30\.0~ bpm +-> +45\.0 bpm")

    drive(plant, script)


def takes_a_signature(plant, *meanings):
    for index, tag in enumerate(plant.tag_list):
        if tag.path.endswith("speed_sp_bpm"):
            plant.tag_list[index] = msgspec.structs.replace(tag, signature=meanings)


@pytest.mark.parametrize(("language", "asked"), [("en", "electronic signature"), ("zh", "电子签名")])
def test_a_write_that_is_signed_asks_for_name_secret_and_meaning(plant, until, language, asked):
    takes_a_signature(plant, "approval", "review")

    async def script(app, pilot):
        await pilot.press("f4", "slash", *"speed_sp", "enter")
        await appears(pilot, "speed_sp_bpm")
        await pilot.press("w")
        await appears(pilot, Words(language)("write.title"))
        assert Words(language)("write.secret") not in seen(app)
        await pilot.press(*"45", "enter", *"more", "enter")
        await appears(pilot, asked)
        await until(lambda: app.screen.query_one("#send").region.area)
        await pilot.click("#send")
        await appears(pilot, Words(language)("write.need_signature"))
        assert writes(plant) == []
        app.screen.query_one("#signer").value = ""
        app.screen.query_one("#signer").focus()
        await pilot.press(*"olga", "enter", *"say yes", "enter")
        assert "say yes" not in seen(app)
        await pilot.press("enter", "down", "enter")
        await until(lambda: app.screen.query_one("#meaning").value in ("approval", "review"))
        meaning = app.screen.query_one("#meaning").value
        await pilot.click("#send")
        await goes(pilot, Words(language)("write.title"))
        signed = ("olga", "say yes", meaning)
        assert writes(plant) == [("write", "nb/bottling/line1/line/speed_sp_bpm", 45.0, "more", signed)]

    drive(plant, script, (80, 24), language)


def test_what_is_typed_ahead_of_a_slow_link_goes_where_it_was_meant(plant):
    async def script(app, pilot):
        for key in ("f4", "slash", *"speed_sp", "enter", "w", *"45", "enter", *"more", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await appears(pilot, r"42\.0 bpm.*->.*45")
        assert writes(plant) == []

    drive(plant, script)


def test_enter_alone_never_writes(plant):
    async def script(app, pilot):
        await open_write(pilot)
        await pilot.press(*"45", "enter", *"x", "enter", "enter", "enter", "enter")
        assert writes(plant) == []

    drive(plant, script)


def test_write_without_reason_or_with_nonsense_goes_nowhere(plant):
    async def script(app, pilot):
        await open_write(pilot)
        await pilot.press(*"fast", "enter", *"x", "enter")
        await appears(pilot, "is not a value of REAL")
        await pilot.press(*["backspace"] * 4, *"45", "enter", "backspace", "enter")
        await appears(pilot, "Give a reason")
        assert writes(plant) == []

    drive(plant, script)


@pytest.mark.parametrize(("language", "hint"), [("en", "such as 3s"), ("zh", "例如 3s")])
def test_a_time_is_written_with_its_unit(plant, make_tag, language, hint):
    row = ("capper/delay", "TIME", "", 0, 1e10, "Delay", "延时", "rw", 1_500_000_000)
    plant.tag_list.append(make_tag(30, row, 0))

    async def script(app, pilot):
        await pilot.press("f4", "slash", *"capper/delay", "enter", "w")
        await appears(pilot, hint)
        await appears(pilot, "0 s … 10 s")
        await pilot.press("5", "enter", *"x", "enter")
        await appears(pilot, f"'5'.*TIME.*{hint}")
        await pilot.press(*"5s", "enter", "enter")
        await appears(pilot, r"1\.500 s  ->  5\.000 s")
        await pilot.press("y")
        await goes(pilot, Words(language)("write.title"))
        assert writes(plant) == [("write", "nb/bottling/line1/capper/delay", 5_000_000_000, "x")]

    drive(plant, script, language=language)


def test_a_refused_write_says_why_and_what_to_do_and_can_be_corrected(plant):
    async def script(app, pilot):
        plant.refusal = WriteRejectedError("80 is above 60 bpm", "write 0 to 60 bpm")
        await open_write(pilot)
        await pilot.press(*"80", "enter", *"x", "enter", "y")
        await appears(pilot, "Refused: 80 is above 60 bpm")
        assert "write 0 to 60 bpm" in seen(app)
        plant.refusal = None
        await pilot.press(*["backspace"] * 2, *"50", "enter", "enter")
        await appears(pilot, r"-> +50\.0 bpm")
        await pilot.press("y")
        await appears(pilot, r"speed_sp_bpm: 42\.0 -> 50\.0 bpm")

    drive(plant, script)


def at_once(app, *keys: str) -> None:
    """Press keys faster than the console works them off, as a slow line delivers them."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


@pytest.mark.parametrize("refused", [True, False])
def test_a_write_dialog_left_before_the_answer_loses_neither_answer_nor_console(plant, refused):
    answered = asyncio.Event()
    write = plant.write

    async def slow(*args, **more):
        await answered.wait()
        return await write(*args, **more)

    plant.write = slow
    plant.refusal = WriteRejectedError("the interlock forbids it", "stop the filler") if refused else None

    async def script(app, pilot):
        await pilot.press("f4", "slash", *"speed_sp", "enter", "w")
        await appears(pilot, "Write a value")
        await pilot.press(*"41", "enter", *"slower", "enter", "y")
        await appears(pilot, "Sending")
        await pilot.press("escape")
        await goes(pilot, "Sending")
        await pilot.press("question_mark")
        await appears(pilot, "On this screen")
        answered.set()
        await appears(pilot, "the interlock forbids it" if refused else r"42\.0 -> 41\.0")
        assert "On this screen" in seen(app), "the answer closes no other dialog"

    drive(plant, script)


@pytest.mark.parametrize(
    ("screen", "shows", "opening", "keys", "call"),
    [
        ("f2", "Capper torque high", "a", ("enter", "enter"), ("acknowledge", "capper.torque_high", "")),
        (
            "f2", "Capper torque high", "s",
            ("x", "enter", "enter"), ("shelve", "capper.torque_high", 1_800_000_000_000, "x"),
        ),
        ("f5", "plc", "r", ("enter", "enter"), ("restart", "plc")),
    ],
)  # fmt: skip
def test_a_key_that_comes_twice_commands_once(plant, until, screen, shows, opening, keys, call):
    async def script(app, pilot):
        await pilot.press(screen)
        await appears(pilot, shows)
        await pilot.press(opening)
        await until(lambda: app.screen.query("#frame Button"))
        await pilot.press(*(["shift+tab"] if opening == "r" else []))
        await pilot.pause(0.3)
        at_once(app, *keys)
        await until(lambda: call in plant.calls)
        await pilot.pause(0.5)
        assert app.is_running
        assert plant.calls.count(call) == 1

    drive(plant, script)


def test_the_write_dialog_shows_its_tag_also_when_the_list_was_scrolled_away(plant, until, make_tag):
    row = ("x", "REAL", "%", 0, 100, "Value", "数值", "rw", 7.5)
    plant.tag_list = [make_tag(i, (f"m{i:03}/value", *row[1:]), 0) for i in range(300)]

    async def script(app, pilot):
        await pilot.press("f4")
        await appears(pilot, "m000/value")
        tags = app.screen.query_one(TagList)

        def scrolled():  # once more where the list did not have its size yet
            tags.scroll_to(y=200, animate=False)
            return "m200/value" in seen(app)

        await until(scrolled)
        await pilot.pause(0.5)
        await pilot.press("w")
        await appears(pilot, r"Write a value · m000")
        await appears(pilot, r"Now: 7\.5 %")

    drive(plant, script)


def test_the_write_dialog_shows_its_tag_also_when_another_configuration_runs(plant, make_tag):
    async def script(app, pilot):
        await pilot.press("f4", "slash", *"speed_sp", "enter", "w")
        await appears(pilot, r"Now: 42\.0 bpm")
        first = ("line/a_mode", "REAL", "", None, None, "New", "新", "r", 99.0)
        moved = [msgspec.structs.replace(tag, id=tag.id + 1) for tag in plant.tag_list]
        plant.tag_list = [make_tag(0, first, 0), *moved]
        plant.cut()
        await appears(pilot, "stale")
        plant.up = True
        await goes(pilot, "CONNECTION LOST")
        await pilot.pause(0.6)
        await appears(pilot, r"Now: 42\.0 bpm +good")
        await pilot.press(*"30", "enter", *"why", "enter")
        await appears(pilot, r"42\.0 bpm  ->  30\.0 bpm")

    drive(plant, script)


def test_a_read_only_tag_cannot_be_written(plant):
    async def script(app, pilot):
        await pilot.press("f4")
        await appears(pilot, "tank/level_pct")
        await pilot.press("w")
        await appears(pilot, "is read-only")
        assert not isinstance(app.screen, WriteDialog)

    drive(plant, script)


# trend


def test_trend_starts_with_pens_and_their_values(plant):
    async def script(app, pilot):
        await pilot.press("f3")
        await appears(pilot, r"━ 4 +capper/torque_nm +1\.93 +N·m")
        await appears(pilot, "[⠁-⣿]{4}")
        assert any(call[0] == "trend" and call[2] == 600 * 10**9 for call in plant.calls)

    drive(plant, script)


def test_window_keys_ask_for_their_time(plant, until):
    def asked():
        return [call[2] for call in plant.calls if call[0] == "trend"]

    async def script(app, pilot):
        await pilot.press("f3")
        await appears(pilot, "[⠁-⣿]{4}")
        for key, seconds in (("6", 60), ("8", 3600), ("9", 28_800)):
            await pilot.press(key)
            await until(lambda seconds=seconds: asked()[-1] == seconds * 10**9)
        await appears(pilot, re.escape("[8 h]"))

    drive(plant, script)


def test_what_happened_while_another_screen_was_seen_is_asked_for_at_once(plant, until):
    def asked() -> int:
        return sum(1 for name, *_ in plant.calls if name == "trend")

    async def script(app, pilot):
        await pilot.press("f3", "9")
        await until(lambda: 28_800 * 10**9 in [call[2] for call in plant.calls if call[0] == "trend"])
        before = asked()
        await pilot.press("f1")
        await pilot.pause(1.0)
        assert asked() == before
        await pilot.press("f3")
        await until(lambda: asked() > before)
        await pilot.pause(1.0)
        assert asked() == before + 1

    drive(plant, script)


def test_pens_are_chosen_from_the_tags(plant):
    async def script(app, pilot):
        await pilot.press("f3")
        await appears(pilot, "capper/torque_nm")
        await pilot.press("x")
        await appears(pilot, "━ 3")
        await goes(pilot, "━ 4")
        await pilot.press("t")
        await appears(pilot, r"Tags for the trend \(3 of 4\)")
        await pilot.press("slash", *"temperature", "enter", "enter")
        await appears(pilot, r"\(4 of 4\)")
        await pilot.press("escape")
        await appears(pilot, r"━ 4 +tank/temperature_c")

    drive(plant, script)


def test_a_tag_goes_from_the_list_to_the_trend(plant):
    async def script(app, pilot):
        await pilot.press("f3")
        await appears(pilot, "━ 4")
        await pilot.press("x")
        await pilot.press("f4", "slash", *"inflow", "enter")
        await appears(pilot, "1 of 30 tags")
        await pilot.press("t")
        await appears(pilot, r"━ 4 +tank/inflow_lpm")
        assert isinstance(app.screen, TrendScreen)

    drive(plant, script)


# system


def test_system_shows_components_and_figures(plant):
    async def script(app, pilot):
        await pilot.press("f5")
        await appears(pilot, "2 204 112")
        text = seen(app)
        for expected in ("! degraded", "✖ faulted", "▶ running", "model.onnx", "sys/plc/overruns", "412 ms"):
            assert expected in text

    drive(plant, script)


def test_restart_asks_first(plant):
    async def script(app, pilot):
        await pilot.press("f5")
        await appears(pilot, "remote_io")
        await pilot.press("down", "r")
        await appears(pilot, "Restart remote_io")
        await pilot.press("enter")
        assert ("restart", "remote_io") not in plant.calls
        await pilot.press("r", "y")
        await appears(pilot, "remote_io is restarting")
        assert ("restart", "remote_io") in plant.calls

    drive(plant, script)


# connection


def test_a_lost_connection_makes_every_value_stale_and_comes_back(plant):
    async def script(app, pilot):
        await appears(pilot, r"42\.0 bpm")
        plant.cut()
        await appears(pilot, "CONNECTION LOST")
        await appears(pilot, r"42\.0\?bpm")
        assert "NO CONNECTION" in seen(app)
        assert "42.0 bpm" not in seen(app)
        await appears(pilot, "the plant at /run/x.sock cannot be reached: refused · is it running?")
        await pilot.press("f4")
        await appears(pilot, r"\? stale")
        assert not re.search(r"\bgood\b", seen(app))
        plant.up = True
        await appears(pilot, r"\bgood\b")
        assert "CONNECTION LOST" not in seen(app)

    drive(plant, script, (80, 24))


def test_commands_while_the_connection_is_lost_are_refused_in_words(plant):
    async def script(app, pilot):
        await open_write(pilot)
        plant.cut()
        await pilot.press(*"45", "enter", *"x", "enter", "y")
        await appears(pilot, "Refused")

    drive(plant, script)


def test_a_plant_that_does_not_answer_at_first_is_waited_for(plant):
    plant.up = False

    async def main():
        app = ConsoleApp(plant.connect, Words("en"))
        async with app.run_test(size=(100, 30)) as pilot:
            await appears(pilot, "Connecting to the plant")
            for key in ("f2", "f3", "f4", "f5", "question_mark", "escape", "f1"):
                await pilot.press(key)
            plant.up = True
            await appears(pilot, r"42\.0 bpm")

    asyncio.run(main())


def test_q_quits_and_help_lists_the_keys(plant, until):
    async def script(app, pilot):
        await pilot.press("question_mark")
        await appears(pilot, "On this screen")
        await pilot.press("escape", "q")
        await until(lambda: not app.is_running)

    drive(plant, script)


def test_q_in_a_text_field_is_a_letter(plant):
    async def script(app, pilot):
        await pilot.press("f4", "slash", *"torq")
        await appears(pilot, "1 of 30 tags")
        assert app.is_running

    drive(plant, script)


# size and cost


def test_ten_thousand_tags_scroll_without_redrawing_the_list(plant, make_tag):
    row = ("x", "REAL", "%", 0, 100, "Value", "数值", "r", 1.0)
    plant.tag_list = [
        make_tag(i, (f"cell{i // 100}/m{i % 100:02}/value", *row[1:]), 0) for i in range(10_000)
    ]

    async def script(app, pilot):
        await pilot.press("f4")
        await appears(pilot, "10000 of 10000 tags")
        tags = app.screen.query_one(TagList)
        pages, drawn = 60, []
        original = tags.render_line
        tags.render_line = lambda y: drawn.append(y) or original(y)
        for _ in range(pages):
            tags.action_page(1)
            app.screen._compositor.render_strips(app.size)
        assert 0 < len(drawn) <= 2 * pages * tags.size.height, "a page draws what is in sight, no more"
        await pilot.press("end")
        await appears(pilot, "cell99/m99/value")
        await pilot.pause(0.5)
        assert isinstance(app.screen, TagsScreen)
        assert max(count for name, count, *_ in plant.calls if name == "stream") < 300

    drive(plant, script)


def test_an_unchanged_plant_costs_no_redraw_of_lists(plant):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        rows = app.screen.query_one(AlarmList)
        drawn = []
        original = rows.render_line
        rows.render_line = lambda y: drawn.append(y) or original(y)
        for _ in range(10):  # until what it began with is drawn
            drawn.clear()
            await pilot.pause(1.5)
            if not drawn:
                break
        assert drawn == []

    drive(plant, script)


def test_screenshots_hold_every_screen_in_both_languages(plant):
    pictures = asyncio.run(take_screenshots(plant.connect, size=(100, 30), settle_s=0.8))
    assert set(pictures) == {f"{name}.{lang}.svg" for name in SCREENS for lang in ("en", "zh")}
    assert "@font-face" not in "".join(pictures.values())
    assert "Filler" in pictures["overview.en.svg"]


def test_screenshots_wait_for_a_plant_that_takes_its_time(plant):
    info = plant.info

    async def late():
        await asyncio.sleep(1)
        return await info()

    plant.info = late
    pictures = asyncio.run(take_screenshots(plant.connect, size=(100, 30), settle_s=0.3))
    assert "Filler" in pictures["overview.en.svg"]


def test_link_state_of_the_app_is_online(plant):
    async def script(app, pilot):
        assert app.view.link is Link.ONLINE

    drive(plant, script)


def test_a_click_on_a_key_does_what_the_key_does(plant):
    async def script(app, pilot):
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        lines = seen(app).splitlines()
        await pilot.click(offset=(lines[-2].index("Acknowledge"), len(lines) - 2))
        await appears(pilot, "Comment")
        await pilot.press("escape")
        await pilot.click(offset=(lines[-1].index("System"), len(lines) - 1))
        await appears(pilot, "modbus.client")

    drive(plant, script)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_dialogs_fit_at_80_by_24(plant, until, language):
    async def script(app, pilot):
        for keys in (
            ("question_mark",),
            ("f2", "question_mark"),
            ("A",),
            ("f3", "t"),
            ("f4", "slash", *"speed_sp", "enter", "w"),
        ):
            await pilot.press(*keys)
            await until(lambda: any(each.region.area for each in app.screen.query("#frame")))
            await pilot.pause(0.4)
            frame = app.screen.query_one("#frame").region
            assert app.screen.region.contains_region(frame)
            for widget in app.screen.query("#frame Button"):
                assert not widget.display or frame.contains_region(widget.region)
            await pilot.press("escape")

    drive(plant, script, (80, 24), language)


class FakeSeat:
    """Whoever sits here; the right secret lets in."""

    def __init__(self, plant) -> None:
        self.plant = plant
        self.touches = 0

    def touch(self) -> None:
        self.touches += 1

    async def sign_in(self, name: str, secret: str) -> None:
        if secret != "barley":
            raise WriteRejectedError("the name or the secret is wrong", "ask an admin")
        self.plant.calls.append(("sign in", name))
        self.plant.out = False


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_session_that_is_over_is_told_and_one_signs_in_again_where_one_was(plant, language):
    words, seat = Words(language), FakeSeat(plant)

    async def main() -> None:
        app = ConsoleApp(plant.connect, words, seat=seat)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await appears(pilot, "● ")
            await pilot.press("f4", "slash", *"speed_sp", "enter", "w", *"45", "enter")
            await appears(pilot, words("write.check")[:8])
            plant.end_session()
            await appears(pilot, words("signin.title"))
            await appears(pilot, "wang")
            await pilot.press(*"wrong", "enter")
            await appears(pilot, "the secret is wrong")
            await pilot.press("escape")  # the write that was begun is there, and so is what was shown
            await appears(pilot, words("write.title"))
            await pilot.press("escape")
            await appears(pilot, "42.0?")
            await appears(pilot, words("link.signed_out"))
            await pilot.press("i")
            await appears(pilot, words("signin.title"))
            await pilot.press(*"barley", "enter")
            await goes(pilot, words("signin.title"))
            await appears(pilot, "● ")
            await appears(pilot, r"speed_sp_bpm +42\.0 ")
            assert plant.calls.count(("sign in", "wang")) == 1

    asyncio.run(main())


def test_a_login_elsewhere_ends_the_question_who_is_here(plant):
    async def main() -> None:
        app = ConsoleApp(plant.connect, Words("en"), seat=FakeSeat(plant))
        async with app.run_test(size=(60, 20)) as pilot:
            await appears(pilot, "● ")
            plant.end_session()
            await appears(pilot, "Sign in again")
            assert "Cancel" in seen(app)
            plant.out = False
            await goes(pilot, "Sign in again")
            await pilot.press("i")
            await appears(pilot, "● ")
            assert "Sign in again" not in seen(app)

    asyncio.run(main())


def test_keys_and_clicks_are_of_a_person_and_nothing_else_is(plant):
    seat = FakeSeat(plant)

    async def main() -> None:
        app = ConsoleApp(plant.connect, Words("en"), seat=seat)
        async with app.run_test(size=(110, 32)) as pilot:
            await appears(pilot, "● ")
            plant.push("tank/level_pct", 12.5)
            await appears(pilot, r"12\.5 %")
            await pilot.hover(offset=(5, 5))
            await pilot.resize_terminal(100, 30)
            assert seat.touches == 0
            await pilot.press("f4")
            keys = seat.touches
            assert keys
            await pilot.click(offset=(5, 8))
            assert seat.touches > keys

    asyncio.run(main())


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


def test_the_name_of_the_plant_stands_before_the_clock(plant):
    async def script(app, pilot):
        plant.raise_alarm(msgspec.structs.replace(plant.alarm_list["tank.level_low"], state="unacknowledged"))
        await appears(pilot, "▲ 1")
        top = seen(app).splitlines()[0]
        assert top.startswith(" Bottling li")
        assert "wang (operator)" in top

    drive(plant, script, size=(60, 20))


@pytest.mark.parametrize("width", [119, 120, 121])
def test_rows_reach_the_right_edge(plant, width):
    async def script(app, pilot):
        await pilot.press("f6")
        await appears(pilot, "Asked by")
        for each in app.screen.query(Rows):
            assert sum(cell_len(cell.text) for cell in each.line(0)) == each.size.width

    drive(plant, script, size=(width, 36))


def test_a_value_at_the_end_of_its_range_is_drawn(plant):
    async def flat(paths, start_ns, end_ns, buckets):
        step_ns = (end_ns - start_ns) // buckets
        points = tuple((start_ns + i * step_ns, 0.0, 0.0, 0.0) for i in range(buckets))
        return tuple(TrendSeries(path, "", points) for path in paths)

    plant.trend = flat

    async def script(app, pilot):
        await pilot.press("f3")
        await appears(pilot, "[⠀-⣿]{40}.*\n.*┻━")

    drive(plant, script)
