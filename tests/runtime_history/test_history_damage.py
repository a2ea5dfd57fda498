"""Damage is told, set aside and stepped around: never a crash, never silence."""

import asyncio
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import duckdb
import numpy as np
import pytest

from runtime.config import HistoryConfig
from runtime.contract import Batch
from runtime.errors import StoreError
from runtime.historian import ALARMS, SqlError, cold, compaction, keeping, open_readonly
from runtime.historian.cold import whole
from runtime.historian.faults import told
from runtime.historian.reading import Snapshot
from runtime.historian.store import NOT_RECORDED, Store


def filled(kit, path, hours=3):
    """Return a store with a file for each hour, one sample a minute."""
    shelf = kit.Shelf(path)
    for hour in range(hours):
        minutes = np.arange(60) + 60 * hour
        shelf.append(kit.batch(shelf.tags[0], 60 * minutes, minutes), now_ns=kit.T0 + (hour + 1) * kit.HOUR)
        shelf.store.seal()
        for table in shelf.store.sealed():
            shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    return shelf


def spoil(file):
    data = bytearray(file.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 40] = os.urandom(40)
    file.write_bytes(data)


def block_of_samples(store):
    """Return where the values of the table that is written lie in the store's file."""
    segments = "SELECT block_id FROM pragma_storage_info('samples_{}') WHERE segment_type = 'DOUBLE'"
    with store.cursor() as cursor:
        (block,) = cursor.execute(segments.format(store._table)).fetchone()
    return 3 * 4096 + block * 262_144


def flip(file, at):
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_damaged_file_is_set_aside_and_the_rest_served(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path)
    spoilt = shelf.store.folder / shelf.store.parts()[1].name
    shelf.store.close()
    spoil(spoilt)
    with open_readonly(path) as archive:
        found = archive.query(np.array([archive.tags["site/area/line/level"].id], np.int32), 0, 2**62)
        assert len(found) == 120
        assert "standard-2" in archive.problems[0]

    async def main():
        start_ns = kit.T0 + 3 * kit.HOUR + kit.S
        async with kit.running(path, start_ns=start_ns) as (port, historian):
            level = await kit.samples(historian, port, "level", kit.T0, start_ns - kit.S)
            assert [value for _, value in level] == [*range(60), None, *range(120, 180)]
            assert "60 samples between 2023-11-15T01:00:00" in historian.problems[0]
            await port.clock.advance(3600)
            assert port.value("sys/history/damaged") is True
            assert [event.kind for event in port.emitted] == ["historian.damaged"]
        assert spoilt.with_name(spoilt.name + ".corrupt").exists()

    asyncio.run(main())


def test_sql_is_answered_without_a_damaged_file(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path)
    spoilt = shelf.store.folder / shelf.store.parts()[1].name
    shelf.store.close()
    query, rest = "SELECT count(*) FROM samples WHERE value IS NOT NULL AND path LIKE '%level'", ((120,),)

    spoilt.write_bytes(spoilt.read_bytes()[:-20])
    with open_readonly(path) as archive:
        assert archive.sql(query, 10, 120).rows == rest
        assert "standard-2" in archive.problems[0]

    async def main():
        async with kit.running(path, start_ns=kit.T0 + 3 * kit.HOUR + kit.S) as (_, historian):
            with pytest.raises(SqlError, match="nowhere"):
                await historian.sql("SELECT * FROM nowhere", 10, 120)
            assert not historian.problems
            assert (await historian.sql(query, 10, 120)).rows == rest
            assert "60 samples between 2023-11-15T01:00:00" in historian.problems[0]

    asyncio.run(main())


def test_a_start_does_without_a_damaged_file_that_reaches_beyond_the_stop(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path)
    spoilt = shelf.store.folder / shelf.store.parts()[2].name
    shelf.store.close()
    with duckdb.connect(str(path)) as store:  # some samples were of a clock that is ahead
        store.execute("UPDATE recorder SET last_ns = last_ns - 120_000_000_000")
    spoilt.write_bytes(b"no Parquet")

    async def main():
        async with kit.running(path, start_ns=kit.T0 + 4 * kit.HOUR) as (port, historian):
            level = await kit.samples(historian, port, "level")
            assert [value for _, value in level] == [*range(120), None, None]

    asyncio.run(main())


