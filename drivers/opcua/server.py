"""The driver kind `opcua.server`: the plant's tags for any OPC UA client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from runtime.config import WIRING, Basis, Declared, DriverConfig, Plant, is_loopback
from runtime.contract import Component, DataType, Port, Role, Stepper, Tag
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


class OpcuaServerConfig(DriverConfig):
    """An OPC UA server over the tag table.

    Attributes:
        host: address to listen on; security policy None is offered on loopback only.
        anonymous: role of a client without a name, or `none` to refuse it; beyond loopback it is none unless
            the plant file says otherwise.
        expose: globs of the tags that clients see.
        application_uri: identity of the server in its certificate; by default `urn:ironworks:PLANT`.
        max_connections: clients at one time.
    """

    kind: Literal["opcua.server"] = "opcua.server"
    host: str = "127.0.0.1"
    port: int = Field(4840, ge=0, le=65535)
    anonymous: RoleOrNone = Role.VIEWER
    expose: list[str] = Field(["**"], min_length=1)
    application_name: str = Field("Ironworks", min_length=1, max_length=64)
    application_uri: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$")
    max_connections: int = Field(100, ge=1, le=1000)

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def stranger(self) -> Role | None:
        """Return the role of a client without a name, None where it is refused."""
        said = self.loopback or "anonymous" in self.model_fields_set
        return self.anonymous if said else None


_FACTS = {
    "running": (DataType.BOOL, "OPC UA server is listening", "OPC UA 服务器正在监听"),
    "sessions": (DataType.UDINT, "Sessions open", "打开的会话"),
    "subscriptions": (DataType.UDINT, "Subscriptions open", "打开的订阅"),
    "reads": (DataType.UDINT, "Values read by clients", "客户端读取的值"),
    "writes": (DataType.UDINT, "Values written by clients, refused ones too", "客户端写入的值(含被拒绝的)"),
}


class OpcuaServer:
    """The component.

    Attributes:
        url: where it listens; empty until it does.
    """

    def __init__(self, plant_name: str, state: Path, config: OpcuaServerConfig) -> None:
        self.name = config.name
        self.url = ""
        self._plant_name = plant_name
        self._state = state
        self._config = config
        self._service: Service | None = None

    async def run(self, port: Port) -> None:
        """Serve until cancelled.

        Raises:
            ConnectError: the port cannot be had.
            StoreError: the certificate cannot be kept.
        """
        from drivers.opcua.service import Service

        await port.may_listen(self._config.host)
        self._service = Service(self._config, self._plant_name, port)
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
        return Declared(
            [
                Tag(
                    f"sys/drivers/{config.name}/{name}",
                    data_type,
                    description=text,
                    description_zh=text_zh,
                    source=config.name,
                    retention="short",
                )
                for name, (data_type, text, text_zh) in _FACTS.items()
            ]
        )

    def check(self, plant: Plant, config: OpcuaServerConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        """Yield globs that match nothing, and a network that may write without a name."""
        for number, glob in enumerate(config.expose):
            if not len(plant.tags.select(glob)):
                place = plant.place(*key, "expose", number)
                yield Finding(f"{glob!r} matches no tag", place, plant.tags.close_to(glob), "warning")
        if config.loopback or config.stranger is None:
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
        return {config.name: Basis(exposed, (*WIRING, *shown), adapts=("tag",))}

    def build(self, plant: Plant, config: OpcuaServerConfig) -> Iterable[Component]:
        """Return the one component; loads the OPC UA library."""
        import drivers.opcua.service  # noqa: F401 - so that it does not load while the plant runs

        return [OpcuaServer(plant.name, plant.state, config)]

    def steppers(self, plant: Plant, config: OpcuaServerConfig) -> Sequence[Stepper]:
        """A server takes no part in virtual time."""
        return []


plugin = OpcuaServerPlugin()
