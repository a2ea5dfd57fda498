"""A historian under load with a sink, in a process that a test kills: PATH URL `killed` or `to the end`."""

import asyncio
import sys
from pathlib import Path

import numpy as np

from runtime.clock import WallClock
from runtime.config import HistoryConfig, SinkConfig
from runtime.contract import Batch, DataType, Tag
from runtime.historian import SINK_TAGS, TAGS, Historian, Sink, compaction, feed, keeping, sink
from runtime.testing import FakePort

feed.PIECE_ROWS = 300
sink.IDLE_S = sink.FIGURES_S = 0.01
keeping.TIDY_S = 0.2
compaction.table_rows = lambda room: 2000  # many tables become files, while they are sent
compaction._MANY = 3
PLANT = [Tag(f"site/area/line/n{number}", DataType.LREAL, source="plc") for number in range(50)]


async def load(port, clock, chance, batches):
    for _ in range(batches):
        late = chance.choice([0, 0, 0, 3_600_000_000_000], 50)
        times = clock.now_ns() - late + np.arange(50)
        port.bus.publish(Batch.of(np.arange(50), chance.random(50).view(np.uint64), times))
        await clock.sleep(0.005)


async def main(path, url, how):
    clock = WallClock()
    port = FakePort([*PLANT, *TAGS], name="historian", clock=clock)
    historian = Historian(path, HistoryConfig(flush="20ms"), port.tags.tags, clock)
    outer = FakePort(SINK_TAGS, name="history-sink", clock=clock)
    feeder = Sink(historian, SinkConfig(url=url), "works", path.parent, path.parent)
    keeper, sender = asyncio.create_task(historian.run(port)), asyncio.create_task(feeder.run(outer))
    while not outer.value("sys/history/sink_connected"):
        await clock.sleep(0.01)
    print("sending", flush=True)
    killed = how == "killed"
    loading = asyncio.create_task(load(port, clock, np.random.default_rng(), 10**9 if killed else 100))
    if killed:
        while True:
            print("sent", outer.value("sys/history/sink_sent"), flush=True)
            await clock.sleep(0.02)
    await loading
    keeper.cancel()  # what waits is committed; the next one sends it
    await asyncio.wait([keeper])
    before = historian.stats().committed
    keeper = asyncio.create_task(historian.run(port))
    port.bus.publish(Batch.of([0], [1], clock.now_ns()))
    while historian.stats().committed == before:
        await clock.sleep(0.01)
    while await historian.beside_store(feed.waiting):
        await clock.sleep(0.01)
    ended = await historian.beside_store(feed.place)
    for task in (sender, keeper):
        task.cancel()
        await asyncio.wait([task])
    print("end", ended)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
