"""DataTypeDefinitions of a NodeSet's structures and enumerations.

Source: OPC 10000-6, F.12; OPC 10000-3, 8.48 to 8.52.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncua import ua

from drivers.opcua.nodesets.records import Record
from drivers.opcua.nodesets.tree import Element
from drivers.opcua.nodesets.values import ValueReadError

_SUBTYPE, _ENCODING = ua.NodeId(ua.ObjectIds.HasSubtype), ua.NodeId(ua.ObjectIds.HasEncoding)


def definition(element: Element, record: Record, node_id: Callable[[str], Any]) -> Any:
    """Return the EnumDefinition or StructureDefinition of a data type.

    Raises:
        ValueReadError: a field cannot be read.
    """
    fields = [each for each in element.children if each.tag == "Field"]
    option_set = _true(element.attributes.get("IsOptionSet"))
    if option_set or any("Value" in each.attributes for each in fields):
        made = ua.EnumDefinition()
        made.Fields = [_enum_field(each) for each in fields]
        return made
    made = ua.StructureDefinition()
    made.BaseDataType = next(
        (to for kind, forward, to in record.references if kind == _SUBTYPE and not forward),
        ua.NodeId(ua.ObjectIds.Structure),
    )
    made.DefaultEncodingId = next(
        (to for kind, forward, to in record.references if kind == _ENCODING and forward), ua.NodeId()
    )
    made.Fields = [_structure_field(each, node_id) for each in fields]
    if _true(element.attributes.get("IsUnion")):
        made.StructureType = ua.StructureType.Union
    elif any(each.IsOptional for each in made.Fields):
        made.StructureType = ua.StructureType.StructureWithOptionalFields
    else:
        made.StructureType = ua.StructureType.Structure
    return made


def _enum_field(element: Element) -> Any:
    made = ua.EnumField()
    made.Name = element.attributes.get("Name", "")
    made.Value = _number(element.attributes.get("Value", "0"))
    made.DisplayName = ua.LocalizedText(element.first("DisplayName") or made.Name)
    made.Description = ua.LocalizedText(element.first("Description"))
    return made


def _structure_field(element: Element, node_id: Callable[[str], Any]) -> Any:
    told = element.attributes
    made = ua.StructureField()
    made.Name = told.get("Name", "")
    made.Description = ua.LocalizedText(element.first("Description"))
    made.DataType = node_id(told.get("DataType", "i=24"))
    made.ValueRank = _number(told.get("ValueRank", "-1"))
    dimensions = told.get("ArrayDimensions", "")
    made.ArrayDimensions = [_number(each) for each in dimensions.split(",")] if dimensions else []
    made.MaxStringLength = _number(told.get("MaxStringLength", "0"))
    made.IsOptional = _true(told.get("IsOptional"))
    return made


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueReadError(f"{text[:40]!r} is no number") from None


def _true(text: str | None) -> bool:
    return (text or "").strip().lower() in ("true", "1")
