"""A fault that can be put into equipment on purpose."""

from __future__ import annotations

from pydantic import Field

from runtime.config import DurationNs, Words
from twin.model.part import Part


class FaultModel(Part):
    """What goes wrong, and how fast.

    Attributes:
        over: time from nothing to full severity; 0 strikes at once.
        effects: what a severity of 1 adds: to process values in their unit, to `cycle`, `speed`,
            `flow` and `power` as a part of the nominal, to `reject_rate`, and to `leak_lpm`.
        stops: the equipment stops and reports a fault from half severity on.
        stuck: signals that keep their last value from half severity on.
    """

    text: Words | None = None
    over: DurationNs = 0
    effects: dict[str, float] = Field(default_factory=dict)
    stops: bool = False
    stuck: list[str] = Field(default_factory=list)
