"""The fields of events and of condition objects: name, type, and where the value comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary

from drivers.opcua.conditions.facts import CHINESE, ENGLISH, LIMITED, OFF_NORMAL, Facts
from drivers.opcua.model import EXTRAS
from drivers.opcua.values import moment
from runtime.contract import LONGEST_SHELF_NS

_IDS = ua.ObjectIds
_T = ua.VariantType


def _encode(variant: Any) -> bytes:
    data: bytes = variant_to_binary(variant)
    return data


NULL = _encode(ua.Variant())
_WORDS = {
    "Enabled": "启用",
    "Confirmed": "已复核",
    "Unconfirmed": "未复核",
    "Active": "激活",
    "Inactive": "未激活",
    "Acknowledged": "已确认",
    "Unacknowledged": "未确认",
    "Suppressed": "已抑制",
    "Unsuppressed": "未抑制",
    "Out of Service": "停用",
    "In Service": "在用",
    "Latched": "已锁存",
    "Unlatched": "未锁存",
    "Unshelved": "未搁置",
    "Timed Shelved": "定时搁置",
    "One Shot Shelved": "单次搁置",
    "High": "高",
    "Low": "低",
    "Process": "过程",
    "System": "系统",
}


@dataclass(slots=True, eq=False)
class Occurrence:
    """One event: what it is about, and when.

    Attributes:
        facts: the alarm as it stood then; None for an event of the server itself.
        source, source_name: the node that it is about.
        quality: status code of the tag's value then.
        last_severity, severity_ns: the severity before the present one, and when it changed.
        comment_ns: when the last comment was made.
        message: of an event of the server itself, by language.
    """

    event_id: bytes
    event_type: int
    at_ns: int
    received_ns: int
    source: ua.NodeId
    source_name: str
    facts: Facts | None = None
    condition: ua.NodeId | None = None
    quality: int = 0
    last_severity: int = 0
    severity_ns: int = 0
    comment_ns: int = 0
    message: tuple[str, str] = ("", "")
    _encoded: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def variant(self, path: str, language: str = ENGLISH) -> Any:
        """Return the value of a field as a Variant; a null one where the event has no such field."""
        known = FIELDS.get(path)
        if known is None or (self.facts is None and not known.of_all) or not known.fits(self.facts):
            return ua.Variant()
        value = known.value(self, language)
        return ua.Variant() if value is None else ua.Variant(value, known.kind)

    def encoded(self, path: str, language: str) -> bytes:
        """Return the value of a field as it lies on the wire; made once for all who ask."""
        key = (path, language)
        data = self._encoded.get(key)
        if data is None:
            data = self._encoded[key] = _encode(self.variant(path, language))
        return data

    def encoded_condition(self) -> bytes:
        """Return the condition's node id, which is selected as an attribute without a path.

        Source: OPC 10000-9, 5.5.2.
        """
        return NULL if self.condition is None else _encode(ua.Variant(self.condition, _T.NodeId))


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        kind: type of its value; `data_type` is that of its variable.
        value: makes the value of an occurrence, in a language.
        node_type: type definition of its variable in a condition object.
        of_all: events of the server itself have it, too.
        kinds: of which kinds of alarms it is; None for all.
        confirm: it is of alarms that need confirming.
        space: namespace of the browse name.
    """

    kind: Any
    value: Callable[[Any, str], Any]
    node_type: int = _IDS.PropertyType
    data_type: int = 0
    of_all: bool = False
    kinds: frozenset[str] | None = None
    confirm: bool = False
    space: int = 0

    def fits(self, facts: Facts | None) -> bool:
        if facts is None:
            return True
        return (self.kinds is None or facts.kind in self.kinds) and (facts.confirm or not self.confirm)


def _says(word: str, language: str) -> Any:
    return ua.LocalizedText(_WORDS[word] if language == CHINESE else word, language)


def _time(ns: int | None) -> datetime | None:
    return moment(ns) if ns else None


def _message(each: Occurrence, language: str) -> Any:
    if each.facts is None:
        english, chinese = each.message
        return ua.LocalizedText(chinese if language == CHINESE else english, language)
    return ua.LocalizedText(*each.facts.text(language))


