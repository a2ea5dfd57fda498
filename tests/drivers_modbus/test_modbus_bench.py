"""The bench compares like with like: stock pymodbus's values are the same as ours."""

import asyncio

from pymodbus.client import AsyncModbusTcpClient

from drivers.bench.modbus import _points
from drivers.bench.modbus_stock import Poller
from drivers.modbus.listener import Listener
from drivers.modbus.plan import blocks_of, together


def test_pymodbus_reads_the_same_values_as_we_do():
    answers = {}

    def answer(unit, message):
        count = int.from_bytes(message[3:5], "big")
        size = (count + 7) // 8 if message[0] < 3 else 2 * count
        data = bytes((37 * place + 11 * message[2]) & 0xFF for place in range(size))
        answers[message[0], message[1:3]] = data
        return bytes((message[0], size)) + data

    async def main():
        listener = Listener(answer, 4, 10**12)
        port = await listener.open("127.0.0.1", 0)
        blocks = list(blocks_of(list(_points(mixed=True)), 16))
        async with AsyncModbusTcpClient("127.0.0.1", port=port, timeout=60) as client:
            poller = Poller(client, blocks)
            await poller.poll()
        listener.close()
        functions = {0: 1, 1: 2, 3: 4, 4: 3}
        data = [answers[functions[block.table.digit], block.start.to_bytes(2, "big")] for block in blocks]
        batch = together(blocks).take(data, [1] * len(blocks))
        tags = {point.tag.id: point.tag for block in blocks for point in block.points}
        ours = {tags[each.id].path: tags[each.id].data_type.decode(each.raw) for each in batch}
        poller.values.pop("", None)
        assert repr(poller.values) == repr({path: ours[path] for path in poller.values})
        assert len(ours) == len(poller.values) == 1000

    asyncio.run(main())
