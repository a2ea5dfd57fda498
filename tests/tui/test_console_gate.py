"""Writes that take two persons, values for a time and the mode, as people at the console meet them."""

from __future__ import annotations

import re

import msgspec
import pytest
from rich.cells import cell_len

from runtime.clock import SECOND_NS, WallClock
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.wire import HoldView
from tests.tui.acting import appears, drive, goes, seen
from tui.approval import format_left
from tui.locale import Words
from tui.screens.decide import DecideDialog
from tui.screens.write import WriteDialog
from tui.widgets.request_list import RequestList

SPEED = "line/speed_sp_bpm"
PATH = f"nb/bottling/line1/{SPEED}"
LANGUAGES = ["en", "zh"]


def sent(plant, *verbs: str) -> list[tuple]:
    return [call for call in plant.calls if call[0] in verbs]


# asking


@pytest.mark.parametrize(("size", "language"), [((80, 24), "zh"), ((120, 40), "en")])
def test_a_write_that_takes_two_persons_becomes_a_request(plant, language, size):
    plant.two_person(SPEED)
    words = Words(language)

    async def script(app, pilot):
        await pilot.press("f4", "slash", *"speed_sp", "enter")
        await appears(pilot, r"speed_sp_bpm +42\.0")
        await pilot.press("w")
        await appears(pilot, words("write.title"))
        await appears(pilot, words("request.told")[:12])  # before anything is typed
        await pilot.press(*"45", "enter", *"more", "enter")
        await appears(pilot, r"42\.0 bpm +-> +45\.0 bpm")
        await appears(pilot, words("request.question")[:8])
        await pilot.press("enter")  # on Cancel: nothing is sent by one key
        assert not sent(plant, "request", "write")
        await pilot.press("w", *"45", "enter", *"more", "enter", "y")
        await goes(pilot, words("write.title"))
        assert sent(plant, "request", "write") == [("request", PATH, 45.0, "more")]
        await appears(pilot, words("header.requests", count=1) if size[0] >= 100 else "✎ 1")
        await appears(pilot, r"speed_sp_bpm +42\.0")

    drive(plant, script, size, language)


def test_a_request_is_signed_where_the_tag_takes_a_signature(plant):
    plant.two_person(SPEED, "approval")

    async def script(app, pilot):
        await pilot.press("f4", "slash", *"speed_sp", "enter")
        await appears(pilot, r"speed_sp_bpm +42\.0")
        await pilot.press("w", *"45", "enter", *"more", "enter")
        await appears(pilot, "electronic signature")
        await pilot.press(*"olga", "enter", *"hops", "enter")
        assert "hops" not in seen(app)
        await pilot.press("enter")
        await goes(pilot, "Write a value")
        assert sent(plant, "request") == [("request", PATH, 45.0, "more", ("olga", "hops", "approval"))]

    drive(plant, script)


def test_a_refused_request_says_why(plant):
    plant.two_person(SPEED)
    plant.refusal = WriteRejectedError("too many requests wait", "have some approved or rejected first")

    async def script(app, pilot):
        await pilot.press("f4", "slash", *"speed_sp", "enter")
        await appears(pilot, r"speed_sp_bpm +42\.0")
        await pilot.press("w", *"45", "enter", *"more", "enter", "y")
        await appears(pilot, "Refused: too many requests wait")
        assert "have some approved" in seen(app)
        assert isinstance(app.screen, WriteDialog)

    drive(plant, script)


# seeing


@pytest.mark.parametrize(("size", "language"), [((80, 24), "zh"), ((120, 40), "en")])
def test_requests_come_and_end_on_the_screen_without_a_key(plant, language, size):
    async def script(app, pilot):
        words = Words(language)
        await appears(pilot, r"42\.0 bpm")
        assert "✎" not in seen(app)
        first = plant.ask(SPEED, 45.0, "li", "more bottles")
        plant.ask("line/run_cmd", False, "mei", "stop")
        await appears(pilot, "✎ 2")
        await pilot.press("f6")
        await appears(pilot, rf"1 {SPEED} +42\.0 -> 45\.0 bpm.* li +(10:00|9:\d\d) +more bot")
        await appears(pilot, rf"2 line/run_cmd +{words('value.on')} -> {words('value.off')}.* mei ")
        asked = words("request.asked", name="li", role=words("role.operator"), time="", reason="")
        await appears(pilot, re.escape(asked[:5]))
        lines = [strip.text for strip in app.screen._compositor.render_strips(app.size)]
        assert {cell_len(line) for line in lines} == {size[0]}
        plant.end(first.id)
        await goes(pilot, SPEED)
        await appears(pilot, "✎ 1")
        plant.end(2)
        await appears(pilot, words("gate.no_requests"))
        assert "✎" not in seen(app)

    drive(plant, script, size, language)


