"""Warnings: what bites on site is told, at its line; sensible programs are left in peace."""

from pathlib import Path

import pytest

import softplc
from softplc.formatter import format_text

ROOT = Path(__file__).parents[2]
# What a line is warned of stands behind it.
TEXT = """
TYPE S : STRUCT a, b : BOOL; END_STRUCT; END_TYPE
VAR_GLOBAL
    q AT %QX0.0 : BOOL; m, k, once, total : BOOL; s : S; arr AT %QW10 : ARRAY[0..3] OF WORD; n, sum : INT;
END_VAR
FUNCTION_BLOCK Light VAR_INPUT on : BOOL; END_VAR VAR_EXTERNAL m : BOOL; END_VAR m := on; END_FUNCTION_BLOCK
FUNCTION_BLOCK Reader VAR_OUTPUT o : BOOL; END_VAR VAR_EXTERNAL k : BOOL; END_VAR o := k; END_FUNCTION_BLOCK
FUNCTION_BLOCK Leaves VAR_EXTERNAL total : BOOL; END_VAR
total := TRUE; IF total THEN RETURN; END_IF; total := FALSE; END_FUNCTION_BLOCK
FUNCTION_BLOCK Debounce VAR_INPUT i : BOOL; END_VAR VAR_OUTPUT o : BOOL; END_VAR
VAR wait : ARRAY[0..1] OF TON; END_VAR
wait[0](IN := i, PT := T#1s); o := wait[0].Q;
END_FUNCTION_BLOCK
FUNCTION Late : BOOL VAR_INPUT i : BOOL; END_VAR VAR_IN_OUT given : TON; END_VAR
VAR
    wait : TON;  // ST6009 TON in a function keeps nothing
    both : ARRAY[1..2] OF Debounce;  // ST6009
    l : Light;
END_VAR
l(on := i); wait(IN := i); both[1](i := i); given(IN := i, PT := T#1s);
Late := wait.Q OR both[1].o OR given.Q;
END_FUNCTION
FUNCTION_BLOCK Calls VAR_INPUT i : BOOL; END_VAR VAR_OUTPUT o : BOOL; END_VAR VAR kept : TON; END_VAR
METHOD PUBLIC work : BOOL VAR_INPUT i : BOOL; END_VAR
VAR
    edge : R_TRIG;  // ST6009 in a method
END_VAR
edge(CLK := i); work := edge.Q;
END_METHOD
VAR_TEMP
    edge : R_TRIG;  // ST6009 in a VAR_TEMP
END_VAR
edge(CLK := i); kept(IN := i, PT := T#1s); o := edge.Q OR Late(i, kept) OR work(i);
END_FUNCTION_BLOCK
PROGRAM A
VAR_EXTERNAL q, m, k, once : BOOL; s : S; arr : ARRAY[0..3] OF WORD; n, sum : INT; END_VAR
VAR
    l1, l2 : Light; x, y : BOOL; t, u, v, w : TON; r : R_TRIG; c : CTU; d : CTD_DINT; re : Reader;
    p : REF_TO BOOL;    steps : ARRAY[1..3] OF TON; i : INT; a, b : REAL;
END_VAR
l1(on := x);
l2(on := y);  // ST6004 both write m
s.a := x; s.b := y;
s.a := y;  // ST6004
q := x; IF y THEN q := FALSE; END_IF;
k := FALSE; IF x THEN k := TRUE; END_IF; IF k THEN n := 1; END_IF;
k := x;
re();
k := y;
arr[0] := 1; arr[1] := 2;
IF x THEN t(IN := TRUE, PT := T#1s); ELSE n := 2; END_IF;  // ST6007
IF x THEN v(IN := TRUE); ELSE v(IN := FALSE); END_IF;
FOR i := 1 TO 3 DO steps[i](IN := x, PT := T#1s); END_FOR;
CASE n OF 0: r(CLK := y); END_CASE;  // ST6007
IF x THEN c(CU := y); END_IF;  // ST6007
WHILE x DO d(CD := y); x := FALSE; END_WHILE;  // ST6007
u(IN := x); IF u.Q THEN w(IN := FALSE); w(IN := TRUE); END_IF;
%QX5.0 := x; %QX5.0 := y;  // ST6004
%QX5.1 := x; y := %QX5.1; %QX5.1 := y;
p := REF(k); k := x; y := p^; k := y;
once := x;
sum := sum + 1;
x := a = b;  // ST6003
x := a = a OR a <> 0.0 OR ABS(a - b) < 0.1;
END_PROGRAM
PROGRAM B
VAR_EXTERNAL q, once : BOOL; arr : ARRAY[0..3] OF WORD; sum : INT; END_VAR
VAR a, b : BOOL; i : INT; END_VAR
VAR CONSTANT DEBUG : BOOL := FALSE; END_VAR
IF a THEN q := TRUE; END_IF;  // ST6004 it is a coil
arr[2] := 1; arr[1] := 3;  // ST6004
once := b;  // ST6004
sum := sum + 2;
IF DEBUG THEN b := TRUE; END_IF;
IF FALSE THEN b := TRUE; END_IF;  // ST6005
FOR i := 3 TO 1 DO b := TRUE; END_FOR;  // ST6005
FOR i := 3 TO 1 BY -1 DO b := TRUE; END_FOR;
WHILE TRUE DO IF a THEN EXIT; END_IF; a := TRUE; END_WHILE;
REPEAT a := TRUE; UNTIL FALSE END_REPEAT;
b := a;  // ST6005
END_PROGRAM
PROGRAM D VAR a, b : BOOL; i : INT; END_VAR
IF a THEN RETURN; ELSIF b THEN RETURN; END_IF;
CASE i OF 0: RETURN; ELSE RETURN; END_CASE;
b := a;  // ST6005
END_PROGRAM
FUNCTION F : REAL
VAR_INPUT a : STRING[5]; END_VAR
VAR_OUTPUT o : BOOL; END_VAR  // ST6002
VAR r : REAL; unused : INT; END_VAR  // ST6001
r := 16777217;  // ST6006
r := 1E-50;  // ST6006
r := 0.1; r := 16777216; r := 1E38;
IF LEN(a) > 3 THEN F := r; END_IF;
END_FUNCTION
FUNCTION G : BOOL VAR_OUTPUT o : INT; END_VAR o := 1; END_FUNCTION  // ST6002
FUNCTION NoResult VAR_OUTPUT o : INT; END_VAR o := 1; END_FUNCTION
PROGRAM C
VAR t : STRING; short : STRING[3]; x : REAL; y : BOOL; n : INT; END_VAR
x := F(a := t);  // ST6006
x := F(a := 'abcdefg');  // ST6006
short := LEFT(t, 3); t := short; y := G(o => n); NoResult(o => n);
END_PROGRAM
PROGRAM E VAR l : Leaves; END_VAR l(); END_PROGRAM
"""
QUIET = [
    "twin/demo/bottling/plc",
    "twin/demo/templates/minimal/plc",
    "twin/demo/templates/line/plc",
    "tests/badinput/works/plc",
]
# What programs of tests/conformance do on purpose, beside cutting texts and keeping spare variables.
MEANT = {"loops": {"ST6005"}}


