"""What a signal of equipment is: its direction and which tag types can carry it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from runtime.contract import DataType


class Carries(Enum):
    """Kind of value; `fits` tells which tag types hold it."""

    BOOL = "BOOL"
    COUNT = "an integer type, such as UDINT"
    NUMBER = "REAL or LREAL"

    def fits(self, data_type: DataType) -> bool:
        match self:
            case Carries.BOOL:
                return data_type is DataType.BOOL
            case Carries.NUMBER:
                return data_type.kind == "f"
            case _:
                return data_type.kind in "iu" and data_type is not DataType.BOOL


class Signal(NamedTuple):
    """One terminal of equipment.

    Attributes:
        command: the plant's controller drives it; otherwise the equipment does.
        about: what it says, with its unit.
    """

    command: bool
    carries: Carries
    about: str


def command(carries: Carries, about: str) -> Signal:
    return Signal(True, carries, about)


def reading(carries: Carries, about: str) -> Signal:
    return Signal(False, carries, about)
