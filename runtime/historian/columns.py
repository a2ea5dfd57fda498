"""From raw patterns to the columns of the store and back, without loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.config import TagList
from runtime.contract import Batch, DataType

_WHOLE = float(1 << 53)  # whole numbers below are exact in a double; this one may be the next, rounded


class Kinds:
    """How the raw pattern of each tag is a number."""

    def __init__(self, tags: TagList) -> None:
        self._float = np.array([tag.data_type.kind == "f" for tag in tags], np.bool_)
        self._signed = np.array([tag.data_type.kind == "i" for tag in tags], np.bool_)
        self.text = np.array([tag.data_type is DataType.STRING for tag in tags], np.bool_)
        self.wide = np.array(
            [tag.data_type.kind in "iu" and tag.data_type.bits == 64 for tag in tags], np.bool_
        )

    def decode(self, ids: NDArray[np.int32], raw: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the numbers; whole ones beyond 2**53 are rounded."""
        floats = self._float[ids]
        if floats.all():
            return raw.view(np.float64)
        whole = np.where(self._signed[ids], raw.view(np.int64).astype(np.float64), raw.astype(np.float64))
        return np.where(floats, raw.view(np.float64), whole)

    def encode(self, ids: NDArray[np.int32], value: NDArray[np.float64]) -> NDArray[np.uint64]:
        """Return the patterns of numbers that `decode` did not round."""
        floats = self._float[ids]
        whole = np.where(floats | ~(np.abs(value) <= _WHOLE), 0.0, value)
        return np.where(floats, value.view(np.uint64), whole.astype(np.int64).view(np.uint64))

    def rounded(self, ids: NDArray[np.int32], value: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which decoded numbers may have been rounded."""
        beyond = np.abs(value) >= _WHOLE
        return beyond & ~self._float[ids] if beyond.any() else beyond


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Rows as the store takes them. `exact` and `text` belong to the rows of `special` only.

    Of a tag all rows are special or none: the two are written one after the other, and samples of one tag
    and time are to keep their order.
    """

    tag: NDArray[np.uint32]
    t: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint32]
    special: NDArray[np.intp]
    exact: np.ma.MaskedArray[Any, np.dtype[np.uint64]]
    text: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.tag)


def to_columns(batches: Sequence[Batch], stored: NDArray[np.int64], kinds: Kinds) -> Columns:
    """Join batches; `stored` has the store's id of each tag."""
    batch = Batch.joined(batches)
    ids, raw = batch.ids, batch.raw
    value = kinds.decode(ids, raw)
    rounded = kinds.rounded(ids, value)
    apart = np.zeros(len(stored), np.bool_)
    apart[ids[rounded]] = True
    apart[ids[np.array(list(batch.text), np.intp)]] = True
    special = np.flatnonzero(apart[ids])
    return Columns(
        stored[ids].astype(np.uint32),
        batch.source_ns,
        value,
        batch.quality,
        special,
        np.ma.MaskedArray(raw[special], mask=~rounded[special]),
        np.array([batch.text.get(row) for row in special.tolist()], np.object_),
    )


def execute_on(
    connection: duckdb.DuckDBPyConnection,
    given: Mapping[str, NDArray[Any]],
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] = (),
) -> None:
    """Execute a query over columns that it calls `given`: DuckDB finds them among the names of this function.

    `register` would do it too, but takes twice as long and keeps up to 1.2 MiB of what it was given before.
    """
    connection.execute(query, parameters)
