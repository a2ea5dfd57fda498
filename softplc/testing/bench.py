"""Plc: a program on the bench, stepped by a test in virtual time."""

from __future__ import annotations

import math
from typing import Any

from runtime.config import parse_duration_ns
from runtime.errors import PlantError
from softplc.application import Symbol
from softplc.image import CHARACTERS, STRINGS
from softplc.simulator import DEFAULT_DT_NS, PlcFaultError, Simulator
from softplc.testing.program import Program
from softplc.testing.trace import Trace
from softplc.texts import parse_value

SECOND_NS = 1_000_000_000
SHOWN_CHANGES = 20
MOST_DEEDS = 100_000
TEXTS = (*STRINGS, *CHARACTERS)


class TaskFaultError(AssertionError):
    """A task stopped: `file`, `line`, `cause`."""

    def __init__(self, fault: PlcFaultError, at_s: float, source: str) -> None:
        text = f"{fault.file}:{fault.line}: task {fault.task} stopped at {at_s:g} s: {fault.cause}"
        if source.strip():
            text += f"\n{fault.line:5} | {source.rstrip()}"
        super().__init__(text)
        self.file, self.line, self.cause = fault.file, fault.line, fault.cause


class Plc:
    """A program from its cold start on: `plc["Main.motor"]` reads, `plc["Main.start"] = True` writes.

    Scans are `period_ns` apart, the first at time 0; a task runs in those that are at or after its due
    time. What is written is seen by the next scan. The period is the greatest that fits the intervals of
    all tasks, 10 ms where no task has one.
    """

    def __init__(self, program: Program, period_ns: int = 0, by_hand: str = "") -> None:
        self.program = program
        self._by_hand = by_hand
        self._simulator = Simulator(program.application, by_hand)
        intervals = [task.interval_ns for task in program.application.tasks if task.interval_ns]
        self.period_ns = period_ns or (math.gcd(*intervals) if intervals else 0) or DEFAULT_DT_NS
        self._now_ns = 0
        self._traces: list[Trace] = []
        self._touched: dict[str, str] = {}
        self._deeds: list[tuple[str, Any]] | None = []

    @property
    def seconds(self) -> float:
        """Virtual time since the start."""
        return self._now_ns / SECOND_NS

    @property
    def simulator(self) -> Simulator:
        """The simulator below; what is written there the report of a failure does not know."""
        return self._simulator

    def run_for(self, duration: str | float) -> None:
        """Do the scans of a duration, such as `2s` or a number of seconds: 2 s at 10 ms are 200.

        Raises:
            TaskFaultError: a task stopped.
        """
        __tracebackhide__ = True
        self._advance(duration_ns(duration))

    def scan(self, n: int = 1) -> None:
        """Do n scans.

        Raises:
            TaskFaultError: a task stopped.
        """
        __tracebackhide__ = True
        if n > 0:
            self._advance(self._simulator.now_ns - self._now_ns + (n - 1) * self.period_ns + 1)
            self._now_ns = self._simulator.now_ns

    def _advance(self, span_ns: int) -> None:
        __tracebackhide__ = True
        end_ns = self._now_ns + span_ns
        n = max(0, -(-(end_ns - self._simulator.now_ns) // self.period_ns))
        done_before = self._simulator.now_ns
        try:
            self._scan(n)
        except PlcFaultError as exc:
            at_ns = self._now_ns = self._simulator.now_ns
            source = self.program.source_line(exc.file, exc.line)
            raise TaskFaultError(exc, at_ns / SECOND_NS, source) from None
        finally:
            self._note("scan", (self._simulator.now_ns - done_before) // self.period_ns)
        self._now_ns = end_ns

    def _scan(self, n: int) -> None:
        if not self._traces:
            self._simulator.scan(n, self.period_ns)
            return
        for _ in range(n):
            at_ns = self._simulator.now_ns
            self._simulator.scan(1, self.period_ns)
            for trace in self._traces:
                trace.sample(at_ns)

    def __getitem__(self, path: str) -> Any:
        """Return a value: TIME and dates in ns, arrays as lists, structures as dicts.

        Raises:
            UnknownPathError: there is no such variable.
        """
        __tracebackhide__ = True
        try:
            value = self._simulator.read(path)
        except PlantError as exc:
            raise exc.with_traceback(None) from None  # what the test does wrong is shown in the test
        self._touch(path)
        return value

    def __setitem__(self, path: str, value: Any) -> None:
        """Set a variable; text that is no string is read as a literal: `T#2s`, `16#FF`, `RUNNING`.

        Raises:
            UnknownPathError: there is no such variable.
            PlantError: the value does not fit it.
        """
        __tracebackhide__ = True
        try:
            found = self._simulator.application.find(path)
            if isinstance(value, str) and isinstance(found, Symbol) and found.type not in TEXTS:
                value = parse_value(found, value)
            self._simulator.write(path, value)
        except PlantError as exc:
            raise exc.with_traceback(None) from None
        self._touch(path)
        self._note("write", (path, value))

    def trace(self, *paths: str) -> Trace:
        """Record variables from here on; printed, the trace is a table of what changed when.

        Raises:
            UnknownPathError: there is no such variable.
        """
        for path in paths:
            self._simulator.application.find(path)
            self._touch(path)
        trace = Trace(self._simulator, paths)
        trace.sample(self._now_ns)
        self._traces.append(trace)
        return trace

    def touch(self, path: str) -> None:
        """Let a failure's report show a variable."""
        self._simulator.application.find(path)
        self._touch(path)

    def _touch(self, path: str) -> None:
        self._touched.setdefault(path.casefold(), path)

    def _note(self, what: str, deed: Any) -> None:
        """Keep what was done, so that it can be done again: a test that passes pays nothing for traces."""
        deeds = self._deeds
        if deeds is None:
            return
        if what == "scan" and deeds and deeds[-1][0] == "scan":
            deeds[-1] = ("scan", deeds[-1][1] + deed)
        elif len(deeds) < MOST_DEEDS:
            deeds.append((what, deed))
        else:
            self._deeds = None

    def story(self) -> str:
        """Return the last changes of every variable that the test has read, written or traced.

        The test's writes and scans are done again on a fresh image; the last row is what is there now.
        """
        if not self._touched:
            return ""
        again = Simulator(self.program.application, self._by_hand)
        if self._deeds is None:
            return f"(more than {MOST_DEEDS} writes: not shown)"
        trace = Trace(again, tuple(self._touched.values()), SHOWN_CHANGES)
        for what, deed in self._deeds:
            if what == "write":
                again.write(*deed)
            else:
                for _ in range(deed):
                    at_ns = again.now_ns
                    again.scan(1, self.period_ns)
                    trace.sample(at_ns)
        again.image[:] = self._simulator.image
        trace.sample(self._now_ns)
        return str(trace)


def duration_ns(duration: str | float) -> int:
    """Return the ns of a duration in text, or in seconds.

    Raises:
        PlantError: it is none, or below 0.
    """
    if isinstance(duration, str):
        try:
            return parse_duration_ns(duration)
        except ValueError as exc:
            raise PlantError(str(exc)) from None
    if not math.isfinite(duration) or duration < 0:
        raise PlantError(f"a test cannot go on by {duration} s", "give a duration such as 2s")
    return round(duration * SECOND_NS)
