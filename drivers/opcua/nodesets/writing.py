"""NodeSet2 XML out: an address space as other servers, clients and engineering tools load it.

Source: OPC 10000-6, annex F Information Model XML Schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from asyncua import ua
from asyncua.server.address_space import NodeData

from drivers.opcua.nodesets.values import clean, write_value

_A = ua.AttributeIds
_C = ua.NodeClass
_IDS = ua.ObjectIds
_STANDARD = (
    ("ModelUri", "http://opcfoundation.org/UA/"),
    ("Version", "1.04"),
    ("PublicationDate", "2019-05-01T00:00:00Z"),
)
_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">
"""
_TAGS = {
    _C.Object: "UAObject",
    _C.Variable: "UAVariable",
    _C.Method: "UAMethod",
    _C.View: "UAView",
    _C.ObjectType: "UAObjectType",
    _C.VariableType: "UAVariableType",
    _C.DataType: "UADataType",
    _C.ReferenceType: "UAReferenceType",
}
_INSTANCES = (_C.Object, _C.Variable, _C.Method, _C.View)
_AGGREGATES = {_IDS.HasComponent, _IDS.HasProperty, _IDS.Organizes}
# Attributes that are written where they are not the schema's default.
_WRITTEN: dict[Any, tuple[tuple[Any, str, Any], ...]] = {
    _C.Object: ((_A.EventNotifier, "EventNotifier", 0),),
    _C.Variable: (
        (_A.ValueRank, "ValueRank", -1),
        (_A.AccessLevel, "AccessLevel", 1),
        (_A.UserAccessLevel, "UserAccessLevel", 1),
        (_A.Historizing, "Historizing", False),
    ),
    _C.VariableType: ((_A.ValueRank, "ValueRank", -1), (_A.IsAbstract, "IsAbstract", False)),
    _C.ObjectType: ((_A.IsAbstract, "IsAbstract", False),),
    _C.DataType: ((_A.IsAbstract, "IsAbstract", False),),
    _C.ReferenceType: ((_A.IsAbstract, "IsAbstract", False), (_A.Symmetric, "Symmetric", False)),
    _C.Method: ((_A.Executable, "Executable", True), (_A.UserExecutable, "UserExecutable", True)),
}


