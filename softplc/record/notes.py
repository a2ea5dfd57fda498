"""What people and the plant do to the program that is recorded: who wrote, forced, changed, restarted."""

from __future__ import annotations

import msgspec

from runtime.contract import Value

START, WRITE, FORCE, RELEASE, CHANGE, RESTART = "start", "write", "force", "release", "change", "restart"


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """One deed.

    Attributes:
        kind: start (of a core), write, force, release, change (of the program), restart.
        at_ns: the plant's time.
        run, block: the core's, and its block's; 0 where it is no matter of one core.
        number: of the write in its block, or of the force.
        target: tag, or variable.
        actor: who did it; a component's name where nobody did.
    """

    kind: str
    at_ns: int
    run: int = 0
    block: int = 0
    number: int = 0
    target: str = ""
    value: Value | None = None
    actor: str = ""
    text: str = ""


def packed(notes: list[Note]) -> bytes:
    return msgspec.json.encode(notes)


def unpacked(data: bytes) -> list[Note]:
    """Read what `packed` wrote.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    return msgspec.json.decode(data, type=list[Note])
