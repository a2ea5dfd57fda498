"""`ironworks bench NAME`: measurements, each as a ratio or figure of one run."""

from __future__ import annotations

import typer

from runtime import registry
from runtime.cli.broken import load_command

app = typer.Typer(help="Measure this machine: figures beside their goals.", no_args_is_help=True)
for _name in registry.names("benches"):
    app.command(_name)(load_command("benches", _name))
