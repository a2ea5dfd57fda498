"""Follow a plant through lost connections: come back, and take up what was missed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from msgspec import Struct

from runtime.client import PlantClient
from runtime.clock import WallClock
from runtime.contract import Clock
from runtime.errors import ConnectError
from runtime.wire import Message, Place

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 10.0


class Interrupted(Struct, frozen=True):
    """The plant does not answer: nothing comes until it does."""

    text: str


async def follow(
    client: PlantClient,
    tags: Sequence[str] = (),
    *,
    alarms: bool = False,
    components: bool = False,
    interval_ms: int = 200,
    every: bool = False,
    clock: Clock | None = None,
) -> AsyncGenerator[Message | Interrupted, None]:
    """Yield what `PlantClient.stream` does; after an interruption, what was missed and then what changes.

    Values that were missed are the newest of each tag; with `every`, each that the history has, and a `Gap`
    where it has not all. Transitions of alarms come as `Missed`.

    Raises:
        PlantError: the plant refuses: the request is wrong, or the user or token is not in force any more.
    """
    clock = clock or WallClock()
    place = Place()
    wait_s = FIRST_RETRY_S
    options: dict[str, Any] = {"interval_ms": interval_ms, "every": every, "place": place}
    while True:
        try:
            async with aclosing(client.stream(tags, alarms, components, **options)) as messages:
                async for message in messages:
                    wait_s = FIRST_RETRY_S
                    yield message
        except ConnectError as exc:
            yield Interrupted(exc.text)
            await clock.sleep(wait_s)
            wait_s = min(wait_s * 2, LAST_RETRY_S)
