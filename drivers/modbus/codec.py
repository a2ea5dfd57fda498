"""Bytes to values and back, whole blocks at a time.

A payload is one byte a coil (0 or 1), or two bytes a register, high byte first as on the wire. Points
of one kind are converted together: their bytes are gathered by an index that already holds the byte
and word order, so that a block costs a few numpy calls and not one a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.modbus.address import Address, Point, RawType
from runtime.contract import NO_TEXT, DataType, Quality

Bytes = NDArray[np.uint8]
Raw = NDArray[np.uint64]
Mask = NDArray[np.bool_]


def unpack_bits(data: bytes | Bytes, count: int) -> Bytes:
    """Return one byte a coil from the packed bits of a message."""
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")


def pack_bits(coils: Bytes) -> bytes:
    """Return the packed bits of a message, the last byte filled with 0."""
    return np.packbits(coils, bitorder="little").tobytes()


def byte_index(address: Address, base: int) -> list[int]:
    """Return where the bytes of a value lie in a payload that begins at `base`, least significant first."""
    first = address.start - base
    if address.table.is_bits:
        return [first]
    words = [[2 * (first + word), 2 * (first + word) + 1] for word in range(address.count)]
    if address.order in ("CDAB", "DCBA"):
        words.reverse()
    if address.order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return [byte for word in words for byte in word][::-1]


@dataclass(frozen=True, slots=True)
class Values:
    """What a payload says: raw patterns, quality codes and texts by row."""

    raw: Raw
    quality: NDArray[np.uint32]
    text: Mapping[int, str]


class Codec:
    """Converts the values of n points in one table from and to a payload that begins at `base`."""

    def __init__(self, points: Sequence[Point], base: int) -> None:
        self.n = len(points)
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
        for rows in kinds.values():
            chosen = [points[row] for row in rows]
            index = [byte_index(point.address, base) for point in chosen]
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

    def decode(self, payload: Bytes, chosen: Mask | None = None) -> Values:
        """Read all points, or the chosen rows only; rows that are not chosen stay 0."""
        raw = np.zeros(self.n, np.uint64)
        quality = np.zeros(self.n, np.uint32)
        for part in self._numbers:
            pick = slice(None) if chosen is None else chosen[part.rows]
            rows = part.rows[pick]
            if len(rows):
                raw[rows], exceeded = part.read(payload, pick)
                if exceeded is not None:
                    quality[rows[exceeded]] = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        if not self._texts:
            return Values(raw, quality, NO_TEXT)
        text = {
            row: payload[index].tobytes().partition(b"\0")[0].decode("utf-8", "replace")
            for row, index in self._texts
            if chosen is None or chosen[row]
        }
        return Values(raw, quality, text)

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
                data = text.get(row, "").encode()
                if len(data) > len(index):
                    unfit[row] = True
                else:
                    payload[index] = np.frombuffer(data.ljust(len(index), b"\0"), np.uint8)
        return unfit


def _text_index(least_first: Sequence[int], address: Address) -> NDArray[np.intp]:
    """Return the bytes of a text in reading order: words are never swapped, bytes may be."""
    in_words = np.array(least_first[::-1], np.intp)
    if address.order in ("CDAB", "DCBA"):
        in_words = in_words.reshape(-1, 2)[::-1].reshape(-1)
    return in_words[: address.length]


Pick = slice | Mask


class _Coils:
    """BOOL in coils and discrete inputs."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        self.rows, self._at = rows, index[:, 0]

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        return payload[self._at[pick]].astype(np.uint64), None

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        payload[self._at[pick]] = raw != 0
        return np.zeros(len(raw), np.bool_)