def test_the_time_left_runs_down_and_what_is_too_late_goes(plant):
    async def script(app, pilot):
        made = plant.ask(SPEED, 45.0, "li", until_ns=WallClock().now_ns() + 61 * SECOND_NS)
        await pilot.press("f6")
        await appears(pilot, r" 0:[0-5]\d ")
        past = msgspec.structs.replace(made, until_ns=WallClock().now_ns() - 1)
        plant.gate_view = msgspec.structs.replace(plant.gate_view, requests=(past,))
        await appears(pilot, "No write waits")

    drive(plant, script)


def test_a_plant_whose_clock_is_set_back_hides_no_request(plant):
    late_ns = WallClock().now_ns() + 3599 * SECOND_NS
    plant.ask("line/speed_sp_bpm", 30.0, "li", "slow down", until_ns=late_ns)
    info, back_ns = plant.info, 3600 * SECOND_NS

    async def set_back():
        told = await info()
        return msgspec.structs.replace(told, now_ns=told.now_ns - back_ns)

    async def script(app, pilot):
        await pilot.press("f6")
        await appears(pilot, "slow down")
        waiting = plant.gate_view.requests[0]
        moved = msgspec.structs.replace(waiting, until_ns=waiting.until_ns - back_ns)  # as the gate does it
        plant.gate_view = msgspec.structs.replace(plant.gate_view, requests=(moved,))
        plant.info = set_back
        await pilot.pause(3.5)  # gate and clock are asked meanwhile
        await appears(pilot, r" 5\d:\d\d slow down")

    drive(plant, script)


def test_the_cursor_stays_on_its_request(plant):
    async def script(app, pilot):
        first = plant.ask(SPEED, 45.0, "li")
        plant.ask("line/run_cmd", False, "mei")
        await pilot.press("f6")
        await appears(pilot, " mei ")
        await pilot.press("down")
        plant.end(first.id)
        await goes(pilot, " li ")
        assert app.screen.query_one(RequestList).key == 2

    drive(plant, script)


def test_a_lost_connection_marks_requests_as_old(plant):
    async def script(app, pilot):
        plant.ask(SPEED, 45.0, "li")
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        plant.cut()
        await appears(pilot, r"42\.0\? -> 45")
        await appears(pilot, r"\? automatic")

    drive(plant, script)


# deciding


@pytest.mark.parametrize(("size", "language"), [((80, 24), "zh"), ((120, 40), "en")])
def test_a_second_person_approves_with_a_reason(plant, language, size):
    words = Words(language)

    async def script(app, pilot):
        made = plant.ask(SPEED, 45.0, "li", "more bottles")
        await pilot.press("6")
        await appears(pilot, r"42\.0 -> 45")
        await pilot.press("a")
        await appears(pilot, words("request.approve"))
        for told in (r"42\.0 -> 45\.0 bpm", "more bottles", re.escape(words("tags.role"))):
            await appears(pilot, told)
        await pilot.press("enter")
        await appears(pilot, words("write.need_reason"))
        await pilot.press(*"ok", "enter")
        await appears(pilot, re.escape(words("request.approve_question")))
        await pilot.press("enter")  # on Cancel
        assert not sent(plant, "approve")
        await pilot.press("a", *"ok", "enter", "y")
        await appears(pilot, rf"{SPEED}(:|：) *42\.0")
        assert sent(plant, "approve") == [("approve", made.id, "ok")]
        await appears(pilot, words("gate.no_requests"))

    drive(plant, script, size, language)


