"""The simulator: time, tasks, access by path and address, faults, and applications as bytes."""

import pickle
import struct
import subprocess
import sys

import pytest

import softplc
from runtime.errors import PlantError
from softplc.application import UnknownPathError
from softplc.guard import PATIENCE_TICKS, Watched
from softplc.layout import STOP
from softplc.simulator import PlcFaultError

PROGRAM = """
TYPE Mode : (Idle, Run := 7); Pair : STRUCT a : INT; b : REAL; END_STRUCT; END_TYPE
VAR_GLOBAL total : DINT; END_VAR
PROGRAM Main
VAR
    Start AT %IX0.3 : BOOL; Level AT %IW1 : INT; Lamp AT %QX1.0 : BOOL; mode : Mode; s : STRING[4];
    table : ARRAY[1..2, 0..1] OF INT; pair : ARRAY[1..2] OF Pair; t : TON; u : USINT; r : REAL;
END_VAR
VAR RETAIN kept : INT := 3; END_VAR
total := total + 1; Lamp := Start AND Level > 10; t(IN := Lamp, PT := T#1s);
END_PROGRAM
"""


@pytest.fixture
def application():
    return softplc.compile(sources={"main.st": PROGRAM})


def test_time_starts_at_zero_and_advances_after_each_scan(application):
    simulator = application.simulator()
    simulator.scan(3, dt_ns=1_000_000)
    assert simulator.now_ns == 3_000_000
    assert int.from_bytes(simulator.image[0:8], "little") == 2_000_000
    assert int.from_bytes(simulator.image[8:16], "little") == 3


def test_inputs_and_outputs_by_name_path_and_address(application):
    simulator = application.simulator()
    simulator.inputs["start"] = True
    simulator.inputs["Main.Level"] = 11
    simulator.scan()
    assert simulator.outputs["Lamp"] is True
    assert simulator.outputs["%QX1.0"] is True
    assert simulator.outputs["%QB1"] == 1
    assert set(simulator.inputs) == {"Main.Start", "Main.Level"}
    simulator.inputs["%IX0.3"] = False
    assert simulator.read("main.START") is False


def test_read_and_write_whole_structures_and_arrays(application):
    simulator = application.simulator()
    simulator.write("Main.pair[2]", {"a": 4, "b": 0.5})
    simulator.write("Main.table", [1, 2, 3, 4])
    simulator.write("main.mode", "run")
    simulator.write("MAIN.S", "abcd")
    assert simulator.read("Main.pair") == [{"a": 0, "b": 0.0}, {"a": 4, "b": 0.5}]
    assert simulator.read("Main.table[2, 0]") == 3
    assert simulator.read("Main.mode") == 7
    assert simulator.read("Main.s") == "abcd"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Main.u", 256),
        ("Main.u", 1.5),
        ("Main.u", "x"),
        ("Main.s", "abcde"),
        ("Main.mode", "Walk"),
        ("Main.table", [1]),
        ("Main.Start", 2),
        ("Main.s", "\u20ac"),
    ],
)
def test_values_that_do_not_fit_are_refused(application, path, value):
    with pytest.raises(PlantError):
        application.simulator().write(path, value)


@pytest.mark.parametrize(
    "path", ["Main.nope", "nope", "Main.table[3,0]", "Main.table[1]", "%IW900", "%ZZ", "Main.t.X"]
)
def test_unknown_paths_are_refused(application, path):
    with pytest.raises(UnknownPathError):
        application.simulator().read(path)


def test_symbols_name_every_elementary_leaf(application):
    symbols = application.symbols
    assert "main.t.q" in symbols
    assert "main.table[2,1]" in symbols
    assert symbols["MAIN.PAIR[1].B"].type == "REAL"
    assert symbols["main.start"].bit == 3
    assert symbols["main.start"].address == "%IX0.3"
    assert symbols["main.kept"].retain
    assert symbols["main.kept"].offset >= application.regions["RETAIN"].offset
    assert len(symbols) == len(list(symbols)) == len({s.offset * 8 + max(s.bit, 0) for s in symbols.values()})


def test_bytes_and_pickle_keep_the_application(application):
    copy = softplc.Application.from_bytes(application.to_bytes())
    assert copy == application
    assert pickle.loads(pickle.dumps(application)) == application
    simulator = copy.simulator()
    simulator.scan(2)
    assert simulator.read("total") == 2
    with pytest.raises(PlantError, match="no compiled application"):
        softplc.Application.from_bytes(b"something else")
    with pytest.raises(PlantError, match="damaged"):
        softplc.Application.from_bytes(application.to_bytes()[:40])


