"""Threads of those who ask: each is broken off once nobody waits for its answer, and all at the end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from runtime.errors import StoreError

T = TypeVar("T")
_AGAIN_S = 0.05


class AtWork(Protocol):
    """A connection, or what else can be interrupted."""

    def interrupt(self) -> None:
        """Break off what it does."""


class Asked:
    """A question, and what is at work on it.

    Attributes:
        over: whether nobody waits for the answer.
    """

    def __init__(self) -> None:
        self.over = False
        self._lock = threading.Lock()  # a connection is not closed while it is interrupted
        self._at_work: AtWork | None = None

    @contextmanager
    def using(self, connection: AtWork) -> Iterator[None]:
        """Work with a connection; to be left before that is closed.

        Raises:
            StoreError: nobody waits for it any more.
        """
        with self._lock:
            self._at_work = connection
        try:
            if self.over:
                raise _broken_off()
            yield
        finally:
            with self._lock:
                self._at_work = None

    def break_off(self) -> None:
        """Break off what the connection does now, and what is begun from now on."""
        self.over = True
        with self._lock:
            if self._at_work is not None:
                self._at_work.interrupt()


class Asking:
    """All questions that are at work."""

    def __init__(self) -> None:
        self._jobs: dict[asyncio.Future[Any], Asked] = {}

    async def answer(self, work: Callable[..., T], *args: Any) -> T:
        """Work in a thread, with the question as the first argument; a cancellation breaks it off.

        Raises:
            StoreError: it was broken off, as the history is being closed.
        """
        asked = Asked()
        run = contextvars.copy_context().run
        job = asyncio.get_running_loop().run_in_executor(None, run, work, asked, *args)
        self._jobs[job] = asked
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            await _end(job, asked)
            job.exception()
            raise
        finally:
            del self._jobs[job]
        if asked.over and (exc := job.exception()):
            raise _broken_off() from exc
        return job.result()

    async def break_off(self) -> None:
        """Break all of them off, and wait until they have ended."""
        for job, asked in tuple(self._jobs.items()):
            await _end(job, asked)


async def _end(job: asyncio.Future[Any], asked: Asked) -> None:
    """Break a job off until it has ended: between two queries of its own there is nothing to interrupt."""
    cancelled = False
    while not job.done():
        asked.break_off()
        try:
            await asyncio.wait([job], timeout=_AGAIN_S)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def _broken_off() -> StoreError:
    return StoreError("the history is not open", "it is being closed: ask again once the plant runs")
