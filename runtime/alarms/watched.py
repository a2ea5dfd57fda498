"""Which tags an alarm looks at, and which alarms look at a tag."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.config import AlarmConfig, TagList
from runtime.contract import Tag


def watched_tag(config: AlarmConfig, tags: TagList) -> Tag:
    """Return the tag that an alarm is judged by: that of its config, or the link of that tag's driver.

    Raises:
        KeyError: there is no such tag.
    """
    tag = tags[config.tag]
    if config.kind == "communication" and tag.device:
        return tags[f"sys/drivers/{tag.device}/online"]
    return tag


class Index:
    """From tags to rows, for thousands of each: `pairs` are (row, tag id)."""

    def __init__(self, pairs: Sequence[tuple[int, int]], tags: int) -> None:
        rows = np.array([row for row, _ in pairs], np.intp)
        ids = np.array([id_ for _, id_ in pairs], np.intp)
        order = np.argsort(ids, kind="stable")
        self._rows = rows[order]
        self._first = np.searchsorted(ids[order], np.arange(tags + 1))
        self._doubled = len(np.unique(rows)) < len(rows)
        self.watched = np.diff(self._first) > 0

    def rows_of(self, ids: NDArray[np.int32]) -> NDArray[np.intp]:
        """Return the rows that look at any of these tags, each once."""
        first = self._first[ids]
        counts = self._first[ids + 1] - first
        starts = np.cumsum(counts) - counts
        found = self._rows[np.arange(int(counts.sum())) + np.repeat(first - starts, counts)]
        return np.unique(found) if self._doubled else found
