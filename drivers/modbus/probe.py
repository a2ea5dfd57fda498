"""Find out what a Modbus device has: units, readable ranges, what it says of itself. It only reads.

There is no browsing in Modbus: a place exists where a read of it is not refused. Ranges are found by halving
what is refused, at a bounded rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from drivers.modbus.address import Table
from drivers.modbus.codec import unpack_bits
from drivers.modbus.identity import parse, request
from drivers.modbus.messages import SILENT, ExceptionCode, Reply, Request, Transport
from runtime.clock import SECOND_NS
from runtime.contract import Clock, DataType, Tag

_PRESENT = b"\x03\0\0\0\1"
_MAX_SILENCES = 3
_MAX_PARTS = 8  # of an identification
_WORDS = {
    Table.COIL: "coil",
    Table.DISCRETE_INPUT: "input",
    Table.INPUT_REGISTER: "register",
    Table.HOLDING_REGISTER: "holding",
}


@dataclass(slots=True)
class FoundUnit:
    """A unit that answers.

    Attributes:
        values: table to place (from 0) to what it held.
        identity: object to text.
        note: why the search ended early, if it did.
    """

    unit: int
    values: dict[Table, dict[int, int]] = field(default_factory=dict)
    identity: dict[int, str] = field(default_factory=dict)
    note: str = ""

    def ranges(self, table: Table) -> list[tuple[int, int]]:
        """Return the first and last place of each run that can be read."""
        runs: list[tuple[int, int]] = []
        for place in sorted(self.values.get(table, ())):
            if runs and place == runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], place)
            else:
                runs.append((place, place))
        return runs


class _EndError(Exception):
    """The search in a table, or a unit, is over."""

    def __init__(self, note: str = "") -> None:
        super().__init__(note)
        self.note = note


class Probe:
    """One search.

    `rate` is requests per second at most; `limit` how many there may be in all; `grain` how short a range may
    be and still be found for sure, 1 for any.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        rate: float = 20.0,
        limit: int = 10_000,
        grain: int = 8,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.requests = 0
        self._transport, self._clock, self._tell = transport, clock, tell
        self._step_ns, self._limit, self._grain = round(SECOND_NS / rate), limit, grain
        self._next_ns = 0
        self._silences = 0

    async def unit(self, unit: int, tables: Iterable[Table], first: int, last: int) -> FoundUnit | None:
        """Return what a unit has between two places, or None where nobody answers.

        Raises:
            ConnectError: the connection was lost.
        """
        await self._pace()
        response = await self._transport.ask(unit, _PRESENT)
        if response is None or (response[0] & 0x80 and int.from_bytes(response[1:]) in SILENT):
            return None
        found = FoundUnit(unit)
        self._silences = 0
        try:
            found.identity = await self._identity(unit)
            for table in tables:
                self._tell(f"unit {unit}: {_WORDS[table]}s")
                found.values[table] = {}
                await self._table(found, table, first, last + 1)
        except _EndError as exc:
            found.note = exc.note
        return found

    async def _identity(self, unit: int) -> dict[int, str]:
        objects: dict[int, str] = {}
        at = 0
        for _ in range(_MAX_PARTS):
            await self._pace()
            response = await self._transport.ask(unit, request(at))
            try:
                part, at = parse(response or b"")
            except ValueError:
                break
            objects |= part
            if not at:
                break
        return objects

    async def _table(self, found: FoundUnit, table: Table, first: int, end: int) -> None:
        spans = [(start, min(end, start + table.max_read)) for start in range(first, end, table.max_read)]
        spans.reverse()
        while spans:
            start, stop = spans.pop()
            reply = await self._read(found.unit, table, start, stop - start)
            if reply.ok:
                found.values[table] |= dict(enumerate(_numbers(table, reply, stop - start), start))
                continue
            if reply.exception == ExceptionCode.ILLEGAL_FUNCTION:
                return
            if stop - start == 1:
                continue
            if stop - start <= self._grain:
                ends = [await self._read(found.unit, table, at, 1) for at in (start, stop - 1)]
                for at, each in zip((start, stop - 1), ends, strict=True):
                    if each.ok:
                        found.values[table] |= dict(enumerate(_numbers(table, each, 1), at))
                if not any(each.ok for each in ends):
                    continue
                start, stop = start + 1, stop - 1
            middle = (start + stop) // 2
            spans += [each for each in ((middle, stop), (start, middle)) if each[0] < each[1]]

    async def _read(self, unit: int, table: Table, start: int, count: int) -> Reply:
        await self._pace()
        (reply,) = await self._transport.exchange([Request(unit, table, start, count)])
        self._silences = 0 if reply.answered else self._silences + 1
        if self._silences >= _MAX_SILENCES:
            raise _EndError("fell silent")
        return reply

    async def _pace(self) -> None:
        self.requests += 1
        if self.requests > self._limit:
            raise _EndError(f"stopped after {self._limit} requests")
        now_ns = self._clock.steady_ns()
        await self._clock.sleep_until(self._next_ns)
        self._next_ns = max(self._next_ns, now_ns) + self._step_ns


def _numbers(table: Table, reply: Reply, count: int) -> list[int]:
    if table.is_bits:
        return [int(each) for each in unpack_bits(reply.data, count)]
    return [int(each) for each in np.frombuffer(reply.data, ">u2")]


def reference(table: Table, place: int) -> str:
    """Return a place as people write it: 40001, or six digits from 410000 on."""
    return f"{table.digit}{place + 1:04d}" if place < 9999 else f"{table.digit}{place + 1:05d}"


def tags_of(found: Iterable[FoundUnit], name: str) -> list[Tag]:
    """Return a tag for each place that can be read."""
    return [
        Tag(
            f"{name}/unit{each.unit}/{_WORDS[table]}{reference(table, place)}",
            DataType.BOOL if table.is_bits else DataType.UINT,
            description=f"{value} when it was probed",
            source=name,
            device=name,
            address=f"{each.unit}!{reference(table, place)}",
        )
        for each in found
        for table, values in each.values.items()
        for place, value in sorted(values.items())
    ]
