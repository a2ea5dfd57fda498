"""What was read from the journal comes into force in the order in which the readings began.

A reading that began before one that is in force may be older, and has nothing that the later one lacks.
"""

from __future__ import annotations


class Readings:
    """Numbers readings, and tells which of them is still news."""

    def __init__(self) -> None:
        self._begun = 0
        self._taken = 0

    def begin(self) -> int:
        """Return the number of a reading that begins now."""
        self._begun += 1
        return self._begun

    def take(self, number: int) -> bool:
        """Tell whether a reading may come into force, and count it as in force."""
        if number < self._taken:
            return False
        self._taken = number
        return True
