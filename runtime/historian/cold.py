"""Cold samples: Parquet files by day, each sorted by tag and time, written so that a kill harms nothing."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from runtime.historian.faults import UnreadablePartError

DAY_NS = 86_400_000_000_000
SUFFIX = ".parquet"
UNFINISHED = ".unfinished"
_BLOCK = 1 << 20
_ABOUT = "ironworks"
# Without dictionaries, times are stored as differences and values as planes of bytes: both pack well.
_FORMAT = "FORMAT parquet, PARQUET_VERSION V2, ROW_GROUP_SIZE 65536, DICTIONARY_SIZE_LIMIT 1"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of samples of a day and a retention class.

    Attributes:
        number: greater ones were written later.
        day: `2026-05-01`, in UTC.
        merged: whether it was made of other parts.
        digested: whether the store has the sums of its tags.
        sent: whether the sink has all of it.
    """

    number: int
    day: str
    keep: str
    first_ns: int
    last_ns: int
    rows: int
    size: int
    crc: int
    merged: bool = False
    digested: bool = False
    sent: bool = False

    @property
    def name(self) -> str:
        return part_name(self.day, self.keep, self.number)


def part_name(day: str, keep: str, number: int) -> str:
    """Return the path of a part below the folder of history."""
    return f"{day}/{keep}-{number}{SUFFIX}"


def quoted(text: object) -> str:
    """Return text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def listed(files: Sequence[Path]) -> str:
    """Return files as a list for `read_parquet`; paths are taken literally."""
    return "[" + ", ".join(quoted(literal(file)) for file in files) + "]"


def literal(file: Path) -> str:
    """Return a path so that `read_parquet` takes it literally."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in str(file))


def write_file(
    cursor: duckdb.DuckDBPyConnection, query: str, file: Path, about: dict[str, Any], given: Any = None
) -> None:
    """Write the rows of a query; the file is there whole and on disk, or not at all."""
    if not file.parent.exists():
        file.parent.mkdir(parents=True)
        sync(file.parent.parent)
    unfinished = file.with_name(f"{file.name}{UNFINISHED}")
    words = quoted(json.dumps(about))
    cursor.execute(
        f"COPY ({query}) TO {quoted(unfinished)}"
        f" ({_FORMAT}, COMPRESSION zstd, KV_METADATA {{{_ABOUT}: {words}}})",
        given,
    )
    sync(unfinished)
    unfinished.replace(file)
    sync(file.parent)


def write_piece(cursor: duckdb.DuckDBPyConnection, query: str, file: Path, number: int) -> Path:
    """Write the rows of a query for a short while, beside the file that is to have them."""
    piece = file.with_name(f"{file.name}-{number}{UNFINISHED}")
    piece.parent.mkdir(parents=True, exist_ok=True)
    cursor.execute(f"COPY ({query}) TO {quoted(piece)} ({_FORMAT}, COMPRESSION uncompressed)")
    return piece


def about_file(cursor: duckdb.DuckDBPyConnection, file: Path) -> dict[str, Any]:
    """Return what a part says of itself; nothing where it is not one of ours."""
    row = cursor.execute(
        f"SELECT value FROM parquet_kv_metadata({quoted(literal(file))}) WHERE key = ?",  # noqa: S608
        [_ABOUT.encode()],
    ).fetchone()
    found: dict[str, Any] = json.loads(bytes(row[0])) if row else {}
    return found


def checksum(file: Path) -> int:
    """Return the CRC-32 of a file."""
    crc = 0
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc


def whole(file: Path, part: Part) -> bool:
    """Tell whether a part is there as it was written.

    Raises:
        UnreadablePartError: that cannot be found out now: the disk fails, or too many files are open.
    """
    try:
        return file.stat().st_size == part.size and checksum(file) == part.crc
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise UnreadablePartError(part.number, f"{part.name} cannot be read now: {exc.strerror}") from exc


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
