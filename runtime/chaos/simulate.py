"""A simulated kernel: the same code on a virtual clock, with faults that a seed chooses.

Left out are sockets (the services under the API are asked directly) and real threads. In each life the
plant is under load while its disk is slow or fails, its field is lost, devices do not answer, and its
clock jumps; lives end with a stop or a kill. A seed plays the same way every time.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import multiprocessing
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from runtime.api.server import ApiServer
from runtime.assembly import Assembly, assemble
from runtime.chaos.direct import DirectClient
from runtime.chaos.field import Device, Field, lay_out
from runtime.chaos.ledger import Ledger
from runtime.chaos.load import WRITERS, Load
from runtime.chaos.report import Report
from runtime.chaos.simdisk import SimDisk
from runtime.chaos.simloop import SimClock, SimLoop
from runtime.chaos.watch import Watch
from runtime.client import PlantClient
from runtime.clock import SECOND_NS
from runtime.contract import Event, Port
from runtime.errors import WriteRejectedError
from runtime.kernel import Kernel

START_NS = 1_800_000_000 * SECOND_NS
PAUSE_S = 0.7  # between two things that one client does
HEALED_S = 8.0  # after the last fault, before the last look
HISTORY_EVERY = 25  # seeds: a store of samples costs more than all else


@dataclass
class Played:
    """What came of one seed."""

    seed: int
    trace: str = ""
    findings: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    confirmed: Counter[str] = field(default_factory=Counter)


class NoServer(ApiServer):
    """Serves nobody: what is under the API is asked directly."""

    def bind(self) -> None:
        """Take no socket."""

    def release(self) -> None:
        """There is none."""

    async def run(self, port: Port) -> None:
        port.health(True)
        await asyncio.Event().wait()


class SimKernel(Kernel):
    """The kernel without sockets; its events are written down."""

    server = NoServer
    note: Callable[[str], None] = staticmethod(lambda _: None)

    def emit(self, event: Event) -> None:
        self.note(f"{event.kind} {event.source} {event.at_ns} {event.text}")
        super().emit(event)


def play(seed: int) -> Played:
    """Play one seed."""
    with tempfile.TemporaryDirectory(prefix="ironworks-sim-", dir=_quick()) as folder:
        return _World(seed, Path(folder)).play()


def _quick() -> str | None:
    """Return a folder in memory: a simulated disk needs no real one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


@cache
def _assembly(history: bool) -> Assembly:
    folder = Path(tempfile.mkdtemp(prefix="ironworks-sim-", dir=_quick()))
    lay_out(folder, history)
    try:
        return assemble(folder)
    finally:
        shutil.rmtree(folder)


