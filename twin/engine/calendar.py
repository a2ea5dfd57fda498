"""The event calendar: SimPy's event list in whole ns, waking state machines instead of generators."""

from __future__ import annotations

from typing import Any, Protocol

from simpy import Environment
from simpy.events import Timeout


class Machine(Protocol):
    """What the calendar wakes."""

    due: dict[str, tuple[int, int]]

    def on_event(self, event: str) -> None: ...


class Calendar:
    """Time and what is due.

    Each machine keeps its pending events as `due` (name to time and order), so that state is plain
    data; an entry that was replaced or cancelled stays in SimPy's list and is passed over.
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._env = Environment(now_ns)
        self._order = 0

    @property
    def now_ns(self) -> int:
        return int(self._env.now)

    def schedule(self, machine: Machine, event: str, at_ns: int) -> None:
        """Wake a machine at a time; replaces its event of the same name."""
        self._order += 1
        machine.due[event] = (at_ns, self._order)
        timeout = Timeout(self._env, max(0, at_ns - self.now_ns), (machine, event, self._order))
        timeout.callbacks.append(self._fire)

    def _fire(self, timeout: Any) -> None:
        machine, event, order = timeout.value
        due = machine.due.get(event)
        if due is not None and due[1] == order:
            del machine.due[event]
            machine.on_event(event)

    def run_until(self, at_ns: int) -> None:
        """Let everything happen that is due up to and including a time."""
        if at_ns > self._env.now:
            self._env.run(until=at_ns)
        while self._env.peek() <= at_ns:
            self._env.step()
