"""Waiting for what must not be left half known: a commit goes on whoever stops waiting for it."""

from __future__ import annotations

import asyncio
from typing import Any


async def settled(job: asyncio.Future[Any]) -> bool:
    """Wait for a job whose outcome must be known; return whether a cancellation came meanwhile."""
    cancelled = False
    while not job.done():
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
