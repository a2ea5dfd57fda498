"""FB_Init of the profile codesys: when it runs, with what, and what is told where it cannot."""

import ctypes
import struct

import pytest

import softplc
from softplc.bind.scope import Scope
from softplc.core.slots import Slots
from softplc.explain import explanation
from softplc.formatter import format_text
from softplc.lower.sites import CALLBACK, TABLE
from softplc.lsp.analysis import Analysis
from softplc.lsp.complete import complete
from softplc.lsp.rename import rename, renamed
from softplc.lsp.spot import spot_at
from softplc.online.moves import carry
from softplc.online.plan import plan
from softplc.pipeline import compile_marked, compile_stoppable
from softplc.plcopen.export import export
from softplc.profiles import CODESYS
from softplc.retain import Layout, Retention

INPUTS = "VAR_INPUT bInitRetains : BOOL; bInCopyCode : BOOL;"
METER = f"""
FUNCTION_BLOCK Meter
VAR_INPUT x : INT := 7; END_VAR
VAR_OUTPUT n, seen, calls : INT; retains, copied : BOOL; END_VAR
METHOD FB_Init : BOOL
{INPUTS} start : INT; END_VAR
n := start; seen := x; calls := calls + 1; retains := bInitRetains; copied := bInCopyCode;
END_METHOD
n := n + 1;
END_FUNCTION_BLOCK
"""


def compiled(text, profile="codesys"):
    return softplc.compile(sources={"a.st": text}, profile=profile)


def started(text):
    return compiled(text).simulator()


def program(variables, body=";"):
    return f"{METER} PROGRAM Main VAR {variables} END_VAR {body} END_PROGRAM"


def findings(text, profile="codesys"):
    found = softplc.check(sources={"a.st": text}, profile=profile)
    return [f"{each.code} {each.message}; {each.remedy}" for each in found if each.severity == "error"]


def stopped(text):
    """Return the only thing told of a program that passes all rules, and stops before its first scan."""
    assert findings(text) == []
    with pytest.raises(softplc.CompileError) as caught:
        compiled(text)
    (finding,) = caught.value.diagnostics
    return f"{finding.file}:{finding.line}: {finding.code} {finding.message}"


# When it runs -----------------------------------------------------------------------------------


def test_it_runs_once_between_the_values_of_the_type_and_those_of_the_declaration():
    plc = started(program("m : Meter(start := 3) := (x := 9);", "m();"))
    assert plc.read("Main.m") == {"x": 9, "n": 3, "seen": 7, "calls": 1, "retains": True, "copied": False}
    plc.scan(2)
    assert (plc.read("Main.m.n"), plc.read("Main.m.calls")) == (5, 1)


def test_what_is_inside_comes_first_and_the_base_before_the_heir():
    text = f"""
    VAR_GLOBAL number : INT; END_VAR
    FUNCTION Next : INT number := number + 1; Next := number; END_FUNCTION
    FUNCTION_BLOCK Part VAR_OUTPUT place : INT; END_VAR
    METHOD FB_Init : BOOL {INPUTS} END_VAR place := Next(); END_METHOD END_FUNCTION_BLOCK
    FUNCTION_BLOCK Base VAR_OUTPUT base : INT; inBase : Part; END_VAR
    METHOD FB_Init : BOOL {INPUTS} k : INT; END_VAR base := 10 * k + Next(); END_METHOD END_FUNCTION_BLOCK
    FUNCTION_BLOCK Heir EXTENDS Base VAR_OUTPUT heir, more : INT; inHeir : Part; END_VAR
    METHOD FB_Init : BOOL {INPUTS} k, l : INT; END_VAR heir := Next(); more := base + l; END_METHOD
    END_FUNCTION_BLOCK
    FUNCTION_BLOCK Last EXTENDS Heir END_FUNCTION_BLOCK
    PROGRAM Main VAR last : Last(k := 5, l := 200); END_VAR ; END_PROGRAM
    """
    last = started(text).read("Main.last")
    assert last == {
        "base": 53, "inBase": {"place": 1}, "heir": 4, "more": 253, "inHeir": {"place": 2},
    }  # fmt: skip


def test_a_heir_that_calls_its_base_itself_decides_with_what():
    text = (
        METER
        + f"""
    FUNCTION_BLOCK Twice EXTENDS Meter
    METHOD FB_Init : BOOL {INPUTS} start : INT; END_VAR
    SUPER^.FB_Init(bInitRetains, bInCopyCode, 2 * start);
    END_METHOD END_FUNCTION_BLOCK
    PROGRAM Main VAR t : Twice(4); END_VAR ; END_PROGRAM
    """
    )
    plc = started(text)
    assert (plc.read("Main.t.n"), plc.read("Main.t.calls")) == (8, 1)


def test_globals_come_before_programs_and_each_instance_of_a_program_has_its_own():
    text = (
        METER
        + """
    VAR_GLOBAL base : Meter(start := 100); END_VAR
    PROGRAM Main VAR_INPUT k : INT; END_VAR VAR own : INT := 5; m : Meter(own + base.n); END_VAR
    VAR_OUTPUT n : INT; END_VAR n := m.n; END_PROGRAM
    CONFIGURATION C RESOURCE r ON PLC TASK t(INTERVAL := T#10ms, PRIORITY := 1);
    PROGRAM One WITH t : Main; PROGRAM Two WITH t : Main; END_RESOURCE
    VAR_CONFIG r.Two.m.n : INT := 77; END_VAR END_CONFIGURATION
    """
    )
    plc = started(text)
    assert (plc.read("One.m.n"), plc.read("Two.m.n"), plc.read("Two.m.calls")) == (105, 77, 1)


def test_arguments_by_name_by_place_and_of_several_variables():
    plc = started(program("a, b : Meter(k + 1); k : INT := 4; c : Meter(start := SHL(k, 1)); d : Meter(2);"))
    assert [plc.read(f"Main.{each}.n") for each in "abcd"] == [5, 5, 8, 2]


def test_arrays_with_arguments_for_each_and_for_all():
    variables = "a : ARRAY[1..2, 0..1] OF Meter[(start := 1), (2), (3), (start := 4)] := [2((x := 1))];"
    variables += "b : ARRAY[1..3] OF ARRAY[5..6] OF Meter(9) := [[(x := 3)]];"
    plc = started(program(variables))
    assert [each["n"] for each in plc.read("Main.a")] == [1, 2, 3, 4]
    assert [each["x"] for each in plc.read("Main.a")] == [1, 1, 7, 7]
    rows = plc.read("Main.b")
    assert [(each["n"], each["x"], each["calls"]) for row in rows for each in row] == [
        (9, 3, 1), *[(9, 7, 1)] * 5,
    ]  # fmt: skip


def test_everything_that_can_be_given_behind_it():
    text = f"""
    TYPE Point : STRUCT x, y : INT; name : STRING[5]; b : BIT; END_STRUCT; END_TYPE
    INTERFACE Source METHOD get : INT END_METHOD END_INTERFACE
    FUNCTION_BLOCK Two IMPLEMENTS Source METHOD get : INT get := 2; END_METHOD END_FUNCTION_BLOCK
    FUNCTION_BLOCK F
    VAR_INPUT list : ARRAY[1..3] OF INT := [1, 2, 3]; p : Point; texts : ARRAY[1..2] OF STRING[3];
    s : Source; r : REF_TO INT; small : INT(0..9); points : ARRAY[1..2] OF Point; END_VAR
    VAR_OUTPUT got : INT; END_VAR
    METHOD FB_Init : BOOL {INPUTS} END_VAR
    list[1] := 50; p.x := 60; p.y := 61; texts[1] := 'abc'; small := 9; points[2].x := 5; points[1].x := 6;
    END_METHOD
    IF s <> NULL THEN got := s.get() + r^; END_IF;
    END_FUNCTION_BLOCK
    PROGRAM Main VAR two : Two; n : INT := 40; plain : F;
    f : F := (list := [7, 8], p := (y := 3, name := 'p', b := TRUE), texts := ['x'], s := two, r := REF(n),
    small := 4, points := [(y := 1)]); END_VAR f(); END_PROGRAM
    """
    plc = started(text)
    plc.scan()
    f, plain = plc.read("Main.f"), plc.read("Main.plain")
    assert (f["list"], f["small"], f["got"], f["texts"]) == ([7, 8, 0], 4, 42, ["x", ""])
    assert f["p"] == {"x": 60, "y": 3, "name": "p", "b": True}
    assert [(each["x"], each["y"]) for each in f["points"]] == [(6, 1), (5, 0)]
    assert (plain["list"], plain["p"]["x"], plain["texts"]) == ([50, 2, 3], 60, ["abc", ""])


