"""`ironworks chaos modbus`: the Modbus client against a device that freezes, dies, moves and hangs."""

from __future__ import annotations

from typing import Annotated

import typer


def modbus(
    times: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses how long each thing lasts.")] = 1,
    rtu: Annotated[bool, typer.Option("--rtu", help="RTU within TCP, whose answers have no number.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Freeze, kill, move, cut and slow down a Modbus device; its client must be back within 10 s."""
    from drivers.chaos.cli import run
    from drivers.modbus.chaos.campaign import campaign

    framing = "rtu" if rtu else "tcp"
    run(lambda folder, tell: campaign(folder, times, seed, tell, framing=framing), as_json)


NEEDS: dict[str, tuple[str, ...]] = {"modbus": ()}
