"""What a part of the address space consists of before its nodes are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from asyncua import ua
from asyncua.server.address_space import NodeData

from drivers.opcua.folders import MOST_CHILDREN, ranges
from drivers.opcua.methods import Method, method_nodes
from drivers.opcua.model import MODEL
from drivers.opcua.nodesets.records import TYPE_OF, Record, attributes_of, reference_to
from runtime.contract import Actor, PlcOutline, Tag

_A = ua.AttributeIds
_C = ua.NodeClass
_T = ua.VariantType
_IDS = ua.ObjectIds
COMPONENT, PROPERTY = ua.NodeId(_IDS.HasComponent), ua.NodeId(_IDS.HasProperty)
ORGANIZES, FOLDER_TYPE = ua.NodeId(_IDS.Organizes), ua.NodeId(_IDS.FolderType)


class Running(Protocol):
    """What a part asks of the plant; see `runtime.contract.Port`."""

    def plc(self) -> PlcOutline | None: ...
    async def restart_plc(self, actor: Actor, *, cold: bool, task: str = "", reason: str = "") -> None: ...
    async def restart(self, name: str, actor: Actor, reason: str = "") -> None: ...


@dataclass(slots=True)
class Built:
    """Nodes by id, the tags that they have, and what their methods do.

    Attributes:
        tags: reference type and tag, by the node that has it.
        owners: the nodes that have a tag, with the reference type, by the tag's path.
    """

    records: dict[Any, Record] = field(default_factory=dict)
    tags: dict[Any, list[tuple[Any, Tag]]] = field(default_factory=dict)
    owners: dict[str, list[tuple[Any, Any]]] = field(default_factory=dict)
    methods: dict[Any, Method] = field(default_factory=dict)

    def add(self, record: Record) -> Record:
        self.records[record.node_id] = record
        return record

    def join(self, source: Any, kind: Any, to: Any) -> None:
        """Add a reference; both ends know it where they are of this part."""
        for end, forward, other in ((source, True, to), (to, False, source)):
            if end in self.records:
                self.records[end].references.append((kind, forward, other))

    def object(self, key: str, name: str, type_: Any, above: Any, space: int, kind: Any = COMPONENT) -> Any:
        """Add an object below a node; return its id."""
        record = self.add(Record(ua.NodeId(key, MODEL), _C.Object, ua.QualifiedName(name, space)))
        record.references.append((TYPE_OF, True, type_))
        self.join(above, kind, record.node_id)
        return record.node_id

    def property(self, owner: Any, name: str, value: Any, kind: Any, space: int) -> None:
        """Add a property of a built-in type."""
        key = ua.NodeId(f"{owner.Identifier}//{name}", MODEL)
        record = self.add(Record(key, _C.Variable, ua.QualifiedName(name, space)))
        record.attributes = {_A.Value: (value, kind), _A.DataType: (ua.NodeId(kind.value), _T.NodeId)}
        record.references.append((TYPE_OF, True, ua.NodeId(_IDS.PropertyType)))
        self.join(owner, PROPERTY, key)

    def method(self, key: str, name: str, description: str, method: Method) -> None:
        """Add a method of the object that it names."""
        told = f"{description} ({method.role.name.lower()})."
        head, inputs = method_nodes(key, name, told, method.parameters)
        self.add(head), self.add(inputs)
        self.join(method.owner, COMPONENT, head.node_id)
        self.join(head.node_id, PROPERTY, inputs.node_id)
        self.methods[head.node_id] = method

    def have(self, owner: Any, tag: Tag, kind: Any = ORGANIZES) -> None:
        """Let a node have a tag, whose node is where it is."""
        self.tags.setdefault(owner, []).append((kind, tag))
        self.owners.setdefault(tag.path, []).append((owner, kind))

    def divide(self) -> None:
        """Put the tags of each group that organises too many into folders of ranges of names."""
        for owner, had in list(self.tags.items()):
            tags = {tag.path: tag for kind, tag in had if kind == ORGANIZES}
            if len(tags) <= MOST_CHILDREN:
                continue
            self.tags[owner] = [each for each in had if each[0] != ORGANIZES]
            for name, paths in ranges(tags):
                key = f"{owner.Identifier}//{paths[0]} … {paths[-1]}"
                made = self.object(key, name, FOLDER_TYPE, owner, MODEL, ORGANIZES)
                for path in paths:
                    self.owners[path].remove((owner, ORGANIZES))
                    self.have(made, tags[path])

    def reference(self, to: Any, kind: Any, forward: bool) -> Any:
        """Build a reference to a node of the part."""
        record = self.records[to]
        node = NodeData(record.node_id)
        node.attributes = attributes_of(record)
        made = reference_to(node, kind, forward)
        made.TypeDefinition = record.type_definition if forward else ua.NodeId()
        return made
