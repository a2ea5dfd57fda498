"""The driver kind `opcua.server`: the plant's tags for any OPC UA client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from drivers.frame.facts import facts_of
from drivers.frame.recorder import Recorder
from drivers.opcua.expiry import declare_expiry
from drivers.opcua.facts import FACTS
from drivers.opcua.machines import MachineConfig, check_machines
from runtime.config import WIRING, Basis, Declared, DriverConfig, Plant, is_loopback
from runtime.contract import Component, Port, Role, Stepper
from runtime.errors import Finding

if TYPE_CHECKING:
    from drivers.opcua.service import Service


def _role_or_none(text: object) -> object:
    if text == "none":
        return None
    if isinstance(text, str):
        try:
            return Role[text.upper()]
        except KeyError:
            known = "viewer, operator, engineer, admin or none"
            raise ValueError(f"{text!r} is not a role; use {known}") from None
    return text


RoleOrNone = Annotated[
    Role | None,
    BeforeValidator(_role_or_none),
    PlainSerializer(lambda role: "none" if role is None else role.name.lower(), return_type=str),
    WithJsonSchema({"enum": ["none", "viewer", "operator", "engineer", "admin"]}),
]


Policy = Literal["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
SECURE: tuple[Policy, ...] = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")


class OpcuaServerConfig(DriverConfig):
    """An OPC UA server over the tag table.

    Attributes:
        host: address to listen on.
        security: policies that are offered; who comes with None may look, whatever his role.
        anonymous: role of a client without a name, or `none` to refuse it; beyond loopback it is none unless
            the plant file says otherwise.
        expose: globs of the tags that clients see.
        application_uri: identity of the server in its certificate; by default `urn:ironworks:PLANT`.
        certificates: which clients' certificates are let in: `trusted` ones only, or `any`; by default any on
            loopback, and trusted ones beyond it.
        max_connections: clients at one time.
        nodesets: NodeSet2 XML files of the plant folder, whose nodes the server has too.
        nodes: tags that are the values of variables of those files, by node (`nsu=URI;s=NAME`).
        machines: machines of the plant with their nameplates; see `drivers.opcua.machines`.
        per_address: of these, how many from one address; sessions too. By default a quarter, and all on
            loopback.
        fast: answer reads and encode notifications many tags at a time; false leaves it to asyncua, an object
            for each value.
    """

    kind: Literal["opcua.server"] = "opcua.server"
    host: str = "127.0.0.1"
    port: int = Field(4840, ge=0, le=65535)
    security: list[Policy] = Field(list(SECURE), min_length=1, max_length=4)
    anonymous: RoleOrNone = Role.VIEWER
    expose: list[str] = Field(["**"], min_length=1)
    application_name: str = Field("Ironworks", min_length=1, max_length=64)
    application_uri: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$")
    certificates: Literal["trusted", "any"] | None = None
    max_connections: int = Field(100, ge=1, le=1000)
    nodesets: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list, max_length=100)
    nodes: dict[str, str] = Field(default_factory=dict, max_length=100_000)
    machines: list[MachineConfig] = Field(default_factory=list, max_length=1_000)
    per_address: int | None = Field(None, ge=1, le=1000)
    fast: bool = True

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def plain(self) -> bool:
        """Tell whether clients without security may look."""
        return "None" in self.security

    def uri_of(self, plant: str) -> str:
        """Return the identity of the server of a plant."""
        return self.application_uri or f"urn:ironworks:{plant}"

    @property
    def strict(self) -> bool:
        """Tell whether only trusted certificates are let in."""
        return not self.loopback if self.certificates is None else self.certificates == "trusted"

    @property
    def most_per_address(self) -> int:
        """Return how many connections, and sessions, one address may have."""
        if self.per_address is not None:
            return min(self.per_address, self.max_connections)
        return self.max_connections if self.loopback else max(1, self.max_connections // 4)

    @property
    def stranger(self) -> Role | None:
        """Return the role of a client without a name, None where it is refused."""
        said = self.loopback or "anonymous" in self.model_fields_set
        return self.anonymous if said else None


CERTIFICATES = ("certificate", "client_certificate")


class OpcuaServer:
    """The component.

    Attributes:
        url: where it listens; empty until it does.
    """

    def __init__(
        self,
        plant_name: str,
        state: Path,
        config: OpcuaServerConfig,
        folder: Path = Path(),
        root: str = "",
    ) -> None:
        """`folder` is the plant's, where its NodeSet files are; `root` where its tag paths begin."""
        self.name = config.name
        self.url = ""
        self.recorder = Recorder(config.name)
        self._plant_name = plant_name
        self._state = state
        self._config = config
        self._folder = folder
        self._root = root
        self._service: Service | None = None

    async def run(self, port: Port) -> None:
        """Serve until cancelled.

        Raises:
            ConfigError: a NodeSet file is wrong.
            ConnectError: the port cannot be had.
            StoreError: the certificate cannot be kept.
        """
        from drivers.opcua.nodesets.vendor import required_vendor
        from drivers.opcua.service import Service

        await port.may_listen(self._config.host)
        about = self._folder, self._plant_name, self._config, port.tags
        vendor = await asyncio.to_thread(required_vendor, *about)
        self._service = Service(self._config, self._plant_name, port, vendor, self._root)
        self.recorder.follow(self._service.served, port.clock)
        await self._service.run(self._state, self._listening)

    async def renew(self) -> None:
        """Take the tags that there are now, while clients stay."""
        if self._service is not None:
            await self._service.renew()

    def _listening(self, url: str) -> None:
        self.url = url


