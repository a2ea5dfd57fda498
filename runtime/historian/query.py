"""Questions to history: samples as they are, values at times, figures of intervals."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contract import NO_TEXT, Batch, DataType, Value
from runtime.historian.columns import Kinds
from runtime.historian.intervals import BAD_NO_DATA, UNCERTAIN_SUB_NORMAL, Intervals, Sums, Ticks
from runtime.historian.reading import PIECE_ROWS, Rows, Snapshot, Wanted, joined
from runtime.historian.store import NOT_RECORDED
from runtime.historian.tallies import CALCULATED, RAW, TALLIES, Tallies

Bucket = tuple[int, float | None, float | None, float | None]
AT, INTERPOLATED = "at", "interpolated"
FIGURES = ("min", "max", "mean", "first", "last", "time_weighted")
MODES = (AT, INTERPOLATED, *FIGURES)
_MADE = ("mean", "time_weighted", INTERPOLATED)
# With the bits of OPC UA in their status codes.
HELD, BETWEEN, DELTA_BOUNDS = "held", "between", "delta_bounds"
_INTERPOLATED_BITS = 0x402
_NS_PER_S = 1e9
_DAYS_AT_ONCE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Values of one tag at times; where the quality is bad there is none."""

    t: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint32]

    def listed(self, kind: DataType, mode: str) -> list[tuple[int, Value | None, int]]:
        """Return (time ns, value, quality); means and interpolated numbers are numbers of their own."""
        of_their_own = ("mean", "time_weighted") if kind is DataType.BOOL else _MADE
        whole = kind.kind in "ui" and mode not in of_their_own
        values: list[Value | None] = [None if value != value else value for value in self.value.tolist()]
        if whole:
            make = bool if kind is DataType.BOOL else int
            values = [None if value is None else make(value) for value in values]
        return list(zip(self.t.tolist(), values, self.quality.tolist(), strict=True))


def read_samples(
    snapshot: Snapshot,
    stored: NDArray[np.int64],
    kinds: Kinds,
    ids: NDArray[np.int32],
    span: tuple[int, int],
    limit: int | None,
) -> Batch:
    """Return the samples of tags in order of tag and time, start included, end not.

    With a limit, the newest so many of each tag. `stored` has the store's id of each tag.
    """
    ids = np.unique(ids[stored[ids] >= 0]).astype(np.int32)
    wanted = Wanted(np.sort(stored[ids]).tolist(), bool(kinds.wide[ids].any()), bool(kinds.text[ids].any()))
    rows = snapshot.rows(wanted, span) if limit is None else _newest(snapshot, wanted, span, limit)
    order = np.argsort(stored[ids])
    place = order[np.searchsorted(stored[ids][order], rows.tag)]
    found = ids[place]
    raw = kinds.encode(found, rows.value)
    if rows.exact is not None:
        known = ~np.ma.getmaskarray(rows.exact)
        raw[known] = rows.exact.data[known]
    raw[(rows.quality == NOT_RECORDED) & np.isnan(rows.value)] = 0
    text = NO_TEXT
    if rows.text is not None:
        words = zip(kinds.text[found].tolist(), rows.text.tolist(), strict=True)
        text = {row: word for row, (is_text, word) in enumerate(words) if is_text and word is not None}
    batch = Batch(found, raw, rows.quality, rows.t, text)
    return batch.take(np.argsort(found, kind="stable")) if (np.diff(found) < 0).any() else batch


def _newest(snapshot: Snapshot, wanted: Wanted, span: tuple[int, int], limit: int) -> Rows:
    """Read from the newest day backward until there are enough samples of each tag."""
    days: dict[str, list[Any]] = {}
    for part in snapshot.files(span):
        days.setdefault(part.day, []).append(part)
    rows = _last_of_each(snapshot.fresh(wanted, span), limit)
    left = sorted(days)
    at_once = _DAYS_AT_ONCE
    while left:
        taken, left = left[-at_once:], left[:-at_once]
        at_once *= 2
        cold = snapshot.cold(wanted, span, [part for day in taken for part in days[day]])
        rows = _last_of_each(joined([cold, rows]), limit)
        older_ns = max((part.last_ns for day in left for part in days[day]), default=0)
        tags, first, counts = np.unique(rows.tag, return_index=True, return_counts=True)
        if len(tags) == len(wanted.tags) and ((counts >= limit) & (rows.t[first] > older_ns)).all():
            break
    return rows


