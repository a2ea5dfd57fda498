"""The address space: plant folders and one variable per tag, made when a client first looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from drivers.opcua.folders import PLANT, Folder, Folders, is_range
from drivers.opcua.values import TagValues, data_type_id
from runtime.contract import Access, DataType, Tag

TAGS, EXTRAS = 2, 3  # namespaces: tags and their folders; alarms and methods
DEVICES, PLCOPEN, MACHINERY, MODEL = 4, 5, 6, 7  # companions' types; the plant's controller and machines
MOST_WEIGHT = 10_000  # of nodes that are kept, in references of some 0.7 kB
_NODE_WEIGHT = 6
_UCUM = "http://unitsofmeasure.org"
_A = ua.AttributeIds
_T = ua.VariantType
_IDS = ua.ObjectIds
# AccessLevel bits. Source: OPC 10000-3, 8.57
READ, WRITE, HISTORY = 1, 2, 4


def tag_node(tag: Tag) -> ua.NodeId:
    return ua.NodeId(tag.path, TAGS)


class _Deaf(dict[int, Any]):
    """The callbacks of what never changes: there is nothing to tell, whoever comes and goes."""

    def __setitem__(self, key: int, value: Any) -> None:
        return

    def pop(self, key: int, default: Any = None) -> Any:
        return default


class Fixed:
    """asyncua's AttributeValue for what never changes, in a quarter of the memory.

    Its node can be forgotten and made anew while clients monitor it.
    """

    __slots__ = ("datachange_callbacks", "value", "value_callback", "value_setter")

    def __init__(self, value: Any, callback: Any = None) -> None:
        self.value = value
        self.value_callback = callback
        self.value_setter = None
        self.datachange_callbacks = _DEAF


_DEAF = _Deaf()


def held(value: Any, kind: Any) -> Any:
    """Hold an attribute that does not change."""
    return AttributeValue(ua.DataValue(ua.Variant(value, kind)))


def fixed(value: Any, kind: Any) -> Any:
    """Hold an attribute that never changes, of a node that can be made anew."""
    return Fixed(ua.DataValue(ua.Variant(value, kind)))


def reference(
    kind: Any, to: ua.NodeId, node_class: Any, name: ua.QualifiedName, type_: Any, forward: bool
) -> Any:
    """Build one reference as a browse answers it; `kind` is a node id, or a number of namespace 0."""
    return ua.ReferenceDescription(
        ReferenceTypeId=kind if isinstance(kind, ua.NodeId) else ua.NodeId(kind),
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
        _A.NodeId: fixed(node_id, _T.NodeId),
        _A.NodeClass: fixed(node_class, _T.Int32),
        _A.BrowseName: fixed(ua.QualifiedName(name, node_id.NamespaceIndex), _T.QualifiedName),
        _A.DisplayName: fixed(ua.LocalizedText(name), _T.LocalizedText),
        _A.Description: fixed(ua.LocalizedText(description), _T.LocalizedText),
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
    level: int = READ,
    rank: int = -1,
) -> NodeData:
    """Build a variable or property around the holder of its value."""
    node = make_node(node_id, ua.NodeClass.Variable, name, type_, description)
    access = _ACCESS[level]
    node.attributes |= {
        _A.Value: value,
        _A.DataType: fixed(data_type, _T.NodeId),
        _A.ValueRank: fixed(rank, _T.Int32),
        _A.AccessLevel: access,
        _A.UserAccessLevel: access,
        _A.MinimumSamplingInterval: _FASTEST,
        _A.Historizing: _TRUE if level & HISTORY else _FALSE,
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


_ZERO = fixed(0, _T.UInt32)
_NO_EVENTS, NOTIFIES = fixed(0, _T.Byte), fixed(1, _T.Byte)
_ACCESS = [fixed(level, _T.Byte) for level in range(8)]
_FASTEST = fixed(0.0, _T.Double)
_FALSE, _TRUE = fixed(False, _T.Boolean), fixed(True, _T.Boolean)


class Part(Protocol):
    """A part of the address space whose nodes are made when a client first looks; has a namespace."""

    def make(self, key: Any) -> NodeData | None:
        """Make a node of the namespace; None where there is none."""
        ...

    def above(self, tag: Tag) -> Iterable[Any]:
        """Return the references of a tag's node to the nodes of the part that have it too."""
        ...


