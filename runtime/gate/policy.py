"""The gate's verdict on a write, and the way of a write that passed it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from runtime.contract import Access, Actor, Batch, Clock, Tag, Tags, Value
from runtime.errors import PlantError, StoreError, WriteRejectedError
from runtime.gate.expression import Expression, Undecided, parse_expression

COMMAND_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One audit row: who tried to do what, why, and what came of it."""

    at_ns: int
    actor: Actor
    action: str
    target: str
    old: str
    new: str
    reason: str
    outcome: str
    detail: str


class AuditTrail(Protocol):
    """Where attempts are recorded: the journal."""

    async def attempt(self, attempt: Attempt, value: Batch | None = None) -> None:
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
    if tag.data_type.kind == "f" and value != value:  # noqa: PLR0124 - NaN
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
        try:
            raw, text = judge(tag, value, actor, self._tags, self._interlocks.get(tag.id))
            await self._carry_out(tag, raw, text, old, value, actor, reason)
        except WriteRejectedError as exc:
            await self._record(tag.path, "write", old, value, actor, reason, exc)
            raise
        return old

    async def _carry_out(
        self, tag: Tag, raw: int, text: str | None, old: Value | None, value: Value, actor: Actor, reason: str
    ) -> None:
        if tag.source == "operator":
            texts = {0: text} if text is not None else {}
            batch = Batch.of([tag.id], [raw], self._clock.now_ns(), text=texts)
            await self._record(tag.path, "write", old, value, actor, reason, None, batch)
            self._publish(batch)
            return
        command = GateCommand(tag, raw, text)
        if not self._deliver(command):
            raise WriteRejectedError(
                f"{tag.path}: {tag.source} does not take writes now", "see `ironworks components list`"
            )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                refused = await command.answer
        except TimeoutError as exc:
            text_ = f"{tag.path}: {tag.source} did not answer within {COMMAND_TIMEOUT_S:g} s"
            raise WriteRejectedError(text_, "the value may still arrive: check it") from exc
        if refused is not None:
            raise WriteRejectedError(f"{tag.path}: {refused}")
        await self._record(tag.path, "write", old, value, actor, reason, None)

    async def audited(
        self, action: str, target: str, actor: Actor, reason: str, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Run another kind of command (acknowledge, restart) with one audit row for the attempt."""
        try:
            await work()
        except PlantError as exc:
            await self._record(target, action, None, "", actor, reason, exc)
            raise
        await self._record(target, action, None, "", actor, reason, None)

    async def _record(
        self,
        target: str,
        action: str,
        old: Value | None,
        new: Value,
        actor: Actor,
        reason: str,
        refusal: PlantError | None,
        batch: Batch | None = None,
    ) -> None:
        outcome, detail = ("refused", str(refusal)) if refusal else ("done", "")
        shown = "" if old is None else str(old)
        row = Attempt(self._clock.now_ns(), actor, action, target, shown, str(new), reason, outcome, detail)
        try:
            await self._trail.attempt(row, batch)
        except StoreError as exc:
            raise WriteRejectedError(
                f"{target}: the attempt cannot be audited: {exc.text}", exc.remedy
            ) from exc
