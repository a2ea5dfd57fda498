"""`ironworks app`: the catalogue, and models of apps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from apps.fitting import History
    from apps.installed import Installed

app = typer.Typer(no_args_is_help=True, help="Apps of a plant and their models.")

PlantOption = Annotated[Path | None, typer.Option("--plant", "-p", help="Plant folder or file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
NameArgument = Annotated[str, typer.Argument(help="Name of the app in the plant.")]


@app.command(name="list")
def list_apps(plant: PlantOption = None, as_json: JsonOption = False) -> None:
    """List the catalogue and, where there is a plant, its apps and their models."""
    from apps.installed import CATALOG, catalog
    from apps.manifest import load_manifest
    from apps.models.registry import check_files
    from runtime.endpoint import plant_file
    from runtime.errors import PlantError

    shipped = []
    for name in catalog():
        manifest, _ = load_manifest(CATALOG / name)
        shipped.append({"app": name, "version": manifest.version, "title": manifest.title.en})
    rows: list[dict[str, Any]] = []
    file = plant_file(plant)
    for each in _installed(file)[0] if file else []:
        row: dict[str, Any] = {"name": each.name, "app": each.manifest.name, "version": each.manifest.version}
        if each.model is not None:
            try:
                card = check_files(each.model)
                row["model"] = card.sha256["model.onnx"][:12] if card else "none yet"
            except PlantError as exc:
                row["model"] = f"damaged: {exc.text}"
        rows.append(row)
    if as_json:
        typer.echo(json.dumps({"catalog": shipped, "installed": rows}))
        return
    typer.echo("catalogue")
    for entry in shipped:
        typer.echo(f"  {entry['app']:20} {entry['version']:8} {entry['title']}")
    if file:
        typer.echo(f"in {file}" + ("" if rows else ": none"))
    for row in rows:
        model = f"model {row['model']}" if "model" in row else ""
        typer.echo(f"  {row['name']:20} {row['app']} {row['version']:8} {model}")


@app.command()
def fit(
    name: NameArgument,
    plant: PlantOption = None,
    start: Annotated[str, typer.Option("--from", help="-2h, or an ISO 8601 time.")] = "-2h",
    end: Annotated[str, typer.Option("--to", help="now, -10min, or an ISO 8601 time.")] = "now",
    virtual: Annotated[
        str | None, typer.Option("--virtual", help="Play the plant so long in virtual time instead.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", help="PATH=LOW..HIGH: set a tag anew every 10 min of virtual time."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an app's model from normal history, and say how it does on the part held out."""
    from apps.fit import fit_app
    from runtime.endpoint import plant_file
    from runtime.errors import PlantError

    file = plant_file(plant)
    if file is None:
        raise PlantError("no plant is named", "say which with --plant")
    installed = _named(file, name)
    if virtual is None and vary:
        raise PlantError("--vary goes with --virtual", "nobody sets a running plant's tags for a fit")
    if virtual is not None:
        plant_name, reads, history = _played(file, installed, virtual, vary or [])
    else:
        plant_name, reads, history = _recalled(file, installed, start, end)
    card, made = fit_app(installed, plant_name, reads, history)
    assert installed.model is not None
    if as_json:
        result = {
            "app": name,
            "model": str(installed.model),
            "sha256": card.sha256,
            "samples": card.samples,
            "report": dict(made.report),
            "limit": made.facts.get("limit"),
            "excluded": [each.why for each in history.excluded],
            "notes": list(made.notes),
        }
        typer.echo(json.dumps(result))
        return
    typer.echo(f"{name}: model {card.sha256['model.onnx'][:12]} in {installed.model}")
    for key, value in made.report.items():
        typer.echo(f"  {key:24} {value}")
    for each in history.excluded:
        typer.echo(f"  left out around alarm {each.why}")
    for note in made.notes:
        typer.echo(f"  note: {note}")
    typer.echo("a plant that runs takes it over with: ironworks config apply")


