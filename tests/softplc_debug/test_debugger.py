"""The debugger as editors use it: breakpoints, steps, variables, watches and faults of ST programs."""

import pytest
from dap_client import RefusedError

LINE = """\
TYPE
    State : (Idle, Filling := 5, Done);
    Percent : INT(0..100);
    Tank : STRUCT
        level : REAL := 1.5;
        state : State;
        since : TIME;
        name  : STRING[10] := 'T1';
    END_STRUCT;
END_TYPE

FUNCTION Twice : INT
VAR_INPUT
    value : INT;
END_VAR
VAR
    doubled : INT;
END_VAR
doubled := value * 2;
Twice := doubled;
END_FUNCTION

FUNCTION_BLOCK Counter
VAR_INPUT
    step : INT := 1;
END_VAR
VAR_IN_OUT
    tank : Tank;
END_VAR
VAR_OUTPUT
    total : INT;
END_VAR
METHOD PUBLIC Add : INT
VAR_INPUT
    more : INT;
END_VAR
    total := total + more;
    Add := total;
END_METHOD
total := total + Twice(step);
tank.level := INT_TO_REAL(total);
END_FUNCTION_BLOCK

FUNCTION Unused : INT
    Unused := 1;
END_FUNCTION

PROGRAM Main
VAR
    start AT %IX0.0 : BOOL;
    speed AT %QW1   : INT;
    a, b            : Counter;
    tanks           : ARRAY[1..3] OF Tank;
    grid            : ARRAY[0..1, 0..149] OF INT;
    i, n            : INT;
    share           : Percent := 7;
    pick            : REF_TO Tank;
    wait            : TON;
END_VAR
VAR CONSTANT
    LIMITED : INT := 9;
END_VAR

a(step := 1, tank := tanks[1]);
b(step := 10, tank := tanks[2]);
n := 0;
FOR i := 1 TO 3 DO
    n := n + i;
END_FOR;
pick := REF(tanks[2]);
IF start THEN
    tanks[3].state := Filling;
ELSIF n > 100 THEN
    tanks[3].state := Done;
END_IF;
n := a.Add(5);
wait(IN := TRUE, PT := T#1s);
speed := n;
END_PROGRAM
"""


def line_of(text, part, source=LINE):
    """Return the line that has a piece of text."""
    return next(n for n, line in enumerate(source.splitlines(), 1) if part in line)


CALLS_A, CALLS_B = line_of(LINE, "a(step"), line_of(LINE, "b(step")
ADDS, DOUBLES = line_of(LINE, "total + Twice"), line_of(LINE, "doubled :=")
SUMS, METHOD = line_of(LINE, "n := n + i"), line_of(LINE, "total + more")
LAST = line_of(LINE, "speed := n")


@pytest.fixture
def line(session):
    (session.folder / "line.st").write_text(LINE)
    return session


def test_a_breakpoint_in_a_block_shows_who_called_it(line):
    (point,) = line.launch("line.st", [("line.st", DOUBLES)], cwd=str(line.folder))
    assert point["verified"]
    assert point["line"] == DOUBLES
    stop = line.stopped()
    assert (stop["reason"], stop["hitBreakpointIds"]) == ("breakpoint", [point["id"]])
    assert line.stack() == [
        ("Twice", DOUBLES),
        ("Main.a (Counter)", ADDS),
        ("Main", CALLS_A),
        ("task default, scan 0, now T#0s", 0),
    ]
    assert line.frames()[0]["source"]["path"] == str(line.folder / "line.st")
    line.go()
    assert line.stack()[1][0] == "Main.b (Counter)"


def test_lines_and_columns_count_from_where_the_client_counts(line):
    line.ask("initialize", adapterID="x", linesStartAt1=False, columnsStartAt1=False, pathFormat="uri")
    line.ask("launch", program="line.st", cwd=str(line.folder), speed=0)
    source = {"path": (line.folder / "line.st").as_uri()}
    (state,) = line.ask("setBreakpoints", source=source, breakpoints=[{"line": SUMS - 1}])["breakpoints"]
    assert (state["verified"], state["line"], state["column"]) == (True, SUMS - 1, 4)
    line.ask("configurationDone")
    line.stopped()
    frame = line.frames()[0]
    assert (frame["line"], frame["column"], frame["source"]["path"]) == (SUMS - 1, 4, source["path"])


