"""Who may use which service: one rule a service. A service without a rule is not supported for anybody."""

from __future__ import annotations

from enum import Enum

from asyncua import ua


class Needs(Enum):
    """What a service asks of who calls it.

    Attributes:
        CHANNEL: nothing yet: it is there to find the server, or to log in and out.
        SESSION: somebody who is logged in, whatever the role: it looks at the plant.
        GATE: the same; each value or method is judged by the gate: role, area, range, interlock.
        NEVER: it would change the server itself: nodes come from the plant folder.
    """

    CHANNEL = "channel"
    SESSION = "session"
    GATE = "gate"
    NEVER = "never"


SERVICES = {
    "FindServers": Needs.CHANNEL,
    "GetEndpoints": Needs.CHANNEL,
    "CreateSession": Needs.CHANNEL,
    "ActivateSession": Needs.CHANNEL,
    "CloseSession": Needs.CHANNEL,
    "CloseSecureChannel": Needs.CHANNEL,
    "Cancel": Needs.SESSION,
    "Read": Needs.SESSION,
    "HistoryRead": Needs.SESSION,
    "Browse": Needs.SESSION,
    "BrowseNext": Needs.SESSION,
    "TranslateBrowsePathsToNodeIds": Needs.SESSION,
    "RegisterNodes": Needs.SESSION,
    "UnregisterNodes": Needs.SESSION,
    "CreateSubscription": Needs.SESSION,
    "ModifySubscription": Needs.SESSION,
    "DeleteSubscriptions": Needs.SESSION,
    "TransferSubscriptions": Needs.SESSION,
    "SetPublishingMode": Needs.SESSION,
    "Publish": Needs.SESSION,
    "Republish": Needs.SESSION,
    "CreateMonitoredItems": Needs.SESSION,
    "ModifyMonitoredItems": Needs.SESSION,
    "DeleteMonitoredItems": Needs.SESSION,
    "SetMonitoringMode": Needs.SESSION,
    "SetTriggering": Needs.SESSION,
    "Write": Needs.GATE,
    "Call": Needs.GATE,
    "RegisterServer": Needs.NEVER,
    "RegisterServer2": Needs.NEVER,
    "AddNodes": Needs.NEVER,
    "DeleteNodes": Needs.NEVER,
    "AddReferences": Needs.NEVER,
    "DeleteReferences": Needs.NEVER,
}
_BY_ID = {
    getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary"): needs for name, needs in SERVICES.items()
}


def needs_of(service: int) -> Needs:
    """Return the rule of a service by the id of its request's encoding."""
    return _BY_ID.get(service, Needs.NEVER)
