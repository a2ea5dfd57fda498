"""The tag table: the present value of every tag, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from runtime.config.taglist import TagList
from runtime.contract import NO_TEXT, Batch, DataType, Quality, Tag, Value


class TagTable:
    """Raw pattern, quality and source time of n tags; takes batches in, hands snapshots out.

    Owned by the event loop's thread (or by the stepping thread in virtual time): no locks.
    """

    def __init__(self, tags: TagList) -> None:
        n = len(tags)
        self.tags = tags
        self.raw = np.zeros(n, np.uint64)
        self.quality = np.full(n, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.source_ns = np.zeros(n, np.int64)
        self.text: dict[int, str] = {}
        self.updates = 0
        self._describe()

    def _describe(self) -> None:
        self._strings = np.array([tag.data_type is DataType.STRING for tag in self.tags], np.bool_)
        self._any_string = bool(self._strings.any())
        self._everything = np.arange(len(self.tags), dtype=np.int32)

    def succeed(self, tags: TagList) -> None:
        """Go on with the list that succeeds the present one; values stay with their ids."""
        more = len(tags) - len(self.tags)
        waiting = np.full(more, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.raw = np.concatenate([self.raw, np.zeros(more, np.uint64)])
        self.quality = np.concatenate([self.quality, waiting])
        self.source_ns = np.concatenate([self.source_ns, np.zeros(more, np.int64)])
        self.tags = tags
        self._describe()

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[Tag]:
        return iter(self.tags)

    def __getitem__(self, key: int | str) -> Tag:
        return self.tags[key]

    def __contains__(self, path: object) -> bool:
        return path in self.tags

    def select(self, *patterns: str) -> NDArray[np.int32]:
        return self.tags.select(*patterns)

    def apply(self, batch: Batch) -> None:
        """Take a batch in; where an id occurs twice the later row stays."""
        ids = batch.ids
        self.raw[ids] = batch.raw
        self.quality[ids] = batch.quality
        self.source_ns[ids] = batch.source_ns
        for row, text in batch.text.items():
            self.text[int(ids[row])] = text
        self.updates += len(ids)

    def snapshot(self, ids: NDArray[np.int32] | None = None) -> Batch:
        if ids is None:
            ids = self._everything
        text = NO_TEXT
        if self._any_string:
            rows = np.flatnonzero(self._strings[ids])
            text = {
                row: self.text.get(id_, "")
                for row, id_ in zip(rows.tolist(), ids[rows].tolist(), strict=True)
            }
        return Batch(ids, self.raw[ids], self.quality[ids], self.source_ns[ids], text)

    def value(self, tag: Tag) -> Value | None:
        if Quality.is_bad(int(self.quality[tag.id])):
            return None
        return tag.data_type.decode(int(self.raw[tag.id]), self.text.get(tag.id))


def initial_values(tags: Iterable[Tag], now_ns: int) -> Batch:
    """Return the values that operator tags have before anyone sets them."""
    chosen = [tag for tag in tags if tag.source == "operator"]
    raws, texts = [], {}
    for row, tag in enumerate(chosen):
        value: Value = tag.initial if tag.initial is not None else ("" if tag.data_type.kind == "s" else 0)
        raws.append(tag.data_type.encode(value))
        if isinstance(value, str):
            texts[row] = value
    return Batch.of([tag.id for tag in chosen], raws, now_ns, text=texts)
