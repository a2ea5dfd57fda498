"""The methods of conditions, carried out by the plant's alarm service as the session's user."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from asyncua import ua

from drivers.opcua.conditions.facts import Facts
from drivers.opcua.conditions.nodes import place_of
from runtime.contract import LONGEST_SHELF_NS, Actor, Port
from runtime.errors import ForbiddenError, PlantError

_CODES = ua.StatusCodes
_IDS = ua.ObjectIds
_T = ua.VariantType
MS_NS = 1_000_000
_EVENT, _TEXT, _DURATION = "event", "text", "duration"
_TYPES = {
    _EVENT: (_T.ByteString,),
    _TEXT: (_T.LocalizedText, _T.String),
    _DURATION: (_T.Double, _T.Float),
}
NOT_SUPPORTED = "not supported"
_CONDITION_TYPE = ua.NodeId(_IDS.ConditionType)


@dataclass(frozen=True, slots=True)
class Method:
    """A method and the command that it stands for.

    Attributes:
        verb: of `Port.command_alarm`; `NOT_SUPPORTED` where the plant's alarms have no such thing.
        arguments: kinds of its input arguments.
        of: object below the condition that it belongs to.
        pointless: status where there is nothing to do, and how an alarm stands then.
        has: tells whether a condition has the method at all; None for each one.
    """

    verb: str
    arguments: tuple[str, ...] = ()
    of: str = ""
    pointless: tuple[int, Callable[[Facts], bool]] | None = None
    has: Callable[[Facts], bool] | None = None


_ACKED = (_CODES.BadConditionBranchAlreadyAcked, lambda facts: facts.acknowledged)
_CONFIRMED = (_CODES.BadConditionBranchAlreadyConfirmed, lambda facts: facts.confirmed)
_ONCE = (_CODES.BadConditionAlreadyShelved, lambda facts: facts.once)
_UNSHELVED = (_CODES.BadConditionNotShelved, lambda facts: not facts.shelved)
_UNLATCHED = (_CODES.BadInvalidState, lambda facts: not facts.latched)
_ENABLED = (_CODES.BadConditionAlreadyEnabled, lambda _: True)
_REMOVED = (_CODES.BadInvalidState, lambda facts: facts.out_of_service)
_PLACED = (_CODES.BadInvalidState, lambda facts: not facts.out_of_service)
_SHELVING = "ShelvingState"
_SHELVE_ONCE = "shelve-once"
_WHY = ("shelve", _SHELVE_ONCE, "out-of-service")  # the plant wants a reason; some methods have none
# Source: OPC 10000-9, 5.5.4 to 5.5.6, 5.7.3, 5.8.10 to 5.8.17
METHODS: dict[int, Method] = {
    _IDS.ConditionType_Enable: Method(NOT_SUPPORTED, pointless=_ENABLED),
    _IDS.ConditionType_Disable: Method(NOT_SUPPORTED),
    _IDS.ConditionType_AddComment: Method("comment", (_EVENT, _TEXT)),
    _IDS.AcknowledgeableConditionType_Acknowledge: Method("acknowledge", (_EVENT, _TEXT), pointless=_ACKED),
    _IDS.AcknowledgeableConditionType_Confirm: Method(
        "confirm", (_EVENT, _TEXT), pointless=_CONFIRMED, has=lambda facts: facts.confirm
    ),
    _IDS.AlarmConditionType_Reset: Method("reset", pointless=_UNLATCHED),
    _IDS.AlarmConditionType_Reset2: Method("reset", (_TEXT,), pointless=_UNLATCHED),
    _IDS.AlarmConditionType_RemoveFromService: Method("out-of-service", pointless=_REMOVED),
    _IDS.AlarmConditionType_RemoveFromService2: Method("out-of-service", (_TEXT,), pointless=_REMOVED),
    _IDS.AlarmConditionType_PlaceInService: Method("in-service", pointless=_PLACED),
    _IDS.AlarmConditionType_PlaceInService2: Method("in-service", (_TEXT,), pointless=_PLACED),
} | {
    getattr(_IDS, f"{type_}_{name}"): method
    for type_ in ("AlarmConditionType_ShelvingState", "ShelvedStateMachineType")
    for name, method in {
        "TimedShelve": Method("shelve", (_DURATION,), _SHELVING),
        "TimedShelve2": Method("shelve", (_DURATION, _TEXT), _SHELVING),
        "Unshelve": Method("unshelve", (), _SHELVING, _UNSHELVED),
        "Unshelve2": Method("unshelve", (_TEXT,), _SHELVING, _UNSHELVED),
        "OneShotShelve": Method(_SHELVE_ONCE, (), _SHELVING, _ONCE),
        "OneShotShelve2": Method(_SHELVE_ONCE, (_TEXT,), _SHELVING, _ONCE),
    }.items()
}


class Alarms(Protocol):
    """What the methods need to know of the alarms."""

    def facts(self, name: str) -> Facts | None:
        """Return an alarm as it stands now; None where there is none of the name."""
        ...

    def means_now(self, event_id: bytes, name: str) -> bool:
        """Tell whether an event is of an alarm, and of its present episode."""
        ...


async def call(request: Any, actor: Actor, port: Port, alarms: Alarms) -> Any:
    """Carry out a call of a condition's method.

    Source: OPC 10000-4, 5.12.2 Call; OPC 10000-9, 5.5 to 5.8 for the codes.
    """
    result = ua.CallMethodResult()
    name, path = place_of(request.ObjectId)
    facts = alarms.facts(name) if name else None
    method = method_of(request.MethodId)
    if request.ObjectId == _CONDITION_TYPE:
        code: int = _CODES.BadNodeIdInvalid
    elif facts is None:
        known = request.ObjectId.NamespaceIndex == 0
        code = _CODES.BadMethodInvalid if known else _CODES.BadNodeIdUnknown
    elif method is None or path not in ("", method.of) or not (method.has is None or method.has(facts)):
        code = _CODES.BadMethodInvalid
    else:
        code = _judge_arguments(method, request.InputArguments or [], result)
        if not code:
            code = await _carry_out(method, request, facts, actor, port, alarms)
    result.StatusCode = ua.StatusCode(code)
    return result


def method_of(node_id: Any) -> Method | None:
    return METHODS.get(node_id.Identifier) if node_id.NamespaceIndex == 0 else None


def _judge_arguments(method: Method, given: list[Any], result: Any) -> int:
    if len(given) != len(method.arguments):
        few = len(given) < len(method.arguments)
        return int(_CODES.BadArgumentsMissing if few else _CODES.BadTooManyArguments)
    fits = [
        not each.is_array and each.VariantType in _TYPES[kind]
        for kind, each in zip(method.arguments, given, strict=True)
    ]
    if not all(fits):
        result.InputArgumentResults = [
            ua.StatusCode(_CODES.Good if each else _CODES.BadTypeMismatch) for each in fits
        ]
        return int(_CODES.BadInvalidArgument)
    return 0


async def _carry_out(
    method: Method, request: Any, facts: Facts, actor: Actor, port: Port, alarms: Alarms
) -> int:
    given = {
        kind: each.Value for kind, each in zip(method.arguments, request.InputArguments or [], strict=True)
    }
    if _EVENT in given and not alarms.means_now(given[_EVENT] or b"", facts.name):
        return int(_CODES.BadEventIdUnknown)
    if method.pointless is not None and method.pointless[1](facts):
        return int(method.pointless[0])
    if method.verb == NOT_SUPPORTED:
        return int(_CODES.BadNotSupported)
    for_ns = LONGEST_SHELF_NS if method.verb == _SHELVE_ONCE else 0
    if _DURATION in given:
        wanted = given[_DURATION] * MS_NS
        if not math.isfinite(wanted) or not 0 < wanted <= LONGEST_SHELF_NS:
            return int(_CODES.BadShelvingTimeOutOfRange)
        for_ns = round(wanted)
    reason = _words(given[_TEXT]) if _TEXT in given else ""
    if not reason and method.verb in _WHY:
        reason = "OPC UA client"
    if not reason and method.verb == "comment":
        return int(_CODES.BadInvalidArgument)
    try:
        await port.command_alarm(method.verb, facts.name, actor, reason, for_ns)
    except ForbiddenError:
        return int(_CODES.BadUserAccessDenied)
    except PlantError:
        now = alarms.facts(facts.name)
        if method.pointless is not None and now is not None and method.pointless[1](now):
            return int(method.pointless[0])
        return int(_CODES.BadInvalidState)
    return int(_CODES.Good)


def _words(value: Any) -> str:
    return str((value.Text if isinstance(value, ua.LocalizedText) else value) or "").strip()
