"""`ironworks drivers`: figures, recordings and tags of connections; a server's variables and certificate."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from drivers.capture import record
from drivers.exchange import export, import_
from drivers.modbus.cli import probe
from drivers.opcua.nodesets.command import nodeset
from drivers.top import top

if TYPE_CHECKING:
    from drivers.opcua.client.browse import Listing
    from drivers.opcua.client.section import ClientConfig
    from drivers.opcua.server import OpcuaServerConfig
    from drivers.opcua.trust import Shown
    from runtime.config import DriverConfig, Plant

Config = TypeVar("Config", bound="DriverConfig")
app = typer.Typer(
    no_args_is_help=True,
    help="Connections: figures, recordings, tags as CSV; browse, probe, trust a certificate.",
)

for _command in (top, record, export):
    app.command()(_command)
app.command("import")(import_)

PlantOption = Annotated[Path | None, typer.Option("--plant", "-p", help="Plant folder or file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def browse(
    target: Annotated[str, typer.Argument(help="Driver of the plant, or opc.tcp://host:port.")],
    start: Annotated[str, typer.Option("--from", help="Node to begin at, such as ns=2;s=Line.")] = "i=85",
    csv: Annotated[Path | None, typer.Option(help="Write a tag table that can go into tags.csv.")] = None,
    name: Annotated[
        str, typer.Option(help="Driver that the tags are of, where a URL is browsed.")
    ] = "server",
    plant: PlantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List an OPC UA server's variables as tags, with type, access, unit, range and address."""
    from runtime.config import write_tags
    from runtime.tagmerge import check_place, for_spreadsheets, put_text

    if csv is not None:
        check_place(csv)
    found, device = asyncio.run(_browse(target, start, name, plant))
    if csv is not None:
        put_text(csv, for_spreadsheets(write_tags(found.tags, "")))
    if as_json:
        rows = [
            {"path": tag.path, "type": tag.data_type.iec, "access": tag.access.value, "address": tag.address}
            for tag in found.tags
        ]
        typer.echo(
            json.dumps({"device": device, "tags": rows, "left_out": found.left_out}, ensure_ascii=False)
        )
        return
    if csv is None:
        for tag in found.tags:
            typer.echo(f"{tag.path:40} {tag.data_type.iec:7} {tag.access.value:3} {tag.address}")
    else:
        typer.echo(f"{len(found.tags)} tags of {device} are in {csv}")
    for reason, count in found.left_out.items():
        typer.echo(f"left out: {count} {reason}", err=True)


