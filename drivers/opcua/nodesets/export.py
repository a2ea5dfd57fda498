"""The whole address space of a plant as a NodeSet2 file, without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeData, NodeManagementService
from asyncua.server.standard_address_space.standard_address_space import fill_address_space

from drivers.opcua.image import Image
from drivers.opcua.model import MODEL, PlantNodes
from drivers.opcua.modelpart import ModelPart
from drivers.opcua.namespaces import still_nodes
from drivers.opcua.nodesets.records import install
from drivers.opcua.nodesets.standard import MODELS
from drivers.opcua.nodesets.vendor import required_vendor
from drivers.opcua.nodesets.writing import NodeSetWriter
from drivers.opcua.values import TagValues
from runtime.clock import WallClock
from runtime.config import Plant
from runtime.contract import Actor, PlcOutline
from runtime.errors import ConnectError

_APPLICATION = 1  # the namespace that is the server's own, and differs from one to the other
_STARTS = (ua.ObjectIds.ObjectsFolder, ua.ObjectIds.TypesFolder)


def export(plant: Plant, config: Any, outline: PlcOutline | None) -> tuple[str, int]:
    """Return the file of a driver's address space, and how many nodes it has.

    Raises:
        ConfigError: a NodeSet file that the driver names is wrong.
    """
    vendor = required_vendor(plant.folder, plant.name, config, plant.tags)
    tags = [plant.tags[id_] for id_ in plant.tags.select(*config.expose).tolist()]
    space = AddressSpace()
    fill_address_space(NodeManagementService(space))
    everything = list(plant.tags)
    values = TagValues(everything, Image(everything), WallClock())
    nodes = PlantNodes(space._nodes, plant.name, tags, values)
    install(nodes, still_nodes(vendor.uris, vendor.records, vendor.whole))
    nodes.bind(vendor.bound)
    model = nodes.parts[MODEL] = ModelPart(nodes, plant.name, _Standing(outline), config.machines, plant.root)
    model.renew()
    versions = {
        each.uri: (("Version", each.version), ("PublicationDate", f"{each.published:%Y-%m-%dT%H:%M:%SZ}"))
        for each in MODELS
    }
    out = StringIO()
    count = NodeSetWriter(vendor.uris, [_APPLICATION], versions).write(out, _walk(nodes))
    return out.getvalue(), count


def _walk(nodes: PlantNodes) -> Iterator[NodeData]:
    """Yield every node that forward references lead to, parents first."""
    todo = [ua.NodeId(each) for each in reversed(_STARTS)]
    seen = set(todo)
    while todo:
        node = nodes[todo.pop()]
        yield node
        found = [each.NodeId for each in node.references if each.IsForward and each.NodeId not in seen]
        seen.update(found)
        todo += [each for each in reversed(list(dict.fromkeys(found))) if each in nodes]


class _Standing:
    """A plant that does not run: its program is known, and nothing of it can be called."""

    def __init__(self, outline: PlcOutline | None) -> None:
        self._outline = outline

    def plc(self) -> PlcOutline | None:
        return self._outline

    async def restart_plc(self, actor: Actor, *, cold: bool, task: str = "", reason: str = "") -> None:
        raise ConnectError("the plant does not run")

    async def restart(self, name: str, actor: Actor, reason: str = "") -> None:
        raise ConnectError("the plant does not run")
