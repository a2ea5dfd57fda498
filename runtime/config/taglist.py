"""Tags as a table: read `tags.csv` with places, write it back, and look tags up."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.config.likeness import closest
from runtime.config.positions import read_text
from runtime.config.valuetext import TIMES, parse_value, value_text, wanted
from runtime.contract import Access, DataType, Role, Tag, Value, glob
from runtime.errors import ConfigError, Finding, Place

COLUMNS = (
    "path", "type", "unit", "unit_text", "low", "high", "description", "description_zh", "access", "source",
    "device", "address", "variable", "deadband", "compression", "retention", "role", "interlock", "initial",
)  # fmt: skip
RETENTION = ("none", "short", "standard", "long")
COMPRESSION = ("deadband", "swinging_door")
_TYPES = {each.iec: each for each in DataType}
_LEVEL = r"(?!\.{1,2}(?:/|$))[^/\s*?,\x00-\x1f]+"  # . and .. lead elsewhere in a URL
_PATH = re.compile(f"{_LEVEL}(/{_LEVEL})*")
_LONGEST_PATH = 250
NO_TAG = "`ironworks tags export` lists the tags there are"


class TagList:
    """The plant's tags with dense ids; paths may be whole or relative to the plant's root.

    While a plant runs an id keeps its meaning: a tag that is removed leaves its place empty (a tag without
    path and source, which no path or glob finds), new tags come behind.

    Attributes:
        ids: ids of the tags that are there.
    """

    def __init__(self, tags: Iterable[Tag], root: str = "") -> None:
        self.root = root
        self._tags = tuple(replace(tag, id=index) for index, tag in enumerate(tags))
        self._by_path = {tag.path: tag for tag in self._tags if tag.path}
        self.ids = np.array([tag.id for tag in self._tags if tag.path], np.int32)
        self._last_close: tuple[str | None, str] = (None, "")

    def succeeded_by(self, following: TagList) -> TagList:
        """Return another list of tags with the ids of this one wherever path and type stay."""
        there = {(tag.path, tag.data_type): tag for tag in following if tag.path}
        keys = [(tag.path, tag.data_type) for tag in self._tags]
        kept = [
            there.pop(key) if key in there else _left(tag) for key, tag in zip(keys, self._tags, strict=True)
        ]
        return TagList([*kept, *there.values()], following.root)

    def __len__(self) -> int:
        return len(self._tags)

    def __iter__(self) -> Iterator[Tag]:
        return iter(self._tags)

    def __getitem__(self, key: int | str) -> Tag:
        if isinstance(key, str):
            tag = self._by_path.get(key) or self._by_path.get(f"{self.root}/{key}")
            if tag is None:
                raise KeyError(key)
            return tag
        return self._tags[key]

    def __contains__(self, path: object) -> bool:
        return path in self._by_path or f"{self.root}/{path}" in self._by_path

    def close_to(self, path: str) -> str:
        """Return a remedy for an unknown path; among thousands of tags that takes a while."""
        if self._last_close[0] != path:  # many rows of a table may name the same
            self._last_close = (path, self._close_to(path))
        return self._last_close[1]

    def _close_to(self, path: str) -> str:
        root = f"{self.root}/"
        known = {each.removeprefix(root): each for each in self._by_path}
        wanted = path.removeprefix(root)
        close = next((each for each in known if wanted in each), None) or closest(wanted, known)
        return f"did you mean {known[close]!r}?" if close else NO_TAG

    def select(self, *patterns: str) -> NDArray[np.int32]:
        """Return the ids of the paths that match any glob (`*` within a level, `**` across levels)."""
        chosen: set[int] = set()
        for pattern in patterns:
            if "*" not in pattern and "?" not in pattern:
                if pattern in self:
                    chosen.add(self[pattern].id)
                continue
            expression = glob(pattern)
            relative = f"{self.root}/"
            for tag in self._by_path.values():
                if expression.fullmatch(tag.path) or expression.fullmatch(tag.path.removeprefix(relative)):
                    chosen.add(tag.id)
        return np.array(sorted(chosen), np.int32)


def _left(tag: Tag) -> Tag:
    """Return what stays in the place of a removed tag: its type, so that what is under way can be read."""
    return Tag("", tag.data_type, source="", retention="none")


def read_tags(file: Path, root: str, present: Iterable[Tag] = ()) -> list[tuple[Tag, Place]]:
    """Read a tag table; paths become whole.

    `present`: tags of which a row tells anew what there is a column for; the rest of them stays.

    Raises:
        ConfigError: with every wrong cell, by line and column.
    """
    rows = csv.reader(io.StringIO(read_text(file), newline=None), strict=True)
    findings: list[Finding] = []
    lines = _lines(rows, file, findings)
    _, first = next(lines, (1, []))
    header = [name.strip().lower() for name in first]
    if len(header) == 1 and (other := next((each for each in ";\t|，；" if each in header[0]), "")):
        remedy = "save it as CSV with commas"
        raise ConfigError([Finding(f"cells are separated by {other!r} here", Place(file, 1, 1), remedy)])
    if any(header) and not any(name in COLUMNS for name in header):
        text = "the first line names no column of a tag table"
        raise ConfigError([Finding(text, Place(file, 1, 1), "begin a CSV with path,type,unit,description")])
    for column, name in enumerate(header, 1):
        if not name:
            text = f"column {column} has no name"
            findings.append(Finding(text, Place(file, 1, column), "name it, or remove it with its cells"))
        elif name in header[: column - 1]:
            text = f"column {name!r} is there twice"
            findings.append(Finding(text, Place(file, 1, column), "keep one of the two"))
        elif name not in COLUMNS:
            close = get_close_matches(name, COLUMNS, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known columns: {', '.join(COLUMNS)}"
            findings.append(Finding(f"unknown column {name!r}", Place(file, 1, column), remedy))
    findings += [
        Finding(f"column {name!r} is missing", Place(file, 1, 1), "add it to the first line")
        for name in ("path", "type")
        if name not in header
    ]
    if findings:
        raise ConfigError(findings)
    tags: list[tuple[Tag, Place]] = []
    known = {tag.path: tag for tag in present}
    seen: dict[str, int] = {}
    for line, cells in lines:
        if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
            continue
        if len(cells) > len(header):
            text = f"{len(cells)} cells, but the header has {len(header)} columns"
            findings.append(Finding(text, Place(file, line), 'put cells that hold a comma into "quotes"'))
            continue
        row = {name: cell.strip() for name, cell in zip_longest(header, cells, fillvalue="")}
        if old := known.get(_whole(row["path"], root)):
            if row.get("unit", old.unit) != old.unit:
                row.setdefault("unit_text", "")  # the old one is of another unit
            row = _cells(old, root) | row
        try:
            tag = _tag(row, root)
        except _CellError as exc:
            column = header.index(exc.column) + 1 if exc.column in header else 1
            findings.append(
                Finding(f"column {exc.column!r}: {exc.text}", Place(file, line, column), exc.remedy)
            )
            continue
        if tag.path in seen:
            text = f"tag {tag.path!r} is already defined in line {seen[tag.path]}"
            findings.append(
                Finding(text, Place(file, line, 1), "give it another path, or remove one of the two")
            )
            continue
        seen[tag.path] = line
        tags.append((tag, Place(file, line, 1)))
    if findings:
        raise ConfigError(findings)
    return tags


def _lines(rows: Any, file: Path, findings: list[Finding]) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line it begins in; stop with a finding where it is not CSV."""
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as exc:
            text = f"not valid CSV: {exc}"
            findings.append(Finding(text, Place(file, line, 1), "check the quotes from this line on"))
            return
        yield line, cells