class OpcuaServerPlugin:
    """How `kind: opcua.server` comes to life."""

    Config = OpcuaServerConfig

    def declare(self, folder: Path, root: str, config: OpcuaServerConfig) -> Declared:
        """Return the facts that the server tells of itself."""
        expiry = declare_expiry(
            config.name,
            CERTIFICATES,
            {
                "certificate": f"`ironworks drivers renew {config.name}`, and trust it at the clients",
                "client_certificate": f"Renew it there, then `ironworks drivers trust {config.name}`",
            },
        )
        return Declared([*expiry.tags, *facts_of(config.name, FACTS)], expiry.alarms)

    def check(self, plant: Plant, config: OpcuaServerConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        """Yield globs that match nothing, and a network that may write without a name."""
        for number, glob in enumerate(config.expose):
            if not len(plant.tags.select(glob)):
                place = plant.place(*key, "expose", number)
                yield Finding(f"{glob!r} matches no tag", place, plant.tags.close_to(glob), "warning")
        yield from check_machines(plant, config.machines, config.expose, key)
        yield from _check_nodesets(plant, config, key)
        if config.loopback:
            return
        if config.plain:
            place = plant.place(*key, "security", config.security.index("None"))
            remedy = "remove None; where `security` is left out, it is Basic256Sha256 and better"
            yield Finding("what clients with None read can be read on the network", place, remedy, "warning")
        if not config.strict:
            place = plant.place(*key, "certificates")
            remedy = f"remove it, and `ironworks drivers trust {config.name}` the clients"
            yield Finding("clients need no trusted certificate", place, remedy, "warning")
        if config.stranger is None:
            return
        place = plant.place(*key, "anonymous")
        remedy = "set anonymous: none, and give each client a user of its own"
        if config.stranger > Role.VIEWER:
            yield Finding("clients without a name could write from the network", place, remedy)
        else:
            yield Finding("clients without a name read from the network", place, remedy, "warning")

    def basis(self, plant: Plant, config: OpcuaServerConfig) -> Mapping[str, Basis]:
        """Clients see what is exposed, as it is described."""
        exposed = [plant.tags[id_] for id_ in plant.tags.select(*config.expose).tolist()]
        shown = ("unit", "unit_text", "description", "low", "high")
        files = [plant.path(each) for each in config.nodesets]
        return {config.name: Basis(exposed, (*WIRING, *shown), files=files, adapts=("tag",))}

    def build(self, plant: Plant, config: OpcuaServerConfig) -> Iterable[Component]:
        """Return the one component; loads the OPC UA library."""
        import drivers.opcua.service  # noqa: F401 - so that it does not load while the plant runs

        return [OpcuaServer(plant.name, plant.state, config, plant.folder, plant.root)]

    def steppers(self, plant: Plant, config: OpcuaServerConfig) -> Sequence[Stepper]:
        """A server takes no part in virtual time."""
        return []


def _check_nodesets(plant: Plant, config: OpcuaServerConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
    if not config.nodesets and not config.nodes:
        return
    from drivers.opcua.nodesets.vendor import load_vendor

    _, findings = load_vendor(
        plant.folder, plant.name, config, plant.tags, lambda node: plant.place(*key, "nodes", node)
    )
    yield from findings


plugin = OpcuaServerPlugin()
