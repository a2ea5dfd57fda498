"""The host application at work: connect, say that it is online, hear nodes, write for people."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from dataclasses import dataclass

from drivers.frame.recorder import Recorder
from drivers.frame.supervisor import Supervisor
from drivers.sparkplug.host.address import NodeId, Point
from drivers.sparkplug.host.facts import Facts
from drivers.sparkplug.host.nodes import EdgeNode, Told, What
from drivers.sparkplug.host.values import Values
from drivers.sparkplug.host.writing import Writing
from drivers.sparkplug.payload import decode
from drivers.sparkplug.topics import NAMESPACE, parse, state_topic
from drivers.sparkplug.transport import Connect, Connection, Message, cause_of, until_lost
from drivers.sparkplug.wire import PayloadError
from runtime.clock import SECOND_NS
from runtime.contract import Access, Batch, Event, Port
from runtime.errors import ConnectError, StoreError

log = logging.getLogger(__name__)
MS_NS = 1_000_000
TICK_S = 0.25
ASK_NS = 5 * SECOND_NS  # a node is asked for its births no more often
DOUBT_NS = 2 * ASK_NS  # long enough for a birth that was asked for twice
LEAVE_S = 2.0
MOST_LISTED = 5
MOST_PAST = 1000  # messages of the past that wait for the history


@dataclass(frozen=True, slots=True)
class Plan:
    """What a host does, as the plant file says."""

    name: str
    host: str
    urls: tuple[str, ...]
    points: tuple[Point, ...]
    reorder_ns: int
    timeout_s: float
    watch_s: float


class SparkplugHost:
    """The component."""

    def __init__(self, plan: Plan, connect: Connect) -> None:
        self.name = plan.name
        self._plan = plan
        self._connect = connect
        self.recorder = Recorder(plan.name)

    async def run(self, port: Port) -> None:
        run = _Run(self._plan, port, self._connect)
        self.recorder.follow(run.link.traffic, port.clock)
        await run.go()


class _Run:
    """One life of the component."""

    def __init__(self, plan: Plan, port: Port, connect: Connect) -> None:
        self.plan, self.port, self.clock, self.connect = plan, port, port.clock, connect
        self.values = Values(plan.name, plan.points, port)
        self.nodes = {node: EdgeNode() for node in self.values.nodes}
        self.asked_ns: dict[NodeId, int] = {}
        self.late_ns: dict[NodeId, int] = {}
        self.doubted_ns: dict[NodeId, int] = {}
        self.facts = Facts(plan.name, port, len(self.nodes))
        self.link = self.facts.link
        self.link.items = len(plan.points)
        self.supervisor = Supervisor(self.link, self.clock, len(plan.urls))
        own = [point for point in plan.points if point.tag.access is Access.READ_WRITE]
        self.writing = Writing(plan.name, own, self.nodes, self.clock, plan.timeout_s)
        self.past: deque[Batch] = deque(maxlen=MOST_PAST)
        self.past_lost = 0  # messages, since it was told
        self.past_wake = asyncio.Event()
        self.contradicted = asyncio.Event()
        self.turn = 0
        self.began, self.begun_ns = False, self.clock.steady_ns()
        self.marked = False

    async def go(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.tick_second())
            tasks.create_task(self.fill())
            if self.writing.points:
                tasks.create_task(self.writing.commands.take(self.port.commands()))
            tasks.create_task(self.supervisor.keep(self.attempt, self.lose))

    async def tick_second(self) -> None:
        while True:
            self.look()
            self.facts.tell()
            await self.clock.sleep(1.0)

    def look(self) -> None:
        """Count what is read, and tell which of it is not."""
        nodes, link = self.nodes, self.link
        self.facts.nodes_online = sum(node.online for node in nodes.values())
        gone = []
        if self.clock.steady_ns() - self.begun_ns > ASK_NS:  # before, they may just be about to tell
            gone = [str(name) for name, node in nodes.items() if not node.online]
        link.trouble("nodes", f"no word from {_listed(gone)}" if gone else "")
        link.refused = self.values.refused
        text = f"{link.refused} of {link.items} tags are refused: see the events of this driver"
        link.trouble("refused", text if link.refused else "")

    async def fill(self) -> None:
        """Put what nodes kept into history; without one it is passed over."""
        while True:
            await self.past_wake.wait()
            self.past_wake.clear()
            while self.past:
                try:
                    await self.port.backfill(self.past.popleft())
                except StoreError as exc:
                    log.warning("%s: values of the past are not stored: %s", self.plan.name, exc)
            if self.past_lost:
                text = f"{self.past_lost} messages of the past were lost: history took none for too long"
                log.warning("%s: %s", self.plan.name, text)
                self.port.emit(Event("driver.history_lost", self.plan.name, self.clock.now_ns(), text))
                self.past_lost = 0

    async def attempt(self) -> None:
        """Hold one connection with the broker whose turn it is.

        Raises:
            ConnectError: it is lost.
        """
        self.began = False
        await self.use(self.plan.urls[self.turn % len(self.plan.urls)])

    def lose(self, reason: str) -> None:
        """Take in that nodes are not heard: the next broker is tried."""
        self.turn += 1
        for node in self.nodes.values():
            node.forget()
        if self.began or not self.marked:
            self.marked = True
            self.values.lose()
        self.writing.commands.lose(reason)
        self.facts.broker = ""
        self.facts.tell()

    async def use(self, url: str) -> None:
        """Hold one connection until it is lost.

        Raises:
            ConnectError: it is.
        """
        topic, at_ms = state_topic(self.plan.host), self.clock.now_ns() // MS_NS
        will = Message(topic, _state(False, at_ms), True)
        connection = await self.connect(url, will, self.hear, self.link.traffic, self.clock)
        polite = True
        try:
            filters = [f"{NAMESPACE}/{node.group}/+/{node.node}/#" for node in self.nodes]
            await connection.subscribe([topic, *filters])
            await connection.publish(Message(topic, _state(True, at_ms), True), qos=1)
            self.contradicted.clear()
            self.begin(url)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(until_lost(connection))
                tasks.create_task(connection.watch(f"{topic}/none", self.plan.watch_s))
                tasks.create_task(self.insist(connection, Message(topic, _state(True, at_ms), True)))
                tasks.create_task(self.look_after(connection))
                tasks.create_task(self.writing.serve(connection))
        except BaseExceptionGroup as group:
            polite = False
            raise cause_of(group, ConnectError) from group
        except ConnectError:
            polite = False
            raise
        finally:
            await self.end(connection, topic, polite)

    def begin(self, url: str) -> None:
        self.began, self.begun_ns = True, self.clock.steady_ns()
        soon_ns = self.clock.steady_ns() - ASK_NS + SECOND_NS  # those that wait for us come by themselves
        self.asked_ns = dict.fromkeys(self.nodes, soon_ns)
        self.late_ns.clear()
        self.doubted_ns.clear()
        for node in self.nodes.values():
            node.lost = not node.online
        self.facts.broker = url
        self.supervisor.hear()
        self.facts.tell()

    async def end(self, connection: Connection, topic: str, polite: bool) -> None:
        """Say that we are offline, if we are still heard."""
        try:
            if polite and not connection.lost.is_set():
                async with asyncio.timeout(LEAVE_S):
                    said = _state(False, self.clock.now_ns() // MS_NS)
                    await connection.publish(Message(topic, said, True), qos=1)
        except (ConnectError, TimeoutError) as exc:
            log.debug("%s: no leave taken: %s", self.plan.name, exc)
        await connection.close(politely=polite)

    async def insist(self, connection: Connection, online: Message) -> None:
        """Say again that we are online when an old word says that we are not."""
        while True:
            await self.contradicted.wait()
            self.contradicted.clear()
            await connection.publish(online, qos=1)
            await self.clock.sleep(TICK_S)

    async def look_after(self, connection: Connection) -> None:
        """Ask nodes for births that are not known, and do not wait for ever for what is late.

        A node whose death does not go with its birth is asked for one, too, and is gone if it stays silent.
        """
        while True:
            now_ns = self.clock.steady_ns()
            for name, node in self.nodes.items():
                if not node.late:
                    self.late_ns.pop(name, None)
                elif now_ns - self.late_ns.setdefault(name, now_ns) >= self.plan.reorder_ns:
                    self.apply(name, list(node.give_up()))
                if not node.doubted:
                    self.doubted_ns.pop(name, None)
                elif now_ns - self.doubted_ns.setdefault(name, now_ns) >= DOUBT_NS:
                    self.apply(name, list(node.die()))
                since_ns = now_ns - self.asked_ns.get(name, now_ns - ASK_NS)
                if (node.lost or node.doubted) and since_ns >= ASK_NS:
                    self.asked_ns[name] = now_ns
                    self.facts.rebirths += 1
                    await connection.publish(self.writing.rebirth(name))
            await self.clock.sleep(TICK_S)

    def hear(self, message: Message) -> None:
        """Take in a message of the broker."""
        if message.topic == state_topic(self.plan.host):
            if not _says_online(message.payload):
                self.contradicted.set()
            return
        topic = parse(message.topic)
        name = NodeId(topic.group, topic.node) if topic else None
        if topic is None or name not in self.nodes or topic.verb.endswith("CMD"):
            return
        if message.retained:  # the broker kept it: the node may be gone since, and the standard has none
            self.link.traffic.refused("retained")
            return
        try:
            payload = decode(message.payload)
        except PayloadError as exc:
            self.link.traffic.refused("payload")
            log.debug("%s: %s is passed over: %s", self.plan.name, message.topic, exc)
            return
        self.facts.messages += 1
        self.apply(name, list(self.nodes[name].take(topic, payload)))

    def apply(self, name: NodeId, said: list[What]) -> None:
        past = self.values.take(name, said)
        if past is not None:
            self.past_lost += len(self.past) == MOST_PAST
            self.past.append(past)
            self.past_wake.set()
        for what in said:
            if isinstance(what, Told):
                self.facts.values += 1
                self.writing.hear(name, what)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


def _state(online: bool, at_ms: int) -> bytes:
    return json.dumps({"online": online, "timestamp": at_ms}).encode()


def _says_online(payload: bytes) -> bool:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("online") is True