def _last_of_each(rows: Rows, limit: int) -> Rows:
    """Return the last rows of each tag."""
    _, first, counts = np.unique(rows.tag, return_index=True, return_counts=True)
    if not len(counts) or counts.max() <= limit:
        return rows
    from_end = np.repeat(first + counts, counts) - np.arange(len(rows))
    return rows.take(np.flatnonzero(from_end <= limit))


def read_trend(
    snapshot: Snapshot, tag: int, span: tuple[int, int], buckets: int, until_ns: int
) -> list[Bucket]:
    """Return (start ns, least, mean, greatest) of at most so many equal buckets of one tag of the store.

    A value holds until the next sample, at most until `until_ns`. None where the tag had no good value.
    """
    width = max(1, -(-(span[1] - span[0]) // max(1, buckets)))
    found = gather(snapshot, [tag], span, width, until_ns)[tag]
    columns = [
        [None if value != value else value for value in column.tolist()]
        for column in (found.least, found.weighted, found.greatest)
    ]
    return list(zip(found.starts.tolist(), *columns, strict=True))


def read_figures(
    snapshot: Snapshot,
    tags: Sequence[int],
    span: tuple[int, int],
    width: int,
    mode: str,
    until_ns: int,
    stepped: Container[int] = (),
) -> dict[int, Points]:
    """Return one point for each interval of each tag of the store, by a mode.

    `at` and `interpolated` give the value at the start of the interval, of `stepped` tags both the value that
    held there, as there is nothing between on and off; the others judge all of it: `mean`,
    `first` and `last` its samples, `min`, `max` and `time_weighted` also the value that held when it began.
    Where straight lines join the samples of a tag, the values are on them, and `mean` is that of time.
    `span` is greatest less least of these, `total` the integral over seconds. `held` and `between` are `at`
    and `interpolated` whose quality tells which are samples, `delta_bounds` how far `at` moves in each
    interval; the modes of `TALLIES` look at samples alone.
    """
    if mode in (AT, INTERPOLATED, HELD, BETWEEN):
        ticks = _starts(span, width)
        return _read_ticks(snapshot, tags, ticks, mode, until_ns, stepped)
    if mode == DELTA_BOUNDS:
        return _read_deltas(snapshot, tags, span, width, until_ns)
    if mode in TALLIES:
        return _read_tallies(snapshot, tags, span, width, mode, until_ns)
    out = {}
    for tag, found in gather(snapshot, tags, span, width, until_ns).items():
        figure = {
            "min": found.least, "max": found.greatest, "mean": found.mean, "first": found.head,
            "last": found.tail, "time_weighted": found.weighted, "span": found.greatest - found.least,
            "total": np.where(found.good_ns > 0, found.area / _NS_PER_S, np.nan),
        }[mode]  # fmt: skip
        out[tag] = Points(found.starts, figure, found.quality(figure))
    return out


def _starts(span: tuple[int, int], width: int) -> NDArray[np.int64]:
    """Return when intervals begin; numpy alone counts them in doubles, and may drop one of a few ns."""
    return span[0] + np.arange(-(-(span[1] - span[0]) // width), dtype=np.int64) * width


def _read_ticks(
    snapshot: Snapshot,
    tags: Sequence[int],
    ticks: NDArray[np.int64],
    mode: str,
    until_ns: int,
    stepped: Container[int] = (),
) -> dict[int, Points]:
    wanted = Wanted(tags)
    begin, end = int(ticks[0]), int(ticks[-1]) + 1
    found = {tag: Ticks(ticks) for tag in tags}
    lines = snapshot.lines(wanted)
    for tag, row in snapshot.before(wanted, begin).items():
        found[tag].feed(row.t, row.usable, row.quality)
    for piece in snapshot.pieces(wanted, (begin, end)):
        for tag, rows in _each(snapshot.rows(wanted, piece)):
            found[tag].feed(rows.t, rows.usable, rows.quality)
    sloped = {tag for tag in tags if tag not in stepped} if mode in (INTERPOLATED, BETWEEN) else set()
    straight = sorted(sloped | set(lines))
    for tag, row in snapshot.after(Wanted(straight), end).items() if straight else ():
        found[tag].feed(row.t, row.usable, row.quality)
    out = {}
    for tag, each in found.items():
        between = lines.get(tag, ())
        value, quality = each.interpolated(until_ns) if tag in sloped else each.held(until_ns, between)
        if mode in (HELD, BETWEEN):
            bits = np.where(each.before_ns == ticks, RAW, _INTERPOLATED_BITS)
            quality = np.where(quality >> 31 != 0, quality, quality | bits).astype(np.uint32)
        out[tag] = Points(ticks, value, quality)
    return out


def _read_deltas(
    snapshot: Snapshot, tags: Sequence[int], span: tuple[int, int], width: int, until_ns: int
) -> dict[int, Points]:
    """Source: OPC 10000-13, 5.4.3.30 DeltaBounds; the end of an interval that is not over is now."""
    ends = np.append(_starts(span, width), span[1])
    starts = ends[:-1]
    reached = np.minimum(ends, max(span[0], until_ns))
    ticks, places = np.unique(reached, return_inverse=True)
    out = {}
    for tag, found in _read_ticks(snapshot, tags, ticks, AT, until_ns).items():
        value, quality = found.value[places], found.quality[places]
        delta = np.where(starts < until_ns, np.diff(value), np.nan)
        doubt = (quality[1:] | quality[:-1]) >> 30 != 0
        code = np.where(doubt, UNCERTAIN_SUB_NORMAL, 0) | CALCULATED
        out[tag] = Points(starts, delta, np.where(np.isnan(delta), BAD_NO_DATA, code).astype(np.uint32))
    return out


def _read_tallies(
    snapshot: Snapshot, tags: Sequence[int], span: tuple[int, int], width: int, mode: str, until_ns: int
) -> dict[int, Points]:
    wanted = Wanted(tags)
    found = {tag: Tallies(*span, width, until_ns) for tag in tags}
    for tag, row in snapshot.before(wanted, span[0]).items():
        found[tag].hold(float(row.usable[0]), int(row.quality[0]))
    for piece in snapshot.pieces(wanted, span):
        for tag, rows in _each(snapshot.rows(wanted, piece)):
            found[tag].feed(rows.t, rows.usable, rows.quality)
    for each in found.values():
        each.finish()
    return {tag: Points(*each.figure(mode)) for tag, each in found.items()}


def gather(
    snapshot: Snapshot, tags: Sequence[int], span: tuple[int, int], width: int, until_ns: int
) -> dict[int, Intervals]:
    """Return the figures of equal intervals; sums of whole files are used wherever they fit into one."""
    wanted = Wanted(tags)
    lines = snapshot.lines(wanted)
    out = {tag: Intervals(*span, width, until_ns, lines.get(tag, ())) for tag in tags}
    for tag, row in snapshot.before(wanted, span[0]).items():
        out[tag].hold(int(row.t[0]), float(row.usable[0]), bool(row.quality[0] >> 30 == 1))
    inside = (span[0], max(span[0], min(span[1], until_ns)))
    sums = snapshot.digests(wanted, inside)
    fresh = dict(_each(snapshot.fresh(wanted, inside)))
    unsummed = [part for part in snapshot.files(inside) if not part.digested]
    after = snapshot.after(Wanted(list(lines)), inside[1]) if lines else {}
    for tag, found in out.items():
        mine = {name: column[sums["tag"] == tag] for name, column in sums.items()}
        _fill(snapshot, tag, found, mine, fresh.get(tag), unsummed)
        if tag in after:
            found.finish(int(after[tag].t[0]), float(after[tag].usable[0]))
        else:
            found.finish()
    return out


def _fill(
    snapshot: Snapshot,
    tag: int,
    found: Intervals,
    sums: dict[str, NDArray[Any]],
    fresh: Rows | None,
    unsummed: Sequence[Any],
) -> None:
    """Feed one tag: sums where they stand alone, else the samples, in order of time."""
    span = (found.start, found.stop)
    alone = _alone(found, sums, fresh) if not unsummed else np.zeros(len(sums["tag"]), np.bool_)
    crowded = set(sums["part"][~alone].tolist())
    parts = [part for part in snapshot.parts if part.number in crowded] + list(unsummed)
    ready = [_sums_at(sums, row) for row in np.flatnonzero(alone).tolist()]
    wanted = Wanted([tag])
    for piece in _pieces(span, sums["first_ns"][~alone], sums["rows"][~alone]):
        files = [part for part in parts if part.first_ns < piece[1] and part.last_ns >= piece[0]]
        rows = [snapshot.cold(wanted, piece, files)] if files else []
        if fresh is not None:
            rows.append(fresh.take(np.flatnonzero((fresh.t >= piece[0]) & (fresh.t < piece[1]))))
        all_rows = joined(rows) if rows else None
        at = 0
        for each in [each for each in ready if piece[0] <= each.first_ns < piece[1]]:
            if all_rows is not None:
                upto = int(np.searchsorted(all_rows.t, each.first_ns))
                _feed(found, all_rows, at, upto)
                at = upto
            found.feed_sums(each)
        if all_rows is not None:
            _feed(found, all_rows, at, len(all_rows))


def _feed(found: Intervals, rows: Rows, first: int, last: int) -> None:
    if last > first:
        part = rows.take(np.arange(first, last)) if last - first < len(rows) else rows
        found.feed(part.t, part.usable, part.quality >> 30 == 1)


def _alone(found: Intervals, sums: dict[str, NDArray[Any]], fresh: Rows | None) -> NDArray[np.bool_]:
    """Tell which sums lie within one interval, and have no other samples among theirs."""
    first, last = sums["first_ns"], sums["last_ns"]
    alone: NDArray[np.bool_] = (first >= found.start) & (last < found.stop)
    alone &= (first - found.start) // found.width == (last - found.start) // found.width
    if len(first) > 1:
        reached = np.maximum.accumulate(last)
        alone[1:] &= first[1:] > reached[:-1]
        alone[:-1] &= last[:-1] < first[1:]
    if fresh is not None:
        alone &= np.searchsorted(fresh.t, first, side="left") == np.searchsorted(fresh.t, last, side="right")
    return alone


def _pieces(
    span: tuple[int, int], firsts: NDArray[np.int64], counts: NDArray[np.uint64]
) -> Iterator[tuple[int, int]]:
    """Divide a span where files begin, into pieces of about `PIECE_ROWS` samples to read."""
    begun, rows = span[0], 0
    for first_ns, count in zip(firsts.tolist(), counts.tolist(), strict=True):
        if rows and rows + int(count) > PIECE_ROWS and first_ns > begun:
            yield begun, first_ns
            begun, rows = first_ns, 0
        rows += int(count)
    if span[1] > begun:
        yield begun, span[1]


def _sums_at(sums: dict[str, NDArray[Any]], row: int) -> Sums:
    return Sums(
        first_ns=int(sums["first_ns"][row]),
        last_ns=int(sums["last_ns"][row]),
        good=int(sums["good"][row]),
        head=float(sums["head"][row]),
        tail=float(sums["tail"][row]),
        held=float(sums["held"][row]),
        least=float(sums["least"][row]),
        greatest=float(sums["greatest"][row]),
        total=float(sums["total"][row]),
        area=float(sums["area"][row]),
        good_ns=float(sums["good_ns"][row]),
        uncertain=bool(sums["uncertain"][row]),
        held_uncertain=bool(int(sums["quality"][row]) >> 30 == 1),
        opens=float(sums["opens"][row]),
    )


def _each(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Yield the rows of each tag."""
    if not len(rows):
        return
    begin = np.append(0, np.flatnonzero(np.diff(rows.tag.astype(np.int64))) + 1)
    for first, last in zip(begin.tolist(), np.append(begin[1:], len(rows)).tolist(), strict=True):
        yield int(rows.tag[first]), rows.take(np.arange(first, last))