def test_references_pointers_and_interfaces_may_be_given():
    text = f"""
    INTERFACE Log METHOD add : INT VAR_INPUT n : INT; END_VAR END_METHOD END_INTERFACE
    FUNCTION_BLOCK Sum IMPLEMENTS Log VAR_OUTPUT all : INT; END_VAR
    METHOD add : INT VAR_INPUT n : INT; END_VAR all := all + n; add := all; END_METHOD END_FUNCTION_BLOCK
    FUNCTION_BLOCK F VAR_OUTPUT said : INT; END_VAR
    VAR log : Log; target : REFERENCE TO INT; p : POINTER TO INT; END_VAR
    METHOD FB_Init : BOOL {INPUTS} out : Log; there : REFERENCE TO INT; ptr : POINTER TO INT; END_VAR
    log := out; target REF= there; p := ptr; said := log.add(5);
    END_METHOD
    target := target + 1; p^ := p^ + 10; said := log.add(1);
    END_FUNCTION_BLOCK
    VAR_GLOBAL sum : Sum; END_VAR
    PROGRAM Main VAR n, m : INT; f : F(sum, n, ptr := ADR(m)); END_VAR f(); END_PROGRAM
    """
    plc = started(text)
    assert (plc.read("Main.f.said"), plc.read("sum.all")) == (5, 5)
    plc.scan(2)
    assert [plc.read(path) for path in ("Main.n", "Main.m", "sum.all", "Main.f.said")] == [2, 20, 7, 7]


def test_variables_of_calls_get_it_in_each_call():
    text = (
        METER
        + """
    TYPE Pair : STRUCT one : Plain; END_STRUCT; END_TYPE
    FUNCTION_BLOCK Plain VAR_OUTPUT inner : INT; END_VAR VAR m : Meter(start := 6); END_VAR
    inner := m.n; END_FUNCTION_BLOCK
    FUNCTION Times : INT VAR_INPUT k : INT; END_VAR VAR m : ARRAY[1..2] OF Meter(k * 2) := [(x := 1)]; END_VAR
    m[2](); Times := m[2].n + 100 * m[1].x; END_FUNCTION
    FUNCTION_BLOCK Kept METHOD PUBLIC count : INT VAR_INST m : Meter(50); END_VAR
    m(); count := m.n; END_METHOD END_FUNCTION_BLOCK
    PROGRAM Main VAR k : INT := 3; f : INT; pair : Pair; kept : Kept; counted : INT; END_VAR
    VAR_TEMP t : Meter(k); END_VAR VAR_STAT s : Meter(60); END_VAR VAR fromTemp, shared : INT; END_VAR
    f := Times(k); k := k + 1; pair.one(); counted := kept.count(); fromTemp := t.n; s(); shared := s.n;
    END_PROGRAM
    """
    )
    plc = started(text)
    plc.scan(2)
    values = [plc.read(f"Main.{each}") for each in ("f", "fromTemp", "counted", "shared", "pair.one.inner")]
    assert values == [109, 4, 52, 62, 6]


def test_it_may_be_called_by_hand_later():
    plc = started(program("m : Meter(1);", "m.FB_Init(FALSE, TRUE, start := 20);"))
    plc.scan()
    assert plc.read("Main.m") == {"x": 7, "n": 20, "seen": 7, "calls": 2, "retains": False, "copied": True}


def test_resources_have_their_own():
    text = (
        METER
        + """
    FUNCTION_BLOCK User VAR_OUTPUT m : Meter(start := shared + 1); END_VAR END_FUNCTION_BLOCK
    PROGRAM Main VAR u : User; END_VAR u(); END_PROGRAM
    CONFIGURATION C
    RESOURCE one ON PLC VAR_GLOBAL shared : INT := 10; own : Meter(shared); END_VAR
    TASK t(INTERVAL := T#10ms, PRIORITY := 1); PROGRAM A WITH t : Main; END_RESOURCE
    RESOURCE two ON PLC VAR_GLOBAL shared : INT := 20; own : Meter(shared); END_VAR
    TASK t(INTERVAL := T#10ms, PRIORITY := 1); PROGRAM B WITH t : Main; END_RESOURCE END_CONFIGURATION
    """
    )
    plc = started(text)
    values = [plc.read(each) for each in ("A.u.m.n", "B.u.m.n", "one.own.n", "two.own.n")]
    assert values == [11, 21, 10, 20]


# What the image holds -----------------------------------------------------------------------------

