"""The edge node at work: collect, keep, connect, wait for the host, send, begin anew."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivers.frame.recorder import Recorder
from drivers.frame.supervisor import Supervisor
from drivers.sparkplug.catalogue import MS_NS, Catalogue, Published
from drivers.sparkplug.collecting import Collector
from drivers.sparkplug.commands import Commands
from drivers.sparkplug.facts import Facts
from drivers.sparkplug.primary import PrimaryHost
from drivers.sparkplug.reporting import Reporter, deadbands
from drivers.sparkplug.sending import Sending
from drivers.sparkplug.session import Session
from drivers.sparkplug.spool import Spool
from drivers.sparkplug.topics import parse, state_topic
from drivers.sparkplug.transport import Connect, Connection, Message, cause_of, until_lost
from runtime.contract import Actor, Changes, Event, Port, Tag
from runtime.errors import ConnectError, StoreError

log = logging.getLogger(__name__)
LEAVE_S = 2.0
HOST_S = 10.0  # how long a host is waited for before the next broker is tried
HOST_LEFT_S = 0.5  # a host that comes and goes all the time is not followed faster
_EMPTY_AGAIN = 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edge node does, as the plant file says."""

    name: str
    group: str
    node: str
    urls: tuple[str, ...]
    entries: tuple[Published, ...]
    devices: tuple[str, ...]
    online: dict[str, Tag]
    interval_ns: int
    every: bool
    deadband: tuple[float, bool] | None
    message_bytes: int
    queue_bytes: int
    hold_ns: int
    primary_host: str
    actor: Actor | None
    watch_s: float


class SparkplugEdge:
    """The component."""

    def __init__(self, plan: Plan, file: Path, connect: Connect) -> None:
        self.name = plan.name
        self._plan = plan
        self._file = file
        self._connect = connect
        self.recorder = Recorder(plan.name)

    async def run(self, port: Port) -> None:
        """Work until cancelled.

        Raises:
            StoreError: the queue cannot be opened.
        """
        plan = self._plan
        spool = Spool(self._file, port.clock, plan.queue_bytes)
        ids = np.array([entry.tag.id for entry in plan.entries], np.int32)
        changes = port.changes(ids, every=plan.every)  # what comes while the queue is opened counts as well
        try:
            await spool.open()
            aliases = await spool.aliases([entry.key for entry in plan.entries])
            catalogue = Catalogue(plan.entries, aliases, plan.devices, len(port.tags))
            run = _Run(plan, port, spool, catalogue, changes, self._connect)
            self.recorder.follow(run.link.traffic, port.clock)
            await run.go()
        finally:
            changes.close()
            await spool.close()


class _HostLeftError(Exception):
    """The primary host application is not there."""


