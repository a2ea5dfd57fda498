"""`ironworks drivers record`: what goes over the connections of a driver, as a file for Wireshark."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drivers.asking import RunningOption, ask

if TYPE_CHECKING:
    from runtime.client import PlantClient

EMPTY = 24  # the head of a file


def record(
    name: Annotated[str, typer.Argument(help="Driver, a client or a server.")],
    out: Annotated[Path, typer.Option("--output", "--out", "-o", help="File to write: NAME.pcap.")],
    duration: Annotated[str, typer.Option("--for", help="How long, at most 10min.")] = "30s",
    most: Annotated[int, typer.Option("--most", help="MiB that the file may have.", min=1, max=256)] = 16,
    peer: Annotated[
        str, typer.Option(help="Connections with this address only, or address:port; see `drivers top NAME`.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the audit trail.")] = "",
    plant: RunningOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Record what goes over a driver's connections, for Wireshark (engineer; Ctrl-C ends it early).

    Bytes, times and addresses are real, packets are made up around them. What OPC UA encrypts stays
    encrypted, of TLS nothing is recorded; everything else can be read in the file.
    """
    from runtime.config import parse_duration_ns
    from runtime.errors import PlantError
    from runtime.recording import LONGEST_NS

    try:
        for_ns = parse_duration_ns(duration)
    except ValueError as exc:
        raise PlantError(f"--for: {exc}") from exc
    if not 100_000_000 <= for_ns <= LONGEST_NS:
        raise PlantError(f"--for: {duration} is out of range", "from 100ms to 10min")

    size = 0

    async def work(client: PlantClient) -> None:
        nonlocal size
        async with aclosing(client.record(name, for_ns, most * 1024 * 1024, reason, peer)) as pieces:
            first = await anext(pieces, b"")  # a refusal leaves no file
            with out.open("wb") as file:
                size += file.write(first)
                async for piece in pieces:
                    size += file.write(piece)
                    file.flush()

    try:
        ask(plant, work)
    except KeyboardInterrupt:
        if not size:
            raise
    if as_json:
        typer.echo(json.dumps({"driver": name, "file": str(out), "bytes": size}))
    else:
        typer.echo(f"{size} bytes in {out}")
        if size <= EMPTY:
            text = "nothing went over a connection, or all of it within TLS, of which nothing is recorded"
            typer.echo(f"{text}: see `ironworks drivers top {name}`", err=True)


NEEDS: dict[str, tuple[str, ...]] = {"record": ("POST /components/{name}/record",)}
