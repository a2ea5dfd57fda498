"""A node as a table or a file describes it, and how such nodes come into the address space."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua
from asyncua.server.address_space import NodeData

from drivers.opcua.model import fixed, reference

_A = ua.AttributeIds
_T = ua.VariantType
_C = ua.NodeClass
_IDS = ua.ObjectIds
TYPE_OF = ua.NodeId(_IDS.HasTypeDefinition)
_ONE_WAY = {TYPE_OF, ua.NodeId(_IDS.HasModellingRule)}
# What a node of a class has beside names and description, where nothing else is said.
# Source: OPC 10000-3, 5.
_USUAL: dict[Any, dict[Any, tuple[Any, Any]]] = {
    _C.Object: {_A.EventNotifier: (0, _T.Byte)},
    _C.ObjectType: {_A.IsAbstract: (False, _T.Boolean)},
    _C.Variable: {
        _A.Value: (None, _T.Null),
        _A.DataType: (ua.NodeId(_IDS.BaseDataType), _T.NodeId),
        _A.ValueRank: (-1, _T.Int32),
        _A.AccessLevel: (1, _T.Byte),
        _A.UserAccessLevel: (1, _T.Byte),
        _A.MinimumSamplingInterval: (0.0, _T.Double),
        _A.Historizing: (False, _T.Boolean),
    },
    _C.VariableType: {
        _A.Value: (None, _T.Null),
        _A.DataType: (ua.NodeId(_IDS.BaseDataType), _T.NodeId),
        _A.ValueRank: (-1, _T.Int32),
        _A.IsAbstract: (False, _T.Boolean),
    },
    _C.DataType: {_A.IsAbstract: (False, _T.Boolean)},
    _C.ReferenceType: {
        _A.IsAbstract: (False, _T.Boolean),
        _A.Symmetric: (False, _T.Boolean),
        _A.InverseName: (ua.LocalizedText(), _T.LocalizedText),
    },
    _C.Method: {_A.Executable: (True, _T.Boolean), _A.UserExecutable: (True, _T.Boolean)},
    _C.View: {_A.ContainsNoLoops: (True, _T.Boolean), _A.EventNotifier: (0, _T.Byte)},
}


@dataclass(slots=True)
class Record:
    """A node: what is said of it, in the namespace indexes of the server.

    Attributes:
        attributes: value and VariantType by attribute, where they are not the usual ones.
        references: reference type, whether it goes forward, and the node at the other end.
        line: where the file describes it.
    """

    node_id: Any
    node_class: Any
    name: Any
    display: Any = None
    description: Any = None
    attributes: dict[Any, tuple[Any, Any]] = field(default_factory=dict)
    references: list[tuple[Any, bool, Any]] = field(default_factory=list)
    line: int = 0

    @property
    def type_definition(self) -> Any:
        """Return the type that the node is of; the null node id where it has none."""
        return next((to for kind, forward, to in self.references if kind == TYPE_OF and forward), ua.NodeId())


def install(nodes: MutableMapping[Any, NodeData], records: Iterable[Record]) -> None:
    """Put nodes among those that there are, and join them with both ends of each reference.

    What a reference leads to that does not exist is left out; a node that exists already is replaced, and
    keeps the references that others have to it.
    """
    made = {each.node_id: each for each in records}
    for record in made.values():
        node = nodes[record.node_id] = NodeData(record.node_id)
        node.attributes = attributes_of(record)
    known: dict[Any, set[Any]] = {}
    for each in made.values():  # types first: what leads to a node tells its type
        if each.type_definition in nodes:
            _join(nodes, known, each.node_id, TYPE_OF, True, each.type_definition)
    for record in made.values():
        for kind, forward, to in record.references:
            if to not in nodes:
                continue
            _join(nodes, known, record.node_id, kind, forward, to)
            if kind not in _ONE_WAY:
                _join(nodes, known, to, kind, not forward, record.node_id)


def attributes_of(record: Record) -> dict[Any, Any]:
    """Return a node's attributes as asyncua holds them."""
    display = record.display or ua.LocalizedText(record.name.Name)
    told = {
        _A.NodeId: (record.node_id, _T.NodeId),
        _A.NodeClass: (record.node_class, _T.Int32),
        _A.BrowseName: (record.name, _T.QualifiedName),
        _A.DisplayName: (display, _T.LocalizedText),
        _A.Description: (record.description or ua.LocalizedText(), _T.LocalizedText),
        _A.WriteMask: (0, _T.UInt32),
        _A.UserWriteMask: (0, _T.UInt32),
        **_USUAL[record.node_class],
        **record.attributes,
    }
    return {key: fixed(value, kind) for key, (value, kind) in told.items()}


def _join(
    nodes: MutableMapping[Any, NodeData],
    known: dict[Any, set[Any]],
    source: Any,
    kind: Any,
    forward: bool,
    to: Any,
) -> None:
    node = nodes[source]
    there = known.get(source)
    if there is None:
        there = known[source] = {
            (each.ReferenceTypeId, each.IsForward, each.NodeId) for each in node.references
        }
    if (kind, forward, to) not in there:
        there.add((kind, forward, to))
        node.references.append(reference_to(nodes[to], kind, forward))


def reference_to(node: NodeData, kind: Any, forward: bool) -> Any:
    """Build a reference to a node."""
    told = {key: node.attributes[key].value.Value.Value for key in (_A.NodeClass, _A.BrowseName)}
    type_ = next((each.NodeId for each in node.references if each.ReferenceTypeId == TYPE_OF), None)
    return reference(kind, node.nodeid, told[_A.NodeClass], told[_A.BrowseName], type_, forward)
