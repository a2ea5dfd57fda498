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
        ("u.s := 'a';", "ST2050", "s cannot overlap: STRING is more than its bytes"),
    ],
)
def test_mistakes_are_told_once(text, code, message):
    union = "STRING" if "u.s" in text else "INT"
    head = f"TYPE U : UNION n : INT; s : {union}; END_UNION; END_TYPE PROGRAM Main "
    variables = "VAR x : INT; d : DINT; b : BOOL; u : U; r : REFERENCE TO INT; END_VAR "
    found = findings(f"{head}{variables}{text} END_PROGRAM", "codesys")
    assert [each[:2] for each in found] == [(code, message)]


def test_an_array_holds_no_reference_to():
    (finding,) = findings(
        "PROGRAM Main VAR a : ARRAY[0..1] OF REFERENCE TO INT; END_VAR ; END_PROGRAM", "codesys"
    )
    assert finding[1] == "an array holds no REFERENCE TO"


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
