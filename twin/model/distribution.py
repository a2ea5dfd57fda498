"""Durations that vary: one model a distribution, sampled from a given random stream."""

from __future__ import annotations

import math
from difflib import get_close_matches
from random import Random
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from runtime.config import DurationNs
from twin.model.part import Part


class Const(Part):
    """Always the same duration; written short as `2s`."""

    dist: Literal["const"] = "const"
    value: DurationNs

    @property
    def mean_ns(self) -> float:
        return self.value

    def sample(self, random: Random) -> int:
        return self.value


class Uniform(Part):
    """Anything between `low` and `high`, all equally likely."""

    dist: Literal["uniform"]
    low: DurationNs
    high: DurationNs

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self

    @property
    def mean_ns(self) -> float:
        return (self.low + self.high) / 2

    def sample(self, random: Random) -> int:
        return round(random.uniform(self.low, self.high))


class Normal(Part):
    """Normal, cut off at `low` (0 by default) and `high`; the cut moves the mean where it is near."""

    dist: Literal["normal"]
    mean: DurationNs
    sd: DurationNs
    low: DurationNs = 0
    high: DurationNs | None = None

    @model_validator(mode="after")
    def _mean_inside(self) -> Normal:
        high = math.inf if self.high is None else self.high
        if not self.low <= self.mean <= high:
            raise ValueError("mean must lie between low and high")
        if high - self.low < self.sd:
            raise ValueError("low and high must be at least one sd apart")
        return self

    @property
    def mean_ns(self) -> float:
        return self.mean

    def sample(self, random: Random) -> int:
        high = math.inf if self.high is None else self.high
        while True:
            value = random.normalvariate(self.mean, self.sd)
            if self.low <= value <= high:
                return round(value)


class Triangular(Part):
    """Least, likeliest and greatest duration: what a person can tell without data."""

    dist: Literal["triangular"]
    low: DurationNs
    mode: DurationNs
    high: DurationNs

    @model_validator(mode="after")
    def _ordered(self) -> Triangular:
        if not self.low <= self.mode <= self.high or self.low == self.high:
            raise ValueError("low, mode and high must be in this order")
        return self

    @property
    def mean_ns(self) -> float:
        return (self.low + self.mode + self.high) / 3

    def sample(self, random: Random) -> int:
        return round(random.triangular(self.low, self.high, self.mode))


class Exponential(Part):
    """Memoryless, as times to failure usually are."""

    dist: Literal["exponential"]
    mean: DurationNs = Field(gt=0)

    @property
    def mean_ns(self) -> float:
        return self.mean

    def sample(self, random: Random) -> int:
        return round(random.expovariate(1 / self.mean))


class Lognormal(Part):
    """Skewed to the right, as repair times usually are; `mean` and `sd` are those of the duration itself."""

    dist: Literal["lognormal"]
    mean: DurationNs = Field(gt=0)
    sd: DurationNs = Field(gt=0)

    @property
    def mean_ns(self) -> float:
        return self.mean

    def sample(self, random: Random) -> int:
        variance = math.log(1 + (self.sd / self.mean) ** 2)
        return round(random.lognormvariate(math.log(self.mean) - variance / 2, math.sqrt(variance)))


class Weibull(Part):
    """Wear-out (shape above 1) or early failures (below 1)."""

    dist: Literal["weibull"]
    scale: DurationNs = Field(gt=0)
    shape: float = Field(ge=0.1)

    @property
    def mean_ns(self) -> float:
        return self.scale * math.gamma(1 + 1 / self.shape)

    def sample(self, random: Random) -> int:
        return round(random.weibullvariate(self.scale, self.shape))


KINDS = ("const", "uniform", "normal", "triangular", "exponential", "lognormal", "weibull")


def _short(value: object) -> object:
    """Return the long form of a duration; pydantic's words for what is neither help nobody."""
    if isinstance(value, str):
        return {"dist": "const", "value": value}
    if isinstance(value, bool | int | float | list):
        raise ValueError(f"{value} is no duration; write it like 2s, or {{dist: exponential, mean: 2s}}")
    if isinstance(value, dict) and value.get("dist") not in KINDS:
        dist = str(value.get("dist", ""))
        close = get_close_matches(dist, KINDS, 1, 0.4)
        remedy = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(KINDS)}"
        raise ValueError(f"unknown dist {dist!r}; {remedy}" if dist else f"'dist' is missing; {remedy}")
    return value


Distribution = Annotated[
    Annotated[
        Const | Uniform | Normal | Triangular | Exponential | Lognormal | Weibull, Field(discriminator="dist")
    ],
    BeforeValidator(
        _short,
        json_schema_input_type=str
        | Const
        | Uniform
        | Normal
        | Triangular
        | Exponential
        | Lognormal
        | Weibull,
    ),
]


def _lasts(value: Distribution) -> Distribution:
    if not value.mean_ns > 0:
        raise ValueError("its mean is 0, give it a duration such as 2s")
    return value


Lasting = Annotated[Distribution, AfterValidator(_lasts)]
