"""Writes and calls: commands of people first, then the newest values of the plant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from asyncua import ua

from drivers.frame.commands import Commands
from drivers.frame.connection import Link
from drivers.frame.kept import Kept
from drivers.opcua.client.address import Address, Point
from drivers.opcua.client.calls import Calls, Results
from drivers.opcua.client.errors import RefusedError
from drivers.opcua.client.outputs import Output, Outputs
from drivers.opcua.client.reading import PERMANENT
from drivers.opcua.client.session import Session, ends_session, status_name
from drivers.opcua.client.wiretypes import WireTypes
from drivers.opcua.client.writer import Writer
from runtime.clock import SECOND_NS
from runtime.contract import Batch, Command, Event, Port
from runtime.errors import ConnectError

_FOR_GOOD = PERMANENT | frozenset(
    getattr(ua.StatusCodes, name)
    for name in (
        "BadNotWritable",
        "BadTypeMismatch",
        "BadOutOfRange",
        "BadWriteNotSupported",
        "BadInvalidState",
        "BadServiceUnsupported",
    )
)
_CODE = 0xFFFF_0000  # without the info bits
_LATER = int(ua.StatusCodes.GoodCompletesAsynchronously)


class Writing:
    """What is to be written to a server, over all its connections."""

    def __init__(
        self,
        name: str,
        written: Sequence[Point],
        commanded: Sequence[Point],
        results: Sequence[Point],
        port: Port,
        link: Link,
        *,
        verify: bool,
    ) -> None:
        self.outputs = Outputs(written)
        self.results = Results(results, port)
        self.commanded = {point.tag.id: point for point in commanded}
        self.wake = asyncio.Event()
        self.commands = Commands(name, self.wake)
        self._name = name
        self._port = port
        self._refused: set[Address] = set()
        self._verify, self._kept = verify, Kept(name, link, port)
        self._sent: dict[int, Output] = {}  # the last of each tag
        self._unverified: dict[int, None] = {}
        self._doubted: dict[int, tuple[Output, int]] = {}  # not kept at the first look, at ns
        self._unreadable: set[int] = set()
        self._written = asyncio.Event()

    async def take_changes(self, changes: AsyncIterator[Batch]) -> None:
        async for batch in changes:
            self.outputs.take(batch)
            if points := self.outputs.newly_held():
                text = f"{self._name} is given {_some(points)} beyond its range: the limit is written"
                self._tell("driver.write_held", text, points)
            self.wake.set()

    def start(self, session: Session, types: WireTypes, tasks: asyncio.TaskGroup) -> None:
        """Begin to write, and to read back, over a new connection: everything again."""
        writer = Writer(session, types)
        self.outputs.all_again()
        self._refused.clear()
        self._unverified.clear()
        self._doubted.clear()
        self._unreadable.clear()
        tasks.create_task(self._serve(session, writer, Calls(session, types)))
        if self._verify and self.outputs.points:
            tasks.create_task(self._verify_all(session, writer))

    async def _serve(self, session: Session, writer: Writer, calls: Calls) -> None:
        """Write until the connection is lost.

        Raises:
            ConnectError: it is.
        """
        self.wake.set()
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.commands or self.outputs.waiting:
                if self.commands:
                    await self.commands.serve_next(partial(self._carry_out, writer, calls))
                else:
                    await self._write(writer, self.outputs.next(session.limits["write"]))

    async def _verify_all(self, session: Session, writer: Writer) -> None:
        """Read back what programs had written, beside what is being written, until the connection is lost.

        Raises:
            ConnectError: it is.
        """
        while True:
            await self._written.wait()
            self._written.clear()
            while self._unverified:
                ids = list(self._unverified)[: session.limits["read"]]
                for id_ in ids:
                    del self._unverified[id_]
                await self._read_back(writer, [self._sent[id_] for id_ in ids])

    def look_again(self) -> None:
        """Have read back once more, after a second, what was not kept.

        Servers that fetch what they have from elsewhere may show the value before for a while.
        """
        until_ns = self._port.clock.steady_ns() - SECOND_NS
        ripe = [id_ for id_, (_, at_ns) in self._doubted.items() if at_ns <= until_ns]
        if ripe:
            self._unverified.update(dict.fromkeys(ripe))
            self._written.set()

    async def _read_back(self, writer: Writer, outputs: Sequence[Output]) -> None:
        try:
            found = await writer.read_back(outputs, self._port.clock.now_ns())
        except RefusedError as exc:
            if ends_session(exc):
                raise
            self._unreadable.update(each.point.tag.id for each in outputs)
            return
        kept: list[Point] = []
        lost: list[Point] = []
        for output, (said, same) in zip(outputs, found, strict=True):
            id_ = output.point.tag.id
            before, _ = self._doubted.pop(id_, (None, 0))
            if same is None:
                if said.quality in PERMANENT:  # it can be written only
                    self._unreadable.add(id_)
            elif self._sent[id_] is output and self.outputs.is_settled(id_):
                if same:
                    kept.append(output.point)
                elif before is output:
                    lost.append(output.point)
                else:
                    self._doubted[id_] = output, self._port.clock.steady_ns()
        if kept or lost:
            self._kept.take(kept, lost)

    async def _write(self, writer: Writer, outputs: Sequence[Output]) -> None:
        self._sent.update((each.point.tag.id, each) for each in outputs)
        try:
            codes = await writer.write(outputs)
        except ConnectError as exc:
            if not isinstance(exc, RefusedError) or ends_session(exc):
                for each in outputs:
                    self.outputs.defer(each)
                raise
            codes = [(exc.code, status_name(exc.code))] * len(outputs)
        refused: dict[str, list[Point]] = {}
        for output, (code, why) in zip(outputs, codes, strict=True):
            address = output.point.address
            if code >> 31 == 0:
                self._refused.discard(address)
                id_ = output.point.tag.id
                if self._verify and code & _CODE != _LATER and id_ not in self._unreadable:
                    self._unverified[id_] = None
                    self._written.set()
                continue
            if code not in _FOR_GOOD:
                self.outputs.defer(output)
            if address not in self._refused:
                self._refused.add(address)
                refused.setdefault(why, []).append(output.point)
        for why, points in refused.items():
            kind = "driver.write_refused" if why.startswith("Bad") else "driver.write_unfit"
            self._tell(kind, f"{self._name} does not take a write of {_some(points)}: {why}", points)

    def _tell(self, kind: str, text: str, points: Sequence[Point]) -> None:
        paths = {"tags": [point.tag.path for point in points]}
        self._port.emit(Event(kind, self._name, self._port.clock.now_ns(), text, paths))

    async def _carry_out(self, writer: Writer, calls: Calls, command: Command) -> str:
        point = self.commanded.get(command.tag.id)
        if point is None:
            return f"{command.tag.path} cannot be written on {self._name}"
        try:
            return await self._try_to(writer, calls, command, point)
        except RefusedError as exc:
            if ends_session(exc):
                raise
            return exc.text  # this request only: the connection stands

    async def _try_to(self, writer: Writer, calls: Calls, command: Command, point: Point) -> str:
        value = command.tag.data_type.decode(command.raw, command.text)
        if point.address.method is not None:
            refusal, outputs = await calls.call(point, value)
            if not refusal:
                self.results.take(point.address, outputs)
            return refusal
        refusal, kept = await writer.write_one(point, value, self._port.clock.now_ns())
        if kept is not None:
            self._port.submit(kept)
        return refusal


def _some(points: Sequence[Point]) -> str:
    more = f" and {len(points) - 3} more" if len(points) > 3 else ""
    return ", ".join(point.tag.path for point in points[:3]) + more
