"""Answers that take long are worked on only as long as somebody waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from runtime.api.answers import Refused

T = TypeVar("T")


async def while_asked(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do work that only reads; it is cancelled once its client has gone.

    Raises:
        Refused: 503: nobody is there to be told.
    """
    job, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([job, gone], return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise Refused(503, "the client has gone", "ask again")
        return job.result()
    finally:
        job.cancel()
        gone.cancel()
        await asyncio.wait([job, gone])


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
