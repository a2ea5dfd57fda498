"""`ironworks drivers probe`: find out what a Modbus device has, and write it as a tag list."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from drivers.modbus.probe import FoundUnit
    from drivers.modbus.ways import Connect

_TABLES = "0134"
_SMALL = 256


def probe(
    target: Annotated[str, typer.Argument(help="Driver of the plant, host[:port], or /dev/...")],
    units: Annotated[str, typer.Option(help="Unit ids, such as 1-10,20.")] = "1",
    tables: Annotated[
        str, typer.Option(help="0 coils, 1 discrete inputs, 3 input registers, 4 holding registers.")
    ] = _TABLES,
    first: Annotated[int, typer.Option(min=1, max=65536, help="First place of each table.")] = 1,
    last: Annotated[int, typer.Option(min=1, max=65536, help="Last place of each table.")] = 1000,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Try every place of what is refused; up to 256 it is done anyway."),
    ] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Requests per second at most.")] = 20.0,
    limit: Annotated[int, typer.Option(min=1, help="Requests at most.")] = 10_000,
    timeout: Annotated[float, typer.Option(min=0.01, max=60, help="Seconds to wait for an answer.")] = 0.5,
    rtu: Annotated[bool, typer.Option("--rtu", help="RTU within TCP.")] = False,
    baud: Annotated[int, typer.Option(help="Of a serial device.")] = 19200,
    parity: Annotated[str, typer.Option(help="Of a serial device: even, odd or none.")] = "even",
    csv: Annotated[Path | None, typer.Option(help="Write a tag table that can go into tags.csv.")] = None,
    name: Annotated[str, typer.Option(help="Driver of the tags, where none is named.")] = "device",
    plant: Annotated[Path | None, typer.Option("--plant", "-p", help="Plant folder or file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find which units of a Modbus device answer, and which tables and ranges can be read; it only reads."""
    from drivers.modbus.address import Table
    from drivers.modbus.probe import Probe, tags_of
    from runtime.clock import WallClock
    from runtime.config import write_tags
    from runtime.errors import ConnectError, PlantError
    from runtime.tagmerge import check_place, for_spreadsheets, put_text

    if csv is not None:
        check_place(csv)
    wanted = _units(units)
    if not tables or set(tables) - set(_TABLES):
        raise PlantError(f"--tables {tables!r}", "name some of 0, 1, 3 and 4, such as --tables 34")
    if first > last:
        raise PlantError(f"--first {first} is behind --last {last}", "swap them")
    line = {"baud": baud, "parity": parity}
    way, device = _way(target, name, plant, timeout, line, rtu=rtu)
    shown = not as_json and sys.stderr.isatty()

    def tell(text: str) -> None:
        if shown:
            typer.echo(f"\r\x1b[K{text}", nl=False, err=True)

    async def search() -> tuple[list[FoundUnit], int]:
        from drivers.frame.connection import Traffic

        transport = await way(Traffic(), lambda: None)
        grain = 1 if thorough or last - first < _SMALL else 8
        looking = Probe(transport, WallClock(), rate=rate, limit=limit, grain=grain, tell=tell)
        chosen = [table for table in Table if str(table.digit) in tables]
        try:
            found: list[FoundUnit] = []
            for unit in wanted:
                tell(f"unit {unit}")
                try:
                    one = await looking.unit(unit, chosen, first - 1, last - 1)
                except ConnectError as exc:
                    if not found:
                        raise
                    found[-1].note = found[-1].note or f"ended early, at unit {unit}: {exc.text}"
                    break
                found += [] if one is None else [one]
            return found, looking.requests
        finally:
            transport.close()

    found, requests = asyncio.run(search())
    tell("")
    tags = tags_of(found, device)
    if csv is not None:
        put_text(csv, for_spreadsheets(write_tags(tags, "")))
    if as_json:
        rows = [_told(each) for each in found]
        typer.echo(json.dumps({"device": device, "requests": requests, "units": rows}, ensure_ascii=False))
        return
    for line_ in _lines(found):
        typer.echo(line_)
    if not found:
        typer.echo(f"no answer from {'unit' if len(wanted) == 1 else 'units'} {units}")
    if csv is not None:
        typer.echo(f"{len(tags)} tags of {device} are in {csv}")


def _told(found: FoundUnit) -> dict[str, object]:
    from drivers.modbus.identity import NAMES
    from drivers.modbus.probe import reference

    identity = {
        NAMES[number] if number < len(NAMES) else str(number): text for number, text in found.identity.items()
    }
    ranges = [
        [reference(table, place) for place in run] for table in found.values for run in found.ranges(table)
    ]
    return {"unit": found.unit, "identity": identity, "ranges": ranges, "note": found.note}


def _lines(found: list[FoundUnit]) -> list[str]:
    lines = []
    for each in found:
        told: dict[str, Any] = _told(each)
        about = ", ".join(f"{name} {text}" for name, text in told["identity"].items())
        lines.append(f"unit {each.unit}" + (f": {about}" if about else ""))
        lines += [
            f"    {first} to {last}" if first != last else f"    {first}" for first, last in told["ranges"]
        ]
        if not told["ranges"]:
            lines.append("    answers, but refuses every place that was tried")
        if each.note:
            lines.append(f"    {each.note}")
    return lines


def _units(text: str) -> list[int]:
    from runtime.errors import PlantError

    units: list[int] = []
    for part in text.split(","):
        begin, dash, end = part.strip().partition("-")
        if not begin.isdigit() or (dash and not end.isdigit()) or len(begin) > 3 or len(end) > 3:
            raise PlantError(f"--units {text!r}", "write them like 1-10,20")
        units += range(int(begin), int(end or begin) + 1)
    if not units or max(units) > 255:
        raise PlantError(f"--units {text!r}: unit ids are 0 to 255", "write them like 1-10,20")
    return list(dict.fromkeys(units))


def _way(
    target: str, name: str, plant: Path | None, timeout_s: float, line: dict[str, Any], *, rtu: bool
) -> tuple[Connect, str]:
    """Return how to connect, and the name of the driver."""
    from pydantic import ValidationError

    from drivers.cli import driver_of, plant_of
    from drivers.modbus.client import ClientConfig, ways_of
    from runtime.errors import PlantError

    host, _, port = target.rpartition(":") if target.count(":") == 1 else (target, "", "")
    if target.startswith("/") or port or "." in target or target == "localhost":
        place: dict[str, Any] = {"serial": {"device": target, **line}}
        if not target.startswith("/"):
            place = {"host": host, "framing": "rtu" if rtu else "tcp"} | ({"port": port} if port else {})
        given = {"name": name, "kind": "modbus.client", "timeout": f"{timeout_s * 1000:.0f}ms"}
        try:
            config = ClientConfig.model_validate(given | place)
        except ValidationError as exc:
            error = exc.errors()[0]
            where = " ".join(str(each) for each in error["loc"])
            raise PlantError(
                f"{target}: {where}: {error['msg'].removeprefix('Value error, ')}",
                "such as 192.168.0.10:502, /dev/ttyUSB0",
            ) from exc
        return ways_of(Path(), config)[0], name
    found = plant_of(plant)
    config = driver_of(found, target, "modbus.client", ClientConfig)
    return ways_of(found.folder, config)[0], config.name


NEEDS: dict[str, tuple[str, ...]] = {"probe": ()}
