"""What all equipment is: plain slots, `on_event`, terminals, faults, and state as data."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

from twin.engine.calendar import Calendar
from twin.engine.streams import stream
from twin.equipment.fault import Fault
from twin.model.equipment import EquipmentModel

SECOND_NS = 1_000_000_000
SHORTEST_NS = 1_000_000  # of a cycle or interval, whatever speed is commanded
LEAST = 1e-9  # of a commanded number, so that nothing lasts infinitely
Reading = bool | int | float


class Equipment:
    """A state machine on the calendar.

    Attributes:
        commands: what the controller drives; only bound commands are here.
        out: what the equipment says of itself, by signal.
        due: its pending events.
    """

    __slots__ = ("calendar", "commands", "due", "faults", "frozen", "model", "name", "noise", "out", "random")
    STATE: ClassVar[tuple[str, ...]] = ("commands", "due", "frozen", "out")

    def __init__(self, name: str, model: EquipmentModel, calendar: Calendar, seed: int) -> None:
        self.name = name
        self.model: Any = model
        self.calendar = calendar
        self.random = stream(seed, name, "events")
        self.noise = stream(seed, name, "noise")
        self.commands: dict[str, Reading] = {}
        self.out: dict[str, Reading] = {}
        self.due: dict[str, tuple[int, int]] = {}
        self.faults = {fault: Fault(entry) for fault, entry in model.faults.items()}
        self.frozen: dict[str, Reading] = {}

    # -- wiring and time ---------------------------------------------------------------------------

    def connect(self, others: dict[str, Equipment]) -> None:
        """Find the equipment that the model names."""

    def start(self) -> None:
        """Schedule the first events; called once when all equipment is connected."""

    def on_event(self, event: str) -> None:
        """Do what is due now."""
        if event == "fault":
            self.on_fault()
            self._expect_fault()

    def after(self, event: str, delay_ns: int) -> None:
        self.calendar.schedule(self, event, self.calendar.now_ns + delay_ns)

    def cancel(self, event: str) -> None:
        self.due.pop(event, None)

    # -- terminals ---------------------------------------------------------------------------------

    def command(self, signal: str, value: Reading) -> None:
        """Take a command of the controller."""
        if self.commands.get(signal) != value:
            self.commands[signal] = value
            self.on_command(signal)

    def on_command(self, signal: str) -> None:
        """React to a changed command."""

    def number(self, signal: str, default: float) -> float:
        """Return a commanded number; `default` when the command is not bound, 0 when it is none or tiny."""
        value = float(self.commands.get(signal, default))
        return value if math.isfinite(value) and abs(value) > LEAST else 0.0

    @property
    def commanded(self) -> bool:
        """Tell whether the controller wants it to run."""
        return bool(self.commands.get("run", True))

    def refresh(self) -> None:
        """Bring `out` up to the present, where it depends on time alone."""

    def read(self, signal: str) -> Reading:
        """Return what the controller sees."""
        return self.frozen[signal] if signal in self.frozen else self.out[signal]

    # -- faults ------------------------------------------------------------------------------------

    def set_fault(self, fault: str, severity: float) -> None:
        """Put a fault in; 0 takes it away at once."""
        self.faults[fault].set(severity, self.calendar.now_ns)
        self.update_frozen()
        self.on_fault()
        self._expect_fault()

    def _expect_fault(self) -> None:
        """Schedule when the next of the faults that grow passes half severity."""
        self.cancel("fault")
        crossings = [at for fault in self.faults.values() if (at := fault.crossing_ns()) is not None]
        ahead = [at for at in crossings if at > self.calendar.now_ns]
        if ahead:
            self.calendar.schedule(self, "fault", min(ahead))

    def on_fault(self) -> None:
        """React to a fault that came, went, or passed half severity."""
        self.update_frozen()

    def update_frozen(self) -> None:
        """Hold the readings that a fault keeps stuck."""
        now = self.calendar.now_ns
        stuck = {each for fault in self.faults.values() if fault.strikes(now) for each in fault.model.stuck}
        self.refresh()
        self.frozen = {each: self.frozen.get(each, self.out[each]) for each in sorted(stuck)}

    def effect(self, name: str) -> float:
        """Return what all faults together add now."""
        if not self.faults:
            return 0.0
        now = self.calendar.now_ns
        return sum(
            fault.model.effects[name] * fault.level(now)
            for fault in self.faults.values()
            if name in fault.model.effects
        )

    @property
    def stopped_by_fault(self) -> bool:
        now = self.calendar.now_ns
        return any(fault.model.stops and fault.strikes(now) for fault in self.faults.values())

    # -- state as data -----------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return all that changes, as data of its own."""
        names = {name for kind in type(self).__mro__ for name in getattr(kind, "STATE", ())}
        state = {name: copy.deepcopy(getattr(self, name)) for name in sorted(names)}
        state["faults"] = {name: fault.snapshot() for name, fault in self.faults.items()}
        state["random"] = (self.random.getstate(), self.noise.getstate())
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `snapshot` gave; the engine schedules `due` again."""
        for name, value in copy.deepcopy(state).items():
            if name == "faults":
                for fault, saved in value.items():
                    self.faults[fault].restore(saved)
            elif name == "random":
                self.random.setstate(value[0])
                self.noise.setstate(value[1])
            else:
                setattr(self, name, value)