class _Bits:
    """BOOL in one bit of a register; the other bits of the register stay."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        bits = np.array([point.address.bit for point in points], np.intp)
        self.rows = rows
        self._at = index[np.arange(len(rows)), bits // 8]
        self._shift = (bits % 8).astype(np.uint8)

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        bits = np.right_shift(payload[self._at[pick]], self._shift[pick]) & np.uint8(1)
        return np.array(bits, np.uint64), None

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        at, bit = self._at[pick], np.uint8(1) << self._shift[pick]
        np.bitwise_and.at(payload, at, ~bit)
        np.bitwise_or.at(payload, at, np.where(raw != 0, bit, np.uint8(0)))
        return np.zeros(len(raw), np.bool_)


class _Flags:
    """BOOL in a whole register: true where it is not zero; written as 0 or 1."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        self.rows, self._index = rows, index

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        return np.array(payload[self._index[pick]].any(axis=1), np.uint64), None

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        index = self._index[pick]
        payload[index[:, 0]] = raw != 0
        payload[index[:, 1]] = 0
        return np.zeros(len(raw), np.bool_)


class _Numbers:
    """Numbers of one raw type for tags of one type."""

    def __init__(self, rows: NDArray[np.intp], index: NDArray[np.intp], points: Sequence[Point]) -> None:
        first = points[0]
        self.rows, self._index = rows, index
        self._tag_type = first.tag.data_type
        self._dtype = np.dtype(first.address.raw.dtype)
        self._scaled = first.address.scaled
        self._scale = np.array([point.address.scale for point in points])
        self._offset = np.array([point.address.offset for point in points])

    def read(self, payload: Bytes, pick: Pick) -> tuple[Raw, Mask | None]:
        values: NDArray[Any] = payload[self._index[pick]].view(self._dtype)[:, 0]
        if self._scaled:
            values = values.astype(np.float64) * self._scale[pick] + self._offset[pick]
        return to_pattern(values, self._tag_type)

    def write(self, payload: Bytes, raw: Raw, pick: Pick) -> Mask:
        values = from_pattern(raw, self._tag_type)
        if self._scaled:
            values = (values.astype(np.float64) - self._offset[pick]) / self._scale[pick]
        wire, unfit = _convert(values, self._dtype)
        index = self._index[pick]
        payload[index[~unfit]] = wire.view(np.uint8).reshape(index.shape)[~unfit]
        return unfit


def to_pattern(values: NDArray[Any], tag_type: DataType) -> tuple[Raw, Mask]:
    """Return the tag table's patterns, held at the type's limits, and where they had to be held."""
    if tag_type.kind == "f":
        numbers = values.astype(np.float64)
        if tag_type is not DataType.REAL:
            return numbers.view(np.uint64), np.zeros(len(numbers), np.bool_)
        with np.errstate(over="ignore"):
            short = numbers.astype(np.float32).astype(np.float64)
        return short.view(np.uint64), np.isinf(short) & np.isfinite(numbers)
    wide = np.dtype(np.int64 if tag_type.kind == "i" else np.uint64)
    low, high = tag_type.limits or (0, 0)
    held, exceeded = _hold(values, wide, int(low), int(high))
    return held.view(np.uint64), exceeded


def from_pattern(raw: Raw, tag_type: DataType) -> NDArray[Any]:
    """Return the numbers that patterns of the tag table stand for."""
    return raw.view({"f": np.float64, "i": np.int64}.get(tag_type.kind, np.uint64))


def _convert(values: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], Mask]:
    """Return the values in the wire's type and where they do not fit it."""
    if dtype.kind == "f":
        numbers = values.astype(np.float64)
        with np.errstate(over="ignore"):
            wire = numbers.astype(dtype)
        return wire, np.isinf(wire) & np.isfinite(numbers)
    limits = np.iinfo(dtype)
    return _hold(values, dtype, int(limits.min), int(limits.max))


def _hold(values: NDArray[Any], dtype: np.dtype[Any], low: int, high: int) -> tuple[NDArray[Any], Mask]:
    """Return whole numbers held within low and high, and where they lay outside or were no number."""
    if values.dtype.kind == "f":
        whole = np.rint(values.astype(np.float64))
        above = whole >= float(high + 1)  # exact: high + 1 is a power of two
        below = whole < float(low)
        outside = above | below | np.isnan(whole)
        held = np.where(outside, 0.0, whole).astype(dtype)
        held[above] = high
        held[below] = low
        return held, outside
    limits = np.iinfo(values.dtype)
    clipped = np.clip(values, max(low, int(limits.min)), min(high, int(limits.max)))
    return clipped.astype(dtype), clipped != values
