"""What an alarm and its transitions are, as values to hand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.alarms.states import State, Trigger
from runtime.config import AlarmConfig, Text
from runtime.contract import Value
from runtime.journal import AlarmRow


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as it stands.

    Attributes:
        tag: whole path of the tag it watches.
        raised_ns, cleared_ns, acknowledged_ns: times of the last such transitions; None before the first.
        value: the tag's value at the last time it was raised or cleared.
        count: how often it was raised.
    """

    config: AlarmConfig
    tag: str
    state: State = State.NORMAL
    raised_ns: int | None = None
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    comment: str = ""
    value: Value | None = None
    count: int = 0

    @property
    def name(self) -> str:
        return self.config.name

    def as_dict(self) -> dict[str, Any]:
        """Return the alarm as the API and events have it."""
        config = self.config
        return {
            "name": config.name,
            "tag": self.tag,
            "kind": config.kind,
            "limit": config.limit,
            "priority": config.priority,
            "state": self.state.value,
            "active": self.state.active,
            "acknowledged": self.state.acknowledged,
            "text": _words(config.text),
            "cause": _words(config.cause),
            "consequence": _words(config.consequence),
            "action": _words(config.action),
            "raised_ns": self.raised_ns,
            "cleared_ns": self.cleared_ns,
            "acknowledged_ns": self.acknowledged_ns,
            "acknowledged_by": self.acknowledged_by,
            "comment": self.comment,
            "value": self.value,
            "count": self.count,
        }

    def as_row(self) -> AlarmRow:
        """Return what the journal keeps of it."""
        return AlarmRow(
            self.name, self.state.value, self.raised_ns, self.cleared_ns, self.acknowledged_ns,
            self.acknowledged_by, self.comment, self.value, self.count,
        )  # fmt: skip


def _words(text: Text | None) -> dict[str, str] | None:
    return {"en": text.en, "zh": text.zh} if text else None


@dataclass(frozen=True, slots=True)
class Transition:
    """One alarm moved: the alarm as it stands afterwards, when, and by whom (empty for the plant itself)."""

    alarm: Alarm
    trigger: Trigger
    at_ns: int
    actor: str = ""
    comment: str = ""
