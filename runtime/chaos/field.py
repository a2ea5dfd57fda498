"""The field of the simulated plant: levels that rise and fall, a device that takes commands, their faults."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from runtime.chaos.setup import UNITS, units
from runtime.contract import Batch, Command, DataType, Port
from runtime.errors import ConnectError

LEVELS = 4
LIMIT = 90.0
ON_DELAY_S = 2.0
PERIOD_S = 0.5


def lay_out(folder: Path, history: bool) -> None:
    """Write the plant's folder."""
    kept = "{flush: 500ms}" if history else "null"
    (folder / "plant.yaml").write_text(
        "plant: sim\nroot: sim/line\nalarms: alarms.yaml\napi: null\n"
        f'history: {kept}\ngate: {{two_person: ["unit*/safe"]}}\n',
        encoding="utf-8",
    )
    head = "path,type,access,source,address,initial\n"
    levels = "".join(f"level{n},REAL,r,field,,\n" for n in range(LEVELS))
    (folder / "tags.csv").write_text(head + levels + units(head), encoding="utf-8")
    lines = [
        f"  - {{name: unit{n}.trip, tag: unit{n}/trip, kind: discrete, text: tripped}}" for n in range(UNITS)
    ]
    lines += [
        f"  - {{name: level{n}.high, tag: level{n}, kind: high, limit: {LIMIT:g}, deadband: 1,"
        f" on_delay: {ON_DELAY_S:g}s, text: high}}"
        for n in range(LEVELS)
    ]
    (folder / "alarms.yaml").write_text("alarms:\n" + "\n".join(lines) + "\n", encoding="utf-8")


class Field:
    """The source of the levels; with its link lost it ends, as a driver does that cannot go on.

    Attributes:
        levels: the present values.
        above_s: by level, since when (in the loop's time) it is told to be above the limit; None else.
    """

    name = "field"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.lost = False
        self.levels = [50.0] * LEVELS
        self.above_s: list[float | None] = [None] * LEVELS

    def heal(self) -> None:
        self.lost = False

    async def run(self, port: Port) -> None:
        ids = [port.tags[f"level{n}"].id for n in range(LEVELS)]
        loop = asyncio.get_running_loop()
        try:
            while not self.lost:
                for n in range(LEVELS):
                    if self._rng.random() < 0.1:
                        self.levels[n] = self._rng.uniform(0, 110)
                    above = self.levels[n] > LIMIT
                    self.above_s[n] = (self.above_s[n] or loop.time()) if above else None
                raw = [DataType.REAL.encode(level) for level in self.levels]
                port.submit(Batch.of(ids, raw, port.clock.now_ns()))
                port.health(True)
                await port.clock.sleep(PERIOD_S)
        finally:
            self.above_s = [None] * LEVELS
        raise ConnectError("the link is lost")


class Device:
    """Takes commands; its mood says how."""

    name = "device"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.mood = ""

    def heal(self) -> None:
        self.mood = ""

    async def run(self, port: Port) -> None:
        own = [tag for tag in port.tags if tag.source == self.name]
        port.submit(Batch.of([tag.id for tag in own], [0] * len(own), port.clock.now_ns()))
        async for command in port.commands():
            await port.clock.sleep(self._rng.expovariate(20))
            await self._take(port, command)

    async def _take(self, port: Port, command: Command) -> None:
        match self.mood:
            case "silent":
                await port.clock.sleep(self._rng.uniform(0, 8))
            case "refuses":
                command.failed("it does not want to")
                return
            case "dies":
                self.mood = ""
                raise ConnectError("the device is gone")
        port.submit(Batch.of([command.tag.id], [command.raw], port.clock.now_ns()))
        command.done()
