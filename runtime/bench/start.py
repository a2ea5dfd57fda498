"""`ironworks bench start`: seconds to the first live tag, and the memory of all processes."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.endpoint import Endpoint

MEMORY_GOAL_MIB = 300
CPU_GOAL_PERCENT = 15
HEAD = """\
drivers:
  - {kind: simulated, name: device, period: 1s}
  - {kind: opcua.server, name: opcua, port: 0}
plc: {sources: ["*.st"]}
"""
PROGRAM = """\
PROGRAM Main
VAR
    n : UDINT;
    ramp : TON;
END_VAR
n := n + 1;
ramp(IN := NOT ramp.Q, PT := T#1s);
END_PROGRAM
"""


def bench(
    tags: Annotated[int, typer.Option(min=1, help="Number of tags, each new every second.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=0, help="How long it runs before memory is taken.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Seconds to the first live tag; resident memory and CPU of all processes of `ironworks run`."""
    from runtime.bench.load import plant_of
    from runtime.bench.processes import Family
    from runtime.bench.report import Figure, report
    from runtime.cli.demo import running
    from runtime.clock import WallClock, monotonic_ns

    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        file = plant_of(Path(folder), tags, "device", "noise(1s)", HEAD)
        file.with_name("main.st").write_text(PROGRAM, encoding="utf-8")
        live_s = []
        for wait_s in (0.0, seconds):  # the second start finds the PLC compiled
            began_ns = monotonic_ns()
            with running(file) as (endpoint, child):
                live_s.append(asyncio.run(_until_live(endpoint, began_ns)))
                family = Family(child.pid)
                before_s = family.cpu_s()
                asyncio.run(WallClock().sleep(wait_s))
                memory_mib = family.memory_mib()
                cpu = (family.cpu_s() - before_s) / wait_s if wait_s else 0.0
    report(
        "start",
        [
            Figure("first live tag, PLC to be compiled", live_s[0], "s"),
            Figure("first live tag, PLC compiled before", live_s[1], "s"),
            Figure("resident memory, all processes", memory_mib, "MiB", MEMORY_GOAL_MIB, at_least=False),
            Figure("CPU, all processes", cpu * 100, "% of a core", CPU_GOAL_PERCENT, at_least=False),
        ],
        as_json,
    )


async def _until_live(endpoint: Endpoint, began_ns: int) -> float:
    """Return the seconds until a tag of the device is good."""
    from runtime.client import PlantClient
    from runtime.clock import monotonic_ns
    from runtime.wire import Values

    async with PlantClient(endpoint) as client:
        async for message in client.stream(tags=["unit0/*"], interval_ms=50):
            if isinstance(message, Values) and any(quality == 0 for _, _, quality, _ in message.rows):
                break
    return (monotonic_ns() - began_ns) / 1e9
