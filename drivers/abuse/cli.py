"""`ironworks chaos abuse`: every server of a plant under attack, while good clients are served."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drivers.abuse.report import Report


def abuse(
    times: Annotated[int, typer.Option(min=1, help="How many attacks, ten seconds each.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses what they send.")] = 1,
    only: Annotated[str, typer.Option(help="Only the attacks whose name has this in it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Attack the OPC UA, Modbus and HTTP servers of a plant; good clients must be served throughout."""
    from drivers.abuse.campaign import ATTACKS, campaign

    attacks = {name: attack for name, attack in ATTACKS.items() if only.casefold() in name.casefold()}
    if not attacks:
        raise typer.BadParameter(f"no attack has {only!r} in its name; there are: {', '.join(ATTACKS)}")
    shown = not as_json and sys.stderr.isatty()
    so_far: list[Report] = []

    def tell(report: Report) -> None:
        so_far[:] = [report]
        if shown:
            typer.echo(f"\r{report.rounds} attacks, {len(report.findings)} findings", nl=False, err=True)

    with tempfile.TemporaryDirectory(prefix="ironworks-chaos-") as folder:
        try:
            report = asyncio.run(campaign(Path(folder), times, seed, tell, attacks))
        except KeyboardInterrupt:
            if not so_far:
                raise typer.Exit(1) from None
            typer.echo("ended from outside: this is of the attacks so far", err=True)
            report = so_far[0]
    typer.echo(json.dumps(report.as_dict()) if as_json else "\n".join(report.lines()))
    if not report.ok:
        raise typer.Exit(1)


NEEDS: dict[str, tuple[str, ...]] = {"abuse": ()}
"""A campaign against a plant's servers, on this machine."""