def test_loading_needs_no_llvm(application, tmp_path):
    (tmp_path / "app").write_bytes(application.to_bytes())
    code = (
        "import sys, softplc, pathlib;"
        "a = softplc.Application.from_bytes(pathlib.Path(sys.argv[1]).read_bytes());"
        "assert len(a.symbols) > 10; assert not [m for m in sys.modules if m.startswith('llvmlite')]"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "app")], check=True, timeout=60)


def test_a_fault_names_file_line_and_cause_and_keeps_the_state():
    text = (
        "PROGRAM P\nVAR n, z : INT; END_VAR\nn := n + 1;\nIF n = 3 THEN\n  z := n / z;\nEND_IF;\nEND_PROGRAM"
    )
    simulator = softplc.compile(sources={"p.st": text}).simulator()
    simulator.scan(2)
    with pytest.raises(softplc.PlcFaultError) as caught:
        simulator.scan()
    assert (caught.value.file, caught.value.line, caught.value.cause) == ("p.st", 5, "division by zero")
    assert simulator.read("P.n") == 3


def test_a_fault_in_a_block_names_the_block_s_file():
    sources = {
        "main.st": "PROGRAM P VAR b : B; END_VAR b(i := 5); END_PROGRAM",
        "block.st": "FUNCTION_BLOCK B\nVAR_INPUT i : INT; END_VAR\n"
        "VAR a : ARRAY[0..3] OF INT; END_VAR\na[i] := 1;\nEND_FUNCTION_BLOCK",
    }
    with pytest.raises(softplc.PlcFaultError, match=r"block\.st:4: .*index out of range"):
        softplc.compile(sources=sources).simulator().scan()


def test_a_loop_without_end_is_stopped():
    text = "PROGRAM P VAR n : DINT; END_VAR\nWHILE TRUE DO\n n := n + 1;\nEND_WHILE;\nEND_PROGRAM"
    simulator = softplc.compile(sources={"p.st": text}).simulator()
    with pytest.raises(softplc.PlcFaultError, match="watchdog") as caught:
        simulator.scan()
    assert caught.value.line == 2


def test_only_what_runs_for_all_of_the_patience_is_stopped_and_a_new_image_has_its_own():
    """Counted by id(), which a new image may take over: its first scan was stopped for one of another's."""

    def stops_after(looks):
        watched = Watched(memoryview(bytearray(64)))
        watched.serial = 1  # a task runs
        for _ in range(looks):
            watched.look()
        return struct.unpack_from("<i", watched.image, STOP)[0] == 1

    assert [stops_after(looks) for looks in (PATIENCE_TICKS, PATIENCE_TICKS + 1, 1)] == [False, True, False]


@pytest.mark.parametrize("limit", ["3", "n"])
def test_a_for_loop_that_is_begun_again_by_what_it_calls_is_stopped(limit):
    text = (
        "VAR_GLOBAL g : INT; END_VAR FUNCTION Again : INT VAR_EXTERNAL g : INT; END_VAR g := 0; END_FUNCTION "
    )
    text += "PROGRAM P VAR_EXTERNAL g : INT; END_VAR VAR n : INT := 3; x : INT; END_VAR\n"
    text += f"FOR g := 1 TO {limit} DO x := Again(); END_FOR; END_PROGRAM"
    simulator = softplc.compile(sources={"p.st": text}, profile="codesys").simulator()
    with pytest.raises(softplc.PlcFaultError, match="watchdog") as caught:
        simulator.scan()
    assert caught.value.line == 2


def test_two_simulators_do_not_share_state(application):
    one, two = application.simulator(), application.simulator()
    one.scan(5)
    assert (one.read("total"), two.read("total")) == (5, 0)


def test_compiling_is_deterministic(application):
    assert softplc.compile(sources={"main.st": PROGRAM}).to_bytes() == application.to_bytes()


