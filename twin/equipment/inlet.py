"""What lets liquid into a tank."""

from __future__ import annotations

from typing import Protocol


class Inlet(Protocol):
    """A valve, or a pump without one."""

    def flow_lpm(self) -> float:
        """Return the flow now."""
        ...
