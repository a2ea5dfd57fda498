"""How a server is, by its own word."""

from __future__ import annotations

from dataclasses import dataclass

from asyncua import ua

from drivers.opcua.client.session import Session, read_id
from drivers.opcua.client.values import moment_ns

FULL = 255  # Source: OPC 10000-4, 6.6.2.4.2 ServiceLevel
_ASKED = (
    ua.ObjectIds.Server_ServerStatus_State,
    ua.ObjectIds.Server_ServerStatus_CurrentTime,
    ua.ObjectIds.Server_ServiceLevel,
)
_STATES = {
    1: "failed",
    2: "without configuration",
    3: "suspended",
    4: "shutting down",
    5: "testing",
    6: "without communication to its own devices",
    7: "in an unknown state",
}  # fmt: skip  Source: OPC 10000-5, 12.6 ServerState


@dataclass(frozen=True, slots=True)
class Status:
    """What it told.

    Attributes:
        time_ns: its time, since 1970.
        trouble: what is not well with it.
        level: its ServiceLevel; at most 1 where it does not run, 255 where it tells none.
    """

    time_ns: int | None
    trouble: str
    level: int


async def server_status(session: Session) -> Status:
    """Ask the server for its state, time and ServiceLevel.

    Raises:
        ConnectError: it does not answer.
    """
    state, time, level = (
        each.Value.Value if each.Value is not None else None
        for each in await session.read([read_id(ua.NodeId(each)) for each in _ASKED])
    )
    told = level if isinstance(level, int) and not isinstance(level, bool) else FULL
    if state:
        trouble = f"the server says that it is {_STATES.get(int(state), 'not well')}"
        told = min(told, 1)
    else:
        trouble = "" if told > 1 else f"the server has nothing to give: its service level is {told}"
    return Status(moment_ns(time) or None if time is not None else None, trouble, told)
