"""The kernel: one asyncio process that ties table, bus, gate, stores and components together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime import statelock
from runtime.alarms.service import AlarmService
from runtime.api.server import ApiServer
from runtime.assembly import Assembly
from runtime.backup.service import Backups
from runtime.bus import Bus, EventStream, Journal, Mailbox
from runtime.clock import WallClock
from runtime.config import format_duration
from runtime.contract import Actor, Batch, Clock, Command, Component, Event, Quality, Role, Tag, Value
from runtime.errors import ConfigError, ForbiddenError, PlantError
from runtime.figures import Figures
from runtime.gate.identity import Identity
from runtime.gate.keeper import Keeper
from runtime.gate.policy import Gate, GateCommand
from runtime.historian.hot import Historian
from runtime.journal import Journal as JournalStore
from runtime.journal.accounts import account_rows, lock_rows
from runtime.journal.certificates import certificate_rows
from runtime.journal.gatelog import gate_rows
from runtime.supervisor import Supervisor
from runtime.tagtable import TagTable, initial_values

log = logging.getLogger(__name__)
COMMAND_LIMIT = 1000


class KernelPort:
    """What one component may do; see `runtime.contract.Port`."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.name = name
        self.tags = kernel.table
        self.clock = kernel.clock
        self._kernel = kernel
        self._own = np.array([tag.source == name for tag in kernel.table], np.bool_)
        self._subscriptions: list[Mailbox | Journal | EventStream] = []
        self._commands: asyncio.Queue[GateCommand] | None = None

    def submit(self, batch: Batch) -> None:
        if not self._own[batch.ids].all():
            strangers = {self.tags[id_].path for id_ in batch.ids[~self._own[batch.ids]].tolist()}
            raise PermissionError(f"{self.name} is not the source of {', '.join(sorted(strangers)[:5])}")
        self._kernel.bus.publish(batch)

    def changes(self, ids: NDArray[np.int32], *, every: bool = False) -> Mailbox | Journal:
        bus = self._kernel.bus
        subscription = bus.journal(ids) if every else bus.mailbox(ids)
        self._subscriptions.append(subscription)
        return subscription

    async def write(self, tag: Tag, value: Value, actor: Actor, reason: str = "") -> None:
        self._check(actor)
        await self._kernel.gate.write(tag, value, actor, reason)

    async def commands(self) -> AsyncIterator[Command]:
        queue: asyncio.Queue[GateCommand] = asyncio.Queue(COMMAND_LIMIT)
        self._commands = queue
        while True:
            yield await queue.get()

    def authenticate(self, name: str, secret: str, via: str) -> Actor | None:
        return self._kernel.identity.authenticate(name, secret, via)

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

    async def acknowledge(self, alarm: str, actor: Actor, comment: str = "") -> None:
        self._check(actor)
        await self._kernel.acknowledge(alarm, actor, comment)

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


class Kernel:
    """Runs an assembled plant until it is told to stop.

    `extra` are components beside those of the plant's sections, for benches.
    """

    def __init__(
        self, assembly: Assembly, clock: Clock | None = None, extra: Iterable[Component] = ()
    ) -> None:
        self.plant = assembly.plant
        self.clock: Clock = clock or WallClock()
        self.started_ns = self.clock.now_ns()
        self.table = TagTable(self.plant.tags)
        self.bus = Bus(self.table)
        self.identity = Identity(self.plant.head.users, root=self.plant.root, login=self.plant.head.login)
        self.supervisor = Supervisor(self.clock, self.emit)
        self.ready = asyncio.Event()
        state = self.plant.state
        try:
            state.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            text = f"the state folder {state} cannot be made: {exc.strerror}"
            raise PlantError(text, "give it room and rights, or set state: in the plant file") from exc
        self.journal = JournalStore(state / "journal.sqlite", self.clock)
        self.alarms = AlarmService(self.plant.alarms, self.plant.tags, self.journal)
        head = self.plant.head
        self.historian: Historian | None = None
        if head.history:
            self.historian = Historian(state / "history.duckdb", head.history, self.plant.tags, self.clock)
        self._ports: dict[str, KernelPort] = {}
        self.gate = Gate(
            self.table, self.clock, self.journal, self.bus.publish, self._deliver, self.plant.head.gate
        )
        core: list[tuple[str, Component]] = [("kernel", Figures(self)), ("alarms", self.alarms)]
        core.append(("gate", Keeper(self.gate, self.identity)))
        self.backups = Backups(self.plant, self.clock, self.journal, self.gate.attempts, self.historian)
        if head.backup:
            core.append(("backup", self.backups))
        if self.historian:
            core.append(("historian", self.historian))
        self.api = ApiServer(self)
        core.append(("api", self.api))
        self._core = [component.name for _, component in core]
        field = [(entry.key, entry.plugin.build(self.plant, entry.config)) for entry in assembly.sections]
        plain = [(str(key[0]).removesuffix("s"), each) for key, components in field for each in components]
        plain += [("extra", each) for each in extra]
        self._field = [component.name for _, component in plain]
        for kind, component in core + plain:
            port = self._ports[component.name] = KernelPort(self, component.name)
            self.supervisor.add(component, kind, port, port.end)

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
            self.ready.set()
            core = asyncio.create_task(self.supervisor.run(*self._core))
            field = asyncio.create_task(self.supervisor.run(*self._field))
            told = asyncio.create_task(stop.wait())
            await asyncio.wait({told, core}, return_when=asyncio.FIRST_COMPLETED)
            for task in (told, field, core):  # the field first: its last values still reach the stores
                task.cancel()
                await asyncio.wait({task})
            if not core.cancelled():
                core.result()
        finally:
            await self.journal.close()

    async def _restore(self) -> None:
        """Take up accounts and the gate's state; give operator tags the values they had, or their initial."""
        self.identity.restore(*await self.journal.read(account_rows))
        self.identity.restore_locks(await self.journal.read(lock_rows), self.clock.now_ns())
        self.identity.restore_certificates(await self.journal.read(certificate_rows))
        self.gate.restore(*await self.journal.read(gate_rows))
        tags = [tag for tag in self.plant.tags if tag.source == "operator"]
        if tags:
            self.bus.publish(initial_values(tags, self.started_ns))
            self.bus.publish(await self.journal.operator_values(self.table))

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
        return await self.gate.audited(
            verb, alarm, actor, told, lambda: self.alarms.command(verb, alarm, actor, reason, for_ns)
        )

    async def restart(self, name: str, actor: Actor, reason: str = "") -> None:
        """Restart a component, audited.

        Raises:
            WriteRejectedError: no such component, or the role does not allow it.
        """

        async def work() -> None:
            if actor.role < Role.ENGINEER:
                have = actor.role.name.lower()
                raise ForbiddenError(f"{actor.name} is {have}; a restart needs engineer", "ask an engineer")
            self.supervisor.restart(name)

        await self.gate.audited("restart", name, actor, reason, work)


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
