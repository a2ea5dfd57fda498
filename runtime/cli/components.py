"""`ironworks components`: what runs in the kernel, and restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from runtime.cli.session import (
    JsonOption,
    PlantOption,
    ask,
    before_command,
    print_json,
    print_table,
    show_time,
)

if TYPE_CHECKING:
    from runtime.wire import ComponentView

app = typer.Typer(help="Components of the running plant.", no_args_is_help=True)
app.callback()(before_command)


@app.command("list")
def list_components(plant: PlantOption = None, json: JsonOption = False) -> None:
    """List the components and their states."""
    components: tuple[ComponentView, ...] = ask(plant, lambda client: client.components())
    if json:
        print_json(components)
        return
    rows = [(c.name, c.kind, c.state, show_time(c.since_ns), str(c.restarts), c.text) for c in components]
    print_table(("name", "kind", "state", "since", "restarts", "text"), rows)


@app.command()
def restart(name: str, plant: PlantOption = None, json: JsonOption = False) -> None:
    """Stop a component and start it again."""
    component: ComponentView = ask(plant, lambda client: client.restart(name))
    if json:
        print_json(component)
    else:
        print(f"{component.name}: {component.state}")
