"""Writes that wait for a second person. They live in memory: a restart forgets them, nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from runtime.contract import Actor, Clock, Role, Tag, Tags, Value
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.gate.attempts import Attempts, UnsettledError, lacking
from runtime.gate.oidc import PREFIX
from runtime.journal.audit import AuditEntry, Signature

_MOST = 100
_MOST_EACH = 10


@dataclass(frozen=True, slots=True)
class Request:
    """A write that passed the gate and waits until `until_ns` for someone else's word."""

    id: int
    tag: Tag
    value: Value
    actor: Actor
    reason: str
    for_ns: int
    at_ns: int
    until_ns: int
    signature: Signature | None = None


Write = Callable[[Request, AuditEntry], Awaitable[Value | None]]


class Requests:
    """What waits, and how it ends: approved, rejected or too late. `write` judges again, then carries out."""

    def __init__(
        self,
        attempts: Attempts,
        clock: Clock,
        write: Write,
        check_signature: Callable[[Tag, Signature | None], None],
    ) -> None:
        self._attempts = attempts
        self._clock = clock
        self._patience_ns = 0
        self._write = write
        self._check_signature = check_signature
        self._count = 0
        self.waiting: dict[int, Request] = {}
        self._ending = 0

    def configure(self, patience_ns: int, tags: Tags) -> None:
        """Take up how long a request waits; one whose tag is gone, or another type now, can wait no more."""
        self._patience_ns = patience_ns
        for request in list(self.waiting.values()):
            path = request.tag.path
            if path in tags and tags[path].id == request.tag.id:
                self.waiting[request.id] = replace(request, tag=tags[path])
            else:
                self.waiting[request.id] = replace(request, until_ns=0)  # `expire` tells the audit

    @property
    def count(self) -> int:
        """How many wait, or end at this moment: those may have to wait on."""
        return len(self.waiting) + self._ending

    async def add(
        self,
        tag: Tag,
        value: Value,
        actor: Actor,
        reason: str,
        for_ns: int,
        signature: Signature | None = None,
    ) -> Request:
        """Keep a write that was judged and may be made, once someone else agrees.

        Raises:
            WriteRejectedError: too many wait, or it cannot be audited.
        """
        now_ns = self._clock.now_ns()
        mine = sum(each.actor.name == actor.name for each in self.waiting.values())
        if len(self.waiting) >= _MOST or mine >= _MOST_EACH:
            raise WriteRejectedError(
                f"{tag.path}: too many requests wait", "have some approved or rejected first"
            )
        self._count += 1
        until_ns = now_ns + self._patience_ns
        made = Request(self._count, tag, value, actor, reason, for_ns, now_ns, until_ns, signature)
        self.waiting[made.id] = made
        try:
            entry = self._attempts.entry("request", tag, actor, reason, None, value)
            await self._attempts.record(replace(entry, signatures=(signature,) if signature else ()))
        except WriteRejectedError:
            self.waiting.pop(made.id, None)
            raise
        return made

    def get(self, id_: int) -> Request:
        """Return a request that waits.

        Raises:
            WriteRejectedError: there is none of that number.
        """
        found = self.waiting.get(id_)
        if found is None or self._clock.now_ns() >= found.until_ns:
            raise WriteRejectedError(f"no request {id_} waits", "`ironworks gate` lists those that do")
        return found

    async def approve(
        self, id_: int, actor: Actor, reason: str, signature: Signature | None = None
    ) -> Value | None:
        """Write what was asked for, in the name of who asked; returns the previous value.

        Raises:
            WriteRejectedError: the approver may not, or the write is not possible now: it goes on waiting.
        """
        request = self.get(id_)
        path = request.tag.path
        actor = actor.at(path)
        entry = self._attempts.entry("approve", request.tag, actor, reason, None, request.value)
        entry = replace(entry, signatures=(signature,) if signature else ())
        need = max(request.tag.role, Role.OPERATOR)  # a second person is never nobody in particular
        refusal: WriteRejectedError | None = lacking(actor, need, f"approval of {path}")
        if refusal is None and _person(actor) == _person(request.actor):
            refusal = ForbiddenError(f"{path}: {actor.name} asked for it", "someone else must approve it")
        if refusal is None:
            try:
                self._check_signature(request.tag, signature)
            except WriteRejectedError as exc:
                refusal = exc
        if refusal is not None:
            await self._attempts.refused(entry, refusal)
            raise refusal
        try:
            with self._taken(request):
                return await self._write(request, entry)
        except UnsettledError:
            raise
        except WriteRejectedError as exc:
            await self._attempts.refused(entry, exc)
            raise

    async def reject(self, id_: int, actor: Actor, reason: str) -> None:
        """End a request: whoever might approve it, or who asked for it.

        Raises:
            WriteRejectedError: says why not.
        """
        request = self.get(id_)
        path = request.tag.path
        actor = actor.at(path)
        entry = self._attempts.entry("reject", request.tag, actor, reason, None, request.value)
        own = actor.name == request.actor.name
        refusal = None if own else lacking(actor, request.tag.role, f"a word on {path}")
        if refusal is not None:
            await self._attempts.command(entry, refusal)
        with self._taken(request):
            await self._attempts.command(entry, None)

    @contextmanager
    def _taken(self, request: Request) -> Iterator[None]:
        """Take a request out, so that nobody approves it while it ends; back in where that fails."""
        del self.waiting[request.id]
        self._ending += 1
        try:
            yield
        except UnsettledError:  # it is written
            raise
        except WriteRejectedError:
            self.waiting[request.id] = request
            raise
        finally:
            self._ending -= 1

    def shift(self, step_ns: int) -> None:
        """Move with a clock that was set."""
        self.waiting = {
            id_: replace(each, until_ns=each.until_ns + step_ns) for id_, each in self.waiting.items()
        }

    async def expire(self) -> None:
        """End the requests that waited too long; each gets an audit row.

        Raises:
            WriteRejectedError: it cannot be audited; the request is refused all the same.
        """
        now_ns = self._clock.now_ns()
        for request in [each for each in self.waiting.values() if now_ns >= each.until_ns]:
            await self._fail(request, "nobody approved it in time")

    async def withdraw(self, demoted: Callable[[Actor, str], bool]) -> None:
        """End the requests of those who may not write the tag any more; each gets an audit row.

        Raises:
            WriteRejectedError: it cannot be audited; the request waits on.
        """
        for request in [each for each in self.waiting.values() if demoted(each.actor, each.tag.path)]:
            await self._fail(request, f"{request.actor.name} may not write this any more")

    async def _fail(self, request: Request, detail: str) -> None:
        if self.waiting.get(request.id) is not request:  # it ended, or was changed, while others were ended
            return
        entry = self._attempts.entry(
            "request", request.tag, request.actor, request.reason, None, request.value
        )
        with self._taken(request):
            await self._attempts.record(replace(entry, outcome="failed", detail=detail))


def _person(actor: Actor) -> str:
    """Return who somebody is, whoever vouches: with a second login nobody is a second person."""
    return actor.name.removeprefix(PREFIX).casefold()
