"""`ironworks bench bus`: updates through table, bus, three subscribers and historian."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.bench.report import Figure
    from runtime.contract import Port
    from runtime.historian import Historian

GOAL = 1_000_000
AHEAD = 500_000
TIMEOUT_S = 300.0


def bench(
    tags: Annotated[int, typer.Option(min=1, help="Number of tags.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="Batches of that many values.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Updates per second through table, bus, three subscribers and historian, on one core."""
    from runtime.bench.report import report

    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder), tags, rounds))
    report("bus", figures, as_json)


class Source:
    """Submits batches of noise for all tags, no further ahead of the disk than `AHEAD` values."""

    name = "load"

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.done = asyncio.Event()
        self.seconds = 0.0
        self.historian: Historian | None = None

    def _on_disk(self) -> int:
        return self.historian.stats().committed if self.historian else 0

    async def run(self, port: Port) -> None:
        import numpy as np

        from runtime.clock import SECOND_NS, monotonic_ns
        from runtime.contract import Batch

        ids = np.array([tag.id for tag in port.tags if tag.source == self.name], np.int32)
        noise = np.random.default_rng(1)
        waves = [noise.normal(50, 5, len(ids)).view(np.uint64) for _ in range(16)]
        await port.history(ids[:1], 0, 1)  # answers once the store is open
        start_ns, before = port.clock.now_ns(), self._on_disk()
        began_ns = monotonic_ns()
        for number in range(self.rounds):
            port.submit(Batch.of(ids, waves[number % 16], start_ns + number * SECOND_NS // 10))
            await port.clock.sleep(0)
            while (number + 1) * len(ids) - (self._on_disk() - before) > AHEAD:
                await port.clock.sleep(0.001)
        while self._on_disk() - before < self.rounds * len(ids):
            await port.clock.sleep(0.001)
        self.seconds = (monotonic_ns() - began_ns) / 1e9
        self.done.set()
        await asyncio.Event().wait()


class Subscriber:
    """Takes every change of every tag, the newest per tag."""

    def __init__(self, number: int) -> None:
        self.name = f"subscriber{number}"
        self.seen = 0

    async def run(self, port: Port) -> None:
        changes = port.changes(port.tags.select("**"))
        async for batch in changes:
            self.seen += len(batch)


async def _measure(folder: Path, tags: int, rounds: int) -> list[Figure]:
    from runtime.assembly import assemble
    from runtime.bench.load import plant_of
    from runtime.bench.report import Figure
    from runtime.kernel import Kernel

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    assembly = assemble(plant_of(folder, tags, Source.name))
    source = Source(rounds)
    subscribers = [Subscriber(number) for number in range(3)]
    kernel = Kernel(assembly, extra=[source, *subscribers])
    source.historian = kernel.historian
    stop = asyncio.Event()
    life = asyncio.create_task(kernel.run(stop))
    await asyncio.wait_for(source.done.wait(), TIMEOUT_S)
    stop.set()
    await life
    updates = tags * rounds
    dropped = kernel.historian.stats().dropped if kernel.historian else 0
    seen = min(each.seen for each in subscribers)
    return [
        Figure("updates, bus to disk", updates / source.seconds, "updates/s", GOAL, compared_with="one core"),
        Figure("taken by the slowest subscriber", seen, "updates", updates),
        Figure("values lost", kernel.bus.overflow + dropped, "values", 0, at_least=False),
    ]