def test_steps_go_over_into_and_out_of_calls(line):
    line.launch("line.st", [], cwd=str(line.folder), stopOnEntry=True)
    assert line.stopped()["reason"] == "entry"
    assert line.line() == CALLS_A
    assert line.go("next")["reason"] == "step"
    assert line.stack()[0] == ("Main", CALLS_B)
    line.go("stepIn")
    assert line.stack()[0] == ("Main.b (Counter)", ADDS)
    line.go("stepIn")
    assert line.stack()[0] == ("Twice", DOUBLES)
    line.go("stepOut")
    assert line.stack()[0] == ("Main.b (Counter)", ADDS + 1)  # the statement that called it is done
    line.go("stepOut")
    assert line.stack()[0] == ("Main", CALLS_B + 1)
    for wanted in (1, 2, 1, 2, 1, 2, 1, 4):  # the loop, three times round, and what is behind it
        line.go("next")
        assert line.line() == CALLS_B + 1 + wanted


def test_a_step_at_the_end_of_a_program_leads_to_the_next_scan(line):
    line.launch("line.st", [("line.st", LAST)], cwd=str(line.folder), period="20ms")
    line.stopped()
    line.go("next")
    assert line.stack()[0] == ("Main", LAST + 1)  # END_PROGRAM: everything is done, and can be seen
    assert line.values("Locals")["n"] == "7"
    line.go("next")
    assert line.stack() == [("Main", CALLS_A), ("task default, scan 1, now T#20ms", 0)]
    line.ask("setBreakpoints", source={"path": str(line.folder / "line.st")}, breakpoints=[])
    line.go("nextScan")
    assert line.stack()[1][0] == "task default, scan 2, now T#40ms"
    line.go("nextScan", scans=100)
    assert line.stack() == [("Main", CALLS_A), ("task default, scan 102, now T#2s40ms", 0)]
    assert line.values("Scan", frame=1) == {"now": "T#2s40ms", "scan": "102", "task": "default"}


def test_methods_show_their_instance(line):
    line.launch("line.st", [("line.st", METHOD)], cwd=str(line.folder))
    line.stopped()
    assert line.stack()[:2] == [("Main.a.Add (Counter)", METHOD), ("Main", line_of(LINE, "a.Add(5)"))]
    assert line.values("Inputs") == {"more": "5"}
    assert line.values("Outputs") == {"Add": "0"}
    assert line.values("Locals") == {"THIS": "(step := 1, total := 2)"}
    assert line.evaluate("total + more") == "7"


def test_conditions_hits_and_messages(line):
    points = [
        {"line": SUMS, "condition": "i = 2"},
        {"line": LAST, "hitCondition": "%3"},
        {"line": CALLS_B, "logMessage": "b was {b.total} at {tanks[1].level + 1.0}, {tanks[i].level}"},
    ]
    line.launch("line.st", [("line.st", each) for each in points], cwd=str(line.folder))
    for scan in range(3):
        line.stopped()
        assert (line.line(), line.evaluate("i")) == (SUMS, "2")
        assert line.stack()[-1][0].startswith(f"task default, scan {scan},")
        line.ask("continue", threadId=1)
    line.stopped()
    assert line.line() == LAST
    said = [text for category, text in line.outputs if category == "stdout"]
    out = "<tanks[i].level: index out of range>"  # before the first loop, and behind it
    assert said == [f"b was 0 at 3.0, {out}\n", f"b was 20 at 10.0, {out}\n", f"b was 40 at 17.0, {out}\n"]


