"""`ironworks audit`: who tried to change what, and what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.cli.session import JsonOption, PlantOption, ask, print_json, print_table, show, show_time

app = typer.Typer(help="The audit trail.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Keep `list` a sub-command, so that others can stand beside it."""


@app.command("list")
def list_entries(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Print attempts to write, acknowledge or restart, newest first."""
    entries = ask(plant, lambda client: client.audit(limit))
    if json:
        print_json(entries)
        return
    rows = [
        (
            show_time(each.at_ns),
            f"{each.actor} ({each.role}, {each.via})",
            each.action,
            each.target,
            f"{show(each.old)} -> {show(each.new)}",
            each.outcome,
            each.detail or each.reason,
        )
        for each in entries
    ]
    print_table(("time", "who", "action", "target", "change", "outcome", "why"), rows)
