"""The gate's verdict on a write, and the way of a write that passed it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from runtime.contract import Access, Actor, Batch, Clock, Quality, Tag, Tags, Value
from runtime.errors import PlantError, StoreError, WriteRejectedError
from runtime.gate.expression import Expression, Undecided, parse_expression
from runtime.journal.audit import AuditEntry
from runtime.journal.values import OperatorValue

COMMAND_TIMEOUT_S = 5.0
T = TypeVar("T")


class AuditTrail(Protocol):
    """Where attempts are recorded: the journal."""

    async def append_audit(self, entry: AuditEntry) -> int:
        """Record one attempt, with the operator value that it sets; returns when both are on disk.

        Raises:
            StoreError: it could not be recorded.
        """
        ...


class GateCommand:
    """A write that passed the gate, on its way to the component that owns the tag."""

    def __init__(self, tag: Tag, raw: int, text: str | None) -> None:
        self.tag = tag
        self.raw = raw
        self.text = text
        self.answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def done(self) -> None:
        if not self.answer.done():
            self.answer.set_result(None)

    def failed(self, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_result(reason)


def judge(
    tag: Tag, value: Value, actor: Actor, tags: Tags, interlock: Expression | None
) -> tuple[int, str | None]:
    """Return the raw pattern and text of a write that is allowed.

    Raises:
        WriteRejectedError: says why not, and what would be.
    """
    name = tag.path
    if tag.access is not Access.READ_WRITE:
        raise WriteRejectedError(
            f"{name} is read only", "set access to rw in the tag table if it should not be"
        )
    if actor.role < tag.role:
        have, need = actor.role.name.lower(), tag.role.name.lower()
        raise WriteRejectedError(f"{actor.name} is {have}; {name} needs {need}", "ask someone with that role")
    try:
        raw = tag.data_type.encode(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise WriteRejectedError(f"{name}: {exc}") from exc
    if tag.data_type.kind == "f" and value != value:
        raise WriteRejectedError(f"{name}: not a number")
    if not isinstance(value, str):
        unit = f" {tag.unit_text}" if tag.unit_text else ""
        if (tag.low is not None and value < tag.low) or (tag.high is not None and value > tag.high):
            low = "-∞" if tag.low is None else f"{tag.low:g}"
            high = "∞" if tag.high is None else f"{tag.high:g}"
            raise WriteRejectedError(f"{name}: {value:g} is out of range", f"from {low} to {high}{unit}")
    if interlock:
        try:
            holds = interlock.holds(tags)
        except Undecided as exc:
            raise WriteRejectedError(f"{name}: interlock cannot be judged: {exc}", interlock.text) from exc
        if not holds:
            raise WriteRejectedError(f"{name}: interlock does not hold", interlock.text)
    return raw, value if isinstance(value, str) else None


class Gate:
    """Judges, audits and delivers writes.

    `deliver` hands a command to the owner of a tag and tells whether it takes commands.
    """

    def __init__(
        self,
        tags: Tags,
        clock: Clock,
        trail: AuditTrail,
        publish: Callable[[Batch], None],
        deliver: Callable[[GateCommand], bool],
    ) -> None:
        self._tags = tags
        self._clock = clock
        self._trail = trail
        self._publish = publish
        self._deliver = deliver
        self._interlocks = {tag.id: parse_expression(tag.interlock) for tag in tags if tag.interlock}

    async def write(self, tag: Tag, value: Value, actor: Actor, reason: str = "") -> Value | None:
        """Write through the gate; returns the previous value once the owner has taken the new one.

        Raises:
            WriteRejectedError: says why.
        """
        old = self._tags.value(tag)
        attempt = self._attempt("write", tag.path, actor, reason, old, value)
        try:
            raw, text = judge(tag, value, actor, self._tags, self._interlocks.get(tag.id))
            await self._carry_out(tag, raw, text, attempt)
        except WriteRejectedError as exc:
            if not isinstance(exc.__cause__, StoreError):
                await self._record(replace(attempt, outcome="refused", detail=str(exc)))
            raise
        return old

    async def _carry_out(self, tag: Tag, raw: int, text: str | None, attempt: AuditEntry) -> None:
        if tag.source == "operator":
            now_ns = self._clock.now_ns()
            keep = OperatorValue(tag.path, tag.data_type.iec, raw, text, Quality.GOOD, now_ns)
            await self._record(replace(attempt, keep=keep))
            self._publish(Batch.of([tag.id], [raw], now_ns, text={} if text is None else {0: text}))
            return
        command = GateCommand(tag, raw, text)
        if not self._deliver(command):
            remedy = "see `ironworks components list`"
            raise WriteRejectedError(f"{tag.path}: {tag.source} does not take writes now", remedy)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                refused = await command.answer
        except TimeoutError as exc:
            late = f"{tag.path}: {tag.source} did not answer within {COMMAND_TIMEOUT_S:g} s"
            raise WriteRejectedError(late, "the value may still arrive: check it") from exc
        if refused is not None:
            raise WriteRejectedError(f"{tag.path}: {refused}")
        await self._record(attempt)

    async def audited(
        self, action: str, target: str, actor: Actor, reason: str, work: Callable[[], Awaitable[T]]
    ) -> T:
        """Run another kind of command (acknowledge, restart) with one audit row for the attempt."""
        attempt = self._attempt(action, target, actor, reason)
        try:
            result = await work()
        except PlantError as exc:
            await self._record(replace(attempt, outcome="refused", detail=str(exc)))
            raise
        await self._record(attempt)
        return result

    def _attempt(
        self,
        action: str,
        target: str,
        actor: Actor,
        reason: str,
        old: Value | None = None,
        new: Value | None = None,
    ) -> AuditEntry:
        role = actor.role.name.lower()
        at_ns = self._clock.now_ns()
        return AuditEntry(at_ns, actor.name, role, actor.via, action, target, old, new, reason)

    async def _record(self, entry: AuditEntry) -> None:
        try:
            await self._trail.append_audit(entry)
        except StoreError as exc:
            text = f"{entry.target}: the attempt cannot be audited: {exc.text}"
            raise WriteRejectedError(text, exc.remedy) from exc
