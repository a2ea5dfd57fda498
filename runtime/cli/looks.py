"""Commands that look again and again: how often, and until when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import ask
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.client import PlantClient

EveryOption = Annotated[str, typer.Option(help="Time between two looks.")]
OnceOption = Annotated[bool, typer.Option("--once", help="Look once, then end.")]
_LEAST_NS = 50_000_000


def every_of(text: str, longest: str = "1h") -> int:
    """Return the time between two looks in ns.

    Raises:
        PlantError: it is no duration, or out of range.
    """
    from runtime.config import parse_duration_ns

    try:
        every_ns = parse_duration_ns(text)
    except ValueError as exc:
        raise PlantError(f"--every: {exc}") from exc
    if not _LEAST_NS <= every_ns <= parse_duration_ns(longest):
        raise PlantError(f"--every: {text} is out of range", f"from 50ms to {longest}")
    return every_ns


def seconds_of(text: str | float) -> float:
    """Return the seconds of an option such as `10min`; a bare number is seconds."""
    from runtime.config import parse_duration_ns

    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_duration_ns(str(text)) / 1e9
        except ValueError as exc:
            raise typer.BadParameter(str(exc)) from exc
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{text} is no time to run for")
    return seconds


async def ticks(every_ns: int, once: bool) -> AsyncIterator[None]:
    """Yield at once, then at equal times; a late one is dropped."""
    from runtime.clock import WallClock

    clock = WallClock()
    due_ns = clock.steady_ns()
    while True:
        yield
        if once:
            return
        due_ns = max(due_ns + every_ns, clock.steady_ns())
        await clock.sleep_until(due_ns)


def until_interrupted(plant: str | None, work: Callable[[PlantClient], Awaitable[None]]) -> None:
    """Work with a plant until that ends, or a person ends it."""
    try:
        ask(plant, work)
    except KeyboardInterrupt:
        return
