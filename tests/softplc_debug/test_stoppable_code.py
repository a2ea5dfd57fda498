"""Code that asks a debugger does what the same program does without."""

import ctypes
import struct
from pathlib import Path

import pytest

from softplc.dump import dump
from softplc.lower.sites import CALLBACK, HEAD, TABLE
from softplc.pipeline import compile_application, compile_stoppable
from softplc.simulator import Simulator

FOLDER = Path(__file__).parents[1] / "conformance"
PROGRAMS = (
    "charts",
    "more_charts",
    "chart_actions",
    "calls",
    "heirs",
    "open_arrays",
    "edge_inputs",
    "strings",
    "linked_references",
    "resources",
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_asks_at_every_statement_does_the_same(name):
    sources = {f"{name}.st": (FOLDER / f"{name}.st").read_text(encoding="utf-8")}
    stoppable = compile_stoppable(sources, library=True)
    asked = []

    def ask(_, site):
        asked.append(site)
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)(ask)
    plain, stopping = Simulator(compile_application((), sources)), Simulator(stoppable.application)
    base, count = stoppable.sites.base, len(stoppable.sites.all)
    place = ctypes.cast(callback, ctypes.c_void_p).value
    struct.pack_into("<Q", stopping.image, base + CALLBACK, place)
    stopping.image[base + TABLE : base + TABLE + count] = b"\1" * count
    for simulator in (plain, stopping):
        simulator.scan(4)
    assert dump(stopping, None) == dump(plain, None)
    assert set(asked) <= set(range(count))
    assert len(asked) >= 4
    assert struct.unpack_from("<Q", stopping.image, base + HEAD) == (0,)  # every frame was given back
    asked.clear()
    stopping.image[base + TABLE : base + TABLE + count] = bytes(count)
    stopping.scan(1)
    assert asked == []
