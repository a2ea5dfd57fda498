"""What the plant tells of an alarm, as the values that a condition has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from asyncua import ua

_IDS = ua.ObjectIds
# Source: OPC 10000-9, 5.8 Alarm types
TYPES = {
    "high": _IDS.ExclusiveLevelAlarmType,
    "low": _IDS.ExclusiveLevelAlarmType,
    "deviation": _IDS.ExclusiveDeviationAlarmType,
    "rate_of_change": _IDS.ExclusiveRateOfChangeAlarmType,
    "discrete": _IDS.OffNormalAlarmType,
    "bad_quality": _IDS.InstrumentDiagnosticAlarmType,
    "communication": _IDS.SystemDiagnosticAlarmType,
    "expression": _IDS.DiscreteAlarmType,
}
LIMITED = frozenset({"high", "low", "deviation", "rate_of_change"})
OFF_NORMAL = frozenset({"discrete", "bad_quality", "communication"})
SEVERITY = {"low": 200, "medium": 500, "high": 700, "critical": 900}
ENGLISH, CHINESE = "en", "zh"


@dataclass(frozen=True, slots=True)
class Facts:
    """One alarm as it stands.

    Attributes:
        tag: whole path of the tag that it watches.
        texts: what it says, by language.
        raised_ns, cleared_ns, acknowledged_ns, confirmed_ns: None where it never was.
        confirm, confirmed: whether it needs confirming, and whether it waits for no confirmation now.
        shelved_ns, until_ns: when its shelf began and ends; None where there is none.
        once: its shelf ends with its episode, if not before.
        comment, by: the last comment, and whose it is.
    """

    name: str
    tag: str
    kind: str
    limit: float | None
    priority: str
    state: str
    active: bool
    acknowledged: bool
    confirm: bool
    confirmed: bool
    latched: bool
    suppressed: bool
    shelved: bool
    once: bool
    out_of_service: bool
    first_out: bool
    texts: tuple[tuple[str, str], ...]
    raised_ns: int | None
    cleared_ns: int | None
    acknowledged_ns: int | None
    confirmed_ns: int | None
    shelved_ns: int | None
    until_ns: int | None
    comment: str
    by: str

    @classmethod
    def of(cls, alarm: Mapping[str, Any], is_time: bool = False) -> Self:
        """Read an alarm as events and the port have it; a limit on a time is in ms, as its value is here."""
        shelf = alarm.get("shelved") or {}
        texts, limit = alarm.get("text") or {}, alarm.get("limit")
        return cls(
            name=alarm["name"],
            tag=alarm["tag"],
            kind=alarm.get("kind", "expression"),
            limit=limit / 1e6 if is_time and limit is not None else limit,
            priority=alarm["priority"],
            state=alarm["state"],
            active=bool(alarm["active"]),
            acknowledged=bool(alarm["acknowledged"]),
            confirm=bool(alarm.get("confirm")),
            confirmed=bool(alarm.get("confirmed", True)),
            latched=bool(alarm.get("latched")),
            suppressed=bool(alarm.get("suppressed")),
            shelved=bool(shelf),
            once=bool(shelf.get("once")),
            out_of_service=bool(alarm.get("out_of_service")),
            first_out=bool(alarm.get("first_out")),
            texts=tuple(
                (language, texts[language]) for language in (ENGLISH, CHINESE) if texts.get(language)
            ),
            raised_ns=alarm.get("raised_ns"),
            cleared_ns=alarm.get("cleared_ns"),
            acknowledged_ns=alarm.get("acknowledged_ns"),
            confirmed_ns=alarm.get("confirmed_ns"),
            shelved_ns=shelf.get("at_ns"),
            until_ns=shelf.get("until_ns"),
            comment=alarm.get("comment") or "",
            by=alarm.get("confirmed_by") or alarm.get("acknowledged_by") or "",
        )

    @property
    def event_type(self) -> int:
        """The condition's type, a node of namespace 0."""
        return int(TYPES.get(self.kind, _IDS.AlarmConditionType))

    @property
    def severity(self) -> int:
        return SEVERITY.get(self.priority, SEVERITY["medium"])

    @property
    def retain(self) -> bool:
        """Tell whether a client that comes now must know of it. Source: OPC 10000-9, 5.5.2 ConditionType."""
        asks = self.state != "normal" or not self.confirmed
        return asks or self.latched or self.shelved or self.out_of_service

    @property
    def since_ns(self) -> int:
        """When it last moved, as far as it is known; 0 where it never did."""
        acts = self.acknowledged_ns, self.confirmed_ns, self.shelved_ns
        times = (self.raised_ns, self.cleared_ns, *acts)
        return max(each or 0 for each in times)

    def text(self, language: str) -> tuple[str, str]:
        """Return what it says in a language, and in which that is."""
        texts = dict(self.texts)
        if language in texts:
            return texts[language], language
        return next(((text, there) for there, text in self.texts), (self.name, ENGLISH))

    def gone(self) -> Facts:
        """Return it as one that the plant does not have any more."""
        return replace(
            self,
            state="normal",
            active=False,
            acknowledged=True,
            confirmed=True,
            latched=False,
            suppressed=False,
            shelved=False,
            once=False,
            out_of_service=False,
        )


def language_of(locales: tuple[str, ...]) -> str:
    """Return the language that a client likes best of those that the plant speaks."""
    for each in locales:
        start = each.replace("_", "-").partition("-")[0].lower()
        if start in (ENGLISH, CHINESE):
            return start
    return ENGLISH
