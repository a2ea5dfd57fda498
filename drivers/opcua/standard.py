"""The standard address space takes no more memory than its nodes, and equal constants only once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Hashable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import asyncua.server
from asyncua import ua

from runtime import heap

if TYPE_CHECKING:
    from asyncua.server.address_space import AddressSpace

_PACKAGE = "asyncua.server.standard_address_space"
_NAMES = ("NodeId", "ReferenceTypeId", "TypeDefinition", "BrowseName", "DisplayName")


def share_constants(space: AddressSpace) -> None:
    """Let nodes that say the same share it: of 74,000 attributes 63,000 are one of a few (15 MiB).

    Who writes to an attribute gives it another value; none is ever changed in its place.
    """
    kept: dict[Hashable, Any] = {}
    good = ua.StatusCode()
    for node in space._nodes.values():
        for which, attribute in node.attributes.items():
            held = attribute.value
            if held is None or which == ua.AttributeIds.Value:
                continue
            if held.StatusCode == good:
                held.StatusCode = good
            variant = held.Value
            if variant is None or variant.is_array or held.SourceTimestamp or held.ServerTimestamp:
                continue
            known = _known(variant.Value)
            if known is not None:
                attribute.value = kept.setdefault((variant.VariantType, known), held)
        for reference in node.references:
            for name in _NAMES:
                said = getattr(reference, name)
                known = _known(said)
                if known is not None:
                    setattr(reference, name, kept.setdefault(known, said))


_NODE_IDS = (ua.NodeId, ua.TwoByteNodeId, ua.FourByteNodeId, ua.NumericNodeId)
_FIELDS: dict[type, attrgetter[Any]] = {
    ua.LocalizedText: attrgetter("Locale", "Text"),
    ua.QualifiedName: attrgetter("NamespaceIndex", "Name"),
    ua.ExpandedNodeId: attrgetter("NamespaceIndex", "Identifier", "NamespaceUri", "ServerIndex"),
    **dict.fromkeys(_NODE_IDS, attrgetter("NamespaceIndex", "Identifier", "NodeIdType")),
}


def _known(value: Any) -> Hashable | None:
    """Return what tells a constant apart from all others; None for what is not shared."""
    kind = type(value)
    fields = _FIELDS.get(kind)
    if fields is not None:
        return kind, fields(value)
    return (kind, value) if isinstance(value, bool | int | float | str) else None


def forget_generators() -> None:
    """Let go of the code that makes the standard nodes, 9 MiB that run once. Later servers load it anew."""
    for name in [each for each in sys.modules if each == _PACKAGE or each.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]
    vars(asyncua.server).pop(_PACKAGE.rpartition(".")[2], None)
    gc.collect()
    heap.trim()
