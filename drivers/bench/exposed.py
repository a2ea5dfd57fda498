"""A server over very many tags, in a process of its own: `python -m drivers.bench.exposed TAGS COMMITS`.

Prints one JSON object: seconds from start to listening, resident memory then and after a client has walked
through all nodes, CPU seconds for the commits.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from drivers.bench.raw import ROOT
from drivers.opcua.server import OpcuaServer, OpcuaServerConfig, plugin
from runtime.clock import WallClock, monotonic_ns
from runtime.contract import Batch, DataType, Tag
from runtime.testing import FakePort

_BATCH = 1000


async def measure(count: int, commits: int, state: Path) -> dict[str, float]:
    """Return the figures for so many tags, and that many values committed in batches of a thousand."""
    settings = OpcuaServerConfig(name="opcua", port=0)
    tags = [
        Tag(
            f"{ROOT}/unit{number // 100}/signal{number % 100}",
            DataType.REAL,
            low=0.0,
            high=100.0,
            source="bench",
        )
        for number in range(count)
    ]
    clock = WallClock()
    port = FakePort([*tags, *plugin.declare(Path(), ROOT, settings).tags], "opcua", ROOT, clock)
    began_ns = monotonic_ns()
    listening_ns = 0

    class Timed(OpcuaServer):
        def _listening(self, url: str) -> None:
            nonlocal listening_ns
            listening_ns = monotonic_ns()
            super()._listening(url)

    server = Timed("bench", state, settings)
    task = asyncio.create_task(server.run(port))
    while not listening_ns and not task.done():
        await clock.sleep(0.01)
    me = psutil.Process()
    memory = me.memory_info().rss
    cpu_s = await _commit(server, commits, count)
    before = me.memory_info().rss
    nodes = _walk(server)
    walked = memory + me.memory_info().rss - before
    task.cancel()
    await asyncio.wait([task])
    seconds = (listening_ns - began_ns) / 1e9
    return {"seconds": seconds, "rss": memory, "walked": walked, "nodes": nodes, "cpu_s": cpu_s}


def _walk(server: OpcuaServer) -> int:
    """Browse everything below the plant's own node, properties too, and read names; return how many nodes."""
    from asyncua import ua

    service = server._service
    assert service is not None
    space, view = service._server.aspace, service._server.view_service
    found, name = 0, ua.AttributeIds.BrowseName
    todo = [service._server.context.nodes.plant.nodeid]
    while todo:
        node_id = todo.pop()
        found += 1
        space.read_attribute_value(node_id, name)
        wanted = ua.BrowseDescription(
            NodeId=node_id,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
            IncludeSubtypes=True,
        )
        todo += [each.NodeId for each in view._browse(wanted).References]
    return found


async def _commit(server: OpcuaServer, commits: int, tags: int) -> float:
    """Hand values to the server as the bus does; return the CPU seconds."""
    service = server._service
    assert service is not None
    noise = np.random.default_rng(1)
    watch = service._server.context.watch
    batches = [
        Batch.of(
            noise.choice(tags, min(_BATCH, tags), replace=False).astype(np.int32),
            noise.normal(50, 5, min(_BATCH, tags)).view(np.uint64),
            1_700_000_000_000_000_000,
        )
        for _ in range(16)
    ]
    before_s = time.process_time()
    for number in range(commits // _BATCH):
        batch = batches[number % 16]
        service._image.take(batch)
        await watch.post(batch.ids)
    return time.process_time() - before_s


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as folder:
        print(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2]), Path(folder)))))
