"""What happened in the loop, told: events of the ring become lines of the log and events of the plant.

Also what happened while no kernel was there: the next one tells it, with the time at which it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from runtime.clock import SECOND_NS
from runtime.contract import Event, Port
from softplc.core.events import Events, Happened
from softplc.core.layout import RETURNED_FAULT, Kind
from softplc.core.scancore import ScanCore
from softplc.core.stats import TaskFault
from softplc.facts import OWNER
from softplc.faults import operands_text
from softplc.forcebook import ForceBook
from softplc.online.live import Program
from softplc.wiring import fault_text

log = logging.getLogger(__name__)

_QUIET_NS = 10 * SECOND_NS  # a task that overruns again and again is told of once in so long
_UNIT = (1 << 32) - 1
_CHANGES = (Kind.CHANGED, Kind.RETURNED)


class _Told(NamedTuple):
    """What is told; without a `kind` in the log alone."""

    level: int
    kind: str
    text: str
    data: dict[str, Any]


class Happenings:
    """Tells of one core after the other, as an online change makes one follow the other."""

    def __init__(self, port: Port, program: Program, core: ScanCore, book: ForceBook, missed: int) -> None:
        """`missed`: number of the last event before this kernel was there."""
        self._port = port
        self._program = program
        self._core = core
        self._book = book
        self._events = Events(core)
        self._missed = missed
        self._quiet: dict[str, tuple[int, int]] = {}
        self._in_row: set[str] = set()
        self._tellers: dict[Kind, Callable[[Happened, bool], _Told | None]] = {
            Kind.FAULT: self._fault,
            Kind.STOPPED: self._stopped,
            Kind.OVERRUN: self._overrun,
            Kind.CAUGHT_UP: self._caught_up,
            Kind.FORCE_ENDED: self._force_ended,
            Kind.STALE: lambda *_: _warning("plc.stale", "the inputs are stale: the kernel is gone"),
            Kind.FRESH: lambda *_: _warning("plc.fresh", "the inputs are fresh again"),
            Kind.CHANGED: self._changed,
            Kind.RETURNED: self._returned,
            Kind.RESUMED: self._resumed,
        }

    def follow(self, program: Program, core: ScanCore) -> None:
        """Go over to another core: the rest of the one before first."""
        self.tell()
        self._program = program
        if core is not self._core:
            self._core, self._missed = core, 0
            self._events = Events(core, self._events.last)

    def tell(self) -> None:
        """Tell what is new; it counts as told once it is handed on."""
        found, lost = self._events.take()
        if lost:
            text = f"{lost} events of the PLC were overwritten before anybody read them"
            self._emit(_warning("plc.events_lost", text, count=lost), self._port.clock.now_ns())
        change = max((each.number for each in found if each.kind in _CHANGES), default=0)
        for each in found:
            missed = each.number <= self._missed
            if each.kind in _CHANGES and not missed:
                continue  # who has made the change tells more of it
            teller = self._tellers.get(each.kind)
            told = teller(each, missed and each.number < change) if teller else None
            if told is not None:
                told.data.update(scan=each.scans, missed=missed)
                self._emit(told, each.at_ns)
        if found:
            self._events.told()

    def _emit(self, told: _Told, at_ns: int) -> None:
        log.log(told.level, "PLC %s", told.text)
        if told.kind:
            self._port.emit(Event(told.kind, OWNER, at_ns, told.text, told.data))

    def _names(self, mask: int, before: bool) -> list[str]:
        """Name tasks; of a program before the one that runs only their place is known."""
        bits = [bit for bit in range(64) if mask >> bit & 1]
        if before:
            return [f"{bit + 1} of the program before" for bit in bits]
        return [self._core.tasks[bit].name for bit in bits]

    # One for each kind; `before`: it was in a program before the one that runs.

    def _fault(self, each: Happened, before: bool) -> _Told:
        (name,) = self._names(each.mask, before)
        data = {"task": name, "code": each.a, "line": each.b}
        text = f"task {name} stopped at line {each.b}"
        if not before:
            application = self._program.build.application
            data["file"] = application.files[each.c]
            unit, unsigned, operands = each.g & _UNIT, each.g > _UNIT, (each.d, each.e, each.f)
            fault = TaskFault(name, each.a, each.b, each.c, unit, operands, unsigned, each.scans, each.at_ns)
            text = fault_text(fault, application)
            data["unit"] = application.units[unit]
            data["operands"] = operands_text(each.a, operands, unsigned=unsigned)
        return _Told(logging.ERROR, "plc.fault", text, data)

    def _stopped(self, each: Happened, before: bool) -> _Told:
        names, (cause,) = self._names(each.mask, before), self._names(each.a, before)
        text = f"task {', '.join(names)} stopped with task {cause}"
        return _Told(logging.ERROR, "plc.stopped", text, {"tasks": names, "cause": cause})

    def _overrun(self, each: Happened, before: bool) -> _Told | None:
        (name,) = self._names(each.mask, before)
        now_ns = self._port.clock.steady_ns()
        until_ns, more = self._quiet.get(name, (0, 0))
        if now_ns < until_ns:
            self._quiet[name] = until_ns, more + 1
            return None
        self._quiet[name] = now_ns + _QUIET_NS, 0
        self._in_row.add(name)
        took = f"scan {each.scans} began {each.c / 1e6:.3g} ms late and took {each.a / 1e6:.3g} ms"
        text = f"task {name} was not done when its next scan was due: {took}"
        text += f"; {more} times more since that was told last" if more else ""
        return _warning("", text)

    def _caught_up(self, each: Happened, before: bool) -> _Told | None:
        (name,) = self._names(each.mask, before)
        if name not in self._in_row:
            return None
        self._in_row.discard(name)
        text = f"task {name} is in time again after {each.a} scans that were not; {each.b} were dropped"
        return _warning("", text) if each.a > 1 else None  # one alone has been told

    def _force_ended(self, each: Happened, before: bool) -> _Told | None:
        held, over = self._book.held.get(each.a), self._book.over.get(each.a)
        entry = held.entry if held else over[0] if over else None
        if entry is None:
            return None  # it is in the audit trail already
        return _warning("plc.force_ended", f"the force on {entry.path} has ended", path=entry.path)

    def _changed(self, each: Happened, before: bool) -> _Told:
        return _warning("plc.changed", f"the program was changed online, in {each.a / 1e3:.0f} us")

    def _returned(self, each: Happened, before: bool) -> _Told:
        why = "a fault" if each.a == RETURNED_FAULT else f"a scan of {each.b / 1e6:.3g} ms"
        return _warning("plc.returned", f"the program before runs again after {why} on trial")

    def _resumed(self, each: Happened, before: bool) -> _Told:
        (name,) = self._names(each.mask, before)
        return _warning("plc.resumed", f"task {name} scans again", task=name)


def _warning(kind: str, text: str, **data: Any) -> _Told:
    return _Told(logging.WARNING, kind, text, data)
