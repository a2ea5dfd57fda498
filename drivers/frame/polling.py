"""A client that polls and writes one device: all of it that does not depend on what the device speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeVar

from drivers.frame.commands import Commands
from drivers.frame.connection import Link, Traffic
from drivers.frame.held import Piece, Values
from drivers.frame.kept import Kept, some
from drivers.frame.outputs import Image, Outgoing, Outputs, Tagged
from drivers.frame.recorder import Recorder
from drivers.frame.supervisor import Supervisor
from runtime.contract import Batch, Command, Event, Port, Quality
from runtime.errors import ConnectError


class Reply(Protocol):
    """What a device said to one request.

    Attributes:
        silent: nothing came, or not from the device itself.
        permanent: it refuses, and asking again now would not help; `busy`: it asks for patience.
        why: what people read where it is not `ok`.
    """

    @property
    def ok(self) -> bool: ...
    @property
    def silent(self) -> bool: ...
    @property
    def permanent(self) -> bool: ...
    @property
    def busy(self) -> bool: ...
    @property
    def why(self) -> str: ...
    @property
    def data(self) -> bytes: ...


class Connection(Protocol):
    """A connection to a device."""

    @property
    def lost(self) -> str | None:
        """Return why the connection is gone; None while it is there."""
        ...

    def close(self) -> None: ...


class Block(Piece):
    """Points that are read together, in order of their places.

    Attributes:
        whole: the block as it was planned, of which this is a part; None where it is that itself.
    """

    points: tuple[Any, ...]
    whole: Block | None = None

    def split(self, *, first_alone: bool = False) -> tuple[Self, Self] | None:
        """Return two blocks that share the points between places; None where that cannot be.

        The middle divides them, or with `first_alone` the first place is the first block. Of points that
        begin at one place a longer one may reach into what is not there.
        """
        if len(self.points) < 2:
            return None
        places = [(point.address.start, point.address.count) for point in self.points]
        cuts = [row for row in range(1, len(places)) if places[row] != places[row - 1]]
        if not cuts:
            return None
        cut = cuts[0] if first_alone else min(cuts, key=lambda row: abs(row - len(places) // 2))
        return self._part(slice(0, cut)), self._part(slice(cut, len(places)))

    def _part(self, rows: slice) -> Self:
        part = self.of(self.points[rows])
        part.inherit([(self, rows)])
        part.whole = self.whole or self
        return part

    def of(self, points: Sequence[Any]) -> Self:
        """Return a block of the same kind of some of the points."""
        raise NotImplementedError


C = TypeVar("C", bound=Connection)
B = TypeVar("B", bound=Block)
R = TypeVar("R", bound=Reply)
P = TypeVar("P", bound=Tagged)
I = TypeVar("I", bound=Image[Any])  # noqa: E741
Connect = Callable[[Traffic, Callable[[], None]], Awaitable[C]]  # counts, and is called when it is lost


@dataclass(slots=True)
class Scan(Generic[B]):
    """Blocks that are read with one period."""

    name: str
    period_ns: int
    blocks: list[B]

    def divided(self, block: B, parts: Iterable[B]) -> None:
        """Read parts in place of a block from now on."""
        at = self.blocks.index(block)
        self.blocks[at : at + 1] = parts

    def mended(self, blocks: Iterable[B]) -> None:
        """Read as one again what was divided, where of these parts that were refused none is any more."""
        for block in blocks:
            parts = [each for each in self.blocks if block.whole is not None and each.whole is block.whole]
            if block.rejected or not parts or any(each.rejected for each in parts):
                continue
            joined = block.of([point for each in parts for point in each.points])
            joined.inherit([(each, slice(None)) for each in parts])
            joined.failures = max(each.failures for each in parts)
            at = self.blocks.index(parts[0])
            self.blocks[at : at + len(parts)] = [joined]


class Client(Generic[C, B, P]):
    """Polls and writes one device; `ways` lead to it, the first preferred at the start."""

    def __init__(
        self,
        name: str,
        ways: Sequence[Connect[C]],
        scans: Sequence[Scan[B]],
        written: Sequence[P],
        commanded: Sequence[P],
    ) -> None:
        self.name = name
        self.ways = list(ways)
        self.scans = list(scans)
        self.written = list(written)
        self.commanded = {point.tag.id: point for point in commanded}
        self.recorder = Recorder(name)

    async def run(self, port: Port) -> None:
        await self.life(port).go()

    def life(self, port: Port) -> Life[C, B, Any, P, Any]:
        """Return what it is from its start to its end."""
        raise NotImplementedError


class Life(Generic[C, B, R, P, I]):
    """One life of a client: what it knows of its device. A protocol adds how it reads and writes.

    Attributes:
        noun: what people call the device.
    """

    noun = "device"

    def __init__(self, port: Port, client: Client[C, B, P], outputs: Outputs[I]) -> None:
        self.name, self.port, self.clock = client.name, port, port.clock
        self.ways, self.scans, self.commanded = client.ways, client.scans, client.commanded
        self.outputs = outputs
        self.link = Link(client.name, port)
        self.kept = Kept(client.name, self.link, port)
        self.supervisor = Supervisor(self.link, self.clock, len(client.ways))
        client.recorder.follow(self.link.traffic, self.clock)
        self.wake = asyncio.Event()
        self.due: set[str] = set()
        self.commands = Commands(client.name, self.wake)
        self.refused: set[object] = set()
        self.way = 0
        self.pressed = False  # values of the plant wait to be written
        self.look()

    # What a protocol says.

    async def begin(self, transport: C) -> None:
        """Prepare for a new connection: all is due, also what was refused, as it may be there now."""
        for scan in self.scans:
            scan.mended(list(scan.blocks))
        for block in self.blocks:
            block.retest_ns = 0

    async def poll(self, transport: C, scan: Scan[B]) -> None:
        """Read what is due of one scan."""
        raise NotImplementedError

    async def ask_more(self, transport: C) -> None:
        """Ask what no tag of the plant stands for, when that is due."""

    def second(self) -> None:
        """Do what is to be done every second."""

    async def write_image(self, transport: C, image: I) -> None:
        """Write what is pending of an image."""
        raise NotImplementedError

    async def put(self, transport: C, point: P, command: Command) -> tuple[Values, Values] | str:
        """Write one value and read it back; return what was meant and what the device keeps, or why not."""
        raise NotImplementedError

    def divide(self, block: B, reply: R) -> Sequence[B]:
        """Return the parts of a refused block to be asked for; none where that is of no use."""
        return block.split() or ()

    def tell_refused(self, block: B, reply: R) -> None:
        """Tell of a refused address, once."""
        if not block.rejected:
            paths = [point.tag.path for point in block.points]
            self.emit("driver.address_refused", f"{self.name} refuses {block}: {reply.why}", paths)

    # What comes from the plant.

    @property
    def blocks(self) -> list[B]:
        return [block for scan in self.scans for block in scan.blocks]

    async def go(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            if len(self.outputs.ids):
                tasks.create_task(self.take_changes(self.port.changes(self.outputs.ids)))
            if self.commanded:
                tasks.create_task(self.commands.take(self.port.commands()))
            for scan in self.scans:
                tasks.create_task(self.tick(scan))
            tasks.create_task(self.tick_second())
            tasks.create_task(self.supervisor.keep(self.attempt, self.lose))

    async def take_changes(self, changes: AsyncIterator[Batch]) -> None:
        async for batch in changes:
            self.outputs.take(batch)
            self.pressed = True
            self.wake.set()

    async def tick(self, scan: Scan[B]) -> None:
        """Make a scan due at its period; what was missed is not made up for."""
        at_ns = self.clock.steady_ns()
        missed = 0
        while True:
            if self.link.online:
                self.link.traffic.overruns += missed + (scan.name in self.due)
            self.due.add(scan.name)
            self.wake.set()
            now_ns = self.clock.steady_ns()
            missed = max(0, (now_ns - at_ns) // scan.period_ns)
            at_ns += scan.period_ns * (missed + 1)
            await self.clock.sleep_until(at_ns)

    async def tick_second(self) -> None:
        while True:
            await self.clock.sleep(1.0)
            self.look()
            self.second()
            self.link.publish()
            if self.outputs.retry():
                self.wake.set()

    # The connection.

    async def attempt(self) -> None:
        self.way = self.supervisor.misses % len(self.ways)
        transport = await self.ways[self.way](self.link.traffic, self.wake.set)
        try:
            await self.serve(transport)
        finally:
            transport.close()

    def lose(self, reason: str) -> None:
        """Take in that the device is lost: uncertain at first, bad at the second time."""
        now_ns = self.clock.now_ns()
        for block in self.blocks:
            if block.failures < 2:
                self.submit(block.fail(now_ns))
        self.commands.lose(reason)

    def hear(self) -> None:
        """Note that the device answered."""
        if self.way and not self.supervisor.answered:
            self.emit("driver.backup", f"{self.name} answers at its backup address", [])
        self.commands.online = True
        self.supervisor.hear()

    def look(self) -> None:
        """Count what is read, and tell which of it is not."""
        blocks = self.blocks
        self.link.items = sum(len(block) for block in blocks)
        self.link.refused = sum(len(block) for block in blocks if block.rejected)
        refused = f"{self.link.refused} of {self.link.items} tags are refused: see driver.address_refused"
        self.link.trouble("refused", refused if self.link.refused else "")

    def submit(self, batch: Batch | None) -> None:
        if batch is not None:
            self.port.submit(batch)

    def emit(self, kind: str, text: str, paths: Sequence[str]) -> None:
        self.port.emit(Event(kind, self.name, self.clock.now_ns(), text, {"tags": list(paths)}))

    async def serve(self, transport: C) -> None:
        """Write and poll until the connection is lost.

        Raises:
            ConnectError: it was lost, or nothing answers any more.
        """
        await self.begin(transport)
        self.outputs.all_again()
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
            await self.ask_more(transport)

    def check_alive(self) -> None:
        """After a scan in which nothing answered: try the others, or give the connection up.

        Raises:
            ConnectError: nothing of what the device does not refuse answers.
        """
        if all(block.failures > 1 or (block.rejected and not block.failures) for block in self.blocks):
            raise ConnectError("no answer in time")
        self.due.update(scan.name for scan in self.scans)
        self.wake.set()

    # Reading.

    def take(self, block: B, reply: R, now_ns: int) -> Sequence[B]:
        """Take in the reply to a block; return the blocks that it is to be divided into, if it is."""
        if reply.silent:
            self.submit(block.fail(now_ns))
            return ()
        self.hear()
        if reply.ok:
            self.submit(block.take(reply.data, now_ns))
        elif reply.permanent:
            if parts := self.divide(block, reply):
                return parts
            self.tell_refused(block, reply)
            self.submit(block.reject(now_ns))
        else:
            block.failures = 0
            quality = Quality.BAD_DEVICE_FAILURE
            self.submit(block.hold(now_ns) if reply.busy else block.degrade(quality, now_ns))
        return ()

    # Writing.

    def is_pressed(self) -> bool:
        """Tell whether something waits that goes before polls."""
        return self.pressed or len(self.commands) > 0

    async def write(self, transport: C) -> None:
        """Write what waits: commands of people first, then the newest values of the plant."""
        while self.commands:
            await self.commands.serve_next(partial(self.carry_out, transport))
        self.pressed = False
        for image in self.outputs.pending:
            self.tell_held(image.newly_held())
            await self.write_image(transport, image)

    def tell_held(self, points: Sequence[P]) -> None:
        """Tell which values lie beyond the ranges of their tags, so that the limits are written."""
        if points:
            paths = [point.tag.path for point in points]
            text = f"{self.name} is given {some(paths)} beyond its range: the limit is written"
            self.emit("driver.write_held", text, paths)

    def tell_unfit(self, points: Sequence[P]) -> None:
        """Tell which values the device cannot hold."""
        if points:
            paths = [point.tag.path for point in points]
            self.emit("driver.write_unfit", f"{self.name} cannot hold the value of {some(paths)}", paths)

    def take_write(self, outgoing: Outgoing[Any], reply: R) -> None:
        """Take in the reply to a write."""
        if reply.ok:
            self.hear()
            self.refused.discard(outgoing.place)
        elif reply.permanent:
            self.hear()
            if len(outgoing.rows) > 1:
                outgoing.divide()
                self.wake.set()
            elif outgoing.place not in self.refused:
                self.refused.add(outgoing.place)
                text = f"{self.name} refuses a write of {some(outgoing.paths)}: {reply.why}"
                self.emit("driver.write_refused", text, outgoing.paths)
        else:
            outgoing.defer()
            if reply.silent and not self.scans:
                raise ConnectError("no answer in time")

    async def carry_out(self, transport: C, command: Command) -> str:
        """Write one tag of the device and read it back; return why not, or nothing."""
        point = self.commanded.get(command.tag.id)
        if point is None:
            return f"{command.tag.path} cannot be written on {self.name}"
        done = await self.put(transport, point, command)
        if isinstance(done, str):
            return done
        self.hear()
        meant, found = done
        batch = Batch.of([command.tag.id], found.raw, self.clock.now_ns(), found.quality, found.text)
        self.port.submit(batch)
        for block in self.blocks:
            block.put(batch)
        if meant.raw[0] != found.raw[0] or meant.text != found.text:
            value = command.tag.data_type.decode(int(found.raw[0]), found.text.get(0))
            return f"the {self.noun} keeps {value}"
        return ""
