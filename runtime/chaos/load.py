"""The load of a campaign: clients that write, trip, acknowledge, approve and ask until the plant is gone."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from runtime.chaos.ledger import Expected, Ledger
from runtime.chaos.setup import HOLD_BASE, UNITS
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, WallClock
from runtime.contract import Clock
from runtime.errors import ConnectError, PlantError

WRITERS = 3
_CLOSED = "the history is not open"
_ENDING_NS = 20 * SECOND_NS  # a kernel that ends in order, to start anew, closes its history before its API
_SECRET = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAA"  # noqa: S105 - a hash that no secret has


@dataclass
class Load:
    """What the clients share. A client ends with `ConnectError` when the plant does."""

    path: Callable[[int, str], str]
    ledger: Ledger
    began_ns: int
    pause_s: float = 0.0
    clock: Clock = field(default_factory=WallClock)
    refused: Counter[str] | None = None  # where refusals are to be expected, what was
    units: int = UNITS
    there: Callable[[int], bool] = lambda _: True  # of those, the units that are there now
    expects: re.Pattern[str] | None = None  # where not all are: which refusals

    async def write(self, client: PlantClient, approver: PlantClient, part: int, rng: random.Random) -> None:
        """Do what operators do to the units of our own, one thing after the other."""
        kinds = (
            self._set, self._set, self._set, self._command, self._hold, self._trip, self._approve,
            self._accounts,
        )  # fmt: skip
        while True:
            unit = rng.randrange(part, self.units, WRITERS)
            if self.pause_s:
                await self.clock.sleep(rng.expovariate(1 / self.pause_s))
            kind = rng.choice(kinds)
            if not self.there(unit):
                await self.clock.sleep(0)
                continue
            try:
                await kind(client, approver, unit, rng)
            except PlantError as exc:
                self._excuse(exc)

    async def ask(self, client: PlantClient, rng: random.Random) -> None:
        """Ask what history has: what was told once must be there for ever."""
        closed_ns = 0
        while True:
            units = [unit for unit in rng.sample(range(self.units), 6) if self.there(unit)]
            paths = [self.path(unit, name) for unit in units for name in ("value", "count")]
            try:
                for series in await client.history(paths, self.began_ns, 2**62):
                    self.ledger.saw_samples(series.path, series.points)
                closed_ns = 0
            except PlantError as exc:
                now_ns = self.clock.steady_ns()
                closed_ns = (closed_ns or now_ns) if exc.text == _CLOSED else 0
                if not closed_ns or now_ns - closed_ns > _ENDING_NS:
                    self._excuse(exc)
            await self.clock.sleep(0.03 + self.pause_s)

    def _excuse(self, error: PlantError) -> None:
        """Count a refusal that is to be expected; raise any other."""
        known = self.expects is None or self.expects.search(error.text)
        if self.refused is None or isinstance(error, ConnectError) or not known:
            raise error
        self.refused[error.text] += 1

    async def _set(self, client: PlantClient, _: PlantClient, unit: int, rng: random.Random) -> None:
        path, value, ledger = self.path(unit, "value"), rng.randrange(2**31), self.ledger
        reason = ledger.reason("set")
        with ledger.trying(ledger.values, path, value):
            await client.write(path, value, reason)
        ledger.done("operator writes", ("write", reason))

    async def _command(self, client: PlantClient, _: PlantClient, unit: int, rng: random.Random) -> None:
        reason = self.ledger.reason("command")
        await client.write(self.path(unit, "out"), rng.randrange(2**31), reason)
        self.ledger.done("commands to a device", ("write", reason))

    async def _hold(self, client: PlantClient, _: PlantClient, unit: int, rng: random.Random) -> None:
        path, reason = self.path(unit, "hold"), self.ledger.reason("hold")
        self.ledger.holds[path] = HOLD_BASE
        await client.write(path, rng.randrange(10, 2**31), reason, for_ns=rng.randrange(1, 4) * SECOND_NS)
        self.ledger.done("writes for a time", ("write", reason))

    async def _trip(self, client: PlantClient, _: PlantClient, unit: int, rng: random.Random) -> None:
        path, name, ledger = self.path(unit, "trip"), f"unit{unit}.trip", self.ledger
        counts = {alarm.name: alarm.count for alarm in await client.alarms(all=True)}
        if name not in counts:  # it was taken out meanwhile
            return
        count = counts[name]
        known = ledger.acknowledged.setdefault(name, Expected(None))
        known.tried.add(None)  # from now on a new alarm may stand there
        for value in (False, True):
            reason = ledger.reason("trip")
            with ledger.trying(ledger.values, path, value):
                await client.write(path, value, reason)
            ledger.done("operator writes", ("write", reason))
        for _attempt in range(200):
            await self.clock.sleep(0.005 + self.pause_s / 20)
            there = {alarm.name: alarm for alarm in await client.alarms()}
            alarm = there.get(name)
            if alarm is not None and alarm.state == "unacknowledged" and alarm.count > count:
                break
        else:
            return
        if alarm.raised_ns is not None and await self._is_kept(client, name, alarm.raised_ns):
            ledger.saw_raised(name, alarm.raised_ns)
        ledger.acknowledged[name] = Expected(None)
        if rng.random() < 0.3:
            return
        comment = ledger.reason("seen")
        with ledger.trying(ledger.acknowledged, name, comment):
            await client.acknowledge(name, comment)
        ledger.done("acknowledgements", ("acknowledge", comment))

    async def _is_kept(self, client: PlantClient, name: str, raised_ns: int) -> bool:
        """Tell whether an alarm that is shown is promised to stay: all are, unless the disk may fail."""
        if self.refused is None or self.expects is not None:
            return True
        newest = await client.alarm_journal(100)
        return any((each.alarm, each.at_ns) == (name, raised_ns) for each in newest)

    async def _approve(
        self, client: PlantClient, approver: PlantClient, unit: int, rng: random.Random
    ) -> None:
        path, value, ledger = self.path(unit, "safe"), rng.randrange(2**31), self.ledger
        asked, approved = ledger.reason("asked"), ledger.reason("approved")
        request = await client.request_write(path, value, asked)
        ledger.done("requests", ("request", asked))
        with ledger.trying(ledger.values, path, value):
            await approver.approve(request.id, approved)
        ledger.done("approvals", ("approve", approved), ("write", asked))

    async def _accounts(self, client: PlantClient, _: PlantClient, unit: int, rng: random.Random) -> None:
        name, ledger = f"user{unit}", self.ledger
        known = ledger.users.get(name)
        if known is not None and known.tried:  # nobody knows whether it is there: find out first
            there = {user.name: user.role for user in await client.users()}
            known = ledger.users[name] = Expected(there.get(name))
        if known is not None and known.value is not None:
            with ledger.trying(ledger.users, name, None):
                await client.remove_user(name)
            ledger.done("users removed")
            return
        role = rng.choice(("viewer", "operator"))
        with ledger.trying(ledger.users, name, role):
            await client.add_user(name, role, _SECRET)
        ledger.done("users added")
        made = await client.issue_token(name, ["**"])
        ledger.tokens.add(made.view.id)
        ledger.done("tokens issued")


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End clients that still work: a round broke off. What else they met was looked at, or is its cause."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
