"""`ironworks bench connections`: a plant whose tags all come through connections, over a long time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.bench.soak import SETTLE_HELP, slope_of, spans_s, watch

if TYPE_CHECKING:
    from drivers.bench.raw import RawClient
    from runtime.bench.report import Figure
    from runtime.endpoint import Endpoint

_MEMORY_MIB = 300.0
_READY_S = 120.0
_LIVE_S = 300.0
_LOOK_S = 30.0
_LINKS = ("left", "right", "server")
_HEAD = """\
plant: connections
root: {root}
api: {{port: null}}
drivers:
  - {{kind: modbus.client, name: left, host: 127.0.0.1, port: {left}, period: 1s}}
  - {{kind: modbus.client, name: right, host: 127.0.0.1, port: {right}, period: 1s}}
  - {{kind: opcua.client, name: server, urls: ["opc.tcp://127.0.0.1:{peer}"], period: 1s}}
  - {{kind: opcua.server, name: opcua, port: {own}, security: [None]}}
plc: {{sources: ["*.st"]}}
"""


@dataclass
class _Watched:
    """What was seen of the links while the bench ran.

    Attributes:
        counters: reconnects and timeouts of each link, as they were when it began.
        lost: how often a link was seen off line, or the subscriber was not served.
    """

    counters: dict[str, int] = field(default_factory=dict)
    now: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    not_good: int = 0
    notified: int = 0

    def grown(self, what: str) -> int:
        """Return how much a counter of all links has grown."""
        return sum(self.now[f"{link}/{what}"] - self.counters[f"{link}/{what}"] for link in _LINKS)


def bench(
    tags: Annotated[
        int, typer.Option(min=100, max=14_000, help="Number of tags, each new every second.")
    ] = 10_000,
    duration: Annotated[str, typer.Option("--for", help="How long, such as 10min or 2h.")] = "10min",
    settle: Annotated[str | None, typer.Option(help=SETTLE_HELP)] = None,
    samples: Annotated[Path | None, typer.Option(help="Write the samples to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Memory and reconnects of a plant with two Modbus clients, an OPC UA client and a subscribed server.

    Its devices are in a process of their own, and the client that subscribes to every tag is in this one.
    """
    from runtime.bench.report import report

    try:
        long_s, settle_s = spans_s(duration, settle)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder), tags, settle_s, long_s, samples))
    report("connections", figures, as_json)
    if any(figure.name == "reconnects" and not figure.holds for figure in figures):
        raise typer.Exit(1)


async def _measure(
    folder: Path, tags: int, settle_s: float, long_s: float, samples: Path | None
) -> list[Figure]:
    import numpy as np

    from drivers.abuse.running import running
    from drivers.bench.raw import RawClient
    from drivers.opcua.chaos.process import free_port
    from runtime.bench.processes import Family

    ports = [free_port() for _ in range(4)]
    share = tags * 35 // 100
    _write(folder / "plant", tags, share, ports)
    settings = {"modbus": ports[:2], "opcua": ports[2], "registers": share, "nodes": tags - 2 * share}
    async with _peers(settings), running(folder / "plant") as (endpoint, child):
        await _until_live(endpoint, tags)
        subscriber = RawClient(f"opc.tcp://127.0.0.1:{ports[3]}/")
        await subscriber.open()
        await subscriber.watch(tags, 1000.0)
        seen = _Watched()
        looking = asyncio.create_task(_look(endpoint, subscriber, seen, settle_s, min(_LOOK_S, long_s / 4)))
        watching = asyncio.create_task(watch(Family(child.pid), settle_s, long_s))
        await asyncio.wait({looking, watching}, return_when=asyncio.FIRST_COMPLETED)
        if looking.done():  # it ends by an error only
            await looking
        rows = await watching
        looking.cancel()
        await _take(endpoint, seen)
        with contextlib.suppress(TimeoutError, ConnectionError):
            await asyncio.wait_for(subscriber.close(), 10)
    table = np.array(rows)
    if samples:
        head = "seconds,resident_mib,cpu_seconds"
        np.savetxt(samples, table, "%.3f", ",", header=head, comments="")
    return _figures(table, seen)


