"""Which values of a program go on in another version of it."""

import ctypes

import pytest

import softplc
from softplc.core.native import Native
from softplc.online.moves import carry
from softplc.online.plan import plan
from softplc.online.records import packed

TYPES = """
TYPE Mode : (idle, busy, done); Point : STRUCT x, y : INT; END_STRUCT; END_TYPE
CLASS Part VAR PUBLIC size : INT; END_VAR METHOD PUBLIC grow : INT
size := size + 1; grow := size; END_METHOD END_CLASS
FUNCTION_BLOCK Cell
VAR_INPUT edge : BOOL R_EDGE; END_VAR
VAR CONSTANT step : INT := 3; END_VAR
VAR n : INT; text : STRING[20]; END_VAR
IF edge THEN n := n + step; END_IF;
END_FUNCTION_BLOCK
"""
OLD = (
    TYPES
    + """
VAR_GLOBAL setpoint : LREAL := 4.5; gone : DINT := 7; lamp AT %QX0.3 : BOOL; memory AT %MW1 : WORD; END_VAR
PROGRAM Main
VAR_EXTERNAL setpoint : LREAL; lamp : BOOL; END_VAR
VAR
    cell : Cell; go : BOOL; small : INT := 5; wide : DINT := 100_000; flag : BYTE := 16#81;
    u : ULINT := 16#FFFF_FFFF_FFFF_FFFE;
    list : ARRAY[0..3] OF INT := [1, 2, 3, 4]; timers : ARRAY[1..2] OF TON; corner : Point;
    mode : Mode := done;
    name : STRING[30] := 'a long name of thirty letters'; wname : WSTRING[8] := "wide"; ratio : REAL := 0.5;
    at_small : REF_TO INT := REF(small); at_item : REF_TO INT := REF(list[2]);
    at_lost : REF_TO DINT := REF(wide);
    part : Part; at_part : REF_TO Part := REF(part); place : INT := 1; grown : INT;
END_VAR
cell(edge := go);
timers[1](IN := TRUE, PT := T#1h);
at_small^ := at_small^ + 1;
at_item^ := at_item^ + 10;
grown := at_part^.grow();
lamp := TRUE;
END_PROGRAM
"""
)
NEW = (
    OLD.replace("step : INT := 3", "step : INT := 5")
    .replace("VAR n : INT", "VAR pad : LREAL; n : DINT")
    .replace("cell : Cell;", "early : LREAL := 1.25; cell : Cell;")
    .replace("gone : DINT := 7;", "come : DINT := 8;")
    .replace("lamp AT %QX0.3", "lamp AT %QX2.5")
    .replace("ARRAY[0..3] OF INT := [1, 2, 3, 4]", "ARRAY[1..5] OF INT := [5(9)]")
    .replace("idle, busy, done", "idle, busy, done, off")
    .replace("STRING[30] := 'a long name of thirty letters'", "STRING[6]")
    .replace("ratio : REAL", "ratio : LREAL")
    .replace("wide : DINT := 100_000", "wide : INT")
    .replace("at_lost : REF_TO DINT := REF(wide)", "at_lost : REF_TO DINT")
    .replace("place : INT := 1", "place : TIME := T#7s")
    .replace(
        "CLASS Part VAR",
        "CLASS Other VAR z : INT; END_VAR METHOD PUBLIC m : INT m := z; END_METHOD END_CLASS\nCLASS Part VAR",
    )
)
CHART = """
PROGRAM Main
VAR n, held : INT; go, back : BOOL; END_VAR
INITIAL_STEP Start: Act(N); END_STEP
STEP Fill: Act(N); END_STEP
STEP Drain: END_STEP
TRANSITION FROM Start TO Fill := go; END_TRANSITION
TRANSITION FROM Fill TO Drain := back; END_TRANSITION
TRANSITION FROM Drain TO Start := NOT go; END_TRANSITION
ACTION Act: n := n + 1; END_ACTION
END_PROGRAM
"""


def by(text):
    return softplc.compile(sources={"main.st": text})


@pytest.fixture(scope="module")
def old():
    return by(OLD)


@pytest.fixture(scope="module")
def new():
    return by(NEW)


def changed(simulator, application, migration=None):
    """Return a simulator of another program that goes on where one is."""
    migration = migration or plan(simulator.application, application)
    other = application.simulator()
    image = bytearray(other.image)
    carry(migration.moves, migration.spans, bytes(simulator.image), image)
    other.image[:] = image
    other.now_ns = simulator.now_ns
    return other


