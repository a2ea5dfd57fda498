"""The same algorithms in ST and in C: both run the same scans, end in the same state, are timed in turns."""

from __future__ import annotations

import ctypes
import math
import subprocess
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import PlantError

if TYPE_CHECKING:
    from softplc.simulator import Simulator

PROGRAMS = files("softplc.bench") / "programs"
SCANS = 2000  # after which both must have the same state
_STEP_NS = 10_000_000
_HEADER = 64
_ROUND_NS = 300_000  # short: a processor that is faster for a moment is so for all sides
_ROUNDS = 300
PLACES = 3
"""Where the code of either side is loaded: by chance, branches of one place disturb others."""


@dataclass(frozen=True, slots=True)
class Rival:
    """One algorithm in both languages.

    Attributes:
        state: what both must agree on: variables of Main in the order in which the C state begins.
        goal: the most that it may take, as a ratio to C's time.
    """

    name: str
    title: str
    state: tuple[tuple[str, Any], ...]
    goal: float


class _Text(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("bytes", ctypes.c_char * 40))


_DOUBLES = ctypes.c_double * 200
RIVALS = (
    Rival(
        "timers",
        "200 timers and counters",
        (
            ("elapsed", ctypes.c_int64 * 200),
            ("counted", ctypes.c_int16 * 200),
            ("lamp", ctypes.c_bool * 200),
            ("tick", ctypes.c_int32),
        ),
        1.0,
    ),
    Rival(
        "control",
        "100 PIDs",
        (("pv", ctypes.c_float * 100), ("out", ctypes.c_float * 100), ("tick", ctypes.c_int32)),
        1.0,
    ),
    Rival(
        "arrays",
        "arrays, bubble sort of 200",
        (
            ("weights", _DOUBLES),
            ("smooth", _DOUBLES),
            ("total", ctypes.c_double),
            ("numbers", ctypes.c_int32 * 200),
            ("grid", ctypes.c_int32 * 200),
            ("seed", ctypes.c_uint32),
        ),
        1.5,
    ),
    Rival(
        "commands",
        "CASE with strings",
        (
            ("step", ctypes.c_int16 * 50),
            ("speed", ctypes.c_int16 * 50),
            ("line", _Text * 50),
            ("answer", _Text * 50),
            ("tick", ctypes.c_int32),
        ),
        1.0,
    ),
)


def source_of(rival: Rival) -> str:
    """Return the program in ST."""
    return (PROGRAMS / f"{rival.name}.st").read_text(encoding="utf-8")


class Runner:
    """What runs scans of either side: `run.c`, and the C programs, built by gcc -O2."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        run = ctypes.CDLL(str(self._built("run"))).run
        run.restype = ctypes.c_int64
        run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self._run = run

    def _built(self, name: str, place: int = 0) -> Path:
        source, library = self._folder / f"{name}.c", self._folder / f"{name}.{place}.so"
        source.write_bytes((PROGRAMS / source.name).read_bytes())
        words = ["-O2", "-ffp-contract=off", "-shared", "-fPIC"]
        command = ["gcc", *words, "-o", str(library), str(source), "-lm"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            said = done.stderr.strip().partition("\n")[0]
            raise PlantError(f"gcc cannot build {source.name}: {said}", "check that it has a C library")
        return library

    def in_c(self, rival: Rival, place: int = 0) -> Side:
        library = ctypes.CDLL(str(self._built(rival.name, place)))
        task = ctypes.cast(library.scan, ctypes.c_void_p).value
        return Side(self._run, task, ctypes.create_string_buffer(1 << 20), library)

    def in_st(self, simulator: Simulator) -> Side:
        """Return the side of a program with one task; the simulator's image is its state."""
        from softplc.codegen.loader import load

        loaded = load(simulator.application.object_code)
        return Side(self._run, loaded.address(simulator.application.tasks[0].symbol), simulator.image, loaded)


class Side:
    """One of the two, with its state; `kept` is what its code belongs to."""

    def __init__(self, run: Any, task: int | None, image: Any, kept: Any) -> None:
        self._run, self._task, self.image, self._kept = run, task, image, kept
        self._place = (ctypes.c_char * len(image)).from_buffer(image)

    def scan(self, scans: int) -> int:
        """Run scans; return how many ns they took.

        Raises:
            PlantError: a task stopped with a fault.
        """
        took_ns = int(self._run(self._task, self._place, scans, _STEP_NS))
        if took_ns < 0:
            raise PlantError("a task stopped with a fault", "this is a bug of the bench")
        return took_ns


def compare(rival: Rival, simulator: Simulator, ours: Side, theirs: Side) -> None:
    """Run both from their cold start.

    Raises:
        PlantError: their states differ, so that their times mean nothing.
    """
    ours.scan(SCANS)
    theirs.scan(SCANS)
    position = _HEADER
    for name, type_ in rival.state:
        position += -position % ctypes.alignment(type_)
        wanted = _plain(type_.from_buffer(theirs.image, position))
        position += ctypes.sizeof(type_)
        found = _flat(simulator.read(f"Main.{name}"))
        if found != wanted:
            raise PlantError(
                f"{rival.name}: {name} is {found} in ST, {wanted} in C", "this is a bug of the compiler"
            )


def _plain(value: Any) -> Any:
    if isinstance(value, _Text):
        return value.bytes[: value.length].decode("latin-1")
    if isinstance(value, ctypes.Array):
        return [_plain(each) for each in value]
    return getattr(value, "value", value)


def _flat(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [each for row in value for each in row]
    return value


def times_of(sides: dict[str, list[Side]]) -> dict[str, float]:
    """Return the least ns that a scan of each side took, at any of its places, timed in turns."""
    each = [(name, side) for name, places in sides.items() for side in places]
    scans = [max(1, round(_ROUND_NS / max(side.scan(100) / 100, 1))) for _, side in each]
    best = dict.fromkeys(sides, math.inf)
    for _ in range(_ROUNDS):
        for (name, side), count in zip(each, scans, strict=True):
            best[name] = min(best[name], side.scan(count) / count)
    return best
