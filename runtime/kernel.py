"""The kernel: one asyncio process that ties table, bus, gate, stores and components together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from runtime import statelock
from runtime.alarms.service import AlarmService
from runtime.api.server import ApiServer
from runtime.assembly import Assembly
from runtime.backup.service import Backups
from runtime.bus import Bus, EventStream, Journal, Mailbox
from runtime.clock import SteppingClock, WallClock
from runtime.config import Plant, format_duration, is_loopback, make_folder
from runtime.contract import (
    Actor,
    Batch,
    Command,
    Component,
    Event,
    HistoryPoints,
    PlcOutline,
    Quality,
    Role,
    Tag,
    Value,
)
from runtime.errors import (
    ConfigError,
    ForbiddenError,
    PlantError,
    ReturnedError,
    StoreError,
    WriteRejectedError,
)
from runtime.figures import Figures
from runtime.gate.accounts import Accounts
from runtime.gate.attempts import lacking
from runtime.gate.certificates import Certificates
from runtime.gate.identity import NO_ADMIN, Identity
from runtime.gate.keeper import Keeper
from runtime.gate.policy import Gate, GateCommand
from runtime.historian.hot import Historian
from runtime.historian.sink import Sink
from runtime.journal import Journal as JournalStore
from runtime.journal.accounts import account_rows, lock_rows
from runtime.journal.audit import AuditEntry
from runtime.journal.certificates import certificate_rows
from runtime.journal.gatelog import gate_rows, unanswered
from runtime.journal.room import Room
from runtime.journal.values import operator_values, restored
from runtime.logs import LogFile
from runtime.online import Changeable, OnlineView, Wish
from runtime.plcview import Controlled, Controller
from runtime.recording import Recordable, Recording
from runtime.settled import whole
from runtime.supervisor import Supervisor
from runtime.tagtable import TagTable, initial_values
from runtime.timekeeper import Timekeeper
from runtime.versions.service import Versions
from runtime.versions.start import Beginning
from runtime.versions.units import bases_of

log = logging.getLogger(__name__)
COMMAND_LIMIT = 1000
LOOK_S = 1.0  # how often it is looked whether an admin exists
LEAVE_S = 0.5  # so that who asked for it gets an answer


class KernelPort:
    """What one component may do; see `runtime.contract.Port`."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.name = name
        self.tags = kernel.table
        self.clock = kernel.clock
        self._kernel = kernel
        self.look_up()
        self._subscriptions: list[Mailbox | Journal | EventStream] = []
        self._commands: asyncio.Queue[GateCommand] | None = None

    def look_up(self) -> None:
        """Look up which tags are the component's own, among those that there are now."""
        self._own = np.array([tag.source == self.name for tag in self.tags], np.bool_)

    def submit(self, batch: Batch) -> None:
        self._check_own(batch)
        self._kernel.bus.publish(batch)

    def _check_own(self, batch: Batch) -> None:
        if not self._own[batch.ids].all():
            strangers = {self.tags[id_].path for id_ in batch.ids[~self._own[batch.ids]].tolist()}
            raise PermissionError(f"{self.name} is not the source of {', '.join(sorted(strangers)[:5])}")

    def changes(self, ids: NDArray[np.int32], *, every: bool = False) -> Mailbox | Journal:
        bus = self._kernel.bus
        subscription = bus.journal(ids) if every else bus.mailbox(ids)
        self._subscriptions = [each for each in self._subscriptions if not each.closed]
        self._subscriptions.append(subscription)
        return subscription

    async def write(self, tag: Tag, value: Value, actor: Actor, reason: str = "") -> None:
        self._check(actor)
        await self._kernel.gate.write(tag, value, actor, reason)

    async def judge(self, writes: Sequence[tuple[Tag, Value]], actor: Actor, reason: str = "") -> None:
        self._check(actor)
        await self._kernel.gate.judge(writes, actor, reason)

    async def audit_refusal(self, tag: Tag, value: Value, actor: Actor, why: str, reason: str = "") -> None:
        await self._kernel.gate.audit_refusal(tag, value, actor, why, reason)

    async def commands(self) -> AsyncIterator[Command]:
        queue: asyncio.Queue[GateCommand] = asyncio.Queue(COMMAND_LIMIT)
        self._commands = queue
        while True:
            yield await queue.get()

    def authenticate(self, name: str, secret: str, via: str, address: str = "") -> Actor | None:
        return self._kernel.identity.authenticate(name, secret, via, address)

    def authenticate_certificate(self, fingerprint: str, via: str) -> Actor | None:
        return self._kernel.identity.by_certificate(fingerprint, self.clock.now_ns(), via)

    async def may_listen(self, host: str) -> None:
        if is_loopback(host):
            return
        while not self._kernel.identity.admin_exists():
            self.health(False, f"does not listen on {host}: {NO_ADMIN}")
            await self.clock.sleep(LOOK_S)
        self.health(True)

    def emit(self, event: Event) -> None:
        self._kernel.emit(event)

    def events(self, *kinds: str) -> EventStream:
        stream = self._kernel.bus.events(*kinds)
        self._subscriptions.append(stream)
        return stream

    async def history(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, limit: int | None = None
    ) -> Batch:
        if self._kernel.historian is None:
            raise PlantError("this plant keeps no history", "add history: to the plant file")
        return await self._kernel.historian.query(ids, start_ns, end_ns, limit)

    async def figures(
        self, ids: NDArray[np.int32], start_ns: int, end_ns: int, interval_ns: int, mode: str
    ) -> Mapping[int, HistoryPoints]:
        if self._kernel.historian is None:
            raise PlantError("this plant keeps no history", "add history: to the plant file")
        return await self._kernel.historian.figures(ids, start_ns, end_ns, interval_ns, mode)

    async def backfill(self, batch: Batch) -> None:
        self._check_own(batch)
        if self._kernel.historian is not None:
            await self._kernel.historian.backfill(batch)

    def alarms(self) -> Sequence[Mapping[str, Any]]:
        return self._kernel.alarms.views()

    async def command_alarm(
        self, verb: str, alarm: str, actor: Actor, reason: str = "", for_ns: int = 0
    ) -> None:
        self._check(actor)
        await self._kernel.command_alarm(verb, alarm, actor, reason, for_ns)

    def plc(self) -> PlcOutline | None:
        controller = self._kernel.gate.forcing.find()
        return controller.outline() if controller is not None else None

    async def restart_plc(self, actor: Actor, *, cold: bool, task: str = "", reason: str = "") -> None:
        self._check(actor)
        await self._kernel.gate.forcing.restart(cold=cold, actor=actor, reason=reason, task=task)

    async def restart(self, name: str, actor: Actor, reason: str = "") -> None:
        self._check(actor)
        await self._kernel.restart(name, actor, reason)

    def _check(self, actor: Actor) -> None:
        """Refuse a client that logged in before its user was removed or changed."""
        if not self._kernel.identity.still(actor, self.clock.now_ns()):
            raise ForbiddenError(f"{actor.name} is not what it was when it logged in", "log in again")

    def health(self, ok: bool, text: str = "") -> None:
        self._kernel.supervisor.health(self.name, ok, text)

    # The kernel's side.

    def deliver(self, command: GateCommand) -> bool:
        """Hand a write to the component; False when it takes none now."""
        if self._commands is None or self._commands.full():
            return False
        self._commands.put_nowait(command)
        return True

    def end(self) -> None:
        """Forget what an ended run held; its values are not good any more."""
        while self._subscriptions:
            self._subscriptions.pop().close()
        while self._commands is not None and not self._commands.empty():
            self._commands.get_nowait().failed(f"{self.name} stopped")
        self._commands = None
        ids = np.flatnonzero(self._own).astype(np.int32)
        if len(ids):
            last = self.tags.snapshot(ids)
            quality = np.full(len(ids), Quality.BAD_NOT_CONNECTED, np.uint32)
            times = np.full(len(ids), self.clock.now_ns(), np.int64)
            self._kernel.bus.publish(Batch(ids, last.raw, quality, times, last.text))


