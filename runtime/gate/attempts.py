"""Attempts and their audit: one row each, on disk before the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from runtime.contract import Actor, Clock, Role, Value
from runtime.errors import ForbiddenError, PlantError, StoreError, WriteRejectedError
from runtime.journal.audit import AuditEntry

if TYPE_CHECKING:
    from runtime.journal.store import Record

T = TypeVar("T")


class AuditTrail(Protocol):
    """Where attempts are recorded: the journal."""

    async def append_audit(self, entry: AuditEntry) -> int:
        """Record one attempt, with what it changes; returns when all of it is on disk.

        Raises:
            StoreError: it could not be recorded.
        """
        ...

    async def append(self, record: Record) -> int:
        """Keep another record; returns when it is on disk.

        Raises:
            StoreError: it could not be kept.
        """
        ...


class Attempts:
    """Makes and records the audit rows of commands."""

    def __init__(self, trail: AuditTrail, clock: Clock) -> None:
        self._trail = trail
        self._clock = clock

    def entry(
        self,
        action: str,
        target: str,
        actor: Actor,
        reason: str = "",
        old: Value | None = None,
        new: Value | None = None,
    ) -> AuditEntry:
        """Return the row of an attempt that begins now."""
        role = actor.role.name.lower()
        at_ns = self._clock.now_ns()
        return AuditEntry(at_ns, actor.name, role, actor.via, action, target, old, new, reason)

    async def record(self, entry: AuditEntry) -> None:
        """Keep a row, and what goes with it.

        Raises:
            WriteRejectedError: it cannot be kept, so nothing may be done.
        """
        try:
            await self._trail.append_audit(entry)
        except StoreError as exc:
            text = f"{entry.target}: the attempt cannot be audited: {exc.text}"
            raise WriteRejectedError(text, exc.remedy) from exc

    async def keep(self, record: Record) -> None:
        """Keep something ahead of an attempt's end.

        Raises:
            WriteRejectedError: it cannot be kept, so nothing may be done.
        """
        try:
            await self._trail.append(record)
        except StoreError as exc:
            raise WriteRejectedError(f"this cannot be kept: {exc.text}", exc.remedy) from exc

    async def refused(self, entry: AuditEntry, error: PlantError) -> None:
        """Record that an attempt was refused, unless it was for want of a journal."""
        if not isinstance(error.__cause__, StoreError):
            await self.record(replace(entry, outcome="refused", detail=str(error), keep=None, also=()))

    async def around(self, entry: AuditEntry, work: Callable[[], Awaitable[T]]) -> T:
        """Do what is attempted, and record the row with what came of it.

        Raises:
            PlantError: what the work raised.
        """
        try:
            result = await work()
        except PlantError as exc:
            await self.record(replace(entry, outcome="refused", detail=str(exc)))
            raise
        await self.record(entry)
        return result

    async def command(self, entry: AuditEntry, refusal: PlantError | None, *records: Record) -> None:
        """Keep records with the row of the attempt in one commit; or record that it was refused.

        Raises:
            PlantError: the refusal.
        """
        if refusal is not None:
            await self.refused(entry, refusal)
            raise refusal
        await self.record(replace(entry, also=records))


def lacking(actor: Actor, need: Role, what: str) -> ForbiddenError | None:
    """Return the refusal of an actor whose role is too little."""
    if actor.role >= need:
        return None
    word = need.name.lower()
    return ForbiddenError(
        f"{actor.name} is {actor.role.name.lower()}; {what} needs {word}", "ask someone with that role"
    )
