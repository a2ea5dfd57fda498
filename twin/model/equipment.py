"""What twin.yaml says of each kind of equipment."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from runtime.config import DurationNs, Name, Words
from twin.model.distribution import Distribution, Lasting
from twin.model.fault import FaultModel
from twin.model.part import Part
from twin.model.signals import Carries, Signal, command, reading

BOOL, COUNT, NUMBER = Carries.BOOL, Carries.COUNT, Carries.NUMBER
SECOND_NS = 1_000_000_000


class EquipmentModel(Part):
    """What all equipment has.

    Attributes:
        signals: signal name to tag path, for tags that are not named `EQUIPMENT/SIGNAL`.
        faults: faults that `ironworks twin fault EQUIPMENT.NAME` puts in.
    """

    EFFECTS: ClassVar[tuple[str, ...]] = ()
    SIGNALS: ClassVar[dict[str, Signal]] = {}

    kind: str
    title: Words | None = None
    signals: dict[str, str] = Field(default_factory=dict)
    faults: dict[Name, FaultModel] = Field(default_factory=dict)

    def all_signals(self) -> dict[str, Signal]:
        """Return the terminals of this very equipment."""
        return self.SIGNALS

    def all_effects(self) -> tuple[str, ...]:
        """Return what a fault may act on."""
        return self.EFFECTS

    def references(self) -> dict[str, tuple[str, ...]]:
        """Return key to the kinds it may name, for each key that names other equipment."""
        return {}


FLOW = ("station", "conveyor", "buffer", "sink")


class SourceModel(EquipmentModel):
    """Brings items into the line, one after the other; waits while there is no room for the next."""

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "run": command(BOOL, "deliver; always, when not bound"),
        "speed_bpm": command(NUMBER, "items/min; the mean of `every`, when not bound"),
        "running": reading(BOOL, "drive runs"),
        "blocked": reading(BOOL, "next item has no room"),
        "fault": reading(BOOL, "stopped by a fault"),
        "count": reading(COUNT, "items delivered"),
    }
    EFFECTS = ("speed",)

    kind: Literal["source"]
    next: str
    every: Lasting

    def references(self) -> dict[str, tuple[str, ...]]:
        return {"next": FLOW}


class FailureModel(Part):
    """Failures of a machine that works: time to failure counts working time only."""

    mttf: Lasting
    mttr: Distribution


class LoadModel(Part):
    """Slow wander of a machine's load, common to all its values (an Ornstein-Uhlenbeck process of sd 1)."""

    time: DurationNs = Field(60 * SECOND_NS, gt=0)


class ValueModel(Part):
    """A measured value of a station: linear in speed and load, with noise.

    Attributes:
        mean: at nominal speed.
        per_speed: added for each 1.0 that the speed is above nominal (0.1 faster adds a tenth).
        per_load: added for each standard deviation of the load.
        noise: standard deviation of each reading.
        each_cycle: read once at the end of each cycle; otherwise each `sample` of the station.
        idle: reading while the machine stands; the last one stays, when not given.
    """

    mean: float
    per_speed: float = 0.0
    per_load: float = 0.0
    noise: float = Field(0.0, ge=0)
    each_cycle: bool = False
    idle: float | None = None


class LimitModel(Part):
    """Items whose value lies outside are rejected."""

    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _leaves_some(self) -> LimitModel:
        if self.below is not None and self.above is not None and self.below >= self.above:
            raise ValueError("below must be less than above, else every item is a reject")
        return self


class UseModel(Part):
    """What each item takes from a tank."""

    tank: str
    litres: float = Field(gt=0)


