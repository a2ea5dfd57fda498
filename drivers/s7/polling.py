"""The S7 client at work: what is there of a CPU's memory, what is read and written of it, and its mode."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from drivers.frame import polling
from drivers.frame.commands import UNKNOWN
from drivers.frame.held import Values
from drivers.frame.kept import some
from drivers.s7.address import Area, Point
from drivers.s7.codec import Codec
from drivers.s7.messages import AskState, Code, Item, Read, Reply, Transport
from drivers.s7.outputs import Memory, Outputs, encoded, writes_of, written
from drivers.s7.pdu import max_read
from drivers.s7.plan import LEAST_PDU, Block, Rules, packed, pieces, planned_again, taken
from drivers.s7.state import CpuState
from runtime.contract import Command, Port
from runtime.errors import ConnectError

Connect = polling.Connect[Transport]
Scan = polling.Scan[Block]
STATE_EVERY = 5  # seconds


@dataclass(slots=True)
class Heard:
    """What one poll found out: memories that answered, and those that are not there."""

    present: set[tuple[Area, int]] = field(default_factory=set)
    missing: set[tuple[Area, int]] = field(default_factory=set)


class S7Client(polling.Client[Transport, Block, Point]):
    """Polls and writes one CPU; `rules` are of the scans, by name."""

    def __init__(
        self,
        name: str,
        ways: Sequence[Connect],
        scans: Sequence[Scan],
        written: Sequence[Point],
        commanded: Sequence[Point],
        rules: dict[str, Rules],
        encoding: str,
        *,
        verify: bool = True,
    ) -> None:
        super().__init__(name, ways, scans, written, commanded)
        self.rules = rules
        self.encoding, self.verify = encoding, verify

    def life(self, port: Port) -> Life:
        return Life(port, self)


class Life(polling.Life[Transport, Block, Reply, Point, Memory]):
    """What it knows of the CPU besides: its mode, the length of its messages, memories that it has not."""

    noun = "CPU"

    def __init__(self, port: Port, client: S7Client) -> None:
        super().__init__(port, client, Outputs(client.written, len(port.tags), client.encoding))
        self.rules, self.encoding, self.verify = client.rules, client.encoding, client.verify
        self.state = CpuState(client.name, port)
        self.told: set[tuple[Area, int]] = set()
        self.heard = Heard()
        self.pdu = LEAST_PDU
        self.seconds = 0

    async def begin(self, transport: Transport) -> None:
        if transport.pdu != self.pdu:
            self.pdu = transport.pdu
            for scan in self.scans:
                scan.blocks = planned_again(scan.blocks, self.rules[scan.name], self.pdu)
        await super().begin(transport)
        plans = [[block.item for block in scan.blocks] for scan in self.scans]
        self.link.scan_requests = sum(1 for plan in plans for _ in packed(plan, self.pdu, transport.items))
        for image in self.outputs.images:
            image.unverified[:] = image.unreadable[:] = False
        self.state.begin()

    def second(self) -> None:
        self.seconds += 1
        if self.seconds % STATE_EVERY == 0 and self.state.answers:
            self.state.due = True
            self.wake.set()

    def lose(self, reason: str) -> None:
        super().lose(reason)
        self.submit(self.state.lose(self.clock.now_ns()))

    # Reading.

    async def ask_more(self, transport: Transport) -> None:
        """Ask for the mode, and read back what programs had written."""
        if self.state.due:
            await self.ask_state(transport)
        await self.verify_some(transport)

    async def ask_state(self, transport: Transport) -> None:
        """Ask for the mode."""
        self.state.due = False
        reply = (await transport.exchange([AskState()]))[0][0]
        if not reply.silent:
            self.hear()
        elif not self.scans:
            raise ConnectError("no answer in time")
        self.submit(self.state.take(reply, self.clock.now_ns()))
        if self.state.began:
            self.outputs.all_again()  # at its start it forgot flags and outputs
            self.wake.set()

    async def poll(self, transport: Transport, scan: Scan) -> None:
        """Read what is due of one scan; where nothing answers, the rest is not asked for."""
        now_ns = self.clock.now_ns()
        todo = deque(sorted((block for block in scan.blocks if block.is_due(now_ns)), key=_failures))
        asked, self.heard = bool(todo), Heard()
        refused = [block for block in todo if block.rejected]
        answered = False
        while todo:
            await self.write(transport)
            chosen, requests = taken(todo, transport.pdu, transport.depth, transport.items)
            replies = [reply for each in await transport.exchange(requests) for reply in each]
            if len(chosen) == 1:
                replies = [_joined(replies)]
            now_ns = self.clock.now_ns()
            divided: list[Block] = []
            for block, reply in zip(chosen, replies, strict=True):
                if reply.ok:
                    self.heard.present.add(block.memory)
                    self.told.discard(block.memory)
                parts = self.take(block, reply, now_ns)
                if parts:
                    scan.divided(block, parts)
                    divided += parts
            todo.extendleft(reversed(divided))
            if all(reply.silent for reply in replies):
                break
            answered = True
        for block in todo:
            self.submit(block.fail(now_ns))
        scan.mended(refused)
        if asked and not answered:
            self.check_alive()

    def divide(self, block: Block, reply: Reply) -> Sequence[Block]:
        """Return the parts of a refused block to be asked for; none where that is of no use.

        A data block that is not there is told by its first place, not by asking for every single one.
        """
        if reply.denied or block.memory in self.heard.missing:
            return ()
        unknown = reply.code == Code.NO_SUCH_OBJECT and block.memory not in self.heard.present
        parts = block.split(first_alone=unknown)
        if parts is None and unknown:
            self.heard.missing.add(block.memory)
        return parts or ()

    def tell_refused(self, block: Block, reply: Reply) -> None:
        """Tell of a refused address, and once of a refused data block."""
        if reply.denied or block.memory in self.heard.missing:
            if block.memory in self.told:
                return
            self.told.add(block.memory)
            paths = [p.tag.path for each in self.blocks if each.memory == block.memory for p in each.points]
            area, db = block.memory
            place = f"DB{db}" if area is Area.DB else f"area {area.letter}"
        elif block.rejected:
            return
        else:
            paths, place = [point.tag.path for point in block.points], str(block)
        self.emit("driver.address_refused", f"{self.name}: {place}: {reply.why}: {some(paths)}", paths)

    # Writing.

    async def write_image(self, transport: Transport, image: Memory) -> None:
        outgoing, unfit = image.outgoing(transport.pdu)
        self.tell_unfit(unfit)
        replies = iter(await transport.exchange([write for each in outgoing for write in each.requests]))
        for each in outgoing:
            reply = _joined([next(replies)[0] for _ in each.requests])
            self.take_write(each, reply)
            if reply.ok and self.verify:
                image.unverified[each.rows] = ~image.unreadable[each.rows]

    async def verify_some(self, transport: Transport) -> None:
        """Read back as much as goes at once of what was written; polls and writes go before the rest."""
        todo = deque(check for image in self.outputs.images for check in image.checks(transport.pdu))
        if not todo:
            return
        checks, requests = taken(todo, transport.pdu, transport.depth, transport.items)
        replies = [reply for each in await transport.exchange(requests) for reply in each]
        if len(checks) == 1:
            replies = [_joined(replies)]
        kept: list[Point] = []
        lost: list[Point] = []
        for check, reply in zip(checks, replies, strict=True):
            image, rows = check.memory, check.rows
            image.unverified[rows] = False
            if reply.ok:
                well, wrong = image.judged(rows, image.compare(check.item, reply.data))
                kept += well
                lost += wrong
            elif reply.permanent:
                image.unreadable[rows] = True
        if kept or lost:
            self.kept.take(kept, lost)
        if todo:
            self.wake.set()

    async def put(self, transport: Transport, point: Point, command: Command) -> tuple[Values, Values] | str:
        address = point.address
        data = encoded(point, command.raw, command.text, self.encoding)
        if data is None:
            return f"the value does not fit {address.raw.text} on the CPU"
        body = data[address.head :] if address.bit is None else bytes([command.raw != 0])
        writes = list(writes_of(written(address), body, transport.pdu))
        reply = _joined([each[0] for each in await transport.exchange(writes)])
        if not reply.ok:
            return f"{reply.why}: {UNKNOWN}" if reply.silent else reply.why
        whole = Item(address.area, address.db, address.start, address.count)
        reads = [Read((piece,)) for piece in pieces(whole, max_read(transport.pdu))]
        after = _joined([each[0] for each in await transport.exchange(reads)])
        if not after.ok:
            return f"written, but not read back: {after.why}"
        codec = Codec([point], address.start, self.encoding)
        return codec.decode(np.frombuffer(data, np.uint8)), codec.decode(np.frombuffer(after.data, np.uint8))


def _joined(replies: Sequence[Reply]) -> Reply:
    """Return the replies to the pieces of one item as one: the first that is not well, or all data."""
    for reply in replies:
        if not reply.ok:
            return reply
    return Reply(b"".join(reply.data for reply in replies))


def _failures(block: Block) -> int:
    return block.failures
