"""Which samples become cold files, which files become one, and which go: the rules and the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import takewhile

from runtime.config import HistoryConfig
from runtime.historian.cold import DAY_NS, Part, listed, quoted
from runtime.historian.digests import Digest
from runtime.historian.faults import told
from runtime.historian.room import Room
from runtime.historian.schema import COLUMNS
from runtime.historian.store import Store

HOUR_NS = 3_600_000_000_000
_TABLE_ROWS = 2_000_000
_MANY = 6  # files of a day that still goes on are made one; more at a time leave holes in the heap
_FILE_ROWS = (_MANY + 1) * _TABLE_ROWS  # tables end a little later than they are full


def table_rows(room: Room) -> int:
    """Return how many samples a table takes before they become cold files."""
    return min(_TABLE_ROWS, room.limit // 128, room.free // 128)


def file_rows(room: Room) -> int:
    """Return how many samples files that are made one may have: what goes at once when the disk is full.

    Meanwhile they need 16 to 40 bytes each on the disk.
    """
    return min(_FILE_ROWS, room.limit // 64, room.free // 40)


def due(store: Store, room: Room, now_ns: int) -> bool:
    """Tell whether the table that is written is full, or of an hour that is over."""
    if store.waiting_rows >= table_rows(room):
        return True
    return store.waiting_rows > 0 and now_ns // HOUR_NS != store.waiting_since_ns // HOUR_NS


def write_table(store: Store, table: int) -> list[tuple[Part, Digest]]:
    """Write what a sealed table holds, a file for each day and retention class."""
    with told("the history cannot be read"), store.cursor() as cursor:
        groups = cursor.execute(
            f"SELECT t // {DAY_NS} AS day, retention FROM samples_{table}"  # noqa: S608
            " JOIN tags ON tags.id = tag GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    written = []
    for day, keep in groups:
        source = (
            f"(SELECT {COLUMNS}, samples_{table}.rowid AS place FROM samples_{table}"  # noqa: S608
            f" JOIN tags ON tags.id = tag WHERE retention = {quoted(keep)}"
            f" AND t >= {day * DAY_NS} AND t < {(day + 1) * DAY_NS})"
        )
        part = store.write_sorted(source, "place", Part(store.new_number(), _name(day), keep, 0, 0, 0, 0, 0))
        written.append((part, store.digest(part)))
    return written


def merge(store: Store, group: Sequence[Part]) -> tuple[Part, Digest]:
    """Make one file of several of a day and class; samples of one tag and time keep their order."""
    files = [store.folder / part.name for part in sorted(group, key=lambda each: each.number)]
    # One reader of all: a UNION of eight holds more memory than the store may use.
    source = (
        f"(SELECT {COLUMNS}, (file_index << 40) + file_row_number AS place"  # noqa: S608
        f" FROM read_parquet({listed(files)}, file_row_number = true))"
    )
    first = group[0]
    made = Part(store.new_number(), first.day, first.keep, 0, 0, 0, 0, 0, merged=True)
    part = store.write_sorted(source, "place", made, group)
    return part, store.digest(part)


def mergeable(parts: Sequence[Part], now_ns: int, most_rows: int) -> list[Part]:
    """Return files of a day and class that should be one, or none.

    All of a day that is over; of the present day only when there are many. The newest come first: what they
    become is the newest, and of samples of one time the last written holds.
    """
    groups: dict[tuple[str, str, bool], list[Part]] = {}
    for part in parts:
        groups.setdefault((part.day, part.keep, part.sent), []).append(part)
    for (day, *_), group in groups.items():
        over = _name((now_ns - HOUR_NS) // DAY_NS) > day
        newest = sorted(group, key=lambda each: -each.number)
        small = newest if over else list(takewhile(lambda each: not each.merged, newest))
        if len(small) >= (2 if over else _MANY):
            chosen, rows = [], 0
            for part in small:
                rows += part.rows
                if rows > most_rows:
                    break
                chosen.append(part)
            if len(chosen) >= 2:
                return chosen
    return []


def expired(parts: Sequence[Part], config: HistoryConfig, now_ns: int) -> Iterator[Part]:
    """Yield the files of which each sample is older than its class is kept."""
    ages = {"short": config.short, "standard": config.standard, "long": config.long}
    for part in parts:
        if part.last_ns < now_ns - ages[part.keep]:
            yield part


def _name(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_NS // 1_000_000_000, UTC).strftime("%Y-%m-%d")
