"""`kind: modbus.client`: a Modbus TCP device that this plant polls and writes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.frame.connection import Traffic, declare_link
from drivers.frame.plan import by_group, group_of
from drivers.modbus.address import Point
from drivers.modbus.messages import Transport
from drivers.modbus.plan import blocks_of
from drivers.modbus.points import check_points, check_writable, points_of
from drivers.modbus.polling import Connect, ModbusClient, Scan
from runtime.clock import SECOND_NS
from runtime.config import Declared, DriverConfig, DurationNs, Plant, Section
from runtime.contract import Access, Component, Stepper, Tag
from runtime.errors import Finding

DEFAULT_GROUP = "default"
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def check_host(text: str) -> str:
    """Return a host name or address.

    Raises:
        ValueError: it is neither.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
            message = f"{text!r} is no host; write a name or an address such as 192.168.0.10, without a port"
            raise ValueError(message) from None
    return text


Host = Annotated[str, AfterValidator(check_host)]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Period = Annotated[DurationNs, Field(ge=1_000_000)]


class GroupConfig(Section):
    """Tags that are polled at a period of their own.

    Attributes:
        tags: globs over tag paths.
    """

    period: Period
    tags: list[str]


class ClientConfig(DriverConfig):
    """A device that this plant polls and writes.

    Attributes:
        unit, order: unit id, and byte and word order, where an address does not say.
        period: time between two polls, where no group says otherwise.
        timeout: how long to wait for an answer; `retries` how often to ask again.
        max_gap: unused registers read along to save a request; 0 for devices that refuse them.
        pipeline: requests under way at once; 1 for devices that take one at a time.
        groups: name to period and tags.
    """

    kind: Literal["modbus.client"]
    host: Host
    port: int = Field(502, ge=1, le=65535)
    unit: int = Field(1, ge=0, le=255)
    order: Order = "ABCD"
    period: Period = 100_000_000
    timeout: Period = 500_000_000
    retries: int = Field(1, ge=0, le=10)
    max_gap: int = Field(16, ge=0, le=124)
    pipeline: int = Field(1, ge=1, le=16)
    groups: dict[str, GroupConfig] = Field(default_factory=dict)


class ClientPlugin:
    """Brings `modbus.client` drivers to life."""

    Config = ClientConfig

    def declare(self, folder: object, root: str, config: ClientConfig) -> Declared:
        return declare_link(config.name)

    def check(self, plant: Plant, config: ClientConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        def is_output(tag: Tag) -> bool:
            return tag.source != config.name

        yield from check_points(plant, config.name, config.unit, config.order, is_output)
        yield from check_writable(plant, config.name, config.unit, config.order)
        for name, group in config.groups.items():
            place = plant.place(*key, "groups", name)
            if name == DEFAULT_GROUP:
                yield Finding(
                    f"group {name!r} is taken", place, "use `period` of the driver, or another name"
                )
            for pattern in group.tags:
                if not any(
                    plant.tags[id_].device == config.name for id_ in plant.tags.select(pattern).tolist()
                ):
                    text = f"group {name!r}: no tag of {config.name} matches {pattern!r}"
                    yield Finding(text, place, "`*` matches within a level, `**` across levels", "warning")

    def build(self, plant: Plant, config: ClientConfig) -> list[Component]:
        points = points_of(plant, config.name, config.unit, config.order)
        own = [point for point in points if point.tag.source == config.name]
        return [
            ModbusClient(
                config.name,
                _connector(config),
                _scans(plant, config, own),
                [point for point in points if point.tag.source != config.name],
                [point for point in own if point.tag.access is Access.READ_WRITE],
                config.pipeline,
            )
        ]

    def steppers(self, plant: Plant, config: ClientConfig) -> list[Stepper]:
        return []


def _scans(plant: Plant, config: ClientConfig, points: list[Point]) -> list[Scan]:
    chosen = group_of(plant.tags, {name: group.tags for name, group in config.groups.items()})
    of_tag = {point.tag.id: point for point in points}
    periods = {DEFAULT_GROUP: config.period} | {name: group.period for name, group in config.groups.items()}
    return [
        Scan(name, periods[name], list(blocks_of([of_tag[tag.id] for tag in tags], config.max_gap)))
        for name, tags in by_group(chosen, [point.tag for point in points], DEFAULT_GROUP).items()
    ]


def _connector(config: ClientConfig) -> Connect:
    from drivers.modbus.transport import connect

    async def to_device(traffic: Traffic, on_lost: Callable[[], None]) -> Transport:
        timeout_s = config.timeout / SECOND_NS
        return await connect(
            config.host, config.port, traffic, on_lost, config.pipeline, timeout_s, config.retries
        )

    return to_device


plugin = ClientPlugin()
