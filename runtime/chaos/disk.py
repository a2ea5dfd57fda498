"""Failing disks under a running plant: what was confirmed stays, and it comes back without a hand.

A library below SQLite, DuckDB and our own files (`faults.c`) refuses and shortens writes, fails syncs and
reads, ends the process within a write, and keeps a trace from which losses of power are played.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from runtime.chaos.kill import PATIENCE_S, Play
from runtime.chaos.load import WRITERS, Load, end
from runtime.chaos.powercut import cut
from runtime.chaos.report import Report
from runtime.chaos.setup import SECOND
from runtime.chaos.victim import Victim
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.endpoint import Endpoint
from runtime.errors import ConnectError, PlantError

FAULTS = {"disk full": 1, "write error": 2, "sync error": 4, "short write": 8, "read error": 16}
POWER_CUT = "power cut"
ENDED = "ended within a write"
LIVES = (POWER_CUT, ENDED, "faults")
_END = 32
_END_S = 2.0  # within which a write ends the process, else it is killed between two
BACK_S = 120.0
_CONTROL = struct.Struct("<IIII")  # mode, one in, hits, random: as in faults.c


def compiler() -> str | None:
    """Return the C compiler that builds the library, None where there is none."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


class Faults:
    """The library, built for one campaign, and its steering."""

    def __init__(self, folder: Path, under: Path) -> None:
        command = compiler()
        if command is None:
            raise PlantError(
                "no C compiler is there", "install gcc: the failing disk is built when asked for"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.trace = folder / "trace"
        self._control = folder / "control"
        self._control.write_bytes(_CONTROL.pack(0, 1, 0, 0))
        library = folder / "faults.so"
        source = Path(__file__).with_name("faults.c")
        done = subprocess.run(
            [command, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl", "-lpthread"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PlantError(f"the failing disk cannot be built: {done.stderr.strip()[-300:]}")
        self.environment = {
            "LD_PRELOAD": str(library),
            "IRONWORKS_FAULTS": str(self._control),
            "IRONWORKS_FAULTS_UNDER": str(under),
            "IRONWORKS_FAULTS_TRACE": str(self.trace),
        }

    def set(self, mode: int, one_in: int = 1, seed: int = 0) -> None:
        """Let faults come, one in so many calls; mode 0 for none."""
        with self._control.open("r+b") as control:
            hits = _CONTROL.unpack(control.read(_CONTROL.size))[2]
            control.seek(0)
            control.write(_CONTROL.pack(mode, one_in, hits, seed))

    def hits(self) -> int:
        """Return how many calls failed so far."""
        return int(_CONTROL.unpack(self._control.read_bytes())[2])


async def campaign(folder: Path, times: int, seed: int, tell: Callable[[Report], None]) -> Report:
    """Let so many faults and losses of power come over a plant under load.

    Raises:
        PlantError: there is no C compiler.
    """
    report = Report("disk", seed)
    rng = random.Random(seed)
    plant = folder / "plant"
    faults = Faults(folder / "faults", plant / ".ironworks")
    play = Play.of(plant, lean=True, environment=faults.environment)
    try:
        while report.rounds < times and not report.findings:
            await _life(play, faults, report, rng, tell)
        if not report.findings:
            faults.set(0)
            endpoint = await _start(play, report, by_command=True)
            if endpoint is not None:
                async with PlantClient(endpoint) as client:
                    report.found(await play.ledger.check(client, whole=True))
    finally:
        report.confirmed = play.ledger.confirmed
        report.done["calls failed"] = faults.hits()
        play.victim.close()
    return report


async def _life(
    play: Play, faults: Faults, report: Report, rng: random.Random, tell: Callable[[Report], None]
) -> None:
    """One life: faults one after the other, or at its end a loss of power or an end within a write."""
    victim, ledger = play.victim, play.ledger
    play.lives += 1
    life = LIVES[play.lives % len(LIVES)]
    state, before = victim.folder / ".ironworks", victim.folder / ".before"
    faults.set(0)
    faults.trace.write_bytes(b"")
    if life == POWER_CUT:
        shutil.rmtree(before, ignore_errors=True)
        state.mkdir(exist_ok=True)
        shutil.copytree(state, before)
    endpoint = await _start(play, report, by_command=rng.random() < 0.1)
    if endpoint is None:
        return
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(PlantClient(endpoint))
        approver = await stack.enter_async_context(PlantClient(endpoint, *SECOND))
        report.found(await ledger.check(client, whole=False))
        if report.findings:
            return
        load = Load(victim.path, ledger, WallClock().now_ns(), 0.01, refused=Counter())
        tasks = [
            asyncio.create_task(load.write(client, approver, part, random.Random(rng.random())))
            for part in range(WRITERS)
        ]
        tasks.append(asyncio.create_task(_asking(load, client, rng)))
        stack.push_async_callback(end, tasks)
        await WallClock().sleep(rng.uniform(0.3, 1.5))
        for _ in range(3 if life == "faults" else 0):
            await _fault(victim, client, faults, report, rng)
            tell(report)
            if not victim.alive() or report.findings:
                break
        if life == ENDED:
            await _end_within_a_write(victim, faults, report, rng)
        victim.kill()
        await victim.buried()
        done, late = await asyncio.wait(tasks, timeout=PATIENCE_S)
        for task in late:
            task.cancel()
        errors = [task.exception() for task in done]
        report.found([f"a client met: {each!r}" for each in errors if not isinstance(each, ConnectError)])
    if life == POWER_CUT:
        cut(before, state, faults.trace, rng)
        report.rounds += 1
        report.done[POWER_CUT] += 1
    tell(report)


async def _end_within_a_write(victim: Victim, faults: Faults, report: Report, rng: random.Random) -> None:
    """Let one of the next writes be the last thing that the kernel does, and come to an end half done."""
    faults.set(_END, rng.choice((1, 10, 100, 300)), rng.randrange(2**32))
    end_ns = monotonic_ns() + round(_END_S * SECOND_NS)
    while victim.alive() and monotonic_ns() < end_ns:
        await WallClock().sleep(0.01)
    report.rounds += 1
    report.done[ENDED if not victim.alive() else "kernel killed"] += 1


async def _start(play: Play, report: Report, *, by_command: bool) -> Endpoint | None:
    try:
        endpoint, took_ms = await play.victim.start(by_command=by_command)
    except PlantError as exc:
        report.found([f"it does not start: {exc}", *play.victim.complaints()])
        return None
    report.starts_ms.append(took_ms)
    report.found(play.victim.complaints())
    return endpoint


async def _asking(load: Load, client: PlantClient, rng: random.Random) -> None:
    """Ask for history; a question may fail with the disk."""
    while True:
        try:
            await load.ask(client, random.Random(rng.random()))
        except ConnectError:
            raise
        except PlantError:
            await WallClock().sleep(0.05)


async def _fault(
    victim: Victim, client: PlantClient, faults: Faults, report: Report, rng: random.Random
) -> None:
    """One fault for a while; then the plant must be well again by itself, or have ended in words."""
    name = rng.choice(list(FAULTS))
    faults.set(FAULTS[name], rng.choice((1, 3, 20)), rng.randrange(2**32))
    await WallClock().sleep(rng.uniform(0.2, 2.0))
    faults.set(0)
    report.rounds += 1
    report.done[name] += 1
    end_ns = monotonic_ns() + round(BACK_S * SECOND_NS)
    ill = "no answer"
    while monotonic_ns() < end_ns:
        if not victim.alive():
            report.found([f"{name}: the plant ended: {victim.tail()}"])
            return
        try:
            failing = [
                tag.path
                for tag in await client.tags("sys/kernel/journal_failing", "sys/history/failing")
                if tag.value
            ]
            components = [
                f"{each.name}: {each.text}" for each in await client.components() if each.state != "running"
            ]
            await client.write(victim.path(0, "out"), 0, "is it well")
        except PlantError as exc:
            ill = str(exc)
        else:
            ill = ", ".join(failing + components)
            if not ill:
                report.found([f"{name}: {text}" for text in victim.complaints()])
                return
        await WallClock().sleep(0.1)
    report.found([f"{name}: not well {BACK_S:g} s after: {ill}"])
