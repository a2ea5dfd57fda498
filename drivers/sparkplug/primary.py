"""The primary host application: whether it is online at the broker that we are connected to.

Source: Sparkplug 3.0.0, 5.4 and 6.4.27: JSON with `online` and `timestamp` (ms); what is older than the last
that counted belongs to a session of the host that is over.
"""

from __future__ import annotations

import asyncio
import json


class PrimaryHost:
    """What the host application said last.

    Attributes:
        online: None until it said anything at this broker.
        changed: set with each word of it.
        left: set when it went offline, even if it was back at once: what was sent to it may be lost.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.online: bool | None = None
        self.changed = asyncio.Event()
        self.left = asyncio.Event()
        self._broker = ""
        self._last_ms: dict[str, int] = {}

    def meet(self, broker: str) -> None:
        """Begin anew at a broker; the times of its earlier words still count."""
        self._broker = broker
        self.online = None

    def take(self, payload: bytes) -> str:
        """Take in a STATE message; return what is wrong with it, or nothing."""
        try:
            said = json.loads(payload)
        except (ValueError, RecursionError):
            return "it is no JSON"
        if not isinstance(said, dict):
            return "it is no JSON object"
        online, at_ms = said.get("online"), said.get("timestamp")
        if not isinstance(online, bool) or not isinstance(at_ms, int) or isinstance(at_ms, bool):
            return "it lacks `online` (true or false) or `timestamp` (ms)"
        if at_ms < self._last_ms.get(self._broker, at_ms):
            return ""
        self._last_ms[self._broker] = at_ms
        self.online = online
        self.changed.set()
        if not online:
            self.left.set()
        return ""
