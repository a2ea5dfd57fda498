"""What happened in the loop, read by the kernel out of the ring; one that comes back goes on there."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from softplc.core.layout import EVENTS, EventRecord, Kind
from softplc.core.scancore import ScanCore


@dataclass(frozen=True, slots=True)
class Happened:
    """One event; `Kind` tells what the letters are.

    Attributes:
        number: counts the events of a core.
        mask: tasks, one bit each; 0 for all.
        scans: scans of the core up to then.
        at_ns: in the time of outputs.
    """

    number: int
    kind: Kind
    mask: int
    scans: int
    at_ns: int
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    f: int = 0
    g: int = 0


class Events:
    """Reads the ring of one core, each event once."""

    def __init__(self, core: ScanCore, after: int | None = None) -> None:
        """Begin behind an event; else where the kernel before has ended."""
        self._core = core
        self._ring = (EventRecord * EVENTS)()
        self._last: int = core.control.events_read if after is None else after

    @property
    def last(self) -> int:
        """Number of the last event that was taken."""
        return self._last

    @property
    def head(self) -> int:
        """Number of the newest event."""
        return self._core.word("event_head")

    def take(self) -> tuple[list[Happened], int]:
        """Return what is new, and how many events were overwritten before anybody read them."""
        head = self.head
        if head == self._last:
            return [], 0
        newest = self._core.native.read_events(self._core.address, ctypes.addressof(self._ring))
        first = max(self._last + 1, newest + 2 - EVENTS)  # the place of `newest + 1` was being written
        lost = first - self._last - 1
        offset_ns = self._core.control.source_offset_ns
        records = (self._ring[number % EVENTS] for number in range(first, head + 1))
        found = [
            Happened(
                each.number, Kind(each.kind), each.task, each.scans, each.at_ns + offset_ns,
                each.a, each.b, each.c, each.d, each.e, each.f, each.g,
            )
            for each in records
        ]  # fmt: skip
        self._last = head
        return found, lost

    def told(self) -> None:
        """Take it that what was taken is told; whoever comes next begins behind it."""
        self._core.control.events_read = self._last
