"""YAML with places: load a file and know the line and column of each value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node
from ruamel.yaml.reader import ReaderError

from runtime.errors import ConfigError, Finding, Place

Key = tuple[str | int, ...]
_MOST_VALUES = 500_000  # in one file, aliases counted as often as they are used
_LONGEST_YAML = 8 << 20  # read in about a minute
_LONGEST_SHOWN = 80
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how a ZIP and an OLE file begin: what spreadsheets save
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Document:
    """A YAML file: plain data and the place of every key and item."""

    file: Path
    data: Any
    marks: Mapping[Key, tuple[int, int]] = field(default_factory=dict)

    def place(self, *key: str | int) -> Place:
        """Return the place of a key; of its nearest parent where the key is not there."""
        for end in range(len(key), -1, -1):
            mark = self.marks.get(key[:end])
            if mark:
                return Place(self.file, *mark)
        return Place(self.file, 1, 1)


def read_text(file: Path) -> str:
    """Read a UTF-8 file of the plant folder.

    Raises:
        ConfigError: it is missing, unreadable, not UTF-8, or no text.
    """
    try:
        if file.is_fifo() or file.is_char_device() or file.is_block_device() or file.is_socket():
            finding = Finding("this is a pipe or a device, not a file", Place(file), "correct the path")
            raise ConfigError([finding])
        data = file.read_bytes()
    except FileNotFoundError as exc:
        raise ConfigError([Finding("file not found", Place(file), "create it, or correct the path")]) from exc
    except IsADirectoryError as exc:
        raise ConfigError([Finding("this is a folder, not a file", Place(file), "correct the path")]) from exc
    except (OSError, ValueError) as exc:  # ValueError: a name that no file can have
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        remedy = "check the path, the owner of the file and its rights"
        raise ConfigError([Finding(f"cannot be read: {why}", Place(file), remedy)]) from exc
    if data.startswith(_WORKBOOKS):
        raise ConfigError([Finding("this is a workbook, not text", Place(file), "save it as CSV UTF-8")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        place = _place_at(file, data[: exc.start].decode("utf-8-sig"))
        remedy = f"save it as UTF-8 {_guess_encoding(data)}"
        raise ConfigError([Finding("this is not UTF-8", place, remedy.rstrip())]) from exc
    if "\0" in text:
        place = _place_at(file, text.partition("\0")[0])
        remedy = "remove it; is this a text file?"
        raise ConfigError([Finding("character 0x0000 is not allowed", place, remedy)])
    return text


def shortened(value: object) -> str:
    """Return how a value is written, cut where it is too long for a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _guess_encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "(it is UTF-16 now)"
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return "(it seems to be GBK now; Excel: save as CSV UTF-8)"


def _place_at(file: Path, before: str) -> Place:
    """Return the place that follows a part of the text."""
    lines = _LINE_BREAK.split(before)
    return Place(file, len(lines), len(lines[-1]) + 1)


_KEPT = 16
_loaded: dict[Path, tuple[str, Document]] = {}


def load_yaml(file: Path) -> Document:
    """Load a YAML file; once as long as it stays the same, for several sections ask for the same file.

    Raises:
        ConfigError: the file is missing or is not YAML, or holds more than plain values.
    """
    text = read_text(file)
    if len(text) > _LONGEST_YAML:
        told = f"longer than {_LONGEST_YAML >> 20} million characters"
        remedy = "shorten it; a long list of alarms can be a CSV file"
        raise ConfigError([Finding(told, Place(file), remedy)])
    known = _loaded.get(file)
    if known is None or known[0] != text:
        while len(_loaded) >= _KEPT:
            _loaded.pop(next(iter(_loaded)))
        known = _loaded[file] = (text, _parse(file, text))
    return known[1]


def _parse(file: Path, text: str) -> Document:
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor = _Constructor
    marks: dict[Key, tuple[int, int]] = {}
    try:
        return Document(file, _plain(yaml.load(text), (), marks), marks)
    except MarkedYAMLError as exc:
        raise ConfigError([_not_yaml(file, exc)]) from exc
    except ReaderError as exc:
        finding = Finding(
            f"not valid YAML: character {exc.character:#06x} is not allowed",
            _place_at(file, text[: exc.position]),
            "remove it; is this a text file?",
        )
        raise ConfigError([finding]) from exc
    except YAMLError as exc:
        raise ConfigError([Finding(f"not valid YAML: {exc}", Place(file), "see the YAML syntax")]) from exc
    except RecursionError as exc:
        remedy = "write it flat: no plant needs more than a few levels"
        raise ConfigError([Finding("nested too deeply", Place(file), remedy)]) from exc
    except _UnusableError as exc:
        place = Place(
            file,
            *next(
                (marks[exc.key[:end]] for end in range(len(exc.key), 0, -1) if exc.key[:end] in marks), (1, 1)
            ),
        )
        raise ConfigError([Finding(exc.text, place, exc.remedy)]) from exc


def _not_yaml(file: Path, error: MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    problem = str(error.problem)
    if isinstance(error, DuplicateKeyError):
        name = problem.partition('"')[2].partition('"')[0]
        return Finding(f"the key {name!r} is there twice", place, "keep one of the two")
    if "\\t" in problem:
        return Finding("a tab cannot indent YAML", place, "indent with spaces")
    if "another document" in problem:
        return Finding("a second document begins here", place, "remove the line ---")
    remedy = "check the indentation and the quotes around this line"
    return Finding(f"not valid YAML: {problem}", place, remedy)


class _Constructor(RoundTripConstructor):
    """Knows the place of values that look like a date or a number but are none."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as exc:
            long = len(node.value) > _LONGEST_SHOWN
            told = f"{shortened(node.value)} is too long a number" if long else str(exc)
            raise ConstructorError(None, None, told, node.start_mark) from exc


class _UnusableError(Exception):
    def __init__(self, key: Key, text: str, remedy: str) -> None:
        super().__init__(text)
        self.key, self.text, self.remedy = key, text, remedy


def _plain(node: Any, key: Key, marks: dict[Key, tuple[int, int]]) -> Any:
    if len(marks) > _MOST_VALUES:
        raise _UnusableError(key, f"more than {_MOST_VALUES} values", "do without nested aliases (*name)")
    if isinstance(node, CommentedMap):
        out = {}
        for name, value in node.items():
            line, column = (node.lc.data or {}).get(name, (None, None))[:2]
            if line is not None:  # what << merged in stands elsewhere
                marks[(*key, name)] = (line + 1, column + 1)
            out[name] = _plain(value, (*key, name), marks)
        return out
    if isinstance(node, CommentedSeq):
        items = []
        for index, value in enumerate(node):
            line, column = (node.lc.data or {}).get(index, (None, None))[:2]
            if line is not None:
                marks[(*key, index)] = (line + 1, column + 1)
            items.append(_plain(value, (*key, index), marks))
        return items
    if isinstance(node, str):
        return str(node)
    if isinstance(node, bool | date) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    tag = getattr(node, "tag", None)
    told = getattr(tag, "value", None) or type(node).__name__
    raise _UnusableError(key, f"the YAML tag {told} means nothing here", "write a plain value")


def locate(error_location: Sequence[str | int], data: Any) -> Key:
    """Return the part of a pydantic error location that names keys of the data."""
    key: list[str | int] = []
    for step in error_location:
        is_key = isinstance(data, dict) and step in data
        is_item = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if is_key or is_item:
            data = data[step]
            key.append(step)
    return tuple(key)
