"""`ironworks console`: the operator console on a running plant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def console(
    plant: Annotated[
        str | None, typer.Option("--plant", "-p", help="Plant folder or file; else the only running plant.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of a plant: https://gateway:8420.")] = None,
    user: Annotated[
        str | None,
        typer.Option(help="Plant user; the secret is asked for, or in $IRONWORKS_SECRET or _SECRET_FILE."),
    ] = None,
    lang: Annotated[str | None, typer.Option(help="Language, en or zh; the terminal's without it.")] = None,
    screenshot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every screen as SVG into a folder and leave.")
    ] = None,
) -> None:
    """Open the operator console on a running plant."""
    import asyncio
    import sys

    from runtime.endpoint import find
    from runtime.errors import PlantError
    from tui.console import run, take_screenshots, words_for
    from tui.seat import Seat

    if screenshot is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        remedy = "open one, or print instead: ironworks watch PATTERN, ironworks alarms list"
        raise PlantError("the console needs a terminal", remedy)
    words_for(lang)
    seat = Seat(
        find(url or plant), user, lambda name: str(typer.prompt(f"Secret of {name}", hide_input=True))
    )
    asyncio.run(seat.take())
    try:
        if screenshot is None:
            run(seat.connect, lang, seat)
            return
        pictures = asyncio.run(take_screenshots(seat.connect))
        screenshot.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            (screenshot / name).write_text(picture, encoding="utf-8")
            typer.echo(screenshot / name)
    finally:
        asyncio.run(seat.leave())


# Commands on its screens ask more, each under the rule of its route.
NEEDS: dict[str, tuple[str, ...]] = {
    "console": (
        "GET /info",
        "GET /tags",
        "GET /alarms",
        "GET /alarms/journal",
        "GET /components",
        "GET /gate",
        "GET /health",
        "GET /history/trend",
        "WS /stream",
    )
}
