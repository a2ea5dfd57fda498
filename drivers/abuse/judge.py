"""What is right after an attack: good clients were served, memory is bounded, nothing was written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from drivers.abuse.machine import Machine
from drivers.abuse.plant import KEPT, KEPT_VALUE, Abused
from drivers.abuse.report import QUIET, Report
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.errors import PlantError
from runtime.plcview import PlcFigures
from runtime.wire import AuditEntry, ComponentView

SETTLE_S, QUIET_S = 5.0, 10.0
END_S = 75.0  # sessions that lost their connection are kept for a minute
LATER_S = 60  # the historian takes some 65 MiB whenever it makes a file, and gives them back
MOST_MIB = 250.0
KEPT_MIB = 40.0
SPARE = 10  # descriptors more than before; connections that ended give theirs back
LOG_BYTES = 1_000_000
SERVED_MS = 5_000.0
_PAGE = 1_000
_COUNTED = re.compile(r"; (\d+) refused attempts before have no row of their own$")

Ask = Callable[[], Awaitable[tuple[float, dict[str, dict[str, Any]]]]]
"""Gives how late the good clients were by themselves, in seconds, and what each saw since the last time."""


class Judge:
    """Looks at the plant between attacks, over its unix socket."""

    def __init__(self, report: Report, plant: Abused, ask: Ask, machine: Machine, whole: bool) -> None:
        """`ask` gives what the good clients saw since the last time; a `whole` one judges waits."""
        self._report, self._plant, self._ask = report, plant, ask
        self._machine = machine
        self._whole = whole
        self._clock = WallClock()
        self._restarts: dict[str, int] = {}
        self._scans = (0, 0)
        self._log = 0
        self._descriptors = 0
        self._most = 0.0
        self._audited = 0

    async def _state(self) -> tuple[tuple[ComponentView, ...], PlcFigures, Any]:
        async with PlantClient(self._plant.endpoint, timeout_s=30) as client:
            return await client.components(), await client.plc(), (await client.tag(KEPT)).value

    async def _new_rows(self) -> list[AuditEntry]:
        """Return the rows that the audit has beyond those it had the last time."""
        found: list[AuditEntry] = []
        before = None
        async with PlantClient(self._plant.endpoint, timeout_s=30) as client:
            while page := await client.audit(_PAGE, before):
                found += [each for each in page if each.seq > self._audited]
                before = page[-1].seq
                if before <= self._audited:
                    break
        self._audited = max([self._audited, *(each.seq for each in found)])
        return found

    async def begin(self, pace: float) -> None:
        """See what all is like before the first attack.

        Raises:
            PlantError: the plant, or the good clients, do not answer.
        """
        await self._clock.sleep(SETTLE_S * pace)
        await self._ask()
        self._machine.take()
        await self._clock.sleep(QUIET_S * pace)
        await self._take(QUIET)
        components, plc, _ = await self._state()
        await self._new_rows()
        self._restarts = {each.name: each.restarts for each in components}
        self._scans = (plc.scans, monotonic_ns())
        self._log, self._descriptors = self._plant.log_size, self._plant.descriptors
        self._most = self._plant.memory_mib
        self._report.memory_mib["before"] = round(self._most, 1)

    async def _take(self, name: str) -> None:
        late_s, self._report.served[name] = await self._ask()
        self._report.spent[name] = self._machine.take(late_s)

    async def watch(self) -> None:
        """Take the kernel's memory again and again, until cancelled."""
        while self._plant.alive:
            self._most = max(self._most, self._plant.memory_mib)
            await self._clock.sleep(0.1)

    async def look(self, attack: str) -> None:
        """Judge what an attack did.

        Raises:
            PlantError: the good clients do not tell.
        """
        report, plant = self._report, self._plant
        if not plant.alive:
            report.found(f"{attack}: the kernel is gone")
            return
        await self._take(attack)
        for name, seen in report.served[attack].items():
            served(report, attack, name, seen, self._whole)
        try:
            components, plc, kept = await self._state()
            rows = await self._new_rows()
        except PlantError as exc:
            report.found(f"{attack}: the plant does not answer: {exc}")
            return
        for each in components:
            if each.state != "running" or each.restarts != self._restarts.get(each.name, 0):
                report.found(f"{attack}: {each.name} is {each.state}, {each.restarts} restarts: {each.text}")
            self._restarts[each.name] = each.restarts
        if kept != KEPT_VALUE:
            report.found(f"{attack}: {KEPT} was written without right: {kept}")
        audited(report, attack, plant.target.refused, rows, self._whole)
        plant.target.refused.clear()
        self._tell_plc(plc)
        for text in plant.complaints():
            report.found(f"{attack}: {text}")
        grown = plant.log_size - self._log
        self._log = plant.log_size
        if grown > LOG_BYTES:
            report.found(f"{attack}: the log has grown by {grown} bytes")

    def _tell_plc(self, plc: PlcFigures) -> None:
        scans, since_ns = self._scans
        rate = (plc.scans - scans) / ((monotonic_ns() - since_ns) / SECOND_NS)
        (task,) = plc.tasks
        self._report.plc = {
            "scans/s": round(rate, 1),
            "overruns": task.overruns,
            "skipped": task.skipped,
            "aborts": plc.aborts,
            "us latest": round(task.latency.max_us),
        }
        if plc.aborts or task.fault:
            self._report.found(f"the PLC: {plc.aborts} aborts {task.fault}")

    async def end(self, pace: float) -> None:
        """Let go, and see whether the kernel is what it was."""
        report, plant = self._report, self._plant
        if not plant.alive:
            return
        before = report.memory_mib["before"]
        await self._clock.sleep(END_S * pace)
        after, descriptors = plant.memory_mib, plant.descriptors
        for _ in range(LATER_S):
            if (after <= before + KEPT_MIB or not self._whole) and descriptors <= self._descriptors + SPARE:
                break
            await self._clock.sleep(1)
            after, descriptors = plant.memory_mib, plant.descriptors
        report.memory_mib |= {"at most": round(self._most, 1), "after": round(after, 1)}
        if self._most > before + MOST_MIB:
            report.found(f"the kernel took {self._most - before:.0f} MiB more")
        if self._whole and after > before + KEPT_MIB:
            report.found(f"the kernel kept {after - before:.0f} MiB")
        if descriptors > self._descriptors + SPARE:
            report.found(f"{descriptors} descriptors are open, {self._descriptors} were")


