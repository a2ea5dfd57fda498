"""The Modbus client at work: connect, write, poll, and tell the quality when the device does not answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from drivers.frame.connection import Backoff, Link, Traffic
from drivers.modbus.address import Point
from drivers.modbus.codec import Codec, pack_bits, unpack_bits
from drivers.modbus.messages import (
    PERMANENT,
    SILENT,
    ExceptionCode,
    Reply,
    Request,
    Transport,
    exception_text,
)
from drivers.modbus.outputs import Area, Outputs, Write
from drivers.modbus.plan import Block
from runtime.contract import Batch, Command, Event, Port, Quality
from runtime.errors import ConnectError

MAX_COMMANDS = 100
Connect = Callable[[Traffic, Callable[[], None]], Awaitable[Transport]]


@dataclass(slots=True)
class Scan:
    """Blocks that are read with one period."""

    name: str
    period_ns: int
    blocks: list[Block] = field(default_factory=list)


class ModbusClient:
    """Polls and writes one device."""

    def __init__(
        self,
        name: str,
        connect: Connect,
        scans: Sequence[Scan],
        written: Sequence[Point],
        commanded: Sequence[Point],
        depth: int,
    ) -> None:
        self.name = name
        self.connect = connect
        self.scans = list(scans)
        self.written = list(written)
        self.commanded = {point.tag.id: point for point in commanded}
        self.depth = depth

    async def run(self, port: Port) -> None:
        await _Run(port, self).go()


class _Run:
    """One life of the component: what it knows of the device."""

    def __init__(self, port: Port, device: ModbusClient) -> None:
        self.name, self.port, self.clock = device.name, port, port.clock
        self.connect, self.depth = device.connect, device.depth
        self.scans, self.commanded = device.scans, device.commanded
        self.outputs = Outputs(device.written, len(port.tags))
        self.link = Link(device.name, port)
        self.wake = asyncio.Event()
        self.due: set[str] = set()
        self.commands: deque[Command] = deque()
        self.refused: set[Request] = set()
        self.answered = False

    @property
    def blocks(self) -> list[Block]:
        return [block for scan in self.scans for block in scan.blocks]

    async def go(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            if len(self.outputs.ids):
                tasks.create_task(self.take_changes(self.port.changes(self.outputs.ids)))
            if self.commanded:
                tasks.create_task(self.take_commands(self.port.commands()))
            for scan in self.scans:
                tasks.create_task(self.tick(scan))
            tasks.create_task(self.tick_second())
            tasks.create_task(self.stay_connected())

    # What comes from the plant.

    async def take_changes(self, changes: AsyncIterator[Batch]) -> None:
        async for batch in changes:
            self.outputs.take(batch)
            self.wake.set()

    async def take_commands(self, commands: AsyncIterator[Command]) -> None:
        async for command in commands:
            if not self.link.online:
                command.failed(f"{self.name} is offline")
            elif len(self.commands) >= MAX_COMMANDS:
                command.failed(f"{self.name} has {MAX_COMMANDS} writes waiting")
            else:
                self.commands.append(command)
                self.wake.set()

    async def tick(self, scan: Scan) -> None:
        """Make a scan due at its period; what was missed is not made up for."""
        at_ns = self.clock.steady_ns()
        while True:
            self.due.add(scan.name)
            self.wake.set()
            now_ns = self.clock.steady_ns()
            at_ns += scan.period_ns * max(1, (now_ns - at_ns) // scan.period_ns + 1)
            await self.clock.sleep_until(at_ns)

    async def tick_second(self) -> None:
        while True:
            await self.clock.sleep(1.0)
            self.link.publish()
            if self.outputs.retry():
                self.wake.set()

    # The connection.

    async def stay_connected(self) -> None:
        backoff = Backoff()
        while True:
            try:
                transport = await self.connect(self.link.traffic, self.wake.set)
            except ConnectError as exc:
                self.lose(exc.text)
            else:
                self.answered = False
                self.link.traffic.connections += 1
                try:
                    await self.serve(transport)
                except ConnectError as exc:
                    self.lose(exc.text)
                finally:
                    transport.close()
                if self.answered:
                    backoff.reset()
            await self.clock.sleep(backoff.next_s())

    def lose(self, reason: str) -> None:
        """Tell that the device is lost: uncertain at first, bad at the second time."""
        self.link.down(reason)
        now_ns = self.clock.now_ns()
        for block in self.blocks:
            if block.failures < 2:
                self.submit(block.fail(now_ns))
        while self.commands:
            self.commands.popleft().failed(f"{self.name} is offline: {reason}")

    def hear(self) -> None:
        """Note that the device answered."""
        self.answered = True
        self.link.up()

    def submit(self, batch: Batch | None) -> None:
        if batch is not None:
            self.port.submit(batch)

    async def serve(self, transport: Transport) -> None:
        """Write and poll until the connection is lost.

        Raises:
            ConnectError: it was lost, or nothing answers any more.
        """
        self.outputs.all_again()
        for block in self.blocks:
            block.retest_ns = block.retest_ns if block.rejected else 0
        self.due.update(scan.name for scan in self.scans)
        if not self.scans:
            self.hear()
        self.wake.set()
        while True:
            await self.wake.wait()
            self.wake.clear()
            if transport.lost is not None:
                raise ConnectError(transport.lost)
            await self.write(transport)
            for scan in self.scans:
                if scan.name in self.due:
                    self.due.discard(scan.name)
                    await self.poll(transport, scan)

    # Reading.

    async def poll(self, transport: Transport, scan: Scan) -> None:
        """Read what is due of one scan; a unit that stays silent is not asked for the rest."""
        now_ns = self.clock.now_ns()
        todo = deque(sorted((block for block in scan.blocks if block.is_due(now_ns)), key=_failures))
        asked = len(todo)
        heard: set[int] = set()
        silent: set[int] = set()
        while todo:
            await self.write(transport)
            chunk = [todo.popleft() for _ in range(min(self.depth, len(todo)))]
            replies = await transport.exchange([block.request for block in chunk])
            now_ns = self.clock.now_ns()
            for block, reply in zip(chunk, replies, strict=True):
                gone = reply.silent or reply.exception in SILENT
                (silent if gone else heard).add(block.unit)
                parts = self.take(block, reply, now_ns)
                if parts:
                    at = scan.blocks.index(block)
                    scan.blocks[at : at + 1] = parts
                    todo.extendleft(reversed(parts))
            for block in [block for block in todo if block.unit in silent - heard]:
                self.submit(block.fail(now_ns))
                todo.remove(block)
        if asked and not heard:
            self.check_alive()

    def check_alive(self) -> None:
        """After a scan in which nothing answered: try the others, or give the connection up."""
        if all(block.failures > 1 for block in self.blocks):
            raise ConnectError("no answer in time")
        self.due.update(scan.name for scan in self.scans)
        self.wake.set()

    def take(self, block: Block, reply: Reply, now_ns: int) -> Sequence[Block]:
        """Take in the reply to a block; return the blocks that it is split into, if it is."""
        if reply.silent or reply.exception in SILENT:
            self.submit(block.fail(now_ns))
            return ()
        self.hear()
        if reply.ok:
            self.submit(block.take(reply.data, now_ns))
        elif reply.exception in PERMANENT:
            parts = None if reply.exception == ExceptionCode.ILLEGAL_FUNCTION else block.split()
            if parts:
                return parts
            if not block.rejected:
                text = f"{self.name} refuses {block}: {exception_text(reply.exception)}"
                self.emit("driver.address_refused", text, [point.tag.path for point in block.points])
            self.submit(block.reject(now_ns))
        else:
            block.failures = 0
            busy = reply.exception in (ExceptionCode.ACKNOWLEDGE, ExceptionCode.SERVER_DEVICE_BUSY)
            self.submit(block.hold(now_ns) if busy else block.degrade(Quality.BAD_DEVICE_FAILURE, now_ns))
        return ()

    def emit(self, kind: str, text: str, paths: Sequence[str]) -> None:
        self.port.emit(Event(kind, self.name, self.clock.now_ns(), text, {"tags": list(paths)}))

    # Writing.

    async def write(self, transport: Transport) -> None:
        """Write what waits: commands of people first, then the newest values of the plant."""
        while self.commands:
            command = self.commands.popleft()
            try:
                refusal = await self.carry_out(transport, command)
            except ConnectError as exc:
                command.failed(f"{self.name} was lost: {exc.text}")
                raise
            if refusal:
                command.failed(refusal)
            else:
                command.done()
        for area in self.outputs.pending:
            await self.write_area(transport, area)

    async def write_area(self, transport: Transport, area: Area) -> None:
        reads = list(area.bit_reads())
        if reads:
            for request, reply in zip(reads, await transport.exchange(reads), strict=True):
                if reply.ok:
                    area.fill(request, reply.data)
                else:
                    area.put_off_bits(request)
        writes, unfit = area.writes()
        if unfit:
            paths = [point.tag.path for point in unfit]
            self.emit("driver.write_unfit", f"{self.name} cannot hold the value of {_some(paths)}", paths)
        replies = await transport.exchange([each.request for each in writes])
        for each, reply in zip(writes, replies, strict=True):
            self.take_write(each, reply)

    def take_write(self, write: Write, reply: Reply) -> None:
        place = replace(write.request, data=None)
        if reply.ok:
            self.hear()
            self.refused.discard(place)
        elif reply.exception in PERMANENT:
            self.hear()
            if place not in self.refused:
                self.refused.add(place)
                text = f"{self.name} refuses a write of {write.paths}: {exception_text(reply.exception)}"
                self.emit(
                    "driver.write_refused", text, [write.area.points[row].tag.path for row in write.rows]
                )
        else:
            write.defer()
            if reply.silent and not self.scans:
                raise ConnectError("no answer in time")

    async def carry_out(self, transport: Transport, command: Command) -> str:
        """Write one tag of the device and read it back; return why not, or nothing."""
        point = self.commanded.get(command.tag.id)
        if point is None:
            return f"{command.tag.path} cannot be written on {self.name}"
        address = point.address
        is_bits = address.table.is_bits
        read = Request(address.unit, address.table, address.start, address.count)
        codec = Codec([point], address.start)
        payload = np.zeros(address.count if is_bits else 2 * address.count, np.uint8)
        if address.is_register_bit:
            before = await _one(transport, read)
            if not before.ok:
                return _why(before)
            payload[:] = np.frombuffer(before.data, np.uint8)
        text = {} if command.text is None else {0: command.text}
        if codec.encode(payload, np.array([command.raw], np.uint64), np.ones(1, np.bool_), text)[0]:
            return f"the value does not fit {address.raw.text} on the device"
        data = pack_bits(payload) if is_bits else payload.tobytes()
        written = await _one(transport, replace(read, data=data))
        if not written.ok:
            return _why(written)
        after = await _one(transport, read)
        if not after.ok:
            return f"written, but not read back: {_why(after)}"
        self.hear()
        kept = unpack_bits(after.data, address.count) if is_bits else np.frombuffer(after.data, np.uint8)
        meant, found = codec.decode(payload), codec.decode(kept)
        now_ns = self.clock.now_ns()
        self.port.submit(Batch.of([command.tag.id], found.raw, now_ns, found.quality, found.text))
        if meant.raw[0] != found.raw[0] or meant.text != found.text:
            value = command.tag.data_type.decode(int(found.raw[0]), found.text.get(0))
            return f"the device keeps {value}"
        return ""


async def _one(transport: Transport, request: Request) -> Reply:
    return (await transport.exchange([request]))[0]


def _failures(block: Block) -> int:
    return block.failures


def _some(paths: Sequence[str]) -> str:
    """Return the first paths, for people."""
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _why(reply: Reply) -> str:
    if reply.silent:
        return "the device does not answer"
    return f"the device refuses: {exception_text(reply.exception)}"
