"""Tags read with pymodbus's own client, as people write it who want values by name, and speed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from drivers.modbus.address import Point, RawType, Table
from drivers.modbus.plan import Block

_TYPES = {RawType.INT16: "INT16", RawType.FLOAT: "FLOAT32", RawType.BOOL: "BITS"}
_BITS = 16


class Poller:
    """Reads blocks, one after the other.

    Attributes:
        values: by path of the tag.
    """

    def __init__(self, client: AsyncModbusTcpClient, blocks: Sequence[Block]) -> None:
        self.values: dict[str, object] = {}
        self._client = client
        self._plan = [(block, list(_runs(block))) for block in blocks]
        self._reads = {
            Table.COIL: client.read_coils,
            Table.INPUT_REGISTER: client.read_input_registers,
            Table.HOLDING_REGISTER: client.read_holding_registers,
        }

    async def poll(self, *, decoded: bool = True) -> None:
        """Read all, and convert it, or leave pymodbus's words as they are."""
        for block, runs in self._plan:
            read = self._reads[block.table]
            reply = await read(block.start, count=block.count, device_id=block.unit)
            if decoded:
                self._take(reply, runs)

    def _take(self, reply: ModbusPDU, runs: Sequence[tuple[str, slice, list[str]]]) -> None:
        for name, places, paths in runs:
            if name == "coils":
                self.values.update(zip(paths, reply.bits, strict=False))  # filled up to whole bytes
                continue
            kind = self._client.DATATYPE[name]
            found = self._client.convert_from_registers(reply.registers[places], kind)
            self.values.update(zip(paths, found if isinstance(found, list) else [found], strict=True))


def _runs(block: Block) -> Iterator[tuple[str, slice, list[str]]]:
    """Yield what lies together of one type: pymodbus's name of it, its registers, paths in order."""

    def kind(point: Point) -> str:
        return "coils" if block.table.is_bits else _TYPES[point.address.raw]

    for name, each in groupby(block.points, kind):
        run = list(each)
        first = run[0].address.start - block.start
        last = run[-1].address
        places = slice(first, last.start + last.count - block.start)
        paths = [point.tag.path for point in run]
        if name == "BITS":  # the high byte of a register comes first
            paths = [""] * _BITS * (places.stop - places.start)
            for point in run:
                register = point.address.start - block.start - first
                paths[_BITS * register + ((point.address.bit or 0) ^ 8)] = point.tag.path
        yield name, places, paths
