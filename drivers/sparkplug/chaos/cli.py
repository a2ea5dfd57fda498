"""`ironworks chaos sparkplug`: edge node and host against a Mosquitto that freezes, dies and hangs."""

from __future__ import annotations

from typing import Annotated

import typer


def sparkplug(
    times: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses how long each thing lasts.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Freeze, kill, move, cut and slow down a Mosquitto; edge node and host must be back within 10 s.

    Nothing that the edge node kept may be lost or come out of turn, and nothing old may be good at the host.
    """
    from drivers.chaos.cli import run
    from drivers.sparkplug.chaos.campaign import campaign

    run(lambda folder, tell: campaign(folder, times, seed, tell), as_json)


NEEDS: dict[str, tuple[str, ...]] = {"sparkplug": ()}
