"""A stirred tank: volume and temperature in closed form between events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from twin.engine.calendar import Calendar
from twin.equipment.base import SECOND_NS, Equipment
from twin.model.equipment import TankModel

if TYPE_CHECKING:
    from twin.equipment.heater import Heater
    from twin.equipment.inlet import Inlet

HEAT_CAPACITY_J_PER_L_K = 4186.0
TINY = 1e-12


class Tank(Equipment):
    """Inlets, outflow and heat are constant between two moments, so that both balances have exact solutions.

    Volume: dV/dt = qin - qout = k. Temperature of the stirred contents:
    dT/dt = (b - a T) / V with a = qin + UA/c and b = qin Tin + (UA Tamb + P)/c, which gives
    T = b/a + (T0 - b/a) (V/V0)^(-a/k), and for k = 0 the exponential exp(-a t/V0).
    Flows that ramp (a valve on its way) are taken at the start of each sample period.
    """

    __slots__ = (
        "at_ns", "drawn_l", "fed_l", "flow_lps", "heat_w", "heaters", "inlets", "level_seen", "spilled_l",
        "temperature_c", "temperature_seen", "volume_l",
    )  # fmt: skip
    STATE: ClassVar[tuple[str, ...]] = (
        "at_ns", "drawn_l", "fed_l", "flow_lps", "heat_w", "level_seen", "spilled_l", "temperature_c",
        "temperature_seen", "volume_l",
    )  # fmt: skip

    def __init__(self, name: str, model: TankModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.inlets: list[Inlet] = []
        self.heaters: list[Heater] = []
        self.at_ns = 0
        self.volume_l = model.initial_l
        self.temperature_c = model.initial_c
        self.flow_lps = 0.0
        self.heat_w = 0.0
        self.fed_l = 0.0
        self.drawn_l = 0.0
        self.spilled_l = 0.0
        self.level_seen = self.level_pct
        self.temperature_seen = model.initial_c
        self._measure()

    @property
    def level_pct(self) -> float:
        """Return the true level."""
        return 100.0 * self.volume_l / float(self.model.volume_l)

    def start(self) -> None:
        self.sync()
        self.after("sample", self.model.sample)

    def on_event(self, event: str) -> None:
        super().on_event(event)
        if event == "sample":
            self.sync()
            lag, step = self.model.lag, self.model.sample
            share = 1 - math.exp(-step / lag) if lag else 1.0
            self.level_seen += (self.level_pct - self.level_seen) * share
            self.temperature_seen += (self.temperature_c - self.temperature_seen) * share
            self._measure()
            self.after("sample", step)

    def on_fault(self) -> None:
        self.sync()
        super().on_fault()

    def draw(self, litres: float) -> bool:
        """Take liquid out at once; False if there is not enough above the outlet."""
        self.advance()
        if self.volume_l - litres < self.model.dead_l:
            return False
        self.volume_l -= litres
        self.drawn_l += litres
        return True

    def sync(self) -> None:
        """Move to the present, then take over what inlets and heaters do from now on."""
        self.advance()
        self.flow_lps = sum(inlet.flow_lpm() for inlet in self.inlets) / 60
        self.heat_w = sum(heater.power_w() for heater in self.heaters)

    def advance(self) -> None:
        """Move volume and temperature to the present."""
        now = self.calendar.now_ns
        left_s = (now - self.at_ns) / SECOND_NS
        self.at_ns = now
        out_lps = (self.model.demand_lpm + max(0.0, self.effect("leak_lpm"))) / 60
        while left_s > 0:
            left_s -= self._segment(left_s, out_lps)

    def _segment(self, longest_s: float, out_lps: float) -> float:
        """Move on until time is up, or the tank is full or drawn empty; return the time that took."""
        inflow, model = self.flow_lps, self.model
        rate = inflow - out_lps
        spill = 0.0
        if rate > 0 and self.volume_l >= model.volume_l - TINY:
            spill, rate = rate, 0.0
        elif rate < 0 and self.volume_l <= model.dead_l + TINY:
            out_lps, rate = inflow, 0.0
        step_s = longest_s
        if rate > 0:
            step_s = min(step_s, (model.volume_l - self.volume_l) / rate)
        elif rate < 0:
            step_s = min(step_s, (model.dead_l - self.volume_l) / rate)
        before = self.volume_l
        self.volume_l = before + rate * step_s
        self._heat(before, rate, step_s)
        self.fed_l += inflow * step_s
        self.drawn_l += out_lps * step_s
        self.spilled_l += spill * step_s
        return step_s

    def _heat(self, before_l: float, rate: float, step_s: float) -> None:
        model = self.model
        loss = model.loss_w_per_k / HEAT_CAPACITY_J_PER_L_K
        a = self.flow_lps + loss
        dry = max(before_l, self.volume_l) <= model.dead_l + TINY  # the heater's switch cuts it at once
        heat = 0.0 if dry else self.heat_w / HEAT_CAPACITY_J_PER_L_K
        b = self.flow_lps * model.inlet_c + loss * model.ambient_c + heat
        before_l = max(before_l, TINY)
        after_l = max(self.volume_l, TINY)
        grown = math.log(after_l / before_l) / rate if abs(rate) > TINY else step_s / before_l
        if a > TINY:
            steady = b / a
            self.temperature_c = steady + (self.temperature_c - steady) * math.exp(-a * grown)
        else:
            self.temperature_c += b * grown

    def _measure(self) -> None:
        model, gauss = self.model, self.noise.gauss
        level = self.level_seen + self.effect("level_pct") + gauss(0, 1) * model.level_noise_pct
        self.out["level_pct"] = min(110.0, max(0.0, level))
        self.out["temperature_c"] = (
            self.temperature_seen + self.effect("temperature_c") + gauss(0, 1) * model.temperature_noise_c
        )
        flow = self.flow_lps * 60
        self.out["inflow_lpm"] = max(0.0, flow + gauss(0, 1) * model.flow_noise_lpm) if flow else 0.0
        for name, level_pct in model.switches.items():
            self.out[name] = self.level_pct >= level_pct