class StationModel(EquipmentModel):
    """A machine that works on one item at a time and blocks after service.

    Attributes:
        cycle: working time at nominal speed, which is one item a mean cycle.
        reject_rate: part of items rejected whatever their values.
        rejects: value name to the limits that make an item a reject.
        sample: time between readings of values that are not read once a cycle.
        cycle_load: part of the cycle added for each standard deviation of the load.
    """

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "run": command(BOOL, "run; always, when not bound"),
        "speed_bpm": command(NUMBER, "items/min; the mean of `cycle`, when not bound"),
        "running": reading(BOOL, "drive runs"),
        "busy": reading(BOOL, "working on an item"),
        "starved": reading(BOOL, "waits for an item, or for the tank"),
        "blocked": reading(BOOL, "finished item has no room"),
        "fault": reading(BOOL, "stopped by a failure or fault"),
        "count": reading(COUNT, "good items passed on"),
        "rejects": reading(COUNT, "items thrown out"),
        "cycle_s": reading(NUMBER, "length of the last cycle in s"),
    }
    EFFECTS = ("cycle", "reject_rate")

    kind: Literal["station"]
    next: str
    cycle: Lasting
    failure: FailureModel | None = None
    reject_rate: float = Field(0.0, ge=0, le=1)
    rejects: dict[str, LimitModel] = Field(default_factory=dict)
    values: dict[Name, ValueModel] = Field(default_factory=dict)
    load: LoadModel | None = None
    cycle_load: float = 0.0
    sample: DurationNs = Field(SECOND_NS // 2, gt=0)
    uses: UseModel | None = None

    @model_validator(mode="after")
    def _values_known(self) -> StationModel:
        for name in self.values:
            if name in self.SIGNALS:
                raise ValueError(f"value {name!r} has the name of a built-in signal")
        for name in self.rejects:
            if name not in self.values:
                raise ValueError(f"rejects names {name!r}, which is not one of the values")
        return self

    def all_signals(self) -> dict[str, Signal]:
        return {**self.SIGNALS, **{name: reading(NUMBER, "measured value") for name in self.values}}

    def all_effects(self) -> tuple[str, ...]:
        return (*self.EFFECTS, *self.values)

    def references(self) -> dict[str, tuple[str, ...]]:
        return {"next": FLOW}


class ConveyorModel(EquipmentModel):
    """An accumulating belt: items close up behind one that waits at the end.

    Attributes:
        pitch_mm: least distance of two items from centre to centre.
        item_mm: length of an item, which is how long a photo-eye sees it.
        eyes: photo-eye name to position from the infeed.
        initial: items on the belt at the start, spread evenly, the first one at the end.
    """

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "run": command(BOOL, "run; always, when not bound"),
        "speed_mm_s": command(NUMBER, "belt speed; nominal, when not bound"),
        "running": reading(BOOL, "drive runs"),
        "fault": reading(BOOL, "stopped by a fault"),
        "items": reading(COUNT, "items on the belt"),
        "count": reading(COUNT, "items that left it"),
    }
    EFFECTS = ("speed",)

    kind: Literal["conveyor"]
    next: str
    length_mm: float = Field(gt=0)
    speed_mm_s: float = Field(gt=0)
    pitch_mm: float = Field(gt=0)
    item_mm: float = Field(70.0, gt=0)
    eyes: dict[Name, float] = Field(default_factory=dict)
    initial: int = Field(0, ge=0)

    @property
    def capacity(self) -> int:
        """Return how many items fit on the belt."""
        return int(self.length_mm / self.pitch_mm + 1e-9) + 1

    @model_validator(mode="after")
    def _fits(self) -> ConveyorModel:
        if self.initial > self.capacity:
            raise ValueError(f"initial is {self.initial}, but the belt holds {self.capacity}")
        for name, position in self.eyes.items():
            if not 0 <= position <= self.length_mm:
                raise ValueError(f"eye {name!r} is not on the belt (0 to {self.length_mm:g} mm)")
            if name in self.SIGNALS:
                raise ValueError(f"eye {name!r} has the name of a built-in signal")
        return self

    def all_signals(self) -> dict[str, Signal]:
        return {**self.SIGNALS, **{name: reading(BOOL, "photo-eye sees an item") for name in self.eyes}}

    def references(self) -> dict[str, tuple[str, ...]]:
        return {"next": FLOW}


class BufferModel(EquipmentModel):
    """An accumulation table: first in, first out; an item needs `transit` to cross it."""

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "level": reading(COUNT, "items in it"),
        "level_pct": reading(NUMBER, "fill in % of capacity"),
        "full": reading(BOOL, "no room"),
        "empty": reading(BOOL, "no item"),
        "count": reading(COUNT, "items that left it"),
    }

    kind: Literal["buffer"]
    next: str
    capacity: int = Field(gt=0)
    transit: DurationNs = 0
    initial: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> BufferModel:
        if self.initial > self.capacity:
            raise ValueError(f"initial is {self.initial}, but the buffer holds {self.capacity}")
        return self

    def references(self) -> dict[str, tuple[str, ...]]:
        return {"next": FLOW}


class SinkModel(EquipmentModel):
    """Takes every item that reaches it out of the line."""

    SIGNALS: ClassVar[dict[str, Signal]] = {"count": reading(COUNT, "items taken")}

    kind: Literal["sink"]


