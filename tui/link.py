"""The connection to the plant: load, follow, and come back after it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from runtime.clock import WallClock
from runtime.contract import Clock
from runtime.errors import ConnectError, PlantError
from runtime.logins import OVER
from runtime.wire import ConfigChange
from tui.client import Client, Connect
from tui.model import PlantModel

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 10.0
HEALTH_S = 2.0
GATE_S = 1.0
SILENT_S = 5.0  # the client waits longer, as an answer may be late; values are not good for so long
STREAM_MS = 200
STREAM_PATHS = 32  # the API takes no more in one subscription


class PlantLink:
    """Keeps the model true while the plant answers, and says so while it does not."""

    def __init__(self, model: PlantModel, connect: Connect, clock: Clock | None = None) -> None:
        self.model = model
        self.clock: Clock = clock or WallClock()
        self._connect = connect
        self._client: Client | None = None
        self._watched: frozenset[int] = frozenset()
        self._paths: tuple[str, ...] = ()
        self._rewatch = asyncio.Event()
        self._asked_ns = 0  # when the answer that is not there was asked for; 0: none is

    @property
    def client(self) -> Client:
        """The plant, for questions and commands.

        Raises:
            ConnectError: it does not answer now.
        """
        if self._client is None and self.model.over:
            raise ConnectError(OVER, "sign in: press i")
        if self._client is None:
            raise ConnectError("the plant does not answer", "wait until it is online again")
        return self._client

    def watch(self, ids: Iterable[int]) -> None:
        """Follow these tags from now on, and no others."""
        wanted = frozenset(ids)
        if wanted == self._watched:
            return
        self._watched = wanted
        self._paths = tuple(self.model.tags[id_].path for id_ in sorted(wanted))
        self.model.watch(wanted)
        self._rewatch.set()

    async def run(self) -> None:
        """Work until cancelled."""
        delay_s = FIRST_RETRY_S
        while True:
            self.model.trying()
            trouble, over = "", False
            try:
                # A task of its own: a task group that takes in a loss leaves its task counted as being
                # cancelled (Python 3.11), which below would look as if we were to end.
                await asyncio.create_task(self._visit())
            except* PlantError as group:
                error = _first(group)
                trouble = "\n".join(filter(None, (error.text, error.remedy)))
                over = error.text == OVER
            finally:
                loaded, self._client = self._client is not None, None
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # swallowed by a task group that was ending anyway
                raise asyncio.CancelledError
            if loaded:
                delay_s = FIRST_RETRY_S
            now_ns = self.clock.now_ns()
            retry_ns = now_ns + round(delay_s * 1e9)
            self.model.lost(now_ns, retry_ns, trouble, over=over)
            await self.clock.sleep(delay_s)
            delay_s = min(delay_s * 2, LAST_RETRY_S)

    async def _visit(self) -> None:
        async with self._connect() as client:
            await self._load(client)
            await self._follow(client)

    async def _load(self, client: Client) -> None:
        info = await client.info()
        tags = await client.tags()
        alarms = await client.alarms()
        components = await client.components()
        gate = await client.gate()
        self._client, self._asked_ns = client, 0
        self._watched, self._paths = frozenset(), ()
        self.model.watch(self._watched)
        self.model.connected(self.clock.now_ns(), info, tags, alarms, components, gate)

    async def _follow(self, client: Client) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._events(client))
            group.create_task(self._values(client))
            group.create_task(self._health(client))
            group.create_task(self._gate(client))
            group.create_task(self._listen())

    async def _events(self, client: Client) -> None:
        async for message in client.stream(alarms=True, components=True, interval_ms=STREAM_MS):
            if isinstance(message, ConfigChange):
                raise ConnectError("another configuration runs: loading it")
            self.model.apply(message)

    async def _values(self, client: Client) -> None:
        while True:
            self._rewatch.clear()
            parts = [
                self._paths[first : first + STREAM_PATHS]
                for first in range(0, len(self._paths), STREAM_PATHS)
            ]
            async with asyncio.TaskGroup() as group:
                following = [group.create_task(self._rows(client, part)) for part in parts]
                await self._rewatch.wait()
                for each in following:
                    each.cancel()

    async def _rows(self, client: Client, paths: Sequence[str]) -> None:
        async for message in client.stream(tags=paths, interval_ms=STREAM_MS):
            self.model.apply(message)

    async def _health(self, client: Client) -> None:
        while True:
            health = await client.health()
            self.model.take_health(self.clock.now_ns(), health)
            info = await client.info()
            self.model.take_time(self.clock.now_ns(), info.now_ns)
            await self.clock.sleep(HEALTH_S)

    async def _gate(self, client: Client) -> None:
        while True:
            await self.clock.sleep(GATE_S)
            self._asked_ns = self.clock.steady_ns()
            self.model.take_gate(await client.gate())
            self._asked_ns = 0

    async def _listen(self) -> None:
        """Say when the plant owes an answer for too long: it hangs, or the line is dead, unnoticed."""
        while True:
            await self.clock.sleep(GATE_S)
            late = 0 < self._asked_ns < self.clock.steady_ns() - SILENT_S * 1e9
            self.model.silent(self.clock.now_ns(), late)


def _first(group: BaseExceptionGroup[PlantError]) -> PlantError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PlantError)
    return error
