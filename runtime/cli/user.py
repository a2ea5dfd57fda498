"""`ironworks user hash`: the line by which plant.yaml knows a secret."""

from __future__ import annotations

import sys

import typer

from runtime.cli.session import JsonOption, print_json
from runtime.errors import PlantError

app = typer.Typer(help="Users of a plant.", no_args_is_help=True)


@app.callback()
def user() -> None:
    """Keep `hash` a sub-command, so that others can stand beside it."""


@app.command("hash")
def hash_command(json: JsonOption = False) -> None:
    """Ask for a secret and print its argon2 line for plant.yaml; reads a line of standard input in a pipe."""
    from runtime.gate.identity import hash_secret

    if sys.stdin.isatty():
        secret = typer.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise PlantError("the secret is empty", "type one, or send one line to standard input")
    line = hash_secret(secret)
    if json:
        print_json({"secret": line})
    else:
        print(f'secret: "{line}"')
