"""Lays out new plant folders from templates, and writes the schemas that editors use."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runtime import registry
from runtime.alarms.configuration import AlarmFile
from runtime.config import make_folder
from runtime.config.models import PlantFile
from runtime.errors import PlantError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PLACEHOLDER = "{{name}}"
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".ironworks*", "__init__.py")


def lay_out(folder: Path, template: str) -> list[Path]:
    """Copy a template into a new folder; returns the files.

    Raises:
        PlantError: the template is unknown, the name is not usable, the folder is not empty or cannot be
            written.
    """
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise PlantError(
            f"{name!r} cannot be a plant's name", "use letters, digits, - and _, beginning with a letter"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PlantError(f"{folder} is there already and not empty", "name another folder")
    source: Path = registry.load("templates", template)
    with _all_or_nothing(folder):
        shutil.copytree(source, folder, ignore=IGNORED, dirs_exist_ok=True)
        for file in folder.rglob("*"):
            if file.is_file():
                text = file.read_text(encoding="utf-8")
                if _PLACEHOLDER in text:
                    file.write_text(text.replace(_PLACEHOLDER, name), encoding="utf-8")
        make_folder(folder / ".ironworks")
        write_schemas(folder / ".ironworks" / "schema")
    return sorted(file for file in folder.rglob("*") if file.is_file() and ".ironworks" not in file.parts)


def copy_plant(source: Path, folder: Path) -> None:
    """Copy a plant folder that a package ships, without caches and state.

    Raises:
        PlantError: the folder cannot be written.
    """
    with _all_or_nothing(folder):
        shutil.copytree(source, folder, ignore=IGNORED, dirs_exist_ok=True)


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    """Take back what was written when it does not succeed, unless something was there before."""
    there = folder.is_dir()
    mine = not there or not any(folder.iterdir())
    try:
        yield
    except OSError as exc:
        if mine:
            with suppress(OSError):  # the first reason is the one to tell
                for each in folder.iterdir():
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
                if not there:
                    folder.rmdir()
        reason = exc.args[0][0][2] if isinstance(exc, shutil.Error) else exc.strerror or exc
        raise PlantError(
            f"{folder} cannot be written: {reason}", "choose a folder with room and rights"
        ) from exc


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of every file of a plant folder, by file name."""
    plant = PlantFile.model_json_schema()
    definitions = plant.setdefault("$defs", {})
    plant["additionalProperties"] = False
    for key in registry.names("sections"):
        section = registry.load("sections", key).Config.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(section.pop("$defs", {}))
        plant["properties"][key] = section
    kinds = []
    for kind in registry.names("drivers"):
        driver = registry.load("drivers", kind).Config.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(driver.pop("$defs", {}))
        driver["properties"]["kind"] = {"const": kind}
        kinds.append(driver)
    plant["properties"]["drivers"] = {"type": "array", "items": {"oneOf": kinds}}
    result = {"plant": plant, "alarms": AlarmFile.model_json_schema()}
    for key in registry.names("sections"):
        extra = getattr(registry.load("sections", key), "schemas", None)
        if extra:
            result |= extra()
    return result


def write_schemas(folder: Path) -> list[Path]:
    """Write each schema to a file of its own; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, schema in schemas().items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        files.append(file)
    return files
