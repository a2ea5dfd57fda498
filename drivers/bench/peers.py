"""What a plant of connections is connected to, in a process of its own.

`python -m drivers.bench.peers '{"modbus": [5020, 5021], "opcua": 4840, ...}'` prints `ready` when all listen.
Every value is new each second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from drivers.bench.raw import ROOT
from drivers.modbus.server import ServerConfig
from drivers.modbus.server import plugin as modbus
from drivers.opcua.server import OpcuaServerConfig
from drivers.opcua.server import plugin as opcua
from runtime.clock import WallClock
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Batch, DataType, Tag
from runtime.testing import FakePort

PERIOD_S = 1.0


def path_of(number: int) -> str:
    """Return the path of a tag of the bench, without the plant's root."""
    return f"unit{number // 100}/signal{number % 100}"


def register_of(row: int) -> str:
    """Return the Modbus address of the tag that is so manieth of its device."""
    return str(300_001 + 2 * row)


class Peer:
    """One server over values of its own.

    Attributes:
        ids: the tags that change.
    """

    def __init__(self, folder: Path, plugin: Any, settings: Any, tags: list[Tag]) -> None:
        declared = plugin.declare(folder, ROOT, settings).tags
        everything = TagList([*tags, *declared], ROOT)
        file = folder / "plant.yaml"
        plant = Plant(file, PlantFile(plant="peer", root=ROOT), Document(file, {}), everything, {}, ())
        self.port = FakePort([*tags, *declared], settings.name, ROOT, WallClock())
        (self.component,) = plugin.build(plant, settings)
        self.ids = np.array([self.port.tags[tag.path].id for tag in tags], np.int32)

    async def run(self) -> None:
        """Serve until cancelled."""
        await self.component.run(self.port)

    def change(self, at_s: float) -> None:
        """Give every tag another value."""
        values = 50 + 50 * np.sin(at_s / 10 + np.arange(len(self.ids)) / 7)
        self.port.bus.publish(Batch.of(self.ids, values.view(np.uint64), self.port.clock.now_ns()))
        self.port.submitted.clear()


async def main(settings: dict[str, Any], folder: Path) -> None:
    """Serve until killed."""
    peers = []
    for number, port in enumerate(settings["modbus"]):
        tags = [
            Tag(
                f"{ROOT}/{path_of(row)}",
                DataType.REAL,
                source="field",
                device="peer",
                address=register_of(row),
            )
            for row in range(settings["registers"])
        ]
        config = ServerConfig(name="peer", kind="modbus.server", port=port)
        peers.append(Peer(folder / f"modbus{number}", modbus, config, tags))
    tags = [Tag(f"{ROOT}/{path_of(row)}", DataType.REAL, source="field") for row in range(settings["nodes"])]
    served = OpcuaServerConfig(name="peer", port=settings["opcua"], security=["None"])
    peers.append(Peer(folder / "opcua", opcua, served, tags))
    clock = WallClock()
    async with asyncio.TaskGroup() as group:
        for peer in peers:
            group.create_task(peer.run())
        while not all(getattr(each.component, "url", "") or _listens(each) for each in peers):
            await clock.sleep(0.05)
        print("ready", flush=True)
        while True:
            for peer in peers:
                peer.change(clock.steady_ns() / 1e9)
            await clock.sleep(PERIOD_S)


def _listens(peer: Peer) -> bool:
    listening = getattr(peer.component, "listening", None)
    return listening is not None and listening.is_set()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as temporary:
        asyncio.run(main(json.loads(sys.argv[1]), Path(temporary)))
