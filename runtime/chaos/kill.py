"""`kill -9` of every process of a plant at random instants under load: is what was confirmed still so?"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.chaos.configurations import Configurations
from runtime.chaos.engineer import Engineer
from runtime.chaos.ledger import Ledger
from runtime.chaos.load import WRITERS, Load, end
from runtime.chaos.report import Report
from runtime.chaos.setup import ENGINEER, GUESTS, SECOND, UNITS
from runtime.chaos.victim import Victim
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.endpoint import Endpoint
from runtime.errors import ConnectError, PlantError

WHOLE_EVERY = 20  # lives of the lean plant, then one of the whole; and how often all is looked for again
BACK_S = 120.0  # within which a killed child is there again, also on a slow machine
PATIENCE_S = 60.0
CHANGES_S = 10.0  # for changes of the configuration before a life may end
KEPT_SAMPLES = 60_000
REFUSALS = re.compile(
    r"device (does not take writes now|stopped|did not answer)|by a new configuration|no (tag|alarm|request)"
)  # that a change of the configuration explains


class Trigger:
    """Kills the kernel within the answer that is counted to."""

    def __init__(self, victim: Victim) -> None:
        self._victim = victim
        self.left = 0
        self._timer: asyncio.TimerHandle | None = None

    def answered(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._victim.kill()

    def soon(self, seconds: float) -> None:
        """Kill it that much later, unless its life is over by then."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._victim.kill)

    def over(self) -> None:
        """Its life is over."""
        self.left = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@dataclass
class Play:
    """One plant of the campaign with what it has confirmed."""

    victim: Victim
    trigger: Trigger
    ledger: Ledger
    book: Configurations
    engineer: Engineer
    lives: int = 0

    @classmethod
    def of(cls, folder: Path, *, lean: bool, environment: Mapping[str, str] | None = None) -> Play:
        victim = Victim(folder, lean=lean, environment=environment)
        trigger = Trigger(victim)
        ledger = Ledger(trigger.answered)
        book = Configurations(victim.base, victim.root)
        return cls(victim, trigger, ledger, book, Engineer(victim, book, ledger, trigger.soon))


async def campaign(
    folder: Path, times: int, seed: int, tell: Callable[[Report], None], *, whole: bool = True
) -> Report:
    """Kill so often; `tell` gets the report after each round. `whole`: also the demo plant's processes."""
    report = Report("kill", seed)
    rng = random.Random(seed)
    lean = Play.of(folder / "lean", lean=True)
    plays = [lean] + ([Play.of(folder / "whole", lean=False)] if whole else [])
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
            report.done.update(play.engineer.done)
            play.victim.close()
    return report


