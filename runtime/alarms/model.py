"""What an alarm and its transitions are, as values to hand out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from runtime.alarms.states import NORMAL, Standing, State, Trigger
from runtime.config import AlarmConfig, Text
from runtime.contract import Value
from runtime.journal import AlarmRow


@dataclass(frozen=True, slots=True)
class Note:
    """Who hid an alarm, when, why, and until when (None: until told otherwise).

    Attributes:
        once: it ends with the alarm's episode, and at `until_ns` at the latest.
    """

    at_ns: int
    by: str
    reason: str
    until_ns: int | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as it stands.

    Attributes:
        tag: whole path of the tag it watches.
        raised_ns, cleared_ns, acknowledged_ns, confirmed_ns: times of the last such transitions; None before
            the first.
        value: the tag's value at the last time it was raised or cleared.
        count: how often it was raised.
        first_out: whether it was the first of its group in the group's latest episode.
        shelf, removal: who shelved it or took it out of service; None while it is not.
    """

    config: AlarmConfig
    tag: str
    standing: Standing = NORMAL
    raised_ns: int | None = None
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    confirmed_ns: int | None = None
    confirmed_by: str = ""
    comment: str = ""
    value: Value | None = None
    count: int = 0
    first_out: bool = False
    shelf: Note | None = None
    removal: Note | None = None

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def state(self) -> State:
        return self.standing.state

    def as_dict(self) -> dict[str, Any]:
        """Return the alarm as the API and events have it."""
        config, standing = self.config, self.standing
        return {
            "name": config.name,
            "tag": self.tag,
            "kind": config.kind,
            "limit": None if config.limit is None else float(config.limit),
            "priority": config.priority,
            "state": standing.state.value,
            "active": standing.active,
            "acknowledged": standing.acknowledged,
            "confirm": config.confirm,
            "confirmed": not standing.unconfirmed,
            "text": _words(config.text),
            "cause": _words(config.cause),
            "consequence": _words(config.consequence),
            "action": _words(config.action),
            "raised_ns": self.raised_ns,
            "cleared_ns": self.cleared_ns,
            "acknowledged_ns": self.acknowledged_ns,
            "acknowledged_by": self.acknowledged_by,
            "confirmed_ns": self.confirmed_ns,
            "confirmed_by": self.confirmed_by,
            "comment": self.comment,
            "value": self.value,
            "count": self.count,
            "area": config.area,
            "class": config.class_,
            "group": config.group,
            "first_out": self.first_out,
            "hidden": standing.hidden,
            "latched": standing.latched,
            "suppressed": standing.suppressed,
            "shelved": _note(self.shelf),
            "out_of_service": _note(self.removal),
            "setpoint": config.setpoint,
            "trigger": config.state if config.kind == "discrete" else None,
            "over_ns": config.over if config.kind == "rate_of_change" else None,
            "expression": config.expression,
            "deadband": float(config.deadband),
            "on_delay_ns": config.on_delay,
            "off_delay_ns": config.off_delay,
            "suppressed_when": config.suppressed_when,
            "latching": config.latching,
            "re_alarm_ns": config.re_alarm,
        }

    def as_row(self) -> AlarmRow:
        """Return what the journal keeps of it."""
        shelf, removal = self.shelf or _NOBODY, self.removal or _NOBODY
        return AlarmRow(
            self.name, self.state.value, self.raised_ns, self.cleared_ns, self.acknowledged_ns,
            self.acknowledged_by, self.comment, self.value, self.count,
            self.standing.latched, self.standing.suppressed, self.first_out,
            shelf.at_ns or None, shelf.until_ns, shelf.by, shelf.reason,
            removal.at_ns or None, removal.by, removal.reason,
            shelf.once, self.standing.unconfirmed, self.confirmed_ns, self.confirmed_by,
        )  # fmt: skip


_NOBODY = Note(0, "", "")


def standing_of(row: AlarmRow) -> Standing:
    """Return how an alarm stood when the journal kept it."""
    return Standing(
        State(row.state),
        row.latched,
        row.shelved_ns is not None,
        row.suppressed,
        row.removed_ns is not None,
        row.unconfirmed,
    )


def notes_of(row: AlarmRow) -> tuple[Note | None, Note | None]:
    """Return the shelf and the removal that the journal kept."""
    shelf = row.shelved_ns and Note(
        row.shelved_ns, row.shelved_by, row.shelved_reason, row.shelved_until_ns, row.shelved_once
    )
    removal = row.removed_ns and Note(row.removed_ns, row.removed_by, row.removed_reason)
    return shelf or None, removal or None


def _words(text: Text | None) -> dict[str, str] | None:
    return {"en": text.en, "zh": text.zh} if text else None


def _note(note: Note | None) -> dict[str, Any] | None:
    if note is None:
        return None
    return asdict(note)


@dataclass(frozen=True, slots=True)
class Transition:
    """One alarm moved: the alarm as it stands afterwards, when, and by whom (empty for the plant itself).

    Attributes:
        announced: whether this asks the operator for attention; what the figures of load count.
    """

    alarm: Alarm
    trigger: Trigger
    at_ns: int
    actor: str = ""
    comment: str = ""
    announced: bool = False