def _two_states(
    name: str,
    true: str,
    false: str,
    holds: Callable[[Any], bool],
    since: Callable[[Any], int | None] | None,
    confirm: bool = False,
) -> dict[str, Field]:
    """Source: OPC 10000-9, 5.2 TwoStateVariableType."""
    made = {
        name: Field(
            _T.LocalizedText,
            lambda each, language: _says(true if holds(each.facts) else false, language),
            _IDS.TwoStateVariableType,
            confirm=confirm,
        ),
        f"{name}/Id": Field(_T.Boolean, lambda each, _: holds(each.facts), confirm=confirm),
    }
    if since is not None:
        made[f"{name}/TransitionTime"] = Field(
            _T.DateTime, lambda each, _: _time(since(each.facts)), data_type=_IDS.UtcTime, confirm=confirm
        )
    return made


def _active_since(facts: Facts) -> int | None:
    return facts.raised_ns if facts.active else facts.cleared_ns


_SHELVES = {
    "Unshelved": _IDS.ShelvedStateMachineType_Unshelved,
    "Timed Shelved": _IDS.ShelvedStateMachineType_TimedShelved,
    "One Shot Shelved": _IDS.ShelvedStateMachineType_OneShotShelved,
}


def _shelf(facts: Facts) -> str:
    """Return the state of the ShelvedStateMachine."""
    if not facts.shelved:
        return "Unshelved"
    return "One Shot Shelved" if facts.once else "Timed Shelved"


def _left_ms(each: Occurrence) -> float | None:
    """Return how long a shelf lasted when the event was made, in ms."""
    facts = each.facts
    if facts is None or not facts.shelved:
        return 0.0
    if facts.until_ns is None:
        return None
    return max(0.0, (facts.until_ns - each.at_ns) / 1e6)


def _limit_word(facts: Facts) -> str:
    return "Low" if facts.kind == "low" else "High"


def _limit_state(each: Occurrence) -> Any:
    facts = each.facts
    if facts is None or not facts.active:
        return None
    low = facts.kind == "low"
    return ua.NodeId(
        _IDS.ExclusiveLimitStateMachineType_Low if low else _IDS.ExclusiveLimitStateMachineType_High
    )


_SYSTEM = frozenset({"communication"})
_LOW, _HIGH = frozenset({"low"}), LIMITED - {"low"}
_DEVIATION = frozenset({"deviation"})

