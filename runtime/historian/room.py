"""How much the history may take: its disk limit, or less where the disk it lies on is nearly full."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runtime.historian.cold import DAY_NS

FULL = 0.95  # of the room: from here on the oldest samples go
ROOMY = 0.90  # of the room: down to here
RESERVE = 256 << 20  # of the disk that the history leaves free, for the journal first
_OF_DISK, _OF_OURS = 10, 4  # less on a small disk, or of a small history and what is left for it
_BALLAST = 8 << 20  # or less:
_OF_RESERVE = 4
_PIECE = 1 << 20
_A_DAY = 0.01  # of what it holds the history gives to others


@dataclass(frozen=True, slots=True)
class Room:
    """What the history takes, and what it may, in bytes.

    Attributes:
        used: what it takes.
        limit: what it may take.
        free: what is left on its disk.
        reserve: what of that it leaves alone.
        crowded: whether the disk leaves it less than it was given.
    """

    used: int
    limit: int
    free: int
    reserve: int
    crowded: bool

    @property
    def share(self) -> float:
        """Return how much of what it may take is in use."""
        return self.used / self.limit


def room(used: int, given: int, folder: Path, ballast: int) -> Room:
    """Find out what a history that takes so much, and was given so much, may take.

    `ballast` is the history's own, and counts as free.
    """
    size, free = _disk(folder)
    free += ballast
    reserve = min(RESERVE, size // _OF_DISK, (used + free) // _OF_OURS)
    left = max(1, used + free - reserve)
    return Room(used, min(given, left), free, reserve, left < given)


class Allowance:
    """How much may be deleted because the disk is full: others may have filled it.

    At once as much as is kept free, then as much as the history writes itself, and a hundredth of it a day.

    Attributes:
        left: bytes that may go now, until that is not more than nothing.
    """

    def __init__(self, steady_ns: int) -> None:
        self.left = float(RESERVE)
        self._at_ns = steady_ns

    def grow(self, found: Room, steady_ns: int) -> None:
        """Let time pass."""
        more = found.used * _A_DAY * (steady_ns - self._at_ns) / DAY_NS
        self.left, self._at_ns = min(self.left + more, found.reserve), steady_ns

    def change(self, size: int) -> None:
        """Take note of a file that was written, or of one (less than nothing) that was deleted."""
        self.left += size


class Ballast:
    """A file that only takes room, and is given up on a full disk: what is to be deleted is noted first."""

    def __init__(self, store: Path) -> None:
        self._file = store.with_suffix(".ballast.tmp")  # of what has this name there is no backup

    @property
    def size(self) -> int:
        """Return the room it takes, 0 while it is given up."""
        return self._file.stat().st_size if self._file.exists() else 0

    def take(self, reserve: int) -> None:
        """Take its room, where there is more."""
        size = min(_BALLAST, reserve // _OF_RESERVE)
        if self.size or _disk(self._file.parent)[1] < 3 * size:
            return
        with self._file.open("wb") as file:
            for first in range(0, size, _PIECE):
                file.write(os.urandom(min(_PIECE, size - first)))  # zeros take no room on some disks

    def give_up(self) -> None:
        """Give its room up, where less than that is left."""
        size = self.size
        if size and size > _disk(self._file.parent)[1]:
            self._file.unlink()


def _disk(folder: Path) -> tuple[int, int]:
    """Return the size of the disk that a folder is on, and what of it is free."""
    facts = os.statvfs(folder)
    return facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
