"""The server's own columns of every tag: what a client reads comes from here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Batch, DataType, Quality, Tag, Value


class Image:
    """Raw pattern, quality and source time of n tags, fed by `Port.changes`.

    A tag that never came is Bad, waiting for initial data: nothing here is Good by default.

    Attributes:
        is_text: which tags are of STRING.
    """

    def __init__(self, tags: Sequence[Tag]) -> None:
        n = len(tags)
        self.raw = np.zeros(n, np.uint64)
        self.quality = np.full(n, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.source_ns = np.zeros(n, np.int64)
        self.text: dict[int, str] = {}
        self._describe(tags)

    def _describe(self, tags: Sequence[Tag]) -> None:
        self._signed = self.raw.view(np.int64)
        self._floating = self.raw.view(np.float64)
        self._kind = ["b" if tag.data_type is DataType.BOOL else tag.data_type.kind for tag in tags]
        self._is_signed = np.array([kind == "i" for kind in self._kind], np.bool_)
        self._is_floating = np.array([kind == "f" for kind in self._kind], np.bool_)
        self.is_text = np.array([kind == "s" for kind in self._kind], np.bool_)

    def widen(self, tags: Sequence[Tag]) -> None:
        """Take a list of tags that begins with the ids of the present one."""
        fresh = Image(tags[len(self.raw) :])
        self.raw = np.concatenate([self.raw, fresh.raw])
        self.quality = np.concatenate([self.quality, fresh.quality])
        self.source_ns = np.concatenate([self.source_ns, fresh.source_ns])
        self._describe(tags)

    def take(self, batch: Batch) -> None:
        """Take a batch in; where an id occurs twice the later row stays."""
        ids = batch.ids
        self.raw[ids] = batch.raw
        self.quality[ids] = batch.quality
        self.source_ns[ids] = batch.source_ns
        for row, text in batch.text.items():
            self.text[int(ids[row])] = text

    def numbers(self, ids: NDArray[np.int32], raw: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return what patterns of tags mean as numbers; texts are 0."""
        made = raw.astype(np.float64)
        for chosen, kind in ((self._is_signed[ids], np.int64), (self._is_floating[ids], np.float64)):
            made[chosen] = raw[chosen].view(kind)
        return made

    def value(self, id_: int) -> Value:
        """Return the decoded value, whatever its quality."""
        match self._kind[id_]:
            case "f":
                return float(self._floating[id_])
            case "i":
                return int(self._signed[id_])
            case "b":
                return bool(self.raw[id_])
            case "s":
                return self.text.get(id_, "")
        return int(self.raw[id_])
