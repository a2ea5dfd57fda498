"""References that have a target from the start, and those to what ends with a call."""

import pytest

import softplc

TEXT = """VAR_GLOBAL g : INT; b AT %MX1.0 : BOOL; END_VAR VAR_GLOBAL CONSTANT c : INT := 1; END_VAR
FUNCTION_BLOCK F VAR n : INT; END_VAR VAR_IN_OUT io : INT; END_VAR VAR_INPUT i : INT; END_VAR
VAR_TEMP t : INT; END_VAR VAR {} END_VAR n := i; t := n; io := t; END_FUNCTION_BLOCK
"""


def told(text: str) -> list[str]:
    findings = softplc.check(sources={"x.st": text})
    return [f"{each.code} {each.message}" for each in findings if each.severity == "error"]


@pytest.mark.parametrize(
    ("declaration", "finding"),
    [
        ("r : REF_TO INT := REF(io);", "ST4005 there is no reference to io, which ends with the call"),
        ("r : REF_TO INT := REF(t);", "ST4005 there is no reference to t, which ends with the call"),
        ("r : REF_TO INT := REF(c);", "ST4005 there is no reference to a constant"),
        ("r : REF_TO BOOL := REF(b);", "ST4005 there is no reference to a located BOOL"),
        ("r : REF_TO DINT := REF(g);", "ST3001 REF_TO INT does not convert to REF_TO DINT"),
        ("r : REF_TO INT := REF(gg);", "ST2003 there is no variable gg"),
        ("r : REF_TO INT := g;", "ST3001 INT does not convert to REF_TO INT"),
        (
            "a : ARRAY[0..1] OF INT; r : REF_TO INT := REF(a[n]);",
            "ST2006 an initial value refers to an element",
        ),
        ("a : ARRAY[0..1] OF INT; r : REF_TO INT := REF(a[2]);", "ST3005 index 2 is outside 0..1"),
        ("q : REF_TO INT; r : REF_TO INT := REF(q^);", "ST2006 an initial value refers to what another"),
        ("r : REF_TO INT := REF(g) + 1;", "ST3002 "),
    ],
)
def test_a_target_that_cannot_be_is_told_once(declaration, finding):
    (only,) = told(TEXT.format(declaration))
    assert only.startswith(finding)


def test_an_input_of_a_function_refers_to_globals_only():
    text = TEXT.format("x : INT;")
    text += "FUNCTION h : INT VAR_INPUT a : INT; r : REF_TO INT := REF(g); END_VAR h := r^; END_FUNCTION"
    assert told(text) == []


def test_nothing_refers_to_memory_that_has_ended():
    text = """VAR_GLOBAL keep : REF_TO INT; END_VAR
    FUNCTION_BLOCK F VAR a : INT; END_VAR a := a + 1; keep := REF(a); END_FUNCTION_BLOCK
    FUNCTION fu : INT VAR f : F; x : ARRAY[0..3] OF INT; END_VAR f(); fu := x[1]; END_FUNCTION
    FUNCTION other : INT VAR x : ARRAY[0..9] OF INT; END_VAR x[9] := 5; other := x[9]; END_FUNCTION
    PROGRAM Main VAR x, y, z : INT; END_VAR
    x := fu(); keep^ := keep^ + 76; y := keep^; z := other() + fu() + keep^; END_PROGRAM"""
    plc = softplc.compile(sources={"x.st": text}).simulator()
    plc.scan(3)
    assert (plc.read("Main.y"), plc.read("Main.z")) == (77, 6)