class PlantNodes(dict[Any, NodeData]):
    """asyncua's dictionary of nodes, in which the plant's own nodes appear when first asked for.

    Ten thousand tags cost nothing at start, a client that reads values only never makes a node, and those
    that a client has walked through are forgotten again, the oldest first, beyond some MB.

    Attributes:
        parts: what makes the nodes of other namespaces, by index.
        bound: nodes of other namespaces that are a tag's value, with the path of the tag.
    """

    def __init__(
        self, standard: dict[Any, NodeData], plant: str, tags: Iterable[Tag], values: TagValues
    ) -> None:
        super().__init__(standard)
        self.parts: dict[int, Part] = {}
        self.bound: dict[Any, str] = {}
        self._values = values
        self._name = plant
        self._weights: dict[Any, int] = {}
        self._weight = 0
        self._take(tags)
        objects = self[ua.NodeId(_IDS.ObjectsFolder)]
        self._objects = ua.QualifiedName("Objects", 0)
        key = ua.NodeId(PLANT, TAGS)
        self.plant = self[key] = self._make_folder(key, self._folders.plant)
        add_forward(objects, self.plant, _IDS.Organizes, _IDS.FolderType)

    def _take(self, tags: Iterable[Tag]) -> None:
        self._tags = {tag.path: tag for tag in tags}
        self._folders = Folders(self._name, self._tags.values())

    def renew(self, tags: Iterable[Tag]) -> None:
        """Take other tags; their nodes are made anew when asked for, the plant's own keeps what is beside."""
        self.forget()
        self._take(tags)
        beside = [each for each in self.plant.references if each.NodeId.NamespaceIndex not in (0, TAGS)]
        made = self._make_folder(self.plant.nodeid, self._folders.plant)
        self.plant.references[:] = [*made.references, *beside]

    def forget(self) -> None:
        """Forget the nodes that can be made anew."""
        for key in self._weights:
            del self[key]
        self._weights.clear()
        self._weight = 0

    def pin(self, key: Any) -> None:
        """Keep a node, whatever is forgotten: somebody monitors it, and it cannot be made anew."""
        if key in self:
            self._weight -= self._weights.pop(key, 0)

    def tag_id(self, node_id: Any) -> int:
        """Return the tag behind a node id, -1 where there is none."""
        if node_id.NamespaceIndex == TAGS:
            path = node_id.Identifier
        elif not self.bound or (path := self.bound.get(node_id)) is None:
            return -1
        tag = self._tags.get(path)
        return tag.id if tag else -1

    def bind(self, bound: Mapping[Any, str]) -> None:
        """Let nodes of other namespaces have the values of tags, by path, and their access."""
        for node_id, path in bound.items():
            tag = self._tags.get(path)
            if tag is None:
                continue
            self.bound[node_id] = path
            level = access_level(tag)
            self[node_id].attributes |= {
                _A.Value: self.value_of(tag),
                _A.AccessLevel: _ACCESS[level],
                _A.UserAccessLevel: _ACCESS[level],
                _A.Historizing: _TRUE if level & HISTORY else _FALSE,
            }

    @property
    def tags(self) -> Mapping[str, Tag]:
        """Return the tags by path."""
        return self._tags

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

    def _make(self, key: Any) -> NodeData | None:
        if not isinstance(key, ua.NodeId):
            return None
        if key.NamespaceIndex == TAGS:
            node = self._make_own(key)
        else:
            part = self.parts.get(key.NamespaceIndex)
            node = part.make(key) if part else None
        if node is not None:
            self[key] = node
            self._weigh(key, _NODE_WEIGHT + len(node.references))
        return node

    def _weigh(self, key: Any, weight: int) -> None:
        """Forget the oldest nodes where there are too many."""
        self._weights[key] = weight
        self._weight += weight
        while self._weight > MOST_WEIGHT and len(self._weights) > 1:
            oldest = next(iter(self._weights))
            self._weight -= self._weights.pop(oldest)
            del self[oldest]

    def _make_own(self, key: Any) -> NodeData | None:
        name = key.Identifier
        if not isinstance(name, str):
            return None
        if name.endswith("/"):
            folder = self._folders.find(name)
            return self._make_folder(key, folder) if folder else None
        if name in self._tags:
            return self._make_tag(key, self._tags[name])
        path, slashes, which = name.partition("//")
        if slashes and path in self._tags:
            return self._make_property(key, self._tags[path], which)
        return None

    def _make_folder(self, key: Any, folder: Folder) -> NodeData:
        node = make_node(key, ua.NodeClass.Object, folder.name, _IDS.FolderType)
        if not is_range(key.Identifier):  # events are told by levels
            node.attributes[_A.EventNotifier] = NOTIFIES
        for name in folder.folders:
            node.references.append(self.folder_reference(_IDS.Organizes, name))
        node.references += [tag_reference(_IDS.Organizes, tag) for tag in folder.tags]
        if folder.above:
            above = ua.NodeId(folder.above, TAGS)
            name_ = ua.QualifiedName(self._folders[folder.above].name, TAGS)
        else:
            above, name_ = ua.NodeId(_IDS.ObjectsFolder), self._objects
        node.references.append(
            reference(_IDS.Organizes, above, ua.NodeClass.Object, name_, None, forward=False)
        )
        return node

    def folder_reference(self, kind: Any, key: str) -> Any:
        """Build a reference to a folder, whose key ends in a slash."""
        name, type_ = ua.QualifiedName(self._folders[key].name, TAGS), ua.NodeId(_IDS.FolderType)
        return reference(kind, ua.NodeId(key, TAGS), ua.NodeClass.Object, name, type_, forward=True)

    def value_of(self, tag: Tag) -> Any:
        """Hold a tag's value as an attribute."""
        values, id_ = self._values, tag.id
        return Fixed(None, lambda _node, _attribute: values.read(id_))

    def _make_tag(self, key: Any, tag: Tag) -> NodeData:
        node = make_variable(
            key,
            tag.path.rpartition("/")[2],
            data_type_id(tag.data_type),
            self.value_of(tag),
            _type_of(tag),
            tag.description,
            access_level(tag),
        )
        for which in _properties(tag):
            to, below = ua.NodeId(f"{tag.path}//{which}", TAGS), ua.QualifiedName(which, 0)
            type_ = ua.NodeId(_IDS.PropertyType)
            node.references.append(
                reference(_IDS.HasProperty, to, ua.NodeClass.Variable, below, type_, forward=True)
            )
        folder = self._folders.holder(tag)
        name_ = ua.QualifiedName(self._folders[folder].name, TAGS)
        node.references.append(
            reference(
                _IDS.Organizes, ua.NodeId(folder, TAGS), ua.NodeClass.Object, name_, None, forward=False
            )
        )
        for part in self.parts.values():
            node.references += part.above(tag)
        return node

    def _make_property(self, key: Any, tag: Tag, which: str) -> NodeData | None:
        if which not in _properties(tag):
            return None
        if which == "EURange":
            limits = [each for each in (tag.low, tag.high) if each is not None]
            if tag.data_type is DataType.TIME:  # in ms, as its value is
                limits = [each / 1e6 for each in limits]
            value: Any = ua.Range(*limits)
            data_type = _IDS.Range
        else:
            value = ua.EUInformation(
                NamespaceUri=_UCUM,
                UnitId=-1,
                DisplayName=ua.LocalizedText(tag.unit_text or tag.unit),
                Description=ua.LocalizedText(tag.unit),
            )
            data_type = _IDS.EUInformation
        holder = fixed(value, _T.ExtensionObject)
        node = make_variable(key, which, ua.NodeId(data_type), holder, _IDS.PropertyType)
        node.attributes[_A.BrowseName] = fixed(ua.QualifiedName(which, 0), _T.QualifiedName)
        name = ua.QualifiedName(tag.path.rpartition("/")[2], TAGS)
        node.references.append(
            reference(_IDS.HasProperty, tag_node(tag), ua.NodeClass.Variable, name, None, forward=False)
        )
        return node


def tag_reference(kind: Any, tag: Tag) -> Any:
    """Build a reference to a tag's node."""
    name = ua.QualifiedName(tag.path.rpartition("/")[2], TAGS)
    type_ = ua.NodeId(_type_of(tag))
    return reference(kind, tag_node(tag), ua.NodeClass.Variable, name, type_, forward=True)


def _properties(tag: Tag) -> list[str]:
    """Return the properties that a tag's variable has. Source: OPC 10000-8, 5.3.2."""
    ranged = tag.low is not None and tag.high is not None
    return ["EURange"] * ranged + ["EngineeringUnits"] * bool(tag.unit or tag.unit_text)


def access_level(tag: Tag) -> int:
    """Return what can be done with a tag, whoever does it."""
    writable = WRITE if tag.access is Access.READ_WRITE else 0
    return READ | writable | (HISTORY if tag.retention != "none" else 0)


def _type_of(tag: Tag) -> int:
    properties = _properties(tag)
    if "EURange" in properties:
        return int(_IDS.AnalogItemType)
    return int(_IDS.AnalogUnitType if properties else _IDS.BaseDataVariableType)