def paths(entries):
    return [each.path for each in entries]


def test_the_plan_names_what_is_new_dropped_and_of_another_type(old, new):
    migration = plan(old, new)
    assert paths(migration.new) == ["come", "Main.early", "Main.cell.pad", "Main.list"]
    assert paths(migration.dropped) == ["Main.list", "gone"]
    assert paths(migration.widened) == ["Main.cell.n", "Main.name", "Main.ratio"]
    assert paths(migration.retyped) == ["Main.wide", "Main.place"]
    assert migration.refusals == ()
    assert migration.summary.startswith(f"{migration.kept} kept, 4 new, 2 dropped, 3 widened, 2 retyped")


def test_every_value_goes_on_where_it_is_declared_now(old, new):
    before = old.simulator()
    before.write("Main.go", True)
    before.write("Main.corner", {"x": 3, "y": -4})
    before.write("Main.cell.text", "kept")
    before.write("memory", 0xBEEF)
    before.scan(3)
    after = changed(before, new)
    names = ("small", "u", "flag", "mode", "wname", "ratio", "name")
    assert {path: after.read(f"Main.{path}") for path in names} == {
        "small": 8, "u": 2**64 - 2, "flag": 0x81, "mode": 2, "wname": "wide", "ratio": 0.5, "name": "a long",
    }  # fmt: skip
    assert after.read("Main.list") == [2, 33, 4, 9, 9]
    assert after.read("Main.corner") == {"x": 3, "y": -4}
    assert after.read("Main.cell") == {"edge": True, "step": 5, "pad": 0.0, "n": 3, "text": "kept"}
    assert (after.read("Main.early"), after.read("come"), after.read("setpoint")) == (1.25, 8, 4.5)
    assert (after.read("Main.place"), after.read("Main.wide")) == (7_000_000_000, 0)
    assert (after.read("lamp"), after.read("memory")) == (True, 0xBEEF)
    elapsed = before.read("Main.timers[1].ET")
    after.scan(1)
    assert after.read("Main.timers[1].ET") == elapsed + 10_000_000
    assert after.read("Main.cell.n") == 3  # the edge was seen before: it is no new one
    assert (after.read("Main.small"), after.read("Main.list[2]")) == (9, 43)  # through references
    assert (after.read("Main.grown"), after.read("Main.part.size")) == (4, 4)


def test_native_code_carries_as_python_does(old, new, core_object):
    before = old.simulator()
    before.write("Main.go", True)
    before.scan(5)
    native = Native(core_object)
    for source, target in ((old, new), (new, old)):
        migration = plan(source, target)
        image = bytes(changed(before, source).image) if source is new else bytes(before.image)
        expected = bytearray(target.initial_image)
        carry(migration.moves, migration.spans, image, expected)
        blob = ctypes.create_string_buffer(packed(migration.moves, migration.spans, []))
        start, into = ctypes.create_string_buffer(image), ctypes.create_string_buffer(target.initial_image)
        native.migrate(*map(ctypes.addressof, (start, into, blob)))
        assert into.raw[: len(expected)] == bytes(expected)


def test_the_same_program_keeps_everything_and_constants_are_the_new_ones(old):
    migration = plan(old, old)
    assert (migration.new, migration.dropped, migration.retyped) == ((), (), ())
    before = old.simulator()
    before.scan(2)
    assert bytes(changed(before, old, migration).image)[64:] == bytes(before.image)[64:]


def test_a_chart_goes_on_in_its_step_and_begins_anew_where_that_is_gone():
    old = by(CHART)
    wider = by(CHART.replace("STEP Fill", "STEP Heat: END_STEP\nSTEP Fill"))
    without = by(
        CHART.replace("STEP Fill: Act(N); END_STEP\n", "")
        .replace("FROM Start TO Fill", "FROM Start TO Drain")
        .replace("TRANSITION FROM Fill TO Drain := back; END_TRANSITION\n", "")
    )
    before = old.simulator()
    before.scan(2)
    before.write("Main.go", True)
    before.scan(2)
    n = before.read("Main.n")
    after = changed(before, wider)
    after.scan(1)
    assert (after.read("Main.Fill.X"), after.read("Main.Start.X"), after.read("Main.n")) == (
        True,
        False,
        n + 1,
    )
    assert after.read("Main.Fill.T") == 20_000_000
    anew = changed(before, without)
    anew.write("Main.go", False)
    anew.scan(1)
    assert (anew.read("Main.Start.X"), anew.read("Main.Drain.X")) == (True, False)
    back = changed(anew, old)
    image = bytearray(before.image)  # as on the way back from a trial: the old image, left some scans ago
    migration = plan(without, old)
    carry(migration.moves, migration.spans, bytes(anew.image), image)
    back.image[:] = image
    back.scan(1)
    assert (back.read("Main.Start.X"), back.read("Main.Fill.X")) == (True, False)


