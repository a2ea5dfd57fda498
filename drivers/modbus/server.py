"""`kind: modbus.server`: this plant as a Modbus device, on the network or a serial line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from drivers.frame.connection import Backoff
from drivers.frame.facts import facts_of
from drivers.frame.gated import CommandsConfig, actor_of, check_commands
from drivers.frame.host import Host
from drivers.frame.recorder import Recorder
from drivers.modbus.address import Point
from drivers.modbus.client import Order, Period
from drivers.modbus.commands import Commands
from drivers.modbus.device import Device, Wish
from drivers.modbus.identity import Identity
from drivers.modbus.listener import Later, Listener, RtuFraming, TcpFraming
from drivers.modbus.points import check_inputs, check_points, check_units, parsed, points_of
from drivers.modbus.serialport import Line
from drivers.modbus.serving import FACTS, Serving
from drivers.modbus.ways import SECURE_PORT, SerialConfig, TlsConfig, check_line, check_tls, context_of
from runtime.clock import SECOND_NS
from runtime.config import Basis, Declared, DriverConfig, Plant, RoleName, is_loopback
from runtime.contract import Access, Batch, Command, Component, Event, Port, Role, Stepper, Tag
from runtime.errors import ConnectError, Finding

_MAX_OBJECT = 64
READ_ONLY = "sys/gate/read_only"


def _no_admin(role: Role) -> Role:
    if role > Role.ENGINEER:
        raise ValueError("masters cannot be admin: Modbus knows no login; write operator or engineer")
    return role


def _master_role(role: Role) -> Role:
    if role < Role.OPERATOR:
        raise ValueError(
            "masters cannot be viewer: that is what they are without `commands`; write operator or engineer"
        )
    return _no_admin(role)


MasterRole = Annotated[
    RoleName, AfterValidator(_master_role), WithJsonSchema({"enum": ["operator", "engineer"]})
]
AreaRole = Annotated[
    RoleName, AfterValidator(_no_admin), WithJsonSchema({"enum": ["viewer", "operator", "engineer"]})
]


class MasterCommandsConfig(CommandsConfig):
    """Masters may write tags that they are not the source of, through the gate, as this actor.

    Attributes:
        actor: name in the audit.
        role: what masters may do: `operator` or `engineer`.
        areas: by glob of tags, another role there, up to engineer.
    """

    role: MasterRole
    areas: dict[str, AreaRole] = {}


class ServerConfig(DriverConfig):
    """A Modbus device that this plant is.

    Attributes:
        framing: `rtu` for masters that speak RTU within TCP.
        serial: a serial line, instead of host and port.
        tls: Modbus/TCP Security: masters show a certificate that `authority` signed.
        unit, order: unit id, and byte and word order, where an address does not say.
        connections: masters at once.
        idle: silence after which a connection is closed.
        watchdog: silence of all masters after which what they wrote is uncertain; never without it.
        commands: masters may also write served tags of others whose access is `rw`, through the gate; without
            it these are exception 2. Tags whose `source` is this server are the masters' own: inputs, like a
            device's, which the gate does not judge; their range holds, and so does the read-only switch.
    """

    kind: Literal["modbus.server"]
    host: Host = "127.0.0.1"
    port: int | None = Field(None, ge=0, le=65535)
    framing: Literal["tcp", "rtu"] = "tcp"
    serial: SerialConfig | None = None
    tls: TlsConfig | None = None
    unit: int = Field(1, ge=0, le=255)
    order: Order = "ABCD"
    connections: int = Field(16, ge=1, le=1000)
    idle: Period = 60_000_000_000
    watchdog: Period | None = None
    commands: MasterCommandsConfig | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ServerConfig:
        if self.serial and ("host" in self.model_fields_set or self.port is not None or self.tls):
            raise ValueError("`host`, `port` and `tls` do not go with `serial`; keep the one or the other")
        if self.tls and self.framing == "rtu":
            raise ValueError("`tls` goes with `framing: tcp`; leave `framing` out")
        return self

    @property
    def at_port(self) -> int:
        """Return the port in force: 502, with TLS 802, unless the plant file says."""
        return (SECURE_PORT if self.tls else 502) if self.port is None else self.port


class ModbusServer:
    """Serves the tags of one device: those it is the source of come from the master's writes.

    What masters write of others' tags goes through the gate, as the actor of `commands`.

    Attributes:
        listening: set once masters can connect; `port` is then the real one.
        listener: who is connected, once it runs.
    """

    listener: Listener

    def __init__(self, config: ServerConfig, points: list[Point], plant: Plant) -> None:
        self.name = config.name
        self.port = config.at_port
        self._plant = plant
        self.listening = asyncio.Event()
        self.recorder = Recorder(config.name)
        self._config = config
        self._points = points

    def _is_input(self, point: Point) -> bool:
        return point.tag.source == self.name

    def _is_commanded(self, point: Point) -> bool:
        wanted = self._config.commands is not None and not self._is_input(point)
        return wanted and point.tag.access is Access.READ_WRITE

    async def run(self, port: Port) -> None:
        """Serve until cancelled.

        Raises:
            ConnectError: the port cannot be listened on.
        """
        rtu = self._config.serial is not None or self._config.framing == "rtu"
        device = Device(
            self._points,
            self._config.unit,
            len(port.tags),
            self._is_input,
            _identity(self._plant, self.name),
            on_line=rtu,
            is_commanded=self._is_commanded,
            is_read_only=lambda: _is_read_only(port),
            present=lambda tag: port.tags[tag.id],
        )
        tasks = asyncio.TaskGroup()
        actor = actor_of(self._config.commands, "modbus", self._plant.root)
        commands = None if actor is None else Commands(port, device, actor)

        def answer(unit: int, message: bytes) -> bytes | Later:
            answered = device.answer(unit, message, port.clock.now_ns())
            if isinstance(answered, Wish):
                assert commands is not None
                work = commands.carry_out
                return lambda peer: tasks.create_task(work(answered, peer))
            response, batch = answered
            if batch is not None:
                port.submit(batch)
            return response

        framing = RtuFraming if rtu else TcpFraming
        limit, idle = self._config.connections, self._config.idle
        listener = self.listener = Listener(answer, limit, idle, framing)
        self.recorder.follow(listener.served, port.clock)
        shown = np.array([point.tag.id for point in self._points if not self._is_input(point)], np.int32)
        commanded = {
            point.tag.id: point
            for point in self._points
            if self._is_input(point) and point.tag.access is Access.READ_WRITE
        }
        try:
            if self._config.serial is None:
                await port.may_listen(self._config.host)
                tls = self._config.tls
                context = None if tls is None else context_of(self._plant.folder, tls, server=True)
                self.port = await listener.open(self._config.host, self.port, context)
                self.listening.set()
            async with tasks:
                if self._config.serial:
                    line = Line(**self._config.serial.model_dump())
                    tasks.create_task(self._keep_open(port, listener, line))
                tasks.create_task(self._report(port, listener))
                if self._config.watchdog:
                    tasks.create_task(self._watch(port, device, listener, self._config.watchdog))
                if len(shown):
                    tasks.create_task(self._show(port, device, port.changes(shown)))
                if commanded:
                    tasks.create_task(self._obey(port, device, port.commands()))
        finally:
            self.listening.clear()
            listener.close()

    async def _keep_open(self, port: Port, listener: Listener, line: Line) -> None:
        """Open the serial line, again and again while it is not there."""
        backoff = Backoff()
        while True:
            try:
                gone = listener.open_line(line)
            except ConnectError as exc:
                port.health(False, str(exc))
            else:
                backoff.reset()
                port.health(True, "")
                self.listening.set()
                await gone.wait()
                port.health(False, f"{line.device} is gone")
            await port.clock.sleep(backoff.next_s())

    async def _show(self, port: Port, device: Device, changes: AsyncIterator[Batch]) -> None:
        told: set[int] = set()
        async for batch in changes:
            unfit = device.show(batch)
            for point in unfit:
                if point.tag.id not in told:
                    told.add(point.tag.id)
                    text = (
                        f"{self.name} cannot show {point.tag.path}: {point.address} does not hold the value"
                    )
                    port.emit(Event("driver.write_unfit", self.name, port.clock.now_ns(), text))
            told.difference_update(set(batch.ids.tolist()) - {point.tag.id for point in unfit})

    async def _obey(self, port: Port, device: Device, commands: AsyncIterator[Command]) -> None:
        """Take writes of people to tags that masters write too: the last one holds."""
        async for command in commands:
            text = {} if command.text is None else {0: command.text}
            batch = Batch.of([command.tag.id], [command.raw], port.clock.now_ns(), text=text)
            if device.show(batch):
                command.failed(f"{self.name} cannot hold the value")
            else:
                port.submit(batch)
                command.done()

    async def _watch(self, port: Port, device: Device, listener: Listener, watchdog_ns: int) -> None:
        """Doubt what masters wrote once none of them asked anything for too long."""
        seen = -1
        while True:
            if listener.served.requests == seen:
                for batch in device.doubt(port.clock.now_ns()):
                    port.submit(batch)
            seen = listener.served.requests
            await port.clock.sleep(watchdog_ns / SECOND_NS)

    async def _report(self, port: Port, listener: Listener) -> None:
        serving = Serving(self.name, port, listener.served)
        while True:
            if self._config.serial is None:
                listener.close_idle()
            serving.look(each.host for each in listener.connections)
            await port.clock.sleep(1.0)


def _is_read_only(port: Port) -> bool:
    """Tell whether the gate's emergency switch is on; the gate tells within a quarter of a second."""
    return READ_ONLY in port.tags and port.tags.value(port.tags[READ_ONLY]) is True


