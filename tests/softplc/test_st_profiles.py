"""Profiles: what only `codesys` takes, how it is chosen, and what is wrong under it."""

import json

import pytest
from typer.testing import CliRunner

import softplc
from runtime.errors import PlantError
from softplc.cli import app
from softplc.profiles import PROFILES

POINTER = (
    "PROGRAM Main VAR x : INT := 4; p : POINTER TO INT; y : INT; END_VAR p := ADR(x); y := p^; END_PROGRAM"
)


def told(text: str, profile: str = "codesys") -> list[str]:
    findings = softplc.check(sources={"x.st": text}, profile=profile)
    return [f"{each.code} {each.message}; {each.remedy}" for each in findings if each.severity == "error"]


def program(text: str) -> str:
    return f"""TYPE S : STRUCT t : STRING[8]; n : INT; END_STRUCT; END_TYPE
    FUNCTION_BLOCK F VAR n : INT; END_VAR PROPERTY p : INT GET p := n; END_GET END_PROPERTY
    PROPERTY q : INT SET n := q; END_SET END_PROPERTY
    PROPERTY PRIVATE h : INT GET h := n; END_GET END_PROPERTY
    PROPERTY s : S GET s.n := n; END_GET END_PROPERTY n := n; END_FUNCTION_BLOCK
    ACTION act: n := n + 1; END_ACTION
    PROGRAM Main VAR CONSTANT c : INT := 1; END_VAR
    VAR i : INT; d : DWORD; r : REAL; b AT %MX1.0 : BOOL; s : S;
    pi : POINTER TO INT; pr : POINTER TO REAL; pb : POINTER TO BYTE; ps : POINTER TO S;
    pt : POINTER TO STRING; pv : PVOID; t : LTIME; rf : REF_TO INT; f : F; END_VAR {text} END_PROGRAM"""


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("pi := d;", "ST3001 DWORD does not convert to POINTER TO INT; a pointer is made by ADR"),
        ("pi := 5;", "ST3004 "),
        ("ps := ADR(i);", "ST3001 POINTER TO INT does not convert to POINTER TO S; "),
        ("pb := ADR(s);", "ST3001 POINTER TO S does not convert to POINTER TO BYTE; "),
        ("pb := ADR(rf);", "ST3001 POINTER TO REF_TO INT does not convert to POINTER TO BYTE; "),
        ("pt := pb;", "ST3001 POINTER TO BYTE does not convert to POINTER TO STRING; "),
        ("i := ADR(i);", "ST3001 POINTER TO INT does not convert to INT; "),
        ("pi := ADR(c);", "ST4005 there is no address of a constant; take that of a variable"),
        ("pi := ADR(3);", "ST4005 there is no address of what is no variable; take that of a variable"),
        ("pi := ADR(i + 1);", "ST4005 there is no address of what is no variable; take that of a variable"),
        ("pb := ADR(b);", "ST4005 there is no address of a located BOOL; take that of a variable"),
        ("pi := ADR(b1);", "ST2003 there is no variable b1; "),
        ("pi := ADR();", "ST4002 ADR takes 1 argument, not 0; "),
        ("i := SIZEOF(nothing);", "ST2003 there is no variable nothing; "),
        ("i := XSIZEOF(i, d);", "ST4002 XSIZEOF takes 1 argument, not 2; "),
        ("i := NULL;", "ST3001 NULL does not convert to INT; "),
        ("pi := NULL + 2;", "ST3002 + cannot be applied to NULL and "),
        ("pv := ADR(s);", "ST3001 POINTER TO S does not convert to POINTER TO BYTE; keep to what"),
        ("i := ANY_TO_INT(f);", "ST4005 there is no conversion from F to INT"),
        ("t := LTIME(i);", "ST4002 LTIME takes 0 arguments, not 1; parameters: none"),
        ("pi := pi * 2;", "ST3002 * cannot be applied to POINTER TO INT and DINT; "),
        ("r := pi + 1.5;", "ST3002 + cannot be applied to POINTER TO INT and LREAL; "),
        ("i := i^;", "ST3008 INT is no reference; remove ^"),
        ("i := pi[1, 2];", "ST3005 POINTER TO INT takes one index; it counts elements from the first"),
        ("i := ps.n;", "ST2004 POINTER TO S has no members; follow it first: ^.n"),
        ("f.p := 1;", "ST3006 p has no SET: it cannot be assigned; "),
        ("i := f.q;", "ST2004 F has no member q; "),
        ("i := f.h;", "ST2024 F.h is PRIVATE: it cannot be called from here; declare PROPERTY PUBLIC h"),
        ("i := f.s.n;", "ST2004 s is a property: it yields a copy, whose members cannot be named; assign it"),
        ("f.act(1);", "ST4002 "),
        ("f.acts();", "ST2004 F has no member acts; did you mean act?"),
    ],
)
def test_what_cannot_be_is_told_once(text, finding):
    (only,) = told(program(text))
    assert only.startswith(finding)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            POINTER,
            "ST1010 expected a type name, found 'POINTER'; use REF_TO; POINTER TO belongs to the profile",
        ),
        (
            "PROGRAM Main VAR b : BYTE; w : INT; END_VAR w := b; END_PROGRAM",
            "ST3001 BYTE does not convert to INT",
        ),
        ("PROGRAM Main VAR a__b : INT; END_VAR a__b := 1; END_PROGRAM", "ST1004 underscores in a__b"),
        (
            "CLASS C PROPERTY p : INT GET p := 1; END_GET END_PROPERTY END_CLASS",
            "ST1017 PROPERTY is not part of",
        ),
        (
            "PROGRAM M VAR x : DWORD; END_VAR x := SIZEOF(x); END_PROGRAM",
            "ST4001 there is no function SIZEOF",
        ),
    ],
)
def test_what_belongs_to_codesys_is_refused_by_iec(text, finding):
    assert told(text, "iec")[0].startswith(finding)
    assert told(text) == []


