"""`ironworks chaos opcua`: the OPC UA client against a server that freezes, dies and hangs."""

from __future__ import annotations

from typing import Annotated

import typer


def opcua(
    times: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses how long each thing lasts.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Freeze, kill, move, cut and slow down an OPC UA server; its client must be back within 10 s."""
    from drivers.chaos.cli import run
    from drivers.opcua.chaos.campaign import campaign

    run(lambda folder, tell: campaign(folder, times, seed, tell), as_json)


NEEDS: dict[str, tuple[str, ...]] = {"opcua": ()}