def test_rejecting_takes_a_reason_and_writes_nothing(plant):
    async def script(app, pilot):
        made = plant.ask(SPEED, 45.0, "li")
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        await pilot.press("x")
        await appears(pilot, "Reject a write")
        await pilot.press(*"no", "enter", "y")
        await appears(pilot, "is rejected")
        assert sent(plant, "approve", "reject", "write") == [("reject", made.id, "no")]
        await appears(pilot, "No write waits")

    drive(plant, script)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_an_approval_is_signed_where_the_tag_takes_it(plant, until, size):
    async def script(app, pilot):
        made = plant.ask(SPEED, 45.0, "li", signature=("approval", "review"))
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        await pilot.press("a", *"ok", "enter")
        await appears(pilot, "takes your electronic signature")
        await pilot.press(*"olga", "enter", *"hops", "enter")
        assert "hops" not in seen(app)
        await pilot.press("enter", "down", "enter")
        await until(lambda: app.screen.query_one("#meaning").value in ("approval", "review"))
        meaning = app.screen.query_one("#meaning").value
        await pilot.press("tab", "enter")
        await appears(pilot, "No write waits")
        signature = ("olga", "hops", meaning)
        assert sent(plant, "approve") == [("approve", made.id, "ok", signature)]

    drive(plant, script, size)


def test_a_refused_approval_says_why_and_can_be_tried_again(plant):
    refusal = ForbiddenError(f"{PATH}: wang asked for it", "another one must approve")

    async def script(app, pilot):
        plant.ask(SPEED, 45.0, "wang")
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        await pilot.press("a")
        await appears(pilot, "someone else must approve")
        plant.refusal = refusal
        await pilot.press(*"me", "enter", "y")
        await appears(pilot, "Refused: ")
        await appears(pilot, re.escape(refusal.remedy))
        plant.refusal = None
        await pilot.press("enter", "y")
        await appears(pilot, r"42\.0 -> 45\.0 bpm")

    drive(plant, script)


@pytest.mark.parametrize("late", [False, True])
def test_a_request_that_ends_under_the_dialog_is_told_and_nothing_is_sent(plant, until, late):
    async def script(app, pilot):
        made = plant.ask(SPEED, 45.0, "li")
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        await pilot.press("a", *"ok", "enter")
        await appears(pilot, "Approve\\?")
        if late:
            past = msgspec.structs.replace(made, until_ns=WallClock().now_ns() - 1)
            plant.gate_view = msgspec.structs.replace(plant.gate_view, requests=(past,))
            await appears(pilot, "Too late: nobody approved it in time")
        else:
            plant.end(made.id)
            await appears(pilot, "waits no more")
        await pilot.press("y", "enter")
        await until(lambda: not isinstance(app.screen, DecideDialog))
        assert not sent(plant, "approve")

    drive(plant, script)


def test_commands_while_the_connection_is_lost_are_refused_in_words(plant):
    async def script(app, pilot):
        plant.ask(SPEED, 45.0, "li")
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        plant.cut()
        await appears(pilot, "NO CONNECTION")
        for keys, asked in (
            (("a", *"ok", "enter", "y"), "Approve"),
            (("e", *"leak", "enter", "y"), "Emergency"),
        ):
            await pilot.press(*keys)
            await appears(pilot, "Refused: the plant does not answer")
            assert asked in seen(app)
            await pilot.press("escape")
        await pilot.press("f2")
        await appears(pilot, "Capper torque high")
        await pilot.press("s", *"known", "enter")
        await appears(pilot, "Refused: the plant does not answer")

    drive(plant, script)


def test_a_number_that_became_anothers_request_is_not_approved(plant):
    """After a restart of the plant its numbers begin anew."""

    async def script(app, pilot):
        made = plant.ask(SPEED, 45.0, "li")
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        await pilot.press("a", *"ok", "enter")
        await appears(pilot, "Approve\\?")
        other = msgspec.structs.replace(made, path="nb/bottling/line1/line/run_cmd", value=False)
        plant.gate_view = msgspec.structs.replace(plant.gate_view, requests=(other,))
        await appears(pilot, "waits no more")
        await pilot.press("y")
        assert not sent(plant, "approve")

    drive(plant, script)


def test_deciding_on_nothing_says_so(plant):
    async def script(app, pilot):
        await pilot.press("f6")
        await appears(pilot, "Mode")
        await pilot.press("a")
        await pilot.press("x")
        assert not isinstance(app.screen, DecideDialog)

    drive(plant, script)