class _CellError(Exception):
    def __init__(self, column: str, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.column, self.text, self.remedy = column, text, remedy


def _one_of(row: dict[str, str], column: str, known: Sequence[str], default: str) -> str:
    cell = row.get(column) or default
    if cell not in known:
        close = get_close_matches(cell, known, 1)
        remedy = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(known)}"
        raise _CellError(column, f"unknown {column} {cell!r}", remedy)
    return cell


def _number(row: dict[str, str], column: str, data_type: DataType) -> float | None:
    """Return a number on the scale of a tag: ns where it is a time."""
    cell = row.get(column, "")
    if not cell:
        return None
    if data_type in TIMES:
        return float(_value(row, column, DataType.TIME if column == "deadband" else data_type))
    try:
        number = float(cell)
    except ValueError:
        raise _CellError(column, f"{cell!r} is not a number", "use a point as the decimal sign") from None
    if not np.isfinite(number):
        raise _CellError(column, f"{cell!r} is not a finite number", "leave it blank for no limit")
    return number


def _value(row: dict[str, str], column: str, data_type: DataType) -> Value:
    try:
        return parse_value(data_type, row[column])
    except ValueError as exc:
        raise _CellError(column, str(exc), wanted(data_type)) from exc


def _tag(row: dict[str, str], root: str) -> Tag:
    path = row["path"]
    if not _PATH.fullmatch(path):
        raise _CellError("path", f"{path!r} is not a path", "use levels of letters and digits joined by /")
    if not path.isprintable():
        raise _CellError("path", f"{path!r} holds a character that cannot be seen", "type the path anew")
    if path.startswith("sys/"):
        raise _CellError("path", "sys/ is kept for the system's own tags", "use another first level")
    if len(path) > _LONGEST_PATH:
        raise _CellError("path", f"longer than {_LONGEST_PATH} characters", "shorten it")
    if not row["type"]:
        raise _CellError("type", "the tag has no type", f"use one of {', '.join(_TYPES)}")
    data_type = _TYPES[_one_of({"type": row["type"].upper()}, "type", list(_TYPES), "")]
    low, high = (_number(row, column, data_type) for column in ("low", "high"))
    if low is not None and high is not None and low >= high:
        text = f"high ({value_text(data_type, high)}) must be above low ({value_text(data_type, low)})"
        raise _CellError("high", text, "exchange or correct them")
    initial: Value | None = None
    if row.get("initial"):
        initial = _value(row, "initial", data_type)
        if not isinstance(initial, str) and not _within(low, initial, high):
            text = f"{value_text(data_type, initial)} is outside low and high"
            raise _CellError("initial", text, "give a value inside")
    deadband = _number(row, "deadband", data_type) or 0.0
    if deadband < 0:
        raise _CellError("deadband", f"{row['deadband']} is below 0", "write 0 to keep every change")
    compression = _one_of(row, "compression", COMPRESSION, "deadband")
    if compression == "swinging_door":
        if data_type in (DataType.BOOL, DataType.STRING):
            text = f"lines between samples of a {data_type.iec} mean nothing"
            raise _CellError("compression", text, "leave it blank")
        if not deadband:
            remedy = "write how far values may lie off the line into the column deadband"
            raise _CellError("compression", "swinging_door without a deadband", remedy)
    role = _one_of(row, "role", [each.name.lower() for each in Role], "operator")
    return Tag(
        path=_whole(path, root),
        data_type=data_type,
        unit=row.get("unit", ""),
        unit_text=row.get("unit_text", "") or row.get("unit", ""),
        low=low,
        high=high,
        description=row.get("description", ""),
        description_zh=row.get("description_zh", ""),
        access=Access(_one_of(row, "access", ["r", "rw"], "r")),
        source=row.get("source") or "operator",
        device=row.get("device", ""),
        address=row.get("address", ""),
        variable=row.get("variable", ""),
        deadband=deadband,
        compression=compression,
        retention=_one_of(row, "retention", RETENTION, "standard"),
        role=Role[role.upper()],
        interlock=row.get("interlock") or None,
        initial=initial,
    )


def _whole(path: str, root: str) -> str:
    return path if path.startswith(f"{root}/") else f"{root}/{path}"


def _within(low: float | None, value: float, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def write_tags(tags: Iterable[Tag], root: str) -> str:
    """Write a tag table as CSV, the inverse of `read_tags`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for tag in tags:
        cells = _cells(tag, root)
        writer.writerow([cells[name] for name in COLUMNS])
    return out.getvalue()


def _cells(tag: Tag, root: str) -> dict[str, str]:
    cells = {name: getattr(tag, name) or "" for name in COLUMNS if name != "type"}
    cells |= {"type": tag.data_type.iec, "access": tag.access.value, "role": tag.role.name.lower()}
    relative = tag.path.removeprefix(f"{root}/")
    cells["path"] = tag.path if relative.startswith((f"{root}/", "#")) else relative  # rows in # are comments
    scale = tag.data_type
    cells |= {name: _cell(scale, getattr(tag, name)) for name in ("low", "high", "initial")}
    cells["deadband"] = _cell(DataType.TIME if scale in TIMES else scale, tag.deadband)
    return cells


def _cell(data_type: DataType, value: Value | None) -> str:
    return "" if value is None else value_text(data_type, value)
