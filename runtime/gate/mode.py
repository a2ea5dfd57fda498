"""The plant's mode: auto, maintenance, and the emergency switch that makes it read only."""

from __future__ import annotations

from dataclasses import replace

from runtime.contract import Actor, Clock, Role
from runtime.errors import ForbiddenError, UnfitValueError, WriteRejectedError
from runtime.gate.attempts import Attempts, lacking
from runtime.journal.gatelog import ModeRecord

MODES = ("auto", "maintenance", "read_only")


class ModeSwitch:
    """Who may write at all now. A change is on disk, with its audit row, before it holds."""

    def __init__(self, attempts: Attempts, clock: Clock) -> None:
        self._attempts = attempts
        self._clock = clock
        self.record = ModeRecord()

    @property
    def name(self) -> str:
        """Return `auto`, `maintenance` or `read_only`."""
        return "read_only" if self.record.read_only else self.record.mode

    def check(self, what: str, actor: Actor) -> None:
        """Refuse a write, of a tag's path or another, that the mode does not allow.

        Raises:
            WriteRejectedError: says who set the mode, and why.
        """
        now = self.record
        if now.read_only:
            text = f"{what}: the plant is read only, set by {now.actor}: {now.reason}"
            raise WriteRejectedError(text, "an engineer ends it: ironworks gate read-only --off --reason ...")
        if now.mode == "maintenance" and (actor.role < Role.ENGINEER or actor.via == "app"):
            text = f"{what}: the plant is in maintenance, set by {now.actor}: {now.reason}"
            raise ForbiddenError(text, "engineers write until one sets `ironworks gate mode auto`")

    async def set_mode(self, mode: str, actor: Actor, reason: str) -> None:
        """Change between `auto` and `maintenance` (engineer).

        Raises:
            WriteRejectedError: says why not.
        """
        await self._change("mode", mode, self.record.read_only, actor, reason)

    async def set_read_only(self, on: bool, actor: Actor, reason: str) -> None:
        """Throw the emergency switch (engineer); what stood before holds again when it is off.

        Raises:
            WriteRejectedError: says why not.
        """
        await self._change("read-only", self.record.mode, on, actor, reason)

    async def _change(self, action: str, mode: str, read_only: bool, actor: Actor, reason: str) -> None:
        now, new = self.record, ModeRecord(mode, read_only, actor.name, reason, self._clock.now_ns())
        before, after = self.name, "read_only" if read_only else mode
        if now.read_only and action == "mode":  # refusals go on to say who threw the switch
            new, before, after = replace(now, mode=mode), now.mode, mode
        entry = self._attempts.entry(action, "gate", actor, reason, before, after)
        refusal: WriteRejectedError | None = lacking(actor, Role.ENGINEER, "the mode of the plant")
        if refusal is None and not reason.strip():
            refusal = UnfitValueError("a change of mode needs a reason", "say why; it is kept in the audit")
        await self._attempts.command(entry, refusal, new)
        self.record = new