def test_a_value_outside_of_a_subrange_is_refused():
    simulator = softplc.compile(
        sources={
            "main.st": "TYPE Level : INT(0..9); Pair : STRUCT a : USINT(3..5); END_STRUCT; END_TYPE "
            "PROGRAM Main VAR x : INT(1..5); l : ARRAY[0..1] OF Level; p : Pair; END_VAR ; END_PROGRAM"
        }
    ).simulator()
    for path, value, told in (
        ("Main.x", 6, "6 is outside of Main.x: INT(1..5) (it takes 1 to 5)"),
        ("Main.l", [1, 10], "10 is outside of Main.l: Level (it takes 0 to 9)"),
        ("Main.p", {"a": 2}, "2 is outside of Main.p.a: USINT(3..5) (it takes 3 to 5)"),
    ):
        with pytest.raises(PlantError) as caught:
            simulator.write(path, value)
        assert str(caught.value) == told
    simulator.write("Main.x", 5)
    assert simulator.read("Main.x") == 5


def test_a_constant_is_refused_wherever_it_is_declared():
    text = "VAR_GLOBAL CONSTANT most : INT := 4; END_VAR\nFUNCTION_BLOCK F VAR_OUTPUT q : INT; END_VAR\n"
    text += (
        "VAR CONSTANT k : INT := 3; list : ARRAY[1..2] OF INT := [1, 2]; END_VAR q := k; END_FUNCTION_BLOCK\n"
    )
    text += (
        "PROGRAM Main VAR f : F; many : ARRAY[0..1] OF F; END_VAR VAR CONSTANT late : TIME := T#1s; END_VAR\n"
    )
    simulator = softplc.compile(sources={"main.st": text + "f(); END_PROGRAM"}).simulator()
    for path in ("most", "main.late", "Main.f.k", "Main.many[1].K", "Main.f.list[2]"):
        with pytest.raises(PlantError, match="is a constant"):
            simulator.write(path, 1)
    simulator.write("Main.many[1].q", 7)
    assert simulator.read("Main.many[1]") == {"q": 7, "k": 3, "list": [1, 2]}


def test_an_index_that_a_loop_keeps_inside_is_the_whole_variable_only():
    text = (
        "PROGRAM Main VAR i : INT; a : ARRAY[-5..-1] OF INT; n : INT; part : BOOL; END_VAR\n"
        "FOR i := -5 TO -1 DO n := n + 1; a[i] := n; END_FOR;\n"
        "FOR i := -5 TO -1 DO\nIF part THEN\na[BYTE_TO_INT(i.%B0)] := 7; END_IF; END_FOR;\nEND_PROGRAM\n"
    )
    simulator = softplc.compile(sources={"main.st": text}).simulator()
    simulator.scan()
    assert simulator.read("Main.a") == [1, 2, 3, 4, 5]
    simulator.write("Main.part", True)
    with pytest.raises(PlcFaultError) as caught:
        simulator.scan()
    assert caught.value.line == 5


def test_variables_that_share_bytes_see_each_others_writes_in_loops():
    """What the optimiser is told of variables must not hold for located ones, unions and references."""
    text = (
        "TYPE U : STRUCT OVERLAP w : DWORD; b : ARRAY[0..3] OF BYTE; END_STRUCT; END_TYPE\n"
        "VAR_GLOBAL whole AT %MW0 : WORD; low AT %MB0 : BYTE; g : INT; END_VAR\n"
        "FUNCTION_BLOCK Twice VAR_IN_OUT v : INT; END_VAR VAR_OUTPUT o : INT; END_VAR\n"
        "v := v + 1; o := g; END_FUNCTION_BLOCK\n"
        "PROGRAM Main VAR u : U; i, seen, passed : INT; bytes : DINT; r : REF_TO INT; t : Twice; END_VAR\n"
        "VAR_EXTERNAL g : INT; END_VAR r := REF(g);\n"
        "FOR i := 1 TO 5 DO\n"
        "whole := UINT_TO_WORD(WORD_TO_UINT(whole) + 1); seen := seen + BYTE_TO_INT(low);\n"
        "u.w := u.w OR 16#100; u.b[0] := 5;\n"
        "bytes := bytes + DWORD_TO_DINT(u.w); g := i; r^ := r^ + 10; t(v := g); passed := passed + t.o;\n"
        "END_FOR;\nEND_PROGRAM\n"
    )
    simulator = softplc.compile(sources={"main.st": text}).simulator()
    simulator.scan()
    found = [simulator.read(f"Main.{name}") for name in ("seen", "bytes", "passed")]
    assert found == [1 + 2 + 3 + 4 + 5, 5 * 0x105, 12 + 13 + 14 + 15 + 16]
