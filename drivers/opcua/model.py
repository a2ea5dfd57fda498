"""The address space: plant folders and one variable per tag, made when a client first looks at them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from drivers.opcua.values import TagValues, data_type_id
from runtime.contract import Access, Tag

TAGS, EXTRAS = 2, 3  # namespaces: tags and their folders; alarms and methods
PLANT = "/"
_UCUM = "http://unitsofmeasure.org"
_A = ua.AttributeIds
_T = ua.VariantType
_IDS = ua.ObjectIds
_READ, _WRITE = 1, 2  # AccessLevel bits. Source: OPC 10000-3, 8.57


def tag_node(tag: Tag) -> ua.NodeId:
    return ua.NodeId(tag.path, TAGS)


def held(value: Any, kind: Any) -> Any:
    """Hold an attribute that does not change."""
    return AttributeValue(ua.DataValue(ua.Variant(value, kind)))


def reference(
    kind: int, to: ua.NodeId, node_class: Any, name: ua.QualifiedName, type_: Any, forward: bool
) -> Any:
    """Build one reference as a browse answers it."""
    return ua.ReferenceDescription(
        ReferenceTypeId=ua.NodeId(kind),
        IsForward=forward,
        NodeId=to,
        BrowseName=name,
        DisplayName=ua.LocalizedText(name.Name),
        NodeClass=node_class,
        TypeDefinition=type_ or ua.NodeId(),
    )


def make_node(
    node_id: ua.NodeId, node_class: Any, name: str, type_: int | None = None, description: str = ""
) -> NodeData:
    """Build a node with the attributes that every class has."""
    node = NodeData(node_id)
    node.attributes = {
        _A.NodeId: held(node_id, _T.NodeId),
        _A.NodeClass: held(node_class, _T.Int32),
        _A.BrowseName: held(ua.QualifiedName(name, node_id.NamespaceIndex), _T.QualifiedName),
        _A.DisplayName: held(ua.LocalizedText(name), _T.LocalizedText),
        _A.Description: held(ua.LocalizedText(description), _T.LocalizedText),
        _A.WriteMask: _ZERO,
        _A.UserWriteMask: _ZERO,
    }
    if node_class == ua.NodeClass.Object:
        node.attributes[_A.EventNotifier] = _NO_EVENTS
    if type_ is not None:
        kind = ua.NodeClass.VariableType if node_class == ua.NodeClass.Variable else ua.NodeClass.ObjectType
        name_ = ua.QualifiedName(ua.object_ids.ObjectIdNames[type_], 0)
        node.references.append(
            reference(_IDS.HasTypeDefinition, ua.NodeId(type_), kind, name_, None, forward=True)
        )
    return node


def make_variable(
    node_id: ua.NodeId,
    name: str,
    data_type: ua.NodeId,
    value: Any,
    type_: int = _IDS.BaseDataVariableType,
    description: str = "",
    writable: bool = False,
    rank: int = -1,
) -> NodeData:
    """Build a variable or property around the holder of its value."""
    node = make_node(node_id, ua.NodeClass.Variable, name, type_, description)
    level = _READ_WRITE if writable else _READ_ONLY
    node.attributes |= {
        _A.Value: value,
        _A.DataType: held(data_type, _T.NodeId),
        _A.ValueRank: held(rank, _T.Int32),
        _A.AccessLevel: level,
        _A.UserAccessLevel: level,
        _A.MinimumSamplingInterval: _FASTEST,
        _A.Historizing: _FALSE,
    }
    return node


def link(parent: NodeData, child: NodeData, kind: int, type_: int | None = None) -> None:
    """Join two nodes, both ways."""
    add_forward(parent, child, kind, type_)
    child.references.append(_back(parent, kind))


def add_forward(parent: NodeData, child: NodeData, kind: int, type_: int | None = None) -> None:
    name = child.attributes[_A.BrowseName].value.Value.Value
    node_class = child.attributes[_A.NodeClass].value.Value.Value
    target = ua.NodeId(type_) if type_ else None
    parent.references.append(reference(kind, child.nodeid, node_class, name, target, forward=True))


def _back(parent: NodeData, kind: int) -> Any:
    name = parent.attributes[_A.BrowseName].value.Value.Value
    node_class = parent.attributes[_A.NodeClass].value.Value.Value
    return reference(kind, parent.nodeid, node_class, name, None, forward=False)


_ZERO = held(0, _T.UInt32)
_NO_EVENTS = held(0, _T.Byte)
_READ_ONLY = held(_READ, _T.Byte)
_READ_WRITE = held(_READ | _WRITE, _T.Byte)
_FASTEST = held(0.0, _T.Double)
_FALSE = held(False, _T.Boolean)


@dataclass(slots=True)
class _Folder:
    """One ISA-95 level: names of the folders below, tags in it."""

    name: str
    parent: str
    folders: list[str] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)


class PlantNodes(dict[Any, NodeData]):
    """asyncua's dictionary of nodes, in which the plant's own nodes appear when first asked for.

    Ten thousand tags cost nothing at start, and a client that reads values only never makes a node.
    """

    def __init__(
        self, standard: dict[Any, NodeData], plant: str, tags: Iterable[Tag], values: TagValues
    ) -> None:
        super().__init__(standard)
        self._values = values
        self._name = plant
        self._take(tags)
        self._objects = standard[ua.NodeId(_IDS.ObjectsFolder)]
        self.plant = self[ua.NodeId(PLANT, TAGS)]
        add_forward(self._objects, self.plant, _IDS.Organizes, _IDS.FolderType)

    def _take(self, tags: Iterable[Tag]) -> None:
        self._tags = {tag.path: tag for tag in tags}
        self._folders: dict[str, _Folder] = {PLANT: _Folder(self._name, "")}
        for tag in self._tags.values():
            self._folder(tag.path.rpartition("/")[0]).tags.append(tag)

    def renew(self, tags: Iterable[Tag]) -> None:
        """Take other tags; their nodes are made anew when asked for, the plant's own keeps what is beside."""
        for key in [each for each in self if each.NamespaceIndex == TAGS and each.Identifier != PLANT]:
            del self[key]
        self._take(tags)
        beside = [each for each in self.plant.references if each.NodeId.NamespaceIndex == EXTRAS]
        made = self._make_folder(self.plant.nodeid, self._folders[PLANT])
        self.plant.references[:] = [*made.references, *beside]

    def tag_id(self, node_id: Any) -> int:
        """Return the tag behind a node id, -1 where there is none."""
        if node_id.NamespaceIndex != TAGS:
            return -1
        tag = self._tags.get(node_id.Identifier)
        return tag.id if tag else -1

    def get(self, key: Any, default: Any = None) -> Any:
        node = super().get(key)
        return node if node is not None else self._make(key) or default

    def __missing__(self, key: Any) -> NodeData:
        node = self._make(key)
        if node is None:
            raise KeyError(key)
        return node

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._make(key) is not None

    def _folder(self, path: str) -> _Folder:
        """Return the folder of a path without the last slash; its parents come with it."""
        key = f"{path}/"
        known = self._folders.get(key)
        if known is None:
            above, _, name = path.rpartition("/")
            parent = self._folder(above) if above else self._folders[PLANT]
            parent.folders.append(key)
            known = self._folders[key] = _Folder(name, f"{above}/")
        return known

    def _make(self, key: Any) -> NodeData | None:
        if (
            not isinstance(key, ua.NodeId)
            or key.NamespaceIndex != TAGS
            or not isinstance(key.Identifier, str)
        ):
            return None
        name = key.Identifier
        node: NodeData | None = None
        if name in self._folders:
            node = self._make_folder(key, self._folders[name])
        elif name in self._tags:
            node = self._make_tag(key, self._tags[name])
        elif "//" in name:
            path, _, which = name.partition("//")
            if path in self._tags:
                node = self._make_property(key, self._tags[path], which)
        if node is not None:
            self[key] = node
        return node

    def _make_folder(self, key: Any, folder: _Folder) -> NodeData:
        node = make_node(key, ua.NodeClass.Object, folder.name, _IDS.FolderType)
        for name in folder.folders:
            below = ua.QualifiedName(self._folders[name].name, TAGS)
            to = ua.NodeId(name, TAGS)
            type_ = ua.NodeId(_IDS.FolderType)
            node.references.append(
                reference(_IDS.Organizes, to, ua.NodeClass.Object, below, type_, forward=True)
            )
        for tag in folder.tags:
            name_ = ua.QualifiedName(tag.path.rpartition("/")[2], TAGS)
            type_ = ua.NodeId(_type_of(tag))
            node.references.append(
                reference(_IDS.Organizes, tag_node(tag), ua.NodeClass.Variable, name_, type_, forward=True)
            )
        above = self[ua.NodeId(folder.parent, TAGS)] if folder.parent else self._objects
        node.references.append(_back(above, _IDS.Organizes))
        return node

    def _make_tag(self, key: Any, tag: Tag) -> NodeData:
        value = AttributeValue(None)
        value.value_callback = lambda _node, _attribute: self._values.read(tag.id)
        above, _, name = tag.path.rpartition("/")
        node = make_variable(
            key,
            name,
            data_type_id(tag.data_type),
            value,
            _type_of(tag),
            tag.description,
            tag.access is Access.READ_WRITE,
        )
        for which in _properties(tag):
            to, below = ua.NodeId(f"{tag.path}//{which}", TAGS), ua.QualifiedName(which, 0)
            type_ = ua.NodeId(_IDS.PropertyType)
            node.references.append(
                reference(_IDS.HasProperty, to, ua.NodeClass.Variable, below, type_, forward=True)
            )
        node.references.append(_back(self[ua.NodeId(f"{above}/", TAGS)], _IDS.Organizes))
        return node

    def _make_property(self, key: Any, tag: Tag, which: str) -> NodeData | None:
        if which not in _properties(tag):
            return None
        if which == "EURange":
            value: Any = ua.Range(Low=tag.low, High=tag.high)
            data_type = _IDS.Range
        else:
            value = ua.EUInformation(
                NamespaceUri=_UCUM,
                UnitId=-1,
                DisplayName=ua.LocalizedText(tag.unit_text or tag.unit),
                Description=ua.LocalizedText(tag.unit),
            )
            data_type = _IDS.EUInformation
        holder = held(value, _T.ExtensionObject)
        node = make_variable(key, which, ua.NodeId(data_type), holder, _IDS.PropertyType)
        node.attributes[_A.BrowseName] = held(ua.QualifiedName(which, 0), _T.QualifiedName)
        node.references.append(_back(self[tag_node(tag)], _IDS.HasProperty))
        return node


def _properties(tag: Tag) -> list[str]:
    """Return the properties that a tag's variable has. Source: OPC 10000-8, 5.3.2."""
    ranged = tag.low is not None and tag.high is not None
    return ["EURange"] * ranged + ["EngineeringUnits"] * bool(tag.unit or tag.unit_text)


def _type_of(tag: Tag) -> int:
    properties = _properties(tag)
    if "EURange" in properties:
        return int(_IDS.AnalogItemType)
    return int(_IDS.AnalogUnitType if properties else _IDS.BaseDataVariableType)
