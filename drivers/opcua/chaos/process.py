"""The server that is tormented, as a process."""

from __future__ import annotations

from typing import Any

from drivers.chaos import process
from drivers.chaos.process import free_port

__all__ = ["Victim", "free_port"]


class Victim(process.Victim):
    """Stock asyncua with counters."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            "drivers.opcua.chaos.victim", **({"count": 100, "namespaces": ["urn:victim"]} | settings)
        )
