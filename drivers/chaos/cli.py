"""What the commands of all campaigns share: play, show how far it is, report."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from drivers.chaos.campaign import Recoveries

Play = Callable[[Path, Callable[["Recoveries"], None]], Awaitable["Recoveries"]]


def run(play: Play, as_json: bool) -> None:
    """Play a campaign in a folder of its own, and print its report; findings end the command with 1."""
    shown = not as_json and sys.stderr.isatty()
    so_far: list[Recoveries] = []

    def tell(report: Recoveries) -> None:
        so_far[:] = [report]
        if shown:
            text = f"\r{report.rounds} rounds, {len(report.findings)} findings"
            typer.echo(text, nl=False, err=True)

    async def main(folder: Path) -> Recoveries:
        return await play(folder, tell)

    with tempfile.TemporaryDirectory(prefix="ironworks-chaos-") as folder:
        try:
            report = asyncio.run(main(Path(folder)))
        except KeyboardInterrupt:
            if not so_far:
                raise typer.Exit(1) from None
            typer.echo("ended from outside: this is of the rounds so far", err=True)
            report = so_far[0]
    typer.echo(json.dumps(report.as_dict()) if as_json else "\n".join(report.lines()))
    if report.findings:
        raise typer.Exit(1)
