"""Bytes of a CPU to values and back, whole blocks at a time; S7 keeps the most significant byte first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frame.held import Values
from drivers.frame.patterns import Mask, Raw, convert, from_pattern, scaled, to_pattern, unscaled
from drivers.s7 import clocks
from drivers.s7.address import Address, Point
from drivers.s7.datatypes import Family, S7Type
from runtime.contract import NO_TEXT, DataType, Quality

Bytes = NDArray[np.uint8]
EXCEEDED = np.uint32(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
NOT_OF_TYPE = np.uint32(Quality.BAD_CONFIGURATION_ERROR)


class Codec:
    """Converts the values of n points in one memory from and to a payload that begins at place `base`.

    `encoding` is that of STRING and CHAR.
    """

    def __init__(self, points: Sequence[Point], base: int, encoding: str) -> None:
        self.n = len(points)
        self._encoding = encoding
        kinds: dict[object, list[int]] = {}
        self._texts: list[tuple[int, int, Address]] = []
        for row, (tag, address) in enumerate(points):
            if address.raw.family is Family.TEXT:
                self._texts.append((row, address.start - base, address))
            elif address.raw is S7Type.BOOL:
                kinds.setdefault(S7Type.BOOL, []).append(row)
            else:
                kinds.setdefault((tag.data_type, address.raw, address.scaled), []).append(row)
        self._parts: list[_Bits | _Times | _Numbers] = []
        for rows in kinds.values():
            chosen = [points[row] for row in rows]
            part: type[_Bits | _Times | _Numbers] = _Numbers
            if chosen[0].address.raw is S7Type.BOOL:
                part = _Bits
            elif chosen[0].address.raw.family in (Family.DURATION, Family.MOMENT):
                part = _Times
            self._parts.append(part(np.array(rows, np.intp), base, chosen))

    def decode(self, payload: Bytes) -> Values:
        """Read all points."""
        raw = np.zeros(self.n, np.uint64)
        quality = np.zeros(self.n, np.uint32)
        for part in self._parts:
            raw[part.rows], found = part.read(payload)
            if found is not None:
                quality[part.rows] = found
        if not self._texts:
            return Values(raw, quality)
        text = {}
        for row, at, address in self._texts:
            text[row], quality[row] = read_text(
                payload[at : at + address.size].tobytes(), address, self._encoding
            )
        return Values(raw, quality, text)

    def encode(self, payload: Bytes, raw: Raw, chosen: Mask, text: Mapping[int, str] = NO_TEXT) -> Mask:
        """Write the chosen rows into the payload; return which rows did not fit and were left out."""
        unfit = np.zeros(self.n, np.bool_)
        for part in self._parts:
            pick = chosen[part.rows]
            rows = part.rows[pick]
            if len(rows):
                unfit[rows] = part.write(payload, raw[rows], pick)
        for row, at, address in self._texts:
            if not chosen[row]:
                continue
            data = write_text(text.get(row, ""), address, self._encoding)
            if data is None:
                unfit[row] = True
            else:
                payload[at + address.head : at + address.size] = np.frombuffer(data, np.uint8)
        return unfit


def read_text(data: bytes, address: Address, encoding: str) -> tuple[str, np.uint32]:
    """Return a text and its quality: uncertain where it is longer than declared, bad where it is none."""
    raw = address.raw
    wide = raw.char_size == 2
    used = address.length
    quality = np.uint32(Quality.GOOD)
    if raw.size:
        half = raw.size // 2
        most, used = int.from_bytes(data[:half], "big"), int.from_bytes(data[half : raw.size], "big")
        if (most and used > most) or most > (16382 if wide else 254):
            return "", NOT_OF_TYPE
        if used > address.length:
            used, quality = address.length, EXCEEDED
    chars = data[raw.size : raw.size + used * raw.char_size]
    text = chars.decode("utf-16-be" if wide else encoding, "replace")
    return (text if raw.size else text.rstrip(" \0")), quality


def write_text(text: str, address: Address, encoding: str) -> bytes | None:
    """Return the bytes of a text from its present length on; None where it cannot be written so."""
    raw = address.raw
    try:
        chars = text.encode("utf-16-be" if raw.char_size == 2 else encoding)
    except UnicodeEncodeError:
        return None
    room = address.length * raw.char_size
    if len(chars) > room:
        return None
    if not raw.size:
        return chars + " ".encode("utf-16-be" if raw.char_size == 2 else "ascii") * (
            address.length - len(chars) // raw.char_size
        )
    half = raw.size // 2
    return (len(chars) // raw.char_size).to_bytes(half, "big") + chars.ljust(room, b"\0")


class _Bits:
    """BOOL in one bit of a byte; the other bits of the byte stay."""

    def __init__(self, rows: NDArray[np.intp], base: int, points: Sequence[Point]) -> None:
        self.rows = rows
        self._at = np.array([point.address.start - base for point in points], np.intp)
        self._shift = np.array([point.address.bit for point in points], np.uint8)

    def read(self, payload: Bytes) -> tuple[Raw, None]:
        bits = np.right_shift(payload[self._at], self._shift) & np.uint8(1)
        return np.array(bits, np.uint64), None

    def write(self, payload: Bytes, raw: Raw, pick: Mask) -> Mask:
        at, bit = self._at[pick], np.uint8(1) << self._shift[pick]
        np.bitwise_and.at(payload, at, ~bit)
        np.bitwise_or.at(payload, at, np.where(raw != 0, bit, np.uint8(0)))
        return np.zeros(len(raw), np.bool_)


def _byte_index(points: Sequence[Point], base: int) -> NDArray[np.intp]:
    """Return where the bytes of each value lie, of shape (n, size), as on the wire."""
    first = points[0].address
    starts = np.array([(point.address.start - base) * first.area.place_size for point in points], np.intp)
    index: NDArray[np.intp] = starts[:, None] + np.arange(first.size)
    return index


class _Times:
    """Durations and moments of one type, in ns."""

    def __init__(self, rows: NDArray[np.intp], base: int, points: Sequence[Point]) -> None:
        self.rows = rows
        self._raw = points[0].address.raw
        self._index = _byte_index(points, base)

    def read(self, payload: Bytes) -> tuple[Raw, NDArray[np.uint32]]:
        ns, bad = clocks.decode(self._raw, payload[self._index])
        return ns.view(np.uint64), np.where(bad, NOT_OF_TYPE, np.uint32(0))

    def write(self, payload: Bytes, raw: Raw, pick: Mask) -> Mask:
        data, unfit = clocks.encode(self._raw, raw.view(np.int64))
        payload[self._index[pick][~unfit]] = data[~unfit]
        return unfit


class _Numbers:
    """Numbers of one type for tags of one type."""

    def __init__(self, rows: NDArray[np.intp], base: int, points: Sequence[Point]) -> None:
        first = points[0]
        self.rows = rows
        self._tag_type: DataType = first.tag.data_type
        self._is_count = first.address.raw is S7Type.COUNTER
        self._dtype = np.dtype(first.address.raw.dtype or "<u2")
        forward = _byte_index(points, base)
        self._index = forward if self._is_count else np.ascontiguousarray(forward[:, ::-1])
        self._scaled = first.address.scaled
        self._scale = np.array([point.address.scale for point in points])
        self._offset = np.array([point.address.offset for point in points])

    def read(self, payload: Bytes) -> tuple[Raw, NDArray[np.uint32]]:
        data = payload[self._index]
        bad: Mask | None = None
        values: NDArray[Any]
        if self._is_count:
            values, bad = clocks.counter_value(data)
        else:
            values = data.view(self._dtype)[:, 0]
        beyond = np.zeros(len(values), np.bool_)
        if self._scaled:
            values, beyond = scaled(values, self._scale, self._offset)
        raw, exceeded = to_pattern(values, self._tag_type)
        exceeded |= beyond
        quality = np.where(exceeded, EXCEEDED, np.uint32(0))
        return raw, quality if bad is None else np.where(bad, NOT_OF_TYPE, quality)

    def write(self, payload: Bytes, raw: Raw, pick: Mask) -> Mask:
        values = from_pattern(raw, self._tag_type)
        beyond = np.zeros(len(raw), np.bool_)
        if self._scaled:
            values, beyond = unscaled(values, self._scale[pick], self._offset[pick])
        wire, unfit = convert(values, self._dtype)
        unfit |= beyond
        index = self._index[pick]
        payload[index[~unfit]] = wire.view(np.uint8).reshape(index.shape)[~unfit]
        return unfit
