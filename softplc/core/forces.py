"""The forces of a core as the kernel sets them: two tables in the block, of which the loop works with one."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.contract import Quality
from softplc.core.kinds import Text, Variable
from softplc.core.layout import FORCES, Force, ForceTable, Slot
from softplc.core.scancore import ScanCore

_ENDED = -1
_TABLE_SIZE = ctypes.sizeof(ForceTable) + FORCES * ctypes.sizeof(Force)


@dataclass(frozen=True, slots=True)
class Forced:
    """One forced variable.

    Attributes:
        number: names it in the block.
        raws: raw pattern of each of the variable's parts.
        until_ns: monotonic time at which it ends; 0 for never.
    """

    number: int
    variable: Variable | Text
    raws: tuple[int, ...]
    until_ns: int = 0


class Forces:
    """Writes the tables of one core; callers take turns."""

    def __init__(self, core: ScanCore) -> None:
        self._core = core
        self._control = core.control
        count = core.control.output_count
        self._slots: Sequence[Slot] = core.block.records("outputs", Slot, count)
        self._first = np.empty(count, np.int64)
        self._behind = np.empty(count, np.int64)
        for index, slot in enumerate(self._slots):
            self._first[index], self._behind[index] = Variable(slot.offset, slot.kind, slot.bit).bits

    @property
    def settled(self) -> bool:
        """Tell whether the loop works with the newest table, so that another one can be written."""
        return self._core.same("force_wanted", "force_taken")

    def write(self, forces: Iterable[Forced]) -> None:
        """Hand in what is forced from the next scan on, instead of all that was before.

        Raises:
            ValueError: the table before has not been taken, or it is too much.
        """
        if not self.settled:
            raise ValueError("the forces before have not been taken")
        records = [
            Force(part.offset, part.kind, part.bit, _signed(raw), each.until_ns, each.number)
            for each in forces
            for part, raw in zip(each.variable.parts, each.raws, strict=True)
        ]
        if len(records) > FORCES:
            raise ValueError(f"{len(records)} words are more than the {FORCES} that can be forced")
        number = self._control.force_wanted + 1
        head, table = self._table(number)
        for index, record in enumerate(records):
            table[index] = record
        head.count = len(records)
        head.due_ns = min((record.until_ns for record in records if record.until_ns), default=0)
        self._core.post("force_wanted")

    def lay(self, forces: Iterable[Forced]) -> None:
        """Write what is forced from the first scan on; for a block in which no loop runs yet."""
        self.write(forces)
        self._control.force_taken = self._control.force_wanted

    def mark(self, variables: Iterable[Variable | Text]) -> None:
        """Let outputs say by their quality whether a part of them is forced."""
        forced = np.zeros(len(self._slots), np.bool_)
        for variable in variables:
            first, behind = variable.bits
            forced |= (self._first < behind) & (first < self._behind)
        for slot, override in zip(self._slots, forced.tolist(), strict=True):
            slot.running_quality = Quality.GOOD_LOCAL_OVERRIDE if override else Quality.GOOD

    def there(self) -> dict[int, int | None]:
        """Return the forces in the block by number: when each ends (0: never), None if it has ended."""
        head, table = self._table(self._control.force_wanted)
        return {each.number: None if each.kind == _ENDED else each.until_ns for each in table[: head.count]}

    def _table(self, number: int) -> tuple[ForceTable, Any]:
        whole = self._core.block.part("forces")
        at = (number & 1) * _TABLE_SIZE
        head = ForceTable.from_buffer(whole, at)
        return head, (Force * FORCES).from_buffer(whole, at + ctypes.sizeof(ForceTable))


def _signed(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw
