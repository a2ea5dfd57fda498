"""What the profile codesys adds: what is told of it elsewhere, and of mistakes with it."""

import pytest

import softplc
from softplc.formatter import format_text
from softplc.profiles import CODESYS

MAIN = "PROGRAM Main VAR x : INT; d : DINT; END_VAR {} END_PROGRAM"


def findings(text, profile):
    return [
        (each.code, each.message, each.remedy)
        for each in softplc.check(sources={"a.st": text}, profile=profile)
    ]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("TYPE U : UNION r : REAL; END_UNION; END_TYPE " + MAIN.format("x := 1;"), "use STRUCT OVERLAP;"),
        (
            "FUNCTION_BLOCK A VAR_STAT n : INT; END_VAR n := 1; END_FUNCTION_BLOCK " + MAIN.format(";"),
            "VAR_STAT belongs",
        ),
        ("PROGRAM Main VAR r : REFERENCE TO INT; END_VAR ; END_PROGRAM", "use REF_TO;"),
        (
            "TYPE S : STRUCT a : INT; END_STRUCT; T EXTENDS S : STRUCT b : INT; END_STRUCT; END_TYPE "
            + MAIN.format(";"),
            "make it a member; EXTENDS",
        ),
    ],
)
def test_the_standard_profile_names_the_other_one(text, remedy):
    (finding,) = findings(text, "iec")
    assert finding[0] == "ST1010"
    assert finding[2].startswith(remedy)
    assert "profile codesys" in finding[2]


def test_its_words_are_names_elsewhere():
    text = "TYPE UNION : INT; END_TYPE PROGRAM Main VAR union : UNION; var_stat, reference : INT; END_VAR "
    assert (
        findings(text + "union := var_stat + reference; var_stat := 1; reference := 2; END_PROGRAM", "iec")
        == []
    )


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("r REF= d;", "ST3001", "REF_TO DINT does not convert to REFERENCE TO INT"),
        ("r REF= x + 1;", "ST4005", "there is no reference to what is no variable"),
        ("x REF= r;", "ST3001", "REF_TO INT does not convert to INT"),
        ("b := __ISVALIDREF(x);", "ST4005", "INT is no REFERENCE TO"),
        ("b := __ISVALIDREF(3);", "ST4002", "__ISVALIDREF takes a variable of REFERENCE TO"),
        ("a[1] := TRUE;", "ST3001", "BOOL does not convert to INT"),
        ("a[1] REF= d;", "ST3001", "REF_TO DINT does not convert to REFERENCE TO INT"),
        ("r REF= __NEW(INT);", "ST4005", "there is no memory to be had while a program runs"),
        ("__DELETE(x);", "ST4005", "there is no memory to be had while a program runs"),
        ("Other(no := 1);", "ST4003", "Other has no parameter no"),
        ("Other.no := 1;", "ST2004", "Other has no member no"),
        ("x := Other(n := x);", "ST4010", "the call of a program has no value"),
        ("Other := Other;", "ST3001", "instances of Other cannot be assigned"),
        ("Other(n := 3);", "ST3006", "only a variable can be passed as VAR_IN_OUT"),
        ("Main();", "ST2005", "recursion is not allowed: Main -> Main"),
        ("x := Add(a := 1, 2, 3);", "ST4002", "Add takes 2 arguments, not 3"),
        ("u.s := 'a';", "ST2050", "s cannot overlap: STRING is more than its bytes"),
    ],
)
def test_mistakes_are_told_once(text, code, message):
    union = "STRING" if "u.s" in text else "INT"
    head = f"TYPE U : UNION n : INT; s : {union}; END_UNION; END_TYPE PROGRAM Main "
    variables = "VAR x : INT; d : DINT; b : BOOL; u : U; r : REFERENCE TO INT; END_VAR "
    variables += "VAR a : ARRAY[0..1] OF REFERENCE TO INT; END_VAR "
    others = " PROGRAM Other VAR_IN_OUT n : INT; END_VAR n := n + 1; END_PROGRAM "
    others += "FUNCTION Add : INT VAR_INPUT a, b : INT; END_VAR Add := a + b; END_FUNCTION"
    found = findings(f"{head}{variables}{text} END_PROGRAM{others}", "codesys")
    assert [each[:2] for each in found] == [(code, message)]


