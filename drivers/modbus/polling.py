"""The Modbus client at work: which units answer, what is read of them, and how it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from drivers.frame import polling
from drivers.frame.commands import UNKNOWN
from drivers.frame.held import Together, Values
from drivers.modbus.address import Point, Table
from drivers.modbus.codec import Codec, bit_mask, pack_bits, unpack_bits
from drivers.modbus.messages import SILENT, ExceptionCode, Reply, Request, Transport
from drivers.modbus.outputs import Area, Outputs, Write
from drivers.modbus.plan import Block, together
from drivers.modbus.units import Units
from drivers.modbus.ways import Connect
from runtime.clock import monotonic_ns
from runtime.contract import Command, Port

Scan = polling.Scan[Block]
FAULTS = 3
_ADDRESS = (ExceptionCode.ILLEGAL_DATA_ADDRESS, ExceptionCode.ILLEGAL_DATA_VALUE)
_UNDECIDED = (ExceptionCode.ACKNOWLEDGE, ExceptionCode.GATEWAY_TARGET_FAILED)  # no refusals of a write


class ModbusClient(polling.Client[Transport, Block, Point]):
    """Polls and writes one device, or the units of one line."""

    def __init__(
        self,
        name: str,
        ways: Sequence[Connect],
        scans: Sequence[Scan],
        written: Sequence[Point],
        commanded: Sequence[Point],
        *,
        single_writes: bool = False,
        masks: bool = False,
        verify: bool = True,
    ) -> None:
        super().__init__(name, ways, scans, written, commanded)
        self.single_writes, self.masks, self.verify = single_writes, masks, verify

    def life(self, port: Port) -> Life:
        return Life(port, self, Outputs(self.written, len(port.tags), self.single_writes))


class Life(polling.Life[Transport, Block, Reply, Point, Area]):
    """What it knows of the device besides: which units are silent, and if they change bits by themselves."""

    def __init__(self, port: Port, client: ModbusClient, outputs: Outputs) -> None:
        self.units = Units()
        self.wholes: dict[str, Together] = {}
        self.masks, self.verify = client.masks, client.verify
        self.unverified: dict[Request, Write] = {}  # what is read back soon, by place
        self.unreadable: set[Request] = set()
        self.unmasked: set[int] = set()
        self.faults: dict[Block, int] = {}  # exceptions in a row that are not for good
        self.dead: set[tuple[int, Table]] = set()  # units and tables of which nothing can be read
        super().__init__(port, client, outputs)

    def look(self) -> None:
        super().look()
        blocks = self.blocks
        self.link.scan_requests = len(blocks)
        silent = sorted({block.unit for block in blocks if block.failures > 1})
        self.link.trouble("silent", f"no answer from unit {_listed(silent)}" if silent else "")

    async def begin(self, transport: Transport) -> None:
        for scan in self.scans:
            scan.mended(list(scan.blocks))
        for block in self.blocks:
            block.retest_ns = block.retest_ns if block.rejected else 0
        self.units.all_due()
        self.unmasked.clear()  # it may be another device
        self.dead.clear()
        self.unverified.clear()
        self.unreadable.clear()

    # Reading.

    async def poll(self, transport: Transport, scan: Scan) -> None:
        """Read what is due of one scan; a unit that stays silent is not asked for the rest."""
        now_ns, steady_ns = self.clock.now_ns(), self.clock.steady_ns()
        due = [
            block
            for block in scan.blocks
            if block.is_due(now_ns) and self.units.is_due(block.unit, steady_ns)
        ]
        todo = deque(sorted(due, key=_failures))
        asked, refused = len(todo), [block for block in todo if block.rejected]
        heard: set[int] = set()
        silent: set[int] = set()
        for block in todo:
            if self.units.is_demoted(block.unit) and block.unit not in heard | silent:
                if await self.is_there(transport, block):
                    heard.add(block.unit)
                    self.welcome(block.unit)
                else:
                    silent.add(block.unit)
        self.leave_out(todo, silent)
        while todo:
            await self.write(transport)
            whole = self.whole_of(scan) if list(todo) == scan.blocks else None
            replies = await transport.exchange(
                [block.request for block in todo],
                until=self.is_pressed,
                gather=None if whole is None else partial(_gather, whole),
            )
            if whole is not None and self.take_whole(scan, whole, replies):
                heard.update(block.unit for block in todo)
                break
            chunk = [todo.popleft() for _ in replies]
            offset_ns = self.clock.now_ns() - monotonic_ns()
            missing: dict[int, Block] = {}
            for block, reply in zip(chunk, replies, strict=True):
                (silent if reply.silent else heard).add(block.unit)
                if reply.silent:
                    missing[block.unit] = block
                parts = self.take(block, reply, offset_ns + (reply.came_ns or monotonic_ns()))
                if parts:
                    scan.divided(block, parts)
                    todo.extendleft(reversed(parts))
            left = {block.unit for block in todo}
            for unit, block in missing.items():
                if unit in heard and unit in left and not await self.is_there(transport, block):
                    heard.discard(unit)
            self.leave_out(todo, silent - heard)
        self.units.silent(silent - heard, self.clock.steady_ns())
        self.units.heard(heard)
        scan.mended(refused)
        if asked and not heard:
            self.check_alive()

    def whole_of(self, scan: Scan) -> Together:
        """Return the blocks of a scan as what is taken in at once."""
        whole = self.wholes.get(scan.name)
        if whole is None or whole.pieces != scan.blocks:
            whole = self.wholes[scan.name] = together(scan.blocks)
        return whole

    def take_whole(self, scan: Scan, whole: Together, replies: Sequence[Reply]) -> bool:
        """Take in a whole scan to which every answer is well; tell whether it is such."""
        if len(replies) != len(scan.blocks) or not all(reply.ok for reply in replies):
            return False
        self.hear()
        self.settle(scan.blocks)
        offset_ns = self.clock.now_ns() - monotonic_ns()
        stamps = [offset_ns + reply.came_ns for reply in replies]
        self.submit(whole.take([reply.data for reply in replies], stamps))
        return True

    async def is_there(self, transport: Transport, block: Block) -> bool:
        """Ask a unit that was silent for one place, once."""
        await self.write(transport)
        (reply,) = await transport.exchange([block.probe], again=False)
        return not reply.silent

    def welcome(self, unit: int) -> None:
        """Make all blocks due of a unit that answers again."""
        for block in self.blocks:
            if block.unit == unit and not block.rejected:
                block.retest_ns = 0

    def leave_out(self, todo: deque[Block], units: set[int]) -> None:
        """Fail what is left to do of units that do not answer."""
        now_ns = self.clock.now_ns()
        for block in [block for block in todo if block.unit in units]:
            self.submit(block.fail(now_ns))
            todo.remove(block)

    def take(self, block: Block, reply: Reply, now_ns: int) -> Sequence[Block]:
        if reply.ok:
            self.settle([block])
        elif not (reply.silent or reply.permanent or reply.busy):
            self.faults[block] = self.faults.get(block, 0) + 1
            if self.faults[block] >= FAULTS and (parts := self.divide(block, reply)):
                return parts
        if reply.is_short:
            self.take_short(block, reply, now_ns)
            return ()
        return super().take(block, reply, now_ns)

    def take_short(self, block: Block, reply: Reply, now_ns: int) -> None:
        """Take in that fewer places came: at first as no answer, since it may be one to an older question."""
        self.hear()
        if self.faults.get(block, FAULTS) < FAULTS and not block.rejected:
            self.submit(block.fail(now_ns))
        else:
            self.tell_refused(block, reply)
            self.submit(block.reject(now_ns))

    def settle(self, blocks: Sequence[Block]) -> None:
        """Note blocks that were read well."""
        if self.faults or self.dead:
            for block in blocks:
                self.faults.pop(block, None)
                self.dead.discard(block.place)

    def divide(self, block: Block, reply: Reply) -> Sequence[Block]:
        """Return the parts of a refused block to be asked for; none where that is of no use.

        Only exceptions 2 and 3 are about addresses for sure, but some devices mean them by 1 or 4. Where
        nothing else of the table can be read, that is told by one place, not by asking for every single one.
        """
        if block.place in self.dead:
            return ()
        self.faults.pop(block, None)
        unknown = reply.exception not in _ADDRESS and not any(
            each.fresh for each in self.blocks if each is not block and each.place == block.place
        )
        parts = block.split(first_alone=unknown)
        if parts is None and unknown:
            self.dead.add(block.place)
        return parts or ()

    # Writing.

    async def write_image(self, transport: Transport, image: Area) -> None:
        if self.units.is_demoted(image.unit):
            return
        image.masks = self.changes_bits(image.unit)
        reads = list(image.bit_reads())
        if reads:
            for request, reply in zip(reads, await transport.exchange(reads), strict=True):
                if reply.ok:
                    image.fill(request, reply.data)
                else:
                    image.put_off_bits(request)
        writes, unfit = image.writes()
        self.tell_unfit(unfit)
        replies = await transport.exchange([each.request for each in writes])
        for each, reply in zip(writes, replies, strict=True):
            if reply.exception in SILENT:
                each.defer()
            elif each.request.keep is not None and self.lacks_masks(image.unit, reply):
                image.pending[each.rows] = True
                self.wake.set()
            else:
                self.take_write(each, reply)
                if reply.ok and self.verify and each.place not in self.unreadable:
                    self.unverified[each.place] = each

    async def ask_more(self, transport: Transport) -> None:
        """Read back what programs had written, as long as nothing newer waits."""
        asked = [place for place in self.unverified if not self.units.is_demoted(place.unit)]
        replies = await transport.exchange(asked, again=False, until=self.is_pressed) if asked else []
        kept: list[Point] = []
        lost: list[Point] = []
        for place, reply in zip(asked, replies, strict=False):
            write = self.unverified.pop(place)
            if reply.ok:
                well, wrong = write.image.kept(write, reply.data)
                kept += well
                lost += wrong
            elif reply.permanent:  # it can be written only
                self.unreadable.add(place)
        if len(replies) < len(asked):
            self.wake.set()
        if kept or lost:
            self.kept.take(kept, lost)

    def changes_bits(self, unit: int) -> bool:
        """Tell whether a unit is to change bits of registers by itself."""
        return self.masks and unit not in self.unmasked

    def lacks_masks(self, unit: int, reply: Reply) -> bool:
        """Tell whether a unit does not know function 22; for the rest of the connection it is not used."""
        if reply.exception != ExceptionCode.ILLEGAL_FUNCTION:
            return False
        if unit not in self.unmasked:
            self.unmasked.add(unit)
            text = f"{self.name}: unit {unit} has no function 22; its registers are read, changed, written"
            self.emit("driver.mask_refused", text, [])
        return True

    async def put(self, transport: Transport, point: Point, command: Command) -> tuple[Values, Values] | str:
        address = point.address
        if self.units.is_demoted(address.unit):  # to wait for it would keep the others from being read
            return f"unit {address.unit} does not answer"
        is_bits = address.table.is_bits
        read = Request(address.unit, address.table, address.start, address.count)
        codec = Codec([point], address.start)
        payload = np.zeros(address.count * address.table.place_size, np.uint8)
        masked = address.is_register_bit and self.changes_bits(address.unit)
        if address.is_register_bit and not masked:
            before = await _one(transport, read)
            if not before.ok:
                return _why(before)
            payload[:] = np.frombuffer(before.data, np.uint8)
        text = {} if command.text is None else {0: command.text}
        if codec.encode(payload, np.array([command.raw], np.uint64), np.ones(1, np.bool_), text)[0]:
            return f"the value does not fit {address.raw.text} on the device"
        data = pack_bits(payload) if is_bits else payload.tobytes()
        keep = 0xFFFF & ~bit_mask(address) if masked else None
        written = await _one(transport, replace(read, data=data, keep=keep))
        if masked and self.lacks_masks(address.unit, written):
            return await self.put(transport, point, command)
        if not written.ok:
            return _why_not_written(written)
        after = await _one(transport, read)
        if not after.ok:
            return f"written, but not read back: {_why(after)}"
        kept = unpack_bits(after.data, address.count) if is_bits else np.frombuffer(after.data, np.uint8)
        return codec.decode(payload), codec.decode(kept)


def _gather(whole: Together, replies: Sequence[Reply]) -> None:
    whole.gather([reply.data for reply in replies])


async def _one(transport: Transport, request: Request) -> Reply:
    return (await transport.exchange([request]))[0]


def _failures(block: Block) -> int:
    return block.failures


def _listed(units: Sequence[int]) -> str:
    return ", ".join(map(str, units[:10])) + (f" and {len(units) - 10} more" if len(units) > 10 else "")


def _why(reply: Reply) -> str:
    return f"the device refuses: {reply.why}" if reply.answered else "the device does not answer"


def _why_not_written(reply: Reply) -> str:
    """Return why it is not told that a value was written; only a refusal says that it was not."""
    if reply.exception in _UNDECIDED:
        return f"the device answers with {reply.why}: {UNKNOWN}"
    return _why(reply) if reply.answered else f"{_why(reply)}: {UNKNOWN}"
