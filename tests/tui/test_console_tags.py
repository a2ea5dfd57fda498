"""Values at the console: found, written, drawn over time, against a plant in memory."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest
from rich.cells import cell_len
from textual import events

from runtime.contract import Quality
from runtime.errors import WriteRejectedError
from runtime.wire import TrendSeries
from tests.tui.acting import appears, drive, goes, open_write, seen
from tui.locale import Words
from tui.screens.trend import TrendScreen
from tui.screens.write import WriteDialog
from tui.widgets.tag_list import TagList


def writes(plant) -> list[tuple]:
    """Return what was sent; a stream that begins anew is a call as well."""
    return [call for call in plant.calls if call[0] == "write"]


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
