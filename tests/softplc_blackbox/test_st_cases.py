"""Feature rows of the standard as small programs: literals, operators, conversions, calls, blocks, tasks."""

import pytest
from st_cases import FAULT, REFUSED, expressions, outcome, programs, same

EXPRESSIONS = list(expressions())
VALUES = [each for each in EXPRESSIONS if each.expected not in (REFUSED, FAULT)]
TOGETHER = 20


@pytest.mark.parametrize("start", range(0, len(VALUES), TOGETHER))
def test_expressions_have_their_value(start):
    some = VALUES[start : start + TOGETHER]
    blocks, calls, instances = [], [], []
    for number, each in enumerate(some):
        blocks.append(
            f"FUNCTION_BLOCK B{number} VAR_OUTPUT x : {each.type}; END_VAR VAR {each.declarations} END_VAR "
            f"{each.before} x := {each.text}; END_FUNCTION_BLOCK"
        )
        instances.append(f"b{number} : B{number};")
        calls.append(f"b{number}();")
    source = "\n".join([*blocks, "PROGRAM Main VAR", *instances, "END_VAR", *calls, "END_PROGRAM"])
    paths = [f"Main.b{number}.x" for number in range(len(some))]
    found = outcome(source, paths)
    assert isinstance(found, dict), found
    wrong = [
        (each, value)
        for each, value in zip(some, found.values(), strict=True)
        if not same(value, each.expected)
    ]
    assert not wrong


@pytest.mark.parametrize(
    "case", [each for each in EXPRESSIONS if each not in VALUES], ids=lambda each: each.text
)
def test_expressions_are_refused_or_stop(case):
    assert same(outcome(case.source(), []), case.expected)


@pytest.mark.parametrize("case", list(programs("programs.txt")), ids=lambda each: each.name)
def test_programs_do_what_the_standard_says(case):
    found = outcome(case.source, case.expected if isinstance(case.expected, dict) else [], case.scans)
    assert same(found, case.expected), found


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, marks=pytest.mark.xfail(reason=each.reason, strict=True), id=each.name)
        for each in programs("known_bad.txt")
    ],
)
def test_known_gaps(case):
    found = outcome(case.source, case.expected if isinstance(case.expected, dict) else [], case.scans)
    assert same(found, case.expected), found


@pytest.mark.parametrize(
    "name",
    [
        "R",
        "S",
        "N",
        "L",
        "D",
        "P",
        "SD",
        "ET",
        "Q",
        "CV",
        "PT",
        "IN",
        "CU",
        "CD",
        "R1",
        "T",
        "D1",
        "priority",
        "single",
        "interval",
        "data",
        "value",
        "step",
        "next",
    ],
)
def test_short_names_of_the_library_are_free_for_variables(name):
    source = f"PROGRAM Main VAR {name} : INT; END_VAR {name} := 1; END_PROGRAM"
    assert outcome(source, [f"Main.{name}"]) == {f"Main.{name}": 1}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_mean_nothing(newline, mark):
    source = mark + newline.join(
        ["PROGRAM Main", "VAR x : INT;", "END_VAR", "x := 1; // c", "x := x + 1;", "END_PROGRAM"]
    )
    assert outcome(source, ["Main.x"]) == {"Main.x": 2}