def _identity(plant: Plant, name: str) -> Identity:
    """Return what function 43/14 tells."""
    from importlib.metadata import version

    texts = ("Ironworks", "ironworks", version("ironworks"), "", "Ironworks", plant.head.plant, name)
    return {number: text.encode()[:_MAX_OBJECT] for number, text in enumerate(texts) if text}


class ServerPlugin:
    """Brings `modbus.server` drivers to life."""

    Config = ServerConfig

    def declare(self, folder: object, root: str, config: ServerConfig) -> Declared:
        return Declared(tuple(facts_of(config.name, FACTS)))

    def check(self, plant: Plant, config: ServerConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        def is_output(tag: Tag) -> bool:
            return tag.source != config.name

        yield from check_points(plant, config.name, config.unit, config.order, is_output)
        yield from check_inputs(plant, config.name, config.unit, config.order)
        if config.serial:
            yield from check_units(plant, config.name, config.unit, config.order)
        others = (
            point.tag
            for point in parsed(plant, config.name, config.unit, config.order)
            if is_output(point.tag) and point.address.table.writable
        )
        which = "is served in a coil or holding register"
        yield from check_commands(
            plant, config.commands, others, (*key, "commands"), who="masters", which=which
        )
        yield from check_tls(plant, config.tls, key)
        yield from check_line(plant, config.serial, config.name, key)
        if config.tls is None and not is_loopback(config.host):
            name = f" as {config.commands.actor}" if config.commands else ""
            text = f"whoever reaches port {config.at_port} reads and writes here{name}: Modbus knows no login"
            remedy = "let a firewall pass the master only, or listen on 127.0.0.1"
            yield Finding(text, plant.place(*key, "host"), remedy, "warning")

    def basis(self, plant: Plant, config: ServerConfig) -> Mapping[str, Basis]:
        """The range of what masters own is held here; so the server begins anew when it changes."""
        tags = [tag for tag in plant.tags if config.name in (tag.source, tag.device)]
        ranges = [(tag.path, tag.low, tag.high) for tag in tags if tag.source == config.name]
        return {config.name: Basis(tags, config=(config.model_dump(mode="json"), ranges))}

    def build(self, plant: Plant, config: ServerConfig) -> list[Component]:
        return [ModbusServer(config, points_of(plant, config.name, config.unit, config.order), plant)]

    def steppers(self, plant: Plant, config: ServerConfig) -> list[Stepper]:
        return []


plugin = ServerPlugin()