def test_breakpoints_that_cannot_be_say_why(line):
    points = [
        {"line": line_of(LINE, "Unused := 1")},
        {"line": line_of(LINE, "VAR CONSTANT")},
        {"line": 9_999},
        {"line": LAST, "condition": "n >"},
        {"line": LAST, "condition": "n + 1"},
        {"line": LAST, "condition": "shares = 1"},
        {"line": LAST, "hitCondition": "often"},
        {"line": LAST, "logMessage": "n is {n"},
    ]
    states = line.launch(
        "line.st", [("line.st", each) for each in points], cwd=str(line.folder), stopOnEntry=True
    )
    assert [each["verified"] for each in states] == [False, True, *[False] * 6]
    told = [each.get("message", "") for each in states]
    assert "nothing that runs calls Unused" in told[0]
    assert states[1]["line"] == CALLS_A  # the next line with code
    assert "no code" in told[2]
    assert "expected an expression" in told[3]
    assert "INT, not BOOL" in told[4]
    assert "did you mean share?" in told[5]
    assert "no hit count" in told[6]
    assert "takes an expression and a }" in told[7]
    (other,) = line.set_breakpoints("other.st", [1])
    assert "no part of the program" in other["message"]
    found = line.ask(
        "breakpointLocations", source={"path": str(line.folder / "line.st")}, line=SUMS - 1, endLine=SUMS
    )
    assert found["breakpoints"] == [{"line": SUMS - 1, "column": 1}, {"line": SUMS, "column": 5}]


def test_function_breakpoints_stop_where_a_unit_begins(line):
    line.launch("line.st", [], cwd=str(line.folder), stopOnEntry=True)
    line.stopped()
    wanted = [{"name": "twice", "condition": "value > 5"}, {"name": "Counter.Add"}, {"name": "Twise"}]
    states = line.ask("setFunctionBreakpoints", breakpoints=wanted)["breakpoints"]
    assert [each["verified"] for each in states] == [True, True, False]
    assert "did you mean Twice?" in states[2]["message"]
    assert line.go()["reason"] == "function breakpoint"
    assert line.stack()[:2] == [("Twice", DOUBLES), ("Main.b (Counter)", ADDS)]
    line.go()
    assert line.line() == METHOD


def test_variables_show_what_they_are(line):
    line.launch("line.st", [("line.st", LAST)], cwd=str(line.folder), set={"%IX0.0": True})
    line.stopped()
    scopes = line.scopes()
    locals_ = line.variables(scopes["Locals"])
    assert locals_["start"]["value"] == "TRUE"
    assert locals_["share"] | {"value": "7", "type": "Percent"} == locals_["share"]
    assert locals_["tanks"]["indexedVariables"] == 3
    tanks = line.variables(locals_["tanks"]["variablesReference"])
    third = line.variables(tanks["[3]"]["variablesReference"])
    assert {name: each["value"] for name, each in third.items()} == {
        "level": "1.5",
        "state": "Filling",
        "since": "T#0s",
        "name": "'T1'",
    }
    assert third["state"]["evaluateName"] == "tanks[3].state"
    assert line.evaluate(third["state"]["evaluateName"]) == "Filling"
    there = line.variables(locals_["pick"]["variablesReference"])
    assert line.variables(there["^"]["variablesReference"])["level"]["value"] == "20.0"
    block = line.variables(locals_["wait"]["variablesReference"])
    assert block["PT"]["value"] == "T#1s"
    assert "attributes" in locals_["LIMITED"]["presentationHint"]
    image = line.variables(scopes["Process image"])
    inputs = line.variables(image["%I"]["variablesReference"])
    assert {name: each["value"] for name, each in inputs.items()} == {"%IX0.0 Main.start": "TRUE"}


def test_arrays_come_in_pages(line):
    line.launch("line.st", [("line.st", LAST)], cwd=str(line.folder))
    line.stopped()
    grid = line.variables(line.scopes()["Locals"])["grid"]
    assert grid["indexedVariables"] == 300
    page = line.variables(grid["variablesReference"], filter="indexed", start=149, count=3)
    assert list(page) == ["[0, 149]", "[1, 0]", "[1, 1]"]
    line.ask("setVariable", variablesReference=grid["variablesReference"], name="[1, 1]", value="-42")
    assert line.evaluate("grid[1, 1]") == "-42"
    assert line.evaluate("grid[1, 1]", format={"hex": True}) == "16#FFD6"


