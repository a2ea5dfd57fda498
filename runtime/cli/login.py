"""`ironworks login` and `logout`: a session at a plant, kept in a private file of this account."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import JsonOption, PlantOption, ask_secret, print_json, show_time
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.logins import SessionMade


def login(
    name: Annotated[str, typer.Argument(help="User of the plant; asked for without it.")] = "",
    oidc: Annotated[
        bool, typer.Option("--oidc", help="By the plant's OpenID Connect issuer, in a browser anywhere.")
    ] = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Log in at a plant: its commands and the console use the session until it ends.

    Asks for the secret, or reads a line of standard input in a pipe.
    """
    from runtime.client import PlantClient
    from runtime.endpoint import find
    from runtime.logins import keep_session

    endpoint = find(plant)
    name = name or endpoint.user or ""
    if not oidc and not name:
        name = typer.prompt("Name", err=True) if sys.stdin.isatty() else ""
        if not name:
            raise PlantError("whose session?", "name the user: ironworks login NAME")
    secret = "" if oidc else ask_secret()

    async def work() -> SessionMade:
        async with PlantClient(endpoint) as client:
            if not oidc:
                return await client.log_in(name, secret)
            way = (await client.login_ways()).oidc
        if way is None:
            raise PlantError("no issuer vouches for people here", "see login: oidc: in plant.yaml")
        from runtime.cli.device import device_login
        from runtime.clock import WallClock

        token = await device_login(way, WallClock())
        async with PlantClient(endpoint, token=token) as client:
            return await client.log_in_by_issuer()

    made = asyncio.run(work())
    keep_session(endpoint, made.session)
    if json:
        print_json(made.view)
    else:
        print(f"{made.view.user} is logged in as {made.view.role}, until {show_time(made.view.expires_ns)}")


def logout(plant: PlantOption = None, json: JsonOption = False) -> None:
    """End the session of this account at a plant, and forget it."""
    from runtime.client import PlantClient
    from runtime.endpoint import find
    from runtime.logins import OVER, keep_session, kept_session

    endpoint = find(plant)
    session = kept_session(endpoint)
    if session is None:
        raise PlantError("nobody is logged in here", "`ironworks login` opens a session")
    told = "logged out"

    async def work() -> None:
        async with PlantClient(endpoint, token=session) as client:
            await client.end_session(session.split("_")[1])

    try:
        asyncio.run(work())
    except PlantError as exc:
        told = f"the session is forgotten here; at the plant it ends by itself: {exc.text}"
        if exc.text == OVER:
            told = "the session had ended already"
    keep_session(endpoint, None)
    if json:
        print_json({"logged_out": True})
    else:
        print(told)
