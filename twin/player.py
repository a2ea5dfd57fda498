"""The twin in wall time."""

from __future__ import annotations

import asyncio

import numpy as np

from runtime.clock import SECOND_NS
from runtime.contract import Batch, Port
from twin.stepper import TwinStepper

LONGEST_GAP_NS = 2 * SECOND_NS


class Player:
    """Steps the twin at its period; time that was missed is played in one step, so nothing comes in bursts.

    A gap of more than two seconds (the machine slept, the clock was set) is left out of plant time.
    """

    name = "twin"

    def __init__(self, stepper: TwinStepper) -> None:
        self.stepper = stepper

    async def run(self, port: Port) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._play(port))
            group.create_task(self._obey(port))

    async def _play(self, port: Port) -> None:
        stepper, clock = self.stepper, port.clock
        before = port.tags.snapshot(stepper.reads)
        changed: Batch | None = before
        last_ns, due_ns = clock.now_ns(), clock.steady_ns()
        while True:
            now_ns, steady_ns = clock.now_ns(), clock.steady_ns()
            gap_ns = now_ns - last_ns
            if not 0 <= gap_ns <= LONGEST_GAP_NS:
                stepper.skip(gap_ns)
                due_ns = clock.steady_ns()
            batch = stepper.step(now_ns, changed)
            if batch is not None:
                port.submit(batch)
            last_ns = now_ns
            due_ns = max(due_ns + stepper.period_ns, steady_ns)
            await clock.sleep_until(due_ns)
            present = port.tags.snapshot(stepper.reads)
            rows = np.flatnonzero((present.raw != before.raw) | (present.quality != before.quality))
            changed = present.take(rows) if len(rows) else None
            before = present

    async def _obey(self, port: Port) -> None:
        async for command in port.commands():
            port.submit(Batch.of([command.tag.id], [command.raw], port.clock.now_ns()))
            command.done()
