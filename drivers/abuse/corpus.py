"""Valid messages of each protocol, to be spoilt."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary

from drivers.opcua.rules import SERVICES, Needs

_THEN = datetime(2026, 1, 1, tzinfo=UTC)


def requests(token: Any, path: str) -> dict[str, bytes]:
    """Return a request of each OPC UA service, by name; `path` is the node of a tag."""
    node = ua.NodeId(path, 2)
    read = ua.ReadValueId(node, ua.AttributeIds.Value)
    parameters = ua.MonitoringParameters(7, 100.0, ua.DataChangeFilter(), 10, True)
    full: dict[str, dict[str, Any]] = {
        "Read": {"NodesToRead": [read, ua.ReadValueId(ua.NodeId(2259), ua.AttributeIds.Value)]},
        "Write": {"NodesToWrite": [ua.WriteValue(node, 13, Value=ua.DataValue(ua.Variant(1.0)))]},
        "Browse": {"NodesToBrowse": [ua.BrowseDescription(ua.NodeId(85), NodeClassMask=0, ResultMask=63)]},
        "BrowseNext": {"ContinuationPoints": [bytes(30)]},
        "Call": {"MethodsToCall": [ua.CallMethodRequest(ua.NodeId(2253), ua.NodeId(11492), [ua.Variant(1)])]},
        "TranslateBrowsePathsToNodeIds": {
            "BrowsePaths": [
                ua.BrowsePath(
                    ua.NodeId(84),
                    ua.RelativePath(
                        [ua.RelativePathElement(ua.NodeId(33), False, True, ua.QualifiedName("Objects"))]
                    ),
                )
            ]
        },
        "RegisterNodes": {"NodesToRegister": [node]},
        "UnregisterNodes": {"NodesToUnregister": [node]},
        "HistoryRead": {
            "HistoryReadDetails": ua.ReadRawModifiedDetails(False, _THEN, _THEN, 10, True),
            "NodesToRead": [ua.HistoryReadValueId(node)],
        },
        "CreateSubscription": {"RequestedPublishingInterval": 100.0, "RequestedLifetimeCount": 30},
        "ModifySubscription": {"SubscriptionId": 1},
        "DeleteSubscriptions": {"SubscriptionIds": [1]},
        "TransferSubscriptions": {"SubscriptionIds": [1]},
        "SetPublishingMode": {"SubscriptionIds": [1]},
        "Publish": {"SubscriptionAcknowledgements": [ua.SubscriptionAcknowledgement(1, 1)]},
        "Republish": {"SubscriptionId": 1},
        "CreateMonitoredItems": {
            "SubscriptionId": 1,
            "ItemsToCreate": [ua.MonitoredItemCreateRequest(read, ua.MonitoringMode.Reporting, parameters)],
        },
        "ModifyMonitoredItems": {
            "SubscriptionId": 1,
            "ItemsToModify": [ua.MonitoredItemModifyRequest(1, parameters)],
        },
        "DeleteMonitoredItems": {"SubscriptionId": 1, "MonitoredItemIds": [1]},
        "SetMonitoringMode": {"SubscriptionId": 1, "MonitoredItemIds": [1]},
        "GetEndpoints": {
            "EndpointUrl": "opc.tcp://localhost:4840",
            "LocaleIds": ["en"],
            "ProfileUris": ["a"],
        },
        "FindServers": {"EndpointUrl": "opc.tcp://localhost:4840", "LocaleIds": ["en"]},
        "ActivateSession": {
            "UserIdentityToken": ua.UserNameIdentityToken("username", "nobody", b"wrong", None),
            "LocaleIds": ["en"],
        },
    }
    made = {}
    for name in SERVICES:
        request = getattr(ua, f"{name}Request")()
        request.RequestHeader.AuthenticationToken = token
        for field, value in full.get(name, {}).items():
            setattr(request.Parameters, field, value)
        made[name] = struct_to_binary(request)
    return made


def harmless(token: Any, path: str) -> dict[str, bytes]:
    """Return those that leave the session as it is, so that one connection takes many of them."""
    ends = {"CreateSession", "ActivateSession", "CloseSession", "CloseSecureChannel"}
    return {name: body for name, body in requests(token, path).items() if name not in ends}


def parted(request: bytes) -> tuple[bytes, bytes]:
    """Return type and header of a request, which end a connection where they are spoilt, and the rest."""
    body = Buffer(request)
    nodeid_from_binary(body)
    struct_from_binary(ua.RequestHeader, body)
    return request[: len(request) - len(body)], request[len(request) - len(body) :]


def public() -> dict[str, bytes]:
    """Return the requests that anybody may make."""
    made = requests(ua.NodeId(), "a")
    return {name: made[name] for name, needs in SERVICES.items() if needs is Needs.CHANNEL}


def modbus() -> list[bytes]:
    """Return a request of each Modbus function, the public ones that we refuse too."""
    reads = [struct.pack(">BHH", function, 0, 2) for function in (1, 2, 3, 4)]
    writes = [
        struct.pack(">BHH", 5, 0, 0xFF00),
        struct.pack(">BHH", 6, 0, 7),
        struct.pack(">BHHBB", 15, 0, 3, 1, 5),
        struct.pack(">BHHBHH", 16, 0, 2, 4, 1, 2),
        struct.pack(">BHHH", 22, 0, 0xFFFF, 1),
        struct.pack(">BHHHHBH", 23, 0, 2, 0, 1, 2, 9),
    ]
    rest = [
        b"\x07",
        b"\x08\0\0\x12\x34",
        b"\x0b",
        b"\x11",
        b"\x14\x07\x06\0\x01\0\0\0\x02",
        b"\x2b\x0e\x01\0",
    ]
    return reads + writes + rest


def http(host: str, path: str) -> list[bytes]:
    """Return requests of the API."""
    head = f"Host: {host}\r\n".encode()
    body = b'{"value": 1, "reason": ""}'
    return [
        b"GET /api/v1/info HTTP/1.1\r\n" + head + b"\r\n",
        f"GET /api/v1/tags/{path} HTTP/1.1\r\n".encode() + head + b"\r\n",
        f"PUT /api/v1/tags/{path} HTTP/1.1\r\n".encode()
        + head
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body,
        b"GET /api/v1/stream HTTP/1.1\r\n" + head + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ]
