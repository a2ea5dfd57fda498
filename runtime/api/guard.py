"""The door: requests that a browser was tricked into, or that are too large, go no further."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.api.answers import Refused, refusal

BODY_LIMIT = 1024 * 1024
PEER = "peer_uid"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """ASGI middleware: known Host and Origin on TCP (DNS rebinding, cross-site requests), bounded body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope.get("state", {}).get(PEER) is None:
            for name, url in (("Host", f"//{headers.get('host', '')}"), ("Origin", headers.get("origin"))):
                if url is not None and _host(url) not in _LOOPBACK:
                    answer = refusal(
                        403, f"{name} {url.removeprefix('//')!r} is not this machine", "use localhost"
                    )
                    await answer(scope, receive, send)
                    return
        length = headers.get("content-length", "0")
        if scope["type"] == "http" and (not length.isdecimal() or int(length[:20]) > BODY_LIMIT):
            await refusal(413, f"the body is larger than {BODY_LIMIT} bytes")(scope, receive, send)
            return
        await self._app(scope, _bounded(receive) if scope["type"] == "http" else receive, send)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def count() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_LIMIT:
            raise Refused(413, f"the body is larger than {BODY_LIMIT} bytes")
        return message

    return count
