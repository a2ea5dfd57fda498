"""`kind: sparkplug.host`: metrics of other edge nodes as tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from drivers.frame.address import tags_of
from drivers.sparkplug.access import AccessConfig, KeepAlive, check_access, client_id, connector
from drivers.sparkplug.host.address import check_points, points_of
from drivers.sparkplug.host.facts import declare
from drivers.sparkplug.topics import Id
from runtime.clock import SECOND_NS
from runtime.config import Declared, DurationNs, Plant
from runtime.contract import Component, Stepper
from runtime.errors import Finding


class HostConfig(AccessConfig):
    """A host application, which reads edge nodes and writes to them for people.

    Attributes:
        host: id that edge nodes may wait for; the plant's name by default.
        reorder: how long a message that overtook another waits for it; then the node is asked for births.
    """

    kind: Literal["sparkplug.host"]
    host: Id | None = None
    keep_alive: KeepAlive = 5 * SECOND_NS  # edge nodes learn within `hold` that what they sent was not heard
    reorder: Annotated[DurationNs, Field(ge=0, le=60 * SECOND_NS)] = 2 * SECOND_NS


class HostPlugin:
    """Brings `sparkplug.host` drivers to life."""

    Config = HostConfig

    def declare(self, folder: object, root: str, config: HostConfig) -> Declared:
        return declare(config.name)

    def check(self, plant: Plant, config: HostConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        yield from check_access(plant, config, key)
        yield from check_points(plant, config.name)
        if not any(tags_of(plant.tags, config.name)):
            text = f"no tag is on {config.name}: it reads nothing"
            remedy = f"set device and source of tags to {config.name}, with addresses"
            yield Finding(text, plant.place(*key, "name"), remedy, "warning")

    def build(self, plant: Plant, config: HostConfig) -> Iterable[Component]:
        from drivers.sparkplug.host.component import Plan, SparkplugHost

        host = config.host or plant.name
        own_id = config.client_id or client_id("host", host)
        plan = Plan(
            config.name,
            host,
            tuple(config.urls),
            tuple(points_of(plant, config.name)),
            config.reorder,
            config.timeout / SECOND_NS,
            config.watch / SECOND_NS,
        )
        return [SparkplugHost(plan, connector(plant.folder, config, own_id))]

    def steppers(self, plant: Plant, config: HostConfig) -> Sequence[Stepper]:
        return []


plugin = HostPlugin()
