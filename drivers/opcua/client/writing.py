"""Writes and calls: commands of people first, then the newest values of the plant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from asyncua import ua

from drivers.frame.commands import Commands
from drivers.opcua.client.address import Address, Point
from drivers.opcua.client.calls import Calls, Results
from drivers.opcua.client.errors import RefusedError
from drivers.opcua.client.outputs import Output, Outputs
from drivers.opcua.client.reading import PERMANENT
from drivers.opcua.client.session import Session, ends_session, status_name
from drivers.opcua.client.wiretypes import WireTypes
from drivers.opcua.client.writer import Writer
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


class Writing:
    """What is to be written to a server, over all its connections."""

    def __init__(
        self,
        name: str,
        written: Sequence[Point],
        commanded: Sequence[Point],
        results: Sequence[Point],
        port: Port,
    ) -> None:
        self.outputs = Outputs(written)
        self.results = Results(results, port)
        self.commanded = {point.tag.id: point for point in commanded}
        self.wake = asyncio.Event()
        self.commands = Commands(name, self.wake)
        self._name = name
        self._port = port
        self._refused: set[Address] = set()

    async def take_changes(self, changes: AsyncIterator[Batch]) -> None:
        async for batch in changes:
            self.outputs.take(batch)
            if points := self.outputs.newly_held():
                text = f"{self._name} is given {_some(points)} beyond its range: the limit is written"
                self._tell("driver.write_held", text, points)
            self.wake.set()

    async def serve(self, session: Session, types: WireTypes) -> None:
        """Write until the connection is lost.

        Raises:
            ConnectError: it is.
        """
        writer, calls = Writer(session, types), Calls(session, types)
        self.outputs.all_again()
        self._refused.clear()
        self.wake.set()
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.commands or self.outputs.waiting:
                if self.commands:
                    await self.commands.serve_next(partial(self._carry_out, writer, calls))
                else:
                    await self._write(writer, self.outputs.next(session.limits["write"]))

    async def _write(self, writer: Writer, outputs: Sequence[Output]) -> None:
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
