"""Sessions: faults, charts, dialects, restarts, clients that go, and clients that send nonsense."""

import json
import subprocess
import sys

import pytest
from dap_client import RefusedError

FAULTY = """\
FUNCTION Divided : INT
VAR_INPUT
    whole, parts : INT;
END_VAR
Divided := whole / parts;
END_FUNCTION

PROGRAM Careful
VAR
    n : INT := 3;
    list : ARRAY[1..4] OF INT;
    share : INT(0..10);
END_VAR
n := n - 1;
IF n = 1 THEN
    n := Divided(whole := 100, parts := n - 1);
END_IF;
END_PROGRAM

PROGRAM Careless
VAR
    k : INT := 3;
    list : ARRAY[1..4] OF INT;
END_VAR
k := k + 1;
list[k] := 7;
END_PROGRAM

PROGRAM Steady
VAR
    share : INT(0..10);
    scans : DINT;
END_VAR
scans := scans + 1;
IF scans > 5 THEN
    share := DINT_TO_INT(scans * 2);
END_IF;
END_PROGRAM

CONFIGURATION Cell
    RESOURCE Plc ON Native
        TASK One (INTERVAL := T#10ms, PRIORITY := 1);
        TASK Two (INTERVAL := T#10ms, PRIORITY := 2);
        TASK Three (INTERVAL := T#10ms, PRIORITY := 3);
        PROGRAM Careful WITH One : Careful;
        PROGRAM Careless WITH Two : Careless;
        PROGRAM Steady WITH Three : Steady;
    END_RESOURCE
END_CONFIGURATION
"""
CHART = """\
PROGRAM Batch
VAR
    go, full : BOOL;
    level    : INT;
END_VAR
INITIAL_STEP Waiting:
END_STEP
STEP Filling:
    Fill(N);
END_STEP
TRANSITION FROM Waiting TO Filling
    := go;
END_TRANSITION
TRANSITION FROM Filling TO Waiting
    := full;
END_TRANSITION
ACTION Fill:
    level := level + 1;
    full := level >= 2;
END_ACTION
END_PROGRAM
"""
CODESYS = """\
FUNCTION_BLOCK Lamp
VAR
    lit : BOOL;
    p   : POINTER TO INT;
    own : INT := 7;
END_VAR
Toggle();
p := ADR(own);
END_FUNCTION_BLOCK
ACTION Toggle:
lit := NOT lit;
END_ACTION

PROGRAM Main
VAR
    lamp : Lamp;
    a, b : INT;
END_VAR
lamp();
REPEAT a := a + 1; b := a; UNTIL a >= 3 END_REPEAT
END_PROGRAM
"""


RESOURCES = """\
FUNCTION_BLOCK F VAR_OUTPUT q : INT; END_VAR VAR_EXTERNAL g : INT; END_VAR
g := g + 1; q := g;
END_FUNCTION_BLOCK PROGRAM P VAR f : F; END_VAR
f();
END_PROGRAM CONFIGURATION C
RESOURCE left ON PLC VAR_GLOBAL g : INT := 1; END_VAR PROGRAM main : P; END_RESOURCE
RESOURCE right ON PLC VAR_GLOBAL g : INT := 20; END_VAR PROGRAM main : P; END_RESOURCE
END_CONFIGURATION
"""


def write(client, text, name="main.st"):
    (client.folder / name).write_text(text)
    return {"cwd": str(client.folder)}


def line_of(text, part):
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_fault_stops_at_its_line_with_the_operands(session):
    session.launch("main.st", **write(session, FAULTY))
    stop = session.stopped()
    assert (stop["reason"], stop["description"]) == ("exception", "Stopped by a fault")
    assert stop["text"] == "division by zero; whole / parts: whole = 100, parts = 0"
    assert session.stack()[:2] == [("Divided", 5), ("Careful", line_of(FAULTY, "n := Divided"))]
    info = session.ask("exceptionInfo", threadId=1)
    assert info["exceptionId"] == "division by zero"
    assert info["description"].startswith("main.st:5: task One stopped: division by zero\n")
    assert session.values("Inputs") == {"whole": "100", "parts": "0"}
    assert session.go()["text"] == "index out of range; list[k]: k = 5, of 1..4"
    assert session.stack()[0] == ("Careless", line_of(FAULTY, "list[k]"))
    with pytest.raises(RefusedError, match="index out of range"):
        session.evaluate("list[k]")
    session.ask("setExceptionBreakpoints", filters=[])
    session.ask("continue", threadId=1)
    session.event("terminated")  # with the last task
    told = "".join(text for category, text in session.outputs if category == "stderr")
    assert "task Two stopped: index out of range" in told
    assert "task Three stopped: value outside its subrange" in told
    assert any("every task has stopped" in text for _, text in session.outputs)