class _World:
    """The lives of one plant."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.played = Played(seed)
        self.hash = hashlib.sha256()
        self.tracing = True
        self.ledger = Ledger(lambda: None)
        self.wall_ns = START_NS
        self.assembly = _assembly(seed % HISTORY_EVERY == 0)

    def play(self) -> Played:
        noted = _Noted(self.played.findings)
        logging.root.handlers = [noted]
        lives = self.rng.choice((1, 2, 2))
        for life in range(lives):
            last = life == lives - 1
            loop = SimLoop(random.Random(self.rng.random()))
            clock = SimClock(loop, self.wall_ns)
            loop.set_exception_handler(self._unhandled)
            try:
                self.tracing = True
                loop.run_until_complete(self._live(loop, clock, life, last))
            except Exception as exc:  # noqa: BLE001 - whatever it is, the seed is kept
                self.played.findings.append(f"life {life}: {type(exc).__name__}: {exc}")
            finally:
                loop.close()
            self.wall_ns = clock.now_ns() + self.rng.randrange(60) * SECOND_NS
            if self.played.findings:
                break
        self.played.confirmed = self.ledger.confirmed
        self.played.trace = self.hash.hexdigest()
        return self.played

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.played.findings.append(f"unhandled: {context.get('exception') or context['message']!r}")

    def _note(self, text: str) -> None:
        if self.tracing:
            self.hash.update(text.encode())

    def _state(self, life: int) -> Path:
        return self.folder / f"state{life}"

    async def _live(self, loop: SimLoop, clock: SimClock, life: int, last: bool) -> None:
        state = self._state(life)
        plant = self.assembly.plant
        plant = replace(plant, head=plant.head.model_copy(update={"state": str(state)}))
        source, device = Field(random.Random(self.rng.random())), Device(random.Random(self.rng.random()))
        kernel = SimKernel(replace(self.assembly, plant=plant), clock, extra=[source, device])
        kernel.note = self._note
        disk = SimDisk(loop, kernel)
        watch = Watch(kernel, loop, clock, source, disk)
        stop = asyncio.Event()
        running = asyncio.create_task(kernel.run(stop))
        await kernel.ready.wait()
        await clock.sleep(1.0)
        client = DirectClient(kernel, "first")
        asked = cast(PlantClient, client)
        if life:
            self._found(life, "after the start", await self.ledger.check(asked, whole=last))
        approver = cast(PlantClient, DirectClient(kernel, "second"))
        refused: Counter[str] = Counter()
        load = Load(plant_path, self.ledger, START_NS, PAUSE_S, clock, refused)
        tasks = [
            asyncio.create_task(load.write(asked, approver, part, random.Random(self.rng.random())))
            for part in range(WRITERS)
        ]
        if kernel.historian:
            tasks.append(asyncio.create_task(load.ask(asked, random.Random(self.rng.random()))))
        tasks.append(asyncio.create_task(self._torment(kernel, clock, source, device, disk, watch, client)))
        tasks.append(asyncio.create_task(watch.run()))
        ended, _ = await asyncio.wait(tasks, timeout=self.rng.uniform(2, 10), return_when="FIRST_COMPLETED")
        for task in ended:
            task.result()
        if not last and self.rng.random() < 0.7:
            shutil.copytree(state, self._state(life + 1))  # the files as a kill leaves them
            self.played.done["kernel killed"] += 1
            self._leave(watch, life)
            self.tracing = False
        disk.heal()
        source.heal()
        device.heal()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if self.tracing:
            await clock.sleep(HEALED_S if last else 2.0)
            if last:
                self._found(life, "in the end", await self.ledger.check(asked, whole=True))
                self._leave(watch, life)
            for text, count in sorted(refused.items()):
                self._note(f"{count} {text}")
        stop.set()
        await running
        if self.tracing and not last:
            self.played.done["kernel stopped"] += 1
            self._leave(watch, life)
            state.rename(self._state(life + 1))

    def _leave(self, watch: Watch, life: int) -> None:
        self._found(life, "throughout", watch.findings)
        self._note(f"{sorted(self.ledger.confirmed.items())}")

    def _found(self, life: int, when: str, texts: list[str]) -> None:
        self.played.findings += [f"life {life}, {when}: {text}" for text in texts]

    async def _torment(
        self,
        kernel: Kernel,
        clock: SimClock,
        source: Field,
        device: Device,
        disk: SimDisk,
        watch: Watch,
        client: DirectClient,
    ) -> None:
        """One fault after the other, some of them at once."""
        rng = random.Random(self.rng.random())
        while True:
            await clock.sleep(rng.expovariate(1 / 1.5))
            fault = rng.choice(
                ("slow disk", "disk failing", "disk full", "link lost", "device silent", "device refuses",
                 "device dies", "restart", "clock jump", "shelve", "healed", "healed")
            )  # fmt: skip
            self.played.done[fault] += 1
            self._note(f"{clock.now_ns()} {fault}")
            match fault:
                case "slow disk":
                    disk.slow(rng.choice((20, 200)))
                case "disk failing" | "disk full":
                    disk.fail(full=fault == "disk full")
                case "link lost":
                    source.lost = True
                case "device silent" | "device refuses" | "device dies":
                    device.mood = fault.removeprefix("device ")
                case "restart":
                    kernel.supervisor.restart(rng.choice(("field", "device", "alarms", "gate")))
                    watch.asked_for_a_restart()
                case "clock jump":
                    clock.jump(rng.choice((-3600, -30, -2, 2, 30, 3600)))
                case "shelve":
                    name = f"level{rng.randrange(4)}.high"
                    try:
                        await client.shelve(name, rng.randrange(1, 6) * SECOND_NS, "simulated")
                    except WriteRejectedError as exc:
                        self._note(exc.text)
                case _:
                    disk.heal()
                    source.heal()
                    device.heal()


def plant_path(unit: int, name: str) -> str:
    """Return the whole path of a unit's tag."""
    return f"sim/line/unit{unit}/{name}"


class _Noted(logging.Handler):
    """Every traceback that would be logged is a finding."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__()
        self._findings = findings

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._findings.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


def play_all(seeds: Sequence[int], tell: Callable[[Report], None], workers: int | None = None) -> Report:
    """Play many seeds in processes of their own; what is found is told with its seed."""
    report = Report("simulate", seeds[0] if seeds else 0)
    count = workers or os.cpu_count() or 1
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runtime.chaos.simulate"])
    with ProcessPoolExecutor(count, context, gc.freeze) as pool:  # what is loaded is not looked through again
        for played in pool.map(play, seeds, chunksize=5):
            report.rounds += 1
            report.done.update(played.done)
            report.confirmed.update(played.confirmed)
            report.findings += [f"seed {played.seed}: {text}" for text in played.findings]
            tell(report)
    return report
