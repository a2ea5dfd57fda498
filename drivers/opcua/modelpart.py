"""The namespace of the plant's controller and apps: built from what there is, nodes made when looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from asyncua.server.address_space import NodeData

from drivers.opcua.appmodel import add_apps
from drivers.opcua.machinery import add_machines
from drivers.opcua.machines import MachineConfig
from drivers.opcua.methods import Method
from drivers.opcua.model import PlantNodes, tag_reference
from drivers.opcua.nodesets.records import attributes_of, reference_to
from drivers.opcua.parts import Built, Running
from drivers.opcua.plcmodel import add_plc
from runtime.contract import PlcOutline, Tag


class ModelPart:
    """Shows the PLC after the PLCopen specification, machines and apps; follows what they are."""

    def __init__(
        self, nodes: PlantNodes, plant: str, port: Running, machines: Sequence[MachineConfig], root: str
    ) -> None:
        """`root` is the level at which the plant's own paths begin."""
        self._nodes = nodes
        self._machines = machines
        self._root = root
        self._plant = plant
        self._port = port
        self._shown: PlcOutline | None = None
        self._built = Built()
        self._hung: list[tuple[NodeData, Any]] = []

    def refresh(self) -> None:
        """Show what the PLC runs now, where that has changed."""
        outline = self._port.plc()
        if outline is not self._shown:
            self._show(outline)

    def renew(self) -> None:
        """Show other tags."""
        self._show(self._port.plc())

    def method(self, node_id: Any) -> Method | None:
        """Return what a node calls."""
        return self._built.methods.get(node_id)

    def _show(self, outline: PlcOutline | None) -> None:
        self._shown, self._built = outline, Built()
        tags = list(self._nodes.tags.values())
        if outline is not None:
            add_plc(self._built, self._plant, outline, tags, self._port)
        add_apps(self._built, tags, self._nodes.plant.nodeid, self._port)
        add_machines(self._built, self._machines, self._root, tags)
        self._built.divide()
        self._nodes.forget()
        self._hang()

    def _hang(self) -> None:
        """Let the nodes above the part's own lead to them."""
        for node, told in self._hung:
            node.references[:] = [each for each in node.references if each is not told]
        self._hung.clear()
        for record in self._built.records.values():
            for kind, forward, to in record.references:
                if not forward and to not in self._built.records:
                    node, told = self._nodes[to], self._built.reference(record.node_id, kind, True)
                    node.references.append(told)
                    self._hung.append((node, told))

    # The part of the address space; see `drivers.opcua.model.Part`.

    def make(self, key: Any) -> NodeData | None:
        record = self._built.records.get(key)
        if record is None:
            return None
        node = NodeData(key)
        node.attributes = attributes_of(record)
        for kind, forward, to in record.references:
            if to in self._built.records:
                node.references.append(self._built.reference(to, kind, forward))
            elif to in self._nodes:
                node.references.append(reference_to(self._nodes[to], kind, forward))
        node.references += [tag_reference(kind, tag) for kind, tag in self._built.tags.get(key, ())]
        return node

    def above(self, tag: Tag) -> Iterable[Any]:
        for owner, kind in self._built.owners.get(tag.path, ()):
            yield self._built.reference(owner, kind, False)