def test_a_value_outside_of_its_type_and_a_reference_to_nothing(session):
    text = (
        "PROGRAM Main\nVAR share : INT(0..10); n : INT := 9; END_VAR\n"
        "n := n + 1;\nIF n > 10 THEN share := n; END_IF;\nEND_PROGRAM\n"
        "PROGRAM Other\nVAR r : REF_TO INT; k : INT; END_VAR\nk := r^ + 1;\nEND_PROGRAM\n"
        "CONFIGURATION C RESOURCE R ON N TASK A (PRIORITY := 1); TASK B (PRIORITY := 2);\n"
        "PROGRAM Main WITH A : Main; PROGRAM Other WITH B : Other; END_RESOURCE END_CONFIGURATION\n"
    )
    session.launch("main.st", **write(session, text))
    assert session.stopped()["text"] == "a reference that is NULL was followed; r^: r = NULL"
    assert session.go()["text"] == "value outside its subrange; share := n: n = 11, of 0..10"


def test_each_resource_shows_its_own_variables(session):
    session.launch("main.st", [("main.st", line_of(RESOURCES, "g := g + 1"))], **write(session, RESOURCES))
    session.stopped()
    assert session.stack()[:2] == [("left.main.f (F)", 2), ("left.main (P)", 4)]
    assert (session.evaluate("g"), session.evaluate("left.g"), session.evaluate("right.g")) == (
        "1",
        "1",
        "20",
    )
    assert session.evaluate("g + 100") == "101"
    assert session.evaluate("right.main.f.q") == "0"
    assert session.evaluate("left.g := 5", context="repl") == "done"
    session.go()
    assert session.stack()[:2] == [("right.main.f (F)", 2), ("right.main (P)", 4)]
    assert (session.evaluate("g"), session.evaluate("left.g")) == ("20", "6")
    with pytest.raises(RefusedError, match="no variable h"):
        session.evaluate("left.h")


def test_charts_stop_at_steps_transitions_and_actions(session):
    lines = {part: line_of(CHART, part) for part in ("STEP Filling", ":= go", ":= full", "level := level")}
    more = write(session, CHART)
    session.launch("main.st", [("main.st", each) for each in lines.values()], set={"Batch.go": True}, **more)
    met = []
    for _ in range(6):
        session.stopped()
        scan = int(session.stack()[-1][0].partition("scan ")[2].partition(",")[0])
        met.append((scan, session.line()))
        session.ask("continue", threadId=1)
    assert met == [
        (1, lines[":= go"]),
        (1, lines["STEP Filling"]),
        (1, lines["level := level"]),
        (2, lines[":= full"]),
        (2, lines["STEP Filling"]),
        (2, lines["level := level"]),
    ]


def test_actions_pointers_and_columns_of_another_dialect(session):
    toggles, repeats = line_of(CODESYS, "lit := NOT"), line_of(CODESYS, "REPEAT")
    more = write(session, CODESYS) | {"profile": "codesys"}
    inner = CODESYS.splitlines()[repeats - 1].index("b := a") + 1
    points = [("main.st", toggles), ("main.st", {"line": repeats, "column": inner})]
    states = session.launch("main.st", points, **more)
    assert (states[1]["line"], states[1]["column"]) == (repeats, inner)
    session.stopped()
    assert session.stack()[:3] == [
        ("Main.lamp.Toggle (Lamp)", toggles),
        ("Main.lamp (Lamp)", line_of(CODESYS, "Toggle();")),
        ("Main", line_of(CODESYS, "lamp();")),
    ]
    assert session.values("Locals")["lit"] == "FALSE"
    for a in ("1", "2", "3"):
        session.go()
        assert (session.line(), session.evaluate("a")) == (repeats, a)
    lamp = session.variables(session.variables(session.scopes()["Locals"])["lamp"]["variablesReference"])
    target = session.variables(lamp["p"]["variablesReference"])["^"]
    assert (target["value"], target["type"]) == ("7", "INT")


