"""An OPC UA server on a free loopback port over a fake port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.opcua.server import OpcuaServer, OpcuaServerConfig, plugin
from runtime.clock import WallClock
from runtime.contract import Access, Clock, DataType, Role, Tag
from runtime.testing import FakePort

ROOT = "nb/bottling/line1"
TAGS = [
    Tag(f"{ROOT}/all/{each.iec.lower()}", each, access=Access.READ_WRITE, source="plc") for each in DataType
]
TAGS += [
    Tag(
        f"{ROOT}/tank/level_pct",
        DataType.REAL,
        unit="%",
        unit_text="%",
        low=0.0,
        high=100.0,
        description="Syrup level",
        source="plc",
    ),
    Tag(f"{ROOT}/line/speed", DataType.REAL, low=0.0, high=60.0, access=Access.READ_WRITE),
    Tag(f"{ROOT}/line/recipe", DataType.INT, access=Access.READ_WRITE, role=Role.ENGINEER),
    Tag(f"{ROOT}/line/run", DataType.BOOL, access=Access.READ_WRITE, interlock="tank/level_pct > 5"),
]


@dataclass
class Served:
    port: FakePort
    url: str
    task: asyncio.Task[None]
    component: OpcuaServer

    def node(self, path: str) -> str:
        return f"ns=2;s={ROOT}/{path}"


class Serve:
    """Starts servers; the certificate is made once for the whole session."""

    def __init__(self, state: Path) -> None:
        self.state = state

    @asynccontextmanager
    async def __call__(
        self, tags: Iterable[Tag] = TAGS, clock: Clock | None = None, **config: Any
    ) -> AsyncIterator[Served]:
        settings = OpcuaServerConfig(**{"name": "opcua", "port": 0} | config)
        declared = plugin.declare(Path(), ROOT, settings).tags
        port = FakePort([*tags, *declared], "opcua", ROOT, clock or WallClock())
        port.users |= {"olga": ("pump", Role.OPERATOR), "erik": ("valve", Role.ENGINEER)}
        port.users["admin"] = ("s3cret", Role.ADMIN)
        component = OpcuaServer("demo", self.state, settings)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(component.run(port))
            async with asyncio.timeout(60):
                while not component.url:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            try:
                yield Served(port, component.url, task, component)
            finally:
                task.cancel()


@pytest.fixture(scope="session", autouse=True)
def standard_nodes_once() -> Iterator[None]:
    """Build asyncua's six thousand standard nodes once: a second a server, and there are fifty here."""
    from asyncua.server.address_space import AttributeValue, NodeData
    from asyncua.server.internal_server import InternalServer

    build = InternalServer.load_standard_address_space
    kept: dict[Any, NodeData] = {}

    async def load(self: InternalServer, shelf_file: Path | None = None) -> None:
        if not kept:
            await build(self, shelf_file)
            kept.update({key: copied(node) for key, node in self.aspace._nodes.items()})
            return
        self.aspace._nodes = {key: copied(node) for key, node in kept.items()}

    def copied(node: NodeData) -> NodeData:
        made = NodeData(node.nodeid)
        made.references = list(node.references)
        made.attributes = {key: AttributeValue(each.value) for key, each in node.attributes.items()}
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InternalServer, "load_standard_address_space", load)
        yield


@pytest.fixture(scope="session")
def opcua_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def serve(opcua_state: Path) -> Serve:
    return Serve(opcua_state)
