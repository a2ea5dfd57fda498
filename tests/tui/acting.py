"""What an operator does at a console in a test: keys in, text of the screen out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from runtime.clock import monotonic_ns
from tui.console import ConsoleApp
from tui.locale import Words


def seen(app: ConsoleApp) -> str:
    """Return the text that stands on the screen, the topmost dialog included."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


def drive(
    plant,
    script: Callable[..., Awaitable[None]],
    size: tuple[int, int] = (110, 32),
    language: str = "en",
) -> None:
    """Run a script of key presses on a console that is online."""

    async def main() -> None:
        app = ConsoleApp(plant.connect, Words(language))
        app.NOTIFICATION_TIMEOUT = 60
        async with app.run_test(size=size, notifications=True) as pilot:
            await appears(pilot, "● ")
            await script(app, pilot)

    asyncio.run(main())


async def appears(pilot, text: str, seconds: float = 60.0) -> None:
    """Wait until a text is on the screen."""
    end_ns = monotonic_ns() + round(seconds * 1e9)
    while not re.search(text, seen(pilot.app)):
        assert monotonic_ns() < end_ns, f"{text!r} did not appear:\n{seen(pilot.app)}"
        await pilot.pause(0.05)


async def goes(pilot, text: str, seconds: float = 60.0) -> None:
    end_ns = monotonic_ns() + round(seconds * 1e9)
    while re.search(text, seen(pilot.app)):
        assert monotonic_ns() < end_ns, f"{text!r} did not go away:\n{seen(pilot.app)}"
        await pilot.pause(0.05)


async def open_write(pilot) -> None:
    await pilot.press("f4", "slash", *"speed_sp", "enter")
    await appears(pilot, "1 of 30 tags")
    await pilot.press("w")
    await appears(pilot, "Write a value")