CALLING = f"""
FUNCTION_BLOCK Adder VAR_IN_OUT sum : INT; END_VAR VAR_INPUT n : INT; END_VAR
METHOD add : INT VAR_IN_OUT into : INT; END_VAR into := into + n; END_METHOD
sum := sum + n; END_FUNCTION_BLOCK
FUNCTION_BLOCK F VAR_OUTPUT sum : INT; p : POINTER TO INT; END_VAR VAR adder : Adder; END_VAR
METHOD FB_Init : BOOL {INPUTS} END_VAR
p := ADR(sum); adder(sum := sum, n := 4); adder.add(into := sum); p^ := p^ * 2;
END_METHOD END_FUNCTION_BLOCK
PROGRAM Main VAR f : F; out AT %QW3 : INT := 5; END_VAR out := out + f.sum; END_PROGRAM
"""


def test_a_program_compiles_to_the_same_bytes_each_time():
    first, second = compiled(CALLING), compiled(CALLING)
    assert first.to_bytes() == second.to_bytes()
    plc = second.simulator()
    assert (plc.read("Main.f.sum"), plc.read("%QW3")) == (16, 5)


def test_without_it_nothing_is_run_or_added():
    text = program("m : Plain;").replace("FB_Init", "Begin").replace("Plain", "Meter")
    application = compiled(text)
    assert b"iw_first" not in application.object_code
    assert application.simulator().read("Main.m.n") == 0


def test_it_is_a_method_as_any_other_in_the_standard_profile():
    text = (
        METER.replace("METHOD", "METHOD PUBLIC", 1) + "PROGRAM Main VAR m : Meter; END_VAR m(); END_PROGRAM"
    )
    assert compiled(text, "iec").simulator().read("Main.m.calls") == 0


# What is told -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "finding"),
    [
        (
            "m : Meter;",
            "ST4006 start of Meter.FB_Init is missing; give it where the instance is declared: Meter(",
        ),
        ("m : ARRAY[1..2] OF Meter;", "ST4006 start of Meter.FB_Init is missing; "),
        ("m : Meter(x := 2);", "ST4003 Meter.FB_Init has no parameter x; it has start"),
        ("m : Meter(stat := 2);", "ST4003 Meter.FB_Init has no parameter stat; did you mean start?"),
        ("m : Meter(1, 2);", "ST4002 Meter.FB_Init takes 1 argument, not 2; parameters: start"),
        ("m : Meter(start := 1, start := 2);", "ST4004 parameter start is given twice; "),
        ("m : Meter(1, bInCopyCode := TRUE);", "ST4004 parameter bInCopyCode is given twice; "),
        ("m : Meter(TRUE);", "ST3001 BOOL does not convert to INT; "),
        ("m : Meter(100000);", "ST3004 100000 is no value of INT; "),
        ("m : Meter(start := k);", "ST2003 there is no variable k; "),
        (
            "m : ARRAY[1..3] OF Meter[(1), (2)];",
            "ST2053 2 lists of arguments for 3 instances; write one for each,",
        ),
        ("m : Meter[(1), (2)];", "ST2053 2 lists of arguments for 1 instance; "),
        ("t : TON(PT := T#1s);", "ST2053 TON has no FB_Init: it takes no arguments where an instance is "),
        (
            "t : ARRAY[1..2] OF TON[(IN := TRUE)];",
            "ST2053 TON has no FB_Init: it takes no arguments where an ",
        ),
        (
            "p : POINTER TO Meter(1);",
            "ST2053 nothing here takes arguments for Meter.FB_Init; declare a variable ",
        ),
        ("t : Nothing(1);", "ST2001 there is no type Nothing; "),
        (
            "t : Speed(A := 1);",
            "ST2053 INT takes no arguments; an enumeration names its type so: USINT (Red := 1",
        ),
    ],
)
def test_mistakes_are_told_once(variables, finding):
    (only,) = findings("TYPE Speed : INT; END_TYPE" + program(variables))
    assert only.startswith(finding)


