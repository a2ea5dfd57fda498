"""Samples in cold files answer as if they were in the store; a kill at any instant changes nothing."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.clock import ManualClock
from runtime.config import HistoryConfig, TagList
from runtime.contract import Batch, DataType, Quality, Tag
from runtime.errors import StoreError
from runtime.historian import TAGS, Historian, compaction, feed, open_readonly
from runtime.historian.query import read_figures
from runtime.testing import FakePort


def test_a_kill_at_any_instant_neither_loses_nor_doubles_a_sample(tmp_path):
    script = Path(__file__).with_name("kill_steps.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "6"], capture_output=True, text=True, timeout=550
    )
    assert run.stdout.startswith("fine"), run.stderr
    assert int(run.stdout.split()[1]) > 60


def test_hours_and_days_become_files_and_answers_stay_the_same(tmp_path, kit):
    path = tmp_path / "history.duckdb"

    async def main():
        async with kit.running(path) as (port, historian):
            expected = {name: [] for name in ("level", "count", "recipe", "run")}
            for hour in range(52):
                await port.clock.advance(3600 * hour + 60 - (port.clock.now_ns() - kit.T0) / kit.S)
                values = {"level": hour / 4, "count": 2**63 + hour, "run": hour % 2 == 1}
                values["recipe"] = f"可乐 {hour // 8}"
                for name, value in values.items():
                    port.set(name, value)
                    if not expected[name] or expected[name][-1][1] != value:
                        expected[name].append((hour * 3600.0 + 60, value))
                await port.clock.settle()
                if hour % 5 == 4:
                    for name, rows in expected.items():
                        assert await kit.samples(historian, port, name) == rows
                await kit.keep_house(port, historian)
            await kit.keep_house(port, historian)
            for name, rows in expected.items():
                assert await kit.samples(historian, port, name) == rows
                assert await kit.samples(historian, port, name, limit=3) == rows[-3:]
            day = kit.T0 + 24 * kit.HOUR, kit.T0 + 48 * kit.HOUR
            assert await kit.samples(historian, port, "level", *day) == expected["level"][24:48]
        files = sorted(
            file.relative_to(tmp_path / "history").as_posix() for file in tmp_path.rglob("2023*/*")
        )
        days = [file.rpartition("-")[0] for file in files]
        for day in ("2023-11-15", "2023-11-16"):  # a file for each class of a day that is over
            assert days.count(f"{day}/standard") == days.count(f"{day}/long") == 1
        with open_readonly(path, "site/area/line") as archive:
            tag = archive.tags["count"]
            batch = archive.query(np.array([tag.id], np.int32), 0, 2**62)
            assert batch.raw.tolist() == [2**63 + hour for hour in range(52)]

    asyncio.run(main())


def test_late_samples_and_backfill_take_their_place(tmp_path, kit):
    async def main():
        async with kit.running(tmp_path / "history.duckdb") as (port, historian):
            level = port.tags["level"]
            for hour in range(1, 30):
                await port.clock.advance(3600 * hour - (port.clock.now_ns() - kit.T0) / kit.S)
                port.set("level", float(hour))
                await port.clock.settle()
                await kit.keep_house(port, historian)
            port.bus.publish(kit.batch(level, [1800], [0.5]))  # late: the device had it in a buffer
            await port.clock.settle()
            await historian.backfill(kit.batch(level, [-7200.5, 5400.25, -3600], [-2.0, 1.5, -1.0]))
            expected = sorted(
                [(float(hour * 3600), float(hour)) for hour in range(1, 30)]
                + [(1800.0, 0.5), (-7200.5, -2.0), (5400.25, 1.5), (-3600.0, -1.0)]
            )
            for _ in range(3):
                assert await kit.samples(historian, port, "level") == expected
                assert await kit.samples(historian, port, "level", limit=2) == expected[-2:]
                figures = await historian.figures(
                    np.array([level.id], np.int32), kit.T0 - 24 * kit.HOUR, kit.T0 + 48 * kit.HOUR,
                    24 * kit.HOUR, "mean",
                )  # fmt: skip
                means = figures[level.id].value.tolist()
                assert means == pytest.approx([-1.5, (276 + 2.0) / 25, (24 + 25 + 26 + 27 + 28 + 29) / 6])
                await port.clock.advance(3600)
                await kit.keep_house(port, historian)
            assert (tmp_path / "history" / "2023-11-14").is_dir()
            assert historian.stats().dropped == 0
            silent = port.tags["sys/history/lag_ms"]
            with pytest.raises(StoreError, match="keeps no history"):
                await historian.backfill(kit.batch(silent, [0], [1.0]))

    asyncio.run(main())


def test_nothing_is_known_of_a_tag_while_it_is_not_recorded(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    without = [replace(kit.PLANT[0], retention="none"), *kit.PLANT[1:]]

    async def main():
        for number, tags in enumerate([kit.PLANT, without, kit.PLANT]):
            start_ns = kit.T0 + number * 1000 * kit.S
            async with kit.running(path, tags, start_ns) as (port, historian):
                port.set("level", float(number))
                await port.clock.advance(100)
                await port.clock.settle()
                if number == 2:
                    now = port.tags.tags
                    await historian.renew(HistoryConfig(), now.succeeded_by(TagList([*without, *TAGS])))
                    assert (await kit.samples(historian, port, "level"))[2:] == [
                        (1100.000000001, None), (2000.0, 2.0), (2100.000000001, None)
                    ]  # fmt: skip
        with open_readonly(path, "site/area/line") as archive:
            span = (kit.T0, kit.T0 + 3000 * kit.S, 500 * kit.S)
            found = archive.figures(np.array([archive.tags["level"].id]), *span, "at")
            known = [each for each in next(iter(found.values())).value.tolist() if each == each]
            assert known == [0.0, 2.0]

    asyncio.run(main())


def test_of_several_samples_of_one_time_the_last_written_holds(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level, count, recipe = (shelf.tags[f"site/area/line/{name}"] for name in ("level", "count", "recipe"))
    for value in (1.0, 2.0, 3.0):
        shelf.append(kit.batch(level, [60], [value]))
        shelf.store.seal()
        for table in shelf.store.sealed():
            shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    shelf.append(kit.batch(level, [7200], [0.0]))
    raw, bad = [5, 2**53 + 1, 2**53 + 3, 7], int(Quality.BAD_NO_COMMUNICATION)
    shelf.append(Batch.of([count.id] * 4, raw, kit.T0))
    shelf.append(Batch.of([recipe.id] * 2, [0, 0], kit.T0, np.array([bad, 0], np.uint32), {1: "cola"}))
    stored = int(shelf.stored[level.id])

    def figures(mode, start_s):
        span = (kit.T0 + start_s * kit.S, kit.T0 + 7200 * kit.S)
        with shelf.view() as view:
            return read_figures(view, [stored], span, 3600 * kit.S, mode, 2**62)[stored].value.tolist()

    assert figures("at", 3600) == [3.0]
    assert figures("time_weighted", 3600) == [3.0]
    first = shelf.read((0, kit.T0 + 61 * kit.S))
    assert [each.raw for each in first if each.id == count.id] == raw
    assert [each.text for each in first if each.id == recipe.id] == [None, "cola"]
    shelf.store.close()


@pytest.mark.parametrize("cold", [False, True])
def test_of_one_time_the_last_written_holds_also_where_many_tags_are_asked(tmp_path, kit, cold):
    tags = [Tag(f"site/area/line/level{number}", DataType.REAL) for number in range(12)]
    shelf = kit.Shelf(tmp_path / "history.duckdb", tags)
    for value, seconds in ((1.0, 5), (2.0, 200)):  # few rows, then so many that these do not wait for more
        shelf.store.sweep()  # with a checkpoint, after which rows are written apart
        for tag in shelf.tags:
            shelf.append(kit.batch(tag, range(seconds), [value] * seconds))
        if cold:
            shelf.store.seal()
            for table in shelf.store.sealed():
                shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    wanted = shelf.stored.tolist()[::2]
    with shelf.view() as view:
        found = read_figures(view, wanted, (kit.T0, kit.T0 + 200 * kit.S), kit.S, "at", 2**62)
    assert [found[tag].value.tolist() for tag in wanted] == [[2.0] * 200] * 6
    shelf.store.close()


@pytest.mark.parametrize("over", [True, False])
def test_files_that_become_one_are_the_newest_that_fit(tmp_path, kit, over):
    shelf = kit.Shelf(tmp_path / "history.duckdb", kit.PLANT[:1])
    sizes, most = ([1, 1, 20, 1, 1], 22) if over else ([1] * 5 + [9] * 6, 36)
    for value, size in enumerate(sizes):
        shelf.append(kit.batch(shelf.tags[0], range(size), [float(value)] * size))
        shelf.store.seal()
        for table in shelf.store.sealed():
            shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    while group := compaction.mergeable(shelf.store.parts(), 2**62 if over else kit.T0, most):
        shelf.store.commit_parts([compaction.merge(shelf.store, group)], None, group)
    assert sum(part.merged for part in shelf.store.parts()) == 1
    same_time = shelf.read((kit.T0, kit.T0 + 1)).raw.view(np.float64)
    assert same_time.tolist() == list(range(len(sizes)))  # as they were written
    shelf.store.close()


def test_files_go_by_class_and_the_last_value_stays(tmp_path, kit):
    config = HistoryConfig(standard="30h", long="300h", flush="30min")

    async def main():
        async with kit.running(tmp_path / "history.duckdb", config=config) as (port, historian):
            for day in range(6):
                await port.clock.advance(86400 * day - (port.clock.now_ns() - kit.T0) / kit.S)
                port.set("level", float(day))
                port.set("count", day)
                port.set("recipe", "cola")
                await port.clock.settle()
                await port.clock.advance(3600)
                await kit.keep_house(port, historian)
                await kit.keep_house(port, historian)
            await kit.keep_house(port, historian)  # a busy machine may have committed an hour later
            await kit.keep_house(port, historian)
            left = await kit.samples(historian, port, "level")
            assert [value for _, value in left] == [3.0, 4.0, 5.0]  # the first held when the second came
            assert await kit.samples(historian, port, "recipe") == [(0.0, "cola")]
            assert len(await kit.samples(historian, port, "count")) == 6
            days = {file.parent.name for file in tmp_path.rglob("standard-*.parquet")}
            assert days == {"2023-11-19", "2023-11-20"}

    asyncio.run(main())


def test_a_table_that_is_full_becomes_a_file_at_once(tmp_path, kit):
    config = HistoryConfig(disk_limit_mib=64)

    async def main():
        async with kit.running(tmp_path / "history.duckdb", config=config) as (port, historian):
            ids = np.full(100_000, port.tags["level"].id, np.int32)
            for step in range(14):
                times = kit.T0 + step * 100_000 + np.arange(100_000, dtype=np.int64)
                port.bus.publish(Batch.of(ids, (times - kit.T0).astype(np.float64).view(np.uint64), times))
                await port.clock.settle()
                await historian.flush()
            await kit.until(lambda: list((tmp_path / "history").glob("2023-11-15/standard-*.parquet")))
            room = historian._keeper.room
            await kit.until(lambda: historian._store.waiting_rows < compaction.table_rows(room))
            found = await historian.query(ids[:1], 0, 2**62)
            assert (found.source_ns == kit.T0 + np.arange(1_400_000)).all()
            assert historian.stats().dropped == 0

    asyncio.run(main())


def test_a_historian_that_is_started_again_goes_on_compacting(tmp_path, kit):
    async def main():
        port = FakePort([*kit.PLANT, *TAGS], name="historian", clock=ManualClock(kit.T0))
        historian = Historian(tmp_path / "history.duckdb", HistoryConfig(), port.tags.tags, port.clock)
        for life in range(2):
            task = asyncio.create_task(historian.run(port))
            await kit.until(lambda: len(port.clock._sleepers) >= 3)
            await port.clock.settle()
            port.set("level", float(life))
            await port.clock.settle()
            await historian.flush()
            for _ in range(4):
                await kit.keep_house(port, historian)
                await historian.flush()
            assert len(list(tmp_path.rglob("standard-*.parquet"))) > life
            historian._store.interrupt()
            task.cancel()
            await asyncio.wait([task])
            port.clock._sleepers.clear()

    asyncio.run(main())


def test_files_that_are_joined_while_another_database_is_new_are_sent_to_it(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    feed.begin(shelf.store, 1, kit.T0)
    for number in range(2):
        shelf.append(kit.batch(shelf.tags[0], [number], [float(number)]))
        shelf.store.seal()
        (table,) = shelf.store.sealed()
        shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    at = feed.advance(shelf.store, False, kit.T0)
    while at.rows:
        at = feed.advance(shelf.store, True, kit.T0)
    group = shelf.store.parts()
    assert [part.sent for part in group] == [True, True]
    joined = compaction.merge(shelf.store, group)
    feed.begin(shelf.store, 2, kit.T0)
    shelf.store.commit_parts([joined], None, group)
    assert feed.waiting(shelf.store) == 2
    shelf.store.close()
