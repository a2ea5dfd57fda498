"""Faults as tags: `sys/twin/fault/EQUIPMENT/NAME`, severity 0 to 1, for engineers."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.contract import Access, DataType, Role, Tag
from runtime.errors import PlantError
from twin.model import TwinModel, did_you_mean

PREFIX = "sys/twin/fault/"


def fault_names(model: TwinModel) -> list[tuple[str, str]]:
    """Return (equipment, fault) of every fault that the model knows."""
    return [(name, fault) for name, entry in model.equipment.items() for fault in entry.faults]


def fault_path(equipment: str, fault: str) -> str:
    return f"{PREFIX}{equipment}/{fault}"


def fault_tags(model: TwinModel, source: str) -> Iterator[Tag]:
    """Yield the tags that faults are put in through."""
    for equipment, fault in fault_names(model):
        text = model.equipment[equipment].faults[fault].text
        yield Tag(
            path=fault_path(equipment, fault),
            data_type=DataType.REAL,
            unit="1",
            low=0.0,
            high=1.0,
            description=str(text) if text else f"severity of the fault {equipment}.{fault}",
            description_zh=text.zh if text else "",
            access=Access.READ_WRITE,
            source=source,
            role=Role.ENGINEER,
        )


def resolve(name: str, known: list[str]) -> str:
    """Return the tag path of a fault named `EQUIPMENT.FAULT`.

    Raises:
        PlantError: the plant's twin has no such fault; says which there are.
    """
    if name not in known:
        raise PlantError(f"no fault is named {name!r}", did_you_mean(name, known, "there are"))
    return PREFIX + name.replace(".", "/", 1)


def name_of(path: str) -> str:
    """Return `EQUIPMENT.FAULT` of a fault's tag path."""
    return path.removeprefix(PREFIX).replace("/", ".", 1)
