"""A server of asyncua as it comes, to compare with: `python -m drivers.bench.stock TAGS CHANGING PERIOD_MS`.

Prints its URL; each period all changing variables get a new value.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from asyncua import Server, ua

from drivers.bench.raw import node_of
from runtime.clock import WallClock

PER_FOLDER = 500  # a folder of many takes asyncua quadratic time


async def serve(tags: int, changing: int, period_s: float) -> None:
    """Serve until the process is ended."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    server, clock = Server(), WallClock()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    for name in ("urn:bench:one", "urn:bench:two"):
        space = await server.register_namespace(name)
    nodes = []
    for number in range(tags):
        if number % PER_FOLDER == 0:
            folder = await server.nodes.objects.add_folder(space, f"folder{number}")
        node_id = ua.NodeId.from_string(node_of(number))
        await folder.add_variable(node_id, f"tag{number}", 0.0, ua.VariantType.Float)
        nodes.append(node_id)
    async with server:
        print(server.bserver._server.sockets[0].getsockname()[1], flush=True)
        count, due_ns = 0, clock.steady_ns()
        while True:
            count += 1
            for node_id in nodes[:changing]:
                value = ua.DataValue(ua.Variant(float(count % 1000), ua.VariantType.Float))
                await server.write_attribute_value(node_id, value)
            due_ns = max(due_ns + round(period_s * 1e9), clock.steady_ns())
            await clock.sleep_until(due_ns)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
