"""What the commands share that ask a running plant."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from runtime.client import PlantClient

T = TypeVar("T")
RunningOption = Annotated[
    str | None,
    typer.Option(
        "--plant",
        "-p",
        "--url",
        help="Plant folder, plant file or URL (https://anna@gateway:8420); else the only running plant.",
    ),
]


def ask(plant: str | None, work: Callable[[PlantClient], Awaitable[T]]) -> T:
    """Run `work` with a client of the plant.

    Raises:
        ConnectError: the plant does not run.
    """
    import asyncio

    from runtime.client import PlantClient
    from runtime.endpoint import find
    from runtime.logins import credentials

    def secret_of(user: str) -> str:
        return str(typer.prompt(f"Secret of {user}", hide_input=True, err=True))

    endpoint = find(plant)
    who = credentials(endpoint, ask=secret_of if sys.stdin.isatty() else None)

    async def session() -> T:
        async with PlantClient(endpoint, **who) as client:
            return await work(client)

    return asyncio.run(session())
