"""The desk of an SQL query: what is laid out on it before the query begins."""

import asyncio
import os
import resource
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from runtime.contract import DataType, Tag
from runtime.errors import StoreError
from runtime.historian import SqlError, analyst, open_readonly, write_parquet
from runtime.historian.analyst import Library, answer


def test_ten_thousand_tags_are_laid_out_as_they_are(tmp_path):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    tags = [(number, f"工厂/a/{number}", "REAL", "Cel", "long") for number in range(10_000)]
    found = answer(Library([file], tags), "SELECT * FROM tags", len(tags), 120)
    assert found.rows == tuple(tag[1:] for tag in tags)


@pytest.mark.parametrize(
    ("value", "why"),
    [("INTERVAL 100000000 YEAR", "cannot be told"), ("[" * 500 + "1" + "]" * 500, "too much memory")],
    ids=["great", "deep"],
)
def test_a_value_that_cannot_be_told_is_refused_in_words(tmp_path, value, why):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    with pytest.raises(SqlError, match=why):
        answer(books, f"SELECT {value}", 10, 120)
    if why == "cannot be told":
        assert answer(books, f"SELECT length(({value})::VARCHAR) > 1", 10, 120).rows == ((True,),)


def test_an_answer_that_would_fill_the_memory_is_refused_in_words(tmp_path):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    with pytest.raises(SqlError, match="the answer is larger than 32 MiB"):
        answer(books, "SELECT repeat('x', 20000) FROM range(2000)", 100_000, 120)
    found = answer(books, "SELECT range FROM range(2500)", 2400, 120)
    assert (found.rows, found.truncated) == (tuple((each,) for each in range(2400)), True)


@pytest.mark.parametrize(
    "value", ["list(range(100000000))", "range(30000000)", "repeat('x', 30000000) FROM range(100)"]
)
def test_one_great_value_takes_no_memory_of_the_kernel_and_little_of_the_machine(
    tmp_path, monkeypatch, value
):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took_kib = []

    def waited(pid, options):
        pid, status, used = os.wait4(pid, options)
        took_kib.append(used.ru_maxrss)
        return pid, status

    monkeypatch.setattr(os, "waitpid", waited)
    with pytest.raises(SqlError, match="too much memory"):
        answer(books, f"SELECT {value}", 10, 120)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before_kib + 16 * 1024
    assert 0 < max(took_kib) < 900 * 1024


def test_a_process_that_is_ended_for_its_time_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(analyst, "_LATE_S", 0)  # it has not even begun by then
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    with pytest.raises(SqlError, match=r"the query took longer than 0\.001 s"):
        answer(books, "SELECT 1", 10, 0.001)


def test_now_is_in_utc_as_samples_are(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [time.time_ns() if name == "t" else 0] for name in names})
    query = "SELECT count(*) FROM samples WHERE t > now()::TIMESTAMP - INTERVAL 1 HOUR"
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    assert answer(books, query, 10, 120).rows == ((1,),)
    with pytest.raises(SqlError) as told:
        answer(books, query.replace("::TIMESTAMP", ""), 10, 120)
    assert "t >= now()::TIMESTAMP" in told.value.remedy


def test_samples_of_a_tag_that_had_another_type_are_joined_once(tmp_path, kit):
    before = Tag("site/area/line/level", DataType.REAL, unit="m")
    shelf = kit.Shelf(tmp_path / "history.duckdb", [before])
    shelf.append(kit.batch(shelf.tags[0], [0, 1], [1.0, 2.0]))
    shelf.store.close()
    shelf = kit.Shelf(tmp_path / "history.duckdb", [replace(before, data_type=DataType.LREAL, unit="mm")])
    shelf.append(kit.batch(shelf.tags[0], [2], [3.0]))
    shelf.store.close()
    with open_readonly(tmp_path / "history.duckdb") as archive:
        query = "SELECT type, unit, count(*), sum(value) FROM samples JOIN tags USING (path) GROUP BY ALL"
        assert archive.sql(query, 10, 120).rows == (("LREAL", "mm", 3, 6.0),)


@pytest.mark.parametrize("what", ["sql", "samples"])
def test_a_query_that_nobody_waits_for_ends_and_holds_up_no_stop(tmp_path, kit, what, caplog):
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range = 7"

    async def main():
        async with kit.running(tmp_path / "history.duckdb") as (_, historian):
            begun = asyncio.Event()
            tell = asyncio.get_running_loop().call_soon_threadsafe

            def look(view):
                tell(begun.set)
                view._cursor.execute(endless).fetchall()

            def ask():
                return historian.sql(endless, 10, 120) if what == "sql" else historian._read(look)

            async def at_work():
                if what == "sql":
                    await kit.until(lambda: any(each._at_work for each in historian._asking._jobs.values()))
                else:
                    await begun.wait()

            given_up, left = asyncio.create_task(ask()), None
            await at_work()
            given_up.cancel()
            await asyncio.wait([given_up])
            assert given_up.cancelled()
            assert not historian._asking._jobs
            await kit.until(lambda: not historian._store._readers)
            begun.clear()
            left = asyncio.create_task(ask())
            await at_work()
        with pytest.raises(StoreError, match="is being closed"):
            await left

    begun_s = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun_s < 60  # not the two minutes that a query may take
    assert [each.message for each in caplog.records if each.name.startswith("runtime.historian")] == []
    with open_readonly(tmp_path / "history.duckdb") as archive:
        assert len(archive.query(np.arange(4, dtype=np.int32), 0, 2**62)) >= 0


def test_who_gives_up_what_reads_beside_the_store_waits_until_that_has_ended(tmp_path, kit):
    async def main():
        async with kit.running(tmp_path / "history.duckdb") as (_, historian):
            begun, go = asyncio.Event(), threading.Event()
            tell = asyncio.get_running_loop().call_soon_threadsafe

            def look(store):
                tell(begun.set)
                go.wait(60)

            task = asyncio.create_task(historian.beside_store(look))
            await begun.wait()
            task.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not task.done()
            go.set()
            await asyncio.wait([task])
            assert task.cancelled()

    asyncio.run(main())
