"""`ironworks console`: the operator console on a running plant."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Language(StrEnum):
    """A language of the console."""

    EN = "en"
    ZH = "zh"


def console(
    plant: Annotated[
        Path | None, typer.Option(help="Plant folder or file; without it, the plant that runs.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of a plant on another port or machine.")] = None,
    user: Annotated[str | None, typer.Option(help="Plant user, with --url; asks for the secret.")] = None,
    secret: Annotated[
        str | None, typer.Option(envvar="IRONWORKS_SECRET", help="Secret of the user.", show_default=False)
    ] = None,
    lang: Annotated[Language | None, typer.Option(help="Language; the terminal's without it.")] = None,
    screenshot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every screen as SVG into a folder and leave.")
    ] = None,
) -> None:
    """Open the operator console on a running plant."""
    from runtime.client import PlantClient, find
    from tui.console import run, take_screenshots

    endpoint = find(url or plant)
    if user and secret is None:
        secret = typer.prompt(f"Secret of {user}", hide_input=True)
    if screenshot is None:
        run(endpoint, lang.value if lang else None, user, secret)
        return
    import asyncio

    pictures = asyncio.run(take_screenshots(lambda: PlantClient(endpoint, user, secret)))
    screenshot.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (screenshot / name).write_text(picture, encoding="utf-8")
        typer.echo(screenshot / name)
