"""`ironworks bench opcua`: a plant's OPC UA server beside asyncua's own, both with the same clients."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drivers.bench.raw import RawClient
    from runtime.bench.report import Figure

_VALUES = 1000  # in one read
_PERIOD_MS = 50.0  # a new value of each watched tag, and the publishing interval
_SETTLE_S = 1.0
_LISTENS_WITHIN_S = 120.0
_RATIO = 25.0
_STOCK_WATCHED = 500  # of more it cannot keep up with the changes, and answers nobody
_FEW = 100
_EXPOSED, _EXPOSED_S, _EXPOSED_KB = 50_000, 3.0, 2.5
_COMMITS, _COMMITS_PERCENT = 500_000, 5.0


def bench(
    clients: Annotated[int, typer.Option(min=1, help="Clients that subscribe.")] = 10,
    watched: Annotated[
        int, typer.Option(min=1, help="Tags that each subscribes to, new every 50 ms.")
    ] = 5000,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each measurement takes.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Values read and notified by the OPC UA server of a running plant, beside stock asyncua.

    Each server has a process of its own, ours is a whole plant with simulated tags; the clients are in
    this process and decode no more than they count. Of the stock server, which is busy with less, they watch
    500 tags each.
    """
    from runtime.bench.report import report

    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        report("opcua", _measure(Path(folder), clients, watched, seconds), as_json)


@dataclass(frozen=True, slots=True)
class _Rates:
    """Values per second, and how much of a processor the server took for it."""

    per_s: float
    cpu: float

    @property
    def per_cpu_s(self) -> float:
        return self.per_s / max(self.cpu, 1e-3)


def _measure(folder: Path, clients: int, watched: int, seconds: float) -> list[Figure]:
    from runtime.bench.report import Figure

    tags = max(watched, _VALUES)
    with _plant(folder / "plant", tags, watched) as (url, pid):
        ours = asyncio.run(_served(url, pid, clients, watched, seconds))
        secure = asyncio.run(_served(url, pid, clients, watched, seconds, folder / "client"))
    fewer = min(watched, _STOCK_WATCHED)
    with _stock(tags, fewer) as (url, pid):
        stock = asyncio.run(_served(url, pid, clients, fewer, seconds))
    read, notified = 0, 1
    figures = [
        Figure("values read", ours[read].per_s, "values/s", compared_with=_cpu(ours[read])),
        Figure("values read, stock", stock[read].per_s, "values/s", compared_with=_cpu(stock[read])),
        Figure("values read, ratio", ours[read].per_s / stock[read].per_s, "", _RATIO),
        Figure("values read, encrypted", secure[read].per_s, "values/s", compared_with=_cpu(secure[read])),
        Figure("notifications", ours[notified].per_s, "values/s", compared_with=_cpu(ours[notified])),
        Figure(
            "notifications, stock", stock[notified].per_s, "values/s", compared_with=_cpu(stock[notified])
        ),
        Figure("notifications, ratio", ours[notified].per_s / stock[notified].per_s, "", _RATIO),
        Figure("notifications, ratio a CPU second", ours[notified].per_cpu_s / stock[notified].per_cpu_s, ""),
        Figure(
            "notifications, encrypted",
            secure[notified].per_s,
            "values/s",
            compared_with=_cpu(secure[notified]),
        ),
    ]
    return [*figures, *_exposed()]


def _cpu(rates: _Rates) -> str:
    return f"server {100 * rates.cpu:.0f} % of a core"


async def _served(
    url: str, pid: int, clients: int, watched: int, seconds: float, secure: Path | None = None
) -> tuple[_Rates, _Rates]:
    from drivers.bench.raw import RawClient

    reader = RawClient(url, secure)
    await reader.open()
    reader.read(_VALUES)
    read = await _rate([reader], pid, seconds)
    await reader.close()
    watchers = [RawClient(url, secure) for _ in range(clients)]
    for each in watchers:
        await each.open()
        await each.watch(watched, _PERIOD_MS)
    notified = await _rate(watchers, pid, seconds)
    for each in watchers:
        with contextlib.suppress(TimeoutError, ConnectionError):  # a stock server that is behind answers late
            await asyncio.wait_for(each.close(), 10)
    return read, notified


