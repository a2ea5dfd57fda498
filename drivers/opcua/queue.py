"""The monitored items of one subscription on tags, as columns: filters, and a queue of samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from drivers.opcua.image import Image
from drivers.opcua.wire import Samples

Part = tuple[int, int] | None  # first and last character of a text that are wanted; None for all
NOTHING_THERE = int(ua.StatusCodes.BadIndexRangeNoData)
OVERFLOW = 0x480  # info type DataValue, overflow bit. Source: OPC 10000-4, 7.39.1
_FIRST = 64
_SPARE = 1024
_STATUS, _STATUS_VALUE_TIME = int(ua.DataChangeTrigger.Status), int(ua.DataChangeTrigger.StatusValueTimestamp)

_ITEM = np.dtype(
    [
        ("tag", np.int32),
        ("handle", np.uint32),
        ("stamps", np.uint8),
        ("sampling", np.bool_),
        ("reporting", np.bool_),  # what waits is sent
        ("released", np.bool_),  # what waits is sent this time
        ("triggers", np.bool_),  # others wait for this one
        ("trigger", np.uint8),
        ("deadband", np.float64),
        ("interval", np.int64),  # ns between samples
        ("size", np.int32),
        ("oldest", np.bool_),  # what goes where the queue is full
        ("seen", np.bool_),  # there is a last sample
        ("raw", np.uint64),  # the last sample that passed
        ("quality", np.uint32),
        ("source", np.int64),
        ("sampled", np.int64),  # when, steady ns
        ("newest", np.int64),  # where among the entries its newest sample is, -1 where none waits
        ("count", np.int32),  # how many wait
    ]
)
_ENTRY = np.dtype(
    [
        ("item", np.int32),
        ("raw", np.uint64),
        ("quality", np.uint32),
        ("source", np.int64),
        ("server", np.int64),
    ]
)


@dataclass(frozen=True, slots=True)
class Due:
    """Samples to send, with the handle and the TimestampsToReturn of each."""

    samples: Samples
    handles: NDArray[np.uint32]
    stamps: NDArray[np.uint8]


@dataclass(slots=True)
class ItemQueue:
    """Items by row, and what waits to be sent for them, oldest first.

    A tag is sampled when it changes. Within one sampling interval the newest sample replaces the one before,
    so an item never has more than one sample an interval. Queues are cut to their sizes when they are sent,
    or when too much waits; there is room for twice of what may wait, so that a client that is behind costs no
    more than one that is not.

    Attributes:
        quiet: items that sample and do not report: theirs stays until they do, or something triggers it.
        triggering: items that others wait for, by row, as their client knows them.
        fire: is told of one that has something to tell.
    """

    image: Image
    items: NDArray[np.void] = field(default_factory=lambda: np.zeros(_FIRST, _ITEM))
    entries: NDArray[np.void] = field(default_factory=lambda: np.zeros(_FIRST, _ENTRY))
    quiet: int = 0
    triggering: dict[int, int] = field(default_factory=dict)
    fire: Callable[[int], None] = lambda item: None
    _begin: int = 0  # what waits are the entries from here
    _end: int = 0  # to here
    _used: int = 0
    _free: list[int] = field(default_factory=list)
    _last_text: dict[int, str] = field(default_factory=dict)
    _texts: dict[int, str] = field(default_factory=dict)
    _parts: dict[int, Part] = field(default_factory=dict)
    _dropped: set[int] = field(default_factory=set)
    _grown: bool = False  # samples have come since the last cut
    _resized: set[int] = field(default_factory=set)

    @property
    def _waiting(self) -> NDArray[np.void]:
        return self.entries[self._begin : self._end]

    def add(self, tag_id: int, part: Part = None) -> int:
        """Return the row of a new item, which does not sample yet; `part`: which characters it wants."""
        if self._free:
            row = self._free.pop()
        else:
            row = self._used
            self._used += 1
            if self._used > len(self.items):
                self.items = np.concatenate([self.items, np.zeros(row, _ITEM)])
        self.items["tag"][row], self.items["newest"][row] = tag_id, -1
        if part is not None:
            self._parts[row] = part
        return row

    def configure(self, row: int, **values: float) -> None:
        """Set handle, stamps (TimestampsToReturn), interval (ns), size, oldest, trigger and deadband."""
        if self.items["newest"][row] >= 0:
            if self._grown or row in self._resized:
                self.cut()  # by the size that it had
            self._resized.add(row)
        for name, value in values.items():
            self.items[name][row] = value

    def remove(self, row: int) -> None:
        """Give a row back, and forget what waits for it."""
        self.pause(row)
        self.items[row] = np.zeros((), _ITEM)
        self._last_text.pop(row, None)
        self._parts.pop(row, None)
        self._free.append(row)

    def pause(self, row: int) -> None:
        """Sample an item no more, and drop what waits for it."""
        self._set(row, sampling=False, reporting=False)
        if self.items["newest"][row] >= 0:
            self.items["newest"][row] = -1
            self._dropped.add(row)

    def _clear(self) -> None:
        """Take out what waits for items that sample no more: for all at once, as clients end many."""
        if self._dropped:
            gone = np.zeros(self._used, np.bool_)
            gone[list(self._dropped)] = True
            self._dropped.clear()
            self._keep(~gone[self._waiting["item"]])

    def resume(self, row: int, reporting: bool, steady_ns: int, now_ns: int) -> None:
        """Sample an item from now on, and report it or not; a new one begins with the present value."""
        begins = not self.items["sampling"][row]
        self._set(row, sampling=True, reporting=reporting)
        if begins:
            self.items["seen"][row] = False
            self._sample(np.array([row]), steady_ns, now_ns)

    def _set(self, row: int, *, sampling: bool, reporting: bool) -> None:
        items = self.items
        was_quiet = bool(items["sampling"][row] and not items["reporting"][row])
        self.quiet += (sampling and not reporting) - was_quiet
        items["sampling"][row], items["reporting"][row], items["released"][row] = sampling, reporting, False

    def release(self, row: int) -> None:
        """Send what waits for an item that does not report."""
        self.items["released"][row] = self.items["newest"][row] >= 0

    def resend(self, steady_ns: int, now_ns: int) -> None:
        """Queue the present value of each item that reports and for which nothing waits."""
        items = self.items[: self._used]
        rows = np.flatnonzero(items["reporting"] & (items["newest"] < 0))
        items["seen"][rows] = False
        self._sample(rows, steady_ns, now_ns)

    def offer(self, changed: NDArray[np.bool_], steady_ns: int, now_ns: int) -> None:
        """Sample the items whose tags have changed, `changed` by tag; queue what passes the filters."""
        items = self.items[: self._used]
        self._sample(np.flatnonzero(changed[items["tag"]] & items["sampling"]), steady_ns, now_ns)

    def _sample(self, rows: NDArray[np.intp], steady_ns: int, now_ns: int) -> None:
        if not len(rows):
            return
        rows = rows[self._passes(rows)]
        self._clear()
        self._make_room(len(rows))
        items, image = self.items, self.image
        tags = items["tag"][rows]
        raw, quality, source = image.raw[tags], self._quality(rows, tags), image.source_ns[tags]
        items["seen"][rows], items["raw"][rows] = True, raw
        items["quality"][rows], items["source"][rows] = quality, source
        newest = items["newest"][rows]
        again = (newest >= 0) & (steady_ns - items["sampled"][rows] < items["interval"][rows])
        items["sampled"][rows[~again]] = steady_ns  # an interval begins with its first sample
        places, fresh = newest, int(np.count_nonzero(~again))
        places[~again] = np.arange(self._end, self._end + fresh)
        self._end += fresh
        self._grown |= fresh > 0
        items["newest"][rows] = places
        items["count"][rows] += ~again
        entries = self.entries
        quality = quality | np.where(again & _overflowed(entries["quality"][places]), OVERFLOW, 0).astype(
            np.uint32
        )
        entries["item"][places], entries["raw"][places] = rows, raw
        entries["quality"][places], entries["source"][places], entries["server"][places] = (
            quality,
            source,
            now_ns,
        )
        for at in np.flatnonzero(image.is_text[tags]).tolist():
            row = int(rows[at])
            self._last_text[row] = self._texts[int(places[at])] = self._text(row, int(tags[at]))
        if self.triggering:
            for row in rows[items["triggers"][rows]].tolist():
                self.fire(self.triggering[row])

    def _text(self, row: int, tag: int) -> str:
        return part_of(self.image.text.get(tag, ""), self._parts.get(row))

    def _quality(self, rows: NDArray[np.intp], tags: NDArray[np.int32]) -> NDArray[np.uint32]:
        """Return the tags' qualities; bad where a text has nothing of what an item wants of it."""
        quality = self.image.quality[tags]
        if self._parts:
            for at in np.flatnonzero(self.image.is_text[tags]).tolist():
                row = int(rows[at])
                if row in self._parts and not quality[at] >> 31 and not self._text(row, int(tags[at])):
                    quality[at] = NOTHING_THERE
        return quality

    def _passes(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Source: OPC 10000-4, 7.22.2 DataChangeFilter."""
        items, image = self.items, self.image
        tags, last, deadband = items["tag"][rows], items["raw"][rows], items["deadband"][rows]
        raw, quality = image.raw[tags], self._quality(rows, tags)
        differs = raw != last
        for at in np.flatnonzero(image.is_text[tags]).tolist():
            row = int(rows[at])
            differs[at] = self._text(row, int(tags[at])) != self._last_text.get(row, "")
        banded = np.flatnonzero(differs & (deadband > 0))
        if len(banded):
            now, before = (image.numbers(tags[banded], each[banded]) for each in (raw, last))
            with np.errstate(invalid="ignore"):
                differs[banded] = ~(np.abs(now - before) <= deadband[banded])  # NaN passes
        trigger = items["trigger"][rows]
        told = differs & (quality >> 31 == 0)
        later = trigger == _STATUS_VALUE_TIME
        if later.any():
            told |= later & (image.source_ns[tags] != items["source"][rows])
        passes: NDArray[np.bool_] = (
            ~items["seen"][rows] | (quality != items["quality"][rows]) | (told & (trigger != _STATUS))
        )
        return passes

    def _make_room(self, fresh: int) -> None:
        if self._end + fresh <= len(self.entries):
            return
        self.cut()
        waiting = self._waiting
        needed, most = len(waiting) + fresh, 2 * int(self.items["size"][: self._used].sum()) + _SPARE
        if 2 * needed > len(self.entries):
            self.entries = np.zeros(max(needed, min(2 * len(self.entries), most)), _ENTRY)
        self.entries[: len(waiting)] = waiting
        if self._texts:
            self._texts = {place - self._begin: text for place, text in self._texts.items()}
        newest = self.items["newest"][: self._used]
        newest[newest >= 0] -= self._begin
        self._begin, self._end = 0, len(waiting)

    def cut(self) -> None:
        """Take out what is more than the items' queues hold, and mark where something is missing."""
        self._clear()
        if not (self._grown or self._resized):
            return
        self._grown = False
        self._resized.clear()
        count, sizes = self.items["count"][: self._used], self.items["size"][: self._used]
        if not (count > sizes).any():
            return
        waiting = self._waiting
        owner = waiting["item"]
        order = np.argsort(owner, kind="stable")
        begins = np.cumsum(count) - count
        rank = np.empty(len(waiting), np.int64)
        rank[order] = np.arange(len(waiting)) - begins[owner[order]]
        size, behind = sizes[owner], count[owner] - 1 - rank
        full = count[owner] > size
        oldest = self.items["oldest"][owner]
        keep = np.where(oldest, behind < size, (rank < size - 1) | (behind == 0))
        marked = full & (size > 1) & np.where(oldest, behind == size - 1, behind == 0)
        waiting["quality"][marked] |= np.uint32(OVERFLOW)
        self._keep(keep)

    def due(self) -> int:
        """Return how many samples wait to be sent."""
        self._clear()
        return int(np.count_nonzero(self._due())) if self.quiet else self._end - self._begin

    def _due(self) -> NDArray[np.bool_]:
        sent = self.items["reporting"] | self.items["released"]
        due: NDArray[np.bool_] = sent[self._waiting["item"]]
        return due

    def take(self, most: int) -> Due | None:
        """Take out the oldest samples that are to be sent, `most` at once; None where there is none."""
        self.cut()
        taken, texts = self._oldest(most) if not self.quiet else self._oldest_due(most)
        if not len(taken):
            return None
        items, rows = self.items, taken["item"]
        samples = Samples(
            items["tag"][rows], taken["raw"], taken["quality"], taken["source"], taken["server"], texts
        )
        return Due(samples, items["handle"][rows], items["stamps"][rows])

    def _oldest(self, most: int) -> tuple[NDArray[np.void], dict[int, str]]:
        """Take out the first entries; the others stay where they are."""
        begin, end = self._begin, min(self._begin + most, self._end)
        taken = self.entries[begin:end].copy()
        places = range(begin, end) if self._texts else ()
        texts = {place - begin: self._texts.pop(place) for place in places if place in self._texts}
        rows, items = taken["item"], self.items
        last = items["newest"][rows] < end
        items["newest"][rows[last]] = -1
        items["count"][: self._used] -= np.bincount(rows, minlength=self._used).astype(np.int32)
        self._begin = end
        return taken, texts

    def _oldest_due(self, most: int) -> tuple[NDArray[np.void], dict[int, str]]:
        due = np.flatnonzero(self._due())[:most]
        waiting = self._waiting
        taken = waiting[due]
        places = enumerate((due + self._begin).tolist())
        texts = {at: self._texts[place] for at, place in places if place in self._texts}
        keep = np.ones(len(waiting), np.bool_)
        keep[due] = False
        self._keep(keep)
        self.items["released"] &= self.items["newest"] >= 0
        return taken, texts

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        """Let go of all that wait but these; the others move up."""
        begin, left = self._begin, np.flatnonzero(keep)
        n = len(left)
        if n == len(keep):
            return
        self.entries[begin : begin + n] = self._waiting[left]
        if self._texts:
            moved = {old: new for new, old in enumerate((left + begin).tolist(), begin)}
            self._texts = {moved[old]: text for old, text in self._texts.items() if old in moved}
        self._end = begin + n
        items, rows = self.items[: self._used], self._waiting["item"]
        items["newest"] = -1
        items["newest"][rows] = np.arange(begin, self._end)
        items["count"] = np.bincount(rows, minlength=self._used)


def part_of(text: str, part: Part) -> str:
    """Return some characters of a text."""
    return text if part is None else text[part[0] : part[1] + 1]


def _overflowed(status: NDArray[np.uint32]) -> NDArray[np.bool_]:
    marked: NDArray[np.bool_] = status & OVERFLOW == OVERFLOW
    return marked
