"""Retained variables: which bytes of the image are kept on disk, and how they come back.

A start of the PLC is a warm restart: retained variables have what was stored last, all others their initial
value. Where the program has changed, each retained variable is found again by path and type
(`softplc.online.rule`).

Source: IEC 61131-3, 6.5.6 (RETAIN, NON_RETAIN).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import StoreError
from softplc.application import Application
from softplc.core.slots import Slots, settle
from softplc.iectypes import ELEMENTARY
from softplc.online.moves import carry
from softplc.online.rule import fits, means_the_same, move_of

_LAYOUTS = "retain-*.json"


@dataclass(frozen=True, slots=True)
class Place:
    """One elementary variable; `at` counts in the stored data, `bit` is -1 where it has bytes of its own.

    `values` are the names of an enumeration; a layout that an older version wrote has none. `limits` are
    those of a subrange; the layouts on disk have none.
    """

    path: str
    type: str
    at: int
    size: int
    bit: int
    values: dict[str, int] = field(default_factory=dict)
    limits: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What is kept of an image.

    Attributes:
        ranges: (offset in the image, bytes), which make the stored data one after the other.
        places: every retained variable.
        digest: names the program: its own data go back as they are.
    """

    ranges: tuple[tuple[int, int], ...]
    places: tuple[Place, ...]
    digest: bytes

    @classmethod
    def of(cls, application: Application) -> Layout:
        """Find what a program retains: its region, and located variables wherever they lie."""
        symbols = list(application.symbols.retained())
        region = application.regions["RETAIN"]
        spans = [(each.offset, each.size) for each in symbols]
        ranges = tuple(_merged([(region.offset, region.size), *spans]))
        places, start = [], 0
        for offset, size in ranges:
            inside = [each for each in symbols if offset <= each.offset < offset + size]
            places += [
                Place(
                    each.path,
                    each.type,
                    start + each.offset - offset,
                    each.size,
                    each.bit,
                    each.values,
                    each.limits,
                )
                for each in inside
            ]
            start += size
        return cls(ranges, tuple(places), hashlib.sha256(application.identity).digest())

    @property
    def text(self) -> str:
        rows = ([each.path, each.type, each.at, each.size, each.bit, each.values] for each in self.places)
        return json.dumps([row if row[-1] else row[:-1] for row in rows])


@dataclass(frozen=True, slots=True)
class Restored:
    """What a start found.

    Attributes:
        image: the image with what was stored.
        sequence: of the newest store; 0 where there was none.
        kept, new, dropped: paths; new ones have their initial value.
        damaged: what is wrong with the slots.
    """

    image: bytes
    sequence: int
    kept: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


class Retention:
    """The store of one plant's retained variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._slots = Slots(folder)

    def restore(self, layout: Layout, image: bytes) -> Restored:
        """Return an image with the stored values in their places."""
        slot, damaged = self._slots.read()
        everything = tuple(place.path for place in layout.places)
        if slot is None:
            return Restored(image, 0, new=everything, damaged=tuple(damaged))
        if slot.layout == layout.digest:
            whole = _with_ranges(image, layout.ranges, slot.data)
            return Restored(whole, slot.sequence, kept=everything, damaged=tuple(damaged))
        old = self._places(slot.layout)
        if old is None:
            damaged.append(f"the layout of what was stored is lost: {self._file(slot.layout).name}")
            return Restored(image, slot.sequence, new=everything, damaged=tuple(damaged))
        out = bytearray(image)
        before = {place.path.casefold(): place for place in old}
        kept, moves = [], []
        for place, offset in zip(layout.places, _offsets(layout), strict=True):
            source = before.get(place.path.casefold())
            if source is not None and _goes_on(source, place, slot.data):
                sides = (source.type, source.at, source.bit), (place.type, offset, place.bit)
                moves.append(move_of(*sides, place.size))
                kept.append(place.path)
        carry(moves, (), slot.data, out)
        there = {path.casefold() for path in kept}
        return Restored(
            bytes(out), slot.sequence, tuple(kept),
            tuple(path for path in everything if path.casefold() not in there),
            tuple(place.path for place in old if place.path.casefold() not in there), tuple(damaged),
        )  # fmt: skip

    def forget(self) -> None:
        """Remove what is stored.

        Raises:
            StoreError: the disk refuses.
        """
        for file in self._slots.files:
            try:
                file.unlink(missing_ok=True)
                settle(self.folder)
            except OSError as exc:
                raise StoreError(f"{file} cannot be removed: {exc.strerror}", "check the disk") from exc

    def prepare(self, layout: Layout, before: Layout | None = None) -> None:
        """Keep the layout for programs to come, before anything is stored in it, and that of the one before.

        Raises:
            OSError: it cannot be written.
        """
        needed = {self._kept(each) for each in (layout, before) if each and each.ranges}
        slot, damaged = self._slots.read()
        if not damaged:
            needed |= {self._file(slot.layout)} if slot else set()
            for other in self.folder.glob(_LAYOUTS):
                if other not in needed:
                    other.unlink()

    def _kept(self, layout: Layout) -> Path:
        """Return the file of a layout, which is written where it is not there yet."""
        file = self._file(layout.digest)
        if not file.exists():
            part = file.with_suffix(".new")
            with part.open("w", encoding="utf-8") as opened:
                opened.write(layout.text)
                opened.flush()
                os.fsync(opened.fileno())
            part.replace(file)
            settle(file.parent)
        return file

    def _file(self, digest: bytes) -> Path:
        return self.folder / _LAYOUTS.replace("*", digest.hex()[:32])

    def _places(self, digest: bytes) -> tuple[Place, ...] | None:
        try:
            rows = json.loads(self._file(digest).read_text(encoding="utf-8"))
            return tuple(Place(*row) for row in rows)
        except (OSError, ValueError, TypeError):
            return None


def _goes_on(source: Place, place: Place, data: bytes) -> bool:
    """Tell whether a stored value is one that a variable of another program may have."""
    same = means_the_same(source.values, place.values) or not source.values
    if not same or not fits(source.type, source.size, place.type, place.size):
        return False
    if place.limits is None:
        return True
    stored = data[source.at : source.at + source.size]
    value = int.from_bytes(stored, "little", signed=ELEMENTARY[source.type].signed)
    return place.limits[0] <= value <= place.limits[1]


def _with_ranges(image: bytes, ranges: Sequence[tuple[int, int]], data: bytes) -> bytes:
    out, start = bytearray(image), 0
    for offset, size in ranges:
        out[offset : offset + size] = data[start : start + size]
        start += size
    return bytes(out)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begin = end = -1
    for offset, size in sorted(set(spans)):
        if offset > end:
            if end > begin:
                yield begin, end - begin
            begin, end = offset, offset + size
        end = max(end, offset + size)
    if end > begin:
        yield begin, end - begin


def _offsets(layout: Layout) -> Sequence[int]:
    """Return where each place lies in the image."""
    starts, start = [], 0
    for offset, size in layout.ranges:
        starts.append((start, start + size, offset))
        start += size
    found, position = [], 0
    for place in layout.places:
        while not starts[position][0] <= place.at < starts[position][1]:
            position += 1
        begin, _, offset = starts[position]
        found.append(offset + place.at - begin)
    return found