def _figures(table: Any, seen: _Watched) -> list[Figure]:
    from runtime.bench.report import Figure

    at_s, memory_mib, cpu_s = table.T
    long_s = float(at_s[-1] - at_s[0])
    slope, noise = slope_of(at_s / 3600, memory_mib)
    share = 100 * float(cpu_s[-1] - cpu_s[0]) / long_s
    return [
        Figure("time watched", long_s, "s"),
        Figure("resident memory, greatest", float(memory_mib.max()), "MiB", _MEMORY_MIB, at_least=False),
        Figure("CPU, all processes", share, "% of a core"),
        Figure(
            "slope of memory", slope, "MiB/h", noise, at_least=False, compared_with="noise: 95 % interval"
        ),
        Figure("values notified", seen.notified / long_s, "values/s"),
        Figure("timeouts", seen.grown("timeouts"), ""),
        Figure(
            "reconnects", seen.grown("reconnects"), "", 0, at_least=False, compared_with="nothing was cut"
        ),
        Figure(
            "links seen lost", len(seen.lost), "", 0, at_least=False, compared_with="; ".join(seen.lost[:3])
        ),
        Figure("tags that are not good at the end", seen.not_good, "", 0, at_least=False),
    ]


def _write(folder: Path, tags: int, share: int, ports: list[int]) -> None:
    from drivers.bench.peers import path_of, register_of
    from drivers.bench.raw import ROOT
    from runtime.bench.start import PROGRAM

    rows = []
    for number in range(tags):
        part, row = min(number // share, 2), number - min(number // share, 2) * share
        address = register_of(row) if part < 2 else f"ns=2;s={ROOT}/{path_of(row)}"
        rows.append(f"{path_of(number)},REAL,0,100,{_LINKS[part]},{_LINKS[part]},{address},standard")
    folder.mkdir(parents=True)
    head = "path,type,low,high,source,device,address,retention"
    (folder / "tags.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    left, right, peer, own = ports
    (folder / "plant.yaml").write_text(
        _HEAD.format(root=ROOT, left=left, right=right, peer=peer, own=own), encoding="utf-8"
    )
    (folder / "main.st").write_text(PROGRAM, encoding="utf-8")


@contextlib.asynccontextmanager
async def _peers(settings: dict[str, Any]) -> AsyncIterator[None]:
    command = (sys.executable, "-m", "drivers.bench.peers", json.dumps(settings))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            if await process.stdout.readline() != b"ready\n":
                raise RuntimeError("the devices of the bench ended before they listened")
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _until_live(endpoint: Endpoint, tags: int) -> None:
    """Wait until every tag is good.

    Raises:
        ConnectError: that takes too long.
    """
    from runtime.clock import WallClock, monotonic_ns
    from runtime.errors import ConnectError

    end_ns = monotonic_ns() + round(_LIVE_S * 1e9)
    while missing := await _not_good(endpoint):
        if monotonic_ns() > end_ns:
            text = f"{missing} of {tags} tags are not good after {_LIVE_S:g} s"
            raise ConnectError(text, "try it with fewer --tags, or on a machine with less to do")
        await WallClock().sleep(1.0)


async def _not_good(endpoint: Endpoint) -> int:
    from runtime.client import PlantClient

    async with PlantClient(endpoint, timeout_s=60) as client:
        return sum(tag.quality >> 30 != 0 for tag in await client.tags("unit*/*"))


async def _take(endpoint: Endpoint, seen: _Watched) -> None:
    """Take the counters of the links."""
    from runtime.client import PlantClient

    async with PlantClient(endpoint, timeout_s=60) as client:
        for tag in await client.tags("sys/drivers/*/*"):
            link, what = tag.path.split("/")[-2:]
            if link in _LINKS and what in ("reconnects", "timeouts"):
                seen.now[f"{link}/{what}"] = int(tag.value or 0)
            if link in _LINKS and what == "online" and not tag.value:
                seen.lost.append(f"{link} is off line")
    if not seen.counters:
        seen.counters = dict(seen.now)
    seen.not_good = await _not_good(endpoint)


async def _look(
    endpoint: Endpoint, subscriber: RawClient, seen: _Watched, settle_s: float, period_s: float
) -> None:
    """Look at the links now and then, until cancelled."""
    from runtime.clock import WallClock

    clock = WallClock()
    await clock.sleep(settle_s)
    began = before = subscriber.values
    await _take(endpoint, seen)
    while True:
        await clock.sleep(period_s)
        await _take(endpoint, seen)
        if subscriber.values == before:
            seen.lost.append("nothing was notified")
        before = subscriber.values
        seen.notified = before - began
