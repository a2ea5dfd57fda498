"""Delivery: an ETag on what a GET returns, 304 for who has it already, gzip over TCP where it pays."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from typing import Annotated

import msgspec
from fastapi import Header
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.api.answers import Refused
from runtime.api.guard import PEER

Match = Annotated[
    str | None,
    Header(
        alias="If-Match", max_length=1000, description="ETag of what a GET returned: only if it is still so"
    ),
]
# Source: RFC 9110, 12.5.3: a weight of 0 means not that.
_GZIP = re.compile(r"(^|,)\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*(,|$))[^,]*)?(,|$)", re.IGNORECASE)
_ZIPPED = "-gzip"
_WORTH = 4096  # bytes; below, the header costs more than is saved
_LONG = 256 * 1024  # bytes; above, it belongs in a thread
_LEVEL = 1


class Head:
    """ASGI middleware that answers HEAD as GET; the server leaves the body away (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class Delivery:
    """ASGI middleware around answers that come in one piece."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        local = scope.get("state", {}).get(PEER) is not None
        zips = not local and _GZIP.search(asked.get("accept-encoding", "")) is not None
        begun: Message | None = None

        async def deliver(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and message["status"] == 200:
                begun = message
                return
            if begun is None or message.get("more_body"):
                for each in (begun, message):
                    if each is not None:
                        await send(each)
                begun = None
                return
            start, begun = begun, None
            work = (start, message.get("body", b""), asked.get("if-none-match", ""), zips)
            long = len(work[1]) > _LONG
            for each in await asyncio.to_thread(_packed, *work) if long else _packed(*work):
                await send(each)

        await self._app(scope, receive, deliver)


def _packed(start: Message, body: bytes, known: str, zips: bool) -> tuple[Message, Message]:
    headers = MutableHeaders(raw=start["headers"])
    tag = _tag(body)
    zips = zips and len(body) >= _WORTH
    headers["ETag"] = f'"{tag}{_ZIPPED}"' if zips else f'"{tag}"'
    headers["Cache-Control"] = "no-cache"
    headers.add_vary_header("Accept-Encoding")
    headers.add_vary_header("Authorization")
    if tag in _named(known) or known.strip() == "*":
        for each in ("content-length", "content-type"):
            del headers[each]
        return {**start, "status": 304}, {"type": "http.response.body", "body": b""}
    if zips:
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
    return start, {"type": "http.response.body", "body": body}


def unchanged(known: str | None, view: msgspec.Struct) -> None:
    """Refuse a change whose `If-Match` is not of what a GET would return now.

    Raises:
        Refused: 412.
    """
    if known is not None and known.strip() != "*" and _tag(msgspec.json.encode(view)) not in _named(known):
        raise Refused(412, "it has changed since it was read", "read it again, then decide")


def _tag(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def _named(header: str) -> set[str]:
    """Return the hashes in a list of ETags."""
    tags = (each.strip().removeprefix("W/").strip('"') for each in header.split(","))
    return {each.removesuffix(_ZIPPED) for each in tags}
