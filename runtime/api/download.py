"""Files that are made while they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Download(StreamingResponse):
    """A file on its way; however that ends, `close` gives back what it was made of."""

    def __init__(
        self, pieces: AsyncIterator[bytes], close: Callable[[], None], media_type: str, name: str
    ) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


def downloads(media_type: str, text: str) -> dict[str, Any]:
    """Return what a route's decorator needs to document a file."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "response_class": StreamingResponse,
        "responses": {200: {"description": text, "content": {media_type: binary}}},
    }
