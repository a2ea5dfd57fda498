"""The alarm service: the engine on the bus, each transition on disk before it is told."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from runtime.alarms.commands import COMMANDS, allow
from runtime.alarms.engine import AlarmEngine
from runtime.alarms.flood import WINDOW_NS
from runtime.alarms.load import Load
from runtime.alarms.model import Alarm, Transition
from runtime.alarms.performance import performance
from runtime.alarms.rates import NEVER
from runtime.alarms.tags import TAGS
from runtime.config import AlarmConfig, TagList
from runtime.contract import Actor, Batch, Changes, Event, Port, Value
from runtime.errors import StoreError, WriteRejectedError
from runtime.journal import (
    AlarmLogEntry,
    AlarmRow,
    AuditEntry,
    Journal,
    Record,
    alarm_moves,
    alarm_rows,
    begun_ns,
)
from runtime.settled import settled

log = logging.getLogger(__name__)
RETRY_S = 1.0
LOAD_S = 5.0
AT_ONCE = 100  # batches in one commit
REMEMBERED_NS = 24 * 3600 * 1_000_000_000  # how far back a flood that lasts is looked for at start
BACKLOG = 100_000  # transitions that wait for a disk that is full; the oldest go first


class AlarmService:
    """A component. Standing alarms come back from the journal at start and are then judged by live values.

    Emits `alarm.TRANSITION` (raised, cleared, acknowledged, shelved ...) for each, and `alarm.restored` for
    those that were not normal at start, with the alarm under `alarm` and who did it under `by`. While the
    journal cannot be written, alarms are told all the same (an operator must see them), wait in a bounded
    backlog and are written later; commands are refused until then.
    """

    name = "alarms"

    def __init__(self, configs: Sequence[AlarmConfig], tags: TagList, journal: Journal) -> None:
        self.engine = AlarmEngine(configs, tags)
        self._shown = self.engine.alarms()  # as they are on disk: the engine is ahead during a commit
        self._rows = {config.name: row for row, config in enumerate(configs)}
        self._configs = configs
        self._journal = journal
        self._order = asyncio.Lock()  # state and journal move together, one transition after the other
        self._backlog: deque[Record] = deque()
        self._lost = 0
        self._timers_ns: set[int] = set()  # when the timers that wait will end
        self._told: tuple[Value, ...] = ()
        self._load = Load(configs)
        self._port: Port | None = None
        self._changes: Changes | None = None
        self._in_hand: Batch | None = None  # taken from the changes, and waiting for its turn
        self._leaving: frozenset[str] = frozenset()
        self._group: asyncio.TaskGroup | None = None

    def views(self) -> list[dict[str, Any]]:
        """Return all alarms as the API has them: nothing is told that a kill could take back."""
        return [alarm.as_dict() for alarm in self._shown]

    async def run(self, port: Port) -> None:
        """Work until cancelled."""
        self._port = port
        self._changes = port.changes(self.engine.tag_ids, every=True)
        self._in_hand = None
        self._told = ()  # what the run before told turned bad with its end
        async with self._order:
            if not self._backlog:
                kept = self.engine.restore(await self._journal.read(alarm_rows), port.clock.now_ns())
                self._shown = self.engine.alarms()
                for alarm in kept:
                    self._emit(port, "alarm.restored", alarm)
                end_ns = port.clock.now_ns() + 1
                load = Load(self._configs)
                await self._journal.read(
                    lambda file: load.take(alarm_moves(file, end_ns - REMEMBERED_NS, end_ns))
                )
                self._load = load
            await self._keep_and_tell(port, self.engine.unsuppress(port.clock.now_ns()))
        self._timers_ns.clear()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                if self._backlog:
                    group.create_task(self._catch_up(port))
                else:
                    port.health(True)
                self._schedule(port)
                group.create_task(self._follow_load(port))
                while changes := self._changes:  # `renew` closes one and makes another
                    async for self._in_hand in changes:
                        await self._take(port, changes)
        finally:
            self._group = None  # a command that comes now is carried out, and timed by the next run

    @contextmanager
    def leaving(self, names: Iterable[str]) -> Iterator[None]:
        """Keep and tell nothing of alarms that `renew` is about to take out: their tags end before them."""
        self._leaving = frozenset(names)
        try:
            yield
        finally:
            self._leaving = frozenset()

    def _staying(self, moved: Sequence[Transition]) -> list[Transition]:
        return [each for each in moved if each.alarm.name not in self._leaving]

    async def renew(self, configs: Sequence[AlarmConfig], tags: TagList) -> None:
        """Go on with other definitions and tags. Alarms stand as they stood, by name; delays begin anew.

        Those that were taken out once and come back stand as they did then.
        """
        async with self._order:
            back = await self._that_come_back(configs)
            port, changes = self._port, self._changes
            while port and changes and (batch := self._next(changes)) is not None:
                if moved := self._staying(self.engine.on_batch(batch, port.clock.now_ns())):
                    await self._keep_and_tell(port, moved)
            engine = AlarmEngine(configs, tags)
            standing = [*back, *(alarm.as_row() for alarm in self.engine.alarms())]
            engine.restore(standing, before=self.engine)
            self.engine, self._configs = engine, configs
            self._shown = engine.alarms()
            self._rows = {config.name: row for row, config in enumerate(configs)}
            self._load.configure(configs)
            if port is None or changes is None:
                return
            self._changes = port.changes(engine.tag_ids, every=True)
            changes.close()
            await self._keep_and_tell(port, engine.unsuppress(port.clock.now_ns()))
        self._schedule(port)

    def end_of_values(self) -> None:
        """Judge what has come, and nothing else: sources that end with the plant are no alarms."""
        changes, self._changes = self._changes, None
        if changes is not None:
            changes.close()

    async def _that_come_back(self, configs: Sequence[AlarmConfig]) -> list[AlarmRow]:
        new = {config.name for config in configs} - self._rows.keys()
        try:
            rows = await self._journal.read(alarm_rows) if new else []
        except StoreError as exc:  # they stand as they did after the next start
            log.error("alarms that come back are taken for new ones: %s", exc)
            return []
        return [row for row in rows if row.name in new]

    def view(self, name: str) -> dict[str, Any]:
        """Return one alarm as the API has it.

        Raises:
            WriteRejectedError: there is none of that name.
        """
        return self._shown[self._rows[self.engine.alarm(name).name]].as_dict()

    async def acknowledge(self, name: str, actor: Actor, comment: str = "") -> dict[str, Any]:
        """Acknowledge an alarm; see `command`."""
        return await self.command("acknowledge", name, actor, comment)

    async def command(
        self,
        verb: str,
        name: str,
        actor: Actor,
        reason: str = "",
        for_ns: int = 0,
        row: AuditEntry | None = None,
    ) -> dict[str, Any]:
        """Carry out one of `COMMANDS`; return the alarm once that is on disk, the row of the audit with it.

        Raises:
            WriteRejectedError: no such alarm, nothing to do, the role does not allow it, or the journal
                cannot be written.
        """
        allow(COMMANDS[verb], self.engine.at(actor, name))
        port = self._port
        if port is None:
            raise WriteRejectedError("the alarms are not running yet", "try again in a moment")
        async with self._order:
            before = self.engine.alarm(name)
            moved = self.engine.command(verb, name, actor, reason, port.clock.now_ns(), for_ns)
            if self._backlog:
                kept: Sequence[int] | StoreError = StoreError("transitions wait for the disk", "free it")
                cancelled = False
            else:
                kept, cancelled = await self._write([self._entry(moved), *([row] if row else [])])
            if isinstance(kept, StoreError):
                self.engine.undo(before)
                text = f"{verb} of alarm {name!r} was not done: {kept.text}"
                raise WriteRejectedError(text, kept.remedy) from kept
            self._tell(port, [moved], kept[:1])
            if cancelled:
                raise asyncio.CancelledError
        self._schedule(port)
        return moved.alarm.as_dict()

    def clock_set(self, step_ns: int) -> None:
        """Move what is timed with a clock that was set: delays and shelves last as they were meant to."""
        shelved = self.engine.shift(step_ns)
        self._load.shift(step_ns)
        if self._group is not None and self._port is not None:
            self._timers_ns.clear()
            self._schedule(self._port)
            if shelved:
                self._group.create_task(self._keep_shelves(self._port))

    async def _keep_shelves(self, port: Port) -> None:
        async with self._order:
            rows = [alarm.as_row() for alarm in self.engine.alarms() if alarm.shelf]
            _, cancelled = await self._keep(port, rows)
            self._shown = self.engine.alarms()
            if cancelled:
                raise asyncio.CancelledError

    async def figures(self, span_ns: int) -> dict[str, Any]:
        """Return the figures of the time until now with the fields of `runtime.wire.AlarmFigures`.

        Of a plant that began within the span, since then: rates are over the time in which alarms could come.

        Raises:
            StoreError: the journal cannot be read.
        """
        end_ns = self._journal.clock.now_ns() + 1
        alarms = self.engine.alarms()

        def read(file: sqlite3.Connection) -> dict[str, Any]:
            begun = begun_ns(file)
            began_ns = end_ns if begun is None else begun
            start_ns = max(end_ns - span_ns, min(began_ns, end_ns - WINDOW_NS))
            return performance(
                alarm_moves(file, start_ns, end_ns),
                alarms,
                start_ns,
                end_ns,
                alarm_moves(file, start_ns - REMEMBERED_NS, start_ns),
            )

        return await self._journal.read(read)

    async def _follow_load(self, port: Port) -> None:
        """Tell the load as tags: it falls by time alone."""
        while True:
            await port.clock.sleep(LOAD_S)
            async with self._order:
                self._count(port)

    async def _take(self, port: Port, changes: Changes) -> None:
        """Take what came, also while the disk was slow: one commit for all."""
        async with self._order:
            now_ns = port.clock.now_ns()
            moved: list[Transition] = []
            for _ in range(AT_ONCE):
                batch = self._next(changes)
                if batch is None:
                    break
                moved += self._staying(self.engine.on_batch(batch, now_ns))
            if moved:
                await self._keep_and_tell(port, moved)
        self._schedule(port)

    def _next(self, changes: Changes) -> Batch | None:
        """Return the next batch: each is taken in its order, whoever takes it."""
        batch, self._in_hand = self._in_hand, None
        return batch if batch is not None else changes.take()

    def _schedule(self, port: Port) -> None:
        """Make sure that a timer ends no later than the next delay."""
        due_ns = self.engine.next_due_ns()
        if due_ns is not None and due_ns < min(self._timers_ns, default=NEVER) and self._group is not None:
            self._timers_ns.add(due_ns)
            self._group.create_task(self._wait(port, due_ns))

    async def _wait(self, port: Port, due_ns: int) -> None:
        await port.clock.sleep_until(port.clock.steady_ns() + due_ns - port.clock.now_ns())
        self._timers_ns.discard(due_ns)
        async with self._order:
            if moved := self._staying(self.engine.on_time(port.clock.now_ns())):
                await self._keep_and_tell(port, moved)
        self._schedule(port)

    async def _write(self, records: Sequence[Record]) -> tuple[Sequence[int] | StoreError, bool]:
        """Keep records; return their numbers or why not, and whether a stop came: it waits for them."""
        job = asyncio.ensure_future(self._journal.append_all(records))
        cancelled = await settled(job)
        try:
            return job.result(), cancelled
        except StoreError as exc:
            return exc, cancelled

    async def _keep_and_tell(self, port: Port, moved: Sequence[Transition]) -> None:
        numbers, cancelled = await self._keep(port, [self._entry(each) for each in moved])
        self._tell(port, moved, numbers)
        if cancelled:
            raise asyncio.CancelledError

    async def _keep(self, port: Port, entries: Sequence[Record]) -> tuple[Sequence[int], bool]:
        """Keep transitions or rows; return their numbers in the journal, 0 while they wait for the disk."""
        cancelled = False
        if entries and not self._backlog:
            kept, cancelled = await self._write(entries)
            if not isinstance(kept, StoreError):
                return kept, cancelled
            log.error("alarms cannot be written to the journal: %s", kept)
            port.health(False, kept.text)
            if self._group is not None and not cancelled:
                self._group.create_task(self._catch_up(port))
        self._backlog.extend(entries)
        while len(self._backlog) > BACKLOG:
            self._backlog.popleft()
            self._lost += 1
        return [0] * len(entries), cancelled

    async def _catch_up(self, port: Port) -> None:
        """Write the backlog once the journal takes it; in order, so that the last state wins."""
        while self._backlog:
            await port.clock.sleep(RETRY_S)
            async with self._order:
                kept, cancelled = await self._write(tuple(self._backlog))
                if isinstance(kept, StoreError):
                    if cancelled:
                        raise asyncio.CancelledError
                    continue
                log.warning("alarms are on disk again: %d late, %d lost", len(self._backlog), self._lost)
                self._backlog.clear()
                self._lost = 0
                if cancelled:
                    raise asyncio.CancelledError
        port.health(True)

    def _tell(self, port: Port, moved: Sequence[Transition], numbers: Sequence[int]) -> None:
        self._shown = self.engine.alarms()
        for each, seq in zip(moved, numbers, strict=True):
            self._emit(port, f"alarm.{each.trigger.value}", each.alarm, seq, each.actor, each.at_ns)
            if each.announced:
                self._load.add(each.at_ns, each.alarm.name)
        self._count(port)

    def _emit(
        self, port: Port, kind: str, alarm: Alarm, seq: int = 0, actor: str = "", at_ns: int = 0
    ) -> None:
        text = f"{alarm.name}: {alarm.config.text}"
        data = {"alarm": alarm.as_dict(), "seq": seq, "by": actor, "at_ns": at_ns}
        port.emit(Event(kind, self.name, port.clock.now_ns(), text, data))

    def _count(self, port: Port) -> None:
        now_ns = port.clock.now_ns()
        values: tuple[Value, ...] = (*self.engine.counts, *self._load.figures(self.engine.alarms(), now_ns))
        if values != self._told:
            self._told = values
            ids = [port.tags[tag.path].id for tag in TAGS]
            raws = [tag.data_type.encode(value) for tag, value in zip(TAGS, values, strict=True)]
            texts = {row: value for row, value in enumerate(values) if isinstance(value, str)}
            port.submit(Batch.of(ids, raws, now_ns, text=texts))

    def _entry(self, moved: Transition) -> AlarmLogEntry:
        alarm = moved.alarm
        tag = self.engine.tag(alarm.name)
        return AlarmLogEntry(
            seq=0,
            at_ns=moved.at_ns,
            alarm=alarm.name,
            transition=moved.trigger.value,
            state=alarm.state.value,
            actor=moved.actor,
            comment=moved.comment,
            value=alarm.value,
            after=alarm.as_row(),
            announced=moved.announced,
            type=tag.data_type.iec,
            unit_text=tag.unit_text,
        )
