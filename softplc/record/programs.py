"""The programs of a record: kept beside it, so that a replay has the very code that ran."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.contract import Tag
from runtime.errors import PlantError
from softplc.application import UnknownPathError
from softplc.build import Build
from softplc.core import layout
from softplc.core.kinds import Text, Variable
from softplc.core.layout import ImageHead
from softplc.core.scancore import Bound, ScanCore
from softplc.lookup import Lookup
from softplc.record import words
from softplc.wiring import FaultPolicy, Wiring, make_core

_WATCHDOG_NS = 60_000_000_000
_LENGTH = 16


class Tags(Protocol):
    """Tags by id."""

    def __getitem__(self, key: int, /) -> Tag: ...


class Binding(msgspec.Struct, frozen=True, array_like=True):
    """A tag bound to a variable; `place` is offset, kind and bit, or offset, capacity and width of a text."""

    tag: str
    source: str
    variable: str
    text: bool
    place: tuple[int, int, int]

    @classmethod
    def of(cls, tag: Tag, variable: Variable | Text) -> Binding:
        if isinstance(variable, Text):
            place = variable.offset, variable.capacity, int(variable.wide)
        else:
            place = variable.offset, variable.kind, variable.bit
        return cls(tag.path, tag.source, tag.variable or "", isinstance(variable, Text), place)

    @property
    def at(self) -> Variable | Text:
        first, second, third = self.place
        return Text(first, second, bool(third)) if self.text else Variable(first, second, third)


class About(msgspec.Struct, frozen=True):
    """What is kept of a program beside its build.

    Attributes:
        core: names the memory that the scan core shares with Python.
    """

    core: str
    machine: str
    profile: str
    sources: dict[str, str]
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]


def core_layout() -> str:
    """Name the layout of the memory that native code and Python share."""
    kinds = (
        layout.Control, layout.Task, layout.Slot, layout.Write, layout.ForceTable, layout.Force, layout.Range,
        layout.Snapshot, layout.ImageHead, words.RecordHead, words.KeyHead,
    )  # fmt: skip
    text = repr([(kind.__name__, [(each[0], each[1].__name__) for each in kind._fields_]) for kind in kinds])
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


@dataclass(frozen=True, slots=True)
class Kept:
    """A program as it is kept.

    Attributes:
        name: digest of all of it.
    """

    name: bytes
    build: bytes
    about: bytes

    @classmethod
    def of(cls, build: Build, wiring: Wiring, tags: Tags) -> Kept:
        """Describe what runs."""
        bound = [
            tuple(Binding.of(tags[each.key], each.variable) for each in rows)
            for rows in (wiring.inputs, wiring.outputs)
        ]
        about = About(core_layout(), platform.machine(), build.profile, dict(build.sources), *bound)
        data, text = build.to_bytes(), msgspec.json.encode(about)
        return cls(hashlib.sha256(data + text).digest()[:_LENGTH], data, text)

    def save(self, folder: Path) -> None:
        """Write it, unless it is there.

        Raises:
            OSError: the disk refuses.
        """
        folder.mkdir(exist_ok=True, mode=0o700)
        for suffix, data in ((".json", self.about), (".plc", self.build)):
            file = folder / (self.name.hex() + suffix)
            if not file.exists():
                part = file.with_suffix(f"{suffix}.tmp")
                part.unlink(missing_ok=True)
                part.touch(0o600)
                part.write_bytes(data)
                part.replace(file)


def prune(folder: Path, used: Iterable[bytes]) -> None:
    """Forget the programs of scans that are not there any more."""
    names = {each.hex() for each in used}
    for file in folder.glob("*"):
        if file.name.partition(".")[0] not in names:
            file.unlink(missing_ok=True)


class RecordedProgram:
    """A program of a record, ready to run again.

    Attributes:
        build: the compiled program.
        lookup: its variables by path.
        sources: its texts by name.
        inputs, outputs: the tags bound to it.
    """

    def __init__(self, name: bytes, build: Build, about: About) -> None:
        self.name = name
        self.build = build
        self.about = about
        self.lookup = Lookup(build.application)

    @classmethod
    def load(cls, folder: Path, name: bytes, core: bytes = b"") -> RecordedProgram:
        """Read it; `core` is the scan core of now, for a program recorded with another one.

        Raises:
            PlantError: it is not there, damaged, or of another kind of machine.
        """
        try:
            about = msgspec.json.decode((folder / f"{name.hex()}.json").read_bytes(), type=About)
            build = Build.from_bytes((folder / f"{name.hex()}.plc").read_bytes())
        except (OSError, ValueError, msgspec.MsgspecError) as exc:
            raise PlantError(f"a program of the record cannot be read: {exc}", "its scans are lost") from exc
        if about.machine != platform.machine():
            text = f"the record is of a machine of another kind ({about.machine})"
            raise PlantError(text, "replay it there: it is the code that runs again")
        if about.core != core_layout():
            if not core:
                text = "the record was made by another version of Ironworks"
                raise PlantError(text, "replay it with that version")
            build = Build(build.application, core)
        return cls(name, build, about)

    @cached_property
    def state(self) -> NDArray[np.bool_]:
        """Tell for each byte of the image whether it belongs to a variable.

        Others are padding, and what is handed over for the time of a call: addresses.
        """
        application = self.build.application
        known: dict[int, NDArray[np.bool_]] = {}

        def cover(index: int) -> NDArray[np.bool_]:
            if index not in known:
                shape = application.shapes[index]
                mask = np.zeros(max(shape.size, 1), np.bool_)
                if shape.kind == "struct":
                    for _, at, inner, _ in (*shape.members, *shape.hidden):
                        part = cover(inner)
                        mask[at : at + len(part)] |= part[: len(mask) - at]
                elif shape.kind == "array" and shape.stride:
                    part = np.zeros(shape.stride, np.bool_)
                    element = cover(shape.element)[: shape.stride]
                    part[: len(element)] = element
                    mask = np.resize(part, shape.size)
                else:
                    mask[:] = True
                known[index] = mask
            return known[index]

        found = np.zeros(application.image_size, np.bool_)
        for field in (ImageHead.now_ns, ImageHead.scan_count, ImageHead.dt_ns):
            found[field.offset : field.offset + field.size] = True
        for name in "IQM":
            region = application.regions[name]
            found[region.offset : region.offset + region.size] = True
        for root in (*application.roots, *application.hidden):
            part = cover(root.shape)
            found[root.offset : root.offset + len(part)] |= part
        return found

    @property
    def sources(self) -> Mapping[str, str]:
        return self.about.sources

    @property
    def inputs(self) -> Sequence[Binding]:
        return self.about.inputs

    @property
    def outputs(self) -> Sequence[Binding]:
        return self.about.outputs

    def core(self) -> ScanCore:
        """Return a core of this process with the program; it has no outputs, which cost time."""
        inputs = [Bound(number, each.at) for number, each in enumerate(self.inputs)]
        return make_core(self.build, Wiring(FaultPolicy(), inputs), _WATCHDOG_NS)

    def source_line(self, file: str, line: int) -> str:
        """Return a line of the source; empty where that is not known."""
        lines = self.sources.get(file, "").splitlines()
        return lines[line - 1] if 0 < line <= len(lines) else ""

    def variable_of(self, path: str) -> str:
        """Return the variable that a path means: itself, or that which a tag is bound to.

        A tag may be named without the plant's root: that is among the levels which all have in common.
        """
        key, bound = path.casefold(), self._bound
        if key in bound:
            return bound[key]
        with suppress(UnknownPathError):
            self.lookup.find(path)
            return path
        field = [each for each in bound if not each.startswith("sys/")]
        levels = os.path.commonpath(field or [""]).split("/")
        whole = ("/".join([*levels[:count], key]) for count in range(1, len(levels) + 1))
        return next((bound[each] for each in whole if each in bound), path)

    @cached_property
    def _bound(self) -> dict[str, str]:
        return {each.tag.casefold(): each.variable for each in (*self.inputs, *self.outputs)}
