"""`ironworks drivers export|import`: a driver's part of the plant's tag table, as CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

FolderOption = Annotated[
    str | None, typer.Option("--plant", "-p", help="Plant folder or file; else the one in this folder.")
]


def export(
    name: Annotated[str, typer.Argument(help="Driver of the plant.")],
    csv: Annotated[Path | None, typer.Option(help="File to write; standard output without.")] = None,
    plant: FolderOption = None,
) -> None:
    """Write a driver's tags, with their addresses, as CSV."""
    from runtime.config import write_tags
    from runtime.tagmerge import for_spreadsheets, put_text, table_of

    table = table_of(plant)
    table.check_device(name)
    tags = table.tags(name)
    text = write_tags(tags, table.root)
    if csv is None:
        typer.echo(text, nl=False)
    else:
        put_text(csv, for_spreadsheets(text))
        typer.echo(f"{len(tags)} tags of {name} are in {csv}")


def import_(
    name: Annotated[str, typer.Argument(help="Driver of the plant.")],
    csv: Annotated[Path, typer.Argument(metavar="CSV", help="Its tags, from export or browse.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and show what would change.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove tags of the driver that the CSV lacks.")
    ] = False,
    plant: FolderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Put a driver's tags into the plant's tag table, if the whole plant is right with them; else nothing.

    Tags are merged by path; a column that the CSV lacks stays as it is.
    """
    from runtime.tagmerge import as_data, as_lines, merge, table_of

    table = table_of(plant)
    table.check_device(name)
    found, warnings = merge(table, csv, name, replace=replace, dry_run=dry_run)
    for each in warnings:
        typer.echo(str(each), err=True)
    if as_json:
        typer.echo(json.dumps(as_data(found, replace=replace, dry_run=dry_run), ensure_ascii=False))
        return
    for line in as_lines(table, found, replace=replace, dry_run=dry_run):
        typer.echo(line)


NEEDS: dict[str, tuple[str, ...]] = {"export": (), "import": ()}