def test_what_bites_is_told_at_its_line_and_nothing_else():
    lines = TEXT.splitlines()
    expected = [
        (number, line.partition("// ")[2][:6]) for number, line in enumerate(lines, 1) if "// ST" in line
    ]
    found = softplc.check(sources={"x.st": TEXT})
    assert {each.severity for each in found} == {"warning"}
    assert [(each.line, each.code) for each in found] == expected


@pytest.mark.parametrize("folder", QUIET)
def test_what_we_ship_is_quiet(folder):
    assert softplc.check(*sorted((ROOT / folder).glob("*.st"))) == []


def test_conformance_programs_are_quiet_but_where_they_mean_it():
    for file in sorted((ROOT / "tests" / "conformance").glob("*.st")):
        codes = {each.code for each in softplc.check(file)} - {"ST6001", "ST6006"}
        assert codes == MEANT.get(file.stem, set()), file


def test_two_instances_of_a_program_write_the_same_output():
    text = """VAR_GLOBAL q AT %QX0.0 : BOOL; END_VAR
    PROGRAM P VAR_EXTERNAL q : BOOL; END_VAR q := NOT q; END_PROGRAM
    CONFIGURATION C PROGRAM a : P; PROGRAM b : P; PROGRAM d : P; END_CONFIGURATION"""
    (found,) = softplc.check(sources={"x.st": text})
    assert (found.code, found.message) == ("ST6004", "q is written by a and by b: the last program wins")


