"""Values on their way to a device: the newest per tag, in the image of the device's memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.frame.ranges import Ranges
from runtime.contract import Batch, Tag

Mask = NDArray[np.bool_]


class Tagged(Protocol):
    """A tag and its place on a device."""

    @property
    def tag(self) -> Tag: ...


class Encoder(Protocol):
    """Knows how values lie in the memory of a device."""

    def encode(
        self, payload: NDArray[np.uint8], raw: NDArray[np.uint64], chosen: Mask, text: Mapping[int, str]
    ) -> Mask:
        """Write the chosen rows into the payload; return which rows did not fit and were left out."""
        ...


P = TypeVar("P", bound=Tagged)
R = TypeVar("R")


class Image(Generic[P]):
    """The written points of one memory of a device, in order of their places, and the bytes there.

    There are none without an `encoder`, where a device is told values by name.

    Attributes:
        raw: the newest patterns.
        wanted: rows that have a good value.
        pending: rows that wait to be written.
        held: rows whose newest value was held at a limit of its tag's range.
        deferred: rows that wait for a later attempt.
        alone: rows that are not joined with their neighbours.
    """

    def __init__(
        self, points: Sequence[P], tag_count: int, encoder: Encoder | None = None, size: int = 0
    ) -> None:
        self.points = tuple(points)
        n = len(self.points)
        self.bytes: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.raw: NDArray[np.uint64] = np.zeros(n, np.uint64)
        self.held: Mask = np.zeros(n, np.bool_)
        self._encoder = encoder
        self._ranges = Ranges([point.tag for point in self.points])
        self._told: Mask = np.zeros(n, np.bool_)
        self._text: dict[int, str] = {}
        self._row_of = np.full(tag_count, -1, np.intp)
        self._row_of[[point.tag.id for point in self.points]] = np.arange(n)
        self.wanted: Mask = np.zeros(n, np.bool_)
        self.pending: Mask = np.zeros(n, np.bool_)
        self.deferred: Mask = np.zeros(n, np.bool_)
        self.alone: Mask = np.zeros(n, np.bool_)

    def take(self, batch: Batch) -> None:
        """Take in the newest values; a value that is not good is not to be written."""
        at = self._row_of[batch.ids]
        here = at >= 0
        rows, good = at[here], batch.quality[here] >> 30 == 0
        self.raw[rows] = batch.raw[here]
        self.held[rows] = self._ranges.hold(self.raw)[rows]
        self.wanted[rows] = good
        self.pending[rows] = good
        self.deferred[rows] = False
        for row, text in batch.text.items():
            if here[row]:
                self._text[int(at[row])] = text

    def newly_held(self) -> list[P]:
        """Return the points whose values have begun to be held at a limit since it was asked."""
        found = self.held & ~self._told
        self._told[:] = self.held
        return [self.points[row] for row in np.flatnonzero(found).tolist()] if found.any() else []

    def judged(self, rows: NDArray[np.intp], same: Mask) -> tuple[list[P], list[P]]:
        """Return whose values the device keeps, by `same` of all rows, and whose it does not.

        What has no good value, or for which something newer waits, is in neither.
        """
        rows = rows[self.wanted[rows] & ~(self.pending[rows] | self.deferred[rows])]
        kept, lost = rows[same[rows]].tolist(), rows[~same[rows]].tolist()
        return [self.points[row] for row in kept], [self.points[row] for row in lost]

    def encode(self) -> tuple[Mask, list[P]]:
        """Put what is pending into the bytes; return its rows, and the points whose values do not fit."""
        chosen = self.pending.copy()
        self.pending[:] = False
        if self._encoder is None:
            return chosen, []
        unfit = self._encoder.encode(self.bytes, self.raw, chosen, self._text)
        self.wanted &= ~unfit
        return chosen & ~unfit, [self.points[row] for row in np.flatnonzero(unfit).tolist()]


@dataclass(frozen=True, slots=True)
class Outgoing(Generic[R]):
    """What is written to one place, the requests that do it, and the rows of the tags that it carries."""

    place: Hashable
    requests: tuple[R, ...]
    image: Image[Any]
    rows: NDArray[np.intp]

    @property
    def paths(self) -> list[str]:
        return [self.image.points[row].tag.path for row in self.rows.tolist()]

    def divide(self) -> None:
        """Write its tags again, each by itself: one of them may be why the others are refused."""
        self.image.alone[self.rows] = True
        self.image.pending[self.rows] = True

    def defer(self) -> None:
        """Keep it for `Outputs.retry`, unless something newer comes."""
        self.image.deferred[self.rows] = True


I = TypeVar("I", bound=Image[Any])  # noqa: E741


class Outputs(Generic[I]):
    """All that a client writes to its device."""

    def __init__(self, images: Sequence[I]) -> None:
        self.images = list(images)
        self.ids = np.array(sorted(point.tag.id for image in images for point in image.points), np.int32)

    def take(self, batch: Batch) -> None:
        """Take in the newest values."""
        for image in self.images:
            image.take(batch)

    @property
    def pending(self) -> list[I]:
        """Return the images that have something to write."""
        return [image for image in self.images if image.pending.any()]

    def all_again(self) -> None:
        """Write every good value again: the device may have forgotten them."""
        for image in self.images:
            image.pending = image.wanted.copy()
            image.deferred[:] = image.alone[:] = False

    def retry(self) -> bool:
        """Make what was deferred pending; return whether there was anything."""
        found = False
        for image in self.images:
            if image.deferred.any():
                found = True
                image.pending |= image.deferred
                image.deferred[:] = False
        return found
