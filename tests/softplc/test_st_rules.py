"""Every rule: its accepted example compiles, its rejected example gives exactly its code."""

import re

import pytest

import softplc
from softplc.explain import explanation
from softplc.rules.walk import modules

STARTS = ("PROGRAM", "FUNCTION", "TYPE", "CONFIGURATION", "VAR_GLOBAL")
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
        "FUNCTIONBLOCK B VAR a : INT; END_VAR a := 1; END_FUNCTION_BLOCK",
        "PROGRAM P VAR a : STRING; END_VAR a := '\u20ac'; END_PROGRAM",
    ],
)
def test_one_syntax_error_is_told_once(text):
    assert len(codes(text)) == 1