def test_a_chart_in_an_action_begins_anew_too_where_its_active_step_is_gone():
    source = """
PROGRAM Main VAR n : INT; END_VAR
INITIAL_STEP Start : Act(N); END_STEP
ACTION Act :
INITIAL_STEP Rest : END_STEP
STEP Count : Add(N); END_STEP
TRANSITION FROM Rest TO Count := TRUE; END_TRANSITION
ACTION Add : n := n + 1; END_ACTION
END_ACTION
END_PROGRAM
"""
    before = by(source).simulator()
    before.scan(3)
    after = changed(before, by(source.replace("Count", "Tally")))
    after.scan()
    assert (after.read("Main.Start.X"), after.read("Main.Rest.X")) == (True, True)
    after.scan(2)
    assert (after.read("Main.Tally.X"), after.read("Main.n")) == (True, before.read("Main.n") + 2)


def test_pointers_go_on_only_where_nothing_moves():
    source = "PROGRAM Main VAR n : INT; p : POINTER TO INT; END_VAR p := ADR(n); p^ := p^ + 1; END_PROGRAM"
    old, same, moved = (
        softplc.compile(sources={"main.st": text}, profile="codesys")
        for text in (source, source.replace("+ 1", "+ 2"), source.replace("n : INT", "k : LREAL; n : INT"))
    )
    assert plan(old, same).refusals == ()
    assert "Main.p is a pointer" in plan(old, moved).refusals[0]


def test_what_all_elements_of_an_array_have_in_common_is_told_once():
    source = """
    FUNCTION_BLOCK Cell VAR_INPUT go : BOOL; END_VAR VAR n : INT; END_VAR
    IF go THEN n := n + 1; END_IF;
    END_FUNCTION_BLOCK
    PROGRAM Main VAR cells : ARRAY[1..200, 0..9] OF Cell; k : INT; END_VAR
    FOR k := 1 TO 200 DO cells[k, 3](go := TRUE); END_FOR;
    END_PROGRAM
    """
    old, new = by(source), by(source.replace("n : INT", "pad : LREAL; n : DINT").replace("0..9", "0..4"))
    migration = plan(old, new)
    assert [*migration.new] == [("Main.cells[*].pad", "LREAL")]
    assert [*migration.widened] == [("Main.cells[*].n", "INT -> DINT")]
    assert [*migration.dropped] == [("Main.cells", "1000 elements of ARRAY[1..200, 0..9] OF Cell")]
    before = old.simulator()
    before.scan(7)
    after = changed(before, new, migration)
    assert (after.read("Main.cells[200, 3].n"), after.read("Main.cells[200, 4].n")) == (7, 0)


def test_a_block_of_another_type_begins_anew_as_a_whole():
    source = "PROGRAM Main VAR t : TON; END_VAR t(IN := TRUE, PT := T#1s); END_PROGRAM"
    migration = plan(by(source), by(source.replace("TON", "TOF")))
    assert [*migration.retyped] == [("Main.t", "TON -> TOF")]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("INT", "INT(0..10)", [("Main.x", "INT -> INT(0..10)")]),
        ("INT(0..50)", "INT(0..10)", [("Main.x", "INT(0..50) -> INT(0..10)")]),
        (
            "ARRAY[1..2] OF INT(0..50)",
            "ARRAY[1..2] OF INT(1..50)",
            [("Main.x[*]", "INT(0..50) -> INT(1..50)")],
        ),
        ("INT(0..10)", "INT(-1..10)", []),
        ("USINT", "INT(0..255)", []),
        ("INT(0..10)", "INT", []),
    ],
)
def test_a_value_that_a_subrange_may_not_have_begins_anew(before, after, told):
    old, new = (by(f"PROGRAM Main VAR x : {each}; END_VAR END_PROGRAM") for each in (before, after))
    assert [*plan(old, new).retyped] == told
