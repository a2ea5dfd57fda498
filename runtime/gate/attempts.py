"""Attempts and their audit: one row each, on disk before the answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runtime.contract import Actor, Clock, Role, Tag, Value
from runtime.errors import ForbiddenError, PlantError, StoreError, WriteRejectedError
from runtime.gate.refusals import Refusals
from runtime.journal.audit import AuditEntry
from runtime.journal.gatelog import Hold, Sent, SentEnd

if TYPE_CHECKING:
    from runtime.journal.store import Record

T = TypeVar("T")
_TOLD = 1000  # characters of each cell of a refusal


class UnsettledError(WriteRejectedError):
    """It is done; the row of the audit that says so is not on disk yet."""


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
        self._unsettled: deque[AuditEntry] = deque()  # each has its note on disk
        self._refusals = Refusals()

    def entry(
        self,
        action: str,
        target: Tag | str,
        actor: Actor,
        reason: str = "",
        old: Value | None = None,
        new: Value | None = None,
    ) -> AuditEntry:
        """Return the row of an attempt that begins now; a value of a tag is kept with its type and unit."""
        role = actor.role.name.lower()
        at_ns = self._clock.now_ns()
        if isinstance(target, str):
            return AuditEntry(at_ns, actor.name, role, actor.via, action, target, old, new, reason)
        entry = self.entry(action, target.path, actor, reason, old, new)
        return replace(entry, type=target.data_type.iec, unit_text=target.unit_text)

    async def record(self, entry: AuditEntry) -> None:
        """Keep a row, and what goes with it.

        Raises:
            WriteRejectedError: it cannot be kept, so nothing may be done.
        """
        try:
            await self._trail.append_audit(entry)
        except StoreError as exc:
            raise _unaudited(entry, exc) from exc

    async def keep(self, record: Record) -> None:
        """Keep something that is no attempt.

        Raises:
            WriteRejectedError: it cannot be kept, so nothing may be done.
        """
        try:
            await self._trail.append(record)
        except StoreError as exc:
            raise WriteRejectedError(f"this cannot be kept: {exc.text}", exc.remedy) from exc

    async def begin(self, entry: AuditEntry, *holds: Hold) -> int:
        """Note an attempt, and what holds from its start on, before someone else carries it out.

        Raises:
            WriteRejectedError: it cannot be noted, so nothing may be done.
        """
        try:
            return await self._trail.append(Sent(entry, holds))
        except StoreError as exc:
            raise _unaudited(entry, exc) from exc

    async def end(self, number: int, entry: AuditEntry | None) -> None:
        """Make the row of an attempt that was noted; None where it needs none.

        Raises:
            WriteRejectedError: the journal does not take it now; `settle` will.
        """
        if entry is None:
            with suppress(StoreError):  # the note stays, and is a row after the next start
                await self._trail.append(SentEnd(number))
            return
        entry = replace(entry, also=(*entry.also, SentEnd(number)))
        try:
            await self.record(entry)
        except WriteRejectedError:
            self._unsettled.append(entry)
            raise

    def restore(self, rows: Iterable[AuditEntry]) -> None:
        """Take up the attempts that were noted and not ended before a restart."""
        self._unsettled.extend(rows)

    async def settle(self) -> None:
        """Make the rows that the journal did not take before, and those of refusals that are counted.

        Raises:
            WriteRejectedError: it still does not.
        """
        for row in self._refusals.due(self._clock.steady_ns()):
            await self.record(row)
        while self._unsettled:
            entry = self._unsettled.popleft()
            try:
                await self.record(entry)
            except WriteRejectedError:
                self._unsettled.appendleft(entry)
                raise

    async def refused(self, entry: AuditEntry, error: PlantError) -> None:
        """Record that an attempt was refused, unless it was for want of a journal."""
        if not isinstance(error.__cause__, StoreError):
            await self.record_refusal(replace(entry, keep=None, also=()), str(error))

    async def record_refusal(self, entry: AuditEntry, why: str) -> None:
        """Record that an attempt was refused; of one who tries again and again some are only counted.

        Raises:
            WriteRejectedError: it cannot be kept.
        """
        row = self._paced(entry, why)
        if row is not None:
            await self.record(row)

    def _paced(self, entry: AuditEntry, why: str) -> AuditEntry | None:
        return self._refusals.paced(refusal_of(entry, why), self._clock.steady_ns())

    async def around(self, entry: AuditEntry, work: Callable[[AuditEntry], Awaitable[T]]) -> T:
        """Do work that keeps the row in the commit of what it changes; record a refusal.

        Raises:
            PlantError: what the work raised.
        """
        try:
            return await work(entry)
        except PlantError as exc:
            await self.refused(entry, exc)
            raise

    async def noted(
        self,
        entry: AuditEntry,
        work: Callable[[], Awaitable[T]],
        new: Callable[[T], Value] | None = None,
    ) -> T:
        """Do work that changes nothing in the journal; noted before, so that a kill leaves a row too.

        `new` tells of what came of it what the row has as the new value.

        Raises:
            PlantError: it is refused, or cannot be audited.
        """
        number = await self.begin(entry)
        try:
            result = await work()
        except PlantError as exc:
            await self.end(number, self._paced(entry, str(exc)))
            raise
        try:
            await self.end(number, replace(entry, new=new(result)) if new else entry)
        except WriteRejectedError as exc:
            late = f"{entry.target}: it is done, but the audit cannot be written now"
            raise UnsettledError(late, f"{exc.remedy}; its row follows by itself") from exc
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


def refusal_of(entry: AuditEntry, why: str) -> AuditEntry:
    """Return the row of an attempt that was refused, long texts cut: who may do nothing fills no disk."""
    cells: dict[str, Any] = {name: _cut(getattr(entry, name)) for name in ("target", "old", "new", "reason")}
    return replace(entry, **cells, outcome="refused", detail=_cut(why))


def _cut(cell: T) -> T | str:
    if not isinstance(cell, str) or len(cell) <= _TOLD:
        return cell
    return f"{cell[:_TOLD]}... ({len(cell)} characters)"


def _unaudited(entry: AuditEntry, exc: StoreError) -> WriteRejectedError:
    return WriteRejectedError(f"{entry.target}: the attempt cannot be audited: {exc.text}", exc.remedy)


def lacking(actor: Actor, need: Role, what: str) -> ForbiddenError | None:
    """Return the refusal of an actor whose role is too little."""
    if actor.role >= need:
        return None
    word = need.name.lower()
    return ForbiddenError(
        f"{actor.name} is {actor.role.name.lower()}; {what} needs {word}", "ask someone with that role"
    )
