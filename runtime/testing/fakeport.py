"""A port for testing one component without a kernel: real table and bus, time moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.bus import Bus, EventStream, Journal, Mailbox
from runtime.clock import ManualClock
from runtime.config.taglist import TagList
from runtime.contract import (
    Actor,
    Batch,
    Clock,
    Command,
    Event,
    HistoryPoints,
    PlcOutline,
    Quality,
    Role,
    Tag,
    Value,
)
from runtime.errors import ForbiddenError, PlantError, UnknownVariableError
from runtime.gate.expression import parse_expression
from runtime.gate.policy import GateCommand, judge
from runtime.tagtable import TagTable


class FakePort:
    """A `Port` whose other side a test can see and move.

    Attributes:
        table: present values; what the component submitted is in here.
        submitted: every batch that the component submitted, in order.
        backfilled: every batch of the past that it stored.
        emitted: every event that it emitted.
        writes: (path, value, actor, reason) of every write that it asked for, refused ones too.
        refusals: (path, value, actor, why, reason) of every write that it refused by itself, and had audited.
        standing: the alarms of the plant, as events have them.
        commanded: (verb, alarm, actor, reason, for_ns) of everything that was done to alarms.
        acknowledged: (alarm, actor, comment) of every acknowledgement.
        users: name to (secret, role), for `authenticate`.
        certificates: SHA-256 in hex to name, for `authenticate_certificate`.
        outline: what the PLC runs.
        restarts: (component, `plc` or `plc task NAME`; warm, cold or empty; actor; reason) of every restart.
    """

    def __init__(
        self,
        tags: Iterable[Tag],
        name: str = "test",
        root: str = "site/area/line",
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.clock: Clock = clock or ManualClock()
        self.table = TagTable(TagList(tags, root))
        self.tags = self.table
        self.bus = Bus(self.table)
        self.submitted: list[Batch] = []
        self.backfilled: list[Batch] = []
        self.emitted: list[Event] = []
        self.writes: list[tuple[str, Value, Actor, str]] = []
        self.refusals: list[tuple[str, Value, Actor, str, str]] = []
        self.standing: list[Mapping[str, Any]] = []
        self.commanded: list[tuple[str, str, Actor, str, int]] = []
        self.acknowledged: list[tuple[str, Actor, str]] = []
        self.users: dict[str, tuple[str, Role]] = {}
        self.certificates: dict[str, str] = {}
        self.outline: PlcOutline | None = None
        self.restarts: list[tuple[str, str, Actor, str]] = []
        self.healthy = True
        self.health_text = ""
        self._commands: asyncio.Queue[GateCommand] = asyncio.Queue(1000)

    def submit(self, batch: Batch) -> None:
        self._check_own(batch)
        self.submitted.append(batch)
        self.bus.publish(batch)

    def _check_own(self, batch: Batch) -> None:
        strangers = {self.tags[int(id_)].path for id_ in batch.ids if self.tags[int(id_)].source != self.name}
        if strangers:
            raise PermissionError(f"{self.name} is not the source of {', '.join(sorted(strangers))}")

    def changes(self, ids: NDArray[np.int32], *, every: bool = False) -> Mailbox | Journal:
        return self.bus.journal(ids) if every else self.bus.mailbox(ids)

    async def write(self, tag: Tag, value: Value, actor: Actor, reason: str = "") -> None:
        self.writes.append((tag.path, value, actor, reason))
        raw, text = self._judge(tag, value, actor)
        self.bus.publish(
            Batch.of([tag.id], [raw], self.clock.now_ns(), text={} if text is None else {0: text})
        )

    async def judge(self, writes: Sequence[tuple[Tag, Value]], actor: Actor, reason: str = "") -> None:
        for tag, value in writes:
            self._judge(tag, value, actor)

    def _judge(self, tag: Tag, value: Value, actor: Actor) -> tuple[int, str | None]:
        interlock = parse_expression(tag.interlock) if tag.interlock else None
        return judge(tag, value, actor, self.tags, interlock)

    async def audit_refusal(self, tag: Tag, value: Value, actor: Actor, why: str, reason: str = "") -> None:
        self.refusals.append((tag.path, value, actor, why, reason))

    async def commands(self) -> AsyncIterator[Command]:
        while True:
            yield await self._commands.get()

    def authenticate(self, name: str, secret: str, via: str, address: str = "") -> Actor | None:
        known = self.users.get(name)
        return Actor(name, known[1], via) if known and known[0] == secret else None

    def authenticate_certificate(self, fingerprint: str, via: str) -> Actor | None:
        name = self.certificates.get(fingerprint)
        return Actor(name, self.users[name][1], via) if name in self.users else None

    async def may_listen(self, host: str) -> None:
        return

    def emit(self, event: Event) -> None:
        self.emitted.append(event)
        self.bus.emit(event)

    def events(self, *kinds: str) -> EventStream:
        return self.bus.events(*kinds)

    async def history(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, limit: int | None = None
    ) -> Batch:
        wanted = set(ids.tolist())
        rows = sorted(
            (row.id, row.source_ns, row.raw, row.quality)
            for batch in self.submitted
            for row in batch
            if row.id in wanted and start_ns <= row.source_ns < end_ns
        )[:limit]
        columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
        return Batch.of(
            columns[0], columns[2], np.array(columns[1], np.int64), np.array(columns[3], np.uint32)
        )

    async def figures(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, interval_ns: int, mode: str
    ) -> Mapping[int, HistoryPoints]:
        raise PlantError("a fake port makes no figures of history", "use a whole plant")

    async def backfill(self, batch: Batch) -> None:
        self._check_own(batch)
        self.backfilled.append(batch)

    def alarms(self) -> Sequence[Mapping[str, Any]]:
        return self.standing

    async def command_alarm(
        self, verb: str, alarm: str, actor: Actor, reason: str = "", for_ns: int = 0
    ) -> None:
        if actor.role < Role.OPERATOR:
            raise ForbiddenError(f"{actor.name} may not {verb}", "ask an operator")
        self.commanded.append((verb, alarm, actor, reason, for_ns))
        if verb == "acknowledge":
            self.acknowledged.append((alarm, actor, reason))

    def plc(self) -> PlcOutline | None:
        return self.outline

    async def restart_plc(self, actor: Actor, *, cold: bool, task: str = "", reason: str = "") -> None:
        self._check_engineer(actor)
        known = self.outline.tasks if self.outline else ()
        if task and task not in [each.name for each in known]:
            raise UnknownVariableError(f"there is no task {task!r}")
        name = f"plc task {task}" if task else "plc"
        self.restarts.append((name, "cold" if cold else "warm", actor, reason))

    async def restart(self, name: str, actor: Actor, reason: str = "") -> None:
        self._check_engineer(actor)
        self.restarts.append((name, "", actor, reason))

    @staticmethod
    def _check_engineer(actor: Actor) -> None:
        if actor.role < Role.ENGINEER:
            raise ForbiddenError(f"{actor.name} may not restart", "ask an engineer")

    def health(self, ok: bool, text: str = "") -> None:
        self.healthy, self.health_text = ok, text

    # The test's side.

    def set(self, path: str, value: Value, quality: int = Quality.GOOD) -> None:
        """Publish a value as whoever its source is."""
        tag = self.tags[path]
        text = {0: value} if isinstance(value, str) else {}
        self.bus.publish(
            Batch.of([tag.id], [tag.data_type.encode(value)], self.clock.now_ns(), quality, text)
        )

    def value(self, path: str) -> Value | None:
        """Return the present value; None while its quality is bad."""
        return self.tags.value(self.tags[path])

    def quality(self, path: str) -> int:
        return int(self.table.quality[self.tags[path].id])

    async def command(self, path: str, value: Value, by: str = "") -> str | None:
        """Send the component a write that passed the gate; return its refusal, None when done."""
        tag = self.tags[path]
        text = value if isinstance(value, str) else None
        command = GateCommand(tag, tag.data_type.encode(value), text, by)
        await self._commands.put(command)
        async with asyncio.timeout(60):
            return await command.answer
