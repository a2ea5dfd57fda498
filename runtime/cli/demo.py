"""`ironworks demo`: a shipped plant, its kernel as a child process, the console in front."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.cli.looks import seconds_of

if TYPE_CHECKING:
    from runtime.endpoint import Endpoint

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


def demo(
    name: Annotated[str, typer.Argument(help="Which demo plant.")] = "bottling",
    headless: Annotated[bool, typer.Option("--headless", help="No console; figures as JSON last.")] = False,
    seconds: Annotated[
        float,
        typer.Option(
            "--for",
            parser=seconds_of,
            metavar="DURATION",
            help="How long a headless demo runs once it is live: 20s, 10min; a bare number is seconds.",
        ),
    ] = 20.0,
    lang: Annotated[str | None, typer.Option(help="Language of the console: en or zh.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the plant there, not in a temporary folder.")
    ] = None,
) -> None:
    """Run a demo plant: PLC, twin behind Modbus TCP, OPC UA, console. `q` or Ctrl-C stops everything."""
    from runtime import registry
    from runtime.cli.layout import copy_plant
    from runtime.clock import monotonic_ns
    from runtime.errors import PlantError

    if not headless and not (sys.stdin.isatty() and sys.stdout.isatty()):
        remedy = f"open one, or print figures instead: ironworks demo --headless --for {seconds:g}"
        raise PlantError("the console needs a terminal", remedy)
    started_ns = monotonic_ns()
    source = registry.load("demos", name)
    with tempfile.TemporaryDirectory(prefix="ironworks-demo-") as temporary:
        plant = (folder or Path(temporary) / name).resolve()
        if not (plant / "plant.yaml").exists():
            copy_plant(source, plant)
        with running(plant) as (endpoint, child):
            if headless:
                import asyncio

                figures = asyncio.run(_headless(endpoint, child, seconds, started_ns))
            else:
                console = registry.load("commands", "console")
                console(plant=plant, lang=lang)
                return
    typer.echo(json.dumps(figures))
    if not figures["produced"]:
        raise typer.Exit(1)


@contextmanager
def running(plant: Path) -> Iterator[tuple[Endpoint, subprocess.Popen[bytes]]]:
    """Run a plant in a child process that ends with us; yields once its API answers.

    Raises:
        PlantError: it ended, or did not answer in time; with what it said.
    """
    from runtime.clock import monotonic_ns
    from runtime.endpoint import find
    from runtime.errors import ConnectError, PlantError

    with tempfile.TemporaryFile() as said:
        command = [sys.executable, "-m", "runtime.cli", "run", str(plant), "--attached"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        try:
            endpoint: Endpoint | None = None
            began_ns = monotonic_ns()
            while endpoint is None:
                try:
                    child.wait(0.02)
                except subprocess.TimeoutExpired:
                    pass
                else:
                    said.seek(0)
                    text = said.read().decode(errors="replace").strip()
                    raise PlantError(
                        text.removeprefix("error: ") or f"the plant ended with code {child.returncode}"
                    )
                try:
                    endpoint = find(plant)
                except ConnectError:
                    if (monotonic_ns() - began_ns) / 1e9 > START_TIMEOUT_S:
                        raise
            yield endpoint, child
        finally:
            _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.stdin:
        child.stdin.close()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        import psutil

        head = psutil.Process(child.pid)
        head.suspend()  # so that it starts no more while its children are counted
        family = [*head.children(recursive=True), head]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        child.wait()
        psutil.wait_procs(family[:-1], STOP_TIMEOUT_S)  # a compiler would still write into the folder


async def _headless(
    endpoint: Endpoint, child: subprocess.Popen[bytes], seconds: float, started_ns: int
) -> dict[str, Any]:
    """Let the line run for so many seconds once it is live, then gather what it did.

    A line that does not come to life in `START_TIMEOUT_S` is given no more time. `alarms_raised` are names.

    Raises:
        PlantError: the kernel ended early.
    """
    from runtime.client import PlantClient
    from runtime.clock import WallClock, monotonic_ns
    from runtime.errors import PlantError

    clock = WallClock()
    first_live_s: float | None = None
    end_ns = monotonic_ns() + round((START_TIMEOUT_S + seconds) * 1e9)
    async with PlantClient(endpoint) as client:
        while monotonic_ns() < end_ns:
            if child.poll() is not None:
                raise PlantError(
                    f"the plant ended early, with code {child.returncode}",
                    "see ironworks logs",
                )
            if first_live_s is None:
                tags = await client.tags()
                live = any(tag.quality == 0 and tag.device == tag.source != "" for tag in tags)
                if live:
                    first_live_s = round((monotonic_ns() - started_ns) / 1e9, 3)
                    end_ns = monotonic_ns() + round(seconds * 1e9)
            await clock.sleep(0.05 if first_live_s is None else 0.25)
        values = {tag.path: tag.value for tag in await client.tags()}
        health = await client.health()
        journal = await client.alarm_journal(limit=1000)
        raised = [entry.alarm for entry in journal if entry.transition == "raised"]
        info = await client.info()
    bottles = values.get(f"{info.root}/line/bottles_total") or 0
    return {
        "produced": bool(bottles),
        "bottles": bottles,
        "scans": values.get("sys/plc/scans"),
        "overruns": values.get("sys/plc/overruns"),
        "scan_p50_us": values.get("sys/plc/scan_p50_us"),
        "scan_p99_us": values.get("sys/plc/scan_p99_us"),
        "tag_updates": health.bus.updates,
        "samples_stored": health.history.committed if health.history else 0,
        "alarms_raised": raised,
        "start_to_live_s": first_live_s,
        "ran_s": seconds,
    }