FIELDS: dict[str, Field] = {
    # Source: OPC 10000-5, 6.4.2 BaseEventType
    "EventId": Field(_T.ByteString, lambda each, _: each.event_id, of_all=True),
    "EventType": Field(_T.NodeId, lambda each, _: ua.NodeId(each.event_type), of_all=True),
    "SourceNode": Field(_T.NodeId, lambda each, _: each.source, of_all=True),
    "SourceName": Field(_T.String, lambda each, _: each.source_name, of_all=True),
    "Time": Field(_T.DateTime, lambda each, _: _time(each.at_ns), data_type=_IDS.UtcTime, of_all=True),
    "ReceiveTime": Field(
        _T.DateTime, lambda each, _: _time(each.received_ns), data_type=_IDS.UtcTime, of_all=True
    ),
    "Message": Field(_T.LocalizedText, _message, of_all=True),
    "Severity": Field(_T.UInt16, lambda each, _: each.facts.severity if each.facts else 100, of_all=True),
    # Source: OPC 10000-9, 5.5.2 ConditionType
    "ConditionClassId": Field(
        _T.NodeId,
        lambda each, _: ua.NodeId(
            _IDS.SystemConditionClassType if each.facts.kind in _SYSTEM else _IDS.ProcessConditionClassType
        ),
    ),
    "ConditionClassName": Field(
        _T.LocalizedText,
        lambda each, language: _says("System" if each.facts.kind in _SYSTEM else "Process", language),
    ),
    "ConditionName": Field(_T.String, lambda each, _: each.facts.name),
    "BranchId": Field(_T.NodeId, lambda *_: ua.NodeId()),
    "Retain": Field(_T.Boolean, lambda each, _: each.facts.retain),
    "EnabledState": Field(
        _T.LocalizedText, lambda _, language: _says("Enabled", language), _IDS.TwoStateVariableType
    ),
    "EnabledState/Id": Field(_T.Boolean, lambda *_: True),
    "Quality": Field(_T.StatusCode, lambda each, _: ua.StatusCode(each.quality), _IDS.ConditionVariableType),
    "Quality/SourceTimestamp": Field(_T.DateTime, lambda each, _: _time(each.at_ns), data_type=_IDS.UtcTime),
    "LastSeverity": Field(_T.UInt16, lambda each, _: each.last_severity, _IDS.ConditionVariableType),
    "LastSeverity/SourceTimestamp": Field(
        _T.DateTime, lambda each, _: _time(each.severity_ns), data_type=_IDS.UtcTime
    ),
    "Comment": Field(
        _T.LocalizedText, lambda each, _: ua.LocalizedText(each.facts.comment), _IDS.ConditionVariableType
    ),
    "Comment/SourceTimestamp": Field(
        _T.DateTime, lambda each, _: _time(each.comment_ns), data_type=_IDS.UtcTime
    ),
    "ClientUserId": Field(_T.String, lambda each, _: each.facts.by),
    # Source: OPC 10000-9, 5.7.2 AcknowledgeableConditionType
    **_two_states(
        "AckedState",
        "Acknowledged",
        "Unacknowledged",
        lambda facts: facts.acknowledged,
        lambda facts: facts.acknowledged_ns,
    ),
    **_two_states(
        "ConfirmedState",
        "Confirmed",
        "Unconfirmed",
        lambda facts: facts.confirmed,
        lambda facts: facts.confirmed_ns if facts.confirmed else facts.acknowledged_ns,
        confirm=True,
    ),
    # Source: OPC 10000-9, 5.8.2 AlarmConditionType
    **_two_states("ActiveState", "Active", "Inactive", lambda facts: facts.active, _active_since),
    "InputNode": Field(_T.NodeId, lambda each, _: each.source),
    **_two_states("SuppressedState", "Suppressed", "Unsuppressed", lambda facts: facts.suppressed, None),
    **_two_states(
        "OutOfServiceState", "Out of Service", "In Service", lambda facts: facts.out_of_service, None
    ),
    **_two_states("LatchedState", "Latched", "Unlatched", lambda facts: facts.latched, None),
    "ShelvingState/CurrentState": Field(
        _T.LocalizedText,
        lambda each, language: _says(_shelf(each.facts), language),
        _IDS.FiniteStateVariableType,
    ),
    "ShelvingState/CurrentState/Id": Field(
        _T.NodeId, lambda each, _: ua.NodeId(_SHELVES[_shelf(each.facts)])
    ),
    "ShelvingState/UnshelveTime": Field(_T.Double, lambda each, _: _left_ms(each), data_type=_IDS.Duration),
    "SuppressedOrShelved": Field(
        _T.Boolean,
        lambda each, _: each.facts.suppressed or each.facts.shelved or each.facts.out_of_service,
    ),
    "MaxTimeShelved": Field(_T.Double, lambda *_: LONGEST_SHELF_NS / 1e6, data_type=_IDS.Duration),
    "FirstInGroupFlag": Field(_T.Boolean, lambda each, _: each.facts.first_out, _IDS.BaseDataVariableType),
    # Source: OPC 10000-9, 5.8.18 LimitAlarmType, 5.8.19 ExclusiveLimitAlarmType
    "HighLimit": Field(_T.Double, lambda each, _: each.facts.limit, kinds=_HIGH),
    "LowLimit": Field(_T.Double, lambda each, _: each.facts.limit, kinds=_LOW),
    "LimitState/CurrentState": Field(
        _T.LocalizedText,
        lambda each, language: _says(_limit_word(each.facts), language) if each.facts.active else None,
        _IDS.FiniteStateVariableType,
        kinds=LIMITED,
    ),
    "LimitState/CurrentState/Id": Field(_T.NodeId, lambda each, _: _limit_state(each), kinds=LIMITED),
    "SetpointNode": Field(_T.NodeId, lambda *_: ua.NodeId(), kinds=_DEVIATION),
    "NormalState": Field(_T.NodeId, lambda *_: ua.NodeId(), kinds=OFF_NORMAL),
    # Ours, for clients that know no conditions.
    **{
        name: Field(kind, value, _IDS.BaseDataVariableType, space=EXTRAS)
        for name, kind, value in (
            ("State", _T.String, lambda each, _: each.facts.state),
            ("Active", _T.Boolean, lambda each, _: each.facts.active),
            ("Acknowledged", _T.Boolean, lambda each, _: each.facts.acknowledged),
            ("Priority", _T.String, lambda each, _: each.facts.priority),
            ("Tag", _T.String, lambda each, _: each.facts.tag),
            ("Text", _T.LocalizedText, _message),
        )
    },
}
OBJECTS = {"ShelvingState": _IDS.ShelvedStateMachineType, "LimitState": _IDS.ExclusiveLimitStateMachineType}
