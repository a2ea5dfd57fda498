"""An expression over tags, judged on the values that the alarms have seen."""

from __future__ import annotations

import numpy as np

from runtime.config import TagList
from runtime.contract import Quality
from runtime.gate.expression import Undecided, parse_expression
from runtime.tagtable import TagTable


class Condition:
    """An expression and the ids of the tags that it reads."""

    def __init__(self, text: str, tags: TagList, table: TagTable) -> None:
        self._expression = parse_expression(text)
        self._table = table
        self.ids = np.array([tags[path].id for path in self._expression.paths], np.intp)

    @property
    def waits(self) -> bool:
        """Tell whether a tag still waits for its first value."""
        return bool((self._table.quality[self.ids] == Quality.BAD_WAITING_FOR_INITIAL_DATA).any())

    def holds(self) -> bool | None:
        """Judge it; None where it cannot be judged, because it depends on a value that is not usable."""
        try:
            return self._expression.holds(self._table)
        except Undecided:
            return None