def test_damage_that_no_one_asks_for_is_found_by_the_house(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path)
    spoilt = shelf.store.folder / shelf.store.parts()[2].name
    shelf.store.close()
    spoil(spoilt)

    async def main():
        async with kit.running(path, start_ns=kit.T0 + 3 * kit.HOUR + kit.S) as (port, historian):
            for _ in range(4):
                await kit.keep_house(port, historian)
            assert "120:00" not in historian.problems[0]
            assert "2023-11-15T02:00:00" in historian.problems[0]

    asyncio.run(main())


def test_a_file_is_looked_at_before_it_becomes_part_of_another(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = kit.Shelf(path)
    for hour in range(3):  # values that do not pack: Parquet does not notice that one is another
        values = np.random.default_rng(hour).normal(size=3600)
        shelf.append(kit.batch(shelf.tags[0], hour * 3600 + np.arange(3600), values))
        shelf.store.seal()
        for table in shelf.store.sealed():
            shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    spoilt = shelf.store.folder / shelf.store.parts()[1].name
    shelf.store.close()
    flip(spoilt, spoilt.stat().st_size // 2)

    async def main():
        async with kit.running(path, start_ns=kit.T0 + 48 * kit.HOUR) as (_, historian):
            await historian._keeper.compact()
            assert [part.rows for part in historian._store.parts()] == [7200]
            assert "3600 samples between 2023-11-15T01:00:00" in historian.problems[0]

    asyncio.run(main())


def test_a_look_at_a_file_that_is_given_up_breaks_nothing_else_off(tmp_path, kit, monkeypatch):
    path = tmp_path / "history.duckdb"
    filled(kit, path).store.close()
    begun, goes_on = threading.Event(), threading.Event()

    def slow(file, part):
        begun.set()
        return goes_on.wait(60) and whole(file, part)

    async def main():
        async with kit.running(path, start_ns=kit.T0 + 48 * kit.HOUR) as (_, historian):
            monkeypatch.setattr(keeping, "whole", slow)
            look = asyncio.create_task(historian.check_file(1))  # as the sink asks for it
            assert await asyncio.to_thread(begun.wait, 60)
            look.cancel()
            await asyncio.sleep(0)
            goes_on.set()
            await asyncio.wait([look])
            await historian._keeper.compact()
            assert [part.merged for part in historian._store.parts()] == [True]

    asyncio.run(main())


def test_a_file_that_is_gone_is_told_at_the_start(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path)
    gone = shelf.store.folder / shelf.store.parts()[0].name
    shelf.store.close()
    gone.unlink()
    again = kit.Shelf(path)
    assert "60 samples" in again.store.problems[0]
    found = again.read()
    level = found.take(found.ids == again.tags["site/area/line/level"].id)
    assert level.quality.tolist() == [NOT_RECORDED] + [0] * 120
    again.store.close()


def test_a_file_that_cannot_be_opened_now_is_not_taken_for_damaged(tmp_path, kit):
    shelf = filled(kit, tmp_path / "history.duckdb", hours=1)
    (part,) = shelf.store.parts()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(StoreError, match="Too many open files"):
            whole(shelf.store.folder / part.name, part)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert whole(shelf.store.folder / part.name, part)
    shelf.store.close()


def test_a_file_that_stays_unreadable_is_set_aside_and_the_rest_served(tmp_path, kit, monkeypatch):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path)
    bad = shelf.store.parts()[1]
    shelf.store.close()
    read = cold.checksum

    def checksum(file):
        if file.name in bad.name:
            raise OSError(errno.EIO, "Input/output error")
        return read(file)

    async def main():
        start_ns = kit.T0 + 3 * kit.HOUR + kit.S
        async with kit.running(path, start_ns=start_ns) as (port, historian):

            async def level():
                found = await kit.samples(historian, port, "level", kit.T0, start_ns - kit.S)
                return [value for _, value in found]

            with monkeypatch.context() as patch:
                patch.setattr(cold, "checksum", checksum)
                with pytest.raises(StoreError, match=r"standard-2.parquet cannot be read now: Input/output"):
                    await level()
            assert await level() == list(range(180))  # it was for a moment only
            historian._whole.clear()
            monkeypatch.setattr(cold, "checksum", checksum)
            for _ in range(4):
                await kit.keep_house(port, historian)
            assert await level() == [*range(60), None, *range(120, 180)]
            assert "60 samples" in historian.problems[0]

    asyncio.run(main())


def test_a_store_that_fails_under_a_reader_says_so_in_words(tmp_path, kit):
    shelf = filled(kit, tmp_path / "history.duckdb", hours=1)
    with (
        pytest.raises(StoreError, match="the history is not open"),
        shelf.store.cursor() as cursor,
        Snapshot(cursor, shelf.store.folder, set()),
    ):
        cursor.close()
    shelf.store.close()


def test_a_file_is_lost_once(tmp_path, kit):
    shelf = filled(kit, tmp_path / "history.duckdb", hours=1)
    (part,) = shelf.store.parts()
    for _ in range(2):
        shelf.store.lose_parts([part])
    assert len(shelf.store.problems) == 1
    assert shelf.read().quality.tolist() == [NOT_RECORDED]
    shelf.store.close()


def test_a_lost_file_makes_nothing_unknown_of_tags_that_had_no_samples_there(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    level, count, _, run = shelf.tags
    for hour, tags in enumerate([(level, count, run), (level, run)]):
        shelf.append(*(kit.batch(tag, [3600 * hour + tag.id], [0.0]) for tag in tags))
        shelf.store.seal()
        for table in shelf.store.sealed():
            shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    newest = max(shelf.store.parts(), key=lambda part: part.number)
    shelf.store.lose_parts([newest])
    found = [(row.id, (row.source_ns - kit.T0) // kit.S, row.quality) for row in shelf.read()]
    assert found == [
        (level.id, 0, 0), (level.id, 3600, NOT_RECORDED), (count.id, 1, 0),
        (run.id, 3, 0), (run.id, 3603, NOT_RECORDED),
    ]  # fmt: skip
    shelf.store.close()


@pytest.mark.parametrize("damage", ["turned", "cut"])
def test_a_log_that_was_damaged_raises_the_alarm(tmp_path, kit, damage):
    path = tmp_path / "history.duckdb"
    code = textwrap.dedent(f"""
        import os, pathlib, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import conftest as kit
        shelf = kit.Shelf(pathlib.Path({str(path)!r}))
        for number in range(200):
            now = kit.T0 + number * kit.S
            shelf.append(kit.batch(shelf.tags[0], [number] * 50, [number] * 50), now_ns=now)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run([sys.executable, "-c", code], timeout=300)
    assert killed.returncode == -signal.SIGKILL
    log = path.with_name(path.name + ".wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 0xFF
    log.write_bytes(data if damage == "turned" else data[: len(data) // 2])

    async def main():
        async with kit.running(path, start_ns=kit.T0 + 500 * kit.S) as (port, historian):
            problem = historian.problems[-1]
            assert "commits with" in problem
            assert "and 2023-11-15T00:03:19" in problem
            await port.clock.advance(3600)
            assert port.value("sys/history/damaged") is True
            left = await kit.samples(historian, port, "level")
            seen = [value for _, value in left if value is not None]
            assert seen == sorted(seen)
            assert not seen or seen.count(seen[-1]) == 50
            assert len(seen) < 10_000

    asyncio.run(main())


def test_a_whole_log_raises_none(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    for _ in range(3):
        shelf = kit.Shelf(path)
        shelf.append(kit.batch(shelf.tags[0], [1], [1.0]), now_ns=kit.T0)
        shelf.store.close()
        assert shelf.store.problems == []


def test_cold_files_outlive_the_store(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path)
    files = {file.name for file in shelf.store.folder.rglob("standard-*")}
    merged = compaction.merge(shelf.store, shelf.store.parts()[:2])
    shelf.store.close()  # killed before the merged file counted, and then the store is damaged
    path.write_bytes(b"not a store" * 100)
    again = kit.Shelf(path, [kit.PLANT[3], kit.PLANT[0]])
    assert "damaged" in again.store.problems[0]
    tags = again.tags
    found = again.read()
    assert found.ids.tolist() == [tags["site/area/line/level"].id] * 180
    assert found.raw.view(np.float64).tolist() == [float(minute) for minute in range(180)]
    left = {file.name for file in again.store.folder.rglob("standard-*")}
    assert left == {max(files), merged[0].name.partition("/")[2]}
    assert isinstance(again.store, Store)
    assert again.store.last_ns() == kit.T0 + 179 * 60 * kit.S
    again.store.close()


def test_a_file_in_the_making_while_the_store_is_opened_anew_costs_nothing(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    store, level = shelf.store, shelf.tags["site/area/line/level"]
    shelf.append(kit.batch(level, range(60), range(60)))
    store.seal()
    (table,) = store.sealed()
    written = compaction.write_table(store, table)
    store.close()  # as where the disk failed: the next commit opens it
    with pytest.raises(StoreError, match=r"standard-1\.parquet is gone"):
        store.commit_parts(written, table)
    assert shelf.read().raw.view(np.float64).tolist() == [float(each) for each in range(60)]
    written = compaction.write_table(store, table)
    assert written[0][0].number > 1
    store.commit_parts(written, table)
    assert shelf.read().raw.view(np.float64).tolist() == [float(each) for each in range(60)]
    assert store.sealed() == []
    store.close()


@pytest.mark.parametrize("hours", [0, 3])
def test_a_store_whose_samples_cannot_be_read_is_set_aside_while_it_runs(tmp_path, kit, hours):
    path = tmp_path / "history.duckdb"
    shelf = filled(kit, path, hours)
    noise = np.random.default_rng(1).random(5000)
    shelf.append(kit.batch(shelf.tags[0], 11_000 + np.arange(5000) / 10, noise), now_ns=kit.T0 + 4 * kit.HOUR)
    shelf.store.sweep()
    block = block_of_samples(shelf.store)
    shelf.store.close()
    flip(path, block + 10_000)

    async def main():
        start_ns = kit.T0 + 5 * kit.HOUR
        async with kit.running(path, start_ns=start_ns) as (port, historian):
            port.set("level", 5.0)
            await port.clock.settle()
            found = await kit.samples(historian, port, "level")
            assert [value for _, value in found[: 60 * hours]] == list(range(60 * hours))
            assert [value for _, value in found[60 * hours :]] == [*([None] if hours else []), 5.0]
            assert "damaged" in historian.problems[0]
            for _ in range(2):
                await kit.keep_house(port, historian)
            assert len(historian._store.parts()) > hours
            assert await kit.samples(historian, port, "level") == found
            assert await historian.sql("SELECT DISTINCT path FROM samples WHERE value = 5", 9, 120)
            assert len(historian.problems) == 1

    asyncio.run(main())
    assert len(list(tmp_path.glob("history.duckdb.corrupt-*[0-9]"))) == 1


def test_a_killed_store_starts_whichever_of_its_blocks_is_damaged(tmp_path, kit):
    shelf = filled(kit, tmp_path / "before" / "history.duckdb")
    noise = np.random.default_rng(1).random(2000)
    for first_s in (11_000, 12_000):
        shelf.append(kit.batch(shelf.tags[0], first_s + np.arange(2000) / 10, noise))
        shelf.append(Batch.of([2] * 50, [0] * 50, kit.T0, text={row: f"{row}" for row in range(50)}))
        if first_s == 11_000:  # the rest is in the log only
            shelf.store.sweep()
    shutil.copytree(tmp_path / "before", tmp_path / "killed")
    shelf.store.close()
    size = (tmp_path / "killed" / "history.duckdb").stat().st_size
    for block in range(3 * 4096, size, 262_144):
        path = shutil.copytree(tmp_path / "killed", tmp_path / f"{block}") / "history.duckdb"
        flip(path, block + 10_000)
        try:
            again = kit.Shelf(path)
        except StoreError:  # the historian starts again
            again = kit.Shelf(path)
        again.store.lose_if_damaged()
        assert len(again.read()) >= 180
        again.store.close()


def test_what_is_opened_anew_while_it_is_read_is_read_anew(tmp_path, kit):
    """A commit that fails opens the store anew; a question under way at that moment gets its answer."""

    async def main():
        async with kit.running(tmp_path / "history.duckdb") as (port, historian):
            level, store = port.tags["level"].id, historian._store
            await historian.backfill(Batch.of([level] * 3, [0, 1, 2], kit.T0 + np.arange(3)))
            look, looks = historian._look, []

            def meanwhile(asked, work, waiting):
                def late(view):
                    if len(looks) == 1:
                        store.close()
                        if ends:
                            historian._opened.clear()
                        else:
                            store.open()
                    return work(view)

                looks.append(work)
                return look(asked, late, waiting)

            historian._look = meanwhile
            ends = False
            found = await historian.query(np.array([level], np.int32), kit.T0, kit.T0 + 3)
            assert found.source_ns.tolist() == [kit.T0, kit.T0 + 1, kit.T0 + 2]
            assert len(looks) == 2
            ends, looks[:] = True, []
            with pytest.raises(StoreError, match="the history is not open"):
                await historian.query(np.array([level], np.int32), kit.T0, kit.T0 + 3)
            store.open()

    asyncio.run(main())


def test_the_disk_in_use_is_told_before_samples_go(tmp_path, kit):
    config = HistoryConfig(disk_limit_mib=64, flush="30min")

    async def main():
        async with kit.running(tmp_path / "history.duckdb", config=config) as (port, historian):
            noise = np.random.default_rng(1)
            count = port.tags["count"].id
            alarm = next(each for each in ALARMS if each.name == "history.disk")
            told = []
            for step in range(13):
                for piece in range(4):
                    times = kit.T0 + (step * 4 + piece) * 100_000 + np.arange(100_000, dtype=np.int64)
                    await historian.backfill(
                        Batch.of(
                            np.full(100_000, count, np.int32),
                            noise.integers(2**60, 2**63, 100_000).astype(np.uint64),
                            times,
                        )
                    )
                await kit.keep_house(port, historian)
                await kit.keep_house(port, historian)
                told.append((port.value("sys/history/used_pct"), port.value("sys/history/evicting")))
            full = next(index for index, (_, evicting) in enumerate(told) if evicting)
            assert any(used > alarm.limit for used, _ in told[:full]), told
            assert all(used < 100 for used, _ in told)
            found = await historian.query(np.array([count], np.int32), 0, 2**62)
            assert found.source_ns[-1] == kit.T0 + 13 * 400_000 - 1
            assert (np.diff(found.source_ns[1:]) == 1).all()  # the first is the value that held
            lost = sum(event.data["samples"] for event in port.emitted if event.kind == "historian.evicted")
            assert lost + len(found) - 1 == 13 * 400_000

    asyncio.run(main())


def test_a_store_that_lacks_memory_says_which_setting_gives_more():
    small = {"memory_limit": "32MiB", "threads": 1, "temp_directory": ""}
    with (
        duckdb.connect(":memory:", config=small) as desk,
        pytest.raises(StoreError) as error,
        told("the history cannot be written"),
    ):
        desk.execute("CREATE TABLE t AS SELECT range AS a, random() AS b FROM range(30000000)")
    assert "memory_limit_mib" in error.value.remedy


def test_a_store_that_finds_no_room_on_the_disk_for_what_it_spills_says_so(tmp_path):
    small = {"memory_limit": "32MiB", "threads": 1, "temp_directory": str(tmp_path)}
    with duckdb.connect(":memory:", config=small) as desk:
        desk.execute("SET max_temp_directory_size = '1MiB'")
        with pytest.raises(StoreError) as error, told("the history cannot be compacted"):
            desk.execute("CREATE TABLE t AS SELECT range AS a, random() AS b FROM range(30000000)")
    assert "room on the disk" in str(error.value)
    assert error.value.remedy == "free space on the disk of the plant's state folder"
