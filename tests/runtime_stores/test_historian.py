"""What the historian committed is there, whatever happens; what it lost it says."""

import asyncio
import resource
import subprocess
import sys
import textwrap
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.clock import ManualClock
from runtime.config import HistoryConfig
from runtime.contract import Batch, DataType, Quality, Tag
from runtime.errors import StoreError
from runtime.historian import TAGS, Historian, open_readonly
from runtime.historian.store import NOT_RECORDED
from runtime.testing import FakePort

S = 1_000_000_000
T0 = 1_700_000_000 * S
LEVEL = Tag("site/area/line/tank/level", DataType.REAL, source="plc")
COUNT = Tag("site/area/line/count", DataType.ULINT, source="plc")
RECIPE = Tag("site/area/line/recipe", DataType.STRING)
SECRET = Tag("site/area/line/scratch", DataType.REAL, source="plc", retention="none")
ALL = [LEVEL, COUNT, RECIPE, SECRET]


@asynccontextmanager
async def running(path, tags=ALL, start_ns=T0, config=None, **more):
    """Run a historian; its clock stands still unless a test moves it."""
    port = FakePort([*tags, *TAGS], name="historian", clock=ManualClock(start_ns))
    historian = Historian(path, config or HistoryConfig(), port.tags.tags, port.clock, **more)
    task = asyncio.create_task(historian.run(port))
    try:
        await until(lambda: task.done() or port.value("sys/history/stored") is not None)
        if task.done():
            task.result()
        yield port, historian
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception():
            raise task.exception()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a thread and a disk are waited for
            await asyncio.sleep(0.001)


async def samples(historian, port, path, start_ns=0, end_ns=2**62, limit=None):
    """Return (seconds since the start, value or None) of one tag."""
    tag = port.tags[path]
    batch = await historian.query(np.array([tag.id], np.int32), start_ns, end_ns, limit)
    assert set(batch.ids.tolist()) <= {tag.id}
    return [
        (
            (row.source_ns - T0) / S,
            None if Quality.is_bad(row.quality) else tag.data_type.decode(row.raw, row.text),
        )
        for row in batch
    ]


async def at(port, seconds):
    await port.clock.advance(seconds - (port.clock.now_ns() - T0) / S)


def test_samples_come_back_as_they_were_even_before_the_flush(tmp_path):
    async def main():
        async with running(tmp_path / "h.duckdb") as (port, historian):
            for step, (level, count, recipe) in enumerate([(1.5, 2**64 - 1, "cola"), (0.1, 3, "可乐")]):
                await at(port, step)
                port.set("tank/level", level)
                port.set("count", count)
                port.set("recipe", recipe)
                port.set("scratch", level)
                await port.clock.settle()
            level = await samples(historian, port, "tank/level")
            assert level == [(0.0, 1.5), (1.0, pytest.approx(0.1, rel=1e-6))]
            assert await samples(historian, port, "count") == [(0.0, 2**64 - 1), (1.0, 3)]
            assert await samples(historian, port, "recipe") == [(0.0, "cola"), (1.0, "可乐")]
            assert await samples(historian, port, "scratch") == []
            assert await samples(historian, port, "count", T0, T0 + S) == [(0.0, 2**64 - 1)]
            assert await samples(historian, port, "count", limit=1) == [(1.0, 3)]
            both = np.array([port.tags["recipe"].id, port.tags["tank/level"].id], np.int32)
            batch = await historian.query(both, 0, 2**62)
            assert batch.ids.tolist() == sorted([*both.tolist(), *both.tolist()])
            stats = historian.stats()
            assert stats.committed == stats.samples > 6
            assert (stats.dropped, stats.lag_ms) == (0, 0.0)

    asyncio.run(main())


