"""`ironworks bench history`: ingest of 10,000 tags at 10 Hz, size, questions to a simulated year."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from runtime.bench.report import Figure
    from runtime.config import TagList
    from runtime.historian import Historian

YEAR_NS = 1_735_689_600_000_000_000  # 2025-01-01 UTC
HOUR_NS = 3_600_000_000_000
DAYS = 365
YEAR_TAGS = 10
AHEAD = 800_000
ASKED = 25
SPARSER = 10  # SQLite gets each tenth sample of the year: all of them take minutes to insert
TIMEOUT_S = 600.0


def bench(
    tags: Annotated[int, typer.Option(min=1, help="Number of tags for the ingest.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="Values of each tag, 10 a second of plant time.")] = 1000,
    year_period_s: Annotated[
        int, typer.Option(min=1, help="Seconds between samples of the simulated year.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ingest, size and answers of the historian, beside plain SQLite rows in the same run."""
    from runtime.bench.report import report

    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder), tags, rounds, year_period_s))
    report("history", figures, as_json)


async def _measure(folder: Path, tags: int, rounds: int, period_s: int) -> list[Figure]:
    figures = await _ingest(folder / "ingest.duckdb", tags, rounds)
    figures += await _year(folder / "year.duckdb", period_s)
    return figures + await asyncio.to_thread(_sqlite, folder / "rows.sqlite", period_s * SPARSER, figures)


async def _ingest(path: Path, tags: int, rounds: int) -> list[Figure]:
    """Publish noise as fast as the disk takes it; compaction runs meanwhile."""
    import numpy as np

    from runtime.bench.report import Figure
    from runtime.clock import WallClock, monotonic_ns
    from runtime.config import HistoryConfig
    from runtime.contract import Batch, DataType, Tag
    from runtime.historian import TAGS, Historian
    from runtime.testing import FakePort

    clock = WallClock()
    plant = [Tag(f"bench/area/line/signal{number}", DataType.REAL, source="load") for number in range(tags)]
    port = FakePort([*plant, *TAGS], name="historian", clock=clock)
    historian = Historian(path, HistoryConfig(disk_limit_mib=16_384), port.tags.tags, clock)
    life = asyncio.create_task(historian.run(port))
    ids = np.arange(tags, dtype=np.int32)
    noise = np.random.default_rng(1)
    waves = [
        noise.normal(50, 5, tags).astype(np.float32).astype(np.float64).view(np.uint64) for _ in range(16)
    ]
    while port.value("sys/history/stored") is None:
        await clock.sleep(0.01)
    before, total = historian.stats().committed, tags * rounds
    began_ns = monotonic_ns()
    for number in range(rounds):
        port.bus.publish(Batch.of(ids, waves[number % 16], YEAR_NS + number * 100_000_000))
        await clock.sleep(0)
        while (number + 1) * tags - (historian.stats().committed - before) > AHEAD:
            await clock.sleep(0.001)
    while historian.stats().committed - before < total:
        await clock.sleep(0.001)
    seconds = (monotonic_ns() - began_ns) / 1e9
    dropped = historian.stats().dropped
    life.cancel()
    await asyncio.wait([life])
    return [
        Figure("ingest, sustained", total / seconds, "samples/s", 1_000_000, compared_with=f"{tags} tags"),
        Figure("samples lost", dropped, "samples", 0, at_least=False),
    ]


