"""What the console needs of a plant: a protocol that `runtime.client.PlantClient` fulfils."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from runtime.contract import Value
from runtime.logins import Signing
from runtime.wire import (
    AlarmView,
    ComponentView,
    Health,
    Info,
    JournalEntry,
    Message,
    TagView,
    TrendSeries,
    Written,
)


class Client(Protocol):
    """The part of the API that the console uses; it raises `PlantError` and nothing else."""

    async def info(self) -> Info: ...
    async def tags(self, *match: str) -> list[TagView]: ...
    async def write(
        self, path: str, value: Value, reason: str = "", *, signature: Signing | None = None
    ) -> Written: ...
    async def trend(
        self, paths: Sequence[str], start_ns: int, end_ns: int, buckets: int
    ) -> tuple[TrendSeries, ...]: ...
    async def alarms(self) -> tuple[AlarmView, ...]: ...
    async def acknowledge(self, name: str, comment: str = "") -> AlarmView: ...
    async def shelve(self, name: str, for_ns: int, reason: str) -> AlarmView: ...
    async def unshelve(self, name: str, reason: str = "") -> AlarmView: ...
    async def out_of_service(self, name: str, reason: str) -> AlarmView: ...
    async def in_service(self, name: str, reason: str = "") -> AlarmView: ...
    async def reset_alarm(self, name: str, reason: str = "") -> AlarmView: ...
    async def alarm_journal(self, limit: int = 100) -> tuple[JournalEntry, ...]: ...
    async def components(self) -> tuple[ComponentView, ...]: ...
    async def restart(self, name: str) -> ComponentView: ...
    async def health(self) -> Health: ...
    def stream(
        self,
        tags: Sequence[str] = (),
        alarms: bool = False,
        components: bool = False,
        interval_ms: int = 200,
    ) -> AsyncGenerator[Message, None]: ...


Connect = Callable[[], AbstractAsyncContextManager[Client]]
