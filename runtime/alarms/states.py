"""The states of an alarm and what moves it between them.

    normal --raise--> unacknowledged --acknowledge--> acknowledged --clear--> normal
                        |        ^
                      clear    raise
                        v        |
                        returned ----acknowledge--> normal

Beside these four stand flags:

- latched: a latching alarm whose condition is gone keeps its state until it is reset.
- unconfirmed: an alarm that needs confirming was acknowledged and waits to be confirmed, also when it is
  normal again. Being raised anew ends that: it is to be acknowledged first.
- shelved, suppressed by design, out of service: the alarm is hidden. Its condition is followed all the same;
  when the last of the three ends it is new to the operator (unacknowledged) if it is still in alarm, and
  normal otherwise.

Source: ANSI/ISA-18.2-2016, 5.6, alarm state transition diagram; IEC 62682:2022, the same. Confirming, which
they do not know: OPC 10000-9, 4.3 Acknowledgeable Conditions.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class State(Enum):
    """Where an alarm stands; the value is what the API and the journal say."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"


class Trigger(Enum):
    """What happens to an alarm; the value names the transition it makes."""

    RAISE = "raised"
    CLEAR = "cleared"
    ACKNOWLEDGE = "acknowledged"
    CONFIRM = "confirmed"
    RESET = "reset"
    RE_ALARM = "re_alarmed"
    SHELVE = "shelved"
    UNSHELVE = "unshelved"
    SUPPRESS = "suppressed"
    UNSUPPRESS = "unsuppressed"
    REMOVE = "out_of_service"
    RETURN = "in_service"
    COMMENT = "commented"


class Standing(NamedTuple):
    """A state and the flags beside it."""

    state: State = State.NORMAL
    latched: bool = False
    shelved: bool = False
    suppressed: bool = False
    out_of_service: bool = False
    unconfirmed: bool = False

    @property
    def in_alarm(self) -> bool:
        """Tell whether the condition holds, or is latched."""
        return self.state in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED)

    @property
    def active(self) -> bool:
        """Tell whether the condition holds."""
        return self.in_alarm and not self.latched

    @property
    def acknowledged(self) -> bool:
        """Tell whether nobody is asked to acknowledge."""
        return self.state in (State.NORMAL, State.ACKNOWLEDGED)

    @property
    def hidden(self) -> bool:
        """Tell whether the operator is not to be bothered."""
        return self.shelved or self.suppressed or self.out_of_service


NORMAL = Standing()
_STATES = {
    (State.NORMAL, Trigger.RAISE): State.UNACKNOWLEDGED,
    (State.RETURNED, Trigger.RAISE): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Trigger.CLEAR): State.RETURNED,
    (State.ACKNOWLEDGED, Trigger.CLEAR): State.NORMAL,
    (State.UNACKNOWLEDGED, Trigger.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.RETURNED, Trigger.ACKNOWLEDGE): State.NORMAL,
    (State.ACKNOWLEDGED, Trigger.RE_ALARM): State.UNACKNOWLEDGED,
}
_RESET = {State.UNACKNOWLEDGED: State.RETURNED, State.ACKNOWLEDGED: State.NORMAL}
_FLAGS = {
    Trigger.SHELVE: ("shelved", True),
    Trigger.UNSHELVE: ("shelved", False),
    Trigger.SUPPRESS: ("suppressed", True),
    Trigger.UNSUPPRESS: ("suppressed", False),
    Trigger.REMOVE: ("out_of_service", True),
    Trigger.RETURN: ("out_of_service", False),
}


def after(
    standing: Standing, trigger: Trigger, latching: bool = False, confirm: bool = False
) -> Standing | None:
    """Return how an alarm stands next, or None where the trigger changes nothing.

    A shelf can be renewed: shelving a shelved alarm is a change. A comment is one that moves nothing.
    `confirm`: the alarm needs confirming once it is acknowledged.
    """
    if trigger is Trigger.CONFIRM:
        return standing._replace(unconfirmed=False) if standing.unconfirmed else None
    moves = _hide_or_show if trigger in _FLAGS else _move
    new = moves(standing, trigger, latching)
    if new is None:
        return None
    waits = confirm if trigger is Trigger.ACKNOWLEDGE else new.unconfirmed and new.acknowledged
    return new._replace(unconfirmed=waits)


def _move(standing: Standing, trigger: Trigger, latching: bool) -> Standing | None:
    state, latched = standing.state, standing.latched
    match trigger:
        case Trigger.RAISE if latched:
            return standing._replace(state=State.UNACKNOWLEDGED, latched=False)
        case Trigger.CLEAR if latched:
            return None
        case Trigger.CLEAR if latching and standing.active:
            return standing._replace(latched=True)
        case Trigger.RESET:
            return standing._replace(state=_RESET[state], latched=False) if latched else None
        case Trigger.RE_ALARM if latched or standing.hidden:
            return None
        case Trigger.COMMENT:
            return standing
    new = _STATES.get((state, trigger))
    return None if new is None else standing._replace(state=new)


def _hide_or_show(standing: Standing, trigger: Trigger, _: bool) -> Standing | None:
    flag, value = _FLAGS[trigger]
    if getattr(standing, flag) == value and trigger is not Trigger.SHELVE:
        return None
    new = Standing(**(standing._asdict() | {flag: value}))
    if standing.hidden and not new.hidden:
        new = new._replace(state=State.UNACKNOWLEDGED if new.in_alarm else State.NORMAL)
    return new
