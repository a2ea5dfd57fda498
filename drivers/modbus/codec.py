"""Bytes to values and back, whole blocks at a time.

A payload is one byte a coil (0 or 1), or two bytes a register, high byte first as on the wire. Points
of one kind are converted together: their bytes are gathered by an index that already holds the byte
and word order, so that a block costs a few numpy calls and not one a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frame.held import Values
from drivers.frame.patterns import Mask, Raw, convert, from_pattern, scaled, to_pattern, unscaled
from drivers.modbus.address import Address, Point, RawType
from runtime.contract import NO_TEXT, DataType, Quality

Bytes = NDArray[np.uint8]
GOOD = np.uint32(Quality.GOOD)
EXCEEDED = np.uint32(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)


def unpack_bits(data: bytes | Bytes, count: int) -> Bytes:
    """Return one byte a coil from the packed bits of a message."""
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")


def pack_bits(coils: Bytes) -> bytes:
    """Return the packed bits of a message, the last byte filled with 0."""
    return np.packbits(coils, bitorder="little").tobytes()


def byte_index(address: Address, first: int) -> list[int]:
    """Return where the bytes of a value that begins at byte `first` lie, least significant first."""
    if address.table.is_bits:
        return [first]
    words = [[first + 2 * word, first + 2 * word + 1] for word in range(address.count)]
    if address.order in ("CDAB", "DCBA"):
        words.reverse()
    if address.order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return [byte for word in words for byte in word][::-1]


def bit_mask(address: Address) -> int:
    """Return the bit of a register, as the wire has the register, that holds a BOOL."""
    bit = address.bit or 0
    at = byte_index(address, 0)[bit // 8]
    return 1 << bit % 8 << 8 * (1 - at)


class Codec:
    """Converts the values of n points from and to a payload.

    It is of one table and begins at `base`; or `starts` says at which byte of it each value begins.

    Attributes:
        extents: of each kind of values, which is a part, the first byte that it needs and the first one after
            it; texts are the last part.
    """

    def __init__(self, points: Sequence[Point], base: int = 0, starts: Sequence[int] | None = None) -> None:
        self.n = len(points)
        if starts is None:
            starts = [(address.start - base) * address.table.place_size for _, address in points]
        kinds: dict[object, list[int]] = {}
        for row, (tag, address) in enumerate(points):
            if address.table.is_bits:
                kind: object = "coil"
            elif address.raw is RawType.STRING:
                kind = "text"
            elif address.raw is RawType.BOOL:
                kind = ("bool", address.bit is None)
            else:
                kind = (tag.data_type, address.raw, address.scaled)
            kinds.setdefault(kind, []).append(row)
        self._numbers: list[_Coils | _Bits | _Flags | _Numbers] = []
        self._texts: list[tuple[int, NDArray[np.intp]]] = []
        needed: list[tuple[int, int]] = []
        for rows in kinds.values():
            chosen = [points[row] for row in rows]
            index = [byte_index(points[row].address, starts[row]) for row in rows]
            first = chosen[0].address
            if first.raw is RawType.STRING:
                self._texts += [
                    (row, _text_index(each, point.address))
                    for row, each, point in zip(rows, index, chosen, strict=True)
                ]
                continue
            part: Callable[..., Any] = _Numbers
            if first.table.is_bits:
                part = _Coils
            elif first.raw is RawType.BOOL:
                part = _Flags if first.bit is None else _Bits
            self._numbers.append(part(np.array(rows, np.intp), np.array(index, np.intp), chosen))
            needed.append((min(map(min, index)), 1 + max(map(max, index))))
        if self._texts:
            ends = [(int(index.min()), int(index.max()) + 1) for _, index in self._texts]
            needed.append((min(first for first, _ in ends), max(end for _, end in ends)))
        self.extents = needed

    def decode(self, payload: Bytes, chosen: Mask | None = None) -> Values:
        """Read all points, or the chosen rows only; rows that are not chosen stay 0."""
        text: dict[int, str] = {}
        values = Values(np.zeros(self.n, np.uint64), np.zeros(self.n, np.uint32), text)
        if chosen is None:
            for part in range(len(self.extents)):
                self.decode_part(part, payload, values, text)
            return values
        for each in self._numbers:
            pick = chosen[each.rows]
            if pick.any():
                rows = each.rows[pick]
                values.raw[rows], exceeded = each.read(payload, pick)
                if exceeded is not None:
                    values.quality[rows[exceeded]] = EXCEEDED
        text |= {row: _text(payload, index) for row, index in self._texts if chosen[row]}
        return values

    def decode_part(self, part: int, payload: Bytes, values: Values, text: dict[int, str]) -> None:
        """Read the points of one part, of those in `extents`, into the values and texts of all."""
        if part == len(self._numbers):
            text |= {row: _text(payload, index) for row, index in self._texts}
            return
        each = self._numbers[part]
        values.raw[each.span], exceeded = each.read(payload, ALL)
        if exceeded is not None:
            values.quality[each.span] = np.where(exceeded, EXCEEDED, GOOD)

    def encode(self, payload: Bytes, raw: Raw, chosen: Mask, text: Mapping[int, str] = NO_TEXT) -> Mask:
        """Write the chosen rows into the payload; return which rows did not fit and were left out."""
        unfit = np.zeros(self.n, np.bool_)
        for part in self._numbers:
            pick = chosen[part.rows]
            rows = part.rows[pick]
            if len(rows):
                unfit[rows] = part.write(payload, raw[rows], pick)
        for row, index in self._texts:
            if chosen[row]:
                data = _utf8(text.get(row, ""))
                if data is None or len(data) > len(index):
                    unfit[row] = True
                else:
                    payload[index] = np.frombuffer(data.ljust(len(index), b"\0"), np.uint8)
        return unfit


def _text(payload: Bytes, index: NDArray[np.intp]) -> str:
    return payload[index].tobytes().partition(b"\0")[0].decode("utf-8", "replace")


def _utf8(text: str) -> bytes | None:
    """Return a text as it goes over the wire; None where it has half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def _text_index(least_first: Sequence[int], address: Address) -> NDArray[np.intp]:
    """Return the bytes of a text in reading order: words are never swapped, bytes may be."""
    in_words = np.array(least_first[::-1], np.intp)
    if address.order in ("CDAB", "DCBA"):
        in_words = in_words.reshape(-1, 2)[::-1].reshape(-1)
    return in_words[: address.length]


