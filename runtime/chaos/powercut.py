"""What a disk holds after a loss of power: what was synced, and of the rest what chance left.

Written data count once the file is synced; until then each piece of 4 KiB may be there or not, so that pages
are torn. A new name counts once its file or its folder is synced, a rename or removal once the folder is;
of the others some first ones count, as a file system's own journal keeps their order.
"""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<IIIIQ")
_PIECE = 4096
WRITE, TRUNCATE, SYNC, CREATE, RENAME, UNLINK, MKDIR, RMDIR = range(1, 9)


@dataclass
class _File:
    """A file: what is surely on disk, and what was done to it since."""

    content: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, int, bytes]] = field(default_factory=list)

    def sync(self) -> None:
        for kind, at, data in self.waiting:
            self._do(kind, at, data)
        self.waiting.clear()

    def lose_power(self, rng: random.Random) -> None:
        kept = rng.choice((0.0, 0.5, 0.9, 1.0))
        for kind, at, data in self.waiting:
            if kind == TRUNCATE:
                if rng.random() < kept:
                    self._do(kind, at, data)
                continue
            for first in range(0, len(data), _PIECE):
                if rng.random() < kept:
                    self._do(kind, at + first, data[first : first + _PIECE])
        self.waiting.clear()

    def _do(self, kind: int, at: int, data: bytes) -> None:
        if kind == TRUNCATE:
            del self.content[at:]
        end = at + len(data)
        if len(self.content) < end:
            self.content.extend(bytes(end - len(self.content)))
        self.content[at:end] = data


@dataclass
class _Name:
    """One thing that was done to names and may not be on disk yet."""

    kind: int
    path: str
    other: str
    file: _File | None


def cut(before: Path, state: Path, trace: Path, rng: random.Random) -> None:
    """Make the folder `state` as a loss of power at the end of a trace leaves it; it began as `before`."""
    now: dict[str, _File] = {}
    for file in before.rglob("*"):
        if file.is_file():
            now[str(state / file.relative_to(before))] = _File(bytearray(file.read_bytes()))
    disk = dict(now)
    folders = {str(state / each.relative_to(before)) for each in before.rglob("*") if each.is_dir()}
    names: list[_Name] = []
    for kind, path, other, data, at in _records(trace):
        if kind in {WRITE, TRUNCATE}:
            now.setdefault(path, _File()).waiting.append((kind, at, data))
        elif kind == SYNC and path in now:
            now[path].sync()
            names = _settle(disk, folders, names, lambda each, path=path: now.get(path) is each.file)  # type: ignore[misc]
        elif kind == SYNC:
            names = _settle(
                disk, folders, names,
                lambda each, path=path: path in (_folder(each.path), _folder(each.other)),  # type: ignore[misc]
            )  # fmt: skip
        elif kind == CREATE:
            now[path] = _File()
            names.append(_Name(kind, path, "", now[path]))
        elif kind == RENAME:
            now[other] = now.pop(path, _File())
            names.append(_Name(kind, path, other, now[other]))
        else:
            now.pop(path, None)
            names.append(_Name(kind, path, "", None))
    for each in names[: rng.randint(0, len(names))]:
        _do(disk, folders, each)
    shutil.rmtree(state)
    state.mkdir(parents=True)
    for folder in sorted(folders):
        Path(folder).mkdir(parents=True, exist_ok=True)
    for path, kept in disk.items():
        kept.lose_power(rng)
        if path.endswith("-shm"):
            continue  # shared memory of processes, which end with the power
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(kept.content)


def _settle(
    disk: dict[str, _File], folders: set[str], names: list[_Name], settled: Callable[[_Name], bool]
) -> list[_Name]:
    for each in names:
        if settled(each):
            _do(disk, folders, each)
    return [each for each in names if not settled(each)]


def _do(disk: dict[str, _File], folders: set[str], each: _Name) -> None:
    if each.kind == CREATE and each.file is not None:
        disk[each.path] = each.file
    elif each.kind == RENAME and each.file is not None:
        disk.pop(each.path, None)
        disk[each.other] = each.file
    elif each.kind == MKDIR:
        folders.add(each.path)
    elif each.kind == RMDIR:
        folders.discard(each.path)
    else:
        disk.pop(each.path, None)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _records(trace: Path) -> Iterator[tuple[int, str, str, bytes, int]]:
    with trace.open("rb") as source:
        while len(head := source.read(_HEAD.size)) == _HEAD.size:
            kind, path, other, data, at = _HEAD.unpack(head)
            body = source.read(path + other + data)
            if len(body) < path + other + data:
                return  # killed in the midst of it: it did not happen
            yield kind, body[:path].decode(), body[path : path + other].decode(), body[path + other :], at