class NodeSetWriter:
    """Writes nodes of some namespaces as one file.

    Args:
        uris: all namespaces of the server in order.
        left_out: indexes of namespaces that the file does not have.
        versions: attributes Version and PublicationDate of models that have them, by URI.
    """

    def __init__(
        self, uris: Sequence[str], left_out: Iterable[int], versions: Mapping[str, Sequence[tuple[str, str]]]
    ) -> None:
        out = {0, *left_out}
        self._uris = [uri for index, uri in enumerate(uris) if index not in out]
        self._map = {0: 0} | {uris.index(uri): number for number, uri in enumerate(self._uris, 1)}
        self._versions = versions

    def write(self, out: TextIO, nodes: Iterable[NodeData]) -> int:
        """Write the file; return how many nodes it has. What only a running plant knows has no value."""
        out.write(_HEAD)
        out.writelines(self._head())
        count = 0
        for node in nodes:
            if node.nodeid.NamespaceIndex in self._map and node.nodeid.NamespaceIndex:
                out.writelines(self._node(node))
                count += 1
        out.write("</UANodeSet>\n")
        return count

    def _head(self) -> Iterator[str]:
        yield "  <NamespaceUris>\n"
        yield from (f"    <Uri>{clean(uri)}</Uri>\n" for uri in self._uris)
        yield "  </NamespaceUris>\n  <Models>\n"
        for number, uri in enumerate(self._uris):
            told = [("ModelUri", uri), *self._versions.get(uri, ())]
            yield f"    <Model{_attributes(told)}>\n"
            if number == 0:  # once: asyncua 2.1 drops every other one of the same that it has found
                yield f"      <RequiredModel{_attributes(_STANDARD)} />\n"
            yield "    </Model>\n"
        yield "  </Models>\n"

    def _node(self, node: NodeData) -> Iterator[str]:
        told = {
            key: each.value.Value.Value for key, each in node.attributes.items() if each.value is not None
        }
        node_class = ua.NodeClass(told[_A.NodeClass])
        tag = _TAGS[node_class]
        attributes = [("NodeId", self._id(node.nodeid)), ("BrowseName", self._name(told[_A.BrowseName]))]
        attributes += self._parent(node, node_class)
        if node_class in (_C.Variable, _C.VariableType):
            attributes.append(("DataType", self._id(told[_A.DataType])))
            dimensions = told.get(_A.ArrayDimensions)
            if dimensions:
                attributes.append(("ArrayDimensions", ",".join(map(str, dimensions))))
        for key, name, usual in _WRITTEN.get(node_class, ()):
            value = told.get(key)
            if value is not None and value != usual:
                attributes.append((name, str(value).lower() if isinstance(value, bool) else str(int(value))))
        yield f"  <{tag}{_attributes(attributes)}>\n"
        yield _text("DisplayName", told[_A.DisplayName])
        if told[_A.Description] is not None and told[_A.Description].Text:
            yield _text("Description", told[_A.Description])
        yield from self._references(node)
        if node_class == _C.ReferenceType and told.get(_A.InverseName) and told[_A.InverseName].Text:
            yield _text("InverseName", told[_A.InverseName])
        if node_class == _C.DataType and _A.DataTypeDefinition in told:
            yield from self._definition(told[_A.BrowseName], told[_A.DataTypeDefinition])
        if node_class in (_C.Variable, _C.VariableType):
            holder = node.attributes[_A.Value]
            if holder.value is not None and holder.value.Value is not None:
                held = holder.value.Value
                value = write_value(held.Value, held.VariantType, self._id, self._map)
                yield f"    <Value>{value}</Value>\n" if value else ""
        yield f"  </{tag}>\n"

    def _parent(self, node: NodeData, node_class: Any) -> list[tuple[str, str]]:
        if node_class not in _INSTANCES:
            return []
        for each in node.references:
            aggregates = each.ReferenceTypeId.NamespaceIndex or each.ReferenceTypeId.Identifier in _AGGREGATES
            if not each.IsForward and aggregates and each.NodeId.NamespaceIndex in self._map:
                return [("ParentNodeId", self._id(each.NodeId))]
        return []

    def _references(self, node: NodeData) -> Iterator[str]:
        yield "    <References>\n"
        for each in node.references:
            if {each.NodeId.NamespaceIndex, each.ReferenceTypeId.NamespaceIndex} <= self._map.keys():
                back = "" if each.IsForward else ' IsForward="false"'
                kind = clean(self._id(each.ReferenceTypeId))
                to = clean(self._id(each.NodeId))
                yield f'      <Reference ReferenceType="{kind}"{back}>{to}</Reference>\n'
        yield "    </References>\n"

    def _definition(self, name: Any, told: Any) -> Iterator[str]:
        union = isinstance(told, ua.StructureDefinition) and told.StructureType == ua.StructureType.Union
        head = [("Name", self._name(name)), *([("IsUnion", "true")] if union else [])]
        yield f"    <Definition{_attributes(head)}>\n"
        for each in told.Fields or []:
            attributes = [("Name", each.Name or "")]
            if isinstance(told, ua.EnumDefinition):
                attributes.append(("Value", str(each.Value)))
            else:
                attributes += [("DataType", self._id(each.DataType)), ("ValueRank", str(int(each.ValueRank)))]
                attributes += [("IsOptional", "true")] if each.IsOptional else []
            yield f"      <Field{_attributes(attributes)} />\n"
        yield "    </Definition>\n"

    def _id(self, node_id: Any) -> str:
        index = self._map.get(node_id.NamespaceIndex, 0)
        text = str(node_id.to_string())
        bare = text.partition(";")[2] if text.startswith("ns=") else text
        return f"ns={index};{bare}" if index else bare

    def _name(self, name: Any) -> str:
        index = self._map.get(name.NamespaceIndex, 0)
        return f"{index}:{name.Name}" if index else name.Name or ""


def _attributes(told: Iterable[tuple[str, str]]) -> str:
    return "".join(f' {name}="{clean(value)}"' for name, value in told)


def _text(tag: str, text: Any) -> str:
    locale = f' Locale="{clean(text.Locale)}"' if text.Locale else ""
    return f"    <{tag}{locale}>{clean(text.Text or '')}</{tag}>\n"
