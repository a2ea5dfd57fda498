"""`app.yaml`: who an app is, what it may read, what it makes, and what it may use.

`{name}` in permissions, products and alarms stands for a parameter's value; one that is a list
gives one entry for each of its items.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from apps.sdk import Parameters, ParameterValue
from runtime.config import AlarmConfig, Document, DurationNs, Name, Section, Words, load_yaml, validate
from runtime.config import parse_duration_ns as duration_ns
from runtime.contract import DataType
from runtime.errors import ConfigError, Finding

MANIFEST_FILE = "app.yaml"
_TEMPLATES = ("permissions", "produces", "alarms")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_KINDS: dict[str, tuple[type, ...]] = {
    "BOOL": (bool,),
    "INT": (int,),
    "REAL": (int, float),
    "STRING": (str,),
    "DURATION": (str,),
    "LIST": (list,),
}


class ParameterConfig(Section):
    """A setting of the app. DURATION is written like `10s` and reaches the app as ns; LIST holds texts."""

    type: Literal["BOOL", "INT", "REAL", "STRING", "DURATION", "LIST"]
    default: ParameterValue
    low: float | None = None
    high: float | None = None
    description: Words

    @model_validator(mode="after")
    def _default_fits(self) -> ParameterConfig:
        self.take(self.default)
        return self

    def take(self, value: object) -> ParameterValue:
        """Return a value as the app gets it.

        Raises:
            ValueError: it is not of the type, or out of range.
        """
        fits = isinstance(value, _KINDS[self.type]) and (self.type == "BOOL" or not isinstance(value, bool))
        if not fits or (isinstance(value, list) and not all(isinstance(each, str) for each in value)):
            raise ValueError(f"{value!r} is not of type {self.type}")
        if self.type == "DURATION":
            return duration_ns(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} is no finite number")
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise ValueError("the number is too large")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.low is not None and value < self.low:
                raise ValueError(f"{value} is below {self.low:g}")
            if self.high is not None and value > self.high:
                raise ValueError(f"{value} is above {self.high:g}")
            return float(value) if self.type == "REAL" else value
        assert isinstance(value, bool | str | list)
        return value


class Permissions(Section):
    """Tags that the app gets (globs), and tags that it may write through the gate: none yet."""

    reads: list[str] = Field(min_length=1)
    writes: list[str] = []

    @field_validator("writes")
    @classmethod
    def _none_yet(cls, writes: list[str]) -> list[str]:
        if writes:
            raise ValueError("apps do not write yet: leave it out, and let the PLC program act on its tags")
        return writes


class Product(Section):
    """A tag that the app is the source of."""

    path: Annotated[str, Field(pattern=r"^[^/\s*?,]+(/[^/\s*?,]+)*$")]
    type: Literal[tuple(each.iec for each in DataType)]  # type: ignore[valid-type]
    unit: str = ""
    unit_text: str = ""
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    deadband: FiniteFloat = Field(0.0, ge=0)
    retention: Literal["none", "short", "standard", "long"] = "standard"
    description: Words

    @model_validator(mode="after")
    def _range_fits(self) -> Product:
        ranged = self.low is not None or self.high is not None
        if ranged and self.data_type in (DataType.BOOL, DataType.STRING):
            raise ValueError(f"{self.type} has no range")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"high ({self.high:g}) must be above low ({self.low:g})")
        return self

    @property
    def data_type(self) -> DataType:
        return DataType[self.type]


class Budget(Section):
    """What the app may use.

    Attributes:
        period: time between two steps.
        deadline: a step that takes longer is a miss, and the products are not good meanwhile.
        cpu: share of one core.
        memory_mib: resident memory of the app's process.
    """

    period: DurationNs = Field(1_000_000_000, ge=10_000_000)
    deadline: DurationNs = Field(500_000_000, ge=1_000_000)
    cpu: float = Field(0.1, gt=0, le=1)
    memory_mib: int = Field(128, ge=32)

    @model_validator(mode="after")
    def _deadline_within_period(self) -> Budget:
        if self.deadline > self.period:
            raise ValueError("the deadline is longer than the period")
        return self


class Manifest(Section):
    """An app.

    Attributes:
        entry: `module:Class` in the app's folder, a subclass of `apps.sdk.App`.
        model: file of the model that the app runs, if it runs one.
        fit: `module:function` that makes the model from history (`apps.fitting`).
    """

    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    tier: Literal["python"] = "python"
    title: Words
    description: Words
    entry: Annotated[str, Field(pattern=r"^[a-z_][\w.]*:[A-Za-z_]\w*$")]
    model: str | None = None
    fit: Annotated[str, Field(pattern=r"^[a-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    parameters: dict[str, ParameterConfig] = {}
    permissions: Permissions
    produces: list[Product] = Field(min_length=1)
    alarms: list[AlarmConfig] = []
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _alarms_on_own_tags(self) -> Manifest:
        own = {product.path for product in self.produces}
        for alarm in self.alarms:
            if alarm.tag not in own:
                raise ValueError(
                    f"alarm {alarm.name!r}: {alarm.tag!r} is no tag of the app's own (produces:)"
                )
        if len(own) < len(self.produces):
            raise ValueError("produces: names a tag twice")
        return self


class _Head(Section):
    """The part of a manifest that says what the placeholders mean."""

    model_config = Section.model_config | {"extra": "ignore"}
    parameters: dict[str, ParameterConfig] = {}


class ParameterError(Exception):
    """A parameter given in the plant file is wrong."""

    def __init__(self, parameter: str, text: str, remedy: str) -> None:
        super().__init__(text)
        self.parameter, self.text, self.remedy = parameter, text, remedy


def load_manifest(folder: Path, given: Mapping[str, Any] | None = None) -> tuple[Manifest, Parameters]:
    """Read an app's manifest with the plant's parameters put in.

    Raises:
        ConfigError: the manifest is wrong; says where.
        ParameterError: the parameters are.
    """
    document = load_yaml(folder / MANIFEST_FILE)
    if not isinstance(document.data, dict):
        raise ConfigError([Finding("this is not an app manifest", document.place(), "begin with name: NAME")])
    known = validate(_Head, document).parameters
    written = {name: config.default for name, config in known.items()}
    for name, value in (given or {}).items():
        if name not in known:
            close = get_close_matches(name, known, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"
            raise ParameterError(name, f"no parameter is named {name!r}", remedy)
        written[name] = value
    parameters: dict[str, ParameterValue] = {}
    for name, value in written.items():
        try:
            parameters[name] = known[name].take(value)
        except ValueError as exc:
            raise ParameterError(name, f"parameter {name!r}: {exc}", str(known[name].description)) from None
    filled = {
        key: _fill(value, written, document, (key,)) if key in _TEMPLATES else value
        for key, value in document.data.items()
    }
    return validate(Manifest, Document(document.file, filled, document.marks)), parameters


def _fill(node: Any, values: Mapping[str, Any], document: Document, key: tuple[str | int, ...]) -> Any:
    """Put parameters into every text below a node; a list parameter multiplies the entry that names it."""
    if isinstance(node, dict):
        return {name: _fill(value, values, document, (*key, name)) for name, value in node.items()}
    if isinstance(node, list):
        first: list[Any] = []
        more: list[Any] = []  # behind all others, which so keep the index that places are told by
        for index, value in enumerate(node):
            made = [_fill(value, each, document, (*key, index)) for each in _each(value, values)]
            first += made[:1]
            more += made[1:]
        return first + more
    if not isinstance(node, str):
        return node
    for name in _PLACEHOLDER.findall(node):
        if name not in values:
            place, remedy = document.place(*key), "add it to parameters:"
            raise ConfigError([Finding(f"no parameter is named {name!r}", place, remedy)])
        node = node.replace(f"{{{name}}}", str(values[name]))
    is_name = key[0] == "alarms" and key[-1] == "name"
    return node.replace("/", ".") if is_name else node  # a machine in a folder: names hold no slash


def _each(entry: Any, values: Parameters) -> Iterator[Mapping[str, Any]]:
    """Yield the values for each time that an entry is there: once for each item of its list parameters."""
    named = dict.fromkeys(_named(entry))
    if isinstance(entry, str) and any(values.get(name) == "" for name in named):
        return  # a signal that this plant does not have
    lists = {name: value for name in named if isinstance(value := values.get(name), list)}
    for items in product(*lists.values()):
        yield {**values, **dict(zip(lists, items, strict=True))}


def _named(node: Any) -> Iterator[str]:
    """Yield the placeholders in the texts of a node."""
    if isinstance(node, str):
        yield from _PLACEHOLDER.findall(node)
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _named(value)
