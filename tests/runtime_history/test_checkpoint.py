"""An end within a checkpoint costs nothing: DuckDB writes blocks that are in force again in their place."""

import asyncio
import contextlib
import os
import resource
import shutil

import duckdb
import numpy as np
import pytest

from runtime.config import HistoryConfig
from runtime.errors import StoreError
from runtime.historian import compaction, hot, store
from runtime.historian.checkpoint import WAL_BYTES, Checkpoints
from runtime.historian.store import Store

PAGE = 4096
HEADER = 3 * PAGE
HELD = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"


@pytest.fixture
def ended(tmp_path, kit):
    """Return (the store's file before a checkpoint, after it, the log before it, what was kept)."""
    path = tmp_path / "was" / "history.duckdb"
    path.parent.mkdir()
    shelf = kit.Shelf(path)
    for minute in range(3):
        shelf.append(kit.batch(shelf.tags[0], [minute], [minute]), now_ns=kit.T0 + minute)
        shelf.store.seal()
        shelf.store.sweep()
    shelf.append(kit.batch(shelf.tags[0], [3], [3]), now_ns=kit.T0 + 3)
    before, log = path.read_bytes(), path.with_name("history.duckdb.wal").read_bytes()
    kept = path.with_name("history.duckdb.kept")
    with shelf.store.cursor() as cursor:
        shelf.store._checkpoints._keep(cursor, kept)
    pieces = kept.read_bytes()
    shelf.store.sweep()
    assert not kept.exists()
    after = path.read_bytes()
    shelf.store.close()
    shutil.copytree(path.parent / "history", tmp_path / "now" / "history")
    return before, after, log, pieces


def opened(tmp_path, kit, file, log=None, kept=None):
    """Return (values of the first tag, what was set right) of a store of such files."""
    path = tmp_path / "now" / "history.duckdb"
    for each in path.parent.glob("history.*"):
        each.unlink()
    path.write_bytes(file)
    if log is not None:
        path.with_name("history.duckdb.wal").write_bytes(log)
    if kept is not None:
        path.with_name("history.duckdb.kept").write_bytes(kept)
    shelf = kit.Shelf(path)
    found = shelf.read()
    shelf.store.close()
    assert not path.with_name("history.duckdb.kept").exists()
    values = found.raw[found.ids == shelf.tags[0].id].view(np.float64)
    return values.tolist(), shelf.store.problems


def test_the_file_is_put_right_at_whatever_page_its_end_came(tmp_path, kit, ended):
    before, after, log, kept = ended
    pages = range(HEADER, len(before), PAGE)
    rewritten = [at for at in pages if before[at : at + PAGE] != after[at : at + PAGE]]
    assert rewritten
    damaged = 0
    for end in (*rewritten, len(before)):
        torn = before[:HEADER] + after[HEADER:end] + before[end:] + after[len(before) :]
        assert opened(tmp_path, kit, torn, log, kept) == ([0, 1, 2, 3], [])
        damaged += bool(opened(tmp_path, kit, torn, log)[1])
    assert damaged  # without what was kept: the whole store set aside


def test_what_was_kept_is_left_where_the_checkpoint_came_to_its_end(tmp_path, kit, ended):
    _, after, _, kept = ended
    assert opened(tmp_path, kit, after, None, kept) == ([0, 1, 2, 3], [])


def test_what_did_not_come_onto_the_disk_whole_is_not_put_back(tmp_path, kit, ended):
    before, _, log, kept = ended
    for torn in (kept[: len(kept) // 2], kept[:3], b"", kept[:100] + bytes(len(kept) - 100)):
        assert opened(tmp_path, kit, before, log, torn) == ([0, 1, 2, 3], [])


def test_a_checkpoint_that_broke_off_keeps_the_blocks_of_before(tmp_path, kit, monkeypatch):
    path = tmp_path / "history.duckdb"
    shelf = kit.Shelf(path)
    shelf.append(kit.batch(shelf.tags[0], [0], [0]), now_ns=kit.T0)
    kept = path.with_name("history.duckdb.kept")
    with shelf.store.cursor() as cursor:
        shelf.store._checkpoints._keep(cursor, kept)
    stays = kept.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("kept anew"))
    shelf.store.sweep()
    monkeypatch.undo()
    assert stays
    assert not kept.exists()
    shelf.store.close()


def test_starts_that_are_ended_at_once_say_what_is_not_known_once(tmp_path, kit):
    path = tmp_path / "history.duckdb"
    shelf = kit.Shelf(path)
    shelf.append(kit.batch(shelf.tags[0], [0], [0]), now_ns=kit.T0)
    for _ in range(3):  # as a historian begins
        shelf.store.mark_gap(shelf.stored, shelf.store.last_ns(), kit.T0 + kit.HOUR)
        shelf.store.close()
        shelf = kit.Shelf(path)
    found = shelf.read()
    points = list(zip(found.ids.tolist(), found.source_ns.tolist(), found.quality.tolist(), strict=True))
    assert len(set(points)) == len(points)
    shelf.store.close()


def test_a_long_log_goes_into_the_file_without_the_house(tmp_path, kit, monkeypatch):
    path = tmp_path / "history.duckdb"
    log = path.with_name("history.duckdb.wal")
    shelf = kit.Shelf(path)
    rows, longest, shrank = np.arange(100_000), 0, False
    for turn in range(20):
        shelf.append(kit.batch(shelf.tags[0], rows + turn * len(rows), rows), now_ns=kit.T0)
        size = log.stat().st_size if log.exists() else 0
        shrank |= size < longest
        longest = max(longest, size)
    assert shrank
    assert longest < 2 * WAL_BYTES
    monkeypatch.setattr(Checkpoints, "due", lambda _: True)
    monkeypatch.setattr(Checkpoints, "run", refuse)
    shelf.append(kit.batch(shelf.tags[0], [10**7], [7]), now_ns=kit.T0)  # on disk all the same: not refused
    with pytest.raises(StoreError, match="No space left"):
        shelf.store.sweep()
    monkeypatch.undo()
    shelf.store.close()


def refuse(checkpoints, cursor):
    raise OSError(28, "No space left on device")


def short(connection, _, limit="1B"):
    connection.execute(f"SET memory_limit = '{limit}'")
    connection.execute("SET memory_limit = 'as before'")


def test_a_store_that_is_left_short_while_a_file_is_made_is_opened_anew(tmp_path, kit, monkeypatch):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    rows = np.arange(300_000) / 10  # three pieces of a day
    with shelf.store.cursor() as cursor:
        [limit] = cursor.execute("SELECT current_setting('memory_limit')").fetchone()
    shelf.append(kit.batch(shelf.tags[0], rows, rows), now_ns=kit.T0)
    shelf.store.seal()
    shelf.store.sweep()
    monkeypatch.setattr(store, "_PIECES", 1)
    monkeypatch.setattr(store, "let_go_of_blocks", lambda connection, _: short(connection, 0, "20MiB"))
    with pytest.raises(StoreError, match="cannot give memory back"):
        compaction.write_table(shelf.store, 1)
    monkeypatch.undo()
    shelf.store.recorded_until(kit.T0)
    with shelf.store.cursor() as cursor:
        assert cursor.execute("SELECT current_setting('memory_limit')").fetchone() == (limit,)
    shelf.append(kit.batch(shelf.tags[0], rows + 30_000, rows), now_ns=kit.T0)
    shelf.store.commit_parts(compaction.write_table(shelf.store, 1), 1)
    assert len(shelf.read().ids) == 600_000
    assert len(list(shelf.store.folder.glob("*/*"))) == 1  # no piece is left
    shelf.store.close()


def test_a_store_that_cannot_have_its_limit_back_is_opened_anew(tmp_path, kit, monkeypatch):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    monkeypatch.setattr(store, "let_go_of_blocks", short)
    shelf.append(kit.batch(shelf.tags[0], [0], [0]), now_ns=kit.T0)
    with pytest.raises(StoreError, match="cannot give memory back"):
        shelf.store.sweep()
    monkeypatch.undo()
    rows = np.arange(1, 100_000)
    shelf.append(kit.batch(shelf.tags[0], rows, rows), now_ns=kit.T0)
    assert len(shelf.read().ids) == 100_000
    shelf.store.close()


def test_memory_of_blocks_goes_back_with_each_checkpoint_but_not_under_a_reader(tmp_path, kit):
    shelf = kit.Shelf(tmp_path / "history.duckdb")
    rows = np.arange(100_000)

    def asked(query):
        with shelf.store.cursor() as cursor:
            return cursor.execute(query).fetchone()[0]

    limit = asked("SELECT current_setting('memory_limit')")
    with shelf.store.cursor():
        shelf.append(kit.batch(shelf.tags[0], rows, rows), now_ns=kit.T0)
        shelf.store.sweep()
        much = asked(HELD)
    shelf.append(kit.batch(shelf.tags[0], rows + len(rows), rows), now_ns=kit.T0)
    shelf.store.sweep()
    assert asked(HELD) < much / 4
    assert asked("SELECT current_setting('memory_limit')") == limit
    assert len(shelf.read().ids) == 2 * len(rows)
    shelf.store.close()


@contextlib.contextmanager
def a_disk_that_refuses(size):
    """Let no file grow beyond a size: a write there fails as on a disk that does."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_checkpoint_that_the_disk_refuses_keeps_nobody_from_asking(tmp_path, kit):
    path = tmp_path / "history.duckdb"

    async def main():
        async with kit.running(path) as (port, historian):
            noise = np.random.default_rng(1).random(100_000)
            for first_s in (0, 100_000, 200_000):
                await historian.backfill(
                    kit.batch(port.tags["level"], first_s + np.arange(100_000), noise + first_s)
                )
                if first_s == 100_000:
                    await historian.with_store(Store.sweep)
            with a_disk_that_refuses(path.stat().st_size), pytest.raises(StoreError, match="File too large"):
                await historian.with_store(Store.sweep)
            assert len(await kit.samples(historian, port, "level")) == 300_000
            await historian.with_store(Store.sweep)
            assert not path.with_name("history.duckdb.wal").exists()
            assert len(await kit.samples(historian, port, "level")) == 300_000

    asyncio.run(main())


def broken(store):
    with store.transaction():
        raise duckdb.FatalException("the database has been invalidated")


def test_a_store_that_broke_while_nothing_waits_is_opened_anew_when_it_is_asked(tmp_path, kit):
    async def main():
        async with kit.running(tmp_path / "history.duckdb") as (port, historian):
            await historian.backfill(kit.batch(port.tags["level"], [1, 2], [1, 2]))
            await historian.flush()
            with pytest.raises(StoreError, match="invalidated"):
                await historian.with_store(broken)
            assert await kit.samples(historian, port, "level") == [(1, 1.0), (2, 2.0)]

    asyncio.run(main())


def test_a_store_that_broke_while_nothing_waits_is_opened_anew_at_once_or_told(tmp_path, kit, monkeypatch):
    monkeypatch.setattr(hot, "FIGURES_S", 1)

    async def failing(port, wanted):
        async with asyncio.timeout(60):
            while port.value("sys/history/failing") is not wanted:
                await port.clock.advance(1)

    def stays_closed(_):
        raise StoreError("the history cannot be opened")

    async def main():
        config = HistoryConfig(flush="1s")
        async with kit.running(tmp_path / "history.duckdb", config=config) as (port, historian):
            await failing(port, False)
            with monkeypatch.context() as patch:
                patch.setattr(Store, "open", stays_closed)
                with pytest.raises(StoreError, match="invalidated"):
                    await historian.with_store(broken)
                await failing(port, True)
                with pytest.raises(StoreError, match="not open"):
                    await kit.samples(historian, port, "level")
            await failing(port, False)
            assert historian._store.is_open

    asyncio.run(main())


def test_a_store_opens_though_the_disk_refuses_its_checkpoint(tmp_path, kit):
    path = tmp_path / "was" / "history.duckdb"
    path.parent.mkdir()
    shelf = kit.Shelf(path)
    noise = np.random.default_rng(1).random(100_000)
    for first_s in range(0, 700_000, 100_000):
        shelf.append(kit.batch(shelf.tags[0], first_s + np.arange(100_000), noise + first_s))
        if first_s == 500_000:
            shelf.store.sweep()
    killed = shutil.copytree(path.parent, tmp_path / "killed") / "history.duckdb"
    shelf.store.close()
    with a_disk_that_refuses(killed.stat().st_size):
        again = kit.Shelf(killed)
        assert len(again.read()) == 700_000
        assert again.store.problems == []
    again.store.sweep()
    assert len(again.read()) == 700_000
    again.store.close()
