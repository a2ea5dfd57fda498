"""Charts in text: what is wrong with them, also with those that are actions."""

import pytest

import softplc

AROUND = """PROGRAM P VAR a, lamp : BOOL; n : INT; END_VAR
INITIAL_STEP One: Batch(N); {outer} END_STEP
STEP Two: END_STEP
TRANSITION FROM One TO Two := a; END_TRANSITION
TRANSITION FROM Two TO One := NOT a; END_TRANSITION
ACTION Batch:
    {inner}
    TRANSITION FROM Fill TO Hold := a; END_TRANSITION
    TRANSITION FROM {last} TO Fill := NOT a; END_TRANSITION
    {actions}
END_ACTION
END_PROGRAM"""
STEPS = "INITIAL_STEP Fill: END_STEP STEP Hold: END_STEP"
X_TO_Y = "TRANSITION FROM x TO y := a; END_TRANSITION"


@pytest.mark.parametrize(
    ("parts", "finding"),
    [
        ({}, None),
        ({"inner": STEPS.replace("Fill:", "Fill: lamp(N);")}, None),
        (
            {"inner": STEPS.replace("INITIAL_STEP", "STEP")},
            (7, "Batch has 0 initial steps; give it one INITIAL_STEP"),
        ),
        (
            {"inner": STEPS.replace("STEP H", "INITIAL_STEP H")},
            (7, "Batch has 2 initial steps; give it one INITIAL_STEP"),
        ),
        (
            {"inner": STEPS.replace("Hold", "Held"), "last": "Held"},
            (8, "there is no step Hold; did you mean Held?"),
        ),
        (
            {"inner": f"{STEPS} STEP Two: END_STEP"},
            (7, "variable Two is already declared; rename or remove one of the two"),
        ),
        (
            {"actions": "ACTION Count: n := 1; END_ACTION"},
            (10, "no step uses the action Count; name it in a step"),
        ),
        (
            {"inner": STEPS.replace("Fill:", "Fill: lamp(N);"), "outer": "lamp(N);"},
            (7, "lamp is an action of the chart around this one too; use it in one of the two"),
        ),
        (
            {"inner": STEPS.replace("Fill:", "Fill: Batch(N);")},
            (7, "Batch is an action of the chart around this one too; use it in one of the two"),
        ),
        (
            {"inner": STEPS.replace("Fill:", "Fill: lamp(L);")},
            (7, "the qualifier L needs a time; lamp(L, T#1s)"),
        ),
        (
            {"inner": f"{STEPS} INITIAL_STEP x: END_STEP INITIAL_STEP y: END_STEP {X_TO_Y}"},
            (7, "Batch has 2 initial steps in one network; give it one INITIAL_STEP"),
        ),
        (
            {"inner": STEPS.replace("Fill:", "Fill: lamp(N, T#1s);")},
            (7, "the qualifier N takes no time; remove it"),
        ),
        (
            {"inner": STEPS.replace("Fill:", "Fill: lamp(L, T#1s, 5);")},
            (7, "an indicator is a variable; name one, or remove it"),
        ),
        ({"actions": "STEP Bad END_STEP"}, (10, "expected ':', found 'END_STEP'; ")),
        ({"actions": "n := ;"}, (10, "expected an expression, found ';'; ")),
    ],
)
def test_what_is_wrong_with_a_chart_in_an_action_is_told_once(parts, finding):
    given = {"outer": "", "inner": STEPS, "actions": "", "last": "Hold"} | parts
    found = softplc.check(sources={"a.st": AROUND.format(**given)})
    assert [(each.line, f"{each.message}; {each.remedy}") for each in found] == ([finding] if finding else [])


def test_a_step_with_the_name_of_a_variable_is_told_once():
    text = AROUND.format(outer="", inner=STEPS, last="Hold", actions="").replace("Two", "lamp")
    (finding,) = softplc.check(sources={"a.st": text})
    assert (finding.line, finding.column) == (3, 6)
    assert finding.message == "variable lamp is already declared"
