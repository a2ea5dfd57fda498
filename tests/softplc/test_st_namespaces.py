"""What is wrong with names in namespaces is told where it is, with the name that was meant."""

import pytest

import softplc

TEXT = """NAMESPACE A TYPE P : INT; END_TYPE TYPE C : (red, green); END_TYPE
FUNCTION f : INT f := 1; END_FUNCTION FUNCTION alone : INT alone := 1; END_FUNCTION
NAMESPACE INTERNAL In FUNCTION q : INT q := 1; END_FUNCTION END_NAMESPACE
CLASS K VAR INTERNAL v : INT; END_VAR METHOD INTERNAL m : INT m := v; END_METHOD END_CLASS
TYPE INTERNAL T : INT; END_TYPE END_NAMESPACE
NAMESPACE B TYPE P : INT; END_TYPE FUNCTION f : INT f := 1; END_FUNCTION END_NAMESPACE
"""


def told(text: str, before: str = TEXT) -> list[str]:
    findings = softplc.check(sources={"x.st": f"{before}{text}"})
    return [f"{each.code} {each.message}; {each.remedy}" for each in findings if each.severity == "error"]


def body(text: str) -> list[str]:
    return told(f"USING A; USING B; PROGRAM Main VAR i : INT; k : A.K; c : A.C; END_VAR {text} END_PROGRAM")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("i := f();", "ST2030 f may be A.f or B.f; write which: A.f"),
        ("i := P#3;", "ST2030 P may be A.P or B.P; write which: A.P"),
        ("i := alon();", "ST4001 there is no function alon; did you mean A.alone?"),
        ("i := A.alon();", "ST4001 there is no function A.alon; did you mean A.alone?"),
        (
            "i := A.In.q();",
            "ST2032 A.In is INTERNAL: it cannot be named outside A; declare it without INTERNAL",
        ),
        ("i := k.m();", "ST2024 A.K.m is INTERNAL: it cannot be called from here; declare METHOD PUBLIC m"),
        ("i := k.v;", "ST3007 v is not in the interface of A.K; make it VAR_INPUT or VAR_OUTPUT"),
        ("i := A;", "ST2003 A is a namespace, not a variable; name what is in it: A.x"),
        ("i := A.f;", "ST2003 A.f is a function, not a variable; call it: A.f(...)"),
        (
            "i := A.nothing;",
            "ST2003 there is no A.nothing; there are A.red, A.green, A.f, A.alone, A.In.q, A.K",
        ),
        ("c := A.C.blue;", "ST2004 A.C has no value blue; it has red, green"),
        ("c := A.C#blue;", "ST2004 A.C has no value blue; it has red, green"),
    ],
)
def test_a_wrong_name_is_told_once_with_what_was_meant(text, finding):
    (only,) = body(text)
    assert only.startswith(finding.split(" there are")[0])


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            "PROGRAM M VAR x : P; END_VAR x := 1; END_PROGRAM",
            "did you mean A.P? write it in full, or USING A;",
        ),
        ("PROGRAM M VAR x : A.Q; END_VAR x := 1; END_PROGRAM", "ST2001 there is no type A.Q; "),
        ("PROGRAM M VAR x : A.T; END_VAR x := 1; END_PROGRAM", "ST2032 A.T is INTERNAL"),
        ("CLASS X EXTENDS A.Kx END_CLASS", "ST2020 there is no class A.Kx; did you mean A.K?"),
        ("USING C; PROGRAM M END_PROGRAM", "ST2031 there is no namespace C; "),
        ("NAMESPACE N VAR_GLOBAL v : INT; END_VAR END_NAMESPACE", "ST2031 N.v is a variable"),
        ("CLASS A END_CLASS", "ST2002 namespace A is already declared"),
        (
            "NAMESPACE N FUNCTION f : INT f := 1; END_FUNCTION",
            "ST1015 END_NAMESPACE is missing for namespace N",
        ),
        ("PROGRAM M VAR x : INT; END_VAR x := A.P#9#9; END_PROGRAM", "ST1014 wrong literal P#9#9"),
        ("PROGRAM M VAR x : INT; END_VAR x := A.P#1.5; END_PROGRAM", "ST1014 wrong literal P#1.5"),
        ("END_NAMESPACE", "no namespace is open here: remove END_NAMESPACE"),
        (
            "NAMESPACE FUNCTION f : INT f := 1; END_FUNCTION END_NAMESPACE",
            "ST1010 expected the name of the names",
        ),
        ("NAMESPACE N FUNCTION f : INT f := ; END_FUNCTION END_NAMESPACE", "ST1010 expected an expression"),
    ],
)
def test_a_wrong_declaration_is_told_once(text, finding):
    (only,) = told(text)
    assert finding in only


def test_a_variable_hides_a_namespace():
    text = "TYPE S : STRUCT f : INT; END_STRUCT; END_TYPE "
    text += "PROGRAM M VAR A : S; END_VAR A.f := A.f + 1; END_PROGRAM"
    assert told(text) == []


def test_the_same_name_lives_in_several_namespaces():
    text = "NAMESPACE A.X FUNCTION f : INT f := A.f() + 1; END_FUNCTION END_NAMESPACE"
    text += " PROGRAM M VAR a1, b1 : INT; END_VAR a1 := A.X.f(); b1 := B.f(); END_PROGRAM"
    plc = softplc.compile(sources={"x.st": TEXT + text}).simulator()
    plc.scan()
    assert (plc.read("M.a1"), plc.read("M.b1")) == (2, 1)
