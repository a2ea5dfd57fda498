"""An OPC UA server on a free loopback port over a fake port; a client, and servers for it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Server, ua
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua.certificate import own_certificate
from drivers.opcua.chaos.campaign import ROOT as LINE
from drivers.opcua.chaos.campaign import Side
from drivers.opcua.chaos.process import Victim, free_port
from drivers.opcua.client.connect import POLICIES
from drivers.opcua.server import SECURE, OpcuaServer, OpcuaServerConfig, plugin
from drivers.opcua.trust import fingerprint
from runtime.clock import WallClock
from runtime.contract import Access, Clock, DataType, Role, Tag
from runtime.testing import FakePort
from runtime.tls.issue import new_client

ROOT = "nb/bottling/line1"
TAGS = [
    Tag(f"{ROOT}/all/{each.iec.lower()}", each, access=Access.READ_WRITE, source="plc") for each in DataType
]
TAGS += [
    Tag(
        f"{ROOT}/tank/level_pct",
        DataType.REAL,
        unit="%",
        unit_text="%",
        low=0.0,
        high=100.0,
        description="Syrup level",
        source="plc",
    ),
    Tag(f"{ROOT}/line/speed", DataType.REAL, low=0.0, high=60.0, access=Access.READ_WRITE),
    Tag(f"{ROOT}/line/recipe", DataType.INT, access=Access.READ_WRITE, role=Role.ENGINEER),
    Tag(f"{ROOT}/line/run", DataType.BOOL, access=Access.READ_WRITE, interlock="tank/level_pct > 5"),
]


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> Iterator[None]:
    """asyncua gives a look whether a server is alive one second, and leaves: a busy machine needs longer.

    So it does to log in, to take answers, to stop, and to answer those who come by hand.
    """
    patient = partialmethod(Client.__init__, timeout=60, watchdog_intervall=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "__init__", patient)
        patch.setattr("drivers.opcua.requests.LOGIN_WITHIN_S", 60.0)
        patch.setattr("drivers.opcua.listener.TAKEN_WITHIN_S", 600.0)
        patch.setattr("drivers.opcua.service.STOP_WITHIN_S", 60.0)
        patch.setattr("drivers.abuse.raw.SAID_WITHIN_S", 60.0)
        yield


@dataclass
class Served:
    port: FakePort
    url: str
    task: asyncio.Task[None]
    component: OpcuaServer

    def node(self, path: str) -> str:
        return f"ns=2;s={ROOT}/{path}"


class Serve:
    """Starts servers; the certificate is made once for the whole session."""

    def __init__(self, state: Path) -> None:
        self.state = state

    @asynccontextmanager
    async def __call__(
        self,
        tags: Iterable[Tag] = TAGS,
        clock: Clock | None = None,
        standing: Iterable[Mapping[str, Any]] = (),
        more: Iterable[Tag] = (),
        **config: Any,
    ) -> AsyncIterator[Served]:
        settings = OpcuaServerConfig(**{"name": "opcua", "port": 0, "security": ["None", *SECURE]} | config)
        declared = plugin.declare(Path(), ROOT, settings).tags
        port = FakePort([*tags, *more, *declared], "opcua", ROOT, clock or WallClock())
        port.users |= {"olga": ("pump", Role.OPERATOR), "erik": ("valve", Role.ENGINEER)}
        port.users |= {"admin": ("s3cret", Role.ADMIN), "vera": ("look", Role.VIEWER)}
        port.standing += standing
        component = OpcuaServer("demo", self.state, settings)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(component.run(port))
            async with asyncio.timeout(180):
                while not component.url:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            try:
                yield Served(port, component.url, task, component)
            finally:
                task.cancel()


@pytest.fixture(scope="session", autouse=True)
def standard_nodes_once() -> Iterator[None]:
    """Build asyncua's six thousand standard nodes once: a second a server, and there are fifty here."""
    from asyncua.server.address_space import AttributeValue, NodeData
    from asyncua.server.internal_server import InternalServer

    build = InternalServer.load_standard_address_space
    kept: dict[Any, NodeData] = {}

    async def load(self: InternalServer, shelf_file: Path | None = None) -> None:
        if not kept:
            await build(self, shelf_file)
            kept.update({key: copied(node) for key, node in self.aspace._nodes.items()})
            return
        self.aspace._nodes = {key: copied(node) for key, node in kept.items()}

    def copied(node: NodeData) -> NodeData:
        made = NodeData(node.nodeid)
        made.references = list(node.references)
        made.attributes = {key: AttributeValue(each.value) for key, each in node.attributes.items()}
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InternalServer, "load_standard_address_space", load)
        yield


@pytest.fixture(scope="session")
def opcua_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def serve(opcua_state: Path) -> Serve:
    return Serve(opcua_state)


PEER = "urn:peer"


class Secure(Client):  # type: ignore[misc]
    """asyncua's client on a channel that is signed and encrypted."""

    folder: Path
    policy: str
    uri = PEER

    async def connect(self) -> None:
        self.application_uri = self.uri
        certificate, key = self.folder / "certificate.der", self.folder / "key.pem"
        mode = ua.MessageSecurityMode.SignAndEncrypt
        await self.set_security(POLICIES[self.policy], certificate, key, mode=mode)
        await super().connect()


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Client]:
    """Make clients that may do what their user may; without a name, they are nobody."""
    folder = tmp_path_factory.mktemp("peer")
    own_certificate(folder, PEER, "peer")

    def make(url: str, name: str = "", secret: str = "", policy: str = "Basic256Sha256") -> Client:
        client = Secure(url, timeout=60, watchdog_intervall=60)
        client.folder, client.policy = folder, policy
        if name:
            client.set_user(name)
            client.set_password(secret)
        return client

    return make


