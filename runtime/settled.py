"""Waiting for what must not be left half known: a commit goes on whoever stops waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


async def settled(job: asyncio.Future[Any]) -> bool:
    """Wait for a job whose outcome must be known; return whether a cancellation came meanwhile."""
    cancelled = False
    while not job.done():
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


async def whole(work: Awaitable[T]) -> T:
    """Do work to its end and return its result; a cancellation that comes meanwhile comes after it."""
    job = asyncio.ensure_future(work)
    if await settled(job):
        job.exception()
        raise asyncio.CancelledError
    return job.result()