def test_a_pointer_in_its_own_type_and_actions_in_a_circle():
    assert told("TYPE N : STRUCT v : INT; next : POINTER TO N; END_STRUCT; END_TYPE") == []
    (only,) = told(
        "PROGRAM M VAR i : INT; END_VAR A(); END_PROGRAM ACTION A: B(); END_ACTION ACTION B: A(); END_ACTION"
    )
    assert only.startswith("ST2005 recursion is not allowed")


def test_a_profile_that_there_is_not_is_told():
    with pytest.raises(PlantError, match="there is no profile codesis") as caught:
        softplc.compile(sources={"x.st": POINTER}, profile="codesis")
    assert caught.value.remedy == "did you mean codesys?"


def test_a_pointer_never_reaches_what_is_not_in_the_image():
    text = """FUNCTION_BLOCK F VAR_IN_OUT io : INT; END_VAR
    VAR_OUTPUT p : POINTER TO INT; END_VAR p := ADR(io); END_FUNCTION_BLOCK
    FUNCTION fu : POINTER TO INT VAR f : F; x : INT := 5; END_VAR f(io := x); fu := f.p; END_FUNCTION
    FUNCTION other : INT VAR y : ARRAY[0..9] OF INT; END_VAR y[3] := 9; other := y[3]; END_FUNCTION
    PROGRAM Main VAR p : POINTER TO INT; a, b : INT; END_VAR p := fu(); a := other();
    b := p^; p^ := 7; END_PROGRAM"""
    plc = softplc.compile(sources={"x.st": text}, profile="codesys").simulator()
    plc.scan(3)
    assert (plc.read("Main.a"), plc.read("Main.b")) == (9, 5)


def test_files_in_a_code_page_are_read_under_codesys(tmp_path):
    file = tmp_path / "old.exp"
    file.write_bytes(
        b"(* gr\xfc\xdfe *)\r\nPROGRAM Main VAR s : STRING := '\x80\xe4'; END_VAR END_PROGRAM\r\n"
    )
    assert [each.code for each in softplc.check(file)] == ["ST0001"]
    plc = softplc.compile(file, profile="codesys").simulator()
    assert plc.read("Main.s") == "\x80\xe4"


def test_a_list_of_globals_may_be_named_by_its_file():
    sources = {
        "plc/GVL.st": "{attribute 'qualified_only'} VAR_GLOBAL level : INT := 3; x : INT; END_VAR",
        "main.st": "PROGRAM Main VAR y, z : INT; END_VAR GVL.x := gvl.Level + 1; y := GVL.x + x; END_PROGRAM",
    }
    plc = softplc.compile(sources=sources, profile="codesys").simulator()
    plc.scan()
    assert plc.read("Main.y") == 8
    assert [each.code for each in softplc.check(sources=sources)] == ["ST2003"]


def test_the_command_takes_a_profile(tmp_path):
    file = tmp_path / "p.st"
    file.write_text(POINTER, encoding="utf-8")
    run = CliRunner().invoke(app, ["run", "--profile", "codesys", "--json", str(file)])
    assert json.loads(run.stdout)["Main.y"] == 4
    wrong = CliRunner().invoke(app, ["check", "--profile", "x", str(file)])
    assert wrong.exit_code == 2
    assert wrong.stderr == f"error: there is no profile x\n  help: there are {', '.join(PROFILES)}\n"
