"""A connection of asyncio whose sent bytes are told to its `Traffic`."""

from __future__ import annotations

from typing import Any

from drivers.frame.connection import Ends, Traffic


class Tapped:
    """A transport that a protocol writes to; everything but `write` is the transport's own."""

    def __init__(self, transport: Any, traffic: Traffic, ends: Ends) -> None:
        self._transport, self._traffic, self._ends = transport, traffic, ends

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._traffic.sent(self._ends, data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
