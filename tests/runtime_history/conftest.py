"""A historian on a clock that a test moves, and a bare store."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from runtime.clock import ManualClock
from runtime.config import HistoryConfig, TagList
from runtime.contract import Batch, DataType, Quality, Tag
from runtime.historian import TAGS, Historian, hot, keeping
from runtime.historian.columns import Kinds, to_columns
from runtime.historian.query import read_samples
from runtime.historian.reading import Snapshot
from runtime.historian.store import Store
from runtime.testing import FakePort

S = 1_000_000_000
HOUR = 3600 * S
T0 = 1_700_006_400 * S  # 2023-11-15 00:00 UTC
PLANT = [
    Tag("site/area/line/level", DataType.REAL, source="plc"),
    Tag("site/area/line/count", DataType.ULINT, source="plc", retention="long"),
    Tag("site/area/line/recipe", DataType.STRING),
    Tag("site/area/line/run", DataType.BOOL, source="plc"),
]


@asynccontextmanager
async def running(path, tags=PLANT, start_ns=T0, config=None):
    """Run a historian; its clock stands still unless a test moves it."""
    port = FakePort([*tags, *TAGS], name="historian", clock=ManualClock(start_ns))
    historian = Historian(path, config or HistoryConfig(flush="30min"), port.tags.tags, port.clock)
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


async def keep_house(port, historian):
    """Let half an hour pass, and wait for the house to be kept in it."""
    stopped = historian._keeper.tidying
    await port.clock.advance(1800)
    async with stopped:
        pass


def batch(tag, times_s, values, quality=0, start_ns=T0):
    """Return samples of a REAL tag, times in s since the start."""
    times = start_ns + (np.asarray(times_s, np.float64) * S).round().astype(np.int64)
    quality = np.broadcast_to(np.asarray(quality, np.uint32), len(times))
    raw = np.asarray(values, np.float64).view(np.uint64)
    return Batch(np.full(len(times), tag.id, np.int32), raw, quality, times)


async def samples(historian, port, path, start_ns=0, end_ns=2**62, limit=None):
    """Return (seconds since the start, value or None) of one tag."""
    tag = port.tags[path]
    found = await historian.query(np.array([tag.id], np.int32), start_ns, end_ns, limit)
    return [
        (
            (row.source_ns - T0) / S,
            None if Quality.is_bad(row.quality) else tag.data_type.decode(row.raw, row.text),
        )
        for row in found
    ]


class Shelf:
    """A store with tags, without a historian."""

    def __init__(self, path, tags=PLANT, start_ns=T0):
        self.tags = TagList(tags)
        self.clock = ManualClock(start_ns)
        self.store = Store(path, self.clock, 64)
        self.store.open()
        self.kinds = Kinds(self.tags)
        self.stored = self.store.register(self.tags)

    def append(self, *batches, now_ns=0):
        self.store.append(to_columns(batches, self.stored, self.kinds), now_ns)

    @contextmanager
    def view(self):
        with self.store.cursor() as cursor, Snapshot(cursor, self.store.folder, set()) as view:
            yield view

    def read(self, span=(0, 2**62), limit=None):
        ids = np.arange(len(self.tags), dtype=np.int32)
        with self.view() as view:
            return read_samples(view, self.stored, self.kinds, ids, span, limit)


@pytest.fixture
def kit(monkeypatch):
    monkeypatch.setattr(keeping, "TIDY_S", 1800)  # days pass in these tests
    monkeypatch.setattr(hot, "FIGURES_S", 1800)
    return SimpleNamespace(
        running=running, until=until, keep_house=keep_house, batch=batch, samples=samples, Shelf=Shelf,
        S=S, HOUR=HOUR, T0=T0, PLANT=PLANT,
    )  # fmt: skip
