"""Every rule: its accepted example compiles, its rejected example gives exactly its code."""

import re

import pytest

import softplc
from softplc.explain import explanation
from softplc.rules.walk import modules

STARTS = ("PROGRAM", "FUNCTION", "CLASS", "INTERFACE", "TYPE", "CONFIGURATION", "VAR_GLOBAL", "NAMESPACE")
RULES = {module.__name__.rsplit(".", 1)[-1]: module for module in modules()}


def example(text: str) -> str:
    return text if text.startswith(STARTS) else f"PROGRAM Example {text} END_PROGRAM"


def parts(doc: str) -> dict[str, str]:
    unfolded = re.sub(r"\n +", " ", doc)
    found = dict(re.findall(r"^(Accepted|Rejected|Source): (.*)$", unfolded, re.MULTILINE))
    assert set(found) == {"Accepted", "Rejected", "Source"}
    return found


@pytest.mark.parametrize("name", RULES)
def test_accepted_example_compiles(name):
    softplc.compile(sources={"example.st": example(parts(RULES[name].__doc__)["Accepted"])})


@pytest.mark.parametrize("name", RULES)
def test_rejected_example_gives_exactly_its_code(name):
    doc = RULES[name].__doc__
    code = doc.split(":", 1)[0]
    findings = softplc.check(sources={"example.st": example(parts(doc)["Rejected"])})
    assert [each.code for each in findings] == [code]
    assert explanation(code.lower()).startswith(code)


def test_each_code_has_one_rule():
    codes = [module.__doc__.split(":", 1)[0] for module in RULES.values()]
    assert len(codes) == len(set(codes))


def codes(text: str) -> list[str]:
    return [each.code for each in softplc.check(sources={"x.st": text})]


def test_a_syntax_error_hides_no_error_elsewhere():
    text = """FUNCTION F : INT VAR_INPUT a : INT; END_VAR F := a + ; END_FUNCTION
    PROGRAM P VAR x : INT; END_VAR x := TRUE; x := 1; y := 2; END_PROGRAM"""
    assert codes(text) == ["ST1010", "ST3001", "ST2003"]


@pytest.mark.parametrize(
    "text",
    [
        "PROGRAM P VAR x : INT = 5; y : INT; END_VAR x := y; y := x; END_PROGRAM",
        "TYPE S : STRUCT a INT; b : INT; END_STRUCT; END_TYPE PROGRAM P VAR s:S; END_VAR s.a:=1; END_PROGRAM",
        "FUNCTION : INT VAR_INPUT a : INT; END_VAR F := a; END_FUNCTION PROGRAM P F(1); END_PROGRAM",
        "PROGRAM P VAR x : INT; END_VAR IF x = 1 THE x := 2; ELSE x := 3; END_IF; END_PROGRAM",
        "PROGRAM P VAR a : INT END_VAR a := 1; a := a + 1; END_PROGRAM",
        "PROGRAM P VAR a : INT; END_VAR IF a = 1 THEN a := 2; ELSEIF a = 2 THEN a := 1; END_IF; END_PROGRAM",
        "NAMESPACE N.M FUNCTION F : INT F := 1; END_FUNCTION END_NAMESPACE PROGRAM P F(); END_PROGRAM",
        "PROGRAM P VAR a : POINTER TO INT; END_VAR a^ := 1; END_PROGRAM",
        "CONFIGURATION C VAR_ACCESS a : r.p.x : INT; END_VAR END_CONFIGURATION PROGRAM P END_PROGRAM",
        "PROGRAM P VAR q : BOOL; END_VAR INITIAL_STEP a: q(X); END_STEP STEP b: END_STEP END_PROGRAM",
        "FUNCTION_BLOCK B PROPERTY p : INT GET p := 1; END_GET END_PROPERTY END_FUNCTION_BLOCK",
        "FUNCTIONBLOCK B VAR a : INT; END_VAR a := 1; END_FUNCTION_BLOCK",
        "PROGRAM P VAR a : STRING; END_VAR a := '\u20ac'; END_PROGRAM",
    ],
)
def test_one_syntax_error_is_told_once(text):
    assert len(codes(text)) == 1


def deep(text: str) -> list[str]:
    return codes(f"PROGRAM P VAR y : DINT; b : BOOL; s : STRING; l : LREAL; END_VAR {text} END_PROGRAM")


def test_long_chains_work():
    assert deep("y := y" + " + y" * 1500 + ";") == []
    assert deep("IF y = 0 THEN y := 1;" + " ELSIF y = 1 THEN y := 2;" * 500 + " END_IF;") == []
    constants = "".join(f"c{i} : INT := c{i - 1};" for i in range(999, 0, -1)) + "c0 : INT := 1;"
    text = f"VAR_GLOBAL CONSTANT {constants} END_VAR PROGRAM P VAR a : INT; END_VAR a := c999; END_PROGRAM"
    softplc.compile(sources={"x.st": text})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("y := y" + " + y" * 3000 + ";", "ST1012"),
        ("s := '" + "a" * 40_000 + "';", "ST1014"),
        ("y := " + "9" * 5000 + ";", "ST1014"),
        ("l := 1.0E400;", "ST1014"),
    ],
)
def test_what_is_too_large_is_refused(text, code):
    assert deep(text) == [code]


