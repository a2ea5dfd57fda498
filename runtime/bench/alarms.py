"""`ironworks bench alarms`: a flood through a whole kernel, from value to journaled alarm."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.bench.report import Figure
    from runtime.contract import Port
    from runtime.kernel import Kernel

GOAL_MS = 200.0
TIMEOUT_S = 60.0
STEPS_A_SECOND = 100
SETTLE_S = 2.0


def bench(
    alarms: Annotated[int, typer.Option(min=1, help="Number of alarm definitions.")] = 10_000,
    flood: Annotated[int, typer.Option(min=1, help="Alarms that are raised.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=0.1, help="Within this time.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """A flood of alarms among thousands: none lost, and how long from value to disk."""
    from runtime.bench.report import report

    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder), alarms, min(flood, alarms), seconds))
    report("alarms", figures, as_json)


class Field:
    """Gives every tag a normal value, then raises the alarms of a flood, spread evenly."""

    name = "load"

    def __init__(self, flood: int, seconds: float) -> None:
        self.flood = flood
        self.seconds = seconds
        self.submitted_ns: dict[str, int] = {}
        self.done = asyncio.Event()

    async def run(self, port: Port) -> None:
        import numpy as np

        from runtime.clock import SECOND_NS
        from runtime.contract import Batch, DataType

        ids = np.array([tag.id for tag in port.tags if tag.source == self.name], np.int32)
        normal, high = (DataType.REAL.encode(value) for value in (50.0, 95.0))
        port.submit(Batch.of(ids, [normal] * len(ids), port.clock.now_ns()))
        await port.clock.sleep(SETTLE_S)
        chosen = np.random.default_rng(1).permutation(ids)[: self.flood]
        steps = max(1, round(self.seconds * STEPS_A_SECOND))
        began_ns = port.clock.steady_ns()
        for step, part in enumerate(np.array_split(chosen, steps)):
            await port.clock.sleep_until(began_ns + step * SECOND_NS // STEPS_A_SECOND)
            if not len(part):
                continue
            now_ns = port.clock.now_ns()
            self.submitted_ns |= {port.tags[id_].path: now_ns for id_ in part.tolist()}
            port.submit(Batch.of(part, [high] * len(part), now_ns))
        self.done.set()
        await asyncio.Event().wait()


class Watcher:
    """Notes when each raised alarm is told, which is after its commit."""

    name = "watcher"

    def __init__(self) -> None:
        self.told_ns: dict[str, int] = {}

    async def run(self, port: Port) -> None:
        async for event in port.events("alarm.raised"):
            self.told_ns.setdefault(event.data["alarm"]["tag"], port.clock.now_ns())


async def _measure(folder: Path, alarms: int, flood: int, seconds: float) -> list[Figure]:
    import numpy as np

    from runtime.assembly import assemble
    from runtime.bench.load import plant_of
    from runtime.bench.report import Figure
    from runtime.kernel import Kernel

    file = plant_of(folder, alarms, Field.name, head="alarms: alarms.csv\n")
    rows = (f"a{n},unit{n // 100}/signal{n % 100},high,90,2,Signal {n} is high" for n in range(alarms))
    lines = ["name,tag,kind,limit,deadband,text", *rows]
    file.with_name("alarms.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    field, watcher = Field(flood, seconds), Watcher()
    kernel = Kernel(assemble(file), extra=[field, watcher])
    stop = asyncio.Event()
    life = asyncio.create_task(kernel.run(stop))
    try:
        await asyncio.wait_for(field.done.wait(), SETTLE_S + seconds + TIMEOUT_S)
        async with asyncio.timeout(TIMEOUT_S):
            while len(watcher.told_ns) < flood:
                await kernel.clock.sleep(0.05)
    finally:
        stop.set()
        await life
    lost = flood - await _journaled(kernel, flood)
    late_ms = [(watcher.told_ns[path] - at_ns) / 1e6 for path, at_ns in field.submitted_ns.items()]
    p50, p99 = np.percentile(late_ms, [50, 99])
    return [
        Figure("alarm definitions", alarms, "alarms"),
        Figure("alarms raised", flood, "alarms", compared_with=f"within {seconds:g} s"),
        Figure("alarms lost", lost, "alarms", 0, at_least=False),
        Figure("value to journaled alarm, median", float(p50), "ms"),
        Figure("value to journaled alarm, p99", float(p99), "ms", GOAL_MS, at_least=False),
    ]


async def _journaled(kernel: Kernel, flood: int) -> int:
    """Return how many alarms the journal says were raised."""
    entries = await kernel.journal.alarm_log(10 * flood)
    return len({each.alarm for each in entries if each.transition == "raised" and each.alarm[1:].isdigit()})
