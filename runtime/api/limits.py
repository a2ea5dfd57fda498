"""How much one client may ask: requests in a time, and streams at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.api.answers import Refused
from runtime.api.door import counted
from runtime.api.guard import PEER
from runtime.clock import SECOND_NS, monotonic_ns
from runtime.contract import Actor

STREAMS = 64  # a console opens one for each 32 tags on its screen
BURST_S = 5
_KEYS = 10_000


class Limits:
    """A token bucket for each address and each actor: so many requests a second, five times that in a burst.

    Attributes:
        refused: requests that found no room.
    """

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._buckets: dict[str, tuple[float, int]] = {}
        self._streams: Counter[str] = Counter()
        self.refused = 0

    def check(self, key: str) -> None:
        """Count a request.

        Raises:
            Refused: 429, with the seconds to wait.
        """
        most = self._per_s * BURST_S
        now_ns = monotonic_ns()
        room, at_ns = self._buckets.pop(key, (float(most), now_ns))
        room = min(most, room + (now_ns - at_ns) * self._per_s / SECOND_NS)
        while len(self._buckets) >= _KEYS:
            del self._buckets[next(iter(self._buckets))]  # whoever has been quiet for longest
        self._buckets[key] = (room - 1 if room >= 1 else room, now_ns)  # a refusal takes nothing
        if room < 1:
            self.refused += 1
            text = f"more than {self._per_s} requests a second"
            raise Refused(429, text, "wait, or raise api.requests_per_s in plant.yaml", {"Retry-After": "1"})

    @contextmanager
    def stream(self, key: str) -> Iterator[None]:
        """Count a stream while it is open.

        Raises:
            Refused: 429: there are too many.
        """
        if self._streams[key] >= STREAMS:
            self.refused += 1
            raise Refused(
                429, f"{STREAMS} streams are open already", "close some, or follow more tags in each"
            )
        self._streams[key] += 1
        try:
            yield
        finally:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]

    @property
    def streams(self) -> int:
        """Return how many streams are open."""
        return self._streams.total()


class Pace:
    """Middleware that holds each address to the pace, before anybody is asked for a name."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            try:
                self._limits.check(address_of(HTTPConnection(scope)))
            except Refused as exc:
                await exc.answer()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def address_of(connection: HTTPConnection) -> str:
    """Return where a connection comes from: an address, a network of IPv6, or an account of this machine."""
    uid = connection.scope.get("state", {}).get(PEER)
    if uid is not None:
        return f"uid {uid}"
    return counted(connection.client.host) if connection.client else "unknown"


def actor_key(actor: Actor, connection: HTTPConnection) -> str:
    """Return what stands for an actor: its name, and for those without one their address too."""
    return f"actor {actor.name}" + (f" at {address_of(connection)}" if actor.name == "anonymous" else "")
