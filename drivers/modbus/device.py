"""A Modbus device without sockets: tables of tags, and the exact answer to every request.

Source: MODBUS Application Protocol V1.1b3, 6 (functions and their state diagrams), 7 (exception codes);
MODBUS over Serial Line V1.02, 2.1 (broadcast).
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.frame.held import Values
from drivers.modbus.address import Point, Table
from drivers.modbus.codec import Bytes, Codec, bit_mask, pack_bits, unpack_bits
from drivers.modbus.identity import Identity, identify
from drivers.modbus.messages import ExceptionCode, RefusalError
from runtime.contract import Batch, DataType, Quality, Tag, Value

ON, OFF = 0xFF00, 0x0000
_TWO = struct.Struct(">HH")
_NO_CHARACTER = "\ufffd"  # what bytes that are no UTF-8 become
_CLOSE = {DataType.REAL: 1e-6, DataType.LREAL: 1e-12}  # how far a limit may be off on the wire


class Wanted(NamedTuple):
    """A tag that a master wants to write; one that `shares` its register only if it has another value now."""

    tag: Tag
    value: Value
    shares: bool


class Change(NamedTuple):
    """What a write does to an area: `inputs` are rows of the masters' own tags, `wanted` is the gate's."""

    start: int
    data: Bytes
    inputs: NDArray[np.bool_]
    values: Values
    wanted: tuple[Wanted, ...]


class Write(NamedTuple):
    """A write that a request asks for, and what is answered once it was made."""

    area: Area
    change: Change
    response: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that the gate decides on.

    Attributes:
        what: the request in words.
        wanted: the tags to write, in order of address.
    """

    function: int
    what: str
    write: Write

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return self.write.change.wanted

    def take(self, now_ns: int) -> Batch | None:
        """Take in what is the masters' own; return the values of the plant that this changes."""
        return self.write.area.take(self.write.change, now_ns)

    @property
    def has_inputs(self) -> bool:
        """Tell whether it writes tags of the masters' own as well."""
        return bool(self.write.change.inputs.any())

    def doubt(self, now_ns: int) -> Batch | None:
        """Take in nothing of what is the masters' own; return it as uncertain."""
        return self.write.area.doubt(now_ns, self.write.change.inputs)

    def response(self) -> bytes:
        """Return the response, once everything is written."""
        return bytes([self.function]) + self.write.response()

    def refused(self, code: ExceptionCode) -> bytes:
        return bytes([self.function | 0x80, code])


def nothing(_: Point) -> bool:
    """Tell that masters may command no point."""
    return False