@runtime_checkable
class Adaptable(Protocol):
    """A component that takes other tags while it runs; see `runtime.config.Basis`."""

    async def renew(self) -> None:
        """Look at the tags anew: its port has the new ones."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a section, and the unit (`runtime.versions.units`) with which it comes and goes."""

    component: Component
    kind: str
    unit: str


def parts_of(assembly: Assembly, plant: Plant, units: Container[str] | None = None) -> list[Part]:
    """Build the components of the sections, or of those units; `plant` is what they are built for."""
    parts = []
    for entry in assembly.sections:
        names = bases_of(plant, entry)
        if units is not None and not any(name in units for name in names):
            continue
        kind = str(entry.key[0]).removesuffix("s")
        for component in entry.plugin.build(plant, entry.config):
            unit = component.name if component.name in names else next(iter(names), entry.name)
            if units is None or unit in units:
                parts.append(Part(component, kind, unit))
    return parts


class Kernel:
    """Runs an assembled plant until it is told to stop.

    `extra` are components beside those of the plant's sections, for benches. `begin` tells which version of
    the configuration the assembly is. `server` serves the services.

    Attributes:
        again: the plant is to be started again when `run` has ended.
        parts: the components of the sections, and the extra ones.
    """

    server = ApiServer

    def __init__(
        self,
        assembly: Assembly,
        clock: SteppingClock | None = None,
        extra: Iterable[Component] = (),
        begin: Beginning | None = None,
    ) -> None:
        self.plant = assembly.plant
        self.clock: SteppingClock = clock or WallClock()
        self.started_ns = self.clock.now_ns()
        self.again = False
        self.started_steady_ns = self.clock.steady_ns()
        self.table = TagTable(self.plant.tags)
        self.bus = Bus(self.table)
        self.identity = Identity(self.plant.head.users, root=self.plant.root, login=self.plant.head.login)
        self.supervisor = Supervisor(self.clock, self.emit)
        self.ready = asyncio.Event()
        self._leave = asyncio.Event()
        self.log: LogFile | None = None  # who runs the kernel gives it one
        state = self.plant.state
        try:
            make_folder(state)
        except OSError as exc:
            text = f"the state folder {state} cannot be made: {exc.strerror}"
            raise PlantError(text, "give it room and rights, or set state: in the plant file") from exc
        self.journal = JournalStore(state / "journal.sqlite", self.clock)
        self.alarms = AlarmService(self.plant.alarms, self.plant.tags, self.journal)
        head = self.plant.head
        self.historian: Historian | None = None
        if head.history:
            self.historian = Historian(state / "history.duckdb", head.history, self.plant.tags, self.clock)
        self.versions = Versions(self, assembly, begin)
        self._ports: dict[str, KernelPort] = {}
        self.gate = Gate(
            self.table, self.clock, self.journal, self.bus.publish, self._deliver, self.plant.head.gate
        )
        self.gate.forcing.find = self._controller
        core: list[tuple[str, Component]] = [("kernel", Figures(self)), ("alarms", self.alarms)]
        accounts = Accounts(self.identity, self.journal, self.clock)
        certificates = Certificates(self.identity, self.journal, self.clock)
        core.append(("gate", Keeper(self.gate, self.identity, accounts, certificates)))
        core.append(("clock", Timekeeper(self.clock, self._clock_set)))
        core.append(("journal", Room(self.journal, head.journal)))
        self.backups = Backups(self.plant, self.clock, self.journal, self.gate.attempts, self.historian)
        if head.backup:
            core.append(("backup", self.backups))
        if self.historian:
            core.append(("historian", self.historian))
        if self.historian and head.history and head.history.sink:
            sink = Sink(self.historian, head.history.sink, self.plant.name, self.plant.folder, state)
            core.append((sink.name, sink))
        self.api = self.server(self)
        core.append(("api", self.api))
        core.append(("config", self.versions))
        self._core = [component.name for _, component in core]
        self.parts = [Part(each, "extra", each.name) for each in extra]
        self.parts += parts_of(assembly, self.plant)
        for kind, component in core:
            self._add(component, kind)
        for part in self.parts:
            self._add(part.component, part.kind)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; stores are flushed and sockets closed before it returns.

        Raises:
            PlantError: the plant runs already, a port is taken, or the journal cannot be opened.
        """
        self.api.bind()
        try:
            with statelock.held(self.plant.state):
                await self._run(stop)
        finally:
            self.api.release()

    async def _run(self, stop: asyncio.Event) -> None:
        try:
            await self.journal.open()
            for problem in self.journal.problems:
                log.error("%s", problem)
            await self._restore()
            await self.versions.started()
            self.ready.set()
            core = asyncio.create_task(self.supervisor.run(*self._core))
            names = [part.component.name for part in self.parts]
            field = asyncio.create_task(self.supervisor.run(*names, others=True))
            told = asyncio.create_task(stop.wait())
            left = asyncio.create_task(self._leave.wait())
            try:
                await asyncio.wait({told, left, core}, return_when=asyncio.FIRST_COMPLETED)
            finally:  # who cancels it waits as well until all has ended
                await whole(self._end(told, left, field, core))
        finally:
            await self.journal.close()

    async def _end(self, *tasks: asyncio.Task[Any]) -> None:
        """Stop one after the other, the field before the core: its last values still reach the stores."""
        self.alarms.end_of_values()
        for task in tasks:
            task.cancel()
            await asyncio.wait({task})
        core = tasks[-1]
        if not core.cancelled():
            core.result()
        await self.versions.stopped()

    async def _restore(self) -> None:
        """Take up accounts and the gate's state; give operator tags the values they had, or their initial."""
        self.identity.restore(*await self.journal.read(account_rows))
        self.identity.lockout.restore(await self.journal.read(lock_rows), self.clock.now_ns())
        self.identity.restore_certificates(await self.journal.read(certificate_rows))
        sooner = self.gate.restore(*await self.journal.read(gate_rows), await self.journal.read(unanswered))
        try:
            await self.journal.append_all(sooner)
        except StoreError as exc:  # no reason not to run
            log.error("values for a time that end sooner cannot be kept: %s", exc)
        tags = [tag for tag in self.plant.tags if tag.source == "operator"]
        if tags:
            self.bus.publish(initial_values(tags, self.started_ns))
            self.bus.publish(await self.journal.operator_values(self.table))

    async def prepare(self, assembly: Assembly, renewed: Container[str], wish: Wish) -> list[OnlineView]:
        """Let the units named get ready for another configuration; returns what those tell that can.

        Raises:
            PlantError: says why one is not.
        """
        changeable = {
            part.unit: part.component
            for part in self.parts
            if part.unit in renewed and isinstance(part.component, Changeable)
        }
        if not changeable:
            return []
        tags = self.plant.tags.succeeded_by(assembly.plant.tags)
        plant = replace(assembly.plant, tags=tags)
        fresh = await asyncio.to_thread(parts_of, assembly, plant, changeable)
        return [
            await changeable[part.unit].prepare(part.component, tags, wish)
            for part in fresh
            if part.component.name == changeable[part.unit].name
        ]

    async def become(
        self,
        assembly: Assembly,
        ended: Iterable[str],
        begun: Iterable[str],
        renewed: Container[str] = (),
    ) -> None:
        """Go on as another configuration of the plant; only the units named stop, start, or take new tags.

        Stores, sockets, the values of tags that stay, and all other components are carried over.

        Raises:
            ReturnedError: a component went back to what it was; all else has changed.
            PlantError: a component cannot be built, or the journal cannot be read; then nothing has changed.
        """
        ended, begun = set(ended), set(begun)
        tags = self.plant.tags.succeeded_by(assembly.plant.tags)
        plant = replace(assembly.plant, tags=tags)
        fresh = await asyncio.to_thread(parts_of, assembly, plant, begun)
        values = await self.journal.read(operator_values)
        taken_out = {each.name for each in self.plant.alarms} - {each.name for each in plant.alarms}
        with self.alarms.leaving(taken_out):
            for part in [each for each in self.parts if each.unit in ended]:
                await self.supervisor.end(part.component.name)
                del self._ports[part.component.name]
                self.parts.remove(part)
            self._succeed(plant)
            self._give_values(restored(values, self.table))
            await self.alarms.renew(plant.alarms, tags)
        if self.historian and plant.head.history:
            try:
                await self.historian.renew(plant.head.history, tags)
            except StoreError as exc:  # it registers them when it starts anew
                log.error("the history does not take the new tags: %s", exc)
                self.supervisor.restart("historian")
        returned: PlantError | None = None
        for part in self.parts:
            if part.unit in renewed and isinstance(part.component, Adaptable):
                try:
                    await part.component.renew()
                except PlantError as exc:
                    returned = exc
        for part in fresh:
            self.parts.append(part)
            self._add(part.component, part.kind)
            self.supervisor.begin(part.component.name)
        await self.api.renew()
        if returned is not None:
            raise ReturnedError(returned.text, returned.remedy) from returned

    def _succeed(self, plant: Plant) -> None:
        """Let everything know the plant's new tags and rules, in one step of the loop."""
        before, self.plant = self.plant, plant
        gone = [
            tag.id for tag, now in zip(before.tags, plant.tags, strict=False) if tag.path and not now.path
        ]
        self._spoil(gone, Quality.BAD_OUT_OF_SERVICE)
        moved = [
            tag.id
            for tag, now in zip(before.tags, plant.tags, strict=False)
            if now.path and tag.source != now.source
        ]
        self._spoil(moved, Quality.BAD_WAITING_FOR_INITIAL_DATA)
        self.table.succeed(plant.tags)
        self.bus.widen()
        for port in self._ports.values():
            port.look_up()
        self.gate.configure(plant.head.gate)
        self.identity.configure(plant.head.users)

    def _spoil(self, ids: list[int], quality: Quality) -> None:
        """Leave no good value where its source is gone."""
        if ids:
            last = self.table.snapshot(np.array(ids, np.int32))
            qualities = np.full(len(ids), quality, np.uint32)
            times = np.full(len(ids), self.clock.now_ns(), np.int64)
            self.bus.publish(Batch(last.ids, last.raw, qualities, times, last.text))

    def _give_values(self, kept: Batch) -> None:
        """Give operator tags that have no value yet the one they had, or their initial one."""
        waiting = self.table.quality == Quality.BAD_WAITING_FOR_INITIAL_DATA
        fresh = [tag for tag in self.table if tag.source == "operator" and waiting[tag.id]]
        self.bus.publish(initial_values(fresh, self.clock.now_ns()))
        self.bus.publish(kept.take(np.flatnonzero(waiting[kept.ids])))

    def _add(self, component: Component, kind: str) -> None:
        port = self._ports[component.name] = KernelPort(self, component.name)
        self.supervisor.add(component, kind, port, port.end)

    def leave(self) -> None:
        """End, to be started again with what the plant folder says then."""
        self.again = True
        asyncio.get_running_loop().call_later(LEAVE_S, self._leave.set)

    async def _clock_set(self, step_ns: int) -> None:
        """Move all that is timed with the clock, before anything else runs; then see that it is kept."""
        self.started_ns += step_ns
        self.alarms.clock_set(step_ns)
        holds = self.gate.clock_set(step_ns)
        try:
            if holds:
                await self.journal.append_all(holds)
        finally:
            if self.historian:  # also where the disk is full: else it takes all it has for too old
                await self.historian.clock_set(step_ns)

    def emit(self, event: Event) -> None:
        self.bus.emit(event)

    def health(self) -> dict[str, Any]:
        """Return the kernel's state in figures, as the API tells it."""
        states = [view["state"] for view in self.supervisor.views()]
        return {
            "ok": not any(state in ("faulted", "degraded") for state in states),
            "components": {state: states.count(state) for state in sorted(set(states))},
            "history": asdict(self.historian.stats()) if self.historian else None,
            "bus": {"updates": self.table.updates, "overflow": self.bus.overflow},
        }

    def _controller(self) -> Controller | None:
        components = [part.component for part in self.parts]
        return next((each.controller for each in components if isinstance(each, Controlled)), None)

    def _deliver(self, command: GateCommand) -> bool:
        port = self._ports.get(command.tag.source)
        return port is not None and self.supervisor.alive(port.name) and port.deliver(command)

    async def acknowledge(self, alarm: str, actor: Actor, comment: str = "") -> dict[str, Any]:
        """Acknowledge an alarm, audited; returns when it is on disk.

        Raises:
            WriteRejectedError: says why not.
        """
        return await self.command_alarm("acknowledge", alarm, actor, comment)

    async def command_alarm(
        self, verb: str, alarm: str, actor: Actor, reason: str = "", for_ns: int = 0
    ) -> dict[str, Any]:
        """Carry out a command on an alarm (`runtime.alarms.COMMANDS`), audited; returns when it is on disk.

        Raises:
            WriteRejectedError: says why not.
        """
        told = f"for {format_duration(for_ns)}: {reason}" if for_ns else reason
        actor = self.alarms.engine.at(actor, alarm)
        attempts = self.gate.attempts
        return await attempts.around(
            attempts.entry(verb, alarm, actor, told),
            lambda row: self.alarms.command(verb, alarm, actor, reason, for_ns, row),
        )

    async def restart(self, name: str, actor: Actor, reason: str = "") -> None:
        """Restart a component, audited.

        Raises:
            WriteRejectedError: no such component, or the role does not allow it.
        """

        async def work(row: AuditEntry) -> None:
            if (refusal := lacking(actor, Role.ENGINEER, "a restart")) is not None:
                raise refusal
            self.supervisor.find(name)
            await self.gate.attempts.record(row)
            self.supervisor.restart(name)

        attempts = self.gate.attempts
        await attempts.around(attempts.entry("restart", name, actor, reason), work)

    async def record(
        self, name: str, actor: Actor, for_ns: int, most: int, reason: str = "", peer: str = ""
    ) -> Recording:
        """Begin a recording of a component's traffic, audited; the caller closes it.

        Raises:
            WriteRejectedError: it has none, is being recorded, or the role does not allow it.
        """

        async def work(row: AuditEntry) -> Recording:
            if (refusal := lacking(actor, Role.ENGINEER, "a recording")) is not None:
                raise refusal
            component = self.supervisor.find(name).component
            if not isinstance(component, Recordable):
                raise WriteRejectedError(f"{name} has no traffic to record", "name a driver that connects")
            recording = component.recorder.begin(for_ns, most, peer)
            try:
                detail = f"{format_duration(for_ns)}, at most {most} bytes" + (f", of {peer}" if peer else "")
                await self.gate.attempts.record(replace(row, detail=detail))
            except BaseException:
                recording.close()
                raise
            return recording

        attempts = self.gate.attempts
        return await attempts.around(attempts.entry("record", name, actor, reason), work)


def open_kernel(assembly: Assembly) -> Kernel:
    """Check an assembled plant and build its kernel.

    Raises:
        ConfigError: with every finding.
    """
    with ThreadPoolExecutor(1) as beside:  # a program that must be compiled takes a while, in a child process
        found = beside.submit(assembly.check)
        try:
            kernel = Kernel(assembly)
        finally:
            errors = [each for each in found.result() if each.severity == "error"]
            if errors:
                raise ConfigError(errors)
    return kernel
