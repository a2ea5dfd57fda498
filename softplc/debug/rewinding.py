"""Rewinding: a machine over a record, that also goes back.

Going back is doing a scan again, up to an earlier statement, from what the record has before it. To name
statements of a scan they are counted, which needs a program that asks at each. A scan that only asks at
breakpoints is therefore done again, counting, once it has met one.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from runtime.errors import PlantError
from softplc.debug.breakpoints import Breakpoint
from softplc.debug.evaluate import Where
from softplc.debug.machine import Listener, Machine, Plan, Stop
from softplc.debug.program import Program
from softplc.debug.replayed import Replayed
from softplc.debug.values import Value
from softplc.lower.sites import CALLBACK

MOST_TRACED = 1_000_000  # statements of one scan


@dataclass(slots=True)
class Goal:
    """Where a scan that is done again stops.

    Attributes:
        ordinal: the number of the statement from 0, -1 for none.
        site, count: or the site, and how often it is met until then.
        limit: or, of a search, the statement before which it ends; None for the whole scan.
        at_fault: or the fault that ends the scan.
        searches: `last` for the last statement of the scan, `hit` for the last breakpoint.
        found: what a search has found: the statement, and why to stop there.
    """

    stop: Stop
    ordinal: int = -1
    site: int = -1
    count: int = 0
    at_fault: bool = False
    searches: str = ""
    limit: int | None = None
    found: tuple[int, Stop] | None = None


class Rewinding(Machine):
    """Replays a record under the debugger; nothing in it is changed."""

    def __init__(self, program: Program, scans: Replayed, listener: Listener) -> None:
        super().__init__(program, scans, listener, 0.0)
        self._replayed = scans
        scans.prepare = self._prepare
        self._goal: Goal | None = None
        self._next: Goal | None = None  # of the same scan
        self._earlier: Goal | None = None  # of the scan before
        self._counts: Counter[int] = Counter()
        self._trace: list[tuple[int, int]] = []  # site and depth of each statement so far
        self._counted = False

    # From other threads --------------------------------------------------------------------------

    def go_back(self, *, to_breakpoint: bool) -> None:
        """Go to the statement before, or to the breakpoint before."""

        def resume() -> None:
            here = len(self._trace) - 1
            self._going = self._aborts = True
            if to_breakpoint:
                goal = Goal(Stop("breakpoint"), searches="hit", limit=here)
                self._next, self._earlier = (
                    (goal, None) if here > 0 else (None, Goal(goal.stop, searches="hit"))
                )
                return
            before = self._before(here)
            if before >= 0:
                self._next = Goal(Stop("step"), ordinal=before)
            else:
                self._earlier = Goal(Stop("step"), searches="last")

        self._standing = False
        self._jobs.put(resume)

    def change(self, value: Value, text: str) -> None:
        raise PlantError(f"{value.name} was recorded: it is not changed", "launch the program to try values")

    def done(self, text: str, where: Where) -> Value | None:
        compiled = self.evaluator.compiled(text, where)
        if compiled.type is None:
            raise PlantError("what was recorded is not changed", "launch the program to try values")
        return self.evaluator.value(text, where)

    # The machine's thread ------------------------------------------------------------------------

    def _scan(self) -> str:
        """Do one scan, and again while somebody goes back."""
        goal: Goal | None = None
        while not self._ending:
            self._goal = goal
            self._counts.clear()
            self._trace.clear()
            self._aborts = False
            self._counted = goal is not None or self._plan not in (Plan.GO, Plan.SCAN)
            why = self._replayed.step()
            if why and goal is None:
                self._stand(Stop("pause", why))
            self._searched()
            goal = self._following()
            if goal is None:
                if not why:
                    self._replayed.forward()
                break
        return ""

    def _following(self) -> Goal | None:
        """Return what the same scan is done again for, or the one before; None to go on."""
        if self._next is None and self._earlier is not None:
            self._to_earlier()
        goal, self._next = self._next, None
        return goal

    def _searched(self) -> None:
        """Turn what a search has found into the next goal."""
        goal = self._goal
        if goal is None or not goal.searches or self._ending:
            return
        if goal.searches == "last":
            last = next((n for n in range(len(self._trace) - 1, -1, -1) if self._trace[n][1] == 1), -1)
            goal.found = (last, goal.stop) if last >= 0 else None
        if goal.found is not None:
            self._next = Goal(goal.found[1], ordinal=goal.found[0])
        else:
            self._earlier = Goal(goal.stop, searches=goal.searches)

    def _to_earlier(self) -> None:
        goal, self._earlier = self._earlier, None
        if self._is_to_pause:
            self._next = Goal(Stop("pause"), ordinal=0)
        elif self._replayed.back():
            self._next = goal
        else:
            self._listener.said("the record begins here\n", "console")
            self._next = Goal(Stop("entry", "the record begins here"), ordinal=0)

    def _prepare(self, image: memoryview) -> None:
        struct.pack_into("<Q", image, self._base + CALLBACK, self._place)
        self._arm()

    def _arm(self) -> None:
        if self._counted:
            self._fill(1)
        else:
            super()._arm()

    def _look(self, number: int) -> None:
        goal = self._goal
        if self._aborts:
            return
        if number < 0:
            self._look_at_fault(goal)
            return
        self._counts[number] += 1
        if self._counted and len(self._trace) < MOST_TRACED:
            self._trace.append((number, self.stack.depth()))
        here = len(self._trace) - 1
        if goal is None:
            self._look_on(number)
        elif goal.searches:
            self._search(goal, number, here)
        elif here == goal.ordinal or (number == goal.site and self._counts[number] == goal.count):
            self._goal = None
            self._stand(goal.stop)

    def _look_at_fault(self, goal: Goal | None) -> None:
        stop = self._faulted() if goal is None or goal.at_fault else None
        if stop is None:
            return
        if self._counted:
            self._goal = None
            self._stand(stop)
        else:
            self._aborts = True
            self._next = Goal(stop, at_fault=True)

    def _look_on(self, number: int) -> None:
        stop = self._reason_at(number)
        if stop is None:
            return
        if self._counted:
            self._stand(stop)
            return
        self._aborts = True
        if number in self._by_site:
            self._next = Goal(stop, site=number, count=self._counts[number])
        else:
            self._next = Goal(stop, ordinal=0)

    def _search(self, goal: Goal, number: int, here: int) -> None:
        if goal.limit is not None and here >= goal.limit:
            self._aborts = True
        elif goal.searches == "hit":
            hits = [each.number for each in self._by_site.get(number, ()) if self._is_met(each)]
            if hits:
                goal.found = (here, Stop("breakpoint", "", tuple(hits)))

    def _is_met(self, each: Breakpoint) -> bool:
        """Tell whether a breakpoint stops here on the way back; hits are not counted."""
        if each.message:
            return False
        try:
            return not each.condition or self._holds(each.condition)
        except PlantError:
            return True  # as on the way forward

    def _before(self, here: int) -> int:
        """Return the statement before, not inside of what this one has called; -1 where there is none."""
        if here < 0:
            return -1
        site, depth = self._trace[here]
        line = self._line_of(site)
        for number in range(here - 1, -1, -1):
            other, its_depth = self._trace[number]
            if its_depth < depth or (its_depth == depth and self._line_of(other) != line):
                return number
        return -1

    def _line_of(self, site: int) -> tuple[Any, ...]:
        return self.program.sites[site].file, self.program.sites[site].line
