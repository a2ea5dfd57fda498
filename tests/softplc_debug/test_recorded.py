"""The debugger over recorded scans: what happened is gone through again, forwards and backwards."""

import numpy as np
import pytest
from dap_client import RefusedError

import softplc
from runtime.config import TagList
from runtime.contract import Access, DataType, Tag
from softplc import facts
from softplc.build import Build
from softplc.core.loop import emit_core
from softplc.record.programs import Kept
from softplc.record.recorder import Recorder, RecordOptions
from softplc.wiring import make_core, wire

SOURCE = """\
FUNCTION_BLOCK Sum
VAR_INPUT x : INT; END_VAR
VAR_OUTPUT total : DINT; END_VAR
total := total + x;
END_FUNCTION_BLOCK

PROGRAM Main
VAR
    level AT %IW0 : INT;
    sum           : Sum;
    n, ratio      : DINT;
END_VAR
n := n + 1;
sum(x := level);
IF sum.total > 100 THEN
    ratio := 100 / (level - 7);
END_IF;
END_PROGRAM

CONFIGURATION Cell
    RESOURCE Plc ON Native
        TASK Fast (INTERVAL := T#10ms, PRIORITY := 1);
        PROGRAM Main WITH Fast : Main;
    END_RESOURCE
END_CONFIGURATION
"""
ADDS, COUNTS, CALLS, DECIDES, DIVIDES, END = 4, 13, 14, 15, 16, 18
LEVELS = [0, 1, 2, 3, 90, 4, 5, 7, 0]
STEP_NS = 10_000_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A record of scans, each with another level; the last one but one divides by zero."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "main.st").write_text(SOURCE)
    sources = {"main.st": SOURCE}
    build = Build(softplc.compile(sources=sources), emit_core(), sources)
    level = Tag("a/b/level", DataType.INT, variable="Main.level", source="operator", access=Access.READ)
    tags = TagList([level, *facts.declare().tags], "a/b")
    wiring = wire(tags, build.application)
    options = RecordOptions(64 << 20, 1_000_000_000)
    core = make_core(build, wiring, 0, record_words=options.ring_words(build, wiring))
    recorder = Recorder(folder / "record", options)
    recorder.prepare(core, 1)
    recorder.follow(core, lambda: Kept.of(build, wiring, tags))
    tag = tags["a/b/level"]
    for number, value in enumerate(LEVELS):
        raw = np.array([tag.data_type.encode(value)], np.uint64)
        core.write_inputs(np.array([tag.id], np.int32), raw, np.zeros(1, np.uint32), {})
        core.step((number + 1) * STEP_NS)
    recorder.end()
    return folder


def attach(session, folder, breakpoints=(), **more):
    session.folder = folder
    session.ask("initialize", adapterID="ironworks-st")
    session.ask("attach", record=str(folder / "record"), cwd=str(folder), **more)
    assert session.event("capabilities")["body"]["capabilities"] == {"supportsStepBack": True}
    session.event("initialized")
    states = session.set_breakpoints("main.st", list(breakpoints))
    session.ask("setExceptionBreakpoints", filters=["fault"])
    session.ask("configurationDone")
    session.stopped()
    return states


def where(session):
    """Return the line of the innermost frame, and the scan."""
    frames = session.frames()
    return frames[0]["line"], int(frames[-1]["name"].partition("scan ")[2].partition(",")[0])


def test_recorded_inputs_come_again(session, recorded):
    attach(session, recorded, [ADDS])
    assert where(session) == (COUNTS, 1)
    met = []
    for _ in LEVELS[:6]:
        session.go()
        met.append((session.evaluate("x"), session.evaluate("total"), session.evaluate("Main.n")))
    assert met == [
        ("0", "0", "1"),
        ("1", "0", "2"),
        ("2", "1", "3"),
        ("3", "3", "4"),
        ("90", "6", "5"),
        ("4", "96", "6"),
    ]
    assert session.stack()[:2] == [("Main.sum (Sum)", ADDS), ("Main", CALLS)]
    assert session.stack()[2][0] == "task Fast, scan 6, now T#60ms"