# mode and values for a time


def test_values_for_a_time_tell_when_they_go_back(plant):
    now_ns = WallClock().now_ns()
    holds = (
        HoldView(PATH, 45.0, 42.0, now_ns + 7500 * SECOND_NS, "li", "trial", False),
        HoldView("nb/bottling/line1/line/run_cmd", False, True, now_ns - 1, "mei", "jam", True),
        HoldView("gone/tag", 1, 2, now_ns + 90 * SECOND_NS, "mei", "", False),
    )
    plant.gate_view = msgspec.structs.replace(plant.gate_view, holds=holds)
    words = Words("zh")

    async def script(app, pilot):
        await pilot.press("f6")
        await appears(pilot, rf"{SPEED} +45\.0 -> 42\.0 bpm +li +2h0[1-5]m +trial")
        run = rf"line/run_cmd +{words('value.off')} -> {words('value.on')} +mei +{words('gate.late')} +jam"
        await appears(pilot, run)
        await appears(pilot, r"gone/tag +1 -> 2 +mei +(1|0):\d\d")
        rows = [line for line in seen(app).splitlines() if " -> " in line]
        assert "run_cmd" in rows[-3], "the next to go back comes first"

    drive(plant, script, (80, 24), "zh")


def test_the_emergency_switch_takes_a_reason_and_is_told(plant):
    async def script(app, pilot):
        await pilot.press("f6")
        await appears(pilot, "▶ automatic")
        await pilot.press("e")
        await appears(pilot, "Emergency: make the plant read only")
        await pilot.press("enter")
        await appears(pilot, "Give a reason")
        await pilot.press(*"valve", "enter", "enter")  # the second on Cancel
        assert not sent(plant, "mode")
        await pilot.press("e", *"valve", "enter", "y")
        await appears(pilot, "✖ READ ONLY: nobody writes")
        await pilot.press("e", *"fixed", "enter", "y")
        await appears(pilot, "▶ automatic")
        plant.refusal = ForbiddenError("wang is operator; the mode of the plant needs engineer", "ask one")
        await pilot.press("m", *"service", "enter", "y")
        await appears(pilot, "Refused: wang is operator")
        assert sent(plant, "mode") == [
            ("mode", "read_only", "valve"), ("mode", "auto", "fixed"), ("mode", "maintenance", "service"),
        ]  # fmt: skip

    drive(plant, script)


@pytest.mark.parametrize("language", LANGUAGES)
def test_dialogs_of_the_gate_fit_at_80_by_24(plant, until, language):
    plant.two_person(SPEED, "approval", "review")
    plant.tag_list = [
        msgspec.structs.replace(each, interlock="tank/level_pct > 20 and not capper/fault")
        if each.path == PATH
        else each
        for each in plant.tag_list
    ]

    async def fits(app, pilot):
        await until(lambda: any(each.region.area for each in app.screen.query("#frame")))
        await pilot.pause(0.4)
        frame = app.screen.query_one("#frame").region
        assert app.screen.region.contains_region(frame)
        for widget in app.screen.query("#frame Button"):
            assert not widget.display or frame.contains_region(widget.region), seen(app)

    async def script(app, pilot):
        plant.ask(SPEED, 45.0, "li", "more bottles " * 10, signature=("approval", "review"))
        await pilot.press("f6")
        await appears(pilot, r"42\.0 -> 45")
        for keys in (("a",), ("a", *"ok", "enter"), ("x",), ("m",), ("e", *"why", "enter")):
            await pilot.press(*keys)
            await fits(app, pilot)
            await pilot.press("escape")
        await pilot.press("f4", "slash", *"speed_sp", "enter", "w")
        await fits(app, pilot)
        await pilot.press(*"45", "enter", *"more", "enter")
        await fits(app, pilot)

    drive(plant, script, (80, 24), language)


def test_time_left_is_short():
    for seconds, text in ((-5, "0:00"), (61, "1:01"), (3599, "59:59"), (7260, "2h01m"), (400_000, "4d")):
        assert format_left(seconds * SECOND_NS) == text
        assert len(text) <= 6
