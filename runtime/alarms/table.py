"""Alarms as a table (CSV): read with the place of every cell, and written so that it reads back the same."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any

from runtime.config import AlarmConfig, Document, read_text
from runtime.errors import ConfigError, Finding, Place

TEXTS = ("text", "cause", "consequence", "action")
_DURATIONS = ("over", "on_delay", "off_delay", "re_alarm")
_ZH = "_zh"
COLUMNS = tuple(
    column
    for name, field in AlarmConfig.model_fields.items()
    for column in ((name, name + _ZH) if name in TEXTS else (field.alias or name,))
)
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Row:
    """Some lines of the file: a comment, an empty line, or an alarm.

    Attributes:
        text: the lines as they stand.
        line: the first of them.
        cells: column to cell; None where it is no alarm.
    """

    text: str
    line: int
    cells: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file of alarms: header, and rows in order."""

    file: Path
    columns: tuple[str, ...]
    head: str
    rows: tuple[Row, ...]

    def document(self) -> Document:
        """Return the alarms as a YAML file of the same content would give them."""
        alarms: list[dict[str, Any]] = []
        marks: dict[tuple[str | int, ...], tuple[int, int]] = {("alarms",): (1, 1)}
        places = {column: number for number, column in enumerate(self.columns, 1)}
        for row in self.rows:
            if row.cells is None:
                continue
            here = ("alarms", len(alarms))
            marks[here] = (row.line, 1)
            for column, number in places.items():
                name, zh = column.removesuffix(_ZH), column.endswith(_ZH)
                marks[(*here, name, "zh") if zh else (*here, name)] = (row.line, number)
            alarms.append(mapping(row.cells))
        return Document(self.file, {"alarms": alarms}, marks)