class _Run:
    """One life of the component."""

    def __init__(
        self,
        plan: Plan,
        port: Port,
        spool: Spool,
        catalogue: Catalogue,
        changes: Changes,
        connect: Connect,
    ) -> None:
        self.plan, self.port, self.clock = plan, port, port.clock
        self.spool, self.catalogue = spool, catalogue
        self.connect = connect
        self.facts = Facts(plan.name, port)
        self.link = self.facts.link
        self.link.items = len(plan.entries)
        self.supervisor = Supervisor(self.link, self.clock, len(plan.urls))
        tags = [entry.tag for entry in catalogue.entries]
        reporter = Reporter(tags, deadbands(tags, plan.deadband))
        self.collector = Collector(port, catalogue, reporter, spool, plan.online, changes)
        self.host = PrimaryHost(plan.primary_host) if plan.primary_host else None
        self.sending: Sending | None = None
        self.commands = Commands(port, catalogue, plan.actor, self.facts, self.rebirth, self.tell_again)
        self.turn = 0
        self.disk_told = ""

    async def go(self) -> None:
        if self.spool.problem:
            self.emit("driver.queue_damaged", self.spool.problem)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.collect())
                tasks.create_task(self.tick_second())
                tasks.create_task(self.commands.serve())
                tasks.create_task(self.supervisor.keep(self.attempt, self.lose))
        finally:
            self.collector.collect()

    def emit(self, kind: str, text: str) -> None:
        self.port.emit(Event(kind, self.plan.name, self.clock.now_ns(), text))

    # The queue.

    async def collect(self) -> None:
        due_ns = self.clock.steady_ns()
        while True:
            due_ns = max(due_ns + self.plan.interval_ns, self.clock.steady_ns())
            await self.clock.sleep_until(due_ns)
            self.collector.collect()
            await self.spool.flush()
            self.tell_queue()
            if self.sending is not None:
                self.sending.wake.set()

    def tell_queue(self) -> None:
        facts, spool = self.facts, self.spool
        before = facts.queued > 0, facts.evicting
        if spool.evicted > facts.evicted and not facts.evicting:
            facts.evicting = True
            text = "the queue is full: the oldest values are given up unsent, until there is room again"
            self.emit("driver.queue_evicting", f"{self.plan.name}: {text}")
        facts.queued, facts.evicted = spool.rows, spool.evicted
        facts.queue_pct = round(100 * spool.bytes / self.plan.queue_bytes, 1)
        room = spool.bytes < _EMPTY_AGAIN * self.plan.queue_bytes
        if facts.evicting and self.link.online and room:
            facts.evicting = False
            text = f"the queue has room again; {spool.evicted} values were given up since the start"
            self.emit("driver.queue_has_room", f"{self.plan.name}: {text}")
        self.link.trouble("queue", spool.failing)
        if spool.failing != self.disk_told:
            self.disk_told = spool.failing
            if spool.failing:
                self.emit("driver.queue_failing", f"{self.plan.name} keeps values in memory: {spool.failing}")
        if (facts.queued > 0, facts.evicting) != before:
            facts.tell()

    def tell_again(self, tag: Tag) -> None:
        self.collector.collect()
        self.collector.tell_again([tag])
        if self.sending is not None:
            self.sending.wake.set()

    def rebirth(self) -> None:
        if self.sending is not None:
            self.sending.ask_rebirth()

    async def tick_second(self) -> None:
        while True:
            self.facts.tell()
            await self.clock.sleep(1.0)

    # The connection.

    async def attempt(self) -> None:
        """Hold one session with the broker whose turn it is.

        Raises:
            ConnectError: the connection is lost.
            StoreError: the queue cannot be used.
        """
        try:
            await self.use(self.plan.urls[self.turn % len(self.plan.urls)])
        except _HostLeftError as exc:
            self.emit("driver.host_offline", str(exc))
            self.lose(str(exc))
            await self.clock.sleep(HOST_LEFT_S)

    def lose(self, reason: str) -> None:
        """Take in that there is no session: the next broker is tried."""
        log.debug("%s: %s", self.plan.name, reason)
        self.turn += 1
        self.facts.broker, self.facts.host_online = "", False
        self.facts.tell()

    async def use(self, url: str) -> None:
        """Hold one session; a lost connection begins with the next broker.

        Raises:
            ConnectError: the connection is lost.
            StoreError: the queue cannot be used.
        """
        plan = self.plan
        session = Session(
            plan.group, plan.node, await self.spool.next_bdseq(), self.catalogue, plan.message_bytes
        )
        ncmd = session.topic("CMD")
        if self.host is not None:
            self.host.meet(url)
        will = Message(*session.death(self.clock.now_ns() // MS_NS))
        connection = await self.connect(url, will, self.hear, self.link.traffic, self.clock)
        sending = Sending(
            session, connection, self.catalogue, self.collector, self.spool, self.facts, self.clock,
            plan.hold_ns, plan.actor is not None,
        )  # fmt: skip
        lost, host_is_there = False, True
        try:
            filters = [ncmd, *(session.topic("CMD", device) for device in plan.devices)]
            if self.host is not None:
                filters.insert(0, state_topic(self.host.host))
            await connection.subscribe(filters)
            self.facts.broker = url
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(until_lost(connection))
                tasks.create_task(connection.watch(sending.fence, plan.watch_s))
                tasks.create_task(self.serve(connection, sending))
        except BaseExceptionGroup as group:
            error = cause_of(group, ConnectError, StoreError, _HostLeftError)
            lost = isinstance(error, ConnectError)
            host_is_there = not isinstance(error, _HostLeftError)
            raise error from group
        except ConnectError:
            lost = True
            raise
        finally:
            begun, self.sending = self.sending is not None, None
            await self.end(connection, sending if begun and not lost else None, host_is_there)

    async def serve(self, connection: Connection, sending: Sending) -> None:
        """Wait for the host application, then send until it leaves.

        Raises:
            _HostLeftError: it does, or it is not at this broker.
            ConnectError: the connection is lost.
            StoreError: the queue cannot be read.
        """
        if self.host is not None:
            await connection.fence(sending.fence)  # by then the broker has told what it retains
            await self.wait_for(self.host)
            self.host.left.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.send(sending))
            if self.host is not None:
                tasks.create_task(_until_left(self.host))

    async def send(self, sending: Sending) -> None:
        self.sending = sending
        self.facts.host_online = self.host is not None
        await sending.birth()
        self.link.trouble("host", "")
        self.supervisor.hear()
        self.facts.tell()
        await sending.run()

    async def end(self, connection: Connection, sending: Sending | None, host_is_there: bool) -> None:
        """Take leave if there is a session to end; a broker that does not listen is not waited for."""
        try:
            async with asyncio.timeout(LEAVE_S):
                if sending is not None and not connection.lost.is_set():
                    await sending.leave(host_is_there)
        except (ConnectError, TimeoutError) as exc:
            log.debug("%s: no leave taken: %s", self.plan.name, exc)
            sending = None
        await connection.close(politely=sending is not None)

    def hear(self, message: Message) -> None:
        """Take in a message of the broker."""
        if self.host is not None and message.topic == state_topic(self.host.host):
            if wrong := self.host.take(message.payload):
                log.warning(
                    "%s: a STATE message of %s is passed over: %s", self.plan.name, self.host.host, wrong
                )
            return
        topic = parse(message.topic)
        if topic is None or not topic.verb.endswith("CMD"):
            return
        if (topic.group, topic.node) == (self.plan.group, self.plan.node):
            self.commands.take(topic, message.payload, message.retained)

    async def wait_for(self, host: PrimaryHost) -> None:
        """Wait until the primary host application is online here.

        Raises:
            _HostLeftError: it is not, and there is another broker to try.
        """
        if host.online:
            return
        text = f"the primary host application {host.host} is not online"
        self.link.trouble("host", text)
        self.supervisor.hear()
        self.facts.tell()
        try:
            async with asyncio.timeout(HOST_S if len(self.plan.urls) > 1 else None):
                while not host.online:
                    host.changed.clear()
                    await host.changed.wait()
        except TimeoutError as exc:
            raise _HostLeftError(text) from exc


async def _until_left(host: PrimaryHost) -> None:
    await host.left.wait()
    raise _HostLeftError(f"the primary host application {host.host} went offline")
