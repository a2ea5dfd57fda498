"""`ironworks console`: the operator console on a running plant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def console(
    plant: Annotated[
        str | None, typer.Option("--plant", "-p", help="Plant folder or file; else the only running plant.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of a plant on another port or machine.")] = None,
    user: Annotated[
        str | None,
        typer.Option(
            envvar="IRONWORKS_USER", help="Plant user; the secret is $IRONWORKS_SECRET, or asked for."
        ),
    ] = None,
    lang: Annotated[str | None, typer.Option(help="Language, en or zh; the terminal's without it.")] = None,
    screenshot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every screen as SVG into a folder and leave.")
    ] = None,
) -> None:
    """Open the operator console on a running plant."""
    from runtime.client import PlantClient, find
    from runtime.logins import kept_session
    from tui.console import run, take_screenshots

    endpoint = find(url or plant)
    secret = os.environ.get("IRONWORKS_SECRET") if user else None
    if user and not secret:
        secret = typer.prompt(f"Secret of {user}", hide_input=True)

    def connect() -> PlantClient:  # a session that was opened since then counts as well
        return PlantClient(endpoint, user, secret, token=None if user else kept_session(endpoint))

    if screenshot is None:
        run(connect, lang)
        return
    import asyncio

    pictures = asyncio.run(take_screenshots(connect))
    screenshot.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (screenshot / name).write_text(picture, encoding="utf-8")
        typer.echo(screenshot / name)
