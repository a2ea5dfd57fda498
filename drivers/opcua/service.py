"""The running server: puts asyncua, image, address space and port together."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from asyncua import ua

from drivers.opcua.alarms import Alarms
from drivers.opcua.certificate import own_certificate
from drivers.opcua.harden import HardenedFace
from drivers.opcua.image import Image
from drivers.opcua.model import PlantNodes
from drivers.opcua.session import MAX_WRITE, Context, TagServer
from drivers.opcua.values import TagValues, moment
from drivers.opcua.watch import Watch
from runtime.contract import Actor, Batch, Changes, Event, Port
from runtime.errors import ConnectError

STOP_WITHIN_S = 2.0
TICK_S = 1.0
LOGINS_AT_ONCE = 2
_POLICIES = (
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
)


class Service:
    """One OPC UA server from listening to stopped."""

    def __init__(self, config: Any, plant: str, port: Port) -> None:
        self._config = config
        self._plant = plant
        self._port = port
        self._logins = asyncio.Semaphore(LOGINS_AT_ONCE)
        self._application_uri = config.application_uri or f"urn:ironworks:{plant}"
        anonymous = None if config.stranger is None else Actor("anonymous", config.stranger, "opcua")
        self._server = TagServer(self._authenticate, anonymous, config.loopback)
        self._server.max_connections = config.max_connections
        self._face = HardenedFace(self._server)
        tags = list(port.tags)
        self._image = Image(tags)
        self._values = TagValues(tags, self._image, port.clock)
        self._changes: Changes | None = None
        self._stale = False
        self._facts = {
            each: port.tags[f"sys/drivers/{config.name}/{each}"].id
            for each in ("sessions", "subscriptions", "reads", "writes", "running")
        }

    async def run(self, state: Path, listening: Callable[[str], None]) -> None:
        """Serve until cancelled; `listening` is told the URL.

        Raises:
            ConnectError: the port cannot be had.
        """
        # asyncua logs each clumsy request as an error with a traceback; clients get status codes
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        port = self._port
        ids = port.tags.select(*self._config.expose)
        self._image.take(port.tags.snapshot(ids))
        changes, events = port.changes(ids), port.events("alarm.")
        with self._bind() as bound:
            await self._prepare(state)
            space = self._server.aspace
            tags = [self._values.tags[id_] for id_ in ids.tolist()]
            nodes = space._nodes = PlantNodes(space._nodes, self._plant, tags, self._values)
            alarms = Alarms(space, nodes.plant)
            watch = Watch(nodes, self._values, port.clock)
            async with asyncio.TaskGroup() as group:
                self._server.context = Context(port, nodes, self._values, watch, alarms, group)
                self._changes = changes
                if self._stale:
                    await self.renew()
                try:
                    await self._face.serve(bound)
                    url = _url(bound)
                    listening(url)
                    port.health(True, url)
                    group.create_task(self._follow(changes, watch))
                    group.create_task(self._hear(events, alarms))
                    await self._tick()
                finally:
                    self._tell(running=False)
                    async with asyncio.timeout(STOP_WITHIN_S):
                        await self._face.stop()

    async def renew(self) -> None:
        """Take the tags that there are now. Sessions, subscriptions and monitored items go on.

        A monitored item of a tag that is gone says that it is bad, and nothing more.
        """
        if self._changes is None:  # it still starts
            self._stale = True
            return
        port, context = self._port, self._server.context
        tags = list(port.tags)
        ids = port.tags.select(*self._config.expose)
        self._image.widen(tags)
        self._values.describe(tags)
        self._image.take(port.tags.snapshot(ids))
        context.watch.widen(len(tags))
        context.nodes.renew([tags[id_] for id_ in ids.tolist()])
        self._changes.follow(ids)

    def _bind(self) -> socket.socket:
        """Take the address before anything else is done: clients wait until the server answers."""
        host, number = self._config.host, self._config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, number), family=family)
        except OSError as exc:
            text = f"OPC UA server {self._config.name}: cannot listen on {host} port {number}"
            if exc.errno == errno.EADDRINUSE:
                remedy = (
                    "the port is in use: stop the program that has it, or set another `port` for this driver"
                )
                raise ConnectError(text, remedy) from exc
            raise ConnectError(f"{text}: {exc.strerror}", "correct `host` or `port` of this driver") from exc

    async def _prepare(self, state: Path) -> None:
        """Build asyncua's own part: standard nodes, names, certificate."""
        face, config = self._face, self._config
        host = f"[{config.host}]" if ":" in config.host else config.host
        face.set_endpoint(f"opc.tcp://{host}:{config.port}/")
        face.set_server_name(config.application_name)
        face.product_uri, face.manufacturer_name = "urn:ironworks", "Ironworks"
        face.application_type = ua.ApplicationType.Server
        folder = state / "opcua" / config.name
        certificate = asyncio.to_thread(
            own_certificate, folder, self._application_uri, config.application_name
        )
        self._server.certificate, self._server.private_key = await certificate
        await face.init()
        await face.set_application_uri(self._application_uri)
        try:
            build = version("ironworks")
        except PackageNotFoundError:  # from a source tree that is not installed
            build = "0"
        await face.set_build_info(
            face.product_uri,
            face.manufacturer_name,
            face.name,
            build,
            build,
            datetime(1970, 1, 1),  # noqa: DTZ001
        )
        await face.register_namespace(f"urn:ironworks:{self._plant}:tags")
        await face.register_namespace(f"urn:ironworks:{self._plant}:alarms")
        plain = [ua.SecurityPolicyType.NoSecurity] if self._server.plain_allowed else []
        face.set_security_policy([*plain, *_POLICIES])
        limit = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite)
        await face.get_node(limit).write_value(ua.Variant(MAX_WRITE, ua.VariantType.UInt32))

    async def _authenticate(self, name: str, secret: str) -> Actor | None:
        async with self._logins:  # each takes memory and a processor on purpose
            return await asyncio.to_thread(self._port.authenticate, name, secret, "opcua")

    async def _follow(self, changes: AsyncIterator[Batch], watch: Watch) -> None:
        async for batch in changes:
            self._image.take(batch)
            await watch.post(batch.ids)

    async def _hear(self, events: AsyncIterator[Event], alarms: Alarms) -> None:
        async for event in events:
            if "alarm" in event.data:
                await alarms.take(event)

    async def _tick(self) -> None:
        """Keep the server's clock and the `sys/` tags current."""
        status = self._face.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus))
        current = self._face.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime))
        while True:
            self._tell(running=True)
            now = moment(self._port.clock.now_ns())
            value = await status.read_value()
            value.CurrentTime = now
            await status.write_value(value)
            await current.write_value(ua.Variant(now, ua.VariantType.DateTime))
            await self._port.clock.sleep(TICK_S)

    def _tell(self, running: bool) -> None:
        sessions = [each for each in self._server.sessions if each.is_activated()]
        facts = {
            "sessions": len(sessions) if running else 0,
            "subscriptions": sum(len(each.subscription_service.subscriptions) for each in sessions)
            if running
            else 0,
            "reads": self._server.context.reads,
            "writes": self._server.context.writes,
            "running": int(running),
        }
        ids = [self._facts[each] for each in facts]
        self._port.submit(Batch.of(ids, list(facts.values()), self._port.clock.now_ns()))


def _url(bound: socket.socket) -> str:
    host, number = bound.getsockname()[:2]
    return f"opc.tcp://[{host}]:{number}/" if ":" in host else f"opc.tcp://{host}:{number}/"