def test_what_changes_while_the_store_opens_comes_after_the_value_before(tmp_path, monkeypatch):
    may_open = threading.Event()
    open_store = Historian._open

    def later(self):
        assert may_open.wait(60)
        return open_store(self)

    monkeypatch.setattr(Historian, "_open", later)

    async def main():
        port = FakePort([*ALL, *TAGS], name="historian", clock=ManualClock(T0))
        historian = Historian(tmp_path / "h.duckdb", HistoryConfig(), port.tags.tags, port.clock)
        port.set("count", 1)
        port.set("recipe", "still")
        await at(port, 1)
        task = asyncio.create_task(historian.run(port))
        await port.clock.settle()
        await at(port, 2)
        port.set("count", 8)
        await at(port, 5)
        may_open.set()
        await until(lambda: task.done() or port.value("sys/history/stored") is not None)
        assert await samples(historian, port, "count") == [(1.0, 1), (2.0, 8)]
        assert await samples(historian, port, "recipe") == [(1.0, "still")]
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


def test_a_sample_waits_no_longer_than_the_flush_interval(tmp_path):
    async def main():
        async with running(tmp_path / "h.duckdb") as (port, historian):
            await historian.flush()
            before = historian.stats().committed
            port.set("tank/level", 1.0)
            await port.clock.settle()
            assert historian.stats().committed == before
            await port.clock.advance(0.5)
            assert historian.stats().lag_ms == 500
            await port.clock.advance(0.5)
            await until(lambda: historian.stats().committed > before)

    asyncio.run(main())