@pytest.mark.parametrize("variables", ["t : TON(PT := T#1s);", "t : ARRAY[1..2] OF TON[(IN := TRUE)];"])
def test_the_standard_profile_names_the_other_one(variables):
    (only,) = findings(f"PROGRAM Main VAR {variables} END_VAR ; END_PROGRAM", "iec")
    assert only.startswith(
        "ST2053 TON takes no arguments where an instance is declared; give inputs behind it: "
    )
    assert only.endswith("FB_Init belongs to the profile codesys")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            "FUNCTION_BLOCK F METHOD FB_Init : BOOL VAR_INPUT bInitRetains : BOOL; END_VAR END_METHOD "
            "END_FUNCTION_BLOCK",
            "ST2053 F.FB_Init lacks the input bInCopyCode : BOOL; begin with VAR_INPUT bInitRetains : BOOL; ",
        ),
        (
            f"{METER} FUNCTION_BLOCK F EXTENDS Meter METHOD FB_Init : BOOL {INPUTS} other : INT; END_VAR "
            "END_METHOD END_FUNCTION_BLOCK",
            "ST2022 F.FB_Init lacks parameters of Meter.FB_Init; declare them as in Meter.FB_Init, more may",
        ),
        (
            f"{METER} TYPE S : STRUCT m : Meter(start := 1); END_STRUCT; END_TYPE",
            "ST2053 nothing here takes arguments for Meter.FB_Init; declare a variable of Meter, or of",
        ),
    ],
)
def test_what_is_wrong_with_declarations_of_types_is_told(text, finding):
    (only,) = findings(text + " PROGRAM Main VAR x : INT; END_VAR x := 1; END_PROGRAM")
    assert only.startswith(finding)


def failing(statement):
    return f"""FUNCTION_BLOCK F VAR a : ARRAY[1..3] OF INT; since : TIME; delay : TON; n : INT; END_VAR
METHOD FB_Init : BOOL
{INPUTS} k : INT; END_VAR
{statement}
END_METHOD
END_FUNCTION_BLOCK
PROGRAM Main VAR
f : F(k := 4);
END_VAR ; END_PROGRAM"""


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "a[k] := 1;",
            "a.st:4: ST9003 stopped before the first scan: index out of range in F.FB_Init (4 is not in "
            "1..3)",
        ),
        ("since := TIME();", "a.st:8: ST9003 FB_Init gives Main.f a value that depends on the time"),
        (
            "delay(IN := TRUE, PT := T#1s);",
            "a.st:8: ST9003 FB_Init gives Main.f a value that depends on the time",
        ),
    ],
)
def test_what_stops_or_takes_the_time_is_told_when_the_program_is_compiled(statement, told):
    assert stopped(failing(statement)) == told


def test_a_loop_without_end_is_stopped():
    told = stopped(failing("WHILE k > 0 DO n := n + 1; END_WHILE;"))
    assert told == (
        "a.st:4: ST9003 stopped before the first scan: "
        "a loop ran longer than the watchdog allows in F.FB_Init"
    )
    assert explanation("ST9003").startswith("ST9003: FB_Init")


def test_a_fault_in_an_argument_is_told_where_it_is_declared():
    text = program("zero : INT; m : Meter(\nstart := 5 / zero);")
    assert stopped(text) == "a.st:12: ST9003 stopped before the first scan: division by zero in Main (5 / 0)"


def test_an_instance_that_only_has_its_fb_init_and_a_result_that_nobody_reads_are_no_warnings():
    text = program("one : Meter(1); list : ARRAY[1..2] OF Meter[(2), (3)];", "list[1]();")
    text += " FUNCTION F : INT VAR m : Meter(start := 4); END_VAR F := 1; END_FUNCTION"
    assert softplc.check(sources={"a.st": text}, profile="codesys") == []


# Around it ----------------------------------------------------------------------------------------


def test_the_formatter_knows_arguments():
    text = "PROGRAM P VAR f:Meter(start:=1):=(x:=3);list:ARRAY[1..2] OF Meter[(start:=1),(2)];END_VAR f();"
    text += "END_PROGRAM"
    assert format_text(text, "a.st", CODESYS) == (
        "PROGRAM P\nVAR\n    f    : Meter(start := 1) := (x := 3);\n"
        "    list : ARRAY[1..2] OF Meter[(start := 1), (2)];\nEND_VAR\n\nf();\nEND_PROGRAM\n"
    )


def test_a_warm_start_keeps_what_is_retained_and_takes_the_rest_from_fb_init(tmp_path):
    text = program("m : Meter(start := 30);", "m();").replace(
        "n, seen, calls : INT;", "seen, calls : INT; END_VAR VAR_OUTPUT RETAIN n : INT; END_VAR VAR_OUTPUT"
    )
    application = compiled(text)
    plc = application.simulator()
    plc.scan(3)
    plc.write("Main.m.seen", 99)
    layout = Layout.of(application)
    Retention(tmp_path).prepare(layout)
    data = b"".join(bytes(plc.image[at : at + size]) for at, size in layout.ranges)
    Slots(tmp_path).write(layout.digest, data, 1)
    plc = application.simulator()
    plc.image[:] = Retention(tmp_path).restore(layout, application.initial_image).image
    assert (plc.read("Main.m.n"), plc.read("Main.m.calls")) == (33, 1)


