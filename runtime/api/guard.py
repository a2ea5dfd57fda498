"""The door: requests that a browser was tricked into, or that are too large, go no further."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.api.answers import Refused, refusal

BODY_LIMIT = 1024 * 1024
PEER = "peer_uid"
CERTIFICATE = "certificate"  # its fingerprint
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """ASGI middleware on TCP: no page of a browser gets through unless it came from here; bounded body.

    A plain connection is for this machine's own names (DNS rebinding); over TLS the certificate says so. An
    Origin must be the very address that is asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope.get("state", {}).get(PEER) is None:
            why = _tricked(scope["scheme"], headers)
            if why:
                await refusal(403, *why)(scope, receive, send)
                return
        length = headers.get("content-length", "0")
        if scope["type"] == "http" and (not length.isdecimal() or int(length[:20]) > BODY_LIMIT):
            await refusal(413, f"the body is larger than {BODY_LIMIT} bytes")(scope, receive, send)
            return
        await self._app(scope, _bounded(receive) if scope["type"] == "http" else receive, send)


def _tricked(scheme: str, headers: Headers) -> tuple[str, str] | None:
    """Return why a request goes no further, and the remedy: some page may have made the browser send it."""
    host = headers.get("host", "")
    secure = scheme in ("https", "wss")
    if not secure and _host(f"//{host}") not in _LOOPBACK:
        return f"Host {host!r} is not this machine", "use localhost"
    origin = headers.get("origin")
    own = f"{'https' if secure else 'http'}://{host}"
    if origin is not None and origin != own:
        return f"Origin {origin!r} is not {own!r}", "pages of other sites may not use the API"
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _followed(headers):
        return "a page of another site sent this", "pages of other sites may not use the API"
    return None


def _followed(headers: Headers) -> bool:
    """Tell whether a person followed a link, which the page that has it cannot look into."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


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