def test_a_chart_is_quiet():
    text = """PROGRAM P VAR q : BOOL; t : TON; END_VAR
    INITIAL_STEP s1: a(N); END_STEP
    STEP s2: END_STEP
    TRANSITION FROM s1 TO s2 := t.Q; END_TRANSITION
    TRANSITION FROM s2 TO s1 := FALSE; END_TRANSITION
    ACTION a: q := TRUE; END_ACTION
    END_PROGRAM"""
    assert softplc.check(sources={"x.st": text}) == []


def test_many_calls_of_many_calls_are_looked_at_once():
    text = "VAR_GLOBAL g : INT; END_VAR "
    text += "FUNCTION_BLOCK B0 VAR_EXTERNAL g : INT; END_VAR g := 1; END_FUNCTION_BLOCK\n"
    for level in range(1, 12):
        text += f"FUNCTION_BLOCK B{level} VAR b : B{level - 1}; END_VAR {'b(); ' * 20}END_FUNCTION_BLOCK\n"
    text += "PROGRAM P VAR b : B11; END_VAR b(); END_PROGRAM"
    assert {each.code for each in softplc.check(sources={"a.st": text})} == {"ST6004"}


DIVISIONS = """
PROGRAM P
VAR CONSTANT NONE : INT := 0; SWITCH : INT := 0; END_VAR
VAR i : INT; u : UDINT; x : REAL; l : LREAL; t : TIME; END_VAR
i := i / 0;  // 10
i := i / NONE;  // 10: NONE is 0
i := 3 + DIV(i, 0);  // 17
i := DIV_INT(i, INT#0);  // 17
u := u / (2 - 2);  // 11
t := t / 0;  // 10
t := DIV_TIME(t, NONE);  // 18: NONE is 0
WHILE i > 7 / (NONE * 2) DO i := 1; END_WHILE;  // 16
IF SWITCH > 0 THEN i := i / SWITCH; END_IF;
x := x / 0; x := x / 0.0; l := INT_TO_LREAL(i) / 0;
i := i MOD 0 + MOD(i, 0) + 5 / i + i / 1;
END_PROGRAM
"""


def test_a_division_that_always_faults_is_told_where_its_divisor_stands():
    wanted = {}
    for line, text in enumerate(DIVISIONS.splitlines(), 1):
        column, _, name = text.partition("// ")[2].partition(":")
        if column:
            message = f"division by zero{name and ':'}{name}; the task stops with a fault where this runs"
            wanted[line] = (int(column), "ST6008", message, "warning")
    found = softplc.check(sources={"a.st": DIVISIONS})
    assert {each.line: (each.column, each.code, each.message, each.severity) for each in found} == wanted
    assert {each.remedy for each in found} == {"divide by something else, or leave the division out"}
    (refused,) = softplc.check(sources={"a.st": "PROGRAM P VAR i : INT; END_VAR i := 1 / 0; END_PROGRAM"})
    assert (refused.code, refused.message, refused.remedy) == (
        "ST3002",
        "division by zero",
        "divide by something else",
    )


def test_such_a_division_still_stops_the_task():
    plc = softplc.compile(sources={"a.st": DIVISIONS}).simulator()
    with pytest.raises(softplc.PlcFaultError, match="division by zero"):
        plc.scan()


def test_code_for_another_compiler_is_told_and_does_nothing():
    text = 'PROGRAM P VAR n : INT; END_VAR\n{{ if (1) { call("}"); } }}\nn := n + 1;\nEND_PROGRAM\n'
    (told,) = softplc.check(sources={"a.st": text})
    assert (told.code, told.severity, told.line) == ("ST6021", "warning", 2)
    assert '\n{{ if (1) { call("}"); } }}\n' in format_text(text)
