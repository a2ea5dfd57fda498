"""What was read from the journal comes into force in the order in which the readings began.

A reading that began before one that is in force may be older, and has nothing that the later one lacks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtime.clock import SECOND_NS
from runtime.contract import Clock
from runtime.errors import StoreError

PATIENCE_S = 5.0
_PAUSE_S = 0.1
T = TypeVar("T")


class Readings:
    """Numbers readings, and brings those into force that are still news."""

    def __init__(self) -> None:
        self._begun = 0
        self._taken = 0
        self._failed = 0

    @property
    def behind(self) -> bool:
        """Tell whether what is in force may be older than what the journal has."""
        return self._failed > self._taken

    async def renew(
        self,
        read: Callable[[], Awaitable[T]],
        take: Callable[[T], None],
        clock: Clock,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Bring into force what the journal has; where it cannot be read, try again for a while.

        Raises:
            StoreError: it still cannot be read; what was changed is kept all the same.
        """
        until_ns = clock.steady_ns() + round(patience_s * SECOND_NS)
        while True:
            self._begun += 1
            number = self._begun
            try:
                found = await read()
            except StoreError as exc:
                self._failed = max(self._failed, number)
                if clock.steady_ns() >= until_ns:
                    text = f"what was changed is kept, and in force as soon as that can be read: {exc.text}"
                    raise StoreError(text, exc.remedy) from exc
                await clock.sleep(_PAUSE_S)
                continue
            if number >= self._taken:
                self._taken = number
                take(found)
            return
