"""Values that come together: what they said last, how they fail, and when they are asked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.frame.connection import Backoff
from drivers.frame.deadband import Bands, joined, moved
from runtime.contract import NO_TEXT, Batch, Quality

RETEST_S = 30.0

Stamps = int | NDArray[np.int64]  # ns since 1970-01-01 UTC: of all rows, or one a row


class Values(NamedTuple):
    """What a device said: raw patterns, quality codes and texts by row."""

    raw: NDArray[np.uint64]
    quality: NDArray[np.uint32]
    text: Mapping[int, str] = NO_TEXT

    def same(self, other: Values) -> NDArray[np.bool_]:
        """Tell which rows say the same, with the same quality."""
        same: NDArray[np.bool_] = (self.raw == other.raw) & (self.quality == other.quality)
        for row in self.text.keys() | other.text.keys():
            same[row] &= self.text.get(row) == other.text.get(row)
        return same


class Held:
    """The values of some tags and their quality: an old value is never good.

    Attributes:
        failures: reads in a row that brought nothing.
        retest_ns: time before which what failed is left alone.
        rejected: the device refuses the address; retested slowly.
        fresh: what was read last still stands.
    """

    def __init__(self, ids: Sequence[int] | NDArray[np.int32], bands: Bands | None = None) -> None:
        n = len(ids)
        self._bands = bands
        self.failures = 0
        self.retest_ns = 0
        self.rejected = False
        self.fresh = False
        self._backoff = Backoff(jitter=0.5)
        self._ids: NDArray[np.int32] = np.array(ids, np.int32)
        # Changed in place only: `Together` shares them.
        self._raw: NDArray[np.uint64] = np.zeros(n, np.uint64)
        self._quality: NDArray[np.uint32] = np.full(n, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self._seen: NDArray[np.bool_] = np.zeros(n, np.bool_)
        self._text: NDArray[Any] = np.full(n, None, object)
        self._has_text = False

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def good(self) -> bool:
        """Tell whether all of it has good values."""
        return bool((self._quality >> 30 == 0).all())

    def is_due(self, now_ns: int) -> bool:
        """Tell whether it is to be read in this scan; what failed waits longer."""
        if self.failures < 2 and not self.rejected:
            return True
        return not 0 < self.retest_ns - now_ns <= RETEST_S * 1e9  # longer: the clock was set back

    def hear(self, values: Values, stamps: Stamps) -> Batch | None:
        """Take in what was read; return what changed."""
        self._answered(bool(values.text))
        raw, quality = values.raw, values.quality
        changed = raw != self._raw if self._bands is None else moved(self._bands, self._raw, raw)
        changed |= quality != self._quality
        for row, word in values.text.items():
            if word != self._text[row]:
                changed[row] = True
                self._text[row] = word
        self._quality[:] = quality
        self._seen[:] = True
        rows = changed.nonzero()[0]
        every = len(rows) == len(raw)
        if every or self._bands is None:
            self._raw[:] = raw
        else:
            self._raw[rows] = raw[rows]
        if every:
            return Batch(self._ids, raw, quality, _column(stamps, len(raw)), values.text)
        return self._told(rows, stamps)

    def _answered(self, has_text: bool) -> None:
        self.fresh = True
        self._has_text |= has_text
        self.failures, self.rejected = 0, False
        self._backoff.reset()

    def put(self, batch: Batch) -> None:
        """Take over one value that was told by another way, a write that was read back.

        Without it a device that takes the value back before the next read would seem to keep it.
        """
        for row in np.flatnonzero(self._ids == batch.ids[0]).tolist():
            self._raw[row], self._quality[row] = batch.raw[0], batch.quality[0]
            if 0 in batch.text:
                self._text[row], self._has_text = batch.text[0], True
            self.fresh = False

    def fail(self, now_ns: int) -> Batch | None:
        """Count a read without an answer: uncertain once, bad from the second on; return what changed."""
        self.failures += 1
        if self.failures > 1:
            self.retest_ns = now_ns + round(self._backoff.next_s() * 1e9)
        if self.rejected:
            return None
        return self.hold(now_ns) if self.failures == 1 else self.degrade(Quality.BAD_NO_COMMUNICATION, now_ns)

    def hold(self, now_ns: int) -> Batch | None:
        """Keep the last values as uncertain, where there are any; return what changed."""
        known, unknown = Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD_NO_COMMUNICATION
        return self._become(np.where(self._seen, np.uint32(known), np.uint32(unknown)), now_ns)

    def reject(self, now_ns: int) -> Batch | None:
        """Take in that the device knows no such address; return what changed."""
        self.failures, self.rejected = 0, True
        self.retest_ns = now_ns + round(RETEST_S * 1e9)
        return self.degrade(Quality.BAD_CONFIGURATION_ERROR, now_ns)

    def degrade(self, quality: Quality, now_ns: int) -> Batch | None:
        """Give every tag a quality, keep the values; return what changed."""
        return self._become(np.full(len(self._ids), quality, np.uint32), now_ns)

    def inherit(self, parts: Sequence[tuple[Held, slice]]) -> None:
        """Take over the values that rows of others held, in order; they make up all of this one."""
        self._raw[:] = np.concatenate([each._raw[rows] for each, rows in parts])
        self._quality[:] = np.concatenate([each._quality[rows] for each, rows in parts])
        self._seen[:] = np.concatenate([each._seen[rows] for each, rows in parts])
        self._text[:] = np.concatenate([each._text[rows] for each, rows in parts])
        self._has_text = any(each._has_text for each, _ in parts)

    def _become(self, quality: NDArray[np.uint32], now_ns: int) -> Batch | None:
        self.fresh = False
        changed = self._quality != quality
        self._quality[:] = quality
        return self._told(changed.nonzero()[0], now_ns)

    def _told(self, rows: NDArray[np.intp], stamps: Stamps) -> Batch | None:
        if not len(rows):
            return None
        text: Mapping[int, str] = NO_TEXT
        if self._has_text:
            words = enumerate(self._text[rows].tolist())
            text = {row: word for row, word in words if word is not None}
        at = _column(stamps, len(rows)) if isinstance(stamps, int) else stamps[rows]
        return Batch(self._ids[rows], self._raw[rows], self._quality[rows], at, text)


def _column(stamps: Stamps, n: int) -> NDArray[np.int64]:
    return np.full(n, stamps, np.int64) if isinstance(stamps, int) else stamps


class Decoder(Protocol):
    """Knows what the bytes of an answer mean."""

    def decode(self, payload: NDArray[np.uint8]) -> Values: ...


class Piece(Held):
    """Values that the bytes of one answer say."""

    def __init__(self, ids: Sequence[int], decoder: Decoder, bands: Bands | None = None) -> None:
        super().__init__(ids, bands)
        self._decoder = decoder
        self.data = b""  # as it came last

    def payload(self, data: bytes) -> bytes:
        """Return the bytes that are decoded."""
        return data

    def take(self, data: bytes, now_ns: int) -> Batch | None:
        """Decode what was read and return what changed; the same bytes again are nothing new."""
        if self.fresh and data == self.data:
            return None
        self.data = data
        return self.hear(self._decoder.decode(np.frombuffer(self.payload(data), np.uint8)), now_ns)


class Parts(Protocol):
    """Knows what the bytes of several answers mean, part by part.

    Attributes:
        extents: of each part, the first byte of the payload that it needs and the first one after it.
    """

    @property
    def extents(self) -> Sequence[tuple[int, int]]: ...
    def decode_part(
        self, part: int, payload: NDArray[np.uint8], values: Values, text: dict[int, str]
    ) -> None: ...


class Together(Held):
    """Pieces that are mostly read one after the other, so that they are decoded and told at once.

    The pieces stay what they are: each may be taken in by itself. What the first answers say may be gathered
    while the last ones are under way; only what is new in them is decoded.
    """

    def __init__(self, pieces: Sequence[Piece], sizes: Sequence[int], parts: Parts) -> None:
        """Join pieces whose payloads have these sizes in bytes."""
        ids = np.concatenate([piece._ids for piece in pieces])
        self._rows = [len(piece) for piece in pieces]
        super().__init__(ids, joined([piece._bands for piece in pieces], self._rows))
        self.inherit([(piece, slice(None)) for piece in pieces])
        self.pieces = list(pieces)
        self._share()
        ends = np.cumsum(sizes).tolist()
        self._places = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self._parts = parts
        extents = list(enumerate(parts.extents))
        self._needed = [
            {part for part, (first, end) in extents if first < place.stop and place.start < end}
            for place in self._places
        ]
        self._bytes = memoryview(bytearray(ends[-1]))  # takes bytes in a fifth of numpy's time
        self._payload = np.frombuffer(self._bytes, np.uint8)
        self._data = [b""] * len(pieces)  # what the payload holds
        self._stale: set[int] = set()  # parts that the values do not yet follow
        self._texts: dict[int, str] = {}
        self._values = Values(np.zeros(len(ids), np.uint64), np.zeros(len(ids), np.uint32), self._texts)

    def _share(self) -> None:
        begin = 0
        for piece in self.pieces:
            rows = slice(begin, begin + len(piece))
            piece._raw, piece._quality = self._raw[rows], self._quality[rows]
            piece._seen, piece._text = self._seen[rows], self._text[rows]
            begin = rows.stop

    def gather(self, data: Sequence[bytes]) -> None:
        """Decode what goes without the answers that are still to come (empty); nothing is told yet."""
        waiting: set[int] = set()
        for at, (piece, each) in enumerate(zip(self.pieces, data, strict=True)):
            if not each:
                waiting |= self._needed[at]
            elif each != self._data[at]:
                self._bytes[self._places[at]] = piece.payload(each)
                self._data[at] = each
                self._stale |= self._needed[at]
        for part in sorted(self._stale - waiting):
            self._parts.decode_part(part, self._payload, self._values, self._texts)
        self._stale &= waiting

    def take(self, data: Sequence[bytes], stamps: Sequence[int]) -> Batch | None:
        """Take in what was read of each piece, gathered or not, and return what changed."""
        if all(piece.fresh and each == piece.data for piece, each in zip(self.pieces, data, strict=True)):
            return None
        self.gather(data)
        for piece, each in zip(self.pieces, data, strict=True):
            piece.data = each
        raw, quality, text = self._values
        values = Values(raw.copy(), quality.copy(), dict(text) if text else NO_TEXT)
        return self.hear(values, np.repeat(np.array(stamps, np.int64), self._rows))

    def _answered(self, has_text: bool) -> None:
        for piece in self.pieces:
            piece._answered(has_text)
        self._has_text |= has_text
