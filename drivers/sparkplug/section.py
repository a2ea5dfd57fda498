"""`kind: sparkplug.edge`: this plant as an edge node of MQTT Sparkplug B."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from drivers.frame.deadband import Deadband
from drivers.frame.gated import CommandsConfig, actor_of, check_commands
from drivers.sparkplug.access import AccessConfig, check_access, client_id, connector
from drivers.sparkplug.catalogue import Device, Published, online_tag, published
from drivers.sparkplug.facts import declare
from drivers.sparkplug.topics import REBIRTH, Id
from runtime.clock import SECOND_NS
from runtime.config import WIRING, Basis, Declared, DurationNs, Plant, Section
from runtime.contract import Component, DataType, Stepper
from runtime.errors import Finding

if TYPE_CHECKING:
    from drivers.sparkplug.edge import Plan

_MIB = 1 << 20
_OWN = ("bdSeq", REBIRTH)  # metrics of each birth of a node


def _tags(value: object) -> object:
    return {"tags": value} if isinstance(value, list) else value


class DeviceConfig(Section):
    """A device of the edge node; its tags alone may stand in its place.

    Attributes:
        tags: globs over tag paths.
        online: BOOL that tells whether the device is there; by default `sys/drivers/NAME/online` where all of
            its tags come from one driver.
    """

    tags: list[str] = Field(min_length=1)
    online: str | None = None


DeviceOrTags = Annotated[
    DeviceConfig, BeforeValidator(_tags, json_schema_input_type=DeviceConfig | list[str])
]


class EdgeConfig(AccessConfig):
    """This plant as an edge node.

    Attributes:
        group: Sparkplug group id.
        node: edge node id; the plant's name by default.
        tags: globs of what is published.
        devices: device id to its tags; what is of no device is the node's own.
        interval: how often what changed is sent.
        every: each change is sent; otherwise the newest value of each interval.
        deadband: least change that is sent: `0.5` in units of the value, `2%` of its range; by default each
            tag's own.
        message_kib: size of a message of data; births are as long as they are.
        queue_mib: how much is kept on disk for a broker or host that is away.
        hold: how long what a broker has taken is kept, to be sent again if the connection is lost.
        primary_host: id of the host application that data is kept for while it is offline.
        commands: hosts may write; without it they may not.
    """

    kind: Literal["sparkplug.edge"]
    group: Id
    node: Id | None = None
    tags: list[str] = Field(["**"], min_length=1)
    devices: dict[Id, DeviceOrTags] = {}
    interval: Annotated[DurationNs, Field(ge=10_000_000, le=3600 * SECOND_NS)] = SECOND_NS
    every: bool = False
    deadband: Deadband | None = None
    message_kib: int = Field(128, ge=1, le=16_384)
    queue_mib: int = Field(256, ge=1, le=65_536)
    hold: Annotated[DurationNs, Field(ge=0, le=600 * SECOND_NS)] = 10 * SECOND_NS
    primary_host: Id | None = None
    commands: CommandsConfig | None = None


def _devices(config: EdgeConfig) -> list[Device]:
    return [Device(name, tuple(each.tags), each.online or "") for name, each in config.devices.items()]


def _entries(plant: Plant, config: EdgeConfig) -> list[Published]:
    return published(plant.tags, plant.root, config.tags, _devices(config))


class EdgePlugin:
    """Brings `sparkplug.edge` drivers to life."""

    Config = EdgeConfig

    def declare(self, folder: object, root: str, config: EdgeConfig) -> Declared:
        return declare(config.name)

    def check(self, plant: Plant, config: EdgeConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        yield from check_access(plant, config, key)
        for number, glob in enumerate(config.tags):
            if not len(plant.tags.select(glob)):
                place = plant.place(*key, "tags", number)
                yield Finding(f"{glob!r} matches no tag", place, plant.tags.close_to(glob), "warning")
        entries = _entries(plant, config)
        for name, device in config.devices.items():
            yield from _check_device(plant, name, device, entries, (*key, "devices", name))
        yield from _check_names(plant, entries, key)
        for tag in plant.tags:
            if tag.path and tag.device == config.name:
                text = f"tag {tag.path!r} is on {config.name}, but an edge node has no tags of its own"
                yield Finding(
                    text, plant.place_of(tag), "leave the column device empty; it is published by path"
                )
        tags, which = (each.tag for each in entries), "is published"
        yield from check_commands(plant, config.commands, tags, (*key, "commands"), who="hosts", which=which)

    def basis(self, plant: Plant, config: EdgeConfig) -> Mapping[str, Basis]:
        """Births tell what tags are; so a node begins anew when that changes."""
        entries = _entries(plant, config)
        online = [online_tag(plant.tags, device, entries) for device in _devices(config)]
        tags = [each.tag for each in entries] + [tag for tag in online if tag is not None]
        shown = ("unit", "unit_text", "description", "low", "high", "deadband")
        return {config.name: Basis(tags, (*WIRING, *shown))}

    def build(self, plant: Plant, config: EdgeConfig) -> Iterable[Component]:
        from drivers.sparkplug.edge import Plan, SparkplugEdge

        node = config.node or plant.name
        entries = _entries(plant, config)
        own_id = config.client_id or client_id(config.group, node)
        plan: Plan = Plan(
            config.name,
            config.group,
            node,
            tuple(config.urls),
            tuple(entries),
            tuple(config.devices),
            {
                device.name: tag
                for device in _devices(config)
                if (tag := online_tag(plant.tags, device, entries)) is not None
            },
            config.interval,
            config.every,
            config.deadband,
            config.message_kib * 1024,
            config.queue_mib * _MIB,
            config.hold,
            config.primary_host or "",
            actor_of(config.commands, "sparkplug", plant.root),
            config.watch / SECOND_NS,
        )
        file = plant.state / "sparkplug" / f"{config.name}.sqlite"
        return [SparkplugEdge(plan, file, connector(plant.folder, config, own_id))]

    def steppers(self, plant: Plant, config: EdgeConfig) -> Sequence[Stepper]:
        return []


def _check_device(
    plant: Plant, name: str, device: DeviceConfig, entries: Sequence[Published], key: tuple[str | int, ...]
) -> Iterator[Finding]:
    for glob in device.tags:
        if not len(plant.tags.select(glob)):
            remedy = plant.tags.close_to(glob)
            yield Finding(f"device {name!r}: {glob!r} matches no tag", plant.place(*key), remedy)
    if device.online is None:
        return
    if device.online not in plant.tags:
        text = f"device {name!r}: there is no tag {device.online!r}"
        yield Finding(text, plant.place(*key), plant.tags.close_to(device.online))
    elif plant.tags[device.online].data_type is not DataType.BOOL:
        text = f"device {name!r}: {device.online} is no BOOL"
        yield Finding(text, plant.place(*key), "name a tag that is TRUE while the device is there")


def _check_names(plant: Plant, entries: Sequence[Published], key: tuple[str | int, ...]) -> Iterator[Finding]:
    seen: dict[tuple[str, str], Published] = {}
    for entry in entries:
        folded = (entry.device.casefold(), entry.metric.casefold())
        if not entry.device and entry.metric in _OWN:
            text = f"{entry.tag.path} would be metric {entry.metric!r} of the node, which is Sparkplug's own"
            yield Finding(text, plant.place_of(entry.tag), "rename it, leave it out, or make it a device's")
        other = seen.setdefault(folded, entry)
        if other is entry:
            continue
        whose = f"device {entry.device!r}" if entry.device else "the node"
        text = f"{other.tag.path} and {entry.tag.path} are both metric {entry.metric!r} of {whose}"
        if other.metric == entry.metric and other.device == entry.device:
            yield Finding(text, plant.place_of(entry.tag), "make two devices of them")
        else:
            remedy = "many hosts do not tell upper from lower case: rename one"
            yield Finding(f"{text}, but for the case", plant.place_of(entry.tag), remedy, "warning")


plugin = EdgePlugin()
