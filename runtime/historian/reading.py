"""What is stored, whether in the store's tables or in cold files: one consistent view, read in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from runtime.errors import StoreError
from runtime.historian.cold import Part, listed, whole
from runtime.historian.faults import DamagedPartsError, told
from runtime.historian.intervals import Lines
from runtime.historian.schema import lines_in, parts_in, tables_in

PIECE_ROWS = 1_000_000
_EVER = (0, (1 << 63) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Samples in order of tag and time; those of one tag and time in the order in which they were written.

    `exact` and `text` are None where no tag that was asked for needs them.
    """

    tag: NDArray[np.uint32]
    t: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint32]
    exact: np.ma.MaskedArray[Any, Any] | None = None
    text: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.tag)

    def take(self, rows: NDArray[Any]) -> Rows:
        return Rows(
            self.tag[rows],
            self.t[rows],
            self.value[rows],
            self.quality[rows],
            None if self.exact is None else self.exact[rows],
            None if self.text is None else self.text[rows],
        )

    @property
    def usable(self) -> NDArray[np.float64]:
        """Return the values, not-a-number where the quality is bad or the value is not finite."""
        return np.where((self.quality >> 31 == 0) & np.isfinite(self.value), self.value, np.nan)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tags of the store, and whether their exact patterns or texts are needed."""

    tags: Sequence[int]
    exact: bool = False
    text: bool = False

    @property
    def condition(self) -> str:
        if len(self.tags) == 1:
            return f"tag = {self.tags[0]}"
        return f"tag IN ({', '.join(map(str, self.tags))})" if self.tags else "false"


class Snapshot:
    """The store at one moment. Use it as a context manager, within one thread.

    `checked` has the numbers of the files that are known to be whole; a file is checked when it is read
    first. Files that were found damaged are in `avoided`; a plant that runs sets them aside. Samples that are
    held back from the store, at most one of each tag, are in `waiting`.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        folder: Path,
        checked: set[int],
        avoided: Sequence[int] = (),
        waiting: Rows | None = None,
    ) -> None:
        self._cursor = cursor
        self.folder = folder
        self._checked = checked
        self._avoided = set(avoided)
        self._waiting = waiting

    def __enter__(self) -> Snapshot:
        with told("the history cannot be read"):
            self._cursor.begin()
            self.tables = [f"samples_{number}" for number in tables_in(self._cursor)]
            self.parts = [each for each in parts_in(self._cursor) if each.number not in self._avoided]
        return self

    def __exit__(self, *_: object) -> None:
        with told("the history cannot be read"):
            self._cursor.rollback()

    def files(self, span: tuple[int, int]) -> list[Part]:
        """Return the cold files with samples in a span, in the order of days."""
        return [each for each in self.parts if each.first_ns < span[1] and each.last_ns >= span[0]]

    def rows(self, wanted: Wanted, span: tuple[int, int], parts: Sequence[Part] | None = None) -> Rows:
        """Return all samples of a span, start included; of cold files only the given ones."""
        files = self.files(span) if parts is None else parts
        found = [self._read("held", wanted, span)]
        if files:
            found.append(self.cold(wanted, span, files))
        found += [self._read(table, wanted, span) for table in self.tables]
        rows = joined(found)
        return rows if self._waiting is None else self._with_waiting(rows, self._waiting, wanted, span)

    def fresh(self, wanted: Wanted, span: tuple[int, int] = _EVER) -> Rows:
        """Return the samples that are not in cold files."""
        return self.rows(wanted, span, ())

    def cold(self, wanted: Wanted, span: tuple[int, int], parts: Sequence[Part]) -> Rows:
        """Return the samples of cold files, in the order of their numbers.

        Raises:
            DamagedPartsError: files are not as they were written; names them.
        """
        parts = sorted(parts, key=lambda each: each.number)
        self.check([part for part in parts if part.number not in self._checked])
        files = listed([self.folder / part.name for part in parts])
        try:
            return joined([self._read(f"read_parquet({files})", wanted, span)])
        except StoreError:
            self.check(parts)
            raise

    def check(self, parts: Sequence[Part]) -> None:
        """Look for damaged files.

        Raises:
            DamagedPartsError: names them.
        """
        damaged = [part for part in parts if not whole(self.folder / part.name, part)]
        if damaged:
            names = ", ".join(part.name for part in damaged)
            raise DamagedPartsError(
                [part.number for part in damaged], f"files of history are damaged: {names}"
            )
        self._checked.update(part.number for part in parts)

    def digests(self, wanted: Wanted, span: tuple[int, int]) -> dict[str, NDArray[Any]]:
        """Return the sums of tags by file that lie in or across a span, in order of tag and time."""
        query = (
            f"SELECT * FROM digests WHERE {wanted.condition} AND first_ns < ? AND last_ns >= ?"  # noqa: S608
            " ORDER BY tag, first_ns, part"
        )
        with told("the history cannot be read"):
            found = self._cursor.execute(query, [span[1], span[0]]).fetchnumpy()
        return {name: _filled(column) for name, column in found.items()}

    def lines(self, wanted: Wanted) -> dict[int, Lines]:
        """Return from when to when straight lines join the samples, of tags of which they ever did."""
        with told("the history cannot be read"):
            return lines_in(self._cursor, wanted.condition.replace("tag", "id"))

    def before(self, wanted: Wanted, at_ns: int) -> dict[int, Rows]:
        """Return the newest sample before a time of each tag that has one."""
        return self._nearest(wanted, (0, at_ns), backward=True)

    def after(self, wanted: Wanted, at_ns: int) -> dict[int, Rows]:
        """Return the oldest sample at or after a time of each tag that has one."""
        return self._nearest(wanted, (at_ns, _EVER[1]), backward=False)

    def pieces(self, wanted: Wanted, span: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Divide a span where days begin, so that a piece has not many more samples than `PIECE_ROWS`."""
        sums = self.digests(wanted, span)
        begun, rows = span[0], 0
        at: dict[int, int] = {}
        days = {part.number: part.first_ns for part in self.parts}
        for number, count in zip(sums["part"].tolist(), sums["rows"].tolist(), strict=True):
            at[days.get(number, begun)] = at.get(days.get(number, begun), 0) + int(count)
        for first_ns in sorted(at):
            if rows and rows + at[first_ns] > PIECE_ROWS and first_ns > begun:
                yield begun, first_ns
                begun, rows = first_ns, 0
            rows += at[first_ns]
        yield begun, span[1]

    def _nearest(self, wanted: Wanted, span: tuple[int, int], *, backward: bool) -> dict[int, Rows]:
        """Return one sample a tag: the last of the span, or its first. Digests tell where to look."""
        best: dict[int, Rows] = _ends(self.fresh(wanted, span), backward)
        sums = self.digests(wanted, span)
        digested = set(sums["part"].tolist())
        places = {part.number: part for part in self.parts}
        looked: dict[int, list[int]] = {}
        for tag in wanted.tags:
            mine = np.flatnonzero(sums["tag"] == tag)
            looked_in = _promising(sums, mine, span, backward, best.get(tag))
            for row in looked_in:
                looked.setdefault(int(sums["part"][row]), []).append(tag)
        unknown = [part for part in self.files(span) if not part.digested and part.number not in digested]
        for part in unknown:
            looked[part.number] = list(wanted.tags)
        for number, tags in sorted(looked.items(), reverse=True):  # of one time the last written is the last
            if number in places:
                asked = Wanted(tags, wanted.exact, wanted.text)
                for tag, found in _ends(self.cold(asked, span, [places[number]]), backward).items():
                    known = best.get(tag)
                    if known is None or (found.t[0] > known.t[0]) == backward:
                        best[tag] = found
        return best

    def _with_waiting(self, rows: Rows, waiting: Rows, wanted: Wanted, span: tuple[int, int]) -> Rows:
        """Add what is held back, unless it came into the store meanwhile."""
        asked = np.isin(waiting.tag, wanted.tags) & (waiting.t >= span[0]) & (waiting.t < span[1])
        newest = {tag: int(row.t[0]) for tag, row in _ends(rows, backward=True).items()}
        chosen = [
            row
            for row in np.flatnonzero(asked).tolist()
            if int(waiting.t[row]) > newest.get(int(waiting.tag[row]), -1)
        ]
        if not chosen:
            return rows
        more = waiting.take(np.array(chosen))
        return joined(
            [
                rows,
                Rows(
                    more.tag,
                    more.t,
                    more.value,
                    more.quality,
                    more.exact if wanted.exact else None,
                    np.full(len(more), None, np.object_) if wanted.text else None,
                ),
            ]
        )

    def _read(self, source: str, wanted: Wanted, span: tuple[int, int]) -> Rows:
        more = (", exact" if wanted.exact else "") + (", text" if wanted.text else "")
        query = (
            f"SELECT tag, t, value, quality{more} FROM {source}"  # noqa: S608 - our own names and numbers
            # OFFSET keeps the rows in their order: a join, as many tags are made one, holds few rows back.
            f" WHERE {wanted.condition} AND t >= ? AND t < ? OFFSET 0"
        )
        with told("the history cannot be read"):
            found = self._cursor.execute(query, list(span)).fetchnumpy()
        return Rows(
            found["tag"],
            found["t"],
            _filled(found["value"]),
            found["quality"],
            np.ma.masked_array(found["exact"]) if wanted.exact else None,
            _words(found["text"]) if wanted.text else None,
        )


def joined(found: Sequence[Rows]) -> Rows:
    """Join samples, the earlier written first, and put them in order."""
    kept = [each for each in found if len(each)] or [found[0]]
    rows = kept[0]
    exact = [each.exact for each in kept if each.exact is not None]
    if len(kept) > 1:
        rows = Rows(
            np.concatenate([each.tag for each in kept]),
            np.concatenate([each.t for each in kept]),
            np.concatenate([each.value for each in kept]),
            np.concatenate([each.quality for each in kept]),
            np.ma.concatenate(exact) if exact else None,  # type: ignore[no-untyped-call]
            None
            if rows.text is None
            else np.concatenate([each.text for each in kept if each.text is not None]),
        )
    if len(rows) > 1:
        step = np.diff(rows.tag.astype(np.int64))
        if (step < 0).any() or ((step == 0) & (np.diff(rows.t) < 0)).any():
            rows = rows.take(np.lexsort((rows.t, rows.tag)))
    return rows


def _ends(rows: Rows, backward: bool) -> dict[int, Rows]:
    """Return the last, or first, row of each tag."""
    if not len(rows):
        return {}
    change = np.flatnonzero(np.diff(rows.tag.astype(np.int64)))
    index = np.append(change, len(rows) - 1) if backward else np.append(0, change + 1)
    return {int(rows.tag[row]): rows.take(np.array([row])) for row in index.tolist()}


def _promising(
    sums: dict[str, NDArray[Any]],
    mine: NDArray[np.intp],
    span: tuple[int, int],
    backward: bool,
    known: Rows | None,
) -> list[int]:
    """Return the digests whose files may hold the sample that is nearest to the open end of a span."""
    if not len(mine):
        return []
    first, last = sums["first_ns"][mine], sums["last_ns"][mine]
    if backward:  # a file that begins in the span holds a sample at `first` at least
        surest = max(int(np.where(last < span[1], last, first).max()), int(known.t[0]) if known else 0)
        return [int(row) for row in mine[last >= surest]]
    surest = min(int(np.where(first >= span[0], first, last).min()), int(known.t[0]) if known else _EVER[1])
    return [int(row) for row in mine[first <= surest]]


def _words(column: NDArray[Any]) -> NDArray[np.object_]:
    """Return texts, None where there is none."""
    words: NDArray[np.object_] = np.ma.getdata(column).astype(np.object_)
    words[np.ma.getmaskarray(column)] = None
    return words


def _filled(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column with not-a-number where there is nothing."""
    if not np.ma.isMaskedArray(column):
        return column
    return np.ma.filled(column, np.nan if column.dtype.kind == "f" else 0)
