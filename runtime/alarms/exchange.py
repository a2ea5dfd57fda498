"""Bulk export and import of a plant folder's alarms: as CSV, merged by name into the plant's own file."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.alarms.configuration import check_alarms, document_of, read_alarms
from runtime.alarms.table import TEXTS, cells_of, columns_of, keys_of, line_of, read_table, rows_as_comments
from runtime.config import AlarmConfig, Plant, read_text
from runtime.errors import ConfigError, Place, PlantError

_ANCHOR = re.compile(r"\s&\w")  # others may refer to what stands there


@dataclass(frozen=True, slots=True)
class Import:
    """What an import does: alarms by what happens to them, and the text of the file afterwards."""

    file: Path
    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    text: str


def alarm_file(plant: Plant) -> Path:
    """Return the plant's own file of alarms.

    Raises:
        PlantError: it has none.
    """
    if not plant.head.alarms:
        raise PlantError(
            f"{plant.file} names no file of alarms", "add `alarms: alarms.csv` to it, and the file"
        )
    return plant.path(plant.head.alarms)


def export_table(plant: Plant) -> str:
    """Return the plant's own alarms as CSV; comments of a CSV file come along."""
    file = alarm_file(plant)
    if file.suffix == ".csv":
        return file.read_text(encoding="utf-8-sig")
    rows = [cells_of(keys_of(config)) for config, _ in read_alarms(document_of(file))]
    columns = columns_of(rows)
    return "".join(line_of(columns, cells) for cells in [dict(zip(columns, columns, strict=True)), *rows])


def plan_import(plant: Plant, source: Path, replace: bool = False) -> Import:
    """Merge a CSV file into the plant's own alarms, by name; nothing is written.

    A column that the file lacks stays as it is; `replace` removes the alarms that the file lacks.

    Raises:
        ConfigError: with everything that would be wrong, by line and column of the CSV file.
    """
    file = alarm_file(plant)
    there = {config.name: (config, place) for config, place in read_alarms(document_of(file))}
    table = read_table(source)
    if lost := list(rows_as_comments(table)):
        raise ConfigError(lost)
    brought = table.document()
    columns = {column.removesuffix("_zh") for column in table.columns}
    for alarm in brought.data["alarms"]:
        old = there.get(alarm.get("name", ""))
        kept = keys_of(old[0]) if old else {}
        for key, value in kept.items():
            if key not in columns:
                alarm[key] = value
            elif key in TEXTS:  # the file may have one language of it only
                words = _languages(value, key, table.columns) | alarm.get(key, {})
                if key in alarm or "en" in words:
                    alarm[key] = words
    merged = read_alarms(brought)
    names = {config.name for config, _ in merged}
    removed = tuple(name for name in there if name not in names) if replace else ()
    replaced = names.union(removed)
    others = [each for each in there.values() if each[0].name not in replaced]
    declared = [(config, Place(plant.file)) for config in plant.alarms if config.name not in there]
    findings = list(check_alarms([*others, *declared, *merged], plant.tags))
    if findings:
        raise ConfigError(findings)
    new = {config.name: config for config, _ in merged if config.name not in there}
    changed = {
        config.name: config
        for config, _ in merged
        if config.name in there and there[config.name][0] != config
    }
    write = _csv_text if file.suffix == ".csv" else _yaml_text
    text = write(file, new, changed, frozenset(removed))
    return Import(file, tuple(new), tuple(changed), removed, text)


def _languages(value: str | Mapping[str, str], key: str, columns: Sequence[str]) -> dict[str, str]:
    words = {"en": value} if isinstance(value, str) else dict(value)
    here = {"en": key in columns, "zh": f"{key}_zh" in columns}
    return {language: text for language, text in words.items() if not here[language]}


def _csv_text(
    file: Path,
    new: Mapping[str, AlarmConfig],
    changed: Mapping[str, AlarmConfig],
    removed: Set[str],
) -> str:
    table = read_table(file)
    fresh = {name: cells_of(keys_of(config)) for name, config in {**changed, **new}.items()}
    columns = columns_of(fresh.values(), table.columns)
    end = "\r\n" if any(row.text.endswith("\r\n") for row in table.rows) else "\n"
    parts = [table.head, line_of(columns, dict(zip(columns, columns, strict=True)), end)]
    for row in table.rows:
        name = row.cells["name"] if row.cells else ""
        if name in changed:
            parts.append(line_of(columns, fresh[name], end))
        elif name not in removed:
            parts.append(row.text if row.text.endswith("\n") else row.text + end)
    return "".join([*parts, *(line_of(columns, fresh[name], end) for name in new)])


def _yaml_text(
    file: Path,
    new: Mapping[str, AlarmConfig],
    changed: Mapping[str, AlarmConfig],
    removed: Set[str],
) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    written = read_text(file)
    text = written.replace("\r\n", "\n")
    data = yaml.load(text)
    if removed:
        data = yaml.load(_without(text, data["alarms"], removed))
    alarms = data["alarms"]
    for index in reversed(range(len(alarms))):
        item, name = alarms[index], alarms[index]["name"]
        if name in removed:
            del alarms[index]
        elif name in changed:
            _update(item, keys_of(changed[name]))
    for config in new.values():
        alarms.append(keys_of(config))
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue() if text == written else out.getvalue().replace("\n", "\r\n")


def _without(text: str, alarms: Sequence[Any], removed: Set[str]) -> str:
    """Cut the lines of these alarms out of a YAML file, but no comments: they may be about others."""
    lines = io.StringIO(text).readlines()
    first = [alarm.lc.line for alarm in alarms]
    plain = all(lines[line].lstrip().startswith("- ") for line in first) and not _ANCHOR.search(text)
    if not plain or len(removed) == len(alarms):
        return text
    for alarm, begin, end in reversed(list(zip(alarms, first, [*first[1:], len(lines)], strict=True))):
        while lines[end - 1].strip()[:1] in ("", "#"):
            end -= 1
        if alarm["name"] in removed:
            del lines[begin:end]
    return "".join(lines)


def _update(item: Any, keys: Mapping[str, Any]) -> None:
    """Change the keys that differ, so that comments beside the others stay."""
    old = keys_of(AlarmConfig.model_validate(item))
    for key in [key for key in item if key not in keys]:
        del item[key]
    for key, value in keys.items():
        if key not in item:
            item.insert(len(item) - 1, key, value)  # below the last one stands what is about the next alarm
        elif old.get(key) != value:
            item[key] = value
