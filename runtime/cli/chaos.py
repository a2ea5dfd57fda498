"""`ironworks chaos kill|disk|simulate`: campaigns that prove what the kernel promises, by seed.

Packages bring campaigns of their own: entry points of `ironworks.campaigns`.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime import registry
from runtime.cli.broken import load_command
from runtime.cli.session import JsonOption, print_json

if TYPE_CHECKING:
    from runtime.chaos.report import Report

app = typer.Typer(help="Torment a plant and look whether it keeps its promises.", no_args_is_help=True)
SeedOption = Annotated[int, typer.Option(help="Chooses what happens; timing stays the machine's.")]


@app.command()
def kill(
    times: Annotated[int, typer.Option(min=1, help="How many kills.")] = 2000,
    seed: SeedOption = 1,
    lean: Annotated[
        bool, typer.Option("--lean", help="Only a kernel, without the demo plant's processes.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Kill every process of a plant under load, at random instants; what was confirmed must be there."""
    from runtime.chaos.kill import campaign

    folder = Path(tempfile.mkdtemp(prefix="ironworks-chaos-"))
    _end(_play(lambda tell: campaign(folder, times, seed, tell, whole=not lean), json), folder, json)


@app.command()
def disk(
    times: Annotated[int, typer.Option(min=1, help="How many faults and losses of power.")] = 500,
    seed: SeedOption = 1,
    json: JsonOption = False,
) -> None:
    """Let the disk of a plant under load be full, fail, tear pages and lose power; needs a C compiler."""
    from runtime.chaos.disk import campaign

    folder = Path(tempfile.mkdtemp(prefix="ironworks-chaos-"))
    _end(_play(lambda tell: campaign(folder, times, seed, tell), json), folder, json)


@app.command()
def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 1000,
    first: Annotated[int, typer.Option(help="The first of them; --seeds 1 plays one again.")] = 1,
    json: JsonOption = False,
) -> None:
    """Play the kernel on a virtual clock with faults by seed; a seed plays the same way every time."""
    from runtime.chaos.simulate import play_all

    _end(play_all(range(first, first + seeds), _tell(json)), None, json)


def _play(work: Callable[[Callable[[Report], None]], Coroutine[Any, Any, Report]], json: bool) -> Report:
    """Return the report of a campaign; where it is ended from outside, of its rounds so far."""
    so_far: list[Report] = []
    shown = _tell(json)

    def tell(report: Report) -> None:
        so_far[:] = [report]
        shown(report)

    async def play() -> Report:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work(tell)

    try:
        return asyncio.run(play())
    except (KeyboardInterrupt, asyncio.CancelledError):
        if not so_far:
            raise typer.Exit(1) from None
        typer.echo("ended from outside: this is of the rounds so far", err=True)
        return so_far[0]


def _tell(json: bool) -> Callable[[Report], None]:
    shown = not json and sys.stderr.isatty()

    def tell(report: Report) -> None:
        if shown:
            typer.echo(f"\r{report.rounds} rounds, {len(report.findings)} findings", nl=False, err=True)

    return tell


def _end(report: Report, folder: Path | None, json: bool) -> None:
    if folder is not None and report.findings:
        report.kept = str(folder)
    elif folder is not None:
        shutil.rmtree(folder)
    if json:
        print_json(report.as_dict())
    else:
        print("\n".join(report.lines()))
    if report.findings:
        raise typer.Exit(1)


for _name in registry.names("campaigns"):
    app.command(_name)(load_command("campaigns", _name))