def mapping(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys and values that the cells of a row stand for; empty cells stand for the default."""
    found: dict[str, Any] = {}
    for column, cell in cells.items():
        if not cell:
            continue
        if column.removesuffix(_ZH) in TEXTS:
            language = "zh" if column.endswith(_ZH) else "en"
            found.setdefault(column.removesuffix(_ZH), {})[language] = cell
        else:
            none = cell == "0" and column in _DURATIONS
            found[column] = _state(cell) if column == "state" else 0 if none else cell
    return found


def _state(cell: str) -> object:
    """Read a value as JSON writes it; other text is text.

    Text that is a number, empty, or has blanks at its ends stands in quotes.
    """
    if cell.lower() in _WORDS:
        return _WORDS[cell.lower()]
    try:
        value = json.loads(cell)
    except ValueError:
        return cell
    return value if isinstance(value, bool | int | float | str) else cell


def cells_of(alarm: Mapping[str, Any]) -> dict[str, str]:
    """Return the cells of an alarm given by keys and values; the inverse of `mapping`."""
    cells: dict[str, str] = {}
    for key, value in alarm.items():
        if key in TEXTS:
            words = {"en": value} if isinstance(value, str) else value
            cells |= {key + (_ZH if language == "zh" else ""): text for language, text in words.items()}
        elif key == "state" and isinstance(value, str):
            plain = value and value == value.strip() and _state(value) == value
            cells[key] = value if plain else json.dumps(value, ensure_ascii=False)
        elif isinstance(value, bool):
            cells[key] = str(value).lower()
        elif isinstance(value, float):
            cells[key] = repr(value).removesuffix(".0")
        else:
            cells[key] = str(value)
    return cells


def keys_of(config: AlarmConfig) -> dict[str, Any]:
    """Return an alarm as the keys and values that a file needs for it."""
    keys = config.model_dump(by_alias=True, exclude_defaults=True)
    for name in ("limit", "deadband"):
        if isinstance(keys.get(name), float) and keys[name].is_integer():
            keys[name] = int(keys[name])
    for name in TEXTS:
        if name in keys and set(keys[name]) == {"en"}:
            keys[name] = keys[name]["en"]
    return keys


def read_table(file: Path) -> Table:
    """Read a CSV file of alarms.

    Raises:
        ConfigError: with every wrong line and column.
    """
    text = read_text(file)
    parsed = list(_parsed(text, file))
    header = next((index for index, (_, _, cells) in enumerate(parsed) if _is_row(cells)), None)
    if header is None:
        text = "there is no header"
        raise ConfigError([Finding(text, Place(file, 1, 1), f"begin with {','.join(COLUMNS[:4])},text")])
    line, _, names = parsed[header]
    columns = tuple(name.strip().lower() for name in names)
    findings = list(_check_header(columns, Place(file, line)))
    rows: list[Row] = []
    for line, lines, cells in parsed[header + 1 :]:
        if not _is_row(cells):
            rows.append(Row(lines, line))
        elif len(cells) > len(columns):
            said = f"{len(cells)} cells, but the header has {len(columns)} columns"
            place = Place(file, line, len(columns) + 1)
            findings.append(Finding(said, place, 'put cells that hold a comma into "quotes"'))
        else:
            named = zip_longest(columns, (cell.strip() for cell in cells), fillvalue="")
            rows.append(Row(lines, line, dict(named)))
    if findings:
        raise ConfigError(findings)
    head = "".join(lines for _, lines, _ in parsed[:header])
    return Table(file, columns, head, tuple(rows))


def rows_as_comments(table: Table) -> Iterator[Finding]:
    """Yield the lines that are comments because their first cell, which is no name, begins with #."""
    if table.columns[0] == "name":
        return
    for row in table.rows:
        cells = next(csv.reader(io.StringIO(row.text, newline="")), [])
        named = dict(zip(table.columns, cells, strict=False)).get("name", "").strip()
        if row.cells is None and named and len(cells) == len(table.columns):
            said = f"alarm {named!r} is in a line that begins with #, which is a comment"
            yield Finding(said, Place(table.file, row.line, 1), "let the column name come first")


def _is_row(cells: Sequence[str]) -> bool:
    return any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith("#")


def _parsed(text: str, file: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each row with its line, its text and its cells; comments are not read as CSV."""
    lines = io.StringIO(text, newline="").readlines()
    rest = iter(lines)
    reader = csv.reader(rest, strict=True)
    done = 0
    while done < len(lines):
        if lines[done].lstrip().startswith("#"):
            yield done + 1, lines[done], [next(rest)]
            done += 1
            continue
        before = reader.line_num
        try:
            cells = next(reader)
        except csv.Error as exc:
            said = Finding(f"not valid CSV: {exc}", Place(file, done + 1, 1), "check the quotes from here on")
            raise ConfigError([said]) from exc
        taken = reader.line_num - before
        yield done + 1, "".join(lines[done : done + taken]), cells
        done += taken


def _check_header(columns: Sequence[str], place: Place) -> Iterator[Finding]:
    if len(columns) == 1 and (other := next((each for each in ";\t|，；" if each in columns[0]), "")):
        yield Finding(f"cells are separated by {other!r} here", place, "save it as CSV with commas")
        return
    for number, name in enumerate(columns, 1):
        here = Place(place.file, place.line, number)
        if not name:
            yield Finding(f"column {number} has no name", here, "name it, or remove it with its cells")
        elif name in columns[: number - 1]:
            yield Finding(f"column {name!r} is there twice", here, "keep one of the two")
        elif name not in COLUMNS:
            close = get_close_matches(name, COLUMNS, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known columns: {', '.join(COLUMNS)}"
            yield Finding(f"unknown column {name!r}", here, remedy)
    if "name" not in columns:
        yield Finding("column 'name' is missing", place, "add it to the first line")


def line_of(columns: Iterable[str], cells: Mapping[str, str], end: str = "\n") -> str:
    """Write one row."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow([cells.get(column, "") for column in columns])
    return out.getvalue().removesuffix("\r\n") + end  # so that cells with either are in quotes


def columns_of(rows: Iterable[Mapping[str, str]], first: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the given columns, and after them those that the rows need besides."""
    needed = {"name"}.union(*rows)
    return (*first, *(column for column in COLUMNS if column in needed and column not in first))
