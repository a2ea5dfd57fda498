"""`ironworks drivers nodeset`: the address space of an OPC UA server as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drivers.opcua.server import OpcuaServerConfig
    from runtime.config import Plant

_DRIVER = "opcua.server"


def nodeset(
    name: Annotated[str, typer.Argument(help="Driver of kind opcua.server.")],
    out: Annotated[Path, typer.Option("--output", "--out", "-o", help="File to write.")],
    plant: Annotated[Path | None, typer.Option("--plant", "-p", help="Plant folder or file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the address space of an OPC UA server as NodeSet2 XML: tags, PLC, machines, types that they need.

    Nothing is started; the program of the PLC is compiled. Values, and alarms, are a running plant's alone.
    """
    from drivers.opcua.nodesets.export import export
    from runtime.endpoint import plant_file
    from runtime.errors import PlantError
    from runtime.testing import VirtualPlant

    file = plant_file(plant)
    if file is None:
        raise PlantError("no plant here", "give --plant FOLDER, or go into its folder")
    virtual = VirtualPlant(file)
    text, count = export(virtual.plant, _server(virtual.plant, name), virtual.outline)
    try:
        out.write_text(text, "utf-8")
    except OSError as exc:
        raise PlantError(f"{out}: {exc.strerror}", "name a file that can be written") from exc
    if as_json:
        typer.echo(json.dumps({"driver": name, "file": str(out), "nodes": count}))
    else:
        typer.echo(f"{count} nodes of {name} are in {out}")


def _server(plant: Plant, name: str) -> OpcuaServerConfig:
    from difflib import get_close_matches

    from drivers.opcua.server import OpcuaServerConfig
    from runtime.config import validate
    from runtime.errors import PlantError

    servers: dict[str, int] = {}
    for index, each in enumerate(plant.head.drivers):
        if each.get("kind") == _DRIVER:
            servers[str(each.get("name"))] = index
        elif each.get("name") == name:
            raise PlantError(f"{name} is of kind {each.get('kind')}", f"this is for kind {_DRIVER}")
    if name not in servers:
        close = get_close_matches(name, servers, 1)
        remedy = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(servers) or 'none'}"
        raise PlantError(f"{plant.file} has no OPC UA server {name!r}", remedy)
    return validate(OpcuaServerConfig, plant.document, "drivers", servers[name])


NEEDS: dict[str, tuple[str, ...]] = {"nodeset": ()}
