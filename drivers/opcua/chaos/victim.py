"""The server that is tormented: stock asyncua in a process of its own, with counters that move.

`python -m drivers.opcua.chaos.victim '{"port": 4840, "count": 100}'` prints `ready` when it listens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from asyncua import Server, ua, uamethod

from runtime.clock import WallClock


async def serve(
    port: int,
    count: int,
    namespaces: list[str],
    prefix: str = "Counter",
    history: bool = False,
    period_s: float = 0.1,
) -> None:
    """Serve so many counters in the last of the namespaces, and count them up every period until killed."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    clock = WallClock()
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    space = 0
    for uri in namespaces:
        space = await server.register_namespace(uri)
    counters = await _counters(server, space, count, prefix)
    async with server:
        if history:
            await server.historize_node_data_change(counters[:2], count=10_000)
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for that
        number = 0
        while True:
            number += 1
            value = ua.Variant(number, ua.VariantType.UInt32)
            for each in counters:
                await each.write_value(value)
            await clock.sleep(period_s)


async def _counters(server: Any, space: int, count: int, prefix: str) -> list[Any]:
    counters = []
    line = await server.nodes.objects.add_object(ua.NodeId("Line", space), "Line")
    for first in range(0, count, 250):
        folder = await line.add_folder(space, f"from {first}")
        for number in range(first, min(first + 250, count)):
            name = f"{prefix}{number}"
            node = await folder.add_variable(ua.NodeId(name, space), name, 0, ua.VariantType.UInt32)
            await node.set_writable()
            counters.append(node)
    setpoint = await line.add_variable(ua.NodeId("Setpoint", space), "Setpoint", 0.0, ua.VariantType.Float)
    await setpoint.set_writable()
    called = await line.add_variable(ua.NodeId("Called", space), "Called", 0, ua.VariantType.Int64)

    @uamethod  # type: ignore[untyped-decorator]
    async def reset(_parent: Any, number: int) -> int:
        await called.write_value(ua.Variant(number, ua.VariantType.Int64))
        return number

    types = [ua.VariantType.Int64]
    await line.add_method(ua.NodeId("Reset", space), "Reset", reset, types, types)
    return counters


if __name__ == "__main__":
    asyncio.run(serve(**json.loads(sys.argv[1])))