async def _life(play: Play, report: Report, rng: random.Random, tell: Callable[[Report], None]) -> None:
    """One life of a kernel: start, look for what earlier lives confirmed, load, and its end."""
    victim, ledger, book, engineer = play.victim, play.ledger, play.book, play.engineer
    play.lives += 1
    endpoint = await _start(play, report, rng)
    if endpoint is None:
        return
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(PlantClient(endpoint))
        approver = await stack.enter_async_context(PlantClient(endpoint, *SECOND))
        changer = await stack.enter_async_context(PlantClient(endpoint, *ENGINEER))
        whole = play.lives % WHOLE_EVERY == 0
        await _look(play, client, report, whole=whole)
        if report.findings:
            report.found([*victim.complaints(), *victim.warnings()])
        if sum(map(len, ledger.samples.values())) > KEPT_SAMPLES:
            ledger.forget_samples()
        if report.findings:
            return
        began_ns = WallClock().now_ns()
        load = Load(
            victim.path, ledger, began_ns, refused=Counter(), units=UNITS + GUESTS, there=book.is_there,
            expects=REFUSALS,
        )  # fmt: skip
        tasks = [
            asyncio.create_task(load.write(client, approver, part, random.Random(rng.random())))
            for part in range(WRITERS)
        ]
        tasks.append(asyncio.create_task(load.ask(client, random.Random(rng.random()))))
        stack.push_async_callback(end, tasks)
        if not victim.lean:
            for _ in range(rng.randrange(3)):
                await _kill_a_child(victim, client, report, rng, tell)
        # Only now: within a change the kernel may be killed, and the plant is not always well.
        tasks.append(asyncio.create_task(engineer.work(changer, random.Random(rng.random()))))
        if rng.random() < 0.7:  # at least so many changes of the configuration are answered
            changed = asyncio.create_task(engineer.changed(rng.randrange(1, 4)))
            await asyncio.wait([*tasks, changed], timeout=CHANGES_S, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        if rng.random() < 0.5:
            play.trigger.left = rng.randrange(1, 80)
        await asyncio.wait(tasks, timeout=rng.uniform(0.05, 2.0), return_when=asyncio.FIRST_COMPLETED)
        if victim.alive() and any(task.done() for task in tasks):  # it ends by itself, to start anew
            await WallClock().sleep(rng.uniform(0, 1.5))
            book.may_have_started_again()
        victim.kill()
        await victim.buried()
        done, late = await asyncio.wait(tasks, timeout=PATIENCE_S)
        play.trigger.over()  # not before: an engineer at work may have asked for another kill
        for task in late:
            task.cancel()
            report.found(["a client still waits for a plant that is gone"])
        errors = [task.exception() for task in done]
        report.found([f"a client met: {each}" for each in errors if not isinstance(each, ConnectError)])
        report.found([*engineer.findings, *book.findings])
    report.rounds += 1
    report.done["kernel killed"] += 1
    tell(report)


async def _look(play: Play, client: PlantClient, report: Report, *, whole: bool) -> None:
    """Look for what was confirmed; a plant that goes back to a good configuration may start anew for it."""
    book = play.book
    end_ns = monotonic_ns() + round(BACK_S * SECOND_NS)
    while True:
        try:
            report.found(await book.check(client, began=True, whole=whole))
            if not report.findings and await book.gone_back(client):
                report.found(await book.check(client))
            report.found(await play.ledger.check(client, whole=whole))
            return
        except ConnectError as exc:
            if not play.victim.alive() or monotonic_ns() > end_ns:
                report.found([f"it ended by itself: {exc}; it said: {play.victim.tail()}"])
                return
            book.may_have_started_again()
            await WallClock().sleep(0.1)


async def _start(play: Play, report: Report, rng: random.Random) -> Endpoint | None:
    victim = play.victim
    by_command = not victim.lean or play.lives % WHOLE_EVERY == 1
    compiled = not victim.lean and play.lives > 1 and rng.random() < 0.5
    if compiled:
        play.engineer.edit(replace(play.book.present(), note=report.rounds))
    if victim.lean and rng.random() < 0.15:
        await _kill_at_the_start(play, report, rng)
    editing = None
    if victim.lean and rng.random() < 0.2:
        editing = asyncio.create_task(play.engineer.edit_soon(random.Random(rng.random())))
    try:
        starting = asyncio.create_task(victim.start(by_command=by_command))
        if compiled:
            await _kill_the_compiler(victim, starting, report, rng)
            await asyncio.wait([starting])
            if starting.exception() is not None:  # it ended in words: whoever started it starts it again
                starting = asyncio.create_task(victim.start(by_command=by_command))
        endpoint, took_ms = await starting
        if editing:
            await editing
    except PlantError as exc:
        report.found([f"it does not start: {exc}", *victim.complaints()])
        return None
    report.starts_ms.append(took_ms)
    report.found([*victim.complaints(), *await victim.orphans()])
    return endpoint


async def _kill_at_the_start(play: Play, report: Report, rng: random.Random) -> None:
    """Let lives end before anyone had an answer: no reason to give up a configuration that came up once."""
    for _ in range(rng.choice((1, 2, 4))):
        starting = asyncio.create_task(play.victim.start(by_command=False))
        await WallClock().sleep(rng.uniform(0, 0.5))
        play.victim.kill()
        await play.victim.buried()
        await asyncio.wait([starting])
        starting.exception()  # of course
        play.book.may_have_started_again()
        report.rounds += 1
        report.done["kernel killed at its start"] += 1


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
        await _look(play, client, report, whole=True)
    report.found([*play.victim.complaints(), *await play.victim.orphans()])