COUNTER = """FUNCTION_BLOCK Counter
VAR_OUTPUT n : INT; END_VAR
METHOD PUBLIC Add : INT
VAR_INPUT more : INT; END_VAR
n := n + more;
Add := n;
END_METHOD
n := n + 1;
END_FUNCTION_BLOCK
PROGRAM Main
VAR a : Counter; k : INT; END_VAR
k := k + 1;
END_PROGRAM
"""


def test_a_watch_changes_nothing(session):
    session.launch("main.st", stopOnEntry=True, **write(session, COUNTER))
    session.stopped()
    for statement in ("k := 7", "a()"):
        with pytest.raises(RefusedError, match="has no value"):
            session.evaluate(statement, context="watch")
    assert [session.evaluate(each, context="watch") for each in ("a.Add(2)", "a.n", "k")] == ["2", "0", "0"]
    assert [session.evaluate(each, context="repl") for each in ("a.Add(2)", "a.n")] == ["2", "2"]


def test_the_library_is_stepped_over_unless_it_is_asked_for(session):
    text = "PROGRAM Main\nVAR t : TON; END_VAR\nt(IN := TRUE, PT := T#1s);\nEND_PROGRAM\n"
    more = write(session, text)
    session.launch("main.st", stopOnEntry=True, **more)
    session.stopped()
    session.go("stepIn")
    assert session.stack()[0] == ("Main", 4)
    session.ask(
        "restart", arguments={"program": "main.st", "stopOnEntry": True, "library": True, "speed": 0, **more}
    )
    session.stopped()
    session.go("stepIn")
    frame = session.frames()[0]
    assert frame["name"] == "Main.t (TON)"
    assert frame["source"]["name"] == "TON.st"


def test_a_restart_takes_in_what_was_edited(session):
    text = "PROGRAM Main\nVAR n : INT; END_VAR\nn := n + 1;\nEND_PROGRAM\n"
    more = write(session, text)
    session.launch("main.st", [("main.st", 3)], **more)
    session.stopped()
    session.go()
    write(session, text.replace("n := n + 1;", "\n\nn := n + 7;"))
    session.ask("restart")
    changed = session.event("breakpoint")["body"]["breakpoint"]
    assert (changed["verified"], changed["line"]) == (True, 5)
    session.stopped()
    assert session.stack() == [("Main", 5), ("task default, scan 0, now T#0s", 0)]
    write(session, "PROGRAM Main\nn := 1;\nEND_PROGRAM\n")
    with pytest.raises(RefusedError, match="there is no variable n"):
        session.ask("restart")
    session.event("terminated")


def test_a_running_program_is_paused_asked_and_ended(session):
    text = "PROGRAM Main\nVAR n, m : DINT; END_VAR\nn := n + 1;\nEND_PROGRAM\n"
    session.launch("main.st", **{"speed": 1.0, **write(session, text)})
    with pytest.raises(RefusedError, match="running"):
        session.ask("stackTrace", threadId=1)
    assert session.ask("evaluate", expression="Main.m := 5", context="repl")["result"] == "done"
    assert session.ask("evaluate", expression="Main.m", context="repl")["result"] == "5"
    assert session.ask("threads")["threads"] == [{"id": 1, "name": "PLC"}]
    session.ask("pause", threadId=1)
    assert session.stopped()["reason"] == "pause"
    frame = session.frames()[0]
    assert session.evaluate("m") == "5"
    session.ask("continue", threadId=1)
    with pytest.raises(RefusedError, match="running"):
        session.ask("scopes", frameId=frame["id"])
    session.ask("pause", threadId=1)
    session.stopped()
    with pytest.raises(RefusedError, match="no such frame"):
        session.ask("scopes", frameId=frame["id"])
    with pytest.raises(RefusedError, match="gone"):
        session.ask("variables", variablesReference=9_999)
    session.ask("terminate")
    session.event("terminated")
    with pytest.raises(RefusedError, match="has ended"):
        session.ask("evaluate", expression="Main.m", context="repl")


