"""Parts of the image as they were between two scans, copied by the loop when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from softplc.core.layout import WATCH_BYTES, WATCH_RANGES, Range
from softplc.core.scancore import ScanCore


@dataclass(frozen=True, slots=True)
class Picture:
    """What was watched.

    Attributes:
        scans: how many scans there had been.
        at_ns: start of the newest, in the time of outputs.
        data: the ranges, one after the other.
    """

    scans: int
    at_ns: int
    data: bytes


class Watched:
    """Asks one core; callers take turns."""

    def __init__(self, core: ScanCore) -> None:
        self._core = core
        self._control = core.control
        self._ranges: Sequence[Range] = core.block.records("watch", Range, WATCH_RANGES)
        self._data = core.block.view("watched")
        self._size = 0

    @property
    def answered(self) -> bool:
        """Tell whether nothing is asked that has no answer yet."""
        return self._core.same("watch_wanted", "watch_done")

    def ask(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Ask for (offset, bytes) of the image.

        Raises:
            ValueError: it is too much, or a question has no answer yet.
        """
        size = sum(each for _, each in ranges)
        if len(ranges) > WATCH_RANGES or size > WATCH_BYTES:
            raise ValueError(f"{len(ranges)} parts of {size} bytes are too much")
        if not self.answered:
            raise ValueError("a question has no answer yet")
        for record, (offset, length) in zip(self._ranges, ranges, strict=False):
            record.offset, record.size = offset, length
        self._size = size
        self._control.watch_count = len(ranges)
        self._core.post("watch_wanted")

    def picture(self) -> Picture:
        """Return the answer."""
        control = self._control
        at_ns = control.watch_at_ns + control.source_offset_ns
        return Picture(control.watch_scans, at_ns, self._data[: self._size].tobytes())
