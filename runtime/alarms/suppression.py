"""Suppression by design: which alarms an expression over tags hides.

An expression that cannot be judged hides nothing; while one of its tags still waits for a first value,
what was before a restart stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.alarms.watched import Index
from runtime.config import AlarmConfig, TagList
from runtime.contract import Quality
from runtime.gate.expression import Undecided, parse_expression
from runtime.tagtable import TagTable


class Suppression:
    """The expressions of all alarms, each judged once however many alarms share it."""

    def __init__(self, configs: Sequence[AlarmConfig], tags: TagList, table: TagTable) -> None:
        self._table = table
        alarms: dict[str, list[int]] = {}
        for row, config in enumerate(configs):
            if config.suppressed_when:
                alarms.setdefault(config.suppressed_when, []).append(row)
        self._alarms = list(alarms.values())
        self._expressions = [parse_expression(text) for text in alarms]
        self._verdicts: list[bool | None] = [None] * len(alarms)
        self._ids = [np.array([tags[path].id for path in each.paths], np.int32) for each in self._expressions]
        pairs = [(row, id_) for row, ids in enumerate(self._ids) for id_ in ids.tolist()]
        self.index = Index(pairs, len(tags))

    def judge(self, ids: NDArray[np.int32]) -> Iterator[tuple[list[int], bool]]:
        """Yield alarms and whether they are suppressed now, for tags that the table has just taken."""
        for row in self.index.rows_of(ids).tolist():
            if (self._table.quality[self._ids[row]] == Quality.BAD_WAITING_FOR_INITIAL_DATA).any():
                continue
            try:
                verdict = self._expressions[row].holds(self._table)
            except Undecided:
                verdict = False
            if verdict != self._verdicts[row]:
                self._verdicts[row] = verdict
                yield self._alarms[row], verdict
