"""What must hold at every instant of the simulated plant."""

from __future__ import annotations

from runtime.alarms.service import BACKLOG
from runtime.bus import EVENT_LIMIT, JOURNAL_ROWS
from runtime.chaos.field import LEVELS, ON_DELAY_S, Field
from runtime.chaos.simdisk import SimDisk
from runtime.chaos.simloop import SimClock, SimLoop
from runtime.contract import Quality
from runtime.kernel import Kernel
from runtime.supervisor import FIRST_BACK_OFF_S, State

PERIOD_S = 0.25
SLACK_S = 3.0  # beyond the delay of an alarm, on a disk that is well
LATE_S = 12.0  # beyond the end of a hold or shelf: the gate tries again every 5 s


class Watch:
    """Looks four times a second."""

    def __init__(self, kernel: Kernel, loop: SimLoop, clock: SimClock, field: Field, disk: SimDisk) -> None:
        self._kernel = kernel
        self._loop = loop
        self._clock = clock
        self._field = field
        self._disk = disk
        self._asked_s = -1e9
        self._faulted_s: dict[str, float] = {}
        self._over_s: dict[str, float] = {}
        self.findings: list[str] = []

    def asked_for_a_restart(self) -> None:
        """From now on a component may start without a pause, for a moment."""
        self._asked_s = self._loop.time()

    async def run(self) -> None:
        while not self.findings:
            self._look_at_sources()
            self._look_at_alarms()
            self._look_at_times()
            self._look_at_queues()
            await self._clock.sleep(PERIOD_S)

    def _look_at_sources(self) -> None:
        kernel, now_s = self._kernel, self._loop.time()
        for view in kernel.supervisor.views():
            name, state = str(view["name"]), State(view["state"])
            if state is State.FAULTED:
                self._faulted_s.setdefault(name, now_s)
                own = [tag for tag in kernel.table if tag.source == name]
                good = [tag.path for tag in own if not Quality.is_bad(int(kernel.table.quality[tag.id]))]
                self._expect(not good, f"{name} is faulted, and {good[:2]} are good")
                if "internal error" in str(view["text"]):
                    self.findings.append(f"{name}: {view['text']}")
            elif (since_s := self._faulted_s.pop(name, None)) is not None:
                asked = now_s - self._asked_s < 1.0
                pause_s = now_s - since_s + 2 * PERIOD_S
                self._expect(asked or pause_s >= FIRST_BACK_OFF_S, f"{name} started without a pause")

    def _look_at_alarms(self) -> None:
        for n in range(LEVELS):
            above_s = self._field.above_s[n]
            if above_s is None:
                continue
            late_s = self._loop.time() - above_s - ON_DELAY_S - SLACK_S
            active = self._kernel.alarms.engine.alarm(f"level{n}.high").standing.active
            if late_s > 0 and self._disk.well_for_s() > ON_DELAY_S + SLACK_S:
                well = self._kernel.supervisor.alive("alarms")
                self._expect(active or not well, f"level{n}.high is {late_s:.1f} s late")

    def _look_at_times(self) -> None:
        now_ns = self._clock.now_ns()
        if self._disk.well_for_s() < LATE_S:
            return
        gate, now_s = self._kernel.gate, self._loop.time()
        ends = {f"{each.path} is still held": each.until_ns for each in gate.holds.values()}
        ends = {text: end for text, end in ends.items() if text.split()[0] not in gate.late}
        for alarm in self._kernel.alarms.engine.alarms():
            if alarm.shelf and alarm.shelf.until_ns is not None:
                ends[f"{alarm.name} is still shelved"] = alarm.shelf.until_ns
        over = {text for text, end_ns in ends.items() if end_ns < now_ns}
        self._over_s = {text: self._over_s.get(text, now_s) for text in over}
        for text, since_s in self._over_s.items():
            self._expect(now_s - since_s < LATE_S, text)

    def _look_at_queues(self) -> None:
        kernel = self._kernel
        rows = [getattr(each, "_rows", 0) for each in kernel.bus._subscriptions]
        events = [len(each._events) for each in kernel.bus._streams]
        self._expect(max(rows, default=0) <= JOURNAL_ROWS, "a journal of the bus is over its bound")
        self._expect(max(events, default=0) <= EVENT_LIMIT, "a stream of events is over its bound")
        self._expect(len(kernel.alarms._backlog) <= BACKLOG, "the alarms' backlog is over its bound")
        self._expect(len(kernel.journal._waiting) <= 1024, "the journal's queue is over its bound")

    def _expect(self, holds: bool, text: str) -> None:
        if not holds:
            self.findings.append(f"{text} (at {self._loop.time():.2f} s)")
