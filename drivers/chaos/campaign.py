"""The campaign of any protocol: a client on a device behind a relay, torn apart round by round."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from drivers.chaos.process import Victim
from drivers.chaos.relay import Relay
from runtime.clock import WallClock
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Batch, Quality, Tag
from runtime.testing import FakePort

ROOT = "site/area/line"
LIMIT_S = 10.0
KINDS = ("freeze", "kill", "both", "half-open", "delay", "loss", "late", "twice", "address")
_SPOILT = frozenset({"delay", "loss", "late", "twice"})  # the wire is bad, but stands: nothing must be marked


@dataclass
class Recoveries:
    """What came of it so far.

    Attributes:
        name: the protocol.
        seconds: from when the server could be reached again to when every tag was good and new.
        findings: what should not have been, each with its round.
    """

    name: str
    seed: int
    rounds: int = 0
    done: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def found(self, text: str) -> None:
        self.findings.append(f"round {self.rounds} (seed {self.seed}): {text}")

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        ordered = sorted(self.seconds)
        return {
            "campaign": self.name,
            "seed": self.seed,
            "rounds": self.rounds,
            "done": dict(self.done),
            "recovered": len(ordered),
            "recovery_s": {"median": ordered[len(ordered) // 2], "longest": ordered[-1]} if ordered else None,
            "findings": self.findings,
            "ok": not self.findings,
        }

    def lines(self) -> list[str]:
        """Return the report as people read it."""
        shown = self.as_dict()
        done = ", ".join(f"{count} {kind}" for kind, count in self.done.most_common()) or "nothing"
        lines = [f"{self.rounds} rounds, seed {self.seed}: {done}"]
        lines.append(f"{shown['recovered']} of {self.rounds} recovered within {LIMIT_S:g} s")
        if self.seconds:
            lines.append(
                "recovery: median {median:.2f} s, longest {longest:.2f} s".format(**shown["recovery_s"])
            )
        return lines + (self.findings or ["every gap was marked, nothing old was good"])


class Side:
    """A client in a plant of its own, without a kernel: real tag table and bus."""

    def __init__(self, folder: Path, tags: list[Tag], plugin: Any, settings: Any) -> None:
        everything = [*tags, *plugin.declare(folder, ROOT, settings).tags]
        head = PlantFile(plant="chaos", root=ROOT)
        file = folder / "plant.yaml"
        self.plant = Plant(file, head, Document(file, {}), TagList(everything, ROOT), {}, ())
        self.port = FakePort(everything, "io", ROOT, WallClock())
        (self.component,) = plugin.build(self.plant, settings)
        self.ids = np.array([self.port.tags[tag.path].id for tag in tags], np.int32)

    async def run(self) -> None:
        await self.component.run(self.port)

    async def settle(self, kind: str) -> str:
        """Wait until nothing of a round is under way any more; return what was wrong in it, or nothing."""
        return ""

    @property
    def good(self) -> bool:
        """Tell whether every tag is good."""
        return bool((self.port.table.quality[self.ids] >> 30 == 0).all())

    @property
    def marked(self) -> bool:
        """Tell whether no tag is good."""
        return bool((self.port.table.quality[self.ids] >> 30 != 0).all())


Judge = Callable[[Batch], str]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a campaign of a protocol is about.

    Attributes:
        name: in the report.
        victim: the server that is tormented.
        side: makes the client of a port.
        judge: says what is wrong with values that came, if anything is.
    """

    name: str
    victim: Victim
    side: Callable[[int], Side]
    judge: Judge | None = None


async def play(
    subject: Callable[..., Subject],
    folder: Path,
    times: int,
    seed: int,
    tell: Callable[[Recoveries], None],
    kinds: tuple[str, ...] = KINDS,
    count: int = 100,
    pace: float = 1.0,
    **config: Any,
) -> Recoveries:
    """Play so many rounds; the kinds of trouble take turns, the seed chooses how long each lasts.

    `subject` is given a folder, how many tags the client reads, and more of its section; `pace` shortens all
    that the campaign itself waits.

    Raises:
        PlantError: the victim's program is not installed.
    """
    about = subject(folder, count, **config)
    report, victim, clock = Recoveries(about.name, seed), about.victim, WallClock()
    await victim.start()
    relay = Relay(victim.port, clock, seed)
    await relay.start()
    side = about.side(relay.port)
    torment = _Torment(report, victim, relay, side, clock, pace, about.judge)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(side.run())
            if not await torment.until(lambda: side.good, LIMIT_S):
                report.found("the client did not come up")
                times = 0
            for number in range(times):
                report.rounds += 1
                await torment.round(kinds[number % len(kinds)])
                tell(report)
            running.cancel()
    finally:
        await relay.stop()
        victim.thaw()
        await victim.kill()
    return report


