"""Every sample of history is in the sink's database once, whatever happened on the way."""

import asyncio
import math
import random
import signal
import struct
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest

from runtime.clock import ManualClock, WallClock
from runtime.config import HistoryConfig, SinkConfig, TagList
from runtime.contract import Batch, DataType, Quality, Tag
from runtime.historian import (
    SINK_ALARMS,
    SINK_TAGS,
    TAGS,
    Historian,
    Sink,
    feed,
    hot,
    keeping,
    open_readonly,
    sink,
)
from runtime.testing import FakePort

pytestmark = pytest.mark.peer
S = 1_000_000_000
HOUR = 3600 * S
T0 = 1_700_006_400 * S
PLANT = [
    Tag("site/area/line/level", DataType.LREAL, source="plc"),
    Tag("site/area/line/count", DataType.ULINT, source="plc", retention="long"),
    Tag("site/area/line/moved", DataType.LINT, source="plc"),
    Tag("site/area/line/recipe", DataType.STRING),
    Tag("site/area/line/flow", DataType.LREAL, source="plc", deadband=0.5, compression="swinging_door"),
]
WORDS = ["", "cola", 'a "quoted", word\nand a line', "可乐", "\\N", "a\x00b", "\\."]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small pieces, so that much is half sent when the house is kept; short pauses."""
    monkeypatch.setattr(feed, "PIECE_ROWS", 20)
    monkeypatch.setattr(sink, "IDLE_S", 0.01)
    monkeypatch.setattr(sink, "FIGURES_S", 0.05)
    monkeypatch.setattr(sink, "_SLOWEST_S", 0.1)
    monkeypatch.setattr(keeping, "TIDY_S", 1800)
    monkeypatch.setattr(hot, "FIGURES_S", 1800)
    monkeypatch.setattr(hot, "OPEN_S", 60)


@asynccontextmanager
async def running(path, url, config=None, start_ns=T0):
    """Run a historian on a clock that stands still, and a sink in wall time."""
    port = FakePort([*PLANT, *TAGS], name="historian", clock=ManualClock(start_ns))
    historian = Historian(path, config or HistoryConfig(flush="30min"), port.tags.tags, port.clock)
    outer = FakePort(SINK_TAGS, name="history-sink", clock=WallClock())
    feeder = Sink(historian, SinkConfig(url=url), "works", path.parent, path.parent)
    tasks = [asyncio.create_task(historian.run(port)), asyncio.create_task(feeder.run(outer))]
    try:
        await until(lambda: port.value("sys/history/stored") is not None)
        yield port, historian, outer
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait([task])
        for task in tasks:
            if not task.cancelled() and task.exception():
                raise task.exception()


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.005)


async def caught_up(historian, outer):
    await ManualClock.settle()  # what the historian told of itself is taken, too
    await historian.flush()
    async with asyncio.timeout(60):
        while await historian.beside_store(feed.waiting):  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.01)
    await until(lambda: outer.value("sys/history/sink_connected"))


async def keep_house(port, historian):
    await port.clock.advance(1800)
    async with historian._keeper.tidying:
        pass


def canonical(path, t, kind, value, whole, text, quality):
    """Return a sample as it can be compared: zero with its sign; not-a-number is no value."""
    value = None if value != value else value
    if kind in ("ULINT", "LINT"):
        value = whole if whole is not None else None if value is None else int(value)
    bits = None if value is None or isinstance(value, int) else struct.pack("<d", value)
    return path, t, value if bits is None else bits, text if kind == "STRING" else None, quality


def in_database(url):
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT path, t_ns, type, value, whole, text, quality, time"
            " FROM ironworks.samples JOIN ironworks.tags USING (tag)"
        ).fetchall()
    for row in rows[:100]:
        assert round(row[7].timestamp() * 1e6) == row[1] // 1000
    return Counter(
        canonical(path, t, kind, value, None if whole is None else int(whole), text, quality)
        for path, t, kind, value, whole, text, quality, _ in rows
    )


def in_history(path):
    with open_readonly(path, "site/area/line") as archive:
        found = archive.query(np.arange(len(archive.tags), dtype=np.int32), 0, 2**62)
        rows = []
        for row in found:
            tag = archive.tags[row.id]
            kind = tag.data_type.iec
            value = tag.data_type.decode(row.raw, row.text)
            nothing = row.quality == Quality.BAD_OUT_OF_SERVICE and row.raw == 0
            whole = value if kind in ("ULINT", "LINT") and not nothing else None
            number = 0.0 if isinstance(value, str) else float(value) if whole is None else None
            text = (
                value.replace("\x00", "\ufffd") if isinstance(value, str) and row.text is not None else None
            )
            rows.append(
                canonical(
                    tag.path, row.source_ns, kind, None if nothing else number, whole, text, row.quality
                )
            )
    return Counter(rows)


def played(chance, now_ns):
    """Return samples of all kinds, some of them late."""
    rows = []
    for _ in range(chance.randrange(40)):
        late = chance.choice([0, 0, 0, 1, 7200, 90_000]) * S
        tag = chance.randrange(5)
        value = {
            0: lambda: chance.choice([1.5, -0.0, math.nan, math.inf, -math.inf, 1e-310, chance.gauss(0, 1)]),
            1: lambda: chance.choice([0, 2**53 + 1, 2**64 - 1, chance.randrange(100)]),
            2: lambda: chance.choice([-(2**63), -(2**60) - 1, 2**63 - 1, -5]),
            3: lambda: chance.choice(WORDS),
            4: lambda: chance.gauss(0, 1),
        }[tag]()
        rows.append((tag, value, now_ns - late + len(rows), chance.choice([0, 0, 0, int(Quality.BAD)])))
    return Batch.of(
        [row[0] for row in rows],
        [PLANT[row[0]].data_type.encode(row[1]) for row in rows],
        np.array([row[2] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.uint32),
        {index: row[1] for index, row in enumerate(rows) if row[0] == 3},
    )


@pytest.mark.parametrize("seed", range(2))
def test_outages_of_the_database_lose_and_double_nothing(tmp_path, postgres, seed):
    through_outages(postgres, postgres.fresh("outages"), tmp_path / "history.duckdb", random.Random(seed))


def test_timescaledb_keeps_the_samples_in_a_hypertable(tmp_path, timescale):
    admin = timescale.fresh("hyper")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS plant")
        connection.execute("CREATE ROLE plant LOGIN")
        connection.execute("GRANT CREATE ON DATABASE hyper TO plant")
        connection.execute('CREATE SCHEMA "time series"')
        connection.execute('GRANT USAGE ON SCHEMA "time series" TO plant')
        connection.execute('CREATE EXTENSION timescaledb SCHEMA "time series"')
    url = admin.replace("ironworks@", "plant@")
    through_outages(timescale, url, tmp_path / "history.duckdb", random.Random(2))
    with psycopg.connect(admin) as connection:
        [found] = connection.execute(
            "SELECT hypertable_schema, hypertable_name, num_chunks > 1"
            " FROM timescaledb_information.hypertables"
        )
    assert found == ("ironworks", "samples", True)


def through_outages(postgres, url, path, chance):
    """Check that all of history arrives once, though the database is killed on the way."""

    async def main():
        async with running(path, url) as (port, historian, outer):
            for step in range(40):
                port.bus.publish(played(chance, port.clock.now_ns()))
                await port.clock.settle()
                await historian.flush()
                if chance.random() < 0.5:
                    await keep_house(port, historian)
                if step % 16 == 5:
                    await asyncio.to_thread(postgres.kill)
                if step % 16 == 11:
                    await asyncio.to_thread(postgres.start)
                if chance.random() < 0.2:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(postgres.start)
            await caught_up(historian, outer)
            assert historian.unsent_lost == 0
            days = port.clock.now_ns() - T0
        assert days > 4 * HOUR
        async with running(path, url, start_ns=T0 + days + HOUR) as (port, historian, outer):  # and a restart
            port.bus.publish(played(chance, port.clock.now_ns()))
            await port.clock.settle()
            await caught_up(historian, outer)
            await port.clock.advance(1)
        async with running(path, url, start_ns=T0 + days + 2 * HOUR) as (port, historian, outer):
            await caught_up(historian, outer)

    asyncio.run(main())
    ours, theirs = in_history(path), in_database(url)
    assert sum(ours.values()) > 500
    assert theirs == ours


def test_kills_of_either_side_lose_and_double_nothing(tmp_path, postgres):
    url = postgres.fresh("kills")
    script = Path(__file__).with_name("sink_life.py")
    chance = random.Random(1)
    path = tmp_path / "history.duckdb"
    for number in range(5):
        life = subprocess.Popen(
            [sys.executable, script, path, url, "killed"], stdout=subprocess.PIPE, text=True
        )
        assert life.stdout.readline() == "sending\n"
        for _ in range(chance.randrange(30)):
            assert life.stdout.readline().startswith("sent")
        if number % 3 == 1:
            postgres.kill()
        life.send_signal(signal.SIGKILL)
        life.wait()
        life.stdout.close()
        postgres.start()
    last = subprocess.run(
        [sys.executable, script, path, url, "to the end"], capture_output=True, text=True, timeout=300
    )
    assert last.returncode == 0, last.stderr
    ours, theirs = in_history(path), in_database(url)
    assert sum(ours.values()) > 3000
    assert not theirs - ours
    # What the historian tells of itself after the last look is for the next life to send.
    late = [(path, at_ns) for path, at_ns, *_ in ours - theirs]
    newest_ns = max(at_ns for path, at_ns, *_ in ours if path.startswith("site/"))
    told = ("sys/history/used_", "sys/history/free_")
    assert all(path.startswith(told) and at_ns > newest_ns for path, at_ns in late), late


def test_what_goes_before_it_was_sent_is_counted(tmp_path, postgres):
    url = postgres.fresh("late")
    path = tmp_path / "history.duckdb"
    config = HistoryConfig(standard="3h", flush="30min")

    async def main():
        postgres.kill()
        async with running(path, url, config) as (port, historian, outer):
            level = np.zeros(10, np.int32)
            for _ in range(10):
                port.bus.publish(Batch.of(level, np.arange(10), port.clock.now_ns() + np.arange(10)))
                await port.clock.settle()
                await historian.flush()
                await keep_house(port, historian)
                await keep_house(port, historian)
            assert historian.unsent_lost > 30
            await until(lambda: outer.value("sys/history/sink_lost") == historian.unsent_lost)
            assert outer.value("sys/history/sink_connected") is False
            await until(lambda: "refused" in outer.health_text)
            assert any("deleted before the sink" in event.text for event in outer.emitted)
            await asyncio.to_thread(postgres.start)
            await caught_up(historian, outer)
            assert outer.healthy
            stored = historian.stats().committed
            return stored - historian.unsent_lost

    left = asyncio.run(main())
    assert sum(in_database(url).values()) == left
    assert {alarm.name for alarm in SINK_ALARMS} == {"history.sink_behind", "history.sink_lost"}


def test_a_new_database_gets_all_and_a_restored_one_is_refused(tmp_path, postgres):
    path = tmp_path / "history.duckdb"
    first, second = postgres.fresh("first"), postgres.fresh("second")
    chance = random.Random(5)

    async def main():
        for number, url in enumerate([first, second]):
            async with running(path, url, start_ns=T0 + number * 40 * HOUR) as (port, historian, outer):
                for _ in range(8):
                    port.bus.publish(played(chance, port.clock.now_ns()))
                    await port.clock.settle()
                    await historian.flush()
                    await keep_house(port, historian)
                await caught_up(historian, outer)
                told = [event.text for event in outer.emitted]
                assert told == (
                    ["the sink's database is new: all of history is sent to it"] if number else []
                )
                found = await historian.query(np.arange(len(port.tags), dtype=np.int32), 0, 2**62)
                assert len(found) == sum(in_database(url).values())
        with psycopg.connect(second) as connection:  # as a backup of some hours ago has it
            connection.execute("UPDATE ironworks.feeds SET batches = batches - 3")
        async with running(path, second, start_ns=T0 + 100 * HOUR) as (port, historian, outer):
            await until(lambda: "restored from a backup" in outer.health_text)
            assert outer.value("sys/history/sink_connected") in (None, False)

    asyncio.run(main())


def test_tags_that_come_while_the_plant_runs_are_sent_too(tmp_path, postgres):
    url = postgres.fresh("added")
    late = Tag("site/area/line/late", DataType.LREAL, source="plc")

    async def main():
        async with running(tmp_path / "history.duckdb", url) as (port, historian, outer):
            await caught_up(historian, outer)
            tags = TagList([*PLANT, *TAGS, late], "site/area/line")
            port.table.succeed(tags)
            port.bus.widen()
            await historian.renew(HistoryConfig(flush="30min"), tags)
            number = tags["late"].id
            await historian.backfill(Batch.of([number, 0], np.array([1.5, 2.5]).view(np.uint64), T0))
            await caught_up(historian, outer)

    asyncio.run(main())
    assert [row[0] for row in in_database(url) if row[2] == struct.pack("<d", 1.5)] == ["site/area/line/late"]


def test_a_schema_that_others_made_or_touched_is_taken_and_gets_all(tmp_path, postgres):
    admin = postgres.fresh("prepared")
    path = tmp_path / "history.duckdb"

    def let(*commands):
        with psycopg.connect(admin, autocommit=True) as connection:
            for command in commands:
                connection.execute(command)

    async def main():
        let("DROP ROLE IF EXISTS fed", "CREATE ROLE fed LOGIN", "CREATE SCHEMA ironworks AUTHORIZATION fed")
        url = admin.replace("ironworks@", "fed@")
        for number, touch in enumerate(["SELECT 1", "DROP VIEW {}.history", "DROP TABLE {}.samples CASCADE"]):
            let(touch.format("ironworks"))
            async with running(path, url, start_ns=T0 + number * HOUR) as (port, historian, outer):
                port.bus.publish(played(random.Random(number), port.clock.now_ns()))
                await port.clock.settle()
                await caught_up(historian, outer)

    asyncio.run(main())
    assert in_database(admin) == in_history(path)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_texts_arrive_whatever_encoding_the_database_has_or_it_says_once_why_not(
    tmp_path, postgres, encoding, caplog
):
    postgres.start()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS old WITH (FORCE)")
        connection.execute(f"CREATE DATABASE old ENCODING '{encoding}' TEMPLATE template0")
    url = postgres.url("old")

    def recipe(port, word):
        port.bus.publish(Batch.of([3], [0], port.clock.now_ns(), Quality.GOOD, {0: word}))

    async def main():
        async with running(tmp_path / "history.duckdb", url) as (port, historian, outer):
            recipe(port, "Weizenbrötchen")
            await port.clock.settle()
            await caught_up(historian, outer)
            if encoding == "LATIN1":
                recipe(port, "可乐")
                await port.clock.advance(1)
                await historian.flush()
                await until(lambda: "no equivalent in encoding" in outer.health_text)
                for _ in range(2):  # it tries again, and goes on saying so
                    await until(lambda: outer.value("sys/history/sink_connected"))
                    assert not outer.healthy
                    await until(lambda: not outer.value("sys/history/sink_connected"))

    asyncio.run(main())
    with psycopg.connect(url, client_encoding="utf8") as connection:
        found = connection.execute("SELECT text FROM ironworks.history WHERE path LIKE '%recipe'").fetchall()
    assert found == [("Weizenbrötchen",)]
    assert [each.message for each in caplog.records if "sending again" in each.message] == []


def test_the_unit_of_a_tag_follows_while_the_plant_runs(tmp_path, postgres):
    url = postgres.fresh("units")

    async def main():
        async with running(tmp_path / "history.duckdb", url) as (port, historian, outer):
            await caught_up(historian, outer)
            tags = TagList([replace(PLANT[0], unit="mm"), *PLANT[1:], *TAGS], "site/area/line")
            port.table.succeed(tags)
            await historian.renew(HistoryConfig(flush="30min"), tags)
            await historian.backfill(Batch.of([0], [0], T0))
            await caught_up(historian, outer)

    asyncio.run(main())
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT DISTINCT unit FROM ironworks.history WHERE path LIKE '%level'")
        assert found.fetchall() == [("mm",)]
