"""Forced variables in the core: the program neither overwrites nor misses them; they end by themselves."""

import pytest

import softplc
from runtime.contract import Quality
from softplc.build import Build
from softplc.core.forces import Forced, Forces
from softplc.core.layout import FORCES
from softplc.core.watched import Watched
from softplc.lookup import Lookup, joined
from softplc.wiring import FaultPolicy, make_core, wire

SOURCE = """
TYPE Mode : (IDLE, RUNNING, STOPPED); Part : STRUCT n : INT; on : BOOL; END_STRUCT; END_TYPE
PROGRAM Main
VAR speed : REAL; double : REAL; a, b : DINT; name : STRING[20] := 'own'; divisor : DINT := 1; END_VAR
VAR lamp AT %QX0.1 : BOOL; bell AT %QX0.2 : BOOL; mode : Mode; parts : ARRAY[1..2, 0..1] OF Part; END_VAR
VAR t : TIME := T#2s; letter : WCHAR; seen : STRING[20]; noon : TOD;
level : INT(3..9); END_VAR
double := speed * 2.0; a := a + 1; b := a; seen := name; name := 'own'; lamp := NOT lamp; bell := TRUE;
parts[2, 1].n := 7; a := a / divisor;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#1ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
SIGNALS = {
    "speed": ("REAL", "Main.speed", "in"),
    "double": ("REAL", "Main.double", "out"),
    "lamp": ("BOOL", "%QX0.1", "out"),
    "bell": ("BOOL", "%QX0.2", "out"),
    "name": ("STRING", "Main.name", "out"),
    "divisor": ("DINT", "Main.divisor", "rw"),
}
MS = 1_000_000


class World:
    """A core that is stepped by hand, and its forces."""

    def __init__(self, build, tags):
        self.tags = tags
        self.lookup = Lookup(build.application)
        self.wiring = wire(tags, build.application, FaultPolicy())
        self.core = make_core(build, self.wiring)
        self.forces = Forces(self.core)
        self.now_ns = MS
        self.outputs = {}

    def step(self, scans=1):
        for _ in range(scans):
            batch = self.core.step(self.now_ns)
            self.now_ns += MS
            for row in batch or ():
                tag = self.tags[row.id]
                self.outputs[tag.path.rsplit("/", 1)[1]] = (
                    tag.data_type.decode(row.raw, row.text),
                    row.quality,
                )

    def forced(self, number, path, value, until_ns=0):
        symbol = self.lookup.symbol(path)
        _, raws = self.lookup.parse(symbol, value)
        return Forced(number, self.lookup.variable(symbol), raws, until_ns)

    def force(self, *forced):
        self.forces.write(forced)
        self.forces.mark(each.variable for each in forced)

    def read(self, path):
        return self.lookup.read(self.lookup.find(path), memoryview(self.core.image()))


@pytest.fixture(scope="module")
def build(core_object):
    return Build(softplc.compile(sources={"main.st": SOURCE}), core_object)


@pytest.fixture
def world(build, plant_tags):
    return World(build, plant_tags(**SIGNALS))


def test_the_program_neither_overwrites_nor_misses_what_is_forced(world):
    world.step()
    assert world.outputs["lamp"] == (True, Quality.GOOD)
    world.force(
        world.forced(1, "Main.speed", 21.0),  # an input: the tag says 0
        world.forced(2, "Main.b", "16#10"),
        world.forced(3, "%QX0.1", False),
        world.forced(4, "Main.name", "'forced'"),
        world.forced(5, "Main.parts[1,1].n", -5),
        world.forced(6, "Main.mode", "STOPPED"),
        world.forced(7, "Main.t", "T#1m"),
    )
    world.step(3)
    assert world.outputs["double"] == (42.0, Quality.GOOD)  # the program saw it
    assert world.outputs["lamp"] == (False, Quality.GOOD_LOCAL_OVERRIDE)
    assert world.outputs["bell"] == (True, Quality.GOOD)  # a bit of the same byte
    assert world.outputs["name"] == ("forced", Quality.GOOD_LOCAL_OVERRIDE)
    assert world.read("Main.seen") == "forced"
    assert [world.read(f"Main.{each}") for each in ("b", "mode", "t")] == [16, "STOPPED", "T#1m"]
    assert world.read("Main.parts") == [
        [{"n": 0, "on": False}, {"n": -5, "on": False}],
        [{"n": 0, "on": False}, {"n": 7, "on": False}],
    ]
    assert world.read("Main")["b"] == 16
    world.force()
    world.step(2)
    assert world.outputs["name"] == ("own", Quality.GOOD)
    assert world.outputs["lamp"][1] == Quality.GOOD
    assert world.outputs["double"] == (0.0, Quality.GOOD)
    assert world.read("Main.b") == world.read("Main.a")


def test_a_force_ends_by_itself_and_the_others_stay(world):
    later_ns = world.core.native.now() + 3_600_000 * MS
    world.force(
        world.forced(1, "Main.b", 16, until_ns=1),
        world.forced(2, "Main.speed", 4.0, until_ns=later_ns),
        world.forced(3, "Main.name", "x"),
    )
    world.step()
    assert world.forces.there() == {1: None, 2: later_ns, 3: 0}
    assert world.core.control.forces_ended == 1
    assert world.read("Main.b") == world.read("Main.a")
    assert world.outputs["double"][0] == 8.0
    assert world.read("Main.name") == "x"


def test_a_table_that_was_not_taken_is_not_written_over(world):
    world.force(world.forced(1, "Main.b", 16))
    with pytest.raises(ValueError, match="not been taken"):
        world.force(world.forced(1, "Main.b", 17))
    world.step()
    many = [world.forced(number, "Main.name", "x") for number in range(FORCES)]
    with pytest.raises(ValueError, match="more than"):
        world.force(*many)
    assert world.forces.there() == {1: 0}


def test_a_stopped_tasks_safe_value_is_above_a_force(world):
    world.force(world.forced(1, "Main.divisor", 0), world.forced(2, "Main.double", 5.0))
    world.step()
    assert world.core.faults()
    assert world.outputs["double"] == (0.0, Quality.BAD_DEVICE_FAILURE)


@pytest.mark.parametrize(
    ("path", "value", "becomes"),
    [
        ("Main.mode", "Mode#RUNNING", "RUNNING"),
        ("Main.mode", 2, "STOPPED"),
        ("Main.b", "DINT#16#F_F", 255),
        ("Main.b", "-1_000", -1000),
        ("Main.noon", "12:00:00", "TOD#12:00:00"),
        ("Main.noon", "LTOD#12:00", "TOD#12:00:00"),
        ("Main.parts[ 2, 1 ].N", 4, 4),
    ],
)
def test_values_are_written_as_in_the_language(world, path, value, becomes):
    symbol = world.lookup.symbol(path)
    assert world.lookup.parse(symbol, value)[0] == becomes
    assert symbol.path == path.replace("[ 2, 1 ].N", "[2,1].n")  # as unforce and the list have it


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("Main.b", "abc", "is no value for Main.b"),
        ("Main.b", 2.5, "whole numbers"),
        ("Main.b", 1 << 31, "does not fit"),
        ("Main.b", True, "cannot be true"),
        ("Main.double", False, "cannot be false"),
        ("Main.double", 1e60, "does not fit"),
        ("Main.double", "NaN", "cannot be forced"),
        ("Main.t", 5, "cannot be 5"),
        ("Main.lamp", 2, "cannot be 2"),
        ("Main.mode", "FLYING", "is no value of Mode"),
        ("Main.mode", 3, "3 is no value of Mode"),
        ("Main.mode", "-1", "-1 is no value of Mode"),
        ("Main.mode", "Colour#IDLE", "Colour is another type"),
        ("Main.b", "1__0", "is no value for Main.b"),
        ("Main.b", "\u0663", "is no value for Main.b"),
        ("Main.b", "REAL#1", "REAL is another type"),
        ("Main.double", "16#10", "is no value for Main.double"),
        ("Main.t", "D#1970-01-01", "D is another type"),
        ("Main.noon", "DT#2026-05-01-12:00:00", "DT is another type"),
        ("Main.noon", "25:00:00", "no such time of day"),
        ("Main.level", 10, "it takes 3 to 9"),
        ("Main.parts[3, 0].n", 1, "index 3 is outside 1..2"),
        ("Main.parts[\u0661, 0].n", 1, "an index that is no number"),
        ("Main.name", "x" * 21, "holds 20 characters"),
        ("Main.name", "\u20ac", "does not have"),
        ("Main.letter", "'ab'", "one character"),
    ],
)
def test_what_is_no_value_is_told(world, path, value, says):
    with pytest.raises(Exception, match=says):
        world.forced(1, path, value)


@pytest.mark.parametrize("path", ["Main.parts", "Main", "Main.parts[3,0].n", "Main.nope", "", "%QX99.0", "["])
def test_what_is_no_variable_is_told(world, path):
    with pytest.raises(KeyError):
        world.forced(1, path, 1)


def test_a_look_has_the_values_of_one_scan(build, plant_tags, scanning, until):
    with scanning(build, plant_tags()) as (core, _):
        watched, lookup = Watched(core), Lookup(build.application)
        found = [lookup.find(path) for path in ("Main.a", "Main.parts", "Main.b")]
        ranges = joined(span for each in found for span in each.spans)
        scans = set()
        for _ in range(100):
            watched.ask(ranges)
            until(lambda: watched.answered)
            picture = watched.picture()
            image = bytearray(build.application.image_size)
            at = 0
            for offset, size in ranges:
                image[offset : offset + size] = picture.data[at : at + size]
                at += size
            a, _, b = (lookup.read(each, memoryview(image)) for each in found)
            assert a == b == picture.scans
            scans.add(picture.scans)
        assert len(scans) > 1


def test_figures_have_the_last_the_least_and_the_longest(build, plant_tags, scanning, until):
    with scanning(build, plant_tags()) as (core, _):
        until(lambda: core.control.scans > 20)
    (task,) = core.stats().tasks
    for spread in (task.execution, task.latency):
        assert 0 < spread.min_us <= spread.last_us
        assert spread.min_us <= spread.p50_us <= spread.p999_us <= spread.max_us
    assert 1 <= task.worst_scan <= core.control.scans
    assert (task.priority, task.watchdog_ns) == (1, 100 * MS)


SINGLE = """
CONFIGURATION c
VAR_GLOBAL go : BOOL; END_VAR
RESOURCE r ON PLC
TASK fast (INTERVAL := T#1ms, PRIORITY := 5);
TASK once (SINGLE := go, PRIORITY := 1);
PROGRAM Clock WITH fast : Clock;
PROGRAM Edge WITH once : Edge;
END_RESOURCE END_CONFIGURATION
PROGRAM Clock
VAR_EXTERNAL go : BOOL; END_VAR
VAR n : DINT; END_VAR
n := n + 1; go := n MOD 5 < 2;
END_PROGRAM
PROGRAM Edge
VAR runs : DINT; END_VAR
runs := runs + 1;
END_PROGRAM
"""


def test_a_task_with_a_single_trigger_runs_at_each_rising_edge_and_sees_a_force(compiled, plant_tags):
    world = World(compiled(SINGLE), plant_tags())
    world.step(100)
    assert world.read("Clock.n") == 100
    assert world.read("Edge.runs") in (19, 20)
    before = world.read("Edge.runs")
    world.force(world.forced(1, "go", True))
    world.step(50)
    assert world.read("Edge.runs") <= before + 1
    assert world.read("go") is True
