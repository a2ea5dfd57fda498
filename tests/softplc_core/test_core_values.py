"""Every type of tag crosses the core in both directions without a change."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.contract import Batch, DataType
from softplc.wiring import make_core, wire

TYPES = [each for each in DataType if each is not DataType.STRING]


def strategy(kind):
    if kind is DataType.BOOL:
        return st.booleans()
    if kind.kind == "f":
        return st.floats(width=kind.bits, allow_nan=False)
    return st.integers(*kind.limits)


@pytest.fixture(scope="module")
def mirror(core_object):
    """A program that copies an input of each type to an output."""
    import softplc
    from softplc.build import Build

    lines = "\n".join(f"i_{t.iec} : {t.iec}; o_{t.iec} : {t.iec};" for t in TYPES)
    bits = "b0 AT %IX1.0 : BOOL; b3 AT %IX1.3 : BOOL; q0 AT %QX2.6 : BOOL; q3 AT %QX2.7 : BOOL;"
    copies = "\n".join(f"o_{t.iec} := i_{t.iec};" for t in TYPES) + "q0 := b0; q3 := b3;"
    source = f"PROGRAM Main VAR {lines} {bits} END_VAR {copies} END_PROGRAM"
    source += """
    CONFIGURATION c RESOURCE r ON PLC
    TASK t (INTERVAL := T#10ms, PRIORITY := 1);
    PROGRAM Main WITH t : Main;
    END_RESOURCE END_CONFIGURATION"""
    return Build(softplc.compile(sources={"main.st": source}), core_object)


@pytest.fixture
def core_and_tags(mirror, plant_tags):
    tags = plant_tags(
        **{f"i_{t.iec}": (t.iec, f"Main.i_{t.iec}", "in") for t in TYPES},
        **{f"o_{t.iec}": (t.iec, f"Main.o_{t.iec}", "out") for t in TYPES},
        b0=("BOOL", "%IX1.0", "in"), b3=("BOOL", "%IX1.3", "in"),
        q0=("BOOL", "%QX2.6", "out"), q3=("BOOL", "%QX2.7", "out"),
    )  # fmt: skip
    wiring = wire(tags, mirror.application)
    assert not wiring.problems
    return make_core(mirror, wiring), tags


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_value_comes_out_as_it_went_in(core_and_tags, data):
    core, tags = core_and_tags
    values = {t: data.draw(strategy(t)) for t in TYPES}
    ids = np.array([tags[f"i_{t.iec}"].id for t in TYPES], np.int32)
    raw = np.array([t.encode(value) for t, value in values.items()], np.uint64)
    batch = Batch.of(ids, raw, 0)
    core.write_inputs(batch.ids, batch.raw, batch.quality)
    core.step(core.control.scans * 10_000_000 + 1_000_000_000)
    seen = dict(zip((b for b in range(len(TYPES))), core.read_outputs().raw.tolist(), strict=False))
    for index, (kind, value) in enumerate(values.items()):
        assert kind.decode(seen[index]) == value


def test_packed_bits_do_not_touch_their_neighbours(core_and_tags):
    core, tags = core_and_tags
    now = 1_000_000_000
    for b0, b3 in [(1, 0), (0, 1), (1, 1), (0, 0)]:
        ids = np.array([tags["b0"].id, tags["b3"].id], np.int32)
        core.write_inputs(ids, np.array([b0, b3], np.uint64), np.zeros(2, np.uint32))
        now += 10_000_000
        core.step(now)
        assert core.read_outputs().raw[-2:].tolist() == [b0, b3]
