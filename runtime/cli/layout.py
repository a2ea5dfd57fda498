"""Lays out new plant folders from templates, and writes the schemas that editors use."""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
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
_PORT = re.compile(r"(?<=\bport: )\d+")
_NAMING = ("plant.yaml", "rack.yaml")
_MORE_PORTS = 100  # that are looked at for one that is free
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".ironworks*", "__init__.py")


def lay_out(folder: Path, template: str) -> list[Path]:
    """Copy a template into a new folder; returns the files.

    A port that something listens on, or that a plant beside it names, becomes the next one that is free.

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
        ports = _Ports(folder)
        for file in folder.rglob("*"):
            if file.is_file():
                text = file.read_text(encoding="utf-8")
                made = text.replace(_PLACEHOLDER, name)
                if file.name in _NAMING:
                    made = _PORT.sub(ports.free, made)
                if made != text:
                    file.write_text(made, encoding="utf-8")
        make_folder(folder / ".ironworks")
        write_schemas(folder / ".ironworks" / "schema")
    return sorted(file for file in folder.rglob("*") if file.is_file() and ".ironworks" not in file.parts)


class _Ports:
    """Finds ports for a new plant, the same one each time that its files name the same."""

    def __init__(self, folder: Path) -> None:
        beside = folder.resolve().parent
        named = {
            path for name in _NAMING for path in beside.glob(f"*/{name}") if path.parent != folder.resolve()
        }
        self._taken: set[int] = set()
        for file in named:
            with suppress(OSError):  # a neighbour that cannot be read cannot be run from here either
                self._taken |= {int(port) for port in _PORT.findall(file.read_text("utf-8", "replace"))}
        self._found: dict[int, int] = {}

    def free(self, match: re.Match[str]) -> str:
        wanted = int(match[0])
        if wanted not in self._found:
            candidates = range(wanted, wanted + _MORE_PORTS)
            free = (port for port in candidates if port not in self._taken and not _listens(port))
            self._found[wanted] = next(free, wanted)
            self._taken.add(self._found[wanted])
        return str(self._found[wanted])


def _listens(port: int) -> bool:
    """Tell whether some program has a port of this machine."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as exc:
            return exc.errno == errno.EADDRINUSE
    return False


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
