"""`kind: modbus.client`: a Modbus TCP device that this plant polls and writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from drivers.frame.connection import declare_link
from drivers.frame.deadband import Deadband
from drivers.frame.host import Host
from drivers.frame.plan import by_group, group_of
from drivers.frame.points import DEFAULT_GROUP, check_groups
from drivers.modbus.address import Point
from drivers.modbus.plan import blocks_of
from drivers.modbus.points import check_points, check_units, check_writable, points_of
from drivers.modbus.polling import ModbusClient, Scan
from drivers.modbus.ways import (
    SECURE_PORT,
    BackupConfig,
    Connect,
    SerialConfig,
    TlsConfig,
    check_line,
    check_tls,
    to_line,
    to_socket,
)
from runtime.clock import SECOND_NS
from runtime.config import Declared, DriverConfig, DurationNs, Plant, Section
from runtime.contract import Access, Component, Stepper, Tag
from runtime.errors import Finding

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Period = Annotated[DurationNs, Field(ge=1_000_000)]


class GroupConfig(Section):
    """Tags that are polled at a period of their own.

    Attributes:
        deadband: least change that is told: `0.5` in units of the value, `2%` of the tag's range.
        tags: globs over tag paths.
    """

    period: Period
    deadband: Deadband = (0.0, False)
    tags: list[str]


class ClientConfig(DriverConfig):
    """A device, or a line of devices, that this plant polls and writes.

    Attributes:
        host, port: where it listens; 502, with `tls` 802.
        framing: `rtu` is what many converters from a serial line to the network speak.
        serial: a serial line, instead of host.
        tls: Modbus/TCP Security.
        backup: gone over to when the first address fails.
        unit, order: unit id, and byte and word order, where an address does not say.
        period: time between two polls, where no group says otherwise; `deadband` likewise.
        timeout: how long to wait for an answer; `retries` how often to ask again.
        max_gap: unused registers read along to save a request; 0 for devices that refuse them.
        max_block: registers of one read at most, for devices that take fewer than the standard's 125.
        single_reads: every tag is read by itself, for devices that want that.
        writes: `multiple` uses functions 15 and 16 even for one place, `single` writes tag by tag, with 5 and
            6 where it is one register; `auto` joins neighbours.
        mask_writes: function 22 for bits of registers, where a device has it: nobody's change is lost.
        verify: what programs write is read back; where the device does not keep it, that is told.
        pause: time between an answer and the next request.
        pipeline: requests under way at once; 1 for devices that take one at a time.
        groups: name to period, deadband and tags.
    """

    kind: Literal["modbus.client"]
    host: Host | None = None
    port: int | None = Field(None, ge=1, le=65535)
    framing: Literal["tcp", "rtu"] = "tcp"
    serial: SerialConfig | None = None
    tls: TlsConfig | None = None
    backup: BackupConfig | None = None
    unit: int = Field(1, ge=0, le=255)
    order: Order = "ABCD"
    period: Period = 100_000_000
    deadband: Deadband = (0.0, False)
    timeout: Period = 500_000_000
    retries: int = Field(1, ge=0, le=10)
    max_gap: int = Field(16, ge=0, le=124)
    max_block: int = Field(125, ge=1, le=125)
    single_reads: bool = False
    writes: Literal["auto", "multiple", "single"] = "auto"
    mask_writes: bool = False
    verify: bool = True
    pause: Annotated[DurationNs, Field(ge=0, le=10 * SECOND_NS)] = 0
    pipeline: int = Field(1, ge=1, le=16)
    groups: dict[str, GroupConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> ClientConfig:
        if (self.host is None) == (self.serial is None):
            raise ValueError("a device is on the network or on a serial line; name either `host` or `serial`")
        if self.serial and (self.port or self.tls or self.backup):
            raise ValueError("`port`, `tls` and `backup` go with `host`, not with `serial`; leave them out")
        if self.tls and self.framing == "rtu":
            raise ValueError("`tls` goes with `framing: tcp`; leave `framing` out")
        if self.pipeline > 1 and (self.serial or self.framing == "rtu"):
            raise ValueError("RTU takes one request at a time; leave `pipeline` out")
        if self.pipeline > 1 and self.pause:
            raise ValueError("`pause` and `pipeline` exclude each other; keep one of the two")
        return self


class ClientPlugin:
    """Brings `modbus.client` drivers to life."""

    Config = ClientConfig

    def declare(self, folder: object, root: str, config: ClientConfig) -> Declared:
        return declare_link(config.name, "serial" if config.serial else "host")

    def check(self, plant: Plant, config: ClientConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        def is_output(tag: Tag) -> bool:
            return tag.source != config.name

        yield from check_points(plant, config.name, config.unit, config.order, is_output)
        yield from check_writable(plant, config.name, config.unit, config.order)
        if config.serial:
            yield from check_units(plant, config.name, config.unit, config.order)
        yield from check_tls(plant, config.tls, key)
        yield from check_line(plant, config.serial, config.name, key)
        groups = ((name, group.tags) for name, group in config.groups.items())
        yield from check_groups(plant, config.name, groups, key)

    def build(self, plant: Plant, config: ClientConfig) -> list[Component]:
        points = points_of(plant, config.name, config.unit, config.order)
        own = [point for point in points if point.tag.source == config.name]
        return [
            ModbusClient(
                config.name,
                ways_of(plant.folder, config),
                _scans(plant, config, own),
                [point for point in points if point.tag.source != config.name],
                [point for point in own if point.tag.access is Access.READ_WRITE],
                single_writes=config.writes == "single",
                masks=config.mask_writes,
                verify=config.verify,
            )
        ]

    def steppers(self, plant: Plant, config: ClientConfig) -> list[Stepper]:
        return []


def _scans(plant: Plant, config: ClientConfig, points: list[Point]) -> list[Scan]:
    chosen = group_of(plant.tags, {name: group.tags for name, group in config.groups.items()})
    of_tag = {point.tag.id: point for point in points}
    paces = {name: (group.period, group.deadband) for name, group in config.groups.items()}
    paces[DEFAULT_GROUP] = (config.period, config.deadband)
    max_gap = None if config.single_reads else config.max_gap
    scans = []
    for name, tags in by_group(chosen, [point.tag for point in points], DEFAULT_GROUP).items():
        period_ns, deadband = paces[name]
        blocks = blocks_of([of_tag[tag.id] for tag in tags], max_gap, config.max_block, deadband)
        scans.append(Scan(name, period_ns, list(blocks)))
    return scans


def ways_of(folder: Path, config: ClientConfig) -> list[Connect]:
    """Return how to connect to a device: one way, or two where it has a backup."""
    from drivers.modbus.transport import Manner

    manner = Manner(
        config.pipeline,
        config.timeout / SECOND_NS,
        config.retries,
        config.pause / SECOND_NS,
        config.writes == "multiple",
    )
    if config.serial:
        return [to_line(config.serial, manner)]
    port = config.port or (SECURE_PORT if config.tls else 502)
    places = [(str(config.host), port)]
    if config.backup:
        places.append((config.backup.host, config.backup.port or port))
    rtu = config.framing == "rtu"
    return [to_socket(folder, *place, manner, rtu=rtu, tls=config.tls) for place in places]


plugin = ClientPlugin()