def test_an_online_change_calls_it_for_what_is_new_alone():
    old = compiled(program("stays : Meter(start := 10);", "stays();"))
    new = compiled(
        program("comes : Meter(start := 20); stays : Meter(start := 11);", "stays(); comes();").replace(
            "seen, calls", "more, seen, calls"
        )
    )
    before, after = old.simulator(), new.simulator()
    before.scan(2)
    migration = plan(old, new)
    assert migration.refusals == ()
    image = bytearray(after.image)
    carry(migration.moves, migration.spans, bytes(before.image), image)
    after.image[:] = image
    after.scan(1, 0)
    assert [after.read(f"Main.{each}.n") for each in ("stays", "comes")] == [13, 21]
    assert [after.read(f"Main.{each}.calls") for each in ("stays", "comes")] == [1, 1]


def test_a_debugger_is_not_asked_and_finds_the_same_image():
    text = program("m : ARRAY[1..2] OF Meter(start := 3);", "m[1]();")
    stoppable = compile_stoppable({"a.st": text}, CODESYS)
    stopping, plain = stoppable.application.simulator(), started(text)
    assert stopping.read("Main.m") == plain.read("Main.m")
    asked = []

    def ask(_, site):
        asked.append(stoppable.sites.all[site].pou.name)
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)(ask)
    base, count = stoppable.sites.base, len(stoppable.sites.all)
    struct.pack_into("<Q", stopping.image, base + CALLBACK, ctypes.cast(callback, ctypes.c_void_p).value)
    stopping.image[base + TABLE : base + TABLE + count] = b"\1" * count
    stopping.scan()
    assert set(asked) == {"Main", "Meter"}
    assert {each.pou.name for each in stoppable.sites.all} == {"Main", "Meter", "Meter.FB_Init"}


def test_coverage_counts_what_ran_in_it():
    text = METER.replace("n := start;", "IF start > 5 THEN n := 5; END_IF;\nn := start;")
    text += "PROGRAM Main\nVAR m : Meter(start := 3); END_VAR\nm();\nEND_PROGRAM"
    application, marks = compile_marked({"a.st": text}, CODESYS)
    image = application.initial_image
    ran = {line: bool(image[marks.base + n]) for n, (_, line) in enumerate(marks.lines)}
    assert ran == {7: True, 8: True, 10: False, 14: False}
    ways = {what: bool(image[marks.base + n]) for n, (*_, what) in enumerate(marks.ways, len(marks.lines))}
    assert sorted(ways.values()) == [False, True]


def test_the_language_server_knows_arguments():
    text = program(
        "k : INT := 2; list : ARRAY[1..2] OF Meter[(start := k), (start := 3)]; one, two : Meter(k);"
    )
    analysis = Analysis({"a.st": text}, CODESYS)
    for old, new, places in (("start", "begin", 4), ("k", "kilo", 3)):
        found = next(each for each in analysis.index.found if each.symbol.name == old and each.declares)
        after = renamed(analysis, rename(analysis, found.symbol, new), new)["a.st"]
        assert after.count(new) == places
        assert findings(after) == []


def test_completion_offers_fb_init_and_nothing_made_up():
    text = (
        METER
        + """FUNCTION_BLOCK Holder VAR_OUTPUT m : Meter(start := 1); END_VAR m(); END_FUNCTION_BLOCK
    PROGRAM Main VAR h : Holder; n : INT; END_VAR n := h.m.n; END_PROGRAM"""
    )
    analysis = Analysis({"a.st": text}, CODESYS)
    for written, wanted in (("h.m.", {"FB_Init", "n", "x"}), ("h.", {"m"})):
        spot = spot_at(text, text.index("h.m.n") + len(written))
        labels = {each.label for each in complete(spot, Scope(analysis.project, analysis.unit_at(spot)))}
        assert wanted <= labels
        assert not any(each.startswith("$") or not each for each in labels)


def test_plcopen_xml_cannot_say_it():
    with pytest.raises(softplc.CompileError) as caught:
        export({"a.st": "PROGRAM Main VAR m : TON(PT := T#1s); END_VAR m(); END_PROGRAM"}, CODESYS)
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.message[:21]) == ("ST1025", "arguments for FB_Init")
