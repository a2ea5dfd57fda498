"""`ironworks twin`: faults, and the plant in virtual time."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from runtime.client import PlantClient

app = typer.Typer(no_args_is_help=True, help="The plant's twin: faults, and hours in seconds.")

PlantOption = Annotated[
    str | None,
    typer.Option(
        "--plant",
        "-p",
        "--url",
        help="Plant folder, plant file or URL (https://anna@gateway:8420); else the only running plant.",
    ),
]
T = TypeVar("T")
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def faults(plant: PlantOption = None, as_json: JsonOption = False) -> None:
    """List the faults of a running plant's twin and their severity."""
    from twin.faults import PREFIX, name_of

    tags = _ask(plant, lambda client: client.tags(f"{PREFIX}**"))
    if as_json:
        typer.echo(json.dumps({name_of(tag.path): tag.value for tag in tags}))
        return
    for tag in tags:
        severity = "?" if tag.value is None else f"{tag.value:.2f}"
        typer.echo(f"{name_of(tag.path):24} {severity:>5}  {tag.description}")


@app.command()
def fault(
    name: Annotated[str, typer.Argument(help="EQUIPMENT.FAULT, such as capper.wear.")],
    severity: Annotated[float, typer.Option(min=0.0, max=1.0, help="How bad it gets.")] = 1.0,
    clear: Annotated[bool, typer.Option("--clear", help="Take the fault away.")] = False,
    plant: PlantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a fault into the running plant, or take it away."""
    from twin.faults import PREFIX, name_of, resolve

    wanted = 0.0 if clear else severity

    async def put(client: PlantClient) -> None:
        known = [name_of(tag.path) for tag in await client.tags(f"{PREFIX}**")]
        await client.write(resolve(name, known), wanted, "ironworks twin fault")

    _ask(plant, put)
    if as_json:
        typer.echo(json.dumps({name: wanted}))
        return
    typer.echo(f"{name}: {'cleared' if wanted == 0 else f'severity {wanted:g}'}")


def _ask(plant: str | None, work: Callable[[PlantClient], Awaitable[T]]) -> T:
    """Run `work` with a client of the plant, as whom `runtime.logins` says."""
    import asyncio

    from runtime.client import PlantClient
    from runtime.endpoint import find
    from runtime.logins import credentials

    def secret_of(user: str) -> str:
        return str(typer.prompt(f"Secret of {user}", hide_input=True, err=True))

    endpoint = find(plant)
    who = credentials(endpoint, ask=secret_of if sys.stdin.isatty() else None)

    async def session() -> T:
        async with PlantClient(endpoint, **who) as client:
            return await work(client)

    return asyncio.run(session())


@app.command()
def run(
    plant: Annotated[
        Path | None, typer.Argument(metavar="PLANT", help="Plant folder; else this one.")
    ] = None,
    named: Annotated[Path | None, typer.Option("--plant", "-p", help="The same, as elsewhere.")] = None,
    duration: Annotated[str, typer.Option("--for", help="Plant time, such as 10min.")] = "10min",
    seed: Annotated[int | None, typer.Option(help="Goes before the model's own.")] = None,
    put: Annotated[list[str] | None, typer.Option("--fault", help="EQUIPMENT.FAULT from the start.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Play the plant with its PLC in virtual time and print what came of it."""
    from twin.play import play

    if plant and named:
        raise typer.BadParameter("the plant is named already", param_hint="--plant")
    result = play(plant or named or Path(), duration, seed, put or [])
    if as_json:
        typer.echo(json.dumps(result))
        return
    speed = result["plant_s"] / result["wall_s"] if result["wall_s"] else 0
    typer.echo(
        f"{result['plant_s']:g} s of plant time in {result['wall_s']:.2f} s ({speed:.0f} times as fast)"
    )
    typer.echo("items     " + "  ".join(f"{key} {value}" for key, value in result["items"].items()))
    for name, figures in result["equipment"].items():
        typer.echo(f"{name:10}" + "  ".join(f"{key} {value:g}" for key, value in figures.items()))
    typer.echo(
        "raised    " + (", ".join(f"{name} {count}" for name, count in result["raised"].items()) or "none")
    )
    typer.echo("alarms    " + (", ".join(result["alarms"]) or "none"))


NEEDS: dict[str, tuple[str, ...]] = {
    "fault": ("GET /tags", "PUT /tags/{path:path}"),
    "faults": ("GET /tags",),
    "run": (),
}
