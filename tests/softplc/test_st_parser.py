"""Whatever the text, the compiler answers with a program or with findings."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import softplc
from softplc.pipeline import checked
from softplc.source import SourceSet

WORDS = re.split(
    r"\s+",
    r"""PROGRAM END_PROGRAM FUNCTION END_FUNCTION FUNCTION_BLOCK END_FUNCTION_BLOCK VAR VAR_INPUT VAR_OUTPUT
VAR_IN_OUT VAR_GLOBAL VAR_EXTERNAL CONSTANT RETAIN END_VAR TYPE END_TYPE STRUCT END_STRUCT ARRAY OF
IF THEN ELSIF ELSE END_IF CASE END_CASE FOR TO BY DO END_FOR WHILE END_WHILE REPEAT UNTIL END_REPEAT
EXIT CONTINUE RETURN AND OR XOR NOT MOD TRUE FALSE AT CONFIGURATION END_CONFIGURATION RESOURCE
END_RESOURCE TASK WITH INT BOOL REAL TIME STRING TON x y z P f 1 2.5 16#FF T#1s 'a' %IX0.0 %QW2 ( )
[ ] := => = <> < > + - * / ** & ; : , . .. # (* *) // { } $ '""",
)
PROGRAM = """
TYPE C : (A, B); S : STRUCT a : INT; b : ARRAY[1..2] OF REAL; END_STRUCT; END_TYPE
FUNCTION F : INT VAR_INPUT a : INT; END_VAR F := a + 1; END_FUNCTION
FUNCTION_BLOCK G VAR_IN_OUT v : INT; END_VAR VAR t : TON; END_VAR
t(IN := v > 3, PT := T#1s); v := F(v); END_FUNCTION_BLOCK
PROGRAM P VAR i : INT; s : S; g : G; c : C := B; t : STRING[9] := 'x'; even AT %QX0.0 : BOOL; END_VAR
FOR i := 1 TO 2 BY 1 DO s.b[i] := 2.5 * i; END_FOR; g(v := i);
CASE c OF A: i := 1; C#B: i := 2; ELSE i := 3; END_CASE; t := CONCAT(t, INT_TO_STRING(i));
even := i MOD 2 = 0;
WHILE i > 0 AND NOT even DO i := i - 1; IF i = 5 THEN EXIT; END_IF; END_WHILE;
END_PROGRAM
"""


def answer(text: str) -> list:
    try:
        checked((), {"text.st": text}, SourceSet())
    except softplc.CompileError as exc:
        findings = list(exc.diagnostics)
    else:
        return []
    assert findings
    for each in findings:
        assert re.fullmatch(r"ST\d{4}", each.code)
        assert each.line >= 1
        assert each.column >= 1
        assert each.render()
    return findings


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_any_words_give_findings_or_nothing(words):
    answer(" ".join(words))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gives_findings_or_nothing(text):
    answer(text)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_program_gives_findings_or_compiles(data):
    tokens = re.findall(r"\S+|\n", PROGRAM)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(tokens) - 1))
        change = data.draw(st.sampled_from(["drop", "double", "replace", "insert"]))
        word = data.draw(st.sampled_from(WORDS))
        if change == "drop":
            del tokens[at]
        else:
            tokens[at : at + (change == "replace")] = [word] if change != "double" else [tokens[at]]
    answer(" ".join(tokens))


def test_what_checks_clean_also_compiles():
    softplc.compile(sources={"p.st": PROGRAM}).simulator().scan(3)


def test_deep_nesting_is_refused_with_a_finding():
    text = "PROGRAM P VAR x : INT; END_VAR x := " + "(" * 5000 + "1" + ")" * 5000 + "; END_PROGRAM"
    assert [each.code for each in answer(text)] == ["ST1012"]


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("x := 1 x := 2;", ["ST1011"]),
        ("x = 1;", ["ST1010"]),
        ("IF x = 1 THEN x := 2;", ["ST1015"]),
        ("x := 'abc; x := 1;\nx := 2;", ["ST1002"]),
        ("x := (1 + ; x := 2; x := 3 +;", ["ST1010", "ST1010"]),
        ("x := nope + nope; nope := 1;", ["ST2003"]),
        ("x := 2; END_IF; x := 3;", ["ST1010"]),
        ("FOR x := 1 TO 3 ; END_FOR;", ["ST1010"]),
        ("x := T#5q;", ["ST1014"]),
        ("x := 2#12;", ["ST1014"]),
    ],
)
def test_one_cause_gives_one_finding(body, codes):
    text = f"PROGRAM P VAR x : INT; END_VAR {body} END_PROGRAM"
    assert [each.code for each in answer(text)] == codes


def test_findings_carry_place_caret_and_remedy():
    (finding,) = answer("PROGRAM P\nVAR speed : INT; END_VAR\n  sped := 1;\nEND_PROGRAM")
    assert (finding.file, finding.line, finding.column) == ("text.st", 3, 3)
    assert "  sped := 1;" in finding.render()
    assert "^^^^" in finding.render()
    assert finding.remedy == "did you mean speed?"


def test_every_error_of_several_files_is_told():
    with pytest.raises(softplc.CompileError) as caught:
        softplc.compile(
            sources={
                "a.st": "PROGRAM A VAR x : INT; END_VAR x := TRUE; END_PROGRAM",
                "b.st": "PROGRAM B VAR x : INT; END_VAR x := 1.5; END_PROGRAM",
            }
        )
    assert [(each.file, each.code) for each in caught.value.diagnostics] == [
        ("a.st", "ST3001"),
        ("b.st", "ST3004"),
    ]


def test_a_missing_file_is_a_finding(tmp_path):
    with pytest.raises(softplc.CompileError, match="cannot read the file"):
        softplc.compile(tmp_path / "absent.st")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "text",
    [
        "TYPE S : STRUCT a : INT; VAR b : INT; END_STRUCT; END_TYPE",
        "TYPE S : STRUCT VAR",
        "PROGRAM P VAR x : STRUCT VAR_INPUT END_VAR END_PROGRAM",
        "CONFIGURATION C RESOURCE R ON X RESOURCE",
    ],
)
def test_a_keyword_out_of_place_never_holds_the_parser(text):
    assert answer(text)
