"""YAML with places: load a file and know the line and column of each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from runtime.errors import ConfigError, Finding, Place

Key = tuple[str | int, ...]


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
        ConfigError: it is missing, unreadable or not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise ConfigError([Finding("file not found", Place(file), "create it, or correct the path")]) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(
            [Finding(f"not UTF-8 at byte {exc.start}", Place(file), "save it as UTF-8")]
        ) from exc
    except OSError as exc:
        raise ConfigError([Finding(f"cannot be read: {exc.strerror}", Place(file))]) from exc


def load_yaml(file: Path) -> Document:
    """Load a YAML file.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    text = read_text(file)
    yaml = YAML(typ="rt", pure=True)
    try:
        tree = yaml.load(text)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        remedy = "check the indentation and the quotes around this line"
        raise ConfigError([Finding(f"not valid YAML: {exc.problem}", place, remedy)]) from exc
    except YAMLError as exc:
        raise ConfigError([Finding(f"not valid YAML: {exc}", Place(file))]) from exc
    marks: dict[Key, tuple[int, int]] = {}
    return Document(file, _plain(tree, (), marks), marks)


def _plain(node: Any, key: Key, marks: dict[Key, tuple[int, int]]) -> Any:
    if isinstance(node, CommentedMap):
        out = {}
        for name, value in node.items():
            line, column = node.lc.key(name)
            marks[(*key, name)] = (line + 1, column + 1)
            out[name] = _plain(value, (*key, name), marks)
        return out
    if isinstance(node, CommentedSeq):
        items = []
        for index, value in enumerate(node):
            line, column = node.lc.item(index)
            marks[(*key, index)] = (line + 1, column + 1)
            items.append(_plain(value, (*key, index), marks))
        return items
    if isinstance(node, str):
        return str(node)
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    return node


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
