"""The plant in motion: equipment wired up on one calendar."""

from __future__ import annotations

from typing import Any

from twin.engine.calendar import Calendar
from twin.equipment.base import Equipment
from twin.equipment.buffer import Buffer
from twin.equipment.conveyor import Conveyor
from twin.equipment.flow import Flow
from twin.equipment.heater import Heater
from twin.equipment.pump import Pump
from twin.equipment.rack_head import RackHead
from twin.equipment.sink import Sink
from twin.equipment.source import Source
from twin.equipment.station import Station
from twin.equipment.tank import Tank
from twin.equipment.valve import Valve
from twin.model.equipment import TwinModel

MACHINES: dict[str, type[Any]] = {
    "source": Source,
    "station": Station,
    "conveyor": Conveyor,
    "buffer": Buffer,
    "sink": Sink,
    "tank": Tank,
    "valve": Valve,
    "pump": Pump,
    "heater": Heater,
    "rack": RackHead,
}


class Engine:
    """A plant model brought to life; time begins at 0 and moves only by `advance`.

    Attributes:
        equipment: state machines by name, in the order of the model.
    """

    def __init__(self, model: TwinModel, commands: dict[str, tuple[str, ...]] | None = None) -> None:
        """Wire the plant up.

        Args:
            model: the plant model.
            commands: equipment name to the commands that a controller drives; they begin at 0. All
                others are as if the equipment ran by itself.
        """
        self.model = model
        self.calendar = Calendar()
        self.equipment: dict[str, Equipment] = {
            name: MACHINES[entry.kind](name, entry, self.calendar, model.seed)
            for name, entry in model.equipment.items()
        }
        for name, signals in (commands or {}).items():
            for signal in signals:
                self.equipment[name].commands[signal] = 0
        for machine in self.equipment.values():
            machine.connect(self.equipment)
        for machine in self.equipment.values():
            machine.start()

    @property
    def now_ns(self) -> int:
        """Return plant time."""
        return self.calendar.now_ns

    def advance(self, to_ns: int) -> None:
        """Let everything happen up to and including a time."""
        self.calendar.run_until(to_ns)

    def refresh(self) -> None:
        """Bring all readings up to the present."""
        for machine in self.equipment.values():
            machine.refresh()

    def balance(self) -> dict[str, int]:
        """Return the item balance: `initial + delivered = taken + rejected + held`, always."""
        machines = [each for each in self.equipment.values() if isinstance(each, Flow)]
        return {
            "initial": sum(getattr(each.model, "initial", 0) for each in machines),
            "delivered": sum(int(each.out["count"]) for each in machines if isinstance(each, Source)),
            "taken": sum(int(each.out["count"]) for each in machines if isinstance(each, Sink)),
            "rejected": sum(int(each.out["rejects"]) for each in machines if isinstance(each, Station)),
            "held": sum(each.held() for each in machines),
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the state of everything as data; the engine goes on unharmed."""
        return {
            "now_ns": self.now_ns,
            "equipment": {name: machine.snapshot() for name, machine in self.equipment.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a state that `snapshot` of an engine with the same model gave."""
        self.calendar = Calendar(state["now_ns"])
        pending = []
        for name, machine in self.equipment.items():
            machine.calendar = self.calendar
            machine.restore(state["equipment"][name])
            pending += [(order, at, machine, event) for event, (at, order) in machine.due.items()]
        for _, at, machine, event in sorted(pending, key=lambda each: each[0]):
            self.calendar.schedule(machine, event, at)
