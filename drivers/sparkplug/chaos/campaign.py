"""The campaign against edge node and host: counters tell what was lost, out of turn, or passed for new."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.chaos import campaign as chaos
from drivers.chaos.campaign import ROOT, Subject
from drivers.sparkplug.chaos.broker import Broker
from drivers.sparkplug.host.section import plugin as host_plugin
from drivers.sparkplug.section import plugin as edge_plugin
from runtime.clock import SECOND_NS, WallClock
from runtime.contract import Batch, DataType, Tag

PERIOD_S = 0.1
QUIET_NS = 30 * SECOND_NS  # so long nothing of what is missing came
_LOSSY = frozenset(
    {"loss", "twice"}
)  # of what TCP carries; what is lost behind the broker no edge node knows


class Ledger:
    """Which numbers of so many counters the host heard.

    Attributes:
        turns: how often history began again with an older number.
    """

    def __init__(self, count: int) -> None:
        self.turns = 0
        self._heard: NDArray[np.bool_] = np.zeros((count, 1 << 10), np.bool_)
        self._last = 0

    def take(self, rows: NDArray[np.intp], numbers: NDArray[np.int64], *, historical: bool) -> None:
        """Note numbers of counters, in the order in which they were heard."""
        while numbers.max(initial=0) >= self._heard.shape[1]:
            self._heard = np.concatenate([self._heard, np.zeros_like(self._heard)], axis=1)
        self._heard[rows, numbers] = True
        if historical:
            for number in numbers[rows == 0].tolist():
                self.turns += number < self._last
                self._last = number

    def missing(self, first: int, last: int) -> int:
        """Return how many were not heard, of all counters, from one number up to another."""
        part = self._heard[:, first : last + 1]
        return int(part.shape[0] * (last + 1 - first) - part.sum())


class Side(chaos.Side):
    """A host application in a plant of its own, and the edge node of another one, whose counters it reads.

    Attributes:
        number: what the counters are at.
    """

    def __init__(self, folder: Path, count: int, port: int, **config: Any) -> None:
        base = {"name": "io", "urls": [f"mqtt://127.0.0.1:{port}"]} | config
        names = [f"c{number}" for number in range(count)]
        read = [
            Tag(f"{ROOT}/{name}", DataType.UDINT, source="io", device="io", address=f"g/n:{name}")
            for name in names
        ]
        host = host_plugin.Config.model_validate(base | {"kind": "sparkplug.host", "host": "host"})
        super().__init__(folder, read, host_plugin, host)
        more = {"kind": "sparkplug.edge", "group": "g", "node": "n", "primary_host": "host"}
        quick = {"every": True, "interval": "100ms"}
        edge = edge_plugin.Config.model_validate(base | more | quick)
        shown = [Tag(f"{ROOT}/{name}", DataType.UDINT, source="plc") for name in names]
        self.edge = chaos.Side(folder / "edge", shown, edge_plugin, edge)
        self.ledger = Ledger(count)
        self.number = 0
        self._newest = np.zeros(count, np.int64)
        self._row = {id_: row for row, id_ in enumerate(self.ids.tolist())}
        self._settled = 0
        self._wrong = ""
        self._clock = WallClock()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear())
            tasks.create_task(self.edge.run())
            tasks.create_task(self._count())
            tasks.create_task(super().run())

    async def _count(self) -> None:
        while True:
            self.number += 1
            numbers = [self.number] * len(self.edge.ids)
            self.edge.port.bus.publish(Batch.of(self.edge.ids, numbers, self._clock.now_ns()))
            self.edge.port.submitted.clear()
            self.edge.port.emitted.clear()
            for batch in self.port.backfilled:
                self._note(batch, historical=True)
            self.port.backfilled.clear()
            await self._clock.sleep(PERIOD_S)

    async def _hear(self) -> None:
        async for batch in self.port.changes(self.ids, every=True):
            rows, numbers = self._note(batch, historical=False)
            for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
                if not self._newest[row] <= number <= self.number:
                    self._wrong = f"{number} was good after {self._newest[row]}, at {self.number}"
                self._newest[row] = number

    def _note(self, batch: Batch, *, historical: bool) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Note the good values of a batch; return the counters and their numbers."""
        rows = np.array([self._row.get(id_, -1) for id_ in batch.ids.tolist()], np.intp)
        chosen = (rows >= 0) & (batch.quality >> 30 == 0)
        rows, numbers = rows[chosen], batch.raw[chosen].astype(np.int64)
        self.ledger.take(rows, numbers, historical=historical)
        return rows, numbers

    async def settle(self, kind: str) -> str:
        """Wait until the host has all that was counted; return what was wrong."""
        wrong, self._wrong = self._wrong, ""
        return "; ".join(filter(None, (wrong, await self._lost(kind), self._out_of_turn())))

    async def _lost(self, kind: str) -> str:
        last, least = self.number, -1
        end_ns = 0
        while kind not in _LOSSY and (missing := self.ledger.missing(self._settled + 1, last)):
            now_ns = self._clock.steady_ns()
            if least < 0 or missing < least:
                least, end_ns = missing, now_ns + QUIET_NS
            elif now_ns > end_ns:
                self._settled = last
                return f"{missing} values were lost"
            await self._clock.sleep(PERIOD_S)
        self._settled = last
        return ""

    def _out_of_turn(self) -> str:
        births = self.edge.port.value("sys/drivers/io/births")
        if isinstance(births, int) and self.ledger.turns > births:
            return f"history began anew {self.ledger.turns} times, with {births} births"
        return ""


def subject(folder: Path, count: int, **config: Any) -> Subject:
    """Return a host of so many counters.

    Raises:
        PlantError: there is no Mosquitto.
    """

    def side(port: int) -> Side:
        return Side(folder, count, port, **config)

    return Subject("sparkplug", Broker(folder), side)


campaign = partial(chaos.play, subject)