class _Torment:
    """One round after the other."""

    def __init__(
        self,
        report: Recoveries,
        victim: Victim,
        relay: Relay,
        side: Side,
        clock: WallClock,
        pace: float,
        judge: Judge | None,
    ) -> None:
        self._report, self._random, self._clock = report, Random(report.seed), clock
        self._victim, self._relay, self._side = victim, relay, side
        self._pace, self._judge = pace, judge

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something; tell whether it came in time."""
        end_ns = self._clock.steady_ns() + round(seconds * 1e9)
        while not condition():
            if self._clock.steady_ns() > end_ns:
                return False
            await self._clock.sleep(0.01)
        return True

    async def _wait(self, least_s: float, most_s: float) -> None:
        await self._clock.sleep(self._random.uniform(least_s, most_s) * self._pace)

    async def round(self, kind: str) -> None:
        """Do one thing to the server, look at what the plant is told, let it go, and wait for good values."""
        self._report.done[kind] += 1
        port = self._side.port
        port.submitted.clear()
        port.emitted.clear()
        if kind in _SPOILT:
            self._spoil(kind)
            await self._wait(1.0, 4.0)
            self._relay.delay_s = self._relay.loss = self._relay.late = self._relay.twice = 0.0
        else:
            await self._cut(kind)
            if not await self.until(lambda: self._side.marked, LIMIT_S):
                self._report.found(f"{kind}: {self._count_good()} tags stay good while nothing comes")
            self._look_for_old()
            await self._wait(0.0, 3.0)
            await self._heal(kind)
        begin_ns, now_ns = self._clock.steady_ns(), self._clock.now_ns()

        def well() -> bool:
            fresh = port.table.source_ns[self._side.ids] > now_ns
            return self._side.good and bool(fresh.all())

        if not await self.until(well, LIMIT_S):
            self._report.found(f"{kind}: not recovered within {LIMIT_S:g} s: {port.health_text}")
            await self.until(well, 6 * LIMIT_S)
        else:
            self._report.seconds.append(round((self._clock.steady_ns() - begin_ns) / 1e9, 3))
        for batch in port.submitted if self._judge else ():
            if self._judge and (wrong := self._judge(batch)):
                self._report.found(f"{kind}: {wrong}")
                break
        if wrong := await self._side.settle(kind):
            self._report.found(f"{kind}: {wrong}")

    def _spoil(self, kind: str) -> None:
        match kind:
            case "delay":
                self._relay.delay_s = self._random.uniform(0.1, 1.5) * self._pace
            case "loss":
                self._relay.loss = self._random.uniform(0.05, 0.5)
            case "twice":
                self._relay.twice = self._random.uniform(0.05, 0.5)
            case _:
                self._relay.late = self._random.uniform(0.05, 0.5)
                self._relay.late_s = self._random.uniform(1.0, 4.0) * self._pace

    async def _cut(self, kind: str) -> None:
        match kind:
            case "kill":
                await self._victim.kill()
            case "half-open":
                self._relay.swallows = True
            case "address":
                self._relay.swallows = True
                await self._victim.kill()
            case _:
                self._victim.freeze()

    async def _heal(self, kind: str) -> None:
        match kind:
            case "freeze":
                self._victim.thaw()
            case "half-open":
                self._relay.swallows = False
            case "address":  # the old connections hear nothing more, not even that they are over
                self._relay.target = self._victim.move()
                await self._victim.start()
                self._relay.swallows = False
            case "both":
                self._victim.thaw()
                await self._wait(0.0, 2.0)  # somewhere within the rebuild
                await self._victim.kill()
                await self._victim.start()
            case _:
                await self._victim.start()

    def _look_for_old(self) -> None:
        """Once a tag was marked, nothing of it may be good before the server is back."""
        marked: set[int] = set()
        for batch in self._side.port.submitted:
            for each in batch:
                if not Quality.is_good(each.quality):
                    marked.add(each.id)
                elif each.id in marked and each.id in self._ids:
                    self._report.found(f"tag {each.id} became good while the server was away")
                    return

    @property
    def _ids(self) -> set[int]:
        return set(self._side.ids.tolist())

    def _count_good(self) -> int:
        return int((self._side.port.table.quality[self._side.ids] >> 30 == 0).sum())
