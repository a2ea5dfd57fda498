"""What is worth a sample: changes, vectorised over all tags."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from runtime.config import TagList
from runtime.contract import Batch
from runtime.historian.columns import Kinds


class Deadband:
    """Keeps a row where quality or text changed, or the value by at least the tag's deadband.

    What is compared with is the last row kept, so a slow drift is kept too. A value holds until the next
    sample: rows that repeat it carry nothing. A row that comes late, after a newer one of its tag, is kept
    and compared with nothing; where the newer one was not, that is kept now, so that the late one holds no
    longer than until then.
    """

    def __init__(self, tags: TagList, kinds: Kinds) -> None:
        n = len(tags)
        self._kinds = kinds
        self._band = np.array([tag.deadband for tag in tags], np.float64)
        self._any_band = bool((self._band > 0).any())
        self.known = np.zeros(n, np.bool_)
        self._raw = np.zeros(n, np.uint64)
        self._quality = np.zeros(n, np.uint32)
        self._text: dict[int, str] = {}
        self._newest = np.zeros(n, np.intp)
        # The newest row of each tag, kept or not, and when the newest kept was.
        self._seen_ns, self._seen_raw = np.zeros(n, np.int64), np.zeros(n, np.uint64)
        self._kept_ns = np.zeros(n, np.int64)

    def forget(self) -> None:
        """Keep the next row of every tag."""
        self.known[:] = False

    def clock_set(self) -> None:
        """Take no row for late because the clock was set back."""
        self._seen_ns[:] = self._kept_ns[:] = 0

    def keep(self, batch: Batch) -> Batch:
        """Return the rows worth a sample, in order."""
        late = self._late(batch)
        if not late.any():
            return self._in_time(batch)
        kept = self._in_time(batch.take(~late))
        return Batch.joined([kept, batch.take(late), self._again(np.unique(batch.ids[late]))])

    def _late(self, batch: Batch) -> NDArray[np.bool_]:
        """Tell which rows are older than one before them of the same tag."""
        ids, t = batch.ids, batch.source_ns
        late: NDArray[np.bool_] = t < self._seen_ns[ids]
        if not (np.diff(t) < 0).any():
            return late
        order = np.argsort(ids, kind="stable")
        if not ((np.diff(t[order]) < 0) & (np.diff(ids[order]) == 0)).any():
            return late
        newest: dict[int, int] = {}
        for row, (id_, at_ns) in enumerate(zip(ids.tolist(), t.tolist(), strict=True)):
            before = newest.get(id_, int(self._seen_ns[id_]))
            late[row] = at_ns < before
            newest[id_] = max(at_ns, before)
        return late

    def _again(self, ids: NDArray[np.int32]) -> Batch:
        """Keep the newest rows of tags that were not kept."""
        ids = ids[self._seen_ns[ids] > self._kept_ns[ids]]
        self._raw[ids], self._kept_ns[ids] = self._seen_raw[ids], self._seen_ns[ids]
        text = {row: self._text[id_] for row, id_ in enumerate(ids.tolist()) if id_ in self._text}
        return Batch(ids, self._seen_raw[ids], self._quality[ids], self._seen_ns[ids], text)

    def _in_time(self, batch: Batch) -> Batch:
        ids = batch.ids
        rows = np.arange(len(ids))
        self._newest[ids] = rows
        if (self._newest[ids] == rows).all():
            kept = self._changed(batch, self._raw[ids], self._quality[ids], self.known[ids])
            if self._any_band:
                self._hold_still(batch, kept)
            taken = ids[kept]
            self._raw[taken] = batch.raw[kept]
            self._quality[taken] = batch.quality[kept]
            self.known[taken] = True
        else:
            kept = self._keep_repeated(batch)
        for row in sorted(batch.text):
            id_ = int(ids[row])
            kept[row] |= self._text.get(id_) != batch.text[row]
            self._text[id_] = batch.text[row]
        self._seen_ns[ids], self._seen_raw[ids] = batch.source_ns, batch.raw
        self._kept_ns[ids[kept]] = batch.source_ns[kept]
        return batch if kept.all() else batch.take(kept)

    def _changed(
        self, batch: Batch, raw: NDArray[np.uint64], quality: NDArray[np.uint32], known: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        changed: NDArray[np.bool_] = (batch.raw != raw) | (batch.quality != quality) | ~known
        return changed

    def _hold_still(self, batch: Batch, kept: NDArray[np.bool_]) -> None:
        """Take rows out that moved less than the deadband, where no tag occurs twice."""
        ids = batch.ids
        rows = np.flatnonzero(
            kept & (self._band[ids] > 0) & self.known[ids] & (batch.quality == self._quality[ids])
        )
        at = ids[rows]
        change = np.abs(self._kinds.decode(at, batch.raw[rows]) - self._kinds.decode(at, self._raw[at]))
        kept[rows] = ~(change < self._band[at])  # not-a-number is a change

    def _keep_repeated(self, batch: Batch) -> NDArray[np.bool_]:
        """Judge a batch in which tags occur more than once: each row by the one before it."""
        order = np.argsort(batch.ids, kind="stable")
        turned = Batch(batch.ids[order], batch.raw[order], batch.quality[order], batch.source_ns[order])
        ids, raw, quality = turned.ids, turned.raw, turned.quality
        first = np.append(True, ids[1:] != ids[:-1])
        last = np.append(first[1:], True)
        kept = self._changed(
            turned,
            np.where(first, self._raw[ids], np.append(raw[:1], raw[:-1])),
            np.where(first, self._quality[ids], np.append(quality[:1], quality[:-1])),
            ~first | self.known[ids],
        )
        plain = last & (self._band[ids] == 0)
        self._walk(turned, np.flatnonzero(self._band[ids] > 0), kept)
        self._raw[ids[plain]] = raw[plain]
        self._quality[ids[plain]] = quality[plain]
        self.known[ids[plain]] = True
        out = np.empty_like(kept)
        out[order] = kept
        return out

    def _walk(self, batch: Batch, rows: NDArray[np.intp], kept: NDArray[np.bool_]) -> None:
        """Judge rows one by one: what a deadband is measured from depends on the rows before."""
        ids = batch.ids[rows]
        known, quality = self.known[ids].tolist(), self._quality[ids].tolist()
        held = self._kinds.decode(ids, self._raw[ids]).tolist()
        last = dict(zip(ids.tolist(), zip(known, quality, held, strict=True), strict=True))
        band = self._band[ids].tolist()
        value = self._kinds.decode(ids, batch.raw[rows]).tolist()
        taken = np.zeros(len(rows), np.bool_)
        for index, (id_, code) in enumerate(zip(ids.tolist(), batch.quality[rows].tolist(), strict=True)):
            was_known, was_code, was = last[id_]
            now = value[index]
            still = now == was or abs(now - was) < band[index] or (math.isnan(now) and math.isnan(was))
            if not (was_known and was_code == code and still):
                last[id_] = (True, code, now)
                taken[index] = True
        kept[rows] = taken
        at = ids[taken]
        self._raw[at] = batch.raw[rows[taken]]
        self._quality[at] = batch.quality[rows[taken]]
        self.known[at] = True
