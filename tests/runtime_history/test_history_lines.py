"""Samples joined by straight lines: answers follow these, live, after a stop and after a kill."""

import asyncio
import shutil
from dataclasses import replace

import numpy as np
import pytest

from runtime.config import HistoryConfig
from runtime.contract import DataType, Tag
from runtime.historian import compaction, open_readonly
from runtime.historian.door import HOLD_NS
from runtime.historian.query import read_figures

FLOW = Tag("site/area/line/flow", DataType.LREAL, source="plc", deadband=0.5, compression="swinging_door")
LEVEL = Tag("site/area/line/level", DataType.LREAL, source="plc")


async def ramp(port, kit, seconds):
    """Let the flow rise by 1 a second, and the level with it."""
    for _ in range(seconds):
        second = (port.clock.now_ns() - kit.T0) // kit.S
        for name in ("flow", "level"):
            port.set(name, float(second))
        await port.clock.advance(1)
        await port.clock.settle()


async def ask(historian, port, kit, mode, first, last, interval):
    id_ = port.tags["flow"].id
    span = (kit.T0 + first * kit.S, kit.T0 + last * kit.S)
    found = await historian.figures(np.array([id_], np.int32), *span, interval * kit.S, mode)
    return found[id_].value.tolist()


def test_a_ramp_is_few_samples_and_every_answer_follows_it(tmp_path, kit):
    path = tmp_path / "history.duckdb"

    async def main():
        async with kit.running(path, [FLOW, LEVEL]) as (port, historian):
            await ramp(port, kit, 100)
            flow = await kit.samples(historian, port, "flow")
            assert flow == [(0.0, 0.0), (99.0, 99.0)]  # the newest is told although it is held back
            assert await kit.samples(historian, port, "flow", limit=1) == [(99.0, 99.0)]
            assert len(await kit.samples(historian, port, "level")) == 100
            for mode in ("at", "interpolated"):
                assert await ask(historian, port, kit, mode, 0, 90, 10) == [10.0 * n for n in range(9)]
            expected = [5.0 + 10 * n for n in range(9)]
            for mode in ("mean", "time_weighted"):
                assert await ask(historian, port, kit, mode, 0, 90, 10) == pytest.approx(expected)
            assert await ask(historian, port, kit, "max", 0, 90, 45) == pytest.approx([45, 90])
            assert await ask(historian, port, kit, "min", 0, 90, 45) == pytest.approx([0, 45])
            assert await ask(historian, port, kit, "mean", 20, 30, 1) == pytest.approx(np.arange(20.5, 30))
            trend = await historian.trend(port.tags["flow"].id, kit.T0, kit.T0 + 80 * kit.S, 2)
            assert [row[1:] for row in trend] == [(0.0, 20.0, 40.0), (40.0, 60.0, 80.0)]
        with open_readonly(path, "site/area/line") as archive:  # kept at the stop
            tag = archive.tags["flow"]
            found = archive.figures(np.array([tag.id]), kit.T0, kit.T0 + 99 * kit.S, 33 * kit.S, "mean")
            assert found[tag.id].value.tolist() == pytest.approx([16.5, 49.5, 82.5])

    asyncio.run(main())


def test_sums_of_a_file_follow_the_lines_of_each_tag(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "h.duckdb", [LEVEL, FLOW])  # 2048 samples are read at a time
    for tag, count in zip(shelf.tags, (2020, 4000), strict=True):
        shelf.append(kit.batch(tag, range(count), range(count)))
    shelf.store.seal()
    for table in shelf.store.sealed():
        shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    stored, span = int(shelf.stored[1]), (kit.T0, kit.T0 + 5000 * kit.S)
    with shelf.view() as view:
        found = read_figures(view, [stored], span, 5000 * kit.S, "mean", kit.T0 + 4000 * kit.S)[stored]
    assert found.value.tolist() == pytest.approx([(3999 / 2 * 3999 + 3999) / 4000])
    shelf.store.close()


def test_nothing_is_held_back_for_longer_than_told(tmp_path, kit):
    async def main():
        config = HistoryConfig(flush="1s")
        async with kit.running(tmp_path / "h.duckdb", [FLOW, LEVEL], config=config) as (port, historian):
            await ramp(port, kit, 3)
            await port.clock.advance(HOLD_NS / kit.S)
            async with asyncio.timeout(60):
                while len(historian._compression.waiting()):
                    await port.clock.advance(1)
                    await asyncio.sleep(0.001)  # a thread commits between
            assert await kit.samples(historian, port, "flow") == [(0.0, 0.0), (2.0, 2.0)]

    asyncio.run(main())


def test_a_kill_loses_the_line_and_history_says_from_when_on(tmp_path, kit):
    killed = tmp_path / "killed"
    killed.mkdir()

    async def main():
        async with kit.running(tmp_path / "h.duckdb", [FLOW, LEVEL]) as (port, historian):
            await ramp(port, kit, 30)
            await historian.flush()
            for file in tmp_path.glob("h.*"):
                if file.is_file():
                    shutil.copy(file, killed)
        start_ns = kit.T0 + 50 * kit.S
        async with kit.running(killed / "h.duckdb", [FLOW, LEVEL], start_ns) as (port, historian):
            assert await kit.samples(historian, port, "flow") == [(0.0, 0.0), (1e-9, None)]
            level = await kit.samples(historian, port, "level")
            assert level[-1] == (30.000000001, None)
            assert (await ask(historian, port, kit, "at", 0, 20, 10))[0] == 0.0
        async with kit.running(killed / "h.duckdb", [FLOW, LEVEL], start_ns + 9 * kit.S) as (port, historian):
            flow = await kit.samples(historian, port, "flow")
            assert flow[-1] == (50.000000001, None)  # this time it was stopped

    asyncio.run(main())


def test_lines_begin_and_end_with_the_setting(tmp_path, kit):
    path = tmp_path / "h.duckdb"
    plain = replace(FLOW, compression="deadband")

    async def main():
        for number, tag in enumerate([FLOW, plain, FLOW]):
            start_ns = kit.T0 + number * 100 * kit.S
            async with kit.running(path, [tag, LEVEL], start_ns) as (port, _):
                for value in (0.0, 10.0):
                    port.set("flow", value)
                    await port.clock.advance(10)
                    await port.clock.settle()
        async with kit.running(path, [plain, LEVEL], kit.T0 + 1000 * kit.S) as (port, historian):
            for begun, expected in ((0, 5.0), (100, 0.0), (200, 5.0)):
                assert await ask(historian, port, kit, "mean", begun, begun + 10, 10) == [expected]
                assert await ask(historian, port, kit, "at", begun + 5, begun + 6, 1) == [expected]

    asyncio.run(main())
