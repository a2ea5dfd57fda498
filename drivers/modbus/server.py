"""`kind: modbus.server`: this plant as a Modbus TCP device for a foreign master."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from drivers.modbus.address import Point
from drivers.modbus.client import Host, Order, Period
from drivers.modbus.device import Device
from drivers.modbus.listener import Listener
from drivers.modbus.points import check_inputs, check_points, points_of
from runtime.clock import SECOND_NS
from runtime.config import Declared, DriverConfig, Plant, is_loopback
from runtime.contract import Access, Batch, Command, Component, DataType, Event, Port, Stepper, Tag
from runtime.errors import Finding

COUNTERS = ("connections", "requests", "exceptions", "dropped")


class ServerConfig(DriverConfig):
    """A Modbus device that this plant is.

    Attributes:
        unit, order: unit id, and byte and word order, where an address does not say.
        connections: masters at once.
        idle: silence after which a connection is closed.
        watchdog: silence of all masters after which what they wrote is uncertain; never without it.
    """

    kind: Literal["modbus.server"]
    host: Host = "127.0.0.1"
    port: int = Field(502, ge=0, le=65535)
    unit: int = Field(1, ge=0, le=255)
    order: Order = "ABCD"
    connections: int = Field(16, ge=1, le=1000)
    idle: Period = 60_000_000_000
    watchdog: Period | None = None


class ModbusServer:
    """Serves the tags of one device: those it is the source of come from the master's writes.

    Attributes:
        listening: set once masters can connect; `port` is then the real one.
    """

    def __init__(self, config: ServerConfig, points: list[Point]) -> None:
        self.name = config.name
        self.port = config.port
        self.listening = asyncio.Event()
        self._config = config
        self._points = points

    def _is_input(self, point: Point) -> bool:
        return point.tag.source == self.name

    async def run(self, port: Port) -> None:
        """Serve until cancelled.

        Raises:
            ConnectError: the port cannot be listened on.
        """
        device = Device(self._points, self._config.unit, len(port.tags), self._is_input)

        def answer(unit: int, message: bytes) -> bytes:
            response, batch = device.answer(unit, message, port.clock.now_ns())
            if batch is not None:
                port.submit(batch)
            return response

        listener = Listener(answer, self._config.connections, self._config.idle)
        shown = np.array([point.tag.id for point in self._points if not self._is_input(point)], np.int32)
        commanded = {
            point.tag.id: point
            for point in self._points
            if self._is_input(point) and point.tag.access is Access.READ_WRITE
        }
        try:
            await port.may_listen(self._config.host)
            self.port = await listener.open(self._config.host, self._config.port)
            self.listening.set()
            async with asyncio.TaskGroup() as tasks:
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
        ids = [port.tags[f"sys/drivers/{self.name}/{each}"].id for each in COUNTERS]
        told: list[int] = []
        while True:
            listener.close_idle()
            served = listener.served
            counts = [len(listener.connections), served.requests, served.exceptions, served.dropped]
            if counts != told:
                told = counts
                raw = [count & 0xFFFF_FFFF for count in counts]
                port.submit(Batch.of(ids, raw, port.clock.now_ns()))
            await port.clock.sleep(1.0)


class ServerPlugin:
    """Brings `modbus.server` drivers to life."""

    Config = ServerConfig

    def declare(self, folder: object, root: str, config: ServerConfig) -> Declared:
        words = {
            "connections": ("masters connected", "已连接主站数"),
            "requests": ("requests answered", "已应答请求数"),
            "exceptions": ("requests refused", "已拒绝请求数"),
            "dropped": ("connections closed for cause", "异常关闭的连接数"),
        }
        return Declared(
            tuple(
                Tag(
                    path=f"sys/drivers/{config.name}/{each}",
                    data_type=DataType.UDINT,
                    description=f"{config.name}: {words[each][0]}",
                    description_zh=f"{config.name}：{words[each][1]}",
                    source=config.name,
                    retention="short",
                )
                for each in COUNTERS
            )
        )

    def check(self, plant: Plant, config: ServerConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        def is_output(tag: Tag) -> bool:
            return tag.source != config.name

        yield from check_points(plant, config.name, config.unit, config.order, is_output)
        yield from check_inputs(plant, config.name, config.unit, config.order)
        if not is_loopback(config.host):
            text = f"whoever reaches port {config.port} reads and writes here: Modbus knows no login"
            remedy = "let a firewall pass the master only, or listen on 127.0.0.1"
            yield Finding(text, plant.place(*key, "host"), remedy, "warning")

    def build(self, plant: Plant, config: ServerConfig) -> list[Component]:
        return [ModbusServer(config, points_of(plant, config.name, config.unit, config.order))]

    def steppers(self, plant: Plant, config: ServerConfig) -> list[Stepper]:
        return []


plugin = ServerPlugin()