def test_trend_weighs_by_time_and_holds_values(tmp_path):
    async def main():
        async with running(tmp_path / "h.duckdb") as (port, historian):
            for seconds, value in [(2, 10.0), (5, 20.0), (5.5, 0.0), (22, 4.0)]:
                await at(port, seconds)
                port.set("tank/level", value)
                await port.clock.settle()
            await at(port, 30)
            port.set("tank/level", 1.0, Quality.BAD_SENSOR_FAILURE)
            await at(port, 45)
            tag = port.tags["tank/level"].id
            trend = await historian.trend(tag, T0, T0 + 60 * S, 6)
            nothing = (None, None, None)
            assert [(at_ns - T0) // S for at_ns, *_ in trend] == [0, 10, 20, 30, 40, 50]
            assert [tuple(rest) for _, *rest in trend] == [
                (0.0, (3 * 10 + 0.5 * 20) / 8, 20.0),
                (0.0, 0.0, 0.0),
                (0.0, 8 * 4 / 10, 4.0),
                nothing,
                nothing,
                nothing,
            ]
            later = await historian.trend(tag, T0 + 23 * S, T0 + 29 * S, 3)
            assert [tuple(rest) for _, *rest in later] == [(4.0, 4.0, 4.0)] * 3
            assert await historian.trend(port.tags["scratch"].id, T0, T0 + S, 1) == [(T0, None, None, None)]

    asyncio.run(main())


def test_the_time_in_which_the_plant_did_not_run_is_a_gap(tmp_path):
    path = tmp_path / "h.duckdb"

    async def main():
        async with running(path) as (port, _):
            port.set("tank/level", 5.0)
            await at(port, 10)
        async with running(path, [SECRET, *ALL[:3]], T0 + 100 * S) as (port, historian):
            port.set("tank/level", 5.0)
            await at(port, 110)
            assert [value for _, value in await samples(historian, port, "tank/level")] == [5.0, None, 5.0]
            trend = await historian.trend(port.tags["tank/level"].id, T0, T0 + 120 * S, 12)
            expected = [5.0, 5.0] + [None] * 8 + [5.0, None]
            assert [mean for _, _, mean, _ in trend][2:] == expected[2:]
            assert trend[0][2] == 5.0
        with open_readonly(path, "site/area/line") as archive:
            assert archive.last_ns == T0 + 110 * S
            tag = archive.tags["tank/level"]
            batch = archive.query(np.array([tag.id], np.int32), 0, 2**62)
            assert batch.quality.tolist() == [0, NOT_RECORDED, 0]
            assert archive.trend(tag.id, T0, T0 + S, 1)[0][1:] == (5.0, 5.0, 5.0)

    asyncio.run(main())


@pytest.mark.parametrize(("compression", "between"), [("deadband", 5.0), ("swinging_door", 5 + 4 * 10 / 15)])
def test_a_first_value_that_is_older_than_the_gap_holds_from_when_it_was_told(tmp_path, compression, between):
    """A device that stamps its values gives an old time for one that did not change meanwhile."""
    path = tmp_path / "h.duckdb"
    level = replace(LEVEL, compression=compression, deadband=0.5)

    async def main():
        async with running(path, [level]) as (port, _):
            port.set("tank/level", 5.0)
            await at(port, 10)
        async with running(path, [level], T0 + 100 * S) as (port, historian):
            tag = port.tags["tank/level"]

            def tell(value, seconds):
                raw = tag.data_type.encode(value)
                port.bus.publish(Batch.of([tag.id], [raw], T0 + seconds * S))

            await at(port, 110)
            before = historian.stats().samples
            tell(5.0, -50)
            await until(lambda: historian.stats().samples >= before + 2)
            await at(port, 120)
            tell(9.0, 125)
            await at(port, 130)
            ids = np.array([tag.id], np.int32)
            found = (await historian.figures(ids, T0 + 100 * S, T0 + 140 * S, 10 * S, "at"))[tag.id]
            values = [value for _, value, _ in found.listed(tag.data_type, "at")]
            assert values == [None, 5.0, pytest.approx(between), 9.0]
            assert (-50.0, 5.0) in await samples(historian, port, "tank/level")

    asyncio.run(main())


@pytest.mark.parametrize("compression", ["deadband", "swinging_door"])
def test_a_sample_of_a_clock_that_is_ahead_does_not_hide_the_gap(tmp_path, compression):
    path = tmp_path / "h.duckdb"
    level = replace(LEVEL, compression=compression, deadband=0.5)

    async def main():
        ahead = None
        for start_s in (0, 100):
            async with running(path, [level], T0 + start_s * S) as (port, historian):
                tag = port.tags["tank/level"]
                if ahead is None:
                    ahead = Batch.of([tag.id], [tag.data_type.encode(5.0)], T0 + 12 * S)
                await at(port, start_s + 10)
                if start_s:
                    ids = np.array([tag.id], np.int32)
                    found = (await historian.figures(ids, T0 + 20 * S, T0 + 90 * S, 10 * S, "at"))[tag.id]
                    assert set(found.quality.tolist()) == {NOT_RECORDED}
                before = historian.stats().samples
                port.bus.publish(ahead)  # once more after the start: it did not change meanwhile
                await until(lambda b=before, h=historian: h.stats().samples > b or h._compression.waiting())
                if start_s:
                    await at(port, start_s + 20)
                    found = (await historian.figures(ids, T0 + 115 * S, T0 + 116 * S, S, "at"))[tag.id]
                    assert found.value.tolist() == [5.0]

    asyncio.run(main())


def test_a_damaged_file_is_set_aside_and_told(tmp_path):
    path = tmp_path / "h.duckdb"
    path.write_bytes(b"no samples in here" * 1000)
    with pytest.raises(StoreError, match="not a valid"):
        open_readonly(path)

    async def main():
        async with running(path) as (port, historian):
            assert "damaged" in historian.problems[0]
            assert [event.kind for event in port.emitted] == ["historian.damaged"]
            assert port.value("sys/history/damaged") is True
            port.set("tank/level", 5.0)
            await port.clock.settle()
            assert await samples(historian, port, "tank/level") == [(0.0, 5.0)]

    asyncio.run(main())
    assert len(list(tmp_path.glob("h.duckdb.corrupt-*"))) == 1


def test_a_stopped_plant_without_history_says_so(tmp_path):
    with pytest.raises(StoreError, match="no history"):
        open_readonly(tmp_path / "h.duckdb")


def test_a_file_that_another_process_holds_is_left_alone(tmp_path):
    path = tmp_path / "h.duckdb"
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print(1, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()

    async def main():
        with pytest.raises(StoreError, match="another process"):
            async with running(path):
                pass
        with pytest.raises(StoreError) as caught:
            open_readonly(path)
        assert "runs" in caught.value.remedy

    asyncio.run(main())
    child.communicate("\n")
    assert list(tmp_path.glob("*corrupt*")) == []


def test_old_samples_go_by_class_and_the_last_value_stays(tmp_path):
    tags = [
        replace(LEVEL, path="a/short", retention="short"),
        replace(LEVEL, path="a/long", retention="long"),
        replace(LEVEL, path="a/constant", retention="short"),
    ]
    config = HistoryConfig(short="1h", standard="1d", long="30d")

    async def main():
        async with running(tmp_path / "h.duckdb", tags, config=config) as (port, historian):
            port.set("a/constant", 7.0)
            for minute in range(180):
                await at(port, 60 * minute)
                port.set("a/short", float(minute))
                port.set("a/long", float(minute))
                await port.clock.settle()
            short = list(range(180))
            async with asyncio.timeout(60):
                while len(short) > 62:  # an hour, and the one that held when it began
                    await port.clock.advance(60)
                    short = [value for _, value in await samples(historian, port, "a/short")]
            assert short == [float(minute) for minute in range(180 - len(short), 180)]
            assert len(await samples(historian, port, "a/long")) == 180
            assert await samples(historian, port, "a/constant") == [(0.0, 7.0)]

    asyncio.run(main())


def test_the_disk_limit_drops_the_oldest_first_and_says_so(tmp_path):
    config = HistoryConfig(disk_limit_mib=64, memory_limit_mib=64)

    async def main():
        async with running(tmp_path / "h.duckdb", config=config) as (port, historian):
            ids = np.full(200_000, port.tags["tank/level"].id, np.int32)
            noise = np.random.default_rng(1)
            for step in range(50):
                times = T0 + step * 200_000 + np.arange(200_000, dtype=np.int64)
                port.bus.publish(Batch.of(ids, noise.random(200_000).view(np.uint64), times))
                await until(lambda wanted=(step + 1) * 200_000: historian.stats().committed >= wanted)
            store = historian._store  # some of the 76 MiB may have gone by now
            await port.clock.advance(60)
            await until(lambda: any(event.kind == "historian.evicted" for event in port.emitted))
            assert store.used_bytes() < 64 << 20
            await port.clock.advance(1)
            assert port.value("sys/history/evicting") is True
            kept = await historian.query(ids[:1], 0, 2**62)
            assert kept.source_ns[-1] == T0 + 50 * 200_000 - 1
            assert (np.diff(kept.source_ns[1:]) == 1).all()
            assert 4_000_000 < len(kept) < 9_500_000

    asyncio.run(main())


def test_samples_of_the_past_wait_while_the_store_cannot_be_written(tmp_path, caplog):
    async def main():
        async with running(tmp_path / "h.duckdb") as (port, historian):
            append, failures = historian._store.append, iter([StoreError("no room", "")] * 2)

            def failing(*given):
                if exc := next(failures, None):
                    raise exc
                append(*given)

            historian._store.append = failing
            ids = np.full(3, port.tags["tank/level"].id, np.int32)
            kept = asyncio.create_task(historian.backfill(Batch.of(ids, np.arange(3), T0 + np.arange(3))))
            while not kept.done():
                await port.clock.advance(1)
                await asyncio.sleep(0)
            await kept
            found = await historian.query(ids, T0, T0 + 3)
            assert found.source_ns.tolist() == [T0, T0 + 1, T0 + 2]

    asyncio.run(main())
    assert [each.message for each in caplog.records if "wait" in each.message] == [
        "samples of the past wait: no room"
    ]


def test_samples_of_the_past_that_wait_are_told_by_the_alarm_until_nobody_waits(tmp_path):
    async def failing(port, wanted):
        async with asyncio.timeout(60):
            while port.value("sys/history/failing") is not wanted or port.healthy is wanted:
                await port.clock.advance(1)

    async def main():
        async with running(tmp_path / "h.duckdb") as (port, historian):
            await failing(port, False)
            append, past = historian._store.append, Batch.of([port.tags["tank/level"].id], [1], T0)

            def refuse_past(columns, until_ns):
                if until_ns == 0:
                    raise StoreError("no room", "")
                append(columns, until_ns)

            for outcome in ("written", "given up"):
                historian._store.append = refuse_past
                kept = asyncio.create_task(historian.backfill(past))
                await failing(port, True)
                if outcome == "given up":
                    kept.cancel()
                historian._store.append = append
                await failing(port, False)
                await asyncio.wait([kept])

    asyncio.run(main())


def _full_disk(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def main():
        async with running(path, buffer_rows=5000) as (port, historian):
            ids = np.full(1000, port.tags["tank/level"].id, np.int32)
            noise = np.random.default_rng(1)
            for step in range(40):
                if step == 10:
                    await historian.flush()
                    committed = historian.stats().committed
                    resource.setrlimit(
                        resource.RLIMIT_FSIZE, (path.with_suffix(".duckdb.wal").stat().st_size, hard)
                    )
                if step == 25:
                    await port.clock.advance(1)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                times = T0 + step * S + np.arange(1000, dtype=np.int64)
                port.bus.publish(Batch.of(ids, noise.random(1000).view(np.uint64), times))
                await port.clock.settle()
                await port.clock.advance(1)
                await historian.flush()
                while step == 25 and not port.healthy:  # told at the next interval, which may be under way
                    await port.clock.advance(1)
                if step == 24:
                    assert port.value("sys/history/failing") is True
                    assert not port.healthy
                    assert historian.stats().committed == committed
                    assert historian.stats().dropped > 5000
                    level = await samples(historian, port, "tank/level")
                    assert len(level) == 10_000
            await port.clock.advance(2)
            assert port.value("sys/history/failing") is False
            told = [event.text for event in port.emitted if event.kind == "historian.dropped"]
            assert len(told) == 2
            stats = historian.stats()
            level = await samples(historian, port, "tank/level")
            assert sum(value is None for _, value in level) == 1
            gap = next(index for index, (_, value) in enumerate(level) if value is None)
            assert level[gap][0] - level[gap - 1][0] >= 0
            assert level[gap + 1][0] > level[gap][0] + 5
            assert len(level) + stats.dropped >= 40_000
        print("fine", flush=True)

    asyncio.run(main())


def test_a_full_disk_drops_loudly_and_heals(tmp_path):
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r})\nimport pathlib, test_historian\n"
    code += f"test_historian._full_disk(pathlib.Path({str(tmp_path / 'h.duckdb')!r}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.stdout == "fine\n", run.stderr
    with open_readonly(tmp_path / "h.duckdb", "site/area/line") as archive:
        tag = archive.tags["tank/level"]
        assert len(archive.query(np.array([tag.id], np.int32), 0, 2**62)) > 20_000


def test_kill_loses_no_committed_batch(tmp_path):
    path = tmp_path / "h.duckdb"
    code = textwrap.dedent(f"""
        import numpy as np, pathlib, sys
        from runtime.clock import WallClock
        from runtime.config import TagList
        from runtime.contract import Batch, DataType, Tag
        from runtime.historian.columns import Kinds, to_columns
        from runtime.historian.store import Store
        tags = TagList([Tag("a/batch", DataType.LINT)])
        store = Store(pathlib.Path({str(path)!r}), WallClock(), 64)
        store.open()
        assert store.problems == []
        stored, kinds = store.register(tags), Kinds(tags)
        number = int(sys.argv[1])
        while True:
            number += 1
            batch = Batch.of(np.zeros(500, np.int32), np.full(500, number, np.uint64), number)
            store.append(to_columns([batch], stored, kinds), number)
            print(number, flush=True)
    """)
    confirmed = 0
    for round_ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(confirmed + 1000)], stdout=subprocess.PIPE, text=True
        )
        first = confirmed + 1001
        for _ in range(20 + 37 * round_):
            confirmed = int(child.stdout.readline())
        child.kill()
        rest, _ = child.communicate()
        confirmed = max([confirmed, *(int(line) for line in rest.split("\n")[:-1])])
        with open_readonly(path) as archive:
            found = archive.query(np.array([0], np.int32), first, 2**62)
        numbers, counts = np.unique(found.raw, return_counts=True)
        assert set(range(first, confirmed + 1)) <= set(numbers.tolist())
        assert (counts == 500).all()
    assert list(tmp_path.glob("*corrupt*")) == []
