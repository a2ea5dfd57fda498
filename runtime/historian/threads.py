"""The two threads of the history: one writes the store, one beside it does long work that only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from runtime.historian.store import Store
from runtime.settled import settled, whole

T = TypeVar("T")


class Threads:
    """Both threads of a store, while it is entered."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> Threads:
        self._writing = ThreadPoolExecutor(1, "historian")
        self._beside = ThreadPoolExecutor(1, "compaction")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown()
        self._writing.shutdown()

    async def write(self, work: Callable[..., T], *args: Any) -> T:
        """Do work in the thread that writes; a cancellation waits until it is done."""
        return await whole(self.begun(work, *args))

    def begun(self, work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Begin work in the thread that writes; whoever asks for it sees that it ends."""
        return asyncio.get_running_loop().run_in_executor(self._writing, work, *args)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        """Do work that only reads the store beside the thread that writes; a cancellation breaks it off."""
        job = asyncio.get_running_loop().run_in_executor(self._beside, work, *args)
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            self._store.interrupt()
            await settled(job)
            job.exception()
            raise
        return job.result()

    async def copy(self, work: Callable[..., T], *args: Any) -> T:
        """Do work that only reads the store beside the thread that writes; a cancellation waits for it."""
        return await whole(asyncio.get_running_loop().run_in_executor(self._beside, work, *args))

    async def break_off(self) -> None:
        """Break off what only reads, and wait until it has ended."""
        self._store.interrupt()
        await settled(asyncio.get_running_loop().run_in_executor(self._beside, int))
