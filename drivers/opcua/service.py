"""The running server: puts asyncua, image, address space and port together."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from asyncua import ua

from drivers.frame.serving import Served
from drivers.opcua.admission import UNTRUSTED, Admission
from drivers.opcua.alarms import Alarms
from drivers.opcua.capabilities import built, tell_capabilities
from drivers.opcua.certificate import own_certificate
from drivers.opcua.expiry import Expiry
from drivers.opcua.facts import Facts
from drivers.opcua.few import Few
from drivers.opcua.harden import HardenedFace
from drivers.opcua.history import History
from drivers.opcua.image import Image
from drivers.opcua.items import Watch
from drivers.opcua.limits import Limits
from drivers.opcua.model import MODEL, PlantNodes
from drivers.opcua.modelpart import ModelPart
from drivers.opcua.namespaces import still_nodes
from drivers.opcua.nodesets.records import install
from drivers.opcua.nodesets.vendor import Vendor
from drivers.opcua.plainwatch import PlainWatch
from drivers.opcua.plcmodel import release
from drivers.opcua.reads import Reads
from drivers.opcua.security import Refusals, offered
from drivers.opcua.server import CERTIFICATES
from drivers.opcua.session import Context, TagServer
from drivers.opcua.values import TagValues, moment
from drivers.opcua.watch import ColumnWatch
from drivers.opcua.wire import Wire
from runtime.contract import Actor, Batch, Changes, Event, Events, Port
from runtime.errors import ConnectError

log = logging.getLogger(__name__)
STOP_WITHIN_S = 2.0
TICK_S = 1.0
LOGINS_AT_ONCE = 2


class Known:
    """The plant's users, as the server asks for them."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._logins = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def by_password(self, name: str, secret: str, address: str) -> Actor | None:
        async with self._logins:  # each takes memory and a processor on purpose
            return await asyncio.to_thread(self._port.authenticate, name, secret, "opcua", address)

    def by_certificate(self, fingerprint: str) -> Actor | None:
        return self._port.authenticate_certificate(fingerprint, "opcua")


