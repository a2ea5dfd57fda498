"""NodeSet2 XML files in: nodes as records, and what is wrong with a file with its place.

Source: OPC 10000-6, annex F Information Model XML Schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from asyncua import ua

from drivers.opcua.nodesets.definitions import definition
from drivers.opcua.nodesets.records import TYPE_OF, Record
from drivers.opcua.nodesets.tree import BadXmlError, Element, read_tree
from drivers.opcua.nodesets.values import ValueReadError, read_value
from runtime.errors import Finding, Place

_A = ua.AttributeIds
_C = ua.NodeClass
_T = ua.VariantType
_IDS = ua.ObjectIds
_SUBTYPE = ua.NodeId(_IDS.HasSubtype)
_UA = "http://opcfoundation.org/UA/"
_CLASSES = {
    "UAObject": _C.Object,
    "UAVariable": _C.Variable,
    "UAMethod": _C.Method,
    "UAView": _C.View,
    "UAObjectType": _C.ObjectType,
    "UAVariableType": _C.VariableType,
    "UADataType": _C.DataType,
    "UAReferenceType": _C.ReferenceType,
}
_OTHERS = ("NamespaceUris", "ServerUris", "Models", "Aliases", "Extensions")
_NODE_ID = re.compile(r"(?:ns=(\d{1,5});)?([isgb])=(.+)", re.DOTALL)
_STRUCTURAL = {_SUBTYPE, TYPE_OF}


class _FileError(Exception):
    """Something in a file is wrong; says where."""

    def __init__(self, text: str, at: Element, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.at = at
        self.remedy = remedy


@dataclass(slots=True)
class NodeSet:
    """A file, read but for its nodes.

    Attributes:
        uris: its NamespaceUris; its index 1 is the first of them.
        own: namespaces whose nodes it describes.
        required: other models that it needs, with the place.
        aliases: names that it gives node ids.
        nodes: elements of nodes.
    """

    path: Path
    uris: list[str]
    own: list[str]
    required: list[tuple[str, Element]]
    aliases: dict[str, str]
    nodes: list[Element]
    findings: list[Finding] = field(default_factory=list)

    def place(self, at: Element) -> Place:
        return Place(self.path, at.line, at.column)


def read_nodeset(path: Path, taken: Sequence[str] = ()) -> NodeSet:
    """Read a file; what is wrong with it as a whole stands in its findings, and then it has no nodes.

    Args:
        path: the file.
        taken: namespaces that no file may describe.
    """
    made = NodeSet(path, [], [], [], {}, [])
    try:
        root = read_tree(path)
    except OSError as exc:
        text = f"cannot be read: {exc.strerror or exc}"
        made.findings.append(Finding(text, Place(path), "name a NodeSet2 file of the plant folder"))
        return made
    except BadXmlError as exc:
        remedy = "name a NodeSet2 XML file as the vendor or the OPC Foundation publishes it"
        made.findings.append(Finding(exc.text, Place(path, exc.line, exc.column), remedy))
        return made
    try:
        _read_head(made, root, taken)
    except _FileError as exc:
        made.findings.append(Finding(exc.text, made.place(exc.at), exc.remedy))
        made.own.clear()
        made.nodes.clear()
    return made


def _read_head(made: NodeSet, root: Element, taken: Sequence[str]) -> None:
    if root.tag != "UANodeSet":
        raise _FileError(f"the file holds {root.tag!r}, not UANodeSet", root, "name a NodeSet2 XML file")
    uris = root.child("NamespaceUris")
    made.uris += [each.text.strip() for each in uris.children] if uris else []
    if not made.uris:
        raise _FileError("the file has no NamespaceUris", root, "the standard's own nodes are there already")
    models = root.child("Models")
    for model in models.children if models else ():
        made.own.append(model.attributes.get("ModelUri", ""))
        made.required += [
            (each.attributes.get("ModelUri", ""), each)
            for each in model.children
            if each.tag == "RequiredModel"
        ]
    made.own = made.own or made.uris[:1]
    for uri in made.own:
        if uri in (_UA, *taken):
            raise _FileError(f"{uri} is a namespace of the server itself", uris or root, "leave the file out")
        if uri not in made.uris:
            text = f"the model {uri!r} is not among the file's NamespaceUris"
            raise _FileError(text, models or root, "correct the file")
    aliases = root.child("Aliases")
    for each in aliases.children if aliases else ():
        made.aliases[each.attributes.get("Alias", "")] = each.text.strip()
    for each in root.children:
        if each.tag in _CLASSES:
            made.nodes.append(each)
        elif each.tag not in _OTHERS:
            raise _FileError(f"{each.tag!r} is no class of nodes", each, f"known: {', '.join(_CLASSES)}")


def records_of_files(
    files: Sequence[NodeSet], indexes: Mapping[str, int], known: Callable[[Any], bool]
) -> tuple[list[Record], list[Finding]]:
    """Return the nodes of files, and everything that is wrong with them.

    Args:
        files: in any order.
        indexes: namespace indexes of the server by URI.
        known: tells whether a node is there without these files.
    """
    findings = [finding for each in files for finding in each.findings]
    models = {uri for each in files for uri in each.own}
    records: dict[Any, Record] = {}
    owners: list[tuple[NodeSet, Record]] = []
    for each in files:
        lacking = [(uri, at) for uri, at in each.required if uri not in {*models, *indexes, _UA}]
        for uri, at in lacking:
            text, remedy = f"the file needs the model {uri}", "name its NodeSet2 file under nodesets: too"
            findings.append(Finding(text, each.place(at), remedy))
        if lacking:
            continue  # what follows from it is not told
        reader = _Reader(each, indexes)
        for element in each.nodes:
            try:
                record = reader.record(element)
                if record.node_id in records:
                    text = f"the node {element.attributes['NodeId']} is described twice"
                    raise _FileError(text, element, "remove one of the two")
            except _FileError as exc:
                findings.append(Finding(exc.text, each.place(exc.at), exc.remedy))
                break
            records[record.node_id] = record
            owners.append((each, record))
    if not any(each.severity == "error" for each in findings):
        findings += _dangling(owners, records, indexes, known)
    return list(records.values()), findings


def _dangling(
    owners: Sequence[tuple[NodeSet, Record]],
    records: Mapping[Any, Record],
    indexes: Mapping[str, int],
    known: Callable[[Any], bool],
) -> Iterator[Finding]:
    """Yield references to nodes that are not there, once a file and namespace."""
    uris = {index: uri for uri, index in indexes.items()}
    found: dict[tuple[Path, int, bool], tuple[int, Record, Any]] = {}
    for owner, record in owners:
        for kind, _forward, to in record.references:
            if to in records or known(to):
                continue
            key = owner.path, to.NamespaceIndex, kind in _STRUCTURAL
            count, first, missing = found.get(key, (0, record, to))
            found[key] = count + 1, first, missing
    for (path, index, structural), (count, record, missing) in found.items():
        uri = uris.get(index, _UA)
        more = f", and {count - 1} more" if count > 1 else ""
        text = f"{record.name.Name} refers to {missing.to_string()} of {uri}, which is not there{more}"
        remedy = f"name the whole NodeSet2 file of {uri} under nodesets: too"
        severity = "error" if structural and index else "warning"
        yield Finding(text, Place(path, record.line), remedy, severity)


class _Reader:
    """Reads the nodes of one file in the indexes of the server."""

    def __init__(self, owner: NodeSet, indexes: Mapping[str, int]) -> None:
        self._owner = owner
        self._map = [0, *(indexes.get(uri, -1) for uri in owner.uris)]
        self._own = {indexes[uri] for uri in owner.own}
        self._at: Element = owner.nodes[0] if owner.nodes else Element("", {}, 1, 1)

    def record(self, element: Element) -> Record:
        """Return a node.

        Raises:
            _FileError: something of it cannot be read.
        """
        self._at = element
        told = element.attributes
        if "NodeId" not in told or "BrowseName" not in told:
            raise self._bad("a node needs NodeId and BrowseName")
        node_id = self.node_id(told["NodeId"])
        if node_id.NamespaceIndex not in self._own:
            raise self._bad(f"the node {told['NodeId']} is of a namespace that the file does not define")
        record = Record(node_id, _CLASSES[element.tag], self._browse_name(told["BrowseName"]))
        record.line = element.line
        record.display = _text(element.child("DisplayName"))
        record.description = _text(element.child("Description"))
        references = element.child("References")
        for each in references.children if references else ():
            self._at = each
            kind = self.node_id(each.attributes.get("ReferenceType", ""))
            forward = each.attributes.get("IsForward", "true").strip().lower() not in ("false", "0")
            record.references.append((kind, forward, self.node_id(each.text.strip())))
        self._at = element
        try:
            self._attributes(element, record)
        except ValueReadError as exc:
            raise self._bad(f"{told['NodeId']}: {exc}") from None
        return record

    def _attributes(self, element: Element, record: Record) -> None:
        told = element.attributes
        if record.node_class in (_C.Variable, _C.VariableType):
            data_type = self.node_id(told.get("DataType", "i=24"))
            record.attributes[_A.DataType] = data_type, _T.NodeId
            record.attributes[_A.ValueRank] = self._number(told.get("ValueRank", "-1")), _T.Int32
            dimensions = told.get("ArrayDimensions", "")
            if dimensions:
                numbers = [self._number(each) for each in dimensions.split(",")]
                record.attributes[_A.ArrayDimensions] = numbers, _T.UInt32
            value = element.child("Value")
            found = (
                read_value(value.children[0], self.node_id, self._index) if value and value.children else None
            )
            if found is not None:
                record.attributes[_A.Value] = found
        if record.node_class in (_C.ObjectType, _C.VariableType, _C.DataType, _C.ReferenceType):
            record.attributes[_A.IsAbstract] = _true(told.get("IsAbstract")), _T.Boolean
        if record.node_class == _C.ReferenceType:
            record.attributes[_A.Symmetric] = _true(told.get("Symmetric")), _T.Boolean
            inverse = _text(element.child("InverseName")) or ua.LocalizedText()
            record.attributes[_A.InverseName] = inverse, _T.LocalizedText
        if record.node_class == _C.Method:  # nothing here carries it out
            record.attributes[_A.Executable] = record.attributes[_A.UserExecutable] = False, _T.Boolean
        fields = element.child("Definition")
        if record.node_class == _C.DataType and fields is not None:
            record.attributes[_A.DataTypeDefinition] = (
                definition(fields, record, self.node_id),
                _T.ExtensionObject,
            )

    def node_id(self, text: str) -> Any:
        """Return a node id of the file as the server has it."""
        found = _NODE_ID.fullmatch(self._owner.aliases.get(text, text))
        if found is None:
            raise self._bad(f"{text[:60]!r} is no node id")
        index, kind, identifier = self._index(int(found[1] or 0)), found[2], found[3]
        try:
            match kind:
                case "i":
                    return ua.NodeId(_numeric(identifier), index)
                case "g":
                    return ua.NodeId(UUID(identifier), index, ua.NodeIdType.Guid)
                case "b":
                    return ua.NodeId.from_string(f"ns={index};b={identifier}")
        except ValueError:
            raise self._bad(f"{text[:60]!r} is no node id") from None
        return ua.NodeId(identifier, index, ua.NodeIdType.String)

    def _index(self, index: int) -> int:
        if index >= len(self._map):
            raise self._bad(f"namespace index {index}, and the file has {len(self._map) - 1} NamespaceUris")
        if self._map[index] < 0:
            raise self._bad(f"the namespace {self._owner.uris[index - 1]} is not there", _OTHER_FILE)
        return self._map[index]

    def _browse_name(self, text: str) -> Any:
        index, colon, name = text.partition(":")
        if colon and index.isdigit() and len(index) <= 5:
            return ua.QualifiedName(name, self._index(int(index)))
        return ua.QualifiedName(text, 0)

    def _number(self, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise self._bad(f"{text[:40]!r} is no number") from None

    def _bad(
        self, text: str, remedy: str = "correct the file, or get it anew from who published it"
    ) -> _FileError:
        return _FileError(text, self._at, remedy)


_OTHER_FILE = "name the NodeSet2 file of that namespace under nodesets: too"


def _numeric(text: str) -> int:
    number = int(text) if text.isdigit() and len(text) <= 10 else -1
    if not 0 <= number < 1 << 32:
        raise ValueError(text)
    return number


def _true(text: str | None) -> bool:
    return (text or "").strip().lower() in ("true", "1")


def _text(element: Element | None) -> Any:
    if element is None:
        return None
    return ua.LocalizedText(element.text.strip() or None, element.attributes.get("Locale") or None)
