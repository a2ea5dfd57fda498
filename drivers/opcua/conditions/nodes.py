"""Condition objects in the address space, made anew whenever a client looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from drivers.opcua.conditions.fields import FIELDS, OBJECTS, Field, Occurrence
from drivers.opcua.folders import MOST_CHILDREN, ranges
from drivers.opcua.model import EXTRAS, NOTIFIES, PlantNodes, fixed, link, make_node, make_variable, reference
from drivers.opcua.values import moment
from runtime.contract import Tag

_IDS = ua.ObjectIds
_A = ua.AttributeIds
FOLDER = ua.NodeId("Alarms", EXTRAS)
_START = "Alarms/"
# Methods of the types, which the conditions share. Source: OPC 10000-9, 5.5 to 5.8
_METHODS = {
    "": (
        ("Enable", _IDS.ConditionType_Enable),
        ("Disable", _IDS.ConditionType_Disable),
        ("AddComment", _IDS.ConditionType_AddComment),
        ("Acknowledge", _IDS.AcknowledgeableConditionType_Acknowledge),
        ("Confirm", _IDS.AcknowledgeableConditionType_Confirm),
        ("Reset", _IDS.AlarmConditionType_Reset),
        ("Reset2", _IDS.AlarmConditionType_Reset2),
        ("RemoveFromService", _IDS.AlarmConditionType_RemoveFromService),
        ("RemoveFromService2", _IDS.AlarmConditionType_RemoveFromService2),
        ("PlaceInService", _IDS.AlarmConditionType_PlaceInService),
        ("PlaceInService2", _IDS.AlarmConditionType_PlaceInService2),
    ),
    "ShelvingState": (  # those that end in 2 are methods of the state machine's type only
        ("TimedShelve", _IDS.AlarmConditionType_ShelvingState_TimedShelve),
        ("TimedShelve2", _IDS.ShelvedStateMachineType_TimedShelve2),
        ("Unshelve", _IDS.AlarmConditionType_ShelvingState_Unshelve),
        ("Unshelve2", _IDS.ShelvedStateMachineType_Unshelve2),
        ("OneShotShelve", _IDS.AlarmConditionType_ShelvingState_OneShotShelve),
        ("OneShotShelve2", _IDS.ShelvedStateMachineType_OneShotShelve2),
    ),
}


def condition_id(name: str) -> Any:
    return ua.NodeId(f"{_START}{name}", EXTRAS)


def place_of(node_id: Any) -> tuple[str, str]:
    """Return the alarm and the path within its condition that a node id names; empty where it is no such."""
    if node_id.NamespaceIndex != EXTRAS or not isinstance(node_id.Identifier, str):
        return "", ""
    if not node_id.Identifier.startswith(_START):
        return "", ""
    name, _, path = node_id.Identifier[len(_START) :].partition("/")
    return name, path


class ConditionNodes:
    """The folder `Alarms`, and the nodes of its conditions.

    A variable that somebody monitors is kept; the others are made anew when a client looks at them.
    """

    def __init__(
        self, nodes: PlantNodes, plant: NodeData, present: Callable[[str], Occurrence | None]
    ) -> None:
        self._nodes = nodes
        self._present = present
        self._kept: dict[str, dict[Any, None]] = {}
        self._of_tag: dict[str, dict[str, int]] = {}
        self._listed: dict[str, int] = {}
        self._ranges: dict[Any, tuple[str, Sequence[str]]] | None = None
        self.folder = make_node(FOLDER, ua.NodeClass.Object, "Alarms", _IDS.FolderType)
        self.folder.attributes[_A.EventNotifier] = NOTIFIES
        link(plant, self.folder, _IDS.Organizes, _IDS.FolderType)
        nodes.parts[EXTRAS] = self

    def list(self, name: str, event_type: int, tag: str) -> None:
        """Show a condition in the folder, and at its tag."""
        self._listed[name] = event_type
        self._of_tag.setdefault(tag, {})[name] = event_type
        self._ranges = None
        self._nodes.forget()

    def unlist(self, name: str) -> None:
        """Take a condition out of the address space."""
        del self._listed[name]
        self._ranges = None
        for names in self._of_tag.values():
            names.pop(name, None)
        for each in self._kept.pop(name, ()):
            del self._nodes[each]
        self._nodes.forget()

    def above(self, tag: Tag) -> Iterator[Any]:
        """Yield the references of a tag's node to its conditions."""
        for name, event_type in self._of_tag.get(tag.path, {}).items():
            yield _to_condition(_IDS.HasCondition, name, event_type)

    def keep(self, node_id: Any) -> None:
        """Keep a node that is going to be monitored."""
        name, path = place_of(node_id)
        if name and path and node_id in self._nodes:
            self._nodes.pin(node_id)
            self._kept.setdefault(name, {})[node_id] = None

    async def tell(self, name: str) -> None:
        """Tell those who monitor variables of a condition that they may have changed."""
        for node_id in list(self._kept.get(name, ())):
            holder = self._nodes[node_id].attributes.get(_A.Value)
            if holder is not None and holder.datachange_callbacks:
                value = holder.value_callback(node_id, _A.Value)
                for handle, call in list(holder.datachange_callbacks.items()):
                    await call(handle, value)

    def make(self, node_id: Any) -> NodeData | None:
        """Build a node of a condition or what it lies in; None where there is no such."""
        if node_id == FOLDER or node_id in self._in_ranges:
            return self._make_folder(node_id)
        name, path = place_of(node_id)
        occurrence = self._present(name) if name else None
        if occurrence is None:
            return None
        if not path:
            return self._make_object(node_id, name, path, occurrence)
        if path in OBJECTS and any(True for _ in _children(path, occurrence)):
            return self._make_object(node_id, name, path, occurrence)
        field = FIELDS.get(path)
        if field is None or not field.fits(occurrence.facts):
            return None
        return self._make_variable(node_id, name, path, field, occurrence)

    @property
    def _in_ranges(self) -> dict[Any, tuple[str, Sequence[str]]]:
        """Return the ranges by node, each with its name and its alarms; none where the folder shows all."""
        if self._ranges is None:
            fit = len(self._listed) < MOST_CHILDREN  # the method Acknowledge is there too
            found = [] if fit else ranges(self._listed)
            self._ranges = {ua.NodeId(f"{_START}/{name}", EXTRAS): (name, part) for name, part in found}
        return self._ranges

    def _holder(self, name: str) -> tuple[Any, str]:
        """Return node and name of what shows an alarm: a range, or the folder."""
        for node_id, (called, part) in self._in_ranges.items():
            if name in part:
                return node_id, called
        return FOLDER, "Alarms"

    def _make_folder(self, node_id: Any) -> NodeData:
        if node_id == FOLDER:
            node = NodeData(FOLDER)
            node.attributes = self.folder.attributes
            node.references = list(self.folder.references)
            for below, (name, _) in self._in_ranges.items():
                node.references.append(_to_folder(below, name, forward=True))
            shown: Iterable[str] = () if self._in_ranges else self._listed
        else:
            name, shown = self._in_ranges[node_id]
            node = make_node(node_id, ua.NodeClass.Object, name, _IDS.FolderType)
            node.references.append(_to_folder(FOLDER, "Alarms", forward=False))
        node.references += [_to_condition(_IDS.HasComponent, each, self._listed[each]) for each in shown]
        return node

    def _make_object(self, node_id: Any, name: str, path: str, occurrence: Occurrence) -> NodeData:
        type_ = OBJECTS.get(path, occurrence.event_type)
        node = make_node(node_id, ua.NodeClass.Object, path or name, type_)
        if path:
            node.attributes[_A.BrowseName] = fixed(ua.QualifiedName(path, 0), ua.VariantType.QualifiedName)
        self._add_children(node, name, path, occurrence)
        for method, number in _METHODS.get(path, ()):
            if method == "Confirm" and not (occurrence.facts and occurrence.facts.confirm):
                continue
            node.references.append(
                reference(
                    _IDS.HasComponent,
                    ua.NodeId(number),
                    ua.NodeClass.Method,
                    ua.QualifiedName(method, 0),
                    None,
                    forward=True,
                )
            )
        self._add_parent(node, name, path)
        return node

    def _make_variable(
        self, node_id: Any, name: str, path: str, field: Field, occurrence: Occurrence
    ) -> NodeData:
        holder = AttributeValue(None)
        holder.value_callback = lambda *_: self._value(name, path)
        last = path.rpartition("/")[2]
        data_type = ua.NodeId(field.data_type or field.kind.value)
        node = make_variable(node_id, last, data_type, holder, field.node_type)
        node.attributes[_A.BrowseName] = fixed(
            ua.QualifiedName(last, field.space), ua.VariantType.QualifiedName
        )
        self._add_children(node, name, path, occurrence)
        self._add_parent(node, name, path)
        return node

    def _value(self, name: str, path: str) -> Any:
        occurrence = self._present(name)
        if occurrence is None:
            return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
        return ua.DataValue(
            occurrence.variant(path),
            SourceTimestamp=moment(occurrence.at_ns),
            ServerTimestamp=moment(occurrence.received_ns),
        )

    def _add_children(self, node: NodeData, name: str, path: str, occurrence: Occurrence) -> None:
        for child, type_, is_object, space in _children(path, occurrence):
            kind = _IDS.HasProperty if type_ == _IDS.PropertyType else _IDS.HasComponent
            full = f"{path}/{child}" if path else child
            node_class = ua.NodeClass.Object if is_object else ua.NodeClass.Variable
            to = ua.NodeId(f"{_START}{name}/{full}", EXTRAS)
            browse = ua.QualifiedName(child, space)
            node.references.append(reference(kind, to, node_class, browse, ua.NodeId(type_), forward=True))

    def _add_parent(self, node: NodeData, name: str, path: str) -> None:
        above = path.rpartition("/")[0]
        if not path:
            to, called = self._holder(name)
            browse = ua.QualifiedName(called, EXTRAS)
            node_class = ua.NodeClass.Object
        else:
            to = ua.NodeId(f"{_START}{name}/{above}" if above else f"{_START}{name}", EXTRAS)
            last = above.rpartition("/")[2]
            browse = ua.QualifiedName(last or name, 0 if above else EXTRAS)
            node_class = ua.NodeClass.Object if not above or above in OBJECTS else ua.NodeClass.Variable
        field = FIELDS.get(path)
        kind = _IDS.HasProperty if field and field.node_type == _IDS.PropertyType else _IDS.HasComponent
        node.references.append(reference(kind, to, node_class, browse, None, forward=False))


def _to_condition(kind: int, name: str, event_type: int) -> Any:
    browse = ua.QualifiedName(name, EXTRAS)
    type_ = ua.NodeId(event_type)
    return reference(kind, condition_id(name), ua.NodeClass.Object, browse, type_, forward=True)


def _to_folder(node_id: Any, name: str, forward: bool) -> Any:
    type_ = ua.NodeId(_IDS.FolderType) if forward else None
    browse = ua.QualifiedName(name, EXTRAS)
    return reference(_IDS.Organizes, node_id, ua.NodeClass.Object, browse, type_, forward)


def _children(path: str, occurrence: Occurrence) -> Iterator[tuple[str, int, bool, int]]:
    """Yield name, type definition, whether it is an object, and namespace of what lies below a path."""
    start = f"{path}/" if path else ""
    objects = set()
    for each, field in FIELDS.items():
        if not each.startswith(start) or not field.fits(occurrence.facts):
            continue
        name, _, below = each[len(start) :].partition("/")
        if not below:
            yield name, field.node_type, False, field.space
        elif start + name in OBJECTS and name not in objects:
            objects.add(name)
            yield name, OBJECTS[start + name], True, 0
