"""Suppression by design: which alarms an expression over tags hides.

An expression that cannot be judged hides nothing; while that is because a tag still waits for its first
value, what was before a restart stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.alarms.condition import Condition
from runtime.alarms.watched import Index
from runtime.config import AlarmConfig, TagList
from runtime.tagtable import TagTable


class Suppression:
    """The expressions of all alarms, each judged once however many alarms share it."""

    def __init__(self, configs: Sequence[AlarmConfig], tags: TagList, table: TagTable) -> None:
        alarms: dict[str, list[int]] = {}
        for row, config in enumerate(configs):
            if config.suppressed_when:
                alarms.setdefault(config.suppressed_when, []).append(row)
        self._alarms = list(alarms.values())
        self._conditions = [Condition(text, tags, table) for text in alarms]
        self._verdicts: list[bool | None] = [None] * len(alarms)
        pairs = [(row, id_) for row, each in enumerate(self._conditions) for id_ in each.ids.tolist()]
        self.index = Index(pairs, len(tags))

    def judge(self, ids: NDArray[np.int32]) -> Iterator[tuple[list[int], bool]]:
        """Yield alarms and whether they are suppressed now, for tags that the table has just taken."""
        for row in self.index.rows_of(ids).tolist():
            condition = self._conditions[row]
            holds = condition.holds()
            if holds is None and condition.waits:
                continue
            verdict = bool(holds)
            if verdict != self._verdicts[row]:
                self._verdicts[row] = verdict
                yield self._alarms[row], verdict
