"""A Modbus device without sockets: tables of tags, and the exact answer to every request.

Source: MODBUS Application Protocol V1.1b3, 6 (functions and their state diagrams), 7 (exception codes);
MODBUS over Serial Line V1.02, 2.1 (broadcast).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from drivers.frame.held import Values
from drivers.modbus.address import Point, Table
from drivers.modbus.codec import Bytes, Codec, pack_bits, unpack_bits
from drivers.modbus.identity import Identity, identify
from drivers.modbus.messages import ExceptionCode, RefusalError
from runtime.contract import Batch, Quality

ON, OFF = 0xFF00, 0x0000
_TWO = struct.Struct(">HH")


class Area:
    """One table of one unit: from its first tag to its last; places between that no tag has read as 0."""

    def __init__(self, points: Sequence[Point], is_input: Callable[[Point], bool]) -> None:
        self.points = tuple(points)
        self.table = points[0].address.table
        self._first = min(point.address.start for point in points)
        self._end = max(point.address.start + point.address.count for point in points)
        self._width = 1 if self.table.is_bits else 2
        self._bytes = np.zeros((self._end - self._first) * self._width, np.uint8)
        self._codec = Codec(points, self._first)
        self._start = np.array([point.address.start for point in points], np.intp)
        self._stop = self._start + np.array([point.address.count for point in points], np.intp)
        self._is_input = np.array([is_input(point) for point in points], np.bool_)
        self._writable = np.zeros(self._end - self._first, np.bool_)
        for point, wanted in zip(points, self._is_input.tolist(), strict=True):
            if wanted and self.table.writable:
                at = point.address.start - self._first
                self._writable[at : at + point.address.count] = True
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

    def write(self, start: int, data: Bytes, now_ns: int) -> Batch | None:
        """Take in what a master writes; return the values of the plant that this changes.

        Raises:
            RefusalError: a place does not belong to a tag that masters may write.
        """
        count = len(data) // self._width
        at = start - self._first
        if at < 0 or start + count > self._end or not self._writable[at : at + count].all():
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        self._bytes[at * self._width : (at + count) * self._width] = data
        touched = self._is_input & (self._start < start + count) & (self._stop > start)
        values = self._codec.decode(self._bytes, touched)
        changed = touched & (~self._known | (values.raw != self._raw))
        for row, text in values.text.items():
            changed[row] |= text != self._text.get(row)
        return self._batch(changed, values, now_ns)

    def doubt(self, now_ns: int) -> Batch | None:
        """Return what masters wrote as uncertain, once: nobody confirms it any more."""
        stale = self._known & self._is_input
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


class Device:
    """All units and tables that a server shows.

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
    ) -> None:
        def place(point: Point) -> tuple[int, int]:
            return point.address.unit, point.address.table.digit

        self.unit = unit
        self.on_line = on_line
        self._identity = identity
        self._units: dict[int, dict[Table, Area]] = {unit: {}}
        self._row_of = np.full(tag_count, -1, np.intp)
        self._area_of = np.full(tag_count, -1, np.intp)
        self._areas: list[Area] = []
        for (of_unit, _), each in groupby(sorted(points, key=place), place):
            area = Area(list(each), is_input)
            ids = [point.tag.id for point in area.points]
            self._row_of[ids] = np.arange(len(ids))
            self._area_of[ids] = len(self._areas)
            self._areas.append(area)
            self._units.setdefault(of_unit, {})[area.table] = area
        self._answers: dict[int, Callable[[int, bytes, int], tuple[bytes, Batch | None]]] = {
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

    def answer(self, unit: int, message: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        """Return the response to a request, and the values of the plant that the request changes.

        On a serial line what is for other units, or for all of them, gets no response.
        """
        if self.on_line and unit == 0:
            told = [self._answer(each, message, now_ns)[1] for each in self._units]
            batch = Batch.joined(each for each in told if each is not None)
            return b"", batch if len(batch) else None
        if self.on_line and unit not in self._units:
            return b"", None
        return self._answer(unit, message, now_ns)

    def _answer(self, unit: int, message: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        function = message[0]
        try:
            if unit in (0, 255) and unit not in self._units:
                unit = self.unit
            if unit not in self._units:
                raise RefusalError(ExceptionCode.GATEWAY_TARGET_FAILED)
            carry_out = self._answers.get(function)
            if carry_out is None:
                raise RefusalError(ExceptionCode.ILLEGAL_FUNCTION)
            data, batch = carry_out(unit, message[1:], now_ns)
        except RefusalError as exc:
            return bytes([function | 0x80, exc.code]), None
        return bytes([function]) + data, batch

    def _area(self, unit: int, table: Table) -> Area:
        area = self._units[unit].get(table)
        if area is None:
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        return area

    def _read_bits(self, table: Table) -> Callable[[int, bytes, int], tuple[bytes, Batch | None]]:
        def read(unit: int, data: bytes, _: int) -> tuple[bytes, Batch | None]:
            start, count = _span(data, table.max_read)
            packed = pack_bits(self._area(unit, table).read(start, count))
            return bytes([len(packed)]) + packed, None

        return read

    def _read_registers(self, table: Table) -> Callable[[int, bytes, int], tuple[bytes, Batch | None]]:
        def read(unit: int, data: bytes, _: int) -> tuple[bytes, Batch | None]:
            start, count = _span(data, table.max_read)
            return bytes([2 * count]) + self._area(unit, table).read(start, count).tobytes(), None

        return read

    def _write_coil(self, unit: int, data: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        start, value = _two(data)
        if value not in (ON, OFF):
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
        coil = np.array([value == ON], np.uint8)
        return data, self._area(unit, Table.COIL).write(start, coil, now_ns)

    def _write_register(self, unit: int, data: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        start, _ = _two(data)
        register = np.frombuffer(data, np.uint8)[2:]
        return data, self._area(unit, Table.HOLDING_REGISTER).write(start, register, now_ns)

    def _write_coils(self, unit: int, data: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        start, count = _span(data[:4], Table.COIL.max_write)
        _exact(data[4:], (count + 7) // 8)
        coils = unpack_bits(data[5:], count)
        return data[:4], self._area(unit, Table.COIL).write(start, coils, now_ns)

    def _write_registers(self, unit: int, data: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        start, count = _span(data[:4], Table.HOLDING_REGISTER.max_write)
        _exact(data[4:], 2 * count)
        registers = np.frombuffer(data, np.uint8)[5:]
        return data[:4], self._area(unit, Table.HOLDING_REGISTER).write(start, registers, now_ns)

    def _mask_register(self, unit: int, data: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        if len(data) != 6:
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
        start, keep, put = struct.unpack(">HHH", data)
        area = self._area(unit, Table.HOLDING_REGISTER)
        before = int.from_bytes(area.read(start, 1).tobytes(), "big")
        after = (before & keep) | (put & ~keep & 0xFFFF)
        return data, area.write(start, np.frombuffer(after.to_bytes(2, "big"), np.uint8), now_ns)

    def _read_write_registers(self, unit: int, data: bytes, now_ns: int) -> tuple[bytes, Batch | None]:
        start, count = _span(data[:4], Table.HOLDING_REGISTER.max_read)
        write_start, write_count = _span(data[4:8], 121)
        _exact(data[8:], 2 * write_count)
        area = self._area(unit, Table.HOLDING_REGISTER)
        area.read(start, count)
        batch = area.write(write_start, np.frombuffer(data, np.uint8)[9:], now_ns)
        return bytes([2 * count]) + area.read(start, count).tobytes(), batch

    def _identify(self, unit: int, data: bytes, _: int) -> tuple[bytes, Batch | None]:
        return identify(self._identity, data), None


def _diagnose(unit: int, data: bytes, _: int) -> tuple[bytes, Batch | None]:
    """Return the query's data: the one sub-function that is more than a counter."""
    if data[:2] != b"\0\0":
        raise RefusalError(ExceptionCode.ILLEGAL_FUNCTION)
    if len(data) < 4 or len(data) % 2:
        raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
    return data, None


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