def test_the_formatter_knows_them():
    text = "TYPE U:UNION a:REAL;b:DWORD;END_UNION;END_TYPE\n"
    text += "PROGRAM Main VAR_STAT r:REFERENCE TO INT;x:INT;END_VAR r REF=x;END_PROGRAM"
    assert format_text(text, "a.st", CODESYS) == (
        "TYPE\n    U : UNION\n        a : REAL;\n        b : DWORD;\n    END_UNION;\nEND_TYPE\n\n"
        "PROGRAM Main\nVAR_STAT\n    r : REFERENCE TO INT;\n    x : INT;\nEND_VAR\n\nr REF= x;\nEND_PROGRAM\n"
    )


def test_a_reference_in_a_declaration_uses_its_variable():
    text = "PROGRAM Main VAR x : INT; r : REF_TO INT := REF(x); END_VAR r^ := 1; END_PROGRAM"
    assert findings(text, "iec") == []


def test_a_shared_variable_may_be_written_by_every_instance():
    text = (
        "FUNCTION_BLOCK A VAR_STAT s : INT; END_VAR s := s + 1; END_FUNCTION_BLOCK\n"
        "FUNCTION_BLOCK B EXTENDS A s := s + 10; SUPER^(); END_FUNCTION_BLOCK\n"
        "PROGRAM Main VAR a, c : A; b : B; END_VAR a(); b(); c(); END_PROGRAM\n"
    )
    assert findings(text, "codesys") == []


def test_a_program_with_two_instances_cannot_be_named():
    programs = "PROGRAM A VAR n : INT; END_VAR n := 1; END_PROGRAM "
    programs += "PROGRAM B VAR x : INT; END_VAR x := A.n; END_PROGRAM "
    head = f"{programs}CONFIGURATION C RESOURCE r ON PLC TASK t(INTERVAL := T#10ms, PRIORITY := 1); "
    head += "PROGRAM B1 WITH t : B; PROGRAM A1 WITH t : A; "
    tail = "END_RESOURCE END_CONFIGURATION"
    assert findings(head + tail, "codesys") == []
    (finding,) = findings(f"{head}PROGRAM A2 WITH t : A; {tail}", "codesys")
    assert finding[:2] == ("ST2003", "A has several instances: A1, A2")


def test_what_extends_no_structure_is_told():
    text = "TYPE E : (One, Two); S EXTENDS E : STRUCT a : INT; END_STRUCT; END_TYPE "
    text += MAIN.format("x := 1;")
    (finding,) = findings(text, "codesys")
    assert finding[:2] == ("ST2020", "S cannot extend E")


def test_arguments_where_a_block_is_declared_are_told():
    text = "FUNCTION_BLOCK F VAR_INPUT n : INT; END_VAR n := n; END_FUNCTION_BLOCK "
    text += "PROGRAM P VAR a : F(n := 3); END_VAR a(); END_PROGRAM"
    (finding,) = findings(text, "codesys")
    assert finding[:2] == (
        "ST2053",
        "F has no FB_Init: it takes no arguments where an instance is declared",
    )


def test_a_property_has_get_or_set():
    text = "FUNCTION_BLOCK F PROPERTY p : INT END_PROPERTY END_FUNCTION_BLOCK " + MAIN.format(";")
    (finding,) = findings(text, "codesys")
    assert finding[:2] == ("ST1010", "expected GET or SET, found 'END_PROPERTY'")


def test_the_formatter_knows_actions_before_the_body():
    text = "PROGRAM P VAR n : INT; END_VAR ACTION Mark: n := n + 1; END_ACTION Mark(); END_PROGRAM "
    text += "PROGRAM Q ; END_PROGRAM"
    assert format_text(text, "a.st", CODESYS) == (
        "PROGRAM P\nVAR\n    n : INT;\nEND_VAR\n\n    ACTION Mark:\n        n := n + 1;\n    END_ACTION\n\n"
        "Mark();\nEND_PROGRAM\n\nPROGRAM Q;\nEND_PROGRAM\n"
    )
