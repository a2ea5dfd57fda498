"""The client that changes the plant: it edits the folder, applies, rolls back, and errs."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from runtime.chaos.configurations import Configurations
from runtime.chaos.ledger import Ledger
from runtime.chaos.setup import FAILS, WRONG, Setup
from runtime.chaos.victim import Victim
from runtime.client import PlantClient
from runtime.clock import WallClock, monotonic_ns
from runtime.configview import ConfigApplied
from runtime.errors import WriteRejectedError

PAUSE_S = 0.02  # between two changes
END_S = 60.0  # for a plant that ends, to start anew
WAIT_S = 3.0  # for a plant that goes back by itself
_KNOWN = (
    "needs a restart of",
    "error:",
    "there is no version",
    "busy: returning to",
    "busy: the plant starts",
    "no online change of",
    "the PLC core died meanwhile",
    "the PLC has started anew meanwhile",
)


class Engineer:
    """Works until the plant is gone; `soon` has it killed after so many seconds.

    Attributes:
        refused: what the plant refused, by its words.
        findings: what was wrong in the middle of a life.
    """

    def __init__(
        self, victim: Victim, book: Configurations, ledger: Ledger, soon: Callable[[float], None]
    ) -> None:
        self._victim = victim
        self._book = book
        self._ledger = ledger
        self._soon = soon
        self._takes_s = 0.1
        self.done: Counter[str] = Counter()
        self._told = asyncio.Event()
        self._changes = 0
        self.findings: list[str] = []

    async def work(self, client: PlantClient, rng: random.Random) -> None:
        """Do one thing after the other. Ends with `ConnectError` when the plant does."""
        kinds = (
            self._change, self._change, self._change, self._change, self._roll_back, self._err, self._fail,
            self._restart, self._look,
        )  # fmt: skip
        clock = WallClock()
        while True:
            await clock.sleep(rng.expovariate(1 / PAUSE_S))
            try:
                await rng.choice(kinds)(client, rng)
            except WriteRejectedError as exc:
                self.done["changes refused"] += 1
                self._excuse(exc)

    async def changed(self, times: int) -> None:
        """Wait until so many changes more were confirmed."""
        end = self._changes + times
        while self._changes < end:
            self._told.clear()
            await self._told.wait()

    def edit(self, setup: Setup) -> str:
        """Save the files of a setup; return its print."""
        name = self._book.edited(setup)
        self._victim.edit(setup.files(self._victim.base))
        return name

    async def edit_soon(self, rng: random.Random) -> None:
        """Save one file while the plant starts."""
        await WallClock().sleep(rng.uniform(0, 0.3))
        before = self._book.in_folder()
        if before is not None:
            setup = replace(before, limit=rng.randrange(1, 2000) * 1_000_000)
            self._book.edited(setup, meanwhile=True)
            self._victim.edit(setup.files(self._victim.base))

    async def _change(self, client: PlantClient, rng: random.Random) -> None:
        await self._apply(client, self._book.present().changed(rng), rng)

    async def _restart(self, client: PlantClient, rng: random.Random) -> None:
        """Change what takes a new start of the plant; at times without the word that allows it."""
        if rng.random() < 0.5:
            setup = replace(self._book.present().changed(rng), log_files=rng.randrange(2, 20))
            await self._apply(client, setup, rng, restart=rng.random() < 0.5)

    async def _err(self, client: PlantClient, rng: random.Random) -> None:
        """Apply what a check finds wrong; it stays in the folder, as it would."""
        setup = replace(self._book.present().changed(rng), flaw=rng.choice(WRONG))
        try:
            await self._apply(client, setup, rng)
        except WriteRejectedError:
            self.done["wrong configurations refused"] += 1
        else:
            self.findings.append(f"applied: {setup}")

    async def _fail(self, client: PlantClient, rng: random.Random) -> None:
        """Apply what starts and faults; wait until the plant went back by itself."""
        if not self._victim.lean or rng.random() < 0.6:
            return
        await self._apply(client, replace(self._book.present().changed(rng), flaw=FAILS), rng)
        end_ns = monotonic_ns() + round(WAIT_S * 1e9)
        while monotonic_ns() < end_ns:
            await WallClock().sleep(0.1)
            status = await client.config()
            if status.failure is not None and not status.settling:
                self.done["returned to the last good one"] += 1
                break

    async def _roll_back(self, client: PlantClient, rng: random.Random) -> None:
        numbers = self._book.versions()
        number = rng.choice(numbers[-12:])
        comment = self._ledger.reason("rollback")
        restart = not self._victim.lean or rng.random() < 0.7
        self._maybe_soon(rng)
        before_ns = monotonic_ns()
        with self._book.trying("rollback", self._book.print_of_version(number), comment) as answer:
            done = await client.config_rollback(str(number), comment, restart=restart)
            answer.append(done.version)
        self._took(before_ns)
        self._ledger.done("rollbacks", ("rollback", comment))
        await self._ended(client, done)

    async def _look(self, client: PlantClient, rng: random.Random) -> None:
        self.findings += await self._book.check(client)

    async def _apply(
        self, client: PlantClient, setup: Setup, rng: random.Random, *, restart: bool = False
    ) -> None:
        comment = self._ledger.reason("apply")
        self._maybe_soon(rng)
        before_ns = monotonic_ns()
        with self._book.trying("apply", self.edit(setup), comment) as answer:
            done = await client.config_apply(comment, restart=restart)
            answer.append(done.version)
        self._took(before_ns)
        self._ledger.done("configurations applied", ("apply", comment))
        await self._ended(client, done)

    async def _ended(self, client: PlantClient, done: ConfigApplied) -> None:
        """Wait for the end of a plant that starts anew for a change: until then the one before runs."""
        end_ns = monotonic_ns() + round(END_S * 1e9)
        while "plant" in done.plan.needs:
            await client.config()
            if monotonic_ns() > end_ns:
                self.findings.append(f"version {done.version} needs a new start, which does not come")
                break
            await WallClock().sleep(0.02)

    def _maybe_soon(self, rng: random.Random) -> None:
        """Kill within the change, at times: from before it is asked for until after it is answered."""
        if rng.random() < 0.2:
            self._soon(rng.uniform(0, 1.3 * self._takes_s))

    def _took(self, before_ns: int) -> None:
        self._takes_s = (self._takes_s + (monotonic_ns() - before_ns) / 1e9) / 2
        self._changes += 1
        self._told.set()

    def _excuse(self, error: WriteRejectedError) -> None:
        """A refusal has a reason that the campaign knows."""
        if not any(each in error.text for each in _KNOWN):
            self.findings.append(f"refused: {error}")