@app.command()
def trust(
    name: Annotated[str, typer.Argument(help="Driver of kind opcua.client or opcua.server.")],
    fingerprint: Annotated[
        str, typer.Argument(help="How the SHA-256 begins; without it all are listed.")
    ] = "",
    file: Annotated[Path | None, typer.Option(help="Trust a certificate, or authority, from a file.")] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Trust it no more.")] = False,
    plant: PlantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trust a certificate that was refused at first, a server's or a client's; compare its SHA-256 there."""
    from drivers.opcua.client.section import folder_of
    from drivers.opcua.trust import TrustList
    from runtime.errors import PlantError

    found = plant_of(plant)
    opcua_driver(found, name)
    known = TrustList(folder_of(found.state, name))
    if file is not None:
        changed = [known.add(file)]
    elif withdraw and not fingerprint:
        raise PlantError(
            "which one?", f"ironworks drivers trust {name} lists them; name how its SHA-256 begins"
        )
    elif fingerprint:
        changed = [known.withdraw(fingerprint) if withdraw else known.accept(fingerprint)]
    else:
        changed = []
    shown = known.list()
    if as_json:
        typer.echo(json.dumps({"driver": name, "certificates": [_told(each) for each in shown]}))
        return
    for each in changed:
        word = "is trusted no more" if withdraw else "is trusted; it can connect within seconds"
        typer.echo(f"{each.subject} {word}")
    if not changed:
        for each in shown:
            told = _told(each)
            typer.echo(f"{'trusted ' if each.trusted else 'rejected'} {told['until']} {told['subject']}")
            typer.echo(f"         {told['fingerprint']}")
        if not shown:
            typer.echo(f"{name} has met nobody with a certificate yet")


@app.command()
def renew(
    name: Annotated[str, typer.Argument(help="Driver of kind opcua.client or opcua.server.")],
    plant: PlantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new certificate for an OPC UA driver; the other side must trust it by the next connection."""
    from drivers.opcua.certificate import renew_certificate
    from drivers.opcua.client.connect import way_of
    from drivers.opcua.client.section import folder_of
    from drivers.opcua.server import OpcuaServerConfig
    from drivers.opcua.trust import fingerprint

    found = plant_of(plant)
    config = opcua_driver(found, name)
    if isinstance(config, OpcuaServerConfig):
        folder, uri, title = folder_of(found.state, name), config.uri_of(found.name), config.application_name
        other, when = "clients", "within seconds"
    else:
        way = way_of(found, config)
        folder, uri, title = way.folder, way.uri, f"Ironworks {name}"
        other, when = "the server", "from its next connection on"
    file, der, until = renew_certificate(folder, uri, title)
    if as_json:
        told = {
            "driver": name,
            "file": str(file),
            "fingerprint": fingerprint(der),
            "until": f"{until:%Y-%m-%d}",
        }
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{file} is valid until {until:%Y-%m-%d}; its SHA-256 is {fingerprint(der)}")
    typer.echo(f"let {other} trust it; {name} shows it {when}")


def _told(shown: Shown) -> dict[str, object]:
    return {
        "trusted": shown.trusted,
        "subject": shown.subject,
        "uris": list(shown.uris),
        "until": f"{shown.until:%Y-%m-%d}",
        "fingerprint": shown.fingerprint,
    }


async def _browse(target: str, start: str, name: str, plant: Path | None) -> tuple[Listing, str]:
    from drivers.frame.address import AddressError
    from drivers.frame.connection import Traffic
    from drivers.opcua.client.address import parse_node
    from drivers.opcua.client.browse import listing
    from drivers.opcua.client.connect import Way, open_session, way_of
    from drivers.opcua.client.login import NOBODY, login
    from drivers.opcua.client.section import ClientConfig, check_url
    from runtime.clock import WallClock
    from runtime.errors import ConnectError, PlantError

    try:
        node = parse_node(start)
    except AddressError as exc:
        raise PlantError(f"--from {start!r}: {exc.text}", exc.remedy) from exc
    if target.startswith("opc.tcp:"):
        try:
            urls = [check_url(target)]
        except ValueError as exc:
            raise PlantError(str(exc)) from exc
        who, device = NOBODY, name
        way = Way(name, "urn:ironworks:browse", "None", False, Path(), 5.0)
    else:
        found = plant_of(plant)
        config = driver_of(found, target, "opcua.client", ClientConfig)
        urls, device = config.urls, config.name
        way, who = way_of(found, config), login(found.folder, config)
    failure: ConnectError | None = None
    for url in urls:
        try:
            session = await open_session(url, way, who, Traffic(), WallClock())
        except ConnectError as exc:
            failure = failure or exc
            continue
        try:
            await session.learn()
            node_id = session.node_id(node)
            if node_id is None:
                raise PlantError(
                    f"--from {start!r}: the server has no such namespace", "see `nsu=` in its list"
                )
            return await listing(session, node_id, device), device
        finally:
            await session.close(politely=True)
    assert failure is not None
    raise ConnectError(f"{urls[0]}: {failure.text}", failure.remedy or "is it up, and does it listen there?")


def plant_of(target: Path | None) -> Plant:
    """Return the head of a plant, without its tags.

    Raises:
        PlantError: there is none.
    """
    from runtime.config import Plant, PlantFile, TagList, load_model
    from runtime.endpoint import plant_file
    from runtime.errors import PlantError

    file = plant_file(target)
    if file is None:
        raise PlantError("no plant here", "give --plant FOLDER, or go into its folder")
    head, document = load_model(PlantFile, file)
    return Plant(file, head, document, TagList([]), {}, ())


def driver_of(plant: Plant, name: str, kind: str, model: type[Config]) -> Config:
    """Return the section of a driver of one kind.

    Raises:
        PlantError: the plant has no such driver.
    """
    from difflib import get_close_matches

    from runtime.config import validate
    from runtime.errors import PlantError

    clients = {}
    for index, each in enumerate(plant.head.drivers):
        if each.get("kind") == kind:
            clients[str(each.get("name"))] = index
        elif each.get("name") == name:
            raise PlantError(f"{name} is of kind {each.get('kind')}", f"this is for kind {kind}")
    if name not in clients:
        close = get_close_matches(name, clients, 1)
        known = ", ".join(clients) or "none"
        raise PlantError(
            f"{plant.file} has no {kind} {name!r}",
            f"did you mean {close[0]!r}?"
            if close
            else f"there are: {known}; the address of a device or server will do too",
        )
    return validate(model, plant.document, "drivers", clients[name])


def opcua_driver(plant: Plant, name: str) -> ClientConfig | OpcuaServerConfig:
    """Return the section of an OPC UA client or server.

    Raises:
        PlantError: the plant has no such driver.
    """
    from difflib import get_close_matches

    from drivers.opcua.client.section import ClientConfig
    from drivers.opcua.server import OpcuaServerConfig
    from runtime.errors import PlantError

    kinds = {str(each.get("name")): str(each.get("kind")) for each in plant.head.drivers}
    known = [each for each, kind in kinds.items() if kind in ("opcua.client", "opcua.server")]
    if name not in known and name in kinds:
        raise PlantError(f"{name} is of kind {kinds[name]}", "this is for opcua.client and opcua.server")
    if name not in known:
        close = get_close_matches(name, known, 1)
        remedy = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"
        raise PlantError(f"{plant.file} has no OPC UA client or server {name!r}", remedy)
    if kinds[name] == "opcua.server":
        return driver_of(plant, name, "opcua.server", OpcuaServerConfig)
    return driver_of(plant, name, "opcua.client", ClientConfig)


app.command()(nodeset)
app.command()(probe)
NEEDS: dict[str, tuple[str, ...]] = {"browse": (), "renew": (), "trust": ()}