def test_structures_larger_than_memory_are_refused():
    types = "".join(f"s{i} : STRUCT a, b : s{i - 1}; END_STRUCT;" for i in range(1, 40))
    types = f"TYPE s0 : STRUCT a, b : INT; END_STRUCT; {types} END_TYPE"
    assert codes(f"{types} PROGRAM P VAR s : s39; END_VAR END_PROGRAM") == ["ST2014"]


def test_warnings_do_not_fail():
    text = """FUNCTION F : INT VAR a : INT; END_VAR F := 1; END_FUNCTION
    PROGRAM P VAR x : INT; END_VAR x := F(); END_PROGRAM"""
    softplc.compile(sources={"x.st": text})
    assert [(each.code, each.severity) for each in softplc.check(sources={"x.st": text})] == [
        ("ST6001", "warning")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CLASS A END_CLASS PROGRAM P VAR a : A; END_VAR a.n(); END_PROGRAM", ["ST2004"]),
        ("PROGRAM P VAR w : WSTRING[0]; END_VAR END_PROGRAM", ["ST2014"]),
        ("PROGRAM P VAR w : WSTRING; s : STRING; END_VAR s := w; w := 'a'; END_PROGRAM", ["ST3001"] * 2),
        ("PROGRAM P VAR w : WSTRING; b : BOOL; END_VAR b := w = 'a'; END_PROGRAM", ["ST3002"]),
        ("PROGRAM P VAR w : WSTRING; END_VAR w := CONCAT(w, 'a'); END_PROGRAM", ["ST4005"]),
        ("PROGRAM P VAR c : CHAR; END_VAR c := 'ab'; END_PROGRAM", ["ST3001"]),
        ("PROGRAM P VAR c : CHAR; END_VAR c := CHAR#'ab'; c := 'a$0'; END_PROGRAM", ["ST1014"] * 2),
        ("PROGRAM P VAR s : STRING; END_VAR s := STRING#\"a\"; s := '€'; END_PROGRAM", ["ST1014"] * 2),
        ("PROGRAM P VAR s : STRING[3]; END_VAR s[0] := 'a'; s[4] := 'a'; END_PROGRAM", ["ST3005", "ST3005"]),
        (
            "PROGRAM P VAR s : STRING[3]; END_VAR s[1] := 'ab'; s[1, 2] := 0; END_PROGRAM",
            ["ST3001", "ST3005"],
        ),
        ("PROGRAM P VAR z : INT[5]; END_VAR END_PROGRAM", ["ST2014"]),
        ("CLASS A END_CLASS PROGRAM P VAR a : A; END_VAR a(); END_PROGRAM", ["ST4001"]),
        ("CLASS A EXTENDS B END_CLASS CLASS B EXTENDS A END_CLASS", ["ST2020"]),
        (
            "PROGRAM P VAR_TEMP t : INT; END_VAR VAR r : REF_TO INT; END_VAR r := REF(t); END_PROGRAM",
            ["ST4005"],
        ),
        ("PROGRAM P VAR r : REF_TO INT; END_VAR r := REF(t); END_PROGRAM", ["ST2003"]),
        ("PROGRAM P VAR t : DINT; r : REF_TO INT; END_VAR r := REF(t); END_PROGRAM", ["ST3001"]),
        (
            "FUNCTION_BLOCK B ; END_FUNCTION_BLOCK TYPE T : B; END_TYPE PROGRAM P T(); END_PROGRAM",
            ["ST4001"],
        ),
        (
            "FUNCTION F : INT VAR_OUTPUT q : INT; END_VAR q := 1; F := 2; END_FUNCTION "
            "PROGRAM P VAR x : INT; END_VAR x := F(q => 3); END_PROGRAM",
            ["ST3006"],
        ),
        (
            "PROGRAM P VAR a : ARRAY[1..2] OF INT; x : DINT; END_VAR x := UPPER_BOUND(AR := a, DIM := 1); "
            "END_PROGRAM",
            ["ST4003"],
        ),
        (
            "TYPE s : STRUCT a : s; END_STRUCT; END_TYPE PROGRAM P VAR x : s; END_VAR END_PROGRAM",
            ["ST2005"],
        ),
    ],
)
def test_wrong_objects_and_references_give_one_finding(text, expected):
    assert codes(text) == expected


def test_limits_of_arrays_take_their_arguments_in_any_order():
    text = """PROGRAM P VAR a : ARRAY[2..5, 7..9] OF INT; x, y : DINT; END_VAR
    x := UPPER_BOUND(DIM := 2, ARR := a); y := LOWER_BOUND(arr := a, dim := 1); END_PROGRAM"""
    plc = softplc.compile(sources={"x.st": text}).simulator()
    plc.scan()
    assert (plc.read("P.x"), plc.read("P.y")) == (9, 2)
