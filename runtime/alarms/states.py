"""The states of an alarm and what moves it between them.

    normal --raise--> unacknowledged --acknowledge--> acknowledged --clear--> normal
                        |        ^
                      clear    raise
                        v        |
                        returned ----acknowledge--> normal

Latched, shelved, suppressed by design and out of service are flags beside these four: an alarm keeps
its place here while it is hidden.

Source: ANSI/ISA-18.2-2016, 5.6, alarm state transition diagram (NORM, UNACK, ACKED, RTNUN).
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where an alarm stands; the value is what the API and the journal say."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"

    @property
    def active(self) -> bool:
        """Tell whether the condition holds."""
        return self in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED)

    @property
    def acknowledged(self) -> bool:
        """Tell whether nobody is asked to acknowledge."""
        return self in (State.NORMAL, State.ACKNOWLEDGED)


class Trigger(Enum):
    """What happens to an alarm; the value names the transition it makes."""

    RAISE = "raised"
    CLEAR = "cleared"
    ACKNOWLEDGE = "acknowledged"


_TABLE = {
    (State.NORMAL, Trigger.RAISE): State.UNACKNOWLEDGED,
    (State.RETURNED, Trigger.RAISE): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Trigger.CLEAR): State.RETURNED,
    (State.ACKNOWLEDGED, Trigger.CLEAR): State.NORMAL,
    (State.UNACKNOWLEDGED, Trigger.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.RETURNED, Trigger.ACKNOWLEDGE): State.NORMAL,
}


def after(state: State, trigger: Trigger) -> State | None:
    """Return the next state, or None where the trigger changes nothing."""
    return _TABLE.get((state, trigger))
