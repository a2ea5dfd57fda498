"""`kill -9` of every process of a plant at random instants under load: is what was confirmed still so?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from runtime.chaos.ledger import Ledger
from runtime.chaos.load import WRITERS, Load
from runtime.chaos.report import Report
from runtime.chaos.victim import SECOND, Victim
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.endpoint import Endpoint
from runtime.errors import ConnectError, PlantError

WHOLE_EVERY = 20  # lives of the lean plant, then one of the whole; and how often all is looked for again
BACK_S = 60.0  # within which a killed child is there again
PATIENCE_S = 30.0
KEPT_SAMPLES = 60_000


class Trigger:
    """Kills the kernel within the answer that is counted to."""

    def __init__(self, victim: Victim) -> None:
        self._victim = victim
        self.left = 0

    def answered(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._victim.kill()


@dataclass
class Play:
    """One plant of the campaign with what it has confirmed."""

    victim: Victim
    trigger: Trigger
    ledger: Ledger
    lives: int = 0


async def campaign(
    folder: Path, times: int, seed: int, tell: Callable[[Report], None], *, whole: bool = True
) -> Report:
    """Kill so often; `tell` gets the report after each round. `whole`: also the demo plant's processes."""
    report = Report("kill", seed)
    rng = random.Random(seed)
    lean = _play(folder / "lean", lean=True)
    plays = [lean] + ([_play(folder / "whole", lean=False)] if whole else [])
    try:
        turn = 0
        while report.rounds < times and not report.findings:
            turn += 1
            play = plays[-1] if turn % WHOLE_EVERY == 2 else lean
            await _life(play, report, rng, tell)
        for play in plays:
            if play.lives and not report.findings:
                await _last_look(play, report)
    finally:
        for play in plays:
            report.confirmed.update(play.ledger.confirmed)
            play.victim.close()
    return report


def _play(folder: Path, *, lean: bool) -> Play:
    victim = Victim(folder, lean=lean)
    trigger = Trigger(victim)
    return Play(victim, trigger, Ledger(trigger.answered))


async def _life(play: Play, report: Report, rng: random.Random, tell: Callable[[Report], None]) -> None:
    """One life of a kernel: start, look for what earlier lives confirmed, load, and its end."""
    victim, ledger = play.victim, play.ledger
    play.lives += 1
    endpoint = await _start(play, report, rng)
    if endpoint is None:
        return
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(PlantClient(endpoint))
        approver = await stack.enter_async_context(PlantClient(endpoint, *SECOND))
        report.found(await ledger.check(client, whole=play.lives % WHOLE_EVERY == 0))
        if report.findings:
            report.found([*victim.complaints(), *victim.warnings()])
        if sum(map(len, ledger.samples.values())) > KEPT_SAMPLES:
            ledger.forget_samples()
        if report.findings:
            return
        load = Load(victim.path, ledger, WallClock().now_ns())
        tasks = [
            asyncio.create_task(load.write(client, approver, part, random.Random(rng.random())))
            for part in range(WRITERS)
        ]
        tasks.append(asyncio.create_task(load.ask(client, random.Random(rng.random()))))
        if not victim.lean:
            for _ in range(rng.randrange(3)):
                await _kill_a_child(victim, client, report, rng, tell)
        if rng.random() < 0.5:
            play.trigger.left = rng.randrange(1, 80)
        await asyncio.wait(tasks, timeout=rng.uniform(0.05, 2.0), return_when=asyncio.FIRST_COMPLETED)
        victim.kill()
        await victim.buried()
        play.trigger.left = 0
        done, late = await asyncio.wait(tasks, timeout=PATIENCE_S)
        for task in late:
            task.cancel()
            report.found(["a client still waits for a plant that is gone"])
        errors = [task.exception() for task in done]
        report.found([f"a client met: {each}" for each in errors if not isinstance(each, ConnectError)])
    report.rounds += 1
    report.done["kernel killed"] += 1
    tell(report)


async def _start(play: Play, report: Report, rng: random.Random) -> Endpoint | None:
    victim = play.victim
    by_command = not victim.lean or play.lives % WHOLE_EVERY == 1
    compiled = not victim.lean and play.lives > 1 and rng.random() < 0.5
    if compiled:
        source = next(victim.folder.glob("plc/*.st"))
        source.write_text(f"{source.read_text(encoding='utf-8')}(* {report.rounds} *)\n", encoding="utf-8")
    try:
        starting = asyncio.create_task(victim.start(by_command=by_command))
        if compiled:
            await _kill_the_compiler(victim, starting, report, rng)
            await asyncio.wait([starting])
            if starting.exception() is not None:  # it ended in words: whoever started it starts it again
                starting = asyncio.create_task(victim.start(by_command=by_command))
        endpoint, took_ms = await starting
    except PlantError as exc:
        report.found([f"it does not start: {exc}", *victim.complaints()])
        return None
    report.starts_ms.append(took_ms)
    report.found([*victim.complaints(), *await victim.orphans()])
    return endpoint


async def _kill_the_compiler(
    victim: Victim, starting: asyncio.Task[tuple[Endpoint, float]], report: Report, rng: random.Random
) -> None:
    while not starting.done():
        for role, process in victim.children():
            if role == "compiler":
                await WallClock().sleep(rng.uniform(0, 1))
                if process.is_running():
                    process.kill()
                    report.rounds += 1
                    report.done["compiler killed"] += 1
                return
        await WallClock().sleep(0.01)


async def _kill_a_child(
    victim: Victim, client: PlantClient, report: Report, rng: random.Random, tell: Callable[[Report], None]
) -> None:
    """Kill a rack or worker; it must be there again, and the plant well, within a time."""
    await _well(victim, client, report, "before a kill")
    there = sorted(victim.children(), key=lambda each: each[0])
    if not there:
        return
    await WallClock().sleep(rng.uniform(0, 0.5))
    role, process = rng.choice(there)
    if process.is_running():
        process.kill()
        report.rounds += 1
        report.done[f"{role} killed"] += 1
        tell(report)
    await _well(victim, client, report, f"after {role} was killed")


async def _well(victim: Victim, client: PlantClient, report: Report, when: str) -> None:
    end_ns = monotonic_ns() + round(BACK_S * SECOND_NS)
    while monotonic_ns() < end_ns:
        components = await client.components()
        roles = {role for role, _ in victim.children()}
        if roles >= {"rack", "app worker"} and all(each.state == "running" for each in components):
            return
        await WallClock().sleep(0.1)
    ill = [f"{each.name} {each.state}: {each.text}" for each in components if each.state != "running"]
    report.found([f"not well {BACK_S:g} s {when}: {', '.join(ill) or roles}"])


async def _last_look(play: Play, report: Report) -> None:
    """Start once more, look for everything since the first round, and stop in peace."""
    try:
        endpoint, took_ms = await play.victim.start(by_command=True)
    except PlantError as exc:
        report.found([f"it does not start: {exc}", *play.victim.complaints()])
        return
    report.starts_ms.append(took_ms)
    async with PlantClient(endpoint) as client:
        report.found(await play.ledger.check(client, whole=True))
    report.found([*play.victim.complaints(), *await play.victim.orphans()])