@dataclass
class Person:
    """A user's certificate (DER), its key (PEM) and its fingerprint."""

    certificate: Path
    key: Path
    print: str


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Person]:
    """Make people's certificates as `ironworks user cert --make --rsa` does, each once."""
    folder = tmp_path_factory.mktemp("people")
    made: dict[str, Person] = {}

    def make(name: str) -> Person:
        if name not in made:
            key, pem = new_client(name, 1, WallClock().now_ns(), by_rsa=True)
            files = folder / f"{name}.der", folder / f"{name}.pem"
            files[0].write_bytes(ssl.PEM_cert_to_DER_cert(pem.decode()))
            files[1].write_bytes(key)
            made[name] = Person(*files, fingerprint(files[0].read_bytes()))
        return made[name]

    return make


class Asking:
    """Sends requests as they are, one after the other."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, service: str, timeout: float = 60, **parameters: Any) -> Any:
        request = getattr(ua, f"{service}Request")()
        for name, value in parameters.items():
            setattr(request.Parameters, name, value)
        answer = await self._client.uaclient.protocol.send_request(request, timeout=timeout)
        return struct_from_binary(getattr(ua, f"{service}Response"), answer)

    async def code(self, service: str, **parameters: Any) -> str:
        try:
            answer = await self(service, **parameters)
        except UaStatusCodeError as exc:
            return ua.StatusCode(exc.code).name
        return answer.ResponseHeader.ServiceResult.name

    async def read(self, node: Any, stamps: int = 2, encoding: str = "", **wanted: Any) -> Any:
        each = ua.ReadValueId(node, wanted.pop("attribute", ua.AttributeIds.Value), wanted.pop("part", None))
        each.DataEncoding = ua.QualifiedName(encoding or None)
        answer = await self(
            "Read", TimestampsToReturn=ua.TimestampsToReturn(stamps), NodesToRead=[each], **wanted
        )
        return answer.Results[0]

    async def subscribe(
        self, interval_ms: float = 100, most: int = 0, keep_alive: int = 1000, lifetime: int = 10_000
    ) -> int:
        answer = await self(
            "CreateSubscription",
            RequestedPublishingInterval=interval_ms,
            RequestedLifetimeCount=lifetime,
            RequestedMaxKeepAliveCount=keep_alive,
            MaxNotificationsPerPublish=most,
            PublishingEnabled=True,
        )
        return int(answer.Parameters.SubscriptionId)

    async def watch(
        self, subscription: int, *nodes: Any, part: Any = None, stamps: int = 2, mode: int = 2, **how: Any
    ) -> Any:
        parameters = {"SamplingInterval": 0.0, "QueueSize": 100, "DiscardOldest": True} | how
        answer = await self(
            "CreateMonitoredItems",
            SubscriptionId=subscription,
            TimestampsToReturn=ua.TimestampsToReturn(stamps),
            ItemsToCreate=[
                ua.MonitoredItemCreateRequest(
                    ua.ReadValueId(node, ua.AttributeIds.Value, part),
                    ua.MonitoringMode(mode),
                    ua.MonitoringParameters(number, **parameters),
                )
                for number, node in enumerate(nodes)
            ],
        )
        return answer.Results

    async def published(self, *acks: Any, timeout: float = 60) -> Any:
        answer = await self("Publish", timeout, SubscriptionAcknowledgements=list(acks))
        return answer.Parameters

    @staticmethod
    def values(published: Any) -> list[Any]:
        """Return the DataValues of what was published."""
        return [
            item.Value
            for part in published.NotificationMessage.NotificationData or []
            for item in getattr(part, "MonitoredItems", ())
        ]


@pytest.fixture
def asking() -> type[Asking]:
    return Asking


@pytest.fixture
def fall_silent() -> Callable[[Any], None]:
    """Have a session see that its client has been silent for longer than it may."""

    def fall(session: Any) -> None:
        session._last_activity -= 2 * session.session_timeout
        session._timeout_task.cancel()
        session._timeout_task = None
        session._start_timeout_watchdog()

    return fall


# The client's side.

QUICK = {"period": "50ms", "keep_alive": "500ms", "timeout": "60s"}


def make_tag(name: str, data_type: DataType, address: str, source: str = "io", **more: Any) -> Tag:
    return Tag(f"{LINE}/{name}", data_type, source=source, device="io", address=address, **more)


async def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for something that a user would notice, up to a limit."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  sockets of another task decide, no event tells
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*sides: Side) -> AsyncIterator[None]:
    """Run clients for as long as a block lasts."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(side.run()) for side in sides]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def stock_server(build: Any, port: int = 0, **attributes: Any) -> AsyncIterator[tuple[Server, str]]:
    """Run a stock asyncua server that `build(server)` fills; yields it and its URL."""
    server = Server()
    await server.init()
    url = f"opc.tcp://127.0.0.1:{port or free_port()}"
    server.set_endpoint(url)
    for name, value in attributes.items():
        setattr(server, name, value)
    await build(server)
    async with server:
        yield server, url


@pytest.fixture
def side(tmp_path: Path) -> Callable[..., Side]:
    def make(tags: list[Tag], url: str | list[str], **config: Any) -> Side:
        urls = [url] if isinstance(url, str) else url
        return Side(tmp_path, tags, **({"urls": urls} | QUICK | config))

    return make


@pytest.fixture
def tag() -> Callable[..., Tag]:
    return make_tag


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until


@pytest.fixture
def run() -> Callable[..., Any]:
    return running


@pytest.fixture
def stock() -> Callable[..., Any]:
    return stock_server


@pytest.fixture
def victim() -> type[Victim]:
    return Victim