def test_a_fault_of_then_is_met_again_and_what_led_to_it_is_behind(session, recorded):
    attach(session, recorded)
    stop = session.go()
    assert stop["text"] == "division by zero; 100 / (level - 7): level - 7 = 0"
    assert where(session) == (DIVIDES, 8)
    back = []
    for _ in range(4):
        session.go("stepBack")
        back.append(where(session))
    assert back == [(DECIDES, 8), (CALLS, 8), (COUNTS, 8), (END, 7)]
    assert session.evaluate("ratio") == "-50"  # 100 / (5 - 7)
    session.go("stepBack")
    session.go("stepBack")
    assert where(session) == (DECIDES, 7)
    session.go("stepIn")
    assert where(session) == (DIVIDES, 7)


def test_it_goes_back_to_breakpoints_and_to_where_the_record_begins(session, recorded):
    attach(session, recorded, [{"line": ADDS, "condition": "x > 2"}], scan=6)
    assert where(session) == (COUNTS, 7)
    met = []
    for _ in range(3):
        stop = session.go("reverseContinue")
        met.append((stop["reason"], *where(session), session.evaluate("x")))
    assert met == [("breakpoint", ADDS, 6, "4"), ("breakpoint", ADDS, 5, "90"), ("breakpoint", ADDS, 4, "3")]
    session.go("stepBack")
    assert where(session) == (CALLS, 4)
    stop = session.go("reverseContinue")
    assert (stop["reason"], stop["text"]) == ("entry", "the record begins here")
    assert where(session) == (COUNTS, 1)
    session.go("stepBack")
    assert where(session) == (COUNTS, 1)
    session.go("nextScan", scans=2)
    assert where(session) == (COUNTS, 3)


def test_the_end_of_a_record_is_no_end_of_the_session(session, recorded):
    attach(session, recorded, scan=6)
    session.go()  # the fault
    stop = session.go()
    assert stop["text"] == "The record ends here"
    assert session.stack() == [("scan 8, now T#80ms", 0)]
    assert session.evaluate("Main.n") == "8"
    session.go("stepBack")
    assert where(session)[1] == 8


def test_what_was_recorded_is_not_changed(session, recorded):
    attach(session, recorded, scan=3)
    with pytest.raises(RefusedError, match="was recorded"):
        session.ask("setVariable", variablesReference=session.scopes()["Locals"], name="n", value="1")
    with pytest.raises(RefusedError, match="not changed"):
        session.evaluate("n := 1", context="repl")
    assert session.evaluate("n + 1", context="repl") == "4"


def test_a_source_that_was_edited_since_is_shown_as_it_ran(session, recorded):
    (recorded / "main.st").write_text("// new\n" + SOURCE)
    try:
        attach(session, recorded)
        source = session.frames()[0]["source"]
        assert "path" not in source
        assert session.ask("source", sourceReference=source["sourceReference"])["content"] == SOURCE
        assert any("main.st was edited since" in text for _, text in session.outputs)
    finally:
        (recorded / "main.st").write_text(SOURCE)


def test_what_is_no_record_says_so(session, recorded):
    session.ask("initialize", adapterID="x")
    with pytest.raises(RefusedError, match="no scans are recorded"):
        session.ask("attach", record=str(session.folder))
    with pytest.raises(RefusedError, match="scan 99 is not in the record"):
        session.ask("attach", record=str(recorded / "record"), scan=99)
    with pytest.raises(RefusedError, match="attach: Object missing required field `record`"):
        session.ask("attach")
    session.ask("attach", record=str(recorded / "record"))
    session.ask("configurationDone")
    session.stopped()
    with pytest.raises(RefusedError, match="already"):
        session.ask("launch", program="x.st")