def test_what_cannot_be_launched_says_why(session):
    folder = str(session.folder)
    (session.folder / "bad.st").write_text("PROGRAM Main\nx := 1;\nEND_PROGRAM\n")
    (session.folder / "good.st").write_text("PROGRAM Main\nVAR x : INT; END_VAR\nx := 1;\nEND_PROGRAM\n")
    session.ask("initialize", adapterID="x")
    for arguments, why in (
        ({"program": "none.st"}, "does not exist"),
        ({}, "nothing to debug"),
        ({"program": "bad.st"}, "bad.st:2: there is no variable x"),
        ({"program": "good.st", "period": "soon"}, "no duration"),
        ({"program": "good.st", "period": "0s"}, "longer than 0"),
        ({"program": "good.st", "speed": -1}, "speed"),
        ({"program": "good.st", "profile": "fast"}, "fast"),
        ({"program": "good.st", "set": {"Main.y": 1}}, "no variable 'Main.y'"),
        ({"program": "good.st", "set": {"Main.x": "T#1s"}}, "no value for"),
        ({"program": 7}, "launch: Expected"),
    ):
        with pytest.raises(RefusedError, match=why):
            session.ask("launch", **{"cwd": folder, **arguments})
    with pytest.raises(RefusedError, match="launch"):
        session.ask("configurationDone")
    session.ask("launch", program="good.st", cwd=folder, speed=0, stopOnEntry=True)
    session.ask("configurationDone")
    assert session.stopped()["reason"] == "entry"
    with pytest.raises(RefusedError, match="does not go back"):
        session.ask("stepBack", threadId=1)
    assert any("bad.st:2:1: error ST2003" in text for _, text in session.outputs)


def test_nonsense_is_refused_and_the_session_goes_on(session):
    def answer(message):
        session.send(message)
        return session.response()

    refused = answer({"seq": 7, "type": "request", "command": "fly"})
    assert (refused["request_seq"], refused["success"]) == (7, False)
    assert "no request 'fly'" in refused["message"]
    assert (
        "did you mean stackTrace" in answer({"seq": 8, "type": "request", "command": "stacktrace"})["message"]
    )
    for nonsense in ([], 5, "x", None, {"seq": "a"}, {"seq": 1, "type": "request"}):
        assert "no request" in answer(nonsense)["message"]
    for command, arguments in (
        ("setBreakpoints", None),
        ("setBreakpoints", {"source": {"path": "a.st"}, "breakpoints": [{"line": "1"}]}),
        ("stackTrace", {"startFrame": []}),
        ("variables", {"variablesReference": 1e99}),
        ("evaluate", [1]),
    ):
        refused = answer({"seq": 9, "type": "request", "command": command, "arguments": arguments})
        assert not refused["success"]
        assert "Traceback" not in json.dumps(refused)
    session.send_raw(b"Content-Length: 5\r\n\r\n{a b}")
    session.send_raw(b"X-More: 1\r\ncontent-length: 2\r\n\r\n[]")
    assert "no request" in session.response()["message"]
    assert any("no JSON" in session.event("output")["body"]["output"] for _ in range(1))
    assert session.ask("initialize", adapterID="x")["supportsLogPoints"]


@pytest.mark.parametrize(
    "data", [b"hello\r\n\r\n", b"Content-Length: -1\r\n\r\n", b"x" * 5_000], ids=["words", "length", "long"]
)
def test_what_is_no_message_ends_the_session(session, data):
    session.send_raw(data)
    assert session.response() is None
    assert any(category == "stderr" for category, _ in session.outputs)


def test_over_standard_streams_and_until_they_end(stdio):
    text = "PROGRAM Main\nVAR n : INT; END_VAR\nWHILE TRUE DO n := 1; END_WHILE;\nEND_PROGRAM\n"
    stdio.launch("main.st", [("main.st", 3)], **write(stdio, text))
    stdio.stopped()
    assert stdio.stack()[0] == ("Main", 3)
    stdio.ask("continue", threadId=1)  # it never ends by itself
    stdio.ask("disconnect")
    assert stdio.process.wait(60) == 0
    assert stdio.process.stderr.read() == b""


def test_a_port_that_is_taken(port):
    command = [sys.executable, "-m", "runtime.cli", "dap", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "cannot be had" in done.stderr
    assert "Traceback" not in done.stderr
