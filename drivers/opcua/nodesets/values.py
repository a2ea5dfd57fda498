"""Values in the XML of a NodeSet, both ways: built-in types, arrays, and the structures of properties.

Source: OPC 10000-6, 5.3 XML encoding.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from xml.sax.saxutils import escape

from asyncua import ua

if TYPE_CHECKING:
    from drivers.opcua.nodesets.tree import Element

_T = ua.VariantType
_LONGEST_EXPONENT = 400
# Fields of the structures that properties of the standard hold. Source: OPC 10000-3, 8; OPC 10000-8, 5.6
_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "Argument": (
        ("Name", "String"),
        ("DataType", "NodeId"),
        ("ValueRank", "Int32"),
        ("ArrayDimensions", "ListOfUInt32"),
        ("Description", "LocalizedText"),
    ),
    "EUInformation": (
        ("NamespaceUri", "String"),
        ("UnitId", "Int32"),
        ("DisplayName", "LocalizedText"),
        ("Description", "LocalizedText"),
    ),
    "Range": (("Low", "Double"), ("High", "Double")),
    "EnumValueType": (("Value", "Int64"), ("DisplayName", "LocalizedText"), ("Description", "LocalizedText")),
    "TimeZoneDataType": (("Offset", "Int16"), ("DaylightSavingInOffset", "Boolean")),
}
_WHOLE = {
    "SByte": (-(1 << 7), (1 << 7) - 1),
    "Byte": (0, (1 << 8) - 1),
    "Int16": (-(1 << 15), (1 << 15) - 1),
    "UInt16": (0, (1 << 16) - 1),
    "Int32": (-(1 << 31), (1 << 31) - 1),
    "UInt32": (0, (1 << 32) - 1),
    "Int64": (-(1 << 63), (1 << 63) - 1),
    "UInt64": (0, (1 << 64) - 1),
}
NodeIds = Callable[[str], Any]


class ValueReadError(ValueError):
    """A value is not what its element says; tells why."""


# From XML.


def read_value(element: Element, node_id: NodeIds, index: Callable[[int], int]) -> tuple[Any, Any] | None:
    """Return value and VariantType of an element below Value; None for structures that are not known here.

    Args:
        element: such as `<Double>` or `<ListOfString>`.
        node_id: makes node ids of the file those of the server.
        index: makes a namespace index of the file that of the server.

    Raises:
        ValueReadError: it cannot be read.
    """
    reader = _Reader(node_id, index)
    name = element.tag
    if name.startswith("ListOf"):
        kind = _kind(name.removeprefix("ListOf"))
        values = [reader.read(each, each.tag) for each in element.children]
        if kind is None or any(each is None and kind is _T.ExtensionObject for each in values):
            return None
        return values, kind
    kind = _kind(name)
    value = reader.read(element, name) if kind is not None else None
    return None if kind is None or (value is None and kind is _T.ExtensionObject) else (value, kind)


def _kind(name: str) -> Any:
    return (
        _T.__members__.get(name) if name not in ("Variant", "DataValue", "DiagnosticInfo", "Null") else None
    )


class _Reader:
    def __init__(self, node_id: NodeIds, index: Callable[[int], int]) -> None:
        self._node_id = node_id
        self._index = index

    def read(self, element: Element, name: str) -> Any:
        text = element.text.strip()
        if name in _WHOLE:
            return _whole(name, text)
        match name:
            case "Boolean":
                return _boolean(text)
            case "Float" | "Double":
                return _real(text)
            case "String" | "XmlElement":
                return element.text if name == "String" else ua.XmlElement(element.text)
            case "DateTime":
                return _moment(text)
            case "ByteString":
                return _bytes(text)
            case "Guid":
                return _guid(element.first("String") or text)
            case "LocalizedText":
                locale = element.first("Locale") or None
                return ua.LocalizedText(element.first("Text") or None, locale)
            case "QualifiedName":
                number = _whole("UInt16", element.first("NamespaceIndex") or "0")
                return ua.QualifiedName(element.first("Name"), self._index(number))
            case "NodeId" | "ExpandedNodeId":
                return self._node_id(element.first("Identifier") or "i=0")
            case "StatusCode":
                return ua.StatusCode(_whole("UInt32", element.first("Code") or "0"))
            case "ExtensionObject":
                return self._structure(element)
        raise ValueReadError(f"a value of type {name} is not known")

    def _structure(self, element: Element) -> Any:
        body = element.child("Body")
        if body is None or len(body.children) != 1 or body.children[0].tag not in _FIELDS:
            return None
        (inner,) = body.children
        made = getattr(ua, inner.tag)()
        for name, kind in _FIELDS[inner.tag]:
            field = inner.child(name)
            if field is None:
                continue
            if kind.startswith("ListOf"):
                value = [self.read(each, kind.removeprefix("ListOf")) for each in field.children]
            else:
                value = self.read(field, kind)
            setattr(made, name, value)
        return made


def _whole(name: str, text: str) -> int:
    low, high = _WHOLE[name]
    try:
        number = int(text or "0") if len(text) <= _LONGEST_EXPONENT else high + 1
    except ValueError:
        raise ValueReadError(f"{text[:40]!r} is no {name}") from None
    if not low <= number <= high:
        raise ValueReadError(f"{text[:40]} does not fit {name}")
    return number


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", ""):
        raise ValueReadError(f"{text[:40]!r} is no Boolean")
    return text.lower() in ("true", "1")


def _real(text: str) -> float:
    try:
        return float({"INF": "inf", "-INF": "-inf", "": "0"}.get(text, text))
    except ValueError:
        raise ValueReadError(f"{text[:40]!r} is no number") from None


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueReadError(f"{text[:40]!r} is no time") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueReadError("a ByteString is Base64") from None


def _guid(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise ValueReadError(f"{text[:40]!r} is no Guid") from None


# To XML.


def write_value(
    value: Any, kind: Any, node_id: Callable[[Any], str], indexes: Mapping[int, int]
) -> str | None:
    """Return the element of a value; None where there is nothing to write, or it cannot be.

    Args:
        value: a scalar or a list.
        kind: its VariantType.
        node_id: writes a node id of the server as the file has it.
        indexes: namespace indexes of the file by those of the server.
    """
    name = kind.name
    if value is None or name in ("Null", "Variant", "DataValue", "DiagnosticInfo"):
        return None
    writer = _Writer(node_id, indexes)
    if not isinstance(value, list | tuple):
        body = writer.write(value, name)
        return None if body is None else f"<{name}{_XMLNS}>{_begun(body)}</{name}>"
    bodies = [writer.write(each, name) for each in value]
    if any(each is None for each in bodies):
        return None
    inner = "".join(f"<{name}>{_begun(each or '')}</{name}>" for each in bodies)
    return f"<ListOf{name}{_XMLNS}>\n{inner}</ListOf{name}>"


def _begun(body: str) -> str:
    """Put a line's end before elements: asyncua 2.1 takes a value without any text for null."""
    return f"\n{body}" if body.startswith("<") else body


