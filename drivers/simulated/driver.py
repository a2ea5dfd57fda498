"""The simulated driver: submits waveforms at a period, takes writes for tags without one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from drivers.simulated.waveform import Generator, parse_waveform
from runtime.clock import SECOND_NS
from runtime.config import WIRING, Basis, Declared, DriverConfig, DurationNs, Plant
from runtime.contract import Batch, Component, Port, Quality, Stepper, Tag
from runtime.errors import Finding


class SimulatedConfig(DriverConfig):
    """A simulated device.

    Attributes:
        period: how often its tags get new values.
    """

    period: Annotated[DurationNs, Field(ge=1_000_000)] = SECOND_NS


class SimulatedDevice:
    """The component: every period one batch of all its waveforms."""

    def __init__(self, config: SimulatedConfig) -> None:
        self.name = config.name
        self._period_ns = config.period

    async def run(self, port: Port) -> None:
        own = [tag for tag in port.tags if tag.source == self.name]
        waves = [tag for tag in own if tag.address]
        memory = [tag for tag in own if not tag.address]
        async with asyncio.TaskGroup() as group:
            if own:
                group.create_task(self._take_writes(port, memory))
            group.create_task(self._play(port, waves))

    async def _play(self, port: Port, tags: list[Tag]) -> None:
        generator = Generator(tags, [parse_waveform(tag.address) for tag in tags])
        ids = np.array([tag.id for tag in tags], np.int32)
        next_ns = port.clock.steady_ns()
        while True:
            now_ns, steady_ns = port.clock.now_ns(), port.clock.steady_ns()
            if len(ids):
                port.submit(Batch.of(ids, generator.raw(now_ns), now_ns))
            port.health(True)
            next_ns = max(next_ns + self._period_ns, steady_ns)
            await port.clock.sleep_until(next_ns)

    async def _take_writes(self, port: Port, tags: list[Tag]) -> None:
        texts = {row: "" for row, tag in enumerate(tags) if tag.data_type.kind == "s"}
        raw = [tag.data_type.encode("" if tag.data_type.kind == "s" else 0) for tag in tags]
        if tags:
            ids = [tag.id for tag in tags]
            port.submit(Batch.of(ids, raw, port.clock.now_ns(), Quality.GOOD, texts))
        async for command in port.commands():
            if command.tag.address:
                command.failed(f"{command.tag.path} is a waveform; clear its address to keep what is written")
                continue
            text = {} if command.text is None else {0: command.text}
            port.submit(Batch.of([command.tag.id], [command.raw], port.clock.now_ns(), Quality.GOOD, text))
            command.done()


class SimulatedPlugin:
    """`kind: simulated` in the plant file."""

    Config = SimulatedConfig

    def declare(self, folder: Path, root: str, config: SimulatedConfig) -> Declared:
        return Declared()

    def check(self, plant: Plant, config: SimulatedConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        for tag in plant.tags:
            if tag.source != config.name or not tag.address:
                continue
            if tag.data_type.kind == "s":
                yield Finding(
                    f"{tag.path}: a STRING has no waveform", plant.place_of(tag), "clear its address"
                )
                continue
            try:
                parse_waveform(tag.address)
            except ValueError as exc:
                yield Finding(f"{tag.path}: address: {exc}", plant.place_of(tag), "for example sine(20s)")

    def basis(self, plant: Plant, config: SimulatedConfig) -> Mapping[str, Basis]:
        """Waveforms run between the ends of a tag's range."""
        own = [tag for tag in plant.tags if tag.source == config.name]
        return {config.name: Basis(own, (*WIRING, "low", "high"))}

    def build(self, plant: Plant, config: SimulatedConfig) -> Iterable[Component]:
        return [SimulatedDevice(config)]

    def steppers(self, plant: Plant, config: SimulatedConfig) -> Iterable[Stepper]:
        return []


plugin = SimulatedPlugin()
