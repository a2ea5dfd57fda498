"""The NodeSet files that a plant names, and the tags that are values of their variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from drivers.frame.address import AddressError
from drivers.opcua.client.address import parse_node
from drivers.opcua.namespaces import namespaces, still_nodes
from drivers.opcua.nodesets.reading import read_nodeset, records_of_files
from drivers.opcua.nodesets.records import Record
from drivers.opcua.values import WIRE
from runtime.contract import Tag
from runtime.errors import ConfigError, Finding, Place

_A = ua.AttributeIds
_IDS = ua.ObjectIds
_SUBTYPE = ua.NodeId(_IDS.HasSubtype)
_BUILT_IN = 25
_SIGNED, _UNSIGNED, _REAL = {2, 4, 6, 8}, {3, 5, 7, 9}, {10, 11}
# What may stand in a variable of an abstract type. Source: OPC 10000-3, 5.8.2 and 8
_ABSTRACT = {24: set(range(1, 26)), 26: _SIGNED | _UNSIGNED | _REAL, 27: _SIGNED, 28: _UNSIGNED, 29: {6}}
# Types of the standard that are another on the wire. Source: OPC 10000-3, 8
_SUBTYPES = {290: 11, 291: 12, 294: 13, 295: 12, 288: 7, 289: 7}


class TagLookup(Protocol):
    """Tags with ids: a plant's list, or the table of a running one."""

    def __contains__(self, path: object) -> bool: ...
    def __getitem__(self, key: int | str) -> Tag: ...
    def select(self, *patterns: str) -> NDArray[np.int32]: ...


@dataclass(slots=True)
class Vendor:
    """What a plant's files add to the address space.

    Attributes:
        uris: all namespaces of the server.
        whole: namespaces that the files describe.
        bound: paths of tags by the node whose value they are.
    """

    uris: list[str]
    whole: frozenset[str] = frozenset()
    records: list[Record] = field(default_factory=list)
    bound: dict[Any, str] = field(default_factory=dict)


def load_vendor(
    folder: Path, plant: str, config: Any, tags: TagLookup, place: Callable[[str], Place]
) -> tuple[Vendor, list[Finding]]:
    """Read the files, and bind nodes to tags; returns what is wrong too.

    Args:
        folder: the plant's.
        plant: its name.
        config: the driver's section; see `drivers.opcua.server.OpcuaServerConfig`.
        tags: the plant's.
        place: tells where a node of `nodes:` stands in the plant file.
    """
    application = config.uri_of(plant)
    if not config.nodesets and not config.nodes:
        return Vendor(namespaces(plant, application)), []
    own = [f"urn:ironworks:{plant}:{each}" for each in ("tags", "alarms", "model")]
    read = [read_nodeset(folder / each, [application, *own]) for each in config.nodesets]
    uris = namespaces(plant, application, [uri for each in read for uri in each.own])
    indexes = {uri: index for index, uri in enumerate(uris)}
    made = Vendor(uris, frozenset(uri for each in read for uri in each.own))
    there = {each.node_id for each in still_nodes(uris, (), made.whole)}

    def known(node_id: Any) -> bool:
        if node_id.NamespaceIndex == 0:
            return node_id.Identifier in ua.object_ids.ObjectIdNames
        return node_id in there

    made.records, findings = records_of_files(read, indexes, known)
    if any(each.severity == "error" for each in findings):
        return made, findings
    by_id = {each.node_id: each for each in made.records}
    exposed = set(tags.select(*config.expose).tolist())
    for text, path in config.nodes.items():
        try:
            node_id, record = _variable(text, indexes, by_id)
            if path not in tags or tags[path].id not in exposed:
                raise _BindError(f"{path!r} is no tag that clients see", "correct it, or `expose` it")
            _check_type(text, record, by_id, tags[path])
        except _BindError as exc:
            findings.append(Finding(exc.text, place(text), exc.remedy))
        else:
            made.bound[node_id] = tags[path].path
    return made, findings


def required_vendor(folder: Path, plant: str, config: Any, tags: TagLookup) -> Vendor:
    """Return what `load_vendor` returns.

    Raises:
        ConfigError: something is wrong.
    """
    made, findings = load_vendor(folder, plant, config, tags, lambda _: Place(folder / "plant.yaml"))
    errors = [each for each in findings if each.severity == "error"]
    if errors:
        raise ConfigError(errors)
    return made


class _BindError(Exception):
    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy


def _variable(text: str, indexes: Mapping[str, int], records: Mapping[Any, Record]) -> tuple[Any, Record]:
    """Return the variable that a plant file names.

    Raises:
        _BindError: it is none of the files' variables.
    """
    try:
        ref = parse_node(text)
    except AddressError as exc:
        raise _BindError(f"{text!r}: {exc.text}", exc.remedy) from exc
    if not isinstance(ref.namespace, str):
        remedy = "write nsu=URI;s=NAME: the index of a namespace is the server's own affair"
        raise _BindError(f"{text!r} names its namespace by index", remedy)
    if ref.namespace not in indexes:
        close = get_close_matches(ref.namespace, indexes, 1)
        remedy = f"did you mean {close[0]}?" if close else "name its NodeSet2 file under nodesets:"
        raise _BindError(f"{text!r}: there is no namespace {ref.namespace}", remedy)
    node_id = ua.NodeId.from_string(f"ns={indexes[ref.namespace]};{ref.kind}={ref.identifier}")
    record = records.get(node_id)
    if record is None:
        names = [str(each.Identifier) for each in records if each.NamespaceIndex == node_id.NamespaceIndex]
        close = get_close_matches(ref.identifier, names, 1)
        remedy = f"did you mean {close[0]!r}?" if close else "see its NodeId in the file"
        raise _BindError(f"{text!r}: the files have no such node", remedy)
    if record.node_class != ua.NodeClass.Variable:
        raise _BindError(f"{text!r} is no variable", "name one of its variables")
    return node_id, record


def _check_type(text: str, record: Record, records: Mapping[Any, Record], tag: Tag) -> None:
    """Refuse a tag whose values are not of the variable's type."""
    rank = record.attributes.get(_A.ValueRank, (-1, None))[0]
    data_type = record.attributes[_A.DataType][0]
    number = _built_in(data_type, records)
    wire = WIRE[tag.data_type].value
    if rank >= 0:
        raise _BindError(f"{text!r} is an array, and {tag.path} is not", "bind a scalar")
    if number is None or wire not in _ABSTRACT.get(number, {number}):
        name = (
            ua.object_ids.ObjectIdNames.get(number, data_type.to_string())
            if number
            else data_type.to_string()
        )
        told = f"{tag.path} is {tag.data_type.iec} ({WIRE[tag.data_type].name})"
        raise _BindError(f"{text!r} is of type {name}, and {told}", "bind a tag of its type")


def _built_in(data_type: Any, records: Mapping[Any, Record]) -> int | None:
    """Return the number of the built-in or abstract type that a data type is on the wire."""
    for _ in range(64):
        if data_type.NamespaceIndex == 0:
            number = _SUBTYPES.get(data_type.Identifier, data_type.Identifier)
            return number if number <= _BUILT_IN or number in _ABSTRACT else None
        record = records.get(data_type)
        if record is None:
            return None
        above = (to for kind, forward, to in record.references if kind == _SUBTYPE and not forward)
        data_type = next(above, ua.NodeId())
    return None
