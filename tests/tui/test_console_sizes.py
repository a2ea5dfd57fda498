"""Every screen in every size of terminal, and what drawing costs, against a plant in memory."""

from __future__ import annotations

import asyncio
import re

import pytest
from rich.cells import cell_len

from tests.tui.acting import appears, drive, seen
from tui.console import take_screenshots
from tui.locale import Words
from tui.screens.tags import TagsScreen
from tui.widgets.alarm_list import AlarmList
from tui.widgets.keybar import SCREENS
from tui.widgets.rows import Rows
from tui.widgets.tag_list import TagList


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


@pytest.mark.parametrize("width", [119, 120, 121])
def test_rows_reach_the_right_edge(plant, width):
    async def script(app, pilot):
        await pilot.press("f6")
        await appears(pilot, "Asked by")
        for each in app.screen.query(Rows):
            assert sum(cell_len(cell.text) for cell in each.line(0)) == each.size.width

    drive(plant, script, size=(width, 36))