_XMLNS = ' xmlns="http://opcfoundation.org/UA/2008/02/Types.xsd"'


class _Writer:
    def __init__(self, node_id: Callable[[Any], str], indexes: Mapping[int, int]) -> None:
        self._node_id = node_id
        self._indexes = indexes

    def write(self, value: Any, name: str) -> str | None:
        match name:
            case "Boolean":
                return str(bool(value)).lower()
            case "String" | "XmlElement":
                return clean(str(value))
            case "Float" | "Double":
                text = repr(float(value))
                return {"inf": "INF", "-inf": "-INF", "nan": "NaN"}.get(text, text)
            case "DateTime":
                at = value if value.tzinfo else value.replace(tzinfo=UTC)
                return str(at.astimezone(UTC).isoformat().replace("+00:00", "Z"))
            case "ByteString":
                return base64.b64encode(value).decode()
            case "Guid":
                return f"<String>{value}</String>"
            case "LocalizedText":
                locale = f"<Locale>{clean(value.Locale)}</Locale>" if value.Locale else ""
                return f"{locale}<Text>{clean(value.Text or '')}</Text>"
            case "QualifiedName":
                index = self._indexes.get(value.NamespaceIndex, 0)
                name_ = clean(value.Name or "")
                return f"<NamespaceIndex>{index}</NamespaceIndex><Name>{name_}</Name>"
            case "NodeId" | "ExpandedNodeId":
                return f"<Identifier>{clean(self._node_id(value))}</Identifier>"
            case "StatusCode":
                return f"<Code>{value.value}</Code>"
            case "ExtensionObject":
                return self._structure(value)
        return str(int(value)) if name in _WHOLE else None

    def _structure(self, value: Any) -> str | None:
        name = type(value).__name__
        if name not in _FIELDS:
            return None
        fields = "".join(self._field(getattr(value, field), field, kind) for field, kind in _FIELDS[name])
        number = getattr(ua.ObjectIds, f"{name}_Encoding_DefaultXml")
        body = f"<{name}{_XMLNS}>{fields}</{name}>"
        return f"<TypeId><Identifier>i={number}</Identifier></TypeId><Body>{body}</Body>"

    def _field(self, value: Any, name: str, kind: str) -> str:
        if value is None:
            return ""
        if kind.startswith("ListOf"):
            inner = kind.removeprefix("ListOf")
            body = "".join(f"<{inner}>{self.write(each, inner)}</{inner}>" for each in value)
            return f"<{name}>{body}</{name}>" if body else f"<{name} />"
        return f"<{name}>{self.write(value, kind)}</{name}>"


def clean(text: str) -> str:
    """Return text for XML, without what XML cannot hold."""
    return escape("".join(each if _allowed(each) else "\N{REPLACEMENT CHARACTER}" for each in text), _QUOTES)


_QUOTES = {'"': "&quot;"}


def _allowed(character: str) -> bool:
    """Source: XML 1.0, 2.2 Characters."""
    code = ord(character)
    return code in (0x9, 0xA, 0xD) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF
