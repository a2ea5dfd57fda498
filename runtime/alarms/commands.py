"""What people may do to an alarm, and who may."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.alarms.states import Trigger
from runtime.config import format_duration
from runtime.contract import LONGEST_SHELF_NS, Actor, Role
from runtime.errors import ForbiddenError, UnfitValueError


@dataclass(frozen=True, slots=True)
class Command:
    """One kind of command.

    Attributes:
        verb: name in the API, the audit trail and refusals.
        needs_reason: whether it is refused without one.
        pointless: why it was refused where it changes nothing, and what to know then.
    """

    verb: str
    trigger: Trigger
    role: Role
    needs_reason: bool
    pointless: tuple[str, str]


SHELVE_ONCE = "shelve-once"  # until the episode ends, and for as long as was said at the most
COMMANDS = {
    each.verb: each
    for each in (
        Command(
            "acknowledge",
            Trigger.ACKNOWLEDGE,
            Role.OPERATOR,
            False,
            ("has nothing to acknowledge", "only unacknowledged and returned alarms wait for it"),
        ),
        Command(
            "confirm",
            Trigger.CONFIRM,
            Role.OPERATOR,
            False,
            (
                "has nothing to confirm",
                "an alarm with `confirm: true` waits for it once acknowledged",
            ),
        ),
        Command(
            "reset",
            Trigger.RESET,
            Role.OPERATOR,
            False,
            ("is not latched", "a latching alarm can be reset once its condition is gone"),
        ),
        Command("comment", Trigger.COMMENT, Role.OPERATOR, True, ("cannot be commented", "")),
        Command("shelve", Trigger.SHELVE, Role.OPERATOR, True, ("cannot be shelved", "")),
        Command(
            SHELVE_ONCE,
            Trigger.SHELVE,
            Role.OPERATOR,
            True,
            ("is shelved already until its episode ends", "`ironworks alarms unshelve` ends that"),
        ),
        Command(
            "unshelve",
            Trigger.UNSHELVE,
            Role.OPERATOR,
            False,
            ("is not shelved", "`ironworks alarms list --hidden` lists those that are"),
        ),
        Command(
            "out-of-service",
            Trigger.REMOVE,
            Role.ENGINEER,
            True,
            ("is out of service already", "`ironworks alarms in-service` returns it"),
        ),
        Command(
            "in-service",
            Trigger.RETURN,
            Role.ENGINEER,
            False,
            ("is in service already", "`ironworks alarms list --hidden` lists those that are not"),
        ),
    )
}


def allow(command: Command, actor: Actor) -> None:
    """Refuse a command that the role forbids.

    Raises:
        ForbiddenError: says why.
    """
    if actor.role < command.role:
        have, need = actor.role.name.lower(), command.role.name.lower()
        raise ForbiddenError(
            f"{actor.name} is {have} and may not {command.verb} alarms: that needs {need}",
            f"ask an {need}, or log in as one",
        )


def check(command: Command, name: str, reason: str, for_ns: int) -> None:
    """Refuse a command without the reason that it needs, or with a wrong duration.

    Raises:
        UnfitValueError: says why.
    """
    if command.needs_reason and not reason.strip():
        raise UnfitValueError(
            f"alarm {name!r}: {command.verb} needs a reason", "say why; it is kept in the journal"
        )
    if command.trigger is Trigger.SHELVE and not 0 < for_ns <= LONGEST_SHELF_NS:
        raise UnfitValueError(
            f"alarm {name!r} cannot be shelved for {format_duration(for_ns)}",
            f"give a duration up to {format_duration(LONGEST_SHELF_NS)}; beyond, it goes out of service",
        )