async def _year(path: Path, period_s: int) -> list[Figure]:
    """Write a year of files directly, as compaction would, and ask a historian for it."""
    import numpy as np

    from runtime.bench.report import Figure
    from runtime.clock import ManualClock, monotonic_ns
    from runtime.config import HistoryConfig
    from runtime.contract import DataType, Tag
    from runtime.historian import TAGS, Historian
    from runtime.testing import FakePort

    plant = [Tag(f"bench/year/signal{number}", DataType.REAL, source="load") for number in range(YEAR_TAGS)]
    port = FakePort([*plant, *TAGS], name="historian", clock=ManualClock(YEAR_NS + DAYS * 24 * HOUR_NS))
    tags: TagList = port.tags.tags
    began_ns = monotonic_ns()
    rows, fine, coarse = await asyncio.to_thread(_write_year, path, tags, period_s)
    seconds = (monotonic_ns() - began_ns) / 1e9
    historian = Historian(path, HistoryConfig(standard="3650d", disk_limit_mib=65_536), tags, port.clock)
    life = asyncio.create_task(historian.run(port))
    while port.value("sys/history/stored") is None:
        await asyncio.wait([life], timeout=0.01)
        if life.done():
            life.result()
    ids = np.arange(YEAR_TAGS, dtype=np.int32)
    hour_ms, day_ms, mean_ms = await _ask_year(historian, ids, period_s)
    life.cancel()
    await asyncio.wait([life])
    taken = f"median of {ASKED}, {rows:,} samples"
    return [
        Figure(
            "year written and summed",
            rows / seconds,
            "samples/s",
            compared_with="simulated, as compaction does",
        ),
        Figure(
            "size, noise of a 16-bit converter",
            fine,
            "B/sample",
            3,
            at_least=False,
            compared_with="cold file",
        ),
        Figure(
            "size, noise in each bit of a REAL",
            coarse,
            "B/sample",
            3,
            at_least=False,
            compared_with="cold file",
        ),
        Figure("raw hour of one tag", hour_ms, "ms", 50, at_least=False, compared_with=taken),
        Figure("year by day of ten, mean", day_ms, "ms", 200, at_least=False, compared_with=taken),
        Figure("a day by minute of one, from samples", mean_ms, "ms", compared_with=taken),
    ]


def _write_year(path: Path, tags: TagList, period_s: int) -> tuple[int, float, float]:
    """Return the number of samples, and the bytes a sample of values from a converter and of full noise."""
    from datetime import date, timedelta

    from runtime.clock import WallClock
    from runtime.historian.cold import Part
    from runtime.historian.store import Store

    store = Store(path, WallClock(), 256)
    store.open()
    stored = store.register(tags)
    first = int(stored[0])
    day_ns = 24 * HOUR_NS
    many = day_ns // (period_s * 1_000_000_000)

    def query(day: int, noise: str, rows: int = many, step_ns: int = period_s * 1_000_000_000) -> str:
        normal = "sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())"
        begun_ns = YEAR_NS + day * day_ns
        return (
            f"SELECT ({first} + tags.range)::UINTEGER AS tag,"  # noqa: S608 - our own numbers
            f" ({begun_ns} + n.range * {step_ns})::BIGINT AS t,"
            f" {noise.format(normal=normal)} AS value, NULL::UBIGINT AS exact, NULL::VARCHAR AS text,"
            f" 0::UINTEGER AS quality FROM range({YEAR_TAGS}) AS tags, range({rows}) AS n ORDER BY tag, t"
        )

    converter = "round((50 + 5 * {normal}) * 65536 / 100) * 100 / 65536"
    every_bit = "(50 + 5 * {normal})::FLOAT::DOUBLE"
    written = []
    for day in range(DAYS):
        name = (date(2025, 1, 1) + timedelta(day)).isoformat()
        part = store.write_part(
            query(day, converter), Part(store.new_number(), name, "standard", 0, 0, 0, 0, 0, True)
        )
        written.append((part, store.digest(part)))
    store.commit_parts(written)
    dense = 100_000  # of each tag: what 10 Hz brings in some hours
    sizes = []
    for noise in (converter, every_bit):
        number = store.new_number()
        part = store.write_part(
            query(400, noise, dense, 100_000_000), Part(number, "probe", "short", 0, 0, 0, 0, 0)
        )
        sizes.append(part.size / part.rows)
        (store.folder / part.name).unlink()
    store.close()
    return sum(part.rows for part, _ in written), sizes[0], sizes[1]