def test_variables_are_set_and_keep_to_their_types(line):
    line.launch("line.st", [("line.st", LAST)], cwd=str(line.folder))
    line.stopped()
    reference = line.scopes()["Locals"]
    assert line.ask("setVariable", variablesReference=reference, name="n", value="16#10")["value"] == "16"
    line.go("next")
    assert line.values("Locals")["speed"] == "16"  # the program goes on with it
    frame = line.frames()[0]["id"]

    def set_(expression, value):
        return line.ask("setExpression", expression=expression, value=value, frameId=frame)["value"]

    assert set_("tanks[1].state", "Done") == "Done"
    assert set_("wait.PT", "T#3s500ms") == "T#3s500ms"
    assert set_("tanks[2].name", "'it$'s'") == "'it$'s'"
    for expression, value, why in (
        ("share", "101", "outside"),
        ("n", "70000", "does not fit"),
        ("n", "many", "no value for"),
        ("tanks[1].state", "Empty", "no value of State"),
        ("LIMITED", "1", "no variable"),
        ("tanks", "1", "part by part"),
        ("n + 1", "1", "no variable"),
        ("tanks[1].name", "'much too long a name'", "holds 10"),
    ):
        with pytest.raises(RefusedError, match=why):
            set_(expression, value)
    with pytest.raises(RefusedError, match="a constant"):
        line.ask("setVariable", variablesReference=line.scopes()["Locals"], name="LIMITED", value="1")
    with pytest.raises(RefusedError, match="no variable 'x'"):
        line.ask("setVariable", variablesReference=line.scopes()["Locals"], name="x", value="1")


WATCHES = {
    "n * 2": "14",
    "b.total": "20",
    "tanks[2].level > 19.5": "TRUE",
    "LIMIT(0, n, 5)": "5",
    "Twice(value := 21)": "42",
    "CONCAT(tanks[1].name, '$N')": "'T1$N'",
    "T#1s + T#500ms": "T#1s500ms",
    "State#Filling": "Filling",
    "pick^.level": "20.0",
    "a.step": "1",
    "INT_TO_STRING(n)": "'7'",
    "wait.Q": "FALSE",
    "Main.b.total": "20",
    "%QW1": "0",
    "tanks[2]": "(level := 20.0, state := Idle, since := T#0s, name := 'T1')",
}
WRONG = {
    "nope": "there is no variable nope",
    "n +": "expected an expression",
    "n n": "nothing may stand behind",
    "n := 1": "has no value",
    "tanks[i + 100].level": "index out of range",
    "1 / (n - n)": "division by zero",
    "tanks[9]": "outside 1..3",
    "start + 1": "ST3",
    "Counter": "function block",
    "%IX999.0": "outside the process image",
    "": "no expression",
    "Twice(1, 2, 3)": "ST4002",
    "a.tank.level": "only while Counter runs",
    "b.Add(1)": "VAR_IN_OUT",
}


def test_a_watch_is_any_expression_and_tells_what_is_wrong(line):
    line.launch("line.st", [("line.st", LAST)], cwd=str(line.folder))
    line.stopped()
    assert {each: line.evaluate(each, context="watch") for each in WATCHES} == WATCHES
    for expression, why in WRONG.items():
        with pytest.raises(RefusedError) as refused:
            line.evaluate(expression, context="watch")
        assert why in str(refused.value), expression


def test_the_console_assigns_and_calls(line):
    line.launch("line.st", [("line.st", LAST)], cwd=str(line.folder))
    line.stopped()
    assert line.evaluate("n := Twice(50);", context="repl") == "done"
    assert line.evaluate("n", context="repl") == "100"
    assert line.evaluate("a(step := 3, tank := tanks[3])", context="repl") == "done"
    assert line.evaluate("tanks[3].level") == "13.0"
    with pytest.raises(RefusedError, match="no value of Percent"):
        line.evaluate("share := 101", context="repl")
    with pytest.raises(RefusedError, match="ST2010"):
        line.evaluate("LIMITED := 1", context="repl")
    names = line.ask("completions", text="n := ta", column=8, frameId=line.frames()[0]["id"])["targets"]
    assert {"label": "tanks", "start": 5, "length": 2} in names
    names = line.ask("completions", text="tanks[1].", column=10, frameId=line.frames()[0]["id"])["targets"]
    assert [each["label"] for each in names] == ["level", "name", "since", "state"]
