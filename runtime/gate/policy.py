"""The gate's verdict on a write, and the way of a write that passed it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import replace
from typing import NamedTuple, TypeVar

from runtime.config.models import GateConfig, format_duration
from runtime.config.valuetext import TIMES, value_text, wanted
from runtime.contract import (
    LONGEST_TEXT,
    Access,
    Actor,
    Batch,
    Clock,
    DataType,
    Quality,
    Role,
    Tag,
    Tags,
    Value,
)
from runtime.errors import ForbiddenError, PlantError, UnfitValueError, WriteRejectedError
from runtime.gate.attempts import Attempts, AuditTrail, UnsettledError, refusal_of
from runtime.gate.expression import Expression, Undecided, parse_expression
from runtime.gate.forcing import Forcing
from runtime.gate.mode import ModeSwitch
from runtime.gate.rates import RateLimits
from runtime.gate.requests import Request, Requests
from runtime.gate.scope import Scopes
from runtime.journal.audit import AuditEntry, Signature
from runtime.journal.gatelog import Hold, HoldEnd, ModeRecord
from runtime.journal.values import AbsentValue, OperatorValue
from runtime.tracing import span

COMMAND_TIMEOUT_S = 5.0
REVERTER = Actor("gate", Role.ADMIN, "kernel")
_RETRY_NS = 5_000_000_000
T = TypeVar("T")


class LateError(WriteRejectedError):
    """The owner of the tag did not answer in time: nobody knows whether it took the value."""


class NeedsSignatureError(WriteRejectedError):
    """The write takes an electronic signature."""


class Passed(NamedTuple):
    """A write that may be made: its pattern and text, and what goes back later."""

    raw: int
    text: str | None
    hold: Hold | None


class NeedsApprovalError(WriteRejectedError):
    """The write takes a second person."""


class GateCommand:
    """A write that passed the gate, on its way to the component that owns the tag."""

    def __init__(self, tag: Tag, raw: int, text: str | None, by: str = "") -> None:
        self.tag = tag
        self.by = by
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
    judge_role(tag, actor)
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise UnfitValueError(f"{name}: {len(value)} characters are too many", f"write up to {LONGEST_TEXT}")
    try:
        if isinstance(value, bool) and tag.data_type not in (DataType.BOOL, DataType.STRING):
            raise TypeError(f"{tag.data_type.iec} cannot be {value_text(tag.data_type, value)}")
        raw = tag.data_type.encode(value)
    except (TypeError, ValueError) as exc:
        raise UnfitValueError(f"{name}: {exc}", _wanted(tag.data_type)) from exc
    if tag.data_type.kind == "f" and value != value:
        raise UnfitValueError(f"{name}: not a number")
    if not isinstance(value, str):
        unit = f" {tag.unit_text}" if tag.unit_text else ""
        if (tag.low is not None and value < tag.low) or (tag.high is not None and value > tag.high):
            low = "-∞" if tag.low is None else value_text(tag.data_type, tag.low)
            high = "∞" if tag.high is None else value_text(tag.data_type, tag.high)
            text = f"{name}: {value_text(tag.data_type, value)} is out of range"
            raise UnfitValueError(text, f"from {low} to {high}{unit}")
    judge_interlock(tag, tags, interlock)
    return raw, value if isinstance(value, str) else None


def _wanted(data_type: DataType) -> str:
    """Return what a write takes, from whichever client: times are numbers there, as in every value."""
    if data_type is DataType.STRING:
        return "write text"
    if data_type in TIMES:
        return "write a whole number of ns" + (" since 1970-01-01 UTC" if data_type is DataType.DT else "")
    return wanted(data_type)


def judge_role(tag: Tag, actor: Actor) -> None:
    """Refuse whose role is less than the tag's.

    Raises:
        ForbiddenError: it is.
    """
    if actor.role < tag.role:
        have, need = actor.role.name.lower(), tag.role.name.lower()
        raise ForbiddenError(f"{actor.name} is {have}; {tag.path} needs {need}", "ask someone with that role")


def judge_interlock(tag: Tag, tags: Tags, interlock: Expression | None) -> None:
    """Refuse what the tag's interlock does not allow.

    Raises:
        WriteRejectedError: it does not hold, or cannot be judged.
    """
    if not interlock:
        return
    try:
        holds = interlock.holds(tags)
    except Undecided as exc:
        raise WriteRejectedError(f"{tag.path}: interlock cannot be judged: {exc}", interlock.text) from exc
    if not holds:
        raise WriteRejectedError(f"{tag.path}: interlock does not hold", interlock.text)


class Gate:
    """Judges, audits and delivers writes.

    `deliver` hands a command to the owner of a tag and tells whether it takes commands.

    Attributes:
        two_person: ids of the tags that take a second person.
        signed: by id, what the signature of a write may mean, for tags that take one.
        holds: by path, the values that go back by themselves.
        scopes: what API tokens may read and write.
        forcing: forces and restarts of the program.
        late: of those, the ones that could not yet, and when to try again.
    """

    def __init__(
        self,
        tags: Tags,
        clock: Clock,
        trail: AuditTrail,
        publish: Callable[[Batch], None],
        deliver: Callable[[GateCommand], bool],
        config: GateConfig | None = None,
    ) -> None:
        self._tags = tags
        self._clock = clock
        self._publish = publish
        self._deliver = deliver
        self.attempts = Attempts(trail, clock)
        self.mode = ModeSwitch(self.attempts, clock)
        self.forcing = Forcing(self, tags, self.attempts)
        self.requests = Requests(self.attempts, clock, self._write_approved, self.check_signature)
        self.configure(config or GateConfig())
        self.holds: dict[str, Hold] = {}
        self.late: dict[str, int] = {}
        self._held: Counter[str] = Counter()  # by path, how many holds there were: which one it is
        self._under_way: Counter[str] = Counter()  # by path, writes on their way
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by path

    def configure(self, config: GateConfig) -> None:
        """Take up the rules, for the tags as they are now."""
        tags = self._tags
        self._config = config
        self._interlocks = {tag.id: parse_expression(tag.interlock) for tag in tags if tag.interlock}
        self._rates = RateLimits(config.rates, tags, self._clock)
        self.scopes = Scopes(tags)
        self.two_person = frozenset(tags.select(*config.two_person).tolist())
        self.signed: dict[int, tuple[str, ...]] = {}
        for rule in config.signatures:
            for id_ in tags.select(*rule.tags).tolist():
                self.signed[id_] = tuple(dict.fromkeys((*self.signed.get(id_, ()), *rule.meanings)))
        self.requests.configure(config.approval, tags)

    def restore(self, mode: ModeRecord, holds: Iterable[Hold], sent: Iterable[AuditEntry] = ()) -> list[Hold]:
        """Take up what was kept over a restart; return the values for a time that end sooner, to be kept so.

        None lasts longer than any may, though the clock was set back meanwhile.
        """
        self.attempts.restore(sent)
        self.mode.record = mode
        latest_ns = self._clock.now_ns() + self._config.longest_hold
        self.holds = {hold.path: hold for hold in holds}
        late = [hold for hold in self.holds.values() if hold.until_ns > latest_ns]
        self.holds |= {hold.path: replace(hold, until_ns=latest_ns) for hold in late}
        return [self.holds[hold.path] for hold in late]

    def clock_set(self, step_ns: int) -> list[Hold]:
        """Move what is timed with a clock that was set; return the values for a time, to be kept so."""
        self.requests.shift(step_ns)
        self.late = dict.fromkeys(self.late, 0)
        self.holds = {
            path: replace(hold, until_ns=hold.until_ns + step_ns) for path, hold in self.holds.items()
        }
        return list(self.holds.values())

    def check(self, tag: Tag, value: Value, actor: Actor, *, take: bool = True) -> tuple[int, str | None]:
        """Return the raw pattern and text of a write that is allowed now; `take` counts it as one.

        The role is the actor's `at` the tag.

        Raises:
            WriteRejectedError: says why not.
        """
        self._check_place(tag, actor, take=take)
        return judge(tag, value, actor, self._tags, self._interlocks.get(tag.id))

    def check_around(self, tag: Tag, actor: Actor) -> None:
        """Refuse what would go around the gate: all of a write but the tag's access, type and range.

        Raises:
            WriteRejectedError: says why not.
        """
        self._check_place(tag, actor, take=True)
        judge_role(tag, actor)
        judge_interlock(tag, self._tags, self._interlocks.get(tag.id))

    def _check_place(self, tag: Tag, actor: Actor, *, take: bool) -> None:
        self._check_there(tag)
        self._rates.check(tag, actor, take=take)
        self.scopes.check_write(tag, actor)
        self.mode.check(tag.path, actor)

    def _check_there(self, tag: Tag) -> None:
        """Refuse a tag that a new configuration took out since it was looked up: its rules are gone, too."""
        now = self._tags[tag.id]
        if (now.path, now.source) != (tag.path, tag.source):
            remedy = "look at it and write again"
            raise WriteRejectedError(f"{tag.path} was changed by a new configuration", remedy)

    def check_signature(self, tag: Tag, signature: Signature | None) -> None:
        """Refuse a write without the signature that the tag takes, and a signature that it does not.

        Raises:
            WriteRejectedError: says what the signature may mean.
        """
        meanings = self.signed.get(tag.id, ())
        if signature is None and meanings:
            text = f"{tag.path} takes an electronic signature"
            remedy = "`ironworks write` and the console ask for name, secret and meaning"
            raise NeedsSignatureError(text, remedy)
        if signature and not meanings:
            raise WriteRejectedError(f"{tag.path} takes no signature", "write it without one")
        if signature and signature.meaning not in meanings:
            text = f"{tag.path}: a signature cannot mean {signature.meaning!r} there"
            raise UnfitValueError(text, f"it may mean: {', '.join(meanings)}")

    async def write(
        self,
        tag: Tag,
        value: Value,
        actor: Actor,
        reason: str = "",
        for_ns: int = 0,
        signature: Signature | None = None,
    ) -> Value | None:
        """Write through the gate; returns the previous value once the owner has taken the new one.

        With `for_ns` the tag goes back to its previous value after that time. Whoever calls has
        authenticated the signer, who is the actor.

        Raises:
            WriteRejectedError: says why.
        """
        actor = actor.at(tag.path)

        def verdict() -> Passed:
            passed = self._pass(tag, value, actor, reason, for_ns)
            self._check_alone(tag, signature)
            return passed

        return await self._write(tag, self._attempt(tag, value, actor, reason, for_ns, signature), verdict)

    async def judge(self, writes: Sequence[tuple[Tag, Value]], actor: Actor, reason: str = "") -> None:
        """Judge writes that come one after the other, before the first is made; none of them is.

        Only a refusal leaves a row in the audit: that of the write which is refused. The owners of the tags
        are not asked.

        Raises:
            WriteRejectedError: says which, and why.
        """
        lacking = self._rates.lacking([tag for tag, _ in writes], actor)
        for tag, value in writes:
            there = actor.at(tag.path)
            try:
                if lacking is not None and lacking[0] is tag:
                    raise lacking[1]
                self._pass(tag, value, there, "", 0, take=False)
                self._check_alone(tag, None)
            except WriteRejectedError as exc:
                await self.attempts.refused(self._attempt(tag, value, there, reason, 0), exc)
                raise

    def _check_alone(self, tag: Tag, signature: Signature | None) -> None:
        """Refuse a write that takes a signature which it has not, or a second person.

        Raises:
            WriteRejectedError: it does.
        """
        self.check_signature(tag, signature)
        if tag.id in self.two_person:
            raise NeedsApprovalError(
                f"{tag.path} takes two persons", "request it with `ironworks write`; another one approves"
            )

    async def audit_refusal(self, tag: Tag, value: Value, actor: Actor, why: str, reason: str) -> None:
        """Record a write that was refused before it came here.

        Raises:
            WriteRejectedError: it cannot be audited.
        """
        attempt = self._attempt(tag, value, actor.at(tag.path), reason, 0)
        with self._traced(attempt):
            await self.attempts.record_refusal(attempt, why)

    def dry_run(self, tag: Tag, value: Value, actor: Actor, for_ns: int = 0) -> Value | None:
        """Judge a write without any effect, not even an audit row; returns the present value.

        The owner of the tag is not asked.

        Raises:
            WriteRejectedError: says why it would be refused.
        """
        self._pass(tag, value, actor.at(tag.path), "", for_ns, take=False)
        return self._tags.value(tag)

    async def request(
        self,
        tag: Tag,
        value: Value,
        actor: Actor,
        reason: str = "",
        for_ns: int = 0,
        signature: Signature | None = None,
    ) -> Request:
        """Ask for a write that takes a second person.

        Raises:
            WriteRejectedError: it would be refused, or takes no second person.
        """
        actor = actor.at(tag.path)
        attempt = replace(self._attempt(tag, value, actor, reason, for_ns, signature), action="request")

        async def work(_: AuditEntry) -> Request:
            self._pass(tag, value, actor, reason, for_ns)
            self.check_signature(tag, signature)
            if tag.id not in self.two_person:
                raise WriteRejectedError(f"{tag.path} takes no second person", "write it")
            return await self.requests.add(tag, value, actor, reason, for_ns, signature)

        with self._traced(attempt):
            return await self.attempts.around(attempt, work)

    async def audited(
        self,
        action: str,
        target: str,
        actor: Actor,
        reason: str,
        work: Callable[[], Awaitable[T]],
        old: Value | None = None,
        new: Callable[[T], Value] | None = None,
    ) -> T:
        """Run a command that changes nothing in the journal; noted before, so that a kill leaves a row too.

        `new` tells of what came of it what the row has as the new value.

        Raises:
            PlantError: it is refused, or cannot be audited.
        """
        return await self.attempts.noted(self.attempts.entry(action, target, actor, reason, old), work, new)

    async def revert(self) -> None:
        """Write back what was written for a time that is over; what cannot be now is tried again.

        Read only means that nothing writes: then it waits too.

        Raises:
            WriteRejectedError: it cannot be audited.
        """
        now_ns = self._clock.now_ns()
        for hold in [each for each in self.holds.values() if now_ns >= each.until_ns]:
            async with self._turn(self._tags[hold.path]) if hold.path in self._tags else nullcontext():
                there = self.holds.get(hold.path) is hold  # still, after what came before it
                if there and now_ns >= self.late.get(hold.path, 0) and not self._under_way[hold.path]:
                    await self._revert(hold)

    async def _revert(self, hold: Hold) -> None:
        known = hold.path in self._tags
        tag = self._tags[hold.path] if known else None
        old = self._tags.value(tag) if tag else None
        same = tag if tag and tag.data_type.iec == hold.type else None
        attempt = self.attempts.entry("revert", same or hold.path, REVERTER, "", old, hold.previous)
        attempt = replace(attempt, reason=f"the time of {hold.actor} is over")
        if tag is None or same is None or tag.access is not Access.READ_WRITE:
            detail = "the plant has no such tag any more, or of another type"
            end = HoldEnd(hold.path, hold.until_ns)
            also = (end, self._value_before(hold)) if tag is None else (end,)
            await self.attempts.record(replace(attempt, outcome="failed", detail=detail, also=also))
            self.holds.pop(hold.path, None)
            return
        try:
            self.mode.check(tag.path, REVERTER)
            raw, text = judge(tag, hold.previous, REVERTER, self._tags, self._interlocks.get(tag.id))
        except WriteRejectedError as exc:
            if self._again_later(hold):
                await self.attempts.refused(attempt, exc)
            return
        try:
            await self._carry_out(tag, Passed(raw, text, None), attempt, told=hold.path in self.late)
        except WriteRejectedError:
            self._again_later(hold)

    def _value_before(self, hold: Hold) -> AbsentValue:
        """Return what the tag has if it comes back: not what was written for a time."""
        raw = next(each for each in DataType if each.iec == hold.type).encode(hold.previous)
        text = hold.previous if isinstance(hold.previous, str) else None
        return AbsentValue(hold.path, hold.type, raw, text, self._clock.now_ns())

    def _turn(self, tag: Tag) -> AbstractAsyncContextManager[object]:
        """Let writes of an operator's tag wait for each other: each begins with what the one before left."""
        return self._turns[tag.path] if tag.source == "operator" else nullcontext()

    def _again_later(self, hold: Hold) -> bool:
        """Have a value go back later; return whether this is the first time."""
        first = hold.path not in self.late
        self.late[hold.path] = self._clock.now_ns() + _RETRY_NS
        return first

    def _attempt(
        self,
        tag: Tag,
        value: Value,
        actor: Actor,
        reason: str,
        for_ns: int,
        *signatures: Signature | None,
    ) -> AuditEntry:
        told = f"for {format_duration(for_ns)}: {reason}" if for_ns else reason
        entry = self.attempts.entry("write", tag, actor, told, self._tags.value(tag), value)
        return replace(entry, signatures=tuple(each for each in signatures if each))

    def _traced(self, attempt: AuditEntry) -> AbstractContextManager[object]:
        return span(f"gate.{attempt.action}", tag=attempt.target, actor=attempt.actor, via=attempt.via)

    async def _write_approved(self, request: Request, approval: AuditEntry) -> Value | None:
        tag, actor = request.tag, request.actor
        signatures = (request.signature, *approval.signatures)
        attempt = self._attempt(tag, request.value, actor, request.reason, request.for_ns, *signatures)
        attempt = replace(attempt, detail=f"approved by {approval.actor}", also=(approval,))

        def verdict() -> Passed:
            return self._pass(tag, request.value, actor, request.reason, request.for_ns)

        return await self._write(tag, attempt, verdict)

    async def _write(self, tag: Tag, attempt: AuditEntry, verdict: Callable[[], Passed]) -> Value | None:
        """Judge a write when it is its turn, and do it; a refusal keeps nobody waiting for its audit row."""
        with self._traced(attempt):
            async with self._turn(tag):
                attempt = replace(attempt, old=self._tags.value(tag))
                try:
                    passed = verdict()
                except PlantError as exc:
                    refusal = exc
                else:
                    await self._carry_out(tag, passed, attempt)
                    return attempt.old
            await self.attempts.refused(attempt, refusal)
            raise refusal

    def _pass(
        self, tag: Tag, value: Value, actor: Actor, reason: str, for_ns: int, *, take: bool = True
    ) -> Passed:
        raw, text = self.check(tag, value, actor, take=take)
        if not for_ns:
            return Passed(raw, text, None)
        longest = self._config.longest_hold
        if not 0 < for_ns <= longest:
            remedy = f"give a time up to {format_duration(longest)}"
            raise UnfitValueError(f"{tag.path} cannot be written for {format_duration(for_ns)}", remedy)
        before = self.holds.get(tag.path)
        previous = before.previous if before else self._tags.value(tag)
        if previous is None:
            raise WriteRejectedError(f"{tag.path} has no good value to go back to", "write it without a time")
        until_ns = self._clock.now_ns() + for_ns
        written = tag.data_type.decode(raw, text)
        hold = Hold(tag.path, tag.data_type.iec, previous, written, until_ns, actor.name, reason)
        return Passed(raw, text, hold)

    async def _carry_out(self, tag: Tag, passed: Passed, attempt: AuditEntry, told: bool = False) -> None:
        """Do what passed; whatever comes of it, there is one audit row. No other where a refusal was told.

        Raises:
            WriteRejectedError: the owner refused, or it cannot be audited.
        """
        self._under_way[tag.path] += 1
        try:
            await self._make(tag, passed, attempt, told)
        finally:
            self._under_way[tag.path] -= 1

    async def _make(self, tag: Tag, passed: Passed, attempt: AuditEntry, told: bool) -> None:
        raw, text, hold = passed
        before, count = self.holds.get(tag.path), self._held[tag.path]
        if tag.source == "operator":
            now_ns = self._clock.now_ns()
            keep = OperatorValue(tag.path, tag.data_type.iec, raw, text, Quality.GOOD, now_ns)
            end = (hold,) if hold else self._end_of(tag.path, count)
            await self.attempts.record(replace(attempt, keep=keep, also=(*attempt.also, *end)))
            self._take_up(tag.path, hold)
            self._publish(Batch.of([tag.id], [raw], now_ns, text={} if text is None else {0: text}))
            return
        # Noted before the owner has the value: a kill in between leaves a row that says so, and only
        # writes the old value again.
        number = await self.attempts.begin(attempt, *((hold,) if hold else ()))
        if hold:
            self._take_up(tag.path, hold)
        own = self._held[tag.path]
        try:
            await self._send(tag, raw, text, attempt.actor)
        except WriteRejectedError as exc:
            back: tuple[Hold | HoldEnd, ...] = ()
            if hold and not isinstance(exc, LateError) and (end := self._end_of(tag.path, own)):
                back = (before,) if before else end
                self._take_up(tag.path, before)
            refused = replace(refusal_of(attempt, str(exc)), also=back)
            await self.attempts.end(number, None if told else refused)
            raise
        if hold is None and (end := self._end_of(tag.path, count)):
            self._take_up(tag.path, None)
            attempt = replace(attempt, also=(*attempt.also, *end))
        try:
            await self.attempts.end(number, attempt)
        except WriteRejectedError as exc:
            late = f"{tag.path}: {tag.source} took the value, but the audit cannot be written now"
            raise UnsettledError(late, f"{exc.remedy}; its row follows by itself") from exc

    def _end_of(self, path: str, count: int) -> tuple[HoldEnd, ...]:
        """Return what ends a hold on disk; nothing where another, be it the same anew, took its place."""
        now = self.holds.get(path)
        if now is None or self._held[path] != count:
            return ()
        return (HoldEnd(now.path, now.until_ns),)

    def _take_up(self, path: str, hold: Hold | None) -> None:
        self.late.pop(path, None)
        if hold:
            self.holds[path] = hold
            self._held[path] += 1
        else:
            self.holds.pop(path, None)

    async def _send(self, tag: Tag, raw: int, text: str | None, by: str) -> None:
        self._check_there(tag)  # still, after the attempt was noted
        command = GateCommand(tag, raw, text, by)
        if not self._deliver(command):
            remedy = "see `ironworks components list`"
            raise WriteRejectedError(f"{tag.path}: {tag.source} does not take writes now", remedy)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                refused = await command.answer
        except TimeoutError as exc:
            late = f"{tag.path}: {tag.source} did not answer within {COMMAND_TIMEOUT_S:g} s"
            raise LateError(late, "the value may still arrive: check it") from exc
        if refused is not None:
            raise WriteRejectedError(f"{tag.path}: {refused}")