class TankModel(EquipmentModel):
    """A stirred tank of water-like liquid, with level and temperature.

    Attributes:
        dead_l: volume below the outlet, which cannot be drawn.
        demand_lpm: steady outflow besides what stations use.
        loss_w_per_k: heat lost through the wall.
        lag: time constant of the level and temperature transmitters.
        level_noise_pct, temperature_noise_c, flow_noise_lpm: standard deviation of a reading.
        switches: level switch name to its level in %; on at or above.
    """

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "level_pct": reading(NUMBER, "level in %"),
        "temperature_c": reading(NUMBER, "temperature in degrees Celsius"),
        "inflow_lpm": reading(NUMBER, "inflow in L/min"),
    }
    EFFECTS = ("leak_lpm", "level_pct", "temperature_c")

    kind: Literal["tank"]
    volume_l: float = Field(gt=0)
    dead_l: float = Field(0.0, ge=0)
    initial_l: float = Field(gt=0)
    demand_lpm: float = Field(0.0, ge=0)
    initial_c: float = 20.0
    inlet_c: float = 15.0
    ambient_c: float = 20.0
    loss_w_per_k: float = Field(0.0, ge=0)
    lag: DurationNs = 0
    sample: DurationNs = Field(SECOND_NS // 2, gt=0)
    level_noise_pct: float = Field(0.0, ge=0)
    temperature_noise_c: float = Field(0.0, ge=0)
    flow_noise_lpm: float = Field(0.0, ge=0)
    switches: dict[Name, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _volumes(self) -> TankModel:
        if not self.dead_l <= self.initial_l <= self.volume_l:
            raise ValueError("dead_l, initial_l and volume_l must be in this order")
        for name in self.switches:
            if name in self.SIGNALS:
                raise ValueError(f"switch {name!r} has the name of a built-in signal")
        return self

    def all_signals(self) -> dict[str, Signal]:
        return {**self.SIGNALS, **{name: reading(BOOL, "level switch") for name in self.switches}}


class ValveModel(EquipmentModel):
    """Lets liquid into a tank; moves from shut to open in `stroke`."""

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "open": command(BOOL, "open fully"),
        "position_sp_pct": command(NUMBER, "wanted position in %; goes before `open`, when bound"),
        "position_pct": reading(NUMBER, "position in %"),
        "opened": reading(BOOL, "limit switch open"),
        "closed": reading(BOOL, "limit switch shut"),
        "fault": reading(BOOL, "stopped by a fault"),
    }
    EFFECTS = ("flow",)

    kind: Literal["valve"]
    into: str
    flow_lpm: float = Field(gt=0)
    stroke: DurationNs = 0
    pump: str | None = None

    def references(self) -> dict[str, tuple[str, ...]]:
        return {"into": ("tank",), "pump": ("pump",)}


class PumpModel(EquipmentModel):
    """Feeds valves that name it, or, with `into` and `flow_lpm`, a tank directly."""

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "run": command(BOOL, "run; always, when not bound"),
        "speed_pct": command(NUMBER, "speed in %; 100, when not bound"),
        "running": reading(BOOL, "drive runs"),
        "current_a": reading(NUMBER, "motor current in A"),
        "fault": reading(BOOL, "stopped by a fault"),
    }
    EFFECTS = ("flow", "current_a")

    kind: Literal["pump"]
    into: str | None = None
    flow_lpm: float = Field(0.0, ge=0)
    current_a: float = Field(0.0, ge=0)
    noise_a: float = Field(0.0, ge=0)
    sample: DurationNs = Field(SECOND_NS, gt=0)

    @model_validator(mode="after")
    def _flow_with_tank(self) -> PumpModel:
        if (self.into is None) != (self.flow_lpm == 0):
            raise ValueError("give both into and flow_lpm, or neither")
        return self

    def references(self) -> dict[str, tuple[str, ...]]:
        return {"into": ("tank",)}


class HeaterModel(EquipmentModel):
    """Heats a tank."""

    SIGNALS: ClassVar[dict[str, Signal]] = {
        "on": command(BOOL, "full power"),
        "power_sp_pct": command(NUMBER, "wanted power in %; goes before `on`, when bound"),
        "power_kw": reading(NUMBER, "power given in kW"),
        "fault": reading(BOOL, "stopped by a fault"),
    }
    EFFECTS = ("power",)

    kind: Literal["heater"]
    tank: str
    power_kw: float = Field(gt=0)

    def references(self) -> dict[str, tuple[str, ...]]:
        return {"tank": ("tank",)}


class RackModel(EquipmentModel):
    """The remote I/O itself: a counter that tells the controller that it still answers."""

    SIGNALS: ClassVar[dict[str, Signal]] = {"heartbeat": reading(COUNT, "one more each `beat`")}

    kind: Literal["rack"]
    beat: DurationNs = Field(SECOND_NS // 5, gt=0)


AnyEquipment = Annotated[
    SourceModel
    | StationModel
    | ConveyorModel
    | BufferModel
    | SinkModel
    | TankModel
    | ValveModel
    | PumpModel
    | HeaterModel
    | RackModel,
    Field(discriminator="kind"),
]
KINDS: dict[str, type[EquipmentModel]] = {
    "source": SourceModel,
    "station": StationModel,
    "conveyor": ConveyorModel,
    "buffer": BufferModel,
    "sink": SinkModel,
    "tank": TankModel,
    "valve": ValveModel,
    "pump": PumpModel,
    "heater": HeaterModel,
    "rack": RackModel,
}


class TwinModel(Part):
    """A plant model: twin.yaml.

    Attributes:
        seed: of all random streams; each equipment has streams of its own.
        period: time between two exchanges with the tags.
        equipment: name to equipment, in the order of the flow.
    """

    seed: int = 1
    period: DurationNs = Field(20_000_000, ge=1_000_000)
    equipment: dict[Name, AnyEquipment]