async def _ask_year(historian: Historian, ids: Any, period_s: int) -> tuple[float, float, float]:
    """Return the medians in ms: raw hour of a tag, year by day of all, a day by minute of a tag."""
    import random
    from statistics import median

    from runtime.clock import monotonic_ns

    chance = random.Random(7)
    hours, years, days = [], [], []
    end_ns = YEAR_NS + DAYS * 24 * HOUR_NS
    for _ in range(ASKED):
        start_ns = YEAR_NS + chance.randrange(DAYS * 24) * HOUR_NS
        tag = ids[chance.randrange(len(ids)) :][:1]
        began_ns = monotonic_ns()
        batch = await historian.query(tag, start_ns, start_ns + HOUR_NS)
        hours.append((monotonic_ns() - began_ns) / 1e6)
        if len(batch) != 3600 // period_s:
            raise AssertionError(f"{len(batch)} samples in an hour of {3600 // period_s}")
        began_ns = monotonic_ns()
        figures = await historian.figures(ids, YEAR_NS, end_ns, 24 * HOUR_NS, "mean")
        years.append((monotonic_ns() - began_ns) / 1e6)
        if not all(abs(points.value.mean() - 50) < 1 for points in figures.values()):
            raise AssertionError("the means of the year are wrong")
        began_ns = monotonic_ns()
        await historian.figures(tag, start_ns, start_ns + 24 * HOUR_NS, 60_000_000_000, "time_weighted")
        days.append((monotonic_ns() - began_ns) / 1e6)
    return median(hours), median(years), median(days)


def _sqlite(path: Path, period_s: int, ours: list[Figure]) -> list[Figure]:
    """Do the same with a table of rows and an index by tag and time."""
    import random
    import sqlite3
    from contextlib import closing
    from statistics import median

    import numpy as np

    from runtime.bench.report import Figure
    from runtime.clock import monotonic_ns

    noise = np.random.default_rng(1)
    per_day = 86_400 // period_s
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = FULL")
        store.execute("CREATE TABLE samples (tag INTEGER, t INTEGER, value REAL, quality INTEGER)")
        store.execute("CREATE INDEX by_tag ON samples (tag, t)")
        began_ns = monotonic_ns()
        for day in range(DAYS):
            times = (YEAR_NS + day * 24 * HOUR_NS + np.arange(per_day) * period_s * 1_000_000_000).tolist()
            store.execute("BEGIN")
            for tag in range(YEAR_TAGS):
                rows = zip(
                    [tag] * per_day, times, noise.normal(50, 5, per_day).tolist(), [0] * per_day, strict=True
                )
                store.executemany("INSERT INTO samples VALUES (?, ?, ?, ?)", rows)
            store.execute("COMMIT")
        seconds = (monotonic_ns() - began_ns) / 1e9
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        total = DAYS * YEAR_TAGS * per_day
        chance, hours, years = random.Random(7), [], []
        for number in range(ASKED):
            start_ns = YEAR_NS + chance.randrange(DAYS * 24) * HOUR_NS
            began_ns = monotonic_ns()
            store.execute(
                "SELECT t, value, quality FROM samples WHERE tag = ? AND t >= ? AND t < ? ORDER BY t",
                [chance.randrange(YEAR_TAGS), start_ns, start_ns + HOUR_NS],
            ).fetchall()
            hours.append((monotonic_ns() - began_ns) / 1e6)
            if number < 3:
                began_ns = monotonic_ns()
                store.execute(
                    "SELECT tag, (t - ?) / ? AS day, avg(value) FROM samples GROUP BY 1, 2",
                    [YEAR_NS, 24 * HOUR_NS],
                ).fetchall()
                years.append((monotonic_ns() - began_ns) / 1e6)
    mine = {figure.name: figure.value for figure in ours}
    size = path.stat().st_size / total
    rate = total / seconds
    sparse = f"{total:,} samples"
    year_ms = median(years)
    return [
        Figure(
            "SQLite: ingest",
            rate,
            "samples/s",
            compared_with=f"ours: {mine['ingest, sustained'] / rate:.1f} times that",
        ),
        Figure(
            "SQLite: size",
            size,
            "B/sample",
            compared_with=f"{size / mine['size, noise in each bit of a REAL']:.1f} times ours",
        ),
        Figure("SQLite: raw hour of one tag", median(hours), "ms", compared_with=sparse),
        Figure("SQLite: year by day of ten, mean", year_ms, "ms", compared_with=f"{sparse}, a tenth of ours"),
    ]