async def _rate(clients: list[RawClient], pid: int, seconds: float) -> _Rates:
    from runtime.bench.processes import Family
    from runtime.clock import WallClock, monotonic_ns

    clock, family = WallClock(), Family(pid)
    await clock.sleep(_SETTLE_S)
    before, cpu_s, began_ns = sum(each.values for each in clients), family.cpu_s(), monotonic_ns()
    await clock.sleep(seconds)
    took_s = (monotonic_ns() - began_ns) / 1e9
    values = sum(each.values for each in clients) - before
    return _Rates(values / took_s, (family.cpu_s() - cpu_s) / took_s)


@contextlib.contextmanager
def _plant(folder: Path, tags: int, changing: int) -> Iterator[tuple[str, int]]:
    """Run a plant with an OPC UA server; give its URL and process."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir()
    rows = [
        f"unit{number // 100}/signal{number % 100},REAL,0,100,bench,"
        f"{'sine(20s)' if number < changing else ''},none"
        for number in range(tags)
    ]
    (folder / "tags.csv").write_text("\n".join(["path,type,low,high,source,address,retention", *rows]) + "\n")
    (folder / "plant.yaml").write_text(
        "plant: bench\nroot: bench/area/line\napi: {port: null}\ndrivers:\n"
        f"  - {{name: bench, kind: simulated, period: {_PERIOD_MS:.0f}ms}}\n"
        f"  - {{name: opcua, kind: opcua.server, port: {port},\n"
        "     security: [None, Basic256Sha256]}\n"
    )
    command = [sys.executable, "-m", "runtime.cli", "run", str(folder / "plant.yaml")]
    with _ended(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)) as child:
        _until_listening(port, child)
        yield f"opc.tcp://127.0.0.1:{port}/", child.pid


def _until_listening(port: int, child: subprocess.Popen[bytes]) -> None:
    import socket
    import time

    from runtime.clock import monotonic_ns
    from runtime.errors import ConnectError

    until_ns = monotonic_ns() + round(_LISTENS_WITHIN_S * 1e9)
    while child.poll() is None and monotonic_ns() < until_ns:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise ConnectError("the server of the bench does not listen", "run `ironworks doctor`")


@contextlib.contextmanager
def _stock(tags: int, changing: int) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "drivers.bench.stock", str(tags), str(changing), str(_PERIOD_MS)]
    with _ended(subprocess.Popen(command, stdout=subprocess.PIPE)) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        yield f"opc.tcp://127.0.0.1:{port}/", child.pid


@contextlib.contextmanager
def _ended(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with child:  # waits for it at last, and so must know that it ends
        try:
            yield child
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(20)
        finally:
            child.kill()


def _exposed() -> list[Figure]:
    """Start a server over very many tags, and one over few to compare; commit values to it."""
    import json

    from runtime.bench.report import Figure

    def run(tags: int, commits: int) -> dict[str, float]:
        command = [sys.executable, "-m", "drivers.bench.exposed", str(tags), str(commits)]
        told: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return told

    few, many = run(_FEW, 0), run(_EXPOSED, 2 * _COMMITS)
    each_kb = (many["rss"] - few["rss"]) / (_EXPOSED - _FEW) / 1000
    about = f"{_EXPOSED:,} tags"
    return [
        Figure(
            "from start to listening", many["seconds"], "s", _EXPOSED_S, at_least=False, compared_with=about
        ),
        Figure("memory for each tag", each_kb, "kB", _EXPOSED_KB, at_least=False, compared_with=about),
        Figure(
            "memory for each tag, walked",
            (many["walked"] - few["walked"]) / (_EXPOSED - _FEW) / 1000,
            "kB",
            _EXPOSED_KB,
            at_least=False,
            compared_with=f"{many['nodes']:,.0f} nodes browsed",
        ),
        Figure(
            f"CPU for {_COMMITS:,} commits/s",
            100 * many["cpu_s"] / 2,
            "% of a core",
            _COMMITS_PERCENT,
            at_least=False,
            compared_with="nobody subscribes",
        ),
    ]
