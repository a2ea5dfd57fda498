"""The OPC UA client at work: connect, build everything from the list, notice silence, begin anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from drivers.frame.recorder import Recorder
from drivers.frame.supervisor import Supervisor
from drivers.opcua.client.building import build, retest
from drivers.opcua.client.errors import SilentError, SwitchError
from drivers.opcua.client.events import CARRIED, RAISED, Events
from drivers.opcua.client.facts import Facts
from drivers.opcua.client.gaps import Gaps
from drivers.opcua.client.items import Items
from drivers.opcua.client.partners import partners
from drivers.opcua.client.plan import Plan
from drivers.opcua.client.poll import poll
from drivers.opcua.client.reading import Reading
from drivers.opcua.client.redundancy import Servers
from drivers.opcua.client.session import CHUNK, Session
from drivers.opcua.client.status import Status, server_status
from drivers.opcua.client.subscribe import (
    LONGEST_PATIENCE,
    PATIENCE,
    Group,
    Publishing,
    Subscription,
)
from drivers.opcua.client.wiretypes import WireTypes
from drivers.opcua.client.writing import Writing
from drivers.opcua.expiry import Expiry
from runtime.clock import SECOND_NS
from runtime.contract import Batch, Event, Port, Quality
from runtime.errors import ConnectError

log = logging.getLogger(__name__)
FILL_S = 0.2
LEAST_AT_ONCE = 50  # items a request, for servers that take long to create them
LOOK_S = 0.2  # at most that often
SETTLE_S = 10.0  # so long another server may lag behind the one before
SKEW_TOLD_NS = 5 * SECOND_NS

Connect = Callable[[str, Facts], Awaitable[Session]]
Probe = Callable[[str], Awaitable[None]]


class OpcuaClient:
    """The component."""

    def __init__(self, plan: Plan, connect: Connect, probe: Probe) -> None:
        self.name = plan.name
        self.plan = plan
        self.connect = connect
        self.probe = probe
        self.recorder = Recorder(plan.name)

    async def run(self, port: Port) -> None:
        await _Run(port, self).go()


class _Run:
    """One life of the component."""

    def __init__(self, port: Port, client: OpcuaClient) -> None:
        self.plan, self.port, self.clock = client.plan, port, port.clock
        self.probe = client.probe
        self.items = Items(client.plan.read)
        self.reading = Reading(client.name, self.items, port)
        plan = client.plan
        self.gaps = Gaps(self.items, port)
        self.facts = Facts(client.name, port)
        self.link = self.facts.link
        self.writing = Writing(
            client.name, plan.written, plan.commanded, plan.results, port, self.link, verify=plan.verify
        )
        self.link.items = len(self.items)
        client.recorder.follow(self.link.traffic, self.clock)
        self.supervisor = Supervisor(self.link, self.clock, len(self.plan.urls))
        self.servers = Servers(
            self.plan.urls,
            lambda url: client.connect(url, self.facts),
            self.clock,
            self.look_s,
            self.plan.back_after_ns,
        )
        self.events = Events(client.name, plan.conditions, plan.events, port)
        self.expiry = Expiry(client.name, client.plan.certificates, port)
        self.calls = [point.tag for point in client.plan.commanded if point.address.method is not None]
        self.lost = asyncio.Event()
        self.skew_told = self.partners_told = False
        self.last_url = ""
        self.meant: dict[int, str] = {}
        self.patience = PATIENCE
        self.at_once = CHUNK
        self.publishing: Publishing | None = None

    @property
    def look_s(self) -> float:
        """Return how often servers are asked how they are."""
        return max(LOOK_S, self.plan.keep_alive_ns / SECOND_NS)

    async def go(self) -> None:
        try:
            await self._go()
        finally:
            waiting = self.servers.take()
            if waiting is not None:
                await waiting.close(politely=True)

    async def _go(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            if len(self.writing.outputs.ids):
                changes = self.port.changes(self.writing.outputs.ids)
                tasks.create_task(self.writing.take_changes(changes))
            if self.writing.commanded:
                tasks.create_task(self.writing.commands.take(self.port.commands()))
            if self.plan.conditions:
                alarms = self.port.events(*CARRIED, RAISED)
                tasks.create_task(self.events.follow(alarms))
                tasks.create_task(self.events.take_over())
            if self.plan.fill_gaps:
                tasks.create_task(self.gaps.keep())
            tasks.create_task(self.tick_second())
            tasks.create_task(self.supervisor.keep(self.attempt, self.lose))
            for url in self.plan.urls if len(self.plan.urls) > 1 else ():
                tasks.create_task(self.servers.keep(url))

    async def tick_second(self) -> None:
        try:
            while True:
                await self.clock.sleep(1.0)
                self.link.refused = len(self.items.refused)
                self.facts.standby = self.servers.standby
                self.facts.tell()
                self.expiry.tell()
                self.writing.look_again()
                if self.writing.outputs.retry():
                    self.writing.wake.set()
        finally:  # a task group that is just taking in a loss swallows that its own task is cancelled
            self.servers.ending = True
            self.lost.set()

    # The connection.

    async def attempt(self) -> None:
        """Connect and work until the server is lost, or another one is better.

        Raises:
            ConnectError: it is lost.
        """
        session = self.servers.take()
        if session is None:
            if self.supervisor.demoted:
                await self.probe(self.servers.active)
            session = await self.servers.open(self.servers.active)
        try:
            await self.use(session)
        except SwitchError as exc:
            self.port.emit(Event("driver.switched", self.plan.name, self.clock.now_ns(), exc.text))
            self.servers.use(exc.url)
            self.stop(exc.text)
            self.reading.degrade()
            self.facts.lose()

    def stop(self, reason: str) -> None:
        """Nothing is written or called until there is a connection again; a gap begins."""
        self.writing.commands.lose(reason)
        self.events.lose()
        if self.plan.fill_gaps:
            self.gaps.open(self.reading.everything.tolist())
        self.tell_calls(Quality.BAD_NO_COMMUNICATION)

    def lose(self, reason: str) -> bool:
        """Take in that the server is lost: uncertain at first; bad what was that, or at the next miss.

        Returns whether another one stands by.
        """
        self.stop(reason)
        if self.supervisor.answered:
            self.reading.degrade()
        else:
            self.reading.lose(self.reading.everything)
        self.facts.lose()
        return self.servers.next(self.supervisor.answered)

    def tell_calls(self, quality: int) -> None:
        """Methods have no value: what their tags tell is whether they can be called."""
        if not self.calls:
            return
        ids = [tag.id for tag in self.calls]
        text = {row: "" for row, tag in enumerate(self.calls) if tag.data_type.kind == "s"}
        raw = [tag.data_type.encode("" if tag.data_type.kind == "s" else 0) for tag in self.calls]
        self.port.submit(Batch.of(ids, raw, self.clock.now_ns(), quality, text))

    # One connection.

    async def use(self, session: Session) -> None:
        """Build everything and work until the connection is lost.

        Raises:
            ConnectError: it is.
        """
        politely = True
        try:
            await self._use(session)
        except BaseExceptionGroup as group:
            cause = _cause(group)
            if (
                isinstance(cause, SilentError) and not self.supervisor.answered
            ):  # may need longer for so many at once
                self.at_once = max(LEAST_AT_ONCE, self.at_once // 2)
            politely = isinstance(cause, SwitchError)
            if self.publishing is not None:  # one that never spoke may only be slow
                longer = min(2 * self.patience, LONGEST_PATIENCE)
                self.patience = PATIENCE if self.publishing.heard else longer
            raise cause from group
        except ConnectError:
            politely = False
            raise
        finally:
            await session.close(politely)

    async def _use(self, session: Session) -> None:
        self.publishing = None
        self.lost = asyncio.Event()
        session.when_lost(self.lost.set)
        await session.learn(self.meant)
        session.limits["items"] = min(session.limits["items"], self.at_once)
        self.tell_moved(session)
        await self.meet_partners(session)
        skew_ns = self.reading.skew_ns
        self.take_status(await server_status(session))
        if self.last_url not in ("", session.url):
            self.items.switch(self.reading.skew_ns - skew_ns)
        self.last_url = session.url
        types = WireTypes(session)
        await self.reading.meet(session, types)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_until_lost(self.lost))
            tasks.create_task(session.renew_channel())
            built = await self.build(session, tasks)
            self.hear(session)
            tasks.create_task(self.look_after(session))
            tasks.create_task(self.settle())
            if self.writing.outputs.points or self.writing.commanded:
                self.writing.start(session, types, tasks)
            if built:
                tasks.create_task(retest(session, built, self.reading, self.clock))
            if self.plan.fill_gaps and self.gaps.is_open:
                tasks.create_task(self.fill(session))

    def hear(self, session: Session) -> None:
        """Note that the server answers and has taken what we want."""
        self.writing.commands.online = True
        self.expiry.take(session.ends)
        self.tell_calls(Quality.GOOD)
        first = self.plan.urls[0]
        second = f"connected to {session.url}, not to the first server" if session.url != first else ""
        self.link.trouble("server", second)
        self.facts.server = session.url
        self.supervisor.hear()
        self.facts.tell()

    def tell_moved(self, session: Session) -> None:
        """Tell which indices of namespaces stand for others here: their tags are not read."""
        used = {point.address.node.namespace for point in (*self.items.points, *self.plan.written)}
        moved = {index: uri for index, uri in session.moved.items() if index in used}
        for index, uri in moved.items():
            text = f"ns={index} is not {uri} on {session.url}: write nsu={uri} into the addresses"
            self.port.emit(Event("driver.namespace_moved", self.plan.name, self.clock.now_ns(), text))

    async def meet_partners(self, session: Session) -> None:
        """Learn what the server says of others that stand in for it; tell of those not in `urls`."""
        found = await partners(session)
        self.servers.cold = found.is_cold
        if len(found.uris) > len(self.plan.urls) and not self.partners_told:
            self.partners_told = True
            text = f"{self.plan.name} has partners ({found.mode}) that `urls` does not name: {found.list()}"
            self.port.emit(Event("driver.partners", self.plan.name, self.clock.now_ns(), text))

    async def settle(self) -> None:
        """After a while believe the server that is used now, even where the one before knew newer values."""
        await self.clock.sleep(SETTLE_S)
        self.reading.settle()

    async def build(self, session: Session, tasks: asyncio.TaskGroup) -> list[Subscription]:
        """Create what is wanted, and have it heard."""
        plan = self.plan
        built: list[Subscription] = []
        polled: Sequence[Group] = plan.groups
        if not plan.polls:
            built, polled = await build(session, plan.groups, plan.keep_alive_ns, self.reading, self.facts)
        listening = await self.events.build(session, plan.keep_alive_ns) if self.events.wanted else None
        if listening is not None:
            built.append(listening)
        self.link.trouble("events", self.events.refused)
        if built:
            publishing = Publishing(session, built, self.reading, self.events, self.clock)
            for _ in range(publishing.count):
                tasks.create_task(publishing.pump())
            tasks.create_task(publishing.watch(self.patience))
            self.publishing = publishing
            tasks.create_task(publishing.mend())
            await self.events.refresh()
        for group in polled:
            tasks.create_task(poll(session, group, self.reading, self.clock))
        self.link.scan_requests = sum(-(-len(group.rows) // session.limits["read"]) for group in polled)
        return built

    async def look_after(self, session: Session) -> None:
        """Ask the server how it is: that is the probe of the way, and of its clock.

        Raises:
            SwitchError: another one is better.
            ConnectError: it does not answer.
        """
        while True:
            await self.clock.sleep(min(self.look_s, session.life_s / 3))  # a session without a request ends
            await self.events.carry()
            self.link.trouble("events", self.events.refused)
            self.take_status(await server_status(session))
            self.link.trouble("standby", self.servers.trouble)
            better = self.servers.better()
            if better is not None:
                url, why = better
                raise SwitchError(f"{self.plan.name} goes over to {url}: {why}", url)
            refused = len(self.items.refused)
            text = f"{refused} of {len(self.items)} tags are refused: see the events driver.address_refused"
            self.link.trouble("refused", text if refused else "")

    def take_status(self, status: Status) -> None:
        if status.time_ns is not None:
            now_ns = self.clock.now_ns()
            skew_ns = status.time_ns - now_ns
            if abs(skew_ns - self.reading.skew_ns) > SECOND_NS:  # else the way there and back is larger
                self.reading.skew_ns = skew_ns
            if abs(skew_ns) > SKEW_TOLD_NS and not self.skew_told:
                way = "ahead of" if skew_ns > 0 else "behind"
                text = f"the clock of {self.plan.name} is {abs(skew_ns) // SECOND_NS} s {way} ours"
                self.port.emit(Event("driver.clock_differs", self.plan.name, now_ns, text))
            self.skew_told = abs(skew_ns) > SKEW_TOLD_NS
        self.servers.note(status.level)
        self.facts.service_level = min(status.level, 255)
        self.link.trouble("state", status.trouble)

    async def fill(self, session: Session) -> None:
        """Put into history what was missed; without a history there, the gap stays as it was marked."""
        while self.gaps.is_open:
            await self.clock.sleep(FILL_S)
            await self.gaps.fill(session)


async def _until_lost(lost: asyncio.Event) -> None:
    await lost.wait()
    raise ConnectError("the connection is gone")


def _cause(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return what ended a group of tasks: a bug before what the server did."""
    leaves: list[BaseException] = []
    todo: list[BaseException] = list(group.exceptions)
    while todo:
        each = todo.pop(0)
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
        else:
            leaves.append(each)
    return next((each for each in leaves if not isinstance(each, ConnectError)), leaves[0])