class Area:
    """One table of one unit: from its first tag to its last; places between that no tag has read as 0."""

    def __init__(
        self,
        points: Sequence[Point],
        is_input: Callable[[Point], bool],
        is_commanded: Callable[[Point], bool],
        present: Callable[[Tag], Tag],
    ) -> None:
        self.points = tuple(points)
        self._present = present
        self.table = points[0].address.table
        self._first = min(point.address.start for point in points)
        self._end = max(point.address.start + point.address.count for point in points)
        self._width = 1 if self.table.is_bits else 2
        self._bytes = np.zeros((self._end - self._first) * self._width, np.uint8)
        self._codec = Codec(points, self._first)
        self._start = np.array([point.address.start for point in points], np.intp)
        self._stop = self._start + np.array([point.address.count for point in points], np.intp)
        self._is_input = np.array([is_input(point) for point in points], np.bool_)
        self._is_commanded = np.array([is_commanded(point) for point in points], np.bool_)
        self._is_commanded &= ~self._is_input & self.table.writable
        self._is_bit = np.array([point.address.is_register_bit for point in points], np.bool_)
        tags = [point.tag for point in points]
        self._kind = np.array([tag.data_type.kind for tag in tags])
        self._low = np.array([_widened(tag, tag.low, -math.inf) for tag in tags])
        self._high = np.array([_widened(tag, tag.high, math.inf) for tag in tags])
        has_range = (np.isfinite(self._low) | np.isfinite(self._high)) & (self._kind != "s")
        self._is_judged = has_range | (self._kind == "f")  # NaN is no value, whatever the range
        bits = Counter(self._start[self._is_bit].tolist())
        self._shares = self._is_bit & np.array([bits[start] > 1 for start in self._start.tolist()], np.bool_)
        self._is_place_of_input = self._places_of(self._is_input & self.table.writable)
        self._writable = self._is_place_of_input | self._places_of(self._is_commanded)
        self._ids = np.array([point.tag.id for point in points], np.int32)
        self._raw = np.zeros(len(points), np.uint64)
        self._text: dict[int, str] = {}
        self._known = np.zeros(len(points), np.bool_)

    def show(self, rows: NDArray[np.intp], raw: NDArray[np.uint64], text: Mapping[int, str]) -> list[Point]:
        """Put values of the plant into the image; return the points that cannot hold theirs."""
        chosen = np.zeros(len(self.points), np.bool_)
        chosen[rows] = True
        self._known[rows] = False
        values = np.zeros(len(self.points), np.uint64)
        values[rows] = raw
        unfit = self._codec.encode(self._bytes, values, chosen, text)
        return [self.points[row] for row in np.flatnonzero(unfit).tolist()]

    def read(self, start: int, count: int) -> Bytes:
        """Return the bytes of places.

        Raises:
            RefusalError: they are not all there.
        """
        if start < self._first or start + count > self._end:
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        at = (start - self._first) * self._width
        return self._bytes[at : at + count * self._width]

    def plan(self, start: int, data: Bytes, mask: int | None = None) -> Change:
        """Return what a write of places does; `mask` has the bits that are written of a register.

        A value is written whole or not at all. Bits of one register that have a tag each are written by
        themselves: those that masters may not write must be as they read.

        Raises:
            RefusalError: a place does not belong to a tag that masters may write, or to one only part of
                which would be written (illegal address); a value is none of the tag's type, or one of the
                masters' own is out of the tag's range (illegal value).
        """
        count = len(data) // self._width
        at = start - self._first
        if at < 0 or start + count > self._end or not self._writable[at : at + count].all():
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        after = self._bytes.copy()
        after[at * self._width : (at + count) * self._width] = data
        touched = (self._start < start + count) & (self._stop > start)
        ours = touched & (self._is_input | self._is_commanded)
        torn = ours & ((self._start < start) | (self._stop > start + count))
        values = self._codec.decode(after, touched)
        if torn.any() or self._changes_others(touched & ~ours, values):
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        inputs, wanted = ours & self._is_input, ours & self._is_commanded
        unfit = any(_NO_CHARACTER in text for row, text in values.text.items() if ours[row])
        if unfit or values.quality[ours].any() or self._outside(inputs, values.raw):
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
        if mask is not None:
            for row in np.flatnonzero(wanted & self._is_bit).tolist():
                wanted[row] = bool(mask & bit_mask(self.points[row].address))
        rows = sorted(np.flatnonzero(wanted).tolist(), key=self._order_of)
        whole = mask is None
        asked = [Wanted(*self._value(row, values), whole and bool(self._shares[row])) for row in rows]
        return Change(start, data, inputs, values, tuple(asked))

    def take(self, change: Change, now_ns: int) -> Batch | None:
        """Take in what is the masters' own; return the values of the plant that this changes."""
        values, inputs = change.values, change.inputs
        if not inputs.any():
            return None
        at = change.start - self._first
        places = slice(at, at + len(change.data) // self._width)
        theirs = np.repeat(self._is_place_of_input[places], self._width)
        self._bytes[places.start * self._width : places.stop * self._width][theirs] = change.data[theirs]
        changed = inputs & (~self._known | (values.raw != self._raw))
        for row, text in values.text.items():
            changed[row] |= inputs[row] and text != self._text.get(row)
        return self._batch(changed, values, now_ns)

    def _places_of(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        places = np.zeros(self._end - self._first, np.bool_)
        for row in np.flatnonzero(rows).tolist():
            places[self._start[row] - self._first : self._stop[row] - self._first] = True
        return places

    def _order_of(self, row: int) -> tuple[int, int]:
        address = self.points[row].address
        return address.start, address.bit or 0

    def _value(self, row: int, values: Values) -> tuple[Tag, Value]:
        """Return the tag as it is now, and its value."""
        tag = self._present(self.points[row].tag)
        return tag, at_limit(tag, tag.data_type.decode(int(values.raw[row]), values.text.get(row)))

    def _changes_others(self, rows: NDArray[np.bool_], values: Values) -> bool:
        """Tell whether a write would change what masters may not write but only read in the same register."""
        return bool(rows.any()) and bool(
            (self._codec.decode(self._bytes, rows).raw != values.raw)[rows].any()
        )

    def _outside(self, rows: NDArray[np.bool_], raw: NDArray[np.uint64]) -> bool:
        """Tell whether a number lies outside its tag's range; what is no number does."""
        at = np.flatnonzero(rows & self._is_judged)
        if not len(at):
            return False
        raw, kind = raw[at], self._kind[at]
        numbers = np.where(kind == "f", raw.view(np.float64), raw.astype(np.float64))
        numbers = np.where(kind == "i", raw.view(np.int64).astype(np.float64), numbers)
        return not bool(((self._low[at] <= numbers) & (numbers <= self._high[at])).all())

    def doubt(self, now_ns: int, rows: NDArray[np.bool_] | None = None) -> Batch | None:
        """Return what masters wrote, all or these rows, as uncertain, once: nobody confirms it any more."""
        stale = self._known & (self._is_input if rows is None else rows)
        if not stale.any():
            return None
        self._known &= ~stale
        uncertain = Quality.UNCERTAIN_LAST_USABLE_VALUE
        return Batch.of(self._ids, self._raw.copy(), now_ns, uncertain, self._text.copy()).take(stale)

    def _batch(self, changed: NDArray[np.bool_], values: Values, now_ns: int) -> Batch | None:
        if not changed.any():
            return None
        self._raw[changed] = values.raw[changed]
        self._known |= changed
        self._text.update(values.text)
        return Batch.of(self._ids, values.raw, now_ns, values.quality, values.text).take(changed)


def _widened(tag: Tag, limit: float | None, without: float) -> float:
    """Return a limit with what the wire may be off; `without` one, that."""
    if limit is None:
        return without
    off = abs(limit) * _CLOSE.get(tag.data_type, 0.0)
    return limit + off if without > 0 else limit - off


def at_limit(tag: Tag, value: Value) -> Value:
    """Return a value as the tag's limit where it is that but for how the wire holds numbers."""
    close = _CLOSE.get(tag.data_type)
    if close is None or isinstance(value, str):
        return value
    limits = (limit for limit in (tag.low, tag.high) if limit is not None)
    return next((limit for limit in limits if math.isclose(value, limit, rel_tol=close)), value)


class Device:
    """All units and tables that a server shows.

    `is_input` tells which points masters are the source of, `is_commanded` which others they may write
    through the gate, `is_read_only` whether nothing may be written now. `present` returns a tag of others as
    it is now: its range may change while the device is there.

    Attributes:
        unit: the unit id that 0 and 255 stand for, as many masters on TCP send them.
        on_line: it is on a serial line, where others answer for other units, and unit 0 means all.
    """

    def __init__(
        self,
        points: Sequence[Point],
        unit: int,
        tag_count: int,
        is_input: Callable[[Point], bool],
        identity: Identity = (),
        *,
        on_line: bool = False,
        is_commanded: Callable[[Point], bool] = nothing,
        is_read_only: Callable[[], bool] = lambda: False,
        present: Callable[[Tag], Tag] = lambda tag: tag,
    ) -> None:
        def place(point: Point) -> tuple[int, int]:
            return point.address.unit, point.address.table.digit

        self.unit = unit
        self.on_line = on_line
        self._identity = identity
        self._is_read_only = is_read_only
        self._units: dict[int, dict[Table, Area]] = {unit: {}}
        self._row_of = np.full(tag_count, -1, np.intp)
        self._area_of = np.full(tag_count, -1, np.intp)
        self._areas: list[Area] = []
        for (of_unit, _), each in groupby(sorted(points, key=place), place):
            area = Area(list(each), is_input, is_commanded, present)
            ids = [point.tag.id for point in area.points]
            self._row_of[ids] = np.arange(len(ids))
            self._area_of[ids] = len(self._areas)
            self._areas.append(area)
            self._units.setdefault(of_unit, {})[area.table] = area
        self._answers: dict[int, Answer] = {
            1: self._read_bits(Table.COIL),
            2: self._read_bits(Table.DISCRETE_INPUT),
            3: self._read_registers(Table.HOLDING_REGISTER),
            4: self._read_registers(Table.INPUT_REGISTER),
            5: self._write_coil,
            6: self._write_register,
            15: self._write_coils,
            16: self._write_registers,
            22: self._mask_register,
            23: self._read_write_registers,
            43: self._identify,
        }
        if on_line:
            self._answers[8] = _diagnose

    @property
    def is_read_only(self) -> bool:
        """Tell whether nothing may be written now."""
        return self._is_read_only()

    def show(self, batch: Batch) -> list[Point]:
        """Put good values of the plant into the tables; return the points that cannot hold theirs.

        Modbus knows no quality: a value that turns bad stays as it was, and reads 0 before the first.
        """
        batch = batch.take((batch.quality >> 30 == 0) & (self._area_of[batch.ids] >= 0))
        unfit: list[Point] = []
        areas = self._area_of[batch.ids]
        for number in np.unique(areas).tolist():
            part = batch.take(areas == number)
            rows = self._row_of[part.ids]
            text = {int(rows[row]): each for row, each in part.text.items()}
            unfit += self._areas[number].show(rows, part.raw, text)
        return unfit

    def doubt(self, now_ns: int) -> list[Batch]:
        """Return what masters wrote as uncertain; good again with their next write."""
        return [batch for area in self._areas if (batch := area.doubt(now_ns)) is not None]

    def answer(self, unit: int, message: bytes, now_ns: int) -> tuple[bytes, Batch | None] | Wish:
        """Return the response to a request, and the values of the plant that the request changes.

        What the gate decides on is returned as a wish, and nothing was written. On a serial line what is for
        other units, or for all of them, gets no response; a broadcast writes the masters' own tags only,
        since nobody would hear that the gate refuses.
        """
        if self.on_line and unit == 0:
            told = [self._answer(each, message, now_ns) for each in self._units]
            batch = Batch.joined(
                each[1] for each in told if not isinstance(each, Wish) and each[1] is not None
            )
            return b"", batch if len(batch) else None
        if self.on_line and unit not in self._units:
            return b"", None
        return self._answer(unit, message, now_ns)

    def _answer(self, unit: int, message: bytes, now_ns: int) -> tuple[bytes, Batch | None] | Wish:
        function = message[0]
        try:
            if unit in (0, 255) and unit not in self._units:
                unit = self.unit
            if unit not in self._units:
                raise RefusalError(ExceptionCode.GATEWAY_TARGET_FAILED)
            carry_out = self._answers.get(function)
            if carry_out is None:
                raise RefusalError(ExceptionCode.ILLEGAL_FUNCTION)
            asked = carry_out(unit, message[1:])
        except RefusalError as exc:
            return bytes([function | 0x80, exc.code]), None
        if isinstance(asked, bytes):
            return bytes([function]) + asked, None
        area, change, response = asked
        if change.wanted:
            what = f"function {function} at {change.start} of unit {unit}"
            return Wish(function, what, asked)
        if self.is_read_only:
            failure = bytes([function | 0x80, ExceptionCode.SERVER_DEVICE_FAILURE])
            return failure, area.doubt(now_ns, change.inputs)
        batch = area.take(change, now_ns)
        return bytes([function]) + response(), batch

    def _area(self, unit: int, table: Table) -> Area:
        area = self._units[unit].get(table)
        if area is None:
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        return area

    def _read_bits(self, table: Table) -> Answer:
        def read(unit: int, data: bytes) -> bytes:
            start, count = _span(data, table.max_read)
            packed = pack_bits(self._area(unit, table).read(start, count))
            return bytes([len(packed)]) + packed

        return read

    def _read_registers(self, table: Table) -> Answer:
        def read(unit: int, data: bytes) -> bytes:
            start, count = _span(data, table.max_read)
            return bytes([2 * count]) + self._area(unit, table).read(start, count).tobytes()

        return read

    def _write(
        self, unit: int, table: Table, start: int, data: Bytes, echo: bytes, mask: int | None = None
    ) -> Write:
        area = self._area(unit, table)
        return Write(area, area.plan(start, data, mask), lambda: echo)

    def _write_coil(self, unit: int, data: bytes) -> Write:
        start, value = _two(data)
        if value not in (ON, OFF):
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
        return self._write(unit, Table.COIL, start, np.array([value == ON], np.uint8), data)

    def _write_register(self, unit: int, data: bytes) -> Write:
        start, _ = _two(data)
        register = np.frombuffer(data, np.uint8)[2:]
        return self._write(unit, Table.HOLDING_REGISTER, start, register, data)

    def _write_coils(self, unit: int, data: bytes) -> Write:
        start, count = _span(data[:4], Table.COIL.max_write)
        _exact(data[4:], (count + 7) // 8)
        return self._write(unit, Table.COIL, start, unpack_bits(data[5:], count), data[:4])

    def _write_registers(self, unit: int, data: bytes) -> Write:
        start, count = _span(data[:4], Table.HOLDING_REGISTER.max_write)
        _exact(data[4:], 2 * count)
        registers = np.frombuffer(data, np.uint8)[5:]
        return self._write(unit, Table.HOLDING_REGISTER, start, registers, data[:4])

    def _mask_register(self, unit: int, data: bytes) -> Write:
        if len(data) != 6:
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
        start, keep, put = struct.unpack(">HHH", data)
        before = int.from_bytes(self._area(unit, Table.HOLDING_REGISTER).read(start, 1).tobytes(), "big")
        after = (before & keep) | (put & ~keep & 0xFFFF)
        register = np.frombuffer(after.to_bytes(2, "big"), np.uint8)
        return self._write(unit, Table.HOLDING_REGISTER, start, register, data, ~keep & 0xFFFF)

    def _read_write_registers(self, unit: int, data: bytes) -> Write:
        start, count = _span(data[:4], Table.HOLDING_REGISTER.max_read)
        write_start, write_count = _span(data[4:8], 121)
        _exact(data[8:], 2 * write_count)
        area = self._area(unit, Table.HOLDING_REGISTER)
        area.read(start, count)
        change = area.plan(write_start, np.frombuffer(data, np.uint8)[9:])
        return Write(area, change, lambda: bytes([2 * count]) + area.read(start, count).tobytes())

    def _identify(self, unit: int, data: bytes) -> bytes:
        return identify(self._identity, data)


Answer = Callable[[int, bytes], bytes | Write]


def _diagnose(unit: int, data: bytes) -> bytes:
    """Return the query's data: the one sub-function that is more than a counter."""
    if data[:2] != b"\0\0":
        raise RefusalError(ExceptionCode.ILLEGAL_FUNCTION)
    if len(data) < 4 or len(data) % 2:
        raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
    return data


def _two(data: bytes) -> tuple[int, int]:
    if len(data) != 4:
        raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
    first, second = _TWO.unpack(data)
    return first, second


def _span(data: bytes, most: int) -> tuple[int, int]:
    """Return start and count; the count is judged before the address, as the standard's diagrams do."""
    start, count = _two(data)
    if not 1 <= count <= most:
        raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
    return start, count


def _exact(data: bytes, size: int) -> None:
    """Check that a byte count is there, says the size, and tells the truth."""
    if not data or data[0] != size or len(data) != size + 1:
        raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