def audited(
    report: Report, attack: str, refused: Counter[str], rows: Iterable[AuditEntry], whole: bool
) -> None:
    """Judge the rows of an attack: none was done, and who was told that the gate refused has as many.

    Those without a row of their own are counted in another. A `whole` attack had the time to be refused.
    """
    ours = [each for each in rows if (each.via, each.action, each.target) == ("opcua", "write", KEPT)]
    done = sum(each.outcome != "refused" for each in ours)
    if done:
        report.found(f"{attack}: the audit has {done} writes that were done")
    there = Counter(each.actor for each in ours)
    for each in ours:
        if counted := _COUNTED.search(each.detail):
            there[each.actor] += int(counted[1])
    for user, told in refused.items():
        if there[user] < told:
            report.found(f"{attack}: {told} writes of {user} were refused, the audit has {there[user]}")
        if whole and not told:
            report.found(f"{attack}: the gate was not asked for {user}")


def served(report: Report, attack: str, name: str, seen: dict[str, Any], by_time: bool) -> None:
    """Judge what one good client saw during an attack; `by_time`: how long it waited too."""
    standing = not name.endswith(("login", "anew"))  # those have their patience
    spent = report.spent[attack]
    if not seen["asked"] and standing:
        report.found(f"{attack}: {name} had no answer")
    if seen["wrong"]:
        report.found(f"{attack}: {name}: wrong: {'; '.join(seen['wrong'])}")
    if seen["cut"]:
        text = f"{attack}: {name}: cut: {'; '.join(seen['cut'])}"
        if spent.late_s * 1e3 > SERVED_MS:
            report.leave(f"{text}; the good clients stood still for {spent.late_s} s")
        else:
            report.found(text)
    waited_ms = seen["max_ms"] or 0.0
    if not (standing and by_time and waited_ms > SERVED_MS):
        return
    text = f"{attack}: {name} waited {waited_ms:.0f} ms"
    if waited_ms - spent.machine_s * 1e3 > SERVED_MS:
        report.found(text)
    else:
        report.leave(f"{text}; the machine withheld {spent.machine_s:.1f} s of it, or more")