@app.command(name="test")
def verify_model(name: NameArgument, plant: PlantOption = None, as_json: JsonOption = False) -> None:
    """Ask an app's model its golden vectors; fails when it answers otherwise than when it was made."""
    from apps.models.onnx import load_model, verify
    from apps.models.registry import read_golden
    from runtime.endpoint import plant_file
    from runtime.errors import PlantError

    file = plant_file(plant)
    if file is None:
        raise PlantError("no plant is named", "say which with --plant")
    installed = _named(file, name)
    if installed.model is None:
        raise PlantError(f"{name} has no model", "there is nothing to test")
    model = load_model(installed.model)
    golden = read_golden(installed.model)
    worst = verify(model, golden, installed.model)
    if as_json:
        typer.echo(json.dumps({"app": name, "ok": True, "vectors": len(golden), "deviation": worst}))
    else:
        typer.echo(f"{name}: {len(golden)} golden vectors hold, greatest deviation {worst:.1e}")


def _installed(file: Path) -> tuple[list[Installed], str]:
    """Return the enabled apps of a plant file, and the plant's name."""
    from apps.installed import AppList, resolve
    from runtime.config import PlantFile, load_model, validate

    head, document = load_model(PlantFile, file)
    if "apps" not in document.data:
        return [], head.plant
    return resolve(file.parent, validate(AppList, document, "apps").root, document), head.plant


def _named(file: Path, name: str) -> Installed:
    from runtime.errors import PlantError

    installed, _ = _installed(file)
    for each in installed:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in installed) or "none"
    raise PlantError(
        f"{file} has no app {name!r}; there are: {known}", f"add `- app: {name}` below `apps:` in it"
    )


def _played(
    file: Path, installed: Installed, duration: str, vary: list[str]
) -> tuple[str, list[str], History]:
    from apps.fit import Variation, play, reads_of
    from runtime.clock import SECOND_NS
    from runtime.config import parse_duration_ns
    from runtime.errors import PlantError

    try:
        seconds = parse_duration_ns(duration) / SECOND_NS
    except ValueError as exc:
        raise PlantError(f"--virtual: {exc}") from exc
    variations = [Variation.parse(each) for each in vary]
    with typer.progressbar(length=round(seconds), label="playing the plant", file=_stderr()) as bar:
        for step in play(file, installed, seconds, variations):
            if isinstance(step, tuple):
                plant, history = step
                return plant.name, reads_of(plant.tags, plant.root, installed), history
            bar.update(round(step) - bar.pos)
    raise AssertionError("the play ended without its history")


def _recalled(file: Path, installed: Installed, start: str, end: str) -> tuple[str, list[str], History]:
    import asyncio

    from apps.fit import recall
    from runtime.client import PlantClient
    from runtime.endpoint import find
    from runtime.logins import credentials

    endpoint = find(file)

    async def ask() -> tuple[str, list[str], History]:
        async with PlantClient(endpoint, **credentials(endpoint)) as client:
            now_ns = (await client.info()).now_ns
            return await recall(client, installed, _time(start, now_ns), _time(end, now_ns))

    return asyncio.run(ask())


def _time(text: str, now_ns: int) -> int:
    """Return the ns of `now`, `-2h` or an ISO 8601 time."""
    from datetime import datetime

    from runtime.config import parse_duration_ns
    from runtime.errors import PlantError

    try:
        if text == "now":
            return now_ns
        if text.startswith("-"):
            return now_ns - parse_duration_ns(text[1:])
        at_ns = round(datetime.fromisoformat(text).astimezone().timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError, OSError) as exc:
        raise PlantError(f"{text!r} is not a time", "write now, -2h, or 2026-05-01T08:00:00") from exc
    if abs(at_ns) >= 1 << 63:
        raise PlantError(f"{text!r} is out of range", "times go from 1678 to 2261")
    return at_ns


def _stderr() -> Any:
    import sys

    return sys.stderr


NEEDS: dict[str, tuple[str, ...]] = {"fit": ("GET /info", "GET /history"), "list": (), "test": ()}
