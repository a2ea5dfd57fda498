"""The console as an operator meets it: keys in, screen out, against a plant in memory."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest

from runtime.errors import WriteRejectedError
from tests.tui.acting import appears, drive, goes, open_write, seen
from tui.console import ConsoleApp, take_screenshots
from tui.locale import Words
from tui.model import Link
from tui.shown import DAY_NS, format_clock
from tui.widgets.keybar import SCREENS
from tui.widgets.mimic import Mimic


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


def test_a_connection_lost_on_another_day_says_so(plant):
    async def script(app, pilot):
        plant.cut()
        await appears(pilot, r"CONNECTION LOST \d\d:\d\d:\d\d ·")
        lost_ns = app.view.changed_ns
        now_ns = app.clock.now_ns
        app.clock.now_ns = lambda: now_ns() + 2 * DAY_NS
        await appears(pilot, f"CONNECTION LOST {format_clock(lost_ns, date=True)}")

    drive(plant, script)


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


def test_the_name_of_the_plant_stands_before_the_clock(plant):
    async def script(app, pilot):
        plant.raise_alarm(msgspec.structs.replace(plant.alarm_list["tank.level_low"], state="unacknowledged"))
        await appears(pilot, "▲ 1")
        top = seen(app).splitlines()[0]
        assert top.startswith(" Bottling li")
        assert "wang (operator)" in top

    drive(plant, script, size=(60, 20))
