"""`ironworks tags import|export`: the plant's tag table as CSV, with a look before the leap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.session import JsonOption, before_command, print_json

app = typer.Typer(help="The plant's tag table as CSV.", no_args_is_help=True)
app.callback()(before_command)
FolderOption = Annotated[
    str | None, typer.Option("--plant", "-p", help="Plant folder or file; else the one in this folder.")
]


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="CSV to write; standard output without.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The same.")] = None,
    plant: FolderOption = None,
) -> None:
    """Write the plant's tags as CSV.

    Cells stand as they are, so that an import brings the same back; one that begins with = is a formula to a
    spreadsheet.
    """
    if file and output:
        raise typer.BadParameter("the file is named already", param_hint="--output")
    file = file or output
    from runtime.config import write_tags
    from runtime.tagmerge import for_spreadsheets, put_text, table_of

    table = table_of(plant)
    text = write_tags(table.tags(), table.root)
    if file is None:
        print(text, end="")
    else:
        put_text(file, for_spreadsheets(text))
        print(f"{text.count(chr(10)) - 1} tags written to {file}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="CSV", help="Tag table to merge into the plant's.")],
    plant: FolderOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Remove tags that the CSV lacks.")] = False,
    json: JsonOption = False,
) -> None:
    """Put a CSV into the plant's tag table, if the whole plant is right with it; else nothing.

    Tags are merged by path; a column that the CSV lacks stays as it is.
    """
    from runtime.tagmerge import as_data, as_lines, merge, table_of

    table = table_of(plant)
    found, warnings = merge(table, file, replace=replace, dry_run=dry_run)
    for each in warnings:
        typer.echo(str(each), err=True)
    if json:
        print_json(as_data(found, replace=replace, dry_run=dry_run))
        return
    for line in as_lines(table, found, replace=replace, dry_run=dry_run):
        print(line)