class Service:
    """One OPC UA server from listening to stopped."""

    def __init__(self, config: Any, plant: str, port: Port, vendor: Vendor, root: str = "") -> None:
        self._config = config
        self._plant = plant
        self._port = port
        self._vendor = vendor
        self._root = root
        self._application_uri = vendor.uris[1]
        anonymous = None if config.stranger is None else Actor("anonymous", config.stranger, "opcua")
        self._server = TagServer(Known(port), anonymous, config.plain, Refusals(self._told))
        self._server.max_connections = config.max_connections
        self._server.per_address = Limits.of(config.most_per_address)
        self._expiry = Expiry(config.name, CERTIFICATES, port)
        self._face = HardenedFace(self._server)
        tags = list(port.tags)
        self._image = Image(tags)
        self._values = TagValues(tags, self._image, port.clock)
        self._changes: Changes | None = None
        self._stale = False
        self._certificate_ns = 0
        self._facts = Facts(config.name, port, self._server)

    @property
    def served(self) -> Served:
        """Return what is counted of clients."""
        return self._server.served

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
        changes, events, standing = port.changes(ids), port.events("alarm.", "config.applied"), port.alarms()
        with self._bind() as bound:
            await self._prepare(state)
            self._server.admission = Admission(
                self._folder(state), self._config.strict, port.clock, self._refused
            )
            space = self._server.aspace
            tags = [self._values.tags[id_] for id_ in ids.tolist()]
            nodes = space._nodes = PlantNodes(space._nodes, self._plant, tags, self._values)
            install(nodes, still_nodes(self._vendor.uris, self._vendor.records, self._vendor.whole))
            nodes.bind(self._vendor.bound)
            model = nodes.parts[MODEL] = ModelPart(
                nodes, self._plant, port, self._config.machines, self._root
            )
            model.renew()
            alarms = Alarms(port, nodes, nodes.plant)
            alarms.begin(standing)
            quick, watch = self._serving(nodes)
            watch.alarms = alarms
            history = History(port, nodes, self._values.tags)
            async with asyncio.TaskGroup() as group:
                self._server.context = Context(
                    port, nodes, self._values, watch, alarms, group, quick, history, model, Few(port.clock)
                )
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
                    await self._tick(state)
                finally:
                    self._facts.take((), running=False)
                    await self._stop()

    async def _stop(self) -> None:
        """Stop asyncua's part; what takes longer than it may is left to the end of the tasks."""
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._face.stop()
        except TimeoutError:
            log.warning("%s was not done with its clients within %g s", self._config.name, STOP_WITHIN_S)

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
        if context.quick is not None and isinstance(context.watch, ColumnWatch):
            context.watch.wire = Wire(tags)
            context.quick.renew(context.watch.wire)
        context.history.renew(tags)
        context.nodes.renew([tags[id_] for id_ in ids.tolist()])
        context.model.renew()
        self._changes.follow(ids)

    def _serving(self, nodes: PlantNodes) -> tuple[Reads | None, Watch]:
        """Return who answers reads, and who watches tags."""
        values, clock = self._values, self._port.clock
        if not self._config.fast:
            return None, PlainWatch(nodes, values, clock)
        wire = Wire(values.tags)
        return Reads(self._image, nodes, wire), ColumnWatch(nodes, values, clock, wire)

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
        certificate = asyncio.to_thread(
            own_certificate, self._folder(state), self._application_uri, config.application_name
        )
        self._server.certificate, self._server.private_key = await certificate
        await face.init()
        await face.set_application_uri(self._application_uri)
        build = release()
        await face.set_build_info(
            face.product_uri,
            face.manufacturer_name,
            face.name,
            build,
            build,
            built(),
        )
        for uri in self._vendor.uris[2:]:
            await face.register_namespace(uri)
        face.set_security_policy(offered(config.security))
        off = "" if config.plain else "; None is off, `security` can name it for clients that only read"
        log.info("%s offers %s%s", config.name, ", ".join(config.security), off)
        tell_capabilities(self._server.aspace._nodes)

    def _told(self, address: str, cause: str, remedy: str) -> None:
        name = self._config.name
        text = f"{name} refused a client at {address}: {cause}; {remedy}"
        log.warning("%s", text)
        self._port.emit(
            Event("driver.client_refused", name, self._port.clock.now_ns(), text, {"address": address})
        )

    def _folder(self, state: Path) -> Path:
        return state / "opcua" / str(self._config.name)

    def _refused(self, subject: str, print_: str, why: str) -> None:
        """Tell of a client whose certificate is not taken, and what to do."""
        name = self._config.name
        text = f"{name} refused {subject}: {why}"
        if why.startswith(UNTRUSTED):
            text += f"; compare its SHA-256, then: ironworks drivers trust {name} {print_[:16]}"
        log.warning("%s", text)
        data = {"subject": subject, "fingerprint": print_}
        self._port.emit(Event("driver.client_refused", name, self._port.clock.now_ns(), text, data))

    async def _follow(self, changes: AsyncIterator[Batch], watch: Watch) -> None:
        async for batch in changes:
            self._image.take(batch)
            await watch.post(batch.ids)

    async def _hear(self, events: Events, alarms: Alarms) -> None:
        lost = events.overflow
        async for event in events:
            if events.overflow > lost:
                for _ in events.drain():
                    pass  # older than what the alarms say now
                lost = events.overflow
                await alarms.compare(lost=True)
            elif "alarm" in event.data:
                await alarms.take(event)
            elif event.kind == "config.applied":
                await alarms.compare()
            if len(alarms.items):
                await self._port.clock.sleep(0)  # a flood of alarms does not keep others waiting

    async def _tick(self, state: Path) -> None:
        """Keep the server's clock, its certificates and the `sys/` tags current."""
        status = self._face.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus))
        current = self._face.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime))
        while True:
            self._facts.take(self._face.addresses, running=True)
            self._server.context.model.refresh()
            await self._look_at_certificates(state)
            now = moment(self._port.clock.now_ns())
            value = await status.read_value()
            value.CurrentTime = now
            await status.write_value(value)
            await current.write_value(ua.Variant(now, ua.VariantType.DateTime))
            await self._port.clock.sleep(TICK_S)

    async def _look_at_certificates(self, state: Path) -> None:
        """Take up a new certificate of our own, and let go of clients that are not trusted any more."""
        file = self._folder(state) / "certificate.der"
        certificate = self._server.certificate
        if file.exists() and file.stat().st_mtime_ns != self._certificate_ns:
            self._certificate_ns = file.stat().st_mtime_ns
            certificate, key = await asyncio.to_thread(
                own_certificate, self._folder(state), self._application_uri, self._config.application_name
            )
            if certificate != self._server.certificate:
                self._face.show(certificate, key)
        ends = {"certificate": self._server.certificate.not_valid_after_utc}
        admission = self._server.admission
        if admission is not None:
            if admission.changed():
                await self._face.let_go(admission)
            if admission.used:
                ends["client_certificate"] = min(each.until for each in admission.used.values())
        self._expiry.take(ends)


def _url(bound: socket.socket) -> str:
    host, number = bound.getsockname()[:2]
    return f"opc.tcp://[{host}]:{number}/" if ":" in host else f"opc.tcp://{host}:{number}/"
