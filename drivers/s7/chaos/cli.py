"""`ironworks chaos s7`: the S7 client against a CPU that freezes, dies, moves and hangs."""

from __future__ import annotations

from typing import Annotated

import typer


def s7(
    times: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses how long each thing lasts.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Freeze, kill, move, cut and slow down an S7 CPU; its client must be back within 10 s."""
    from drivers.chaos.cli import run
    from drivers.s7.chaos.campaign import campaign

    run(lambda folder, tell: campaign(folder, times, seed, tell), as_json)


NEEDS: dict[str, tuple[str, ...]] = {"s7": ()}