Pick = slice | Mask
ALL = slice(None)


def _span(index: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Return an index as a slice where it is one, which costs a fifth."""
    first, n = int(index[0]), len(index)
    return slice(first, first + n) if (index == np.arange(first, first + n)).all() else index


class _Coils:
    """BOOL in coils and discrete inputs."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        self.rows, self._at = rows, index[:, 0]
        self.span, self._run = _span(rows), _span(self._at)

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        return payload[self._run if pick is ALL else self._at[pick]].astype(np.uint64), None

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        payload[self._at[pick]] = raw != 0
        return np.zeros(len(raw), np.bool_)


class _Bits:
    """BOOL in one bit of a register; the other bits of the register stay."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        bits = np.array([point.address.bit for point in points], np.intp)
        self.rows, self.span = rows, _span(rows)
        self._at = index[np.arange(len(rows)), bits // 8]
        self._shift = (bits % 8).astype(np.uint8)

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        bits = np.right_shift(payload[self._at[pick]], self._shift[pick])
        bits &= np.uint8(1)
        return bits.astype(np.uint64), None

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        at, bit = self._at[pick], np.uint8(1) << self._shift[pick]
        np.bitwise_and.at(payload, at, ~bit)
        np.bitwise_or.at(payload, at, np.where(raw != 0, bit, np.uint8(0)))
        return np.zeros(len(raw), np.bool_)


class _Flags:
    """BOOL in a whole register: true where it is not zero; written as 0 or 1."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        self.rows, self._index = rows, index
        self.span = _span(rows)

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        return np.array(payload[self._index[pick]].any(axis=1), np.uint64), None

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        index = self._index[pick]
        payload[index[:, 0]] = raw != 0
        payload[index[:, 1]] = 0
        return np.zeros(len(raw), np.bool_)


def fits(dtype: np.dtype[Any], tag_type: DataType) -> bool:
    """Tell whether a tag's type holds every number of a device's type."""
    if tag_type.kind == "f":
        return dtype.kind == "f" and 8 * dtype.itemsize <= tag_type.bits
    if dtype.kind == "f" or tag_type.limits is None:
        return False
    low, high = tag_type.limits
    return low <= np.iinfo(dtype).min and np.iinfo(dtype).max <= high


class _Numbers:
    """Numbers of one raw type for tags of one type."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        first = points[0]
        self.rows, self._index = rows, index
        self.span = _span(rows)
        self._tag_type = first.tag.data_type
        self._dtype = np.dtype(first.address.raw.dtype)
        self._run = _span(index[:, ::-1].reshape(-1))  # one after the other, and as the wire has them
        self._as_sent = self._dtype.newbyteorder(">")
        self._scaled = first.address.scaled
        self._wide = np.dtype({"f": np.float64, "i": np.int64}.get(self._tag_type.kind, np.uint64))
        self._always_fits = not self._scaled and fits(self._dtype, self._tag_type)
        self._scale = np.array([point.address.scale for point in points])
        self._offset = np.array([point.address.offset for point in points])

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        values: NDArray[Any]
        if pick is ALL and isinstance(self._run, slice):
            values = payload[self._run].view(self._as_sent)
        else:
            values = payload[self._index[pick]].view(self._dtype)[:, 0]
        if self._always_fits:
            with np.errstate(invalid="ignore"):  # a NaN that signals
                return values.astype(self._wide).view(np.uint64), None
        if not self._scaled:
            return to_pattern(values, self._tag_type)
        values, beyond = scaled(values, self._scale[pick], self._offset[pick])
        held, exceeded = to_pattern(values, self._tag_type)
        return held, exceeded | beyond

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        values = from_pattern(raw, self._tag_type)
        beyond = np.zeros(len(raw), np.bool_)
        if self._scaled:
            values, beyond = unscaled(values, self._scale[pick], self._offset[pick])
        wire, unfit = convert(values, self._dtype)
        unfit |= beyond
        index = self._index[pick]
        payload[index[~unfit]] = wire.view(np.uint8).reshape(index.shape)[~unfit]
        return unfit
