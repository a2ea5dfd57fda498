"""Every rule: its accepted example compiles, its rejected example gives exactly its code."""

import re

import pytest

import softplc
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
    with pytest.raises(softplc.CompileError) as caught:
        softplc.compile(sources={"example.st": example(parts(doc)["Rejected"])})
    assert [each.code for each in caught.value.diagnostics] == [code]


def test_each_code_has_one_rule():
    codes = [module.__doc__.split(":", 1)[0] for module in RULES.values()]
    assert len(codes) == len(set(codes))
