"""What the server says that it can do: ServerCapabilities, OperationLimits, HistoryServerCapabilities.

Source: OPC 10000-5, 6.3.2, 6.3.11 and OPC 10000-11, 5.4; 0 is "no limit of its own".
"""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.server.address_space import NodeData

from drivers.opcua.aggregates import AGGREGATES
from drivers.opcua.browsing import MAX_BROWSE
from drivers.opcua.harden import (
    MAX_MESSAGE,
    QUEUE_LIMIT,
    SESSIONS_PER_SERVER,
    SUBSCRIPTIONS_PER_SESSION,
)
from drivers.opcua.history import LEAST, MAX_NODES, MOST_VALUES
from drivers.opcua.items import MAX_ITEMS
from drivers.opcua.model import held
from drivers.opcua.nodesets.records import reference_to
from drivers.opcua.points import MOST_POINTS
from drivers.opcua.session import MAX_CALL, MAX_READ, MAX_REGISTER, MAX_WRITE

_IDS = ua.ObjectIds
_T = ua.VariantType
_PROFILE = "http://opcfoundation.org/UA-Profile/Server/MicroEmbeddedDevice2017"
_CAPABILITIES: dict[str, tuple[Any, Any]] = {
    "ServerProfileArray": ([_PROFILE], _T.String),
    "LocaleIdArray": (["en", "zh"], _T.String),
    "MinSupportedSampleRate": (0.0, _T.Double),
    "MaxBrowseContinuationPoints": (MOST_POINTS, _T.UInt16),
    "MaxQueryContinuationPoints": (0, _T.UInt16),
    "MaxHistoryContinuationPoints": (MOST_POINTS, _T.UInt16),
    "SoftwareCertificates": ([], _T.ExtensionObject),
    "MaxArrayLength": (0, _T.UInt32),
    "MaxStringLength": (MAX_MESSAGE, _T.UInt32),
    "MaxByteStringLength": (MAX_MESSAGE, _T.UInt32),
    "MaxSessions": (SESSIONS_PER_SERVER, _T.UInt32),
    "MaxSubscriptions": (SESSIONS_PER_SERVER * SUBSCRIPTIONS_PER_SESSION, _T.UInt32),
    "MaxMonitoredItems": (MAX_ITEMS, _T.UInt32),
    "MaxSubscriptionsPerSession": (SUBSCRIPTIONS_PER_SESSION, _T.UInt32),
    "MaxMonitoredItemsPerSubscription": (MAX_ITEMS, _T.UInt32),
    "MaxMonitoredItemsQueueSize": (QUEUE_LIMIT, _T.UInt32),
    "MaxSelectClauseParameters": (0, _T.UInt32),
    "MaxWhereClauseParameters": (0, _T.UInt32),
    "ConformanceUnits": ([], _T.QualifiedName),
}
_LIMITS = {
    "MaxNodesPerRead": MAX_READ,
    "MaxNodesPerWrite": MAX_WRITE,
    "MaxNodesPerBrowse": MAX_BROWSE,
    "MaxNodesPerTranslateBrowsePathsToNodeIds": MAX_BROWSE,
    "MaxNodesPerRegisterNodes": MAX_REGISTER,
    "MaxNodesPerMethodCall": MAX_CALL,
    "MaxNodesPerHistoryReadData": MAX_NODES,
    "MaxNodesPerHistoryReadEvents": 0,
    "MaxNodesPerHistoryUpdateData": 0,
    "MaxNodesPerHistoryUpdateEvents": 0,
    "MaxNodesPerNodeManagement": 0,
}
_NO_HISTORY = (
    "AccessHistoryEventsCapability", "InsertDataCapability", "ReplaceDataCapability", "UpdateDataCapability",
    "DeleteRawCapability", "DeleteAtTimeCapability", "InsertEventCapability", "ReplaceEventCapability",
    "UpdateEventCapability", "DeleteEventCapability", "InsertAnnotationCapability",
    "ServerTimestampSupported",
)  # fmt: skip
_HISTORY: dict[str, tuple[Any, Any]] = {
    "AccessHistoryDataCapability": (True, _T.Boolean),
    "MaxReturnDataValues": (MOST_VALUES, _T.UInt32),
    "MaxReturnEventValues": (0, _T.UInt32),
    **dict.fromkeys(_NO_HISTORY, (False, _T.Boolean)),
}
_AGGREGATES: dict[str, tuple[Any, Any]] = {  # Source: OPC 10000-13, 4.2.1 AggregateConfigurationType
    "TreatUncertainAsBad": (False, _T.Boolean),
    "PercentDataBad": (LEAST[1], _T.Byte),
    "PercentDataGood": (LEAST[0], _T.Byte),
    "UseSlopedExtrapolation": (False, _T.Boolean),
}
_STATUS: dict[str, tuple[Any, Any]] = {
    "Server_Auditing": (False, _T.Boolean),  # no audit events; the audit trail is the plant's
    "Server_ServerDiagnostics_EnabledFlag": (False, _T.Boolean),
    "Server_ServerRedundancy_RedundancySupport": (0, _T.Int32),  # none
    "Server_ServerStatus_SecondsTillShutdown": (0, _T.UInt32),
    "Server_ServerStatus_ShutdownReason": (ua.LocalizedText(""), _T.LocalizedText),
}


def tell_capabilities(nodes: MutableMapping[Any, NodeData]) -> None:
    """Write into the standard's nodes what this server can do."""
    told = {f"Server_ServerCapabilities_{name}": value for name, value in _CAPABILITIES.items()}
    told |= {
        f"Server_ServerCapabilities_OperationLimits_{name}": (value, _T.UInt32)
        for name, value in _LIMITS.items()
    }
    told |= {f"HistoryServerCapabilities_{name}": value for name, value in _HISTORY.items()}
    told |= {
        f"DefaultHAConfiguration_AggregateConfiguration_{name}": value for name, value in _AGGREGATES.items()
    }
    for name, (value, kind) in (told | _STATUS).items():
        node = nodes.get(ua.NodeId(getattr(_IDS, name)))
        if node is not None:
            node.attributes[ua.AttributeIds.Value] = held(value, kind)
    organizes = ua.NodeId(_IDS.Organizes)
    for folder in (
        _IDS.Server_ServerCapabilities_AggregateFunctions,
        _IDS.HistoryServerCapabilities_AggregateFunctions,
    ):
        references = nodes[ua.NodeId(folder)].references
        there = {each.NodeId for each in references}
        for number in AGGREGATES:
            if ua.NodeId(number) not in there:
                references.append(reference_to(nodes[ua.NodeId(number)], organizes, forward=True))


def built() -> datetime:
    """Return when the program was put where it is."""
    return datetime.fromtimestamp(int(Path(__file__).stat().st_mtime), UTC)
