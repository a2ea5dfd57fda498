"""Which event types there are, and which fields each has: read from the address space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from asyncua import ua

_IDS = ua.ObjectIds
BASE = ua.NodeId(_IDS.BaseEventType)
_PARTS = (ua.NodeId(_IDS.HasComponent), ua.NodeId(_IDS.HasProperty))
_SUBTYPE = ua.NodeId(_IDS.HasSubtype)
_DEEPEST = 4


class EventTypes:
    """The types below BaseEventType.

    Attributes:
        above: a type to all that it is a subtype of, itself included.
    """

    def __init__(self, nodes: Mapping[Any, Any]) -> None:
        self._nodes = nodes
        self.above: dict[Any, frozenset[Any]] = {}
        self._fields: dict[Any, frozenset[tuple[str, ...]]] = {}
        self._take(BASE, frozenset(), frozenset())
        self._all = frozenset[tuple[str, ...]]().union(*self._fields.values())

    def _take(self, type_: Any, above: frozenset[Any], inherited: frozenset[tuple[str, ...]]) -> None:
        self.above[type_] = above | {type_}
        self._fields[type_] = inherited | frozenset(self._paths(type_, ()))
        for each in self._nodes[type_].references:
            if each.IsForward and each.ReferenceTypeId == _SUBTYPE and each.NodeId in self._nodes:
                self._take(each.NodeId, self.above[type_], self._fields[type_])

    def _paths(self, node_id: Any, before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for each in self._nodes[node_id].references:
            node_class = each.NodeClass
            if not each.IsForward or each.ReferenceTypeId not in _PARTS or len(before) >= _DEEPEST:
                continue
            if node_class in (ua.NodeClass.Variable, ua.NodeClass.Object) and each.NodeId in self._nodes:
                path = (*before, each.BrowseName.Name)
                if node_class == ua.NodeClass.Variable:
                    yield path
                yield from self._paths(each.NodeId, path)

    def has(self, type_: Any, path: tuple[str, ...]) -> bool:
        """Tell whether events of a type have a field; of BaseEventType, whether any event has it.

        Source: OPC 10000-4, 7.7.4.5 SimpleAttributeOperand.
        """
        return path in (self._all if type_ == BASE else self._fields[type_])
