"""Tests of user programs from outside: the fixture `plc`, `*_test.yaml`, `ironworks test`."""

import shutil

import pytest

import softplc.pytest_plugin
import softplc.section
import softplc.testing.cases  # what an inner run of pytest may not import a second time
from twin.demo.bottling import FOLDER

pytest_plugins = ["pytester"]

PROGRAM = """\
TYPE
    E_Mode  : (STOPPED, RUNNING);
    ST_Axis : STRUCT speed : REAL := 2.5; label : STRING[12] := 'axis'; END_STRUCT;
END_TYPE
FUNCTION Twice : INT
VAR_INPUT x : INT; END_VAR
Twice := x * 2;
END_FUNCTION
PROGRAM Main
VAR
    start, motor : BOOL;
    delay        : TON;
    after        : TIME := T#1s500ms;
    n            : INT;
    parts        : INT := 1;
    share        : INT;
    mode         : E_Mode;
    axes         : ARRAY[1..3] OF ST_Axis;
    lamp AT %QX0.0 : BOOL;
END_VAR
delay(IN := start, PT := after);
motor := delay.Q;
lamp := motor;
IF motor THEN
    n := n + 1;
    mode := RUNNING;
END_IF;
share := 100 / parts;
END_PROGRAM
"""


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """Import here what an inner run may not import a second time: LLVM."""
    softplc.compile(sources={"warm.st": "PROGRAM Warm END_PROGRAM"})


@pytest.fixture
def folder(pytester):
    (pytester.path / "plc").mkdir()
    (pytester.path / "tests").mkdir()
    (pytester.path / "plc" / "main.st").write_text(PROGRAM)
    return pytester.path


def run(pytester, **counts):
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    result.assert_outcomes(**counts)
    return result.stdout


def test_a_program_is_stepped_exactly_to_the_scan(folder, pytester):
    (folder / "tests" / "test_main.py").write_text("""
import pytest
pytestmark = pytest.mark.plc("plc")

def test_delay(plc):
    plc["Main.start"] = True
    plc.run_for("1.5s")
    assert plc.seconds == 1.5 and plc["main.MOTOR"] is False
    plc.scan()
    assert plc["Main.motor"] and plc["%QX0.0"] and plc["Main.mode"] == 1 and plc["Main.n"] == 1
    plc.scan(3)
    plc.run_for(0.04)
    assert plc["Main.n"] == 8

def test_each_test_begins_cold(plc):
    assert plc["Main.n"] == 0 and plc["Main.axes[2].label"] == "axis"
    plc["Main.mode"] = "RUNNING"
    plc["Main.after"] = "T#20ms"
    assert plc["Main.mode"] == 1 and plc["Main.after"] == 20_000_000

@pytest.mark.plc(["plc/*.st"], profile="codesys", period="100ms")
def test_trace(plc):
    trace = plc.trace("Main.motor", "Main.n")
    plc["Main.start"] = True
    plc.run_for("1.7s")
    assert trace.changes("main.n") == [(0.0, 0), (1.5, 1), (1.6, 2)]
    assert str(trace).splitlines() == [
        "   time  Main.motor  Main.n",
        "     0s  FALSE       0",
        "1s500ms  TRUE        1",
        "1s600ms              2",
    ]

def test_a_fault_can_be_expected(plc):
    plc["Main.parts"] = 0
    with pytest.raises(AssertionError, match="division by zero") as caught:
        plc.scan()
    assert (caught.value.file, caught.value.line) == ("plc/main.st", 28)
""")
    run(pytester, passed=4)


def test_a_failure_shows_what_the_variables_did(folder, pytester):
    (folder / "tests" / "test_main.py").write_text("""
import pytest
pytestmark = pytest.mark.plc("plc/*.st")

def test_late(plc):
    plc["Main.start"] = True
    plc.run_for("1.51s")
    plc["Main.start"] = False
    plc.run_for("20ms")
    assert plc["Main.n"] == 2 and plc["Main.motor"]

def test_fault(plc):
    plc.run_for("0.2s")
    plc["Main.parts"] = 0
    plc.run_for("0.2s")

def test_unknown(plc):
    plc["Main.mootor"]

@pytest.mark.plc("other/*.st")
def test_nothing(plc): ...

@pytest.mark.plc("plc", profil="iec")
def test_argument(plc): ...
""")
    shown = run(pytester, failed=3, errors=2)
    shown.fnmatch_lines(
        [
            "*no program: nothing matches other/?.st",
            "marker plc: unknown argument 'profil'; there are profile, period",
            "*PLC until 1.53 s*",
            "   time  Main.start  Main.n",
            "     0s  TRUE        0",
            "1s500ms              1",
            "1s510ms  FALSE",
            "E * plc/main.st:28: task default stopped at 0.2 s: division by zero",
            "E * 28 | share := 100 / parts;",
            "E * there is no variable 'Main.mootor' (did you mean Main.motor?)",
        ]
    )
    shown.no_fnmatch_line("*application.py*")


def test_a_program_that_is_wrong_is_told_as_by_check(folder, pytester):
    (folder / "plc" / "main.st").write_text("PROGRAM Main VAR a : INT; END_VAR\na := b;\nEND_PROGRAM\n")
    (folder / "tests" / "test_main.py").write_text(
        "import pytest\n@pytest.mark.plc('plc')\ndef test_it(plc): ...\n"
    )
    shown = run(pytester, errors=1)
    shown.fnmatch_lines(["plc/main.st:2:6: error ST2003: there is no variable b"])
    shown.no_fnmatch_line("*During handling*")


def test_conditions_reach_everything(folder, pytester):
    (folder / "tests" / "main_test.yaml").write_text("""
sources: plc
tests:
  - test: the motor follows
    given: {Main.start: true, Main.after: T#200ms, "Main.axes[3].label": door}
    steps:
      - advance: 0.2s
        expect: NOT Main.motor AND %QX0.0 = FALSE
      - scan: 1
        expect:
          - main.MOTOR AND Main.mode = E_Mode#RUNNING AND Main.mode <> STOPPED AND %QX0.0
          - Main.delay.Q AND Main.delay.ET = T#200ms
          - Twice(x := Main.n) = 2 AND Main.axes[Main.n + 1].speed > 2.0
          - CONCAT(Main.axes[3].label, '!') = 'door!'
""")
    run(pytester, passed=1)


def test_a_case_that_fails_says_where_and_what_was_there(folder, pytester):
    (folder / "tests" / "main_test.yaml").write_text(
        """
sources: plc
tests:
  - test: late
    given: {Main.start: true, Main.after: T#10ms}
    steps:
      - scan: 3
        expect: Main.motor AND Main.n = 3
  - {test: no path, steps: [expect: Main.motor AND Main.mootor]}
  - {test: no name, steps: [expect: Main.n = mootor]}
  - {test: no bool, steps: [expect: Main.n]}
  - {test: no value, steps: [expect: 3 / Main.n = 1]}
  - {test: no end, steps: [expect: Main.n = 1)]}
  - {test: no variable, steps: [{set: {Main.strt: 1}}, expect: Main.motor]}
  - {test: fault, steps: [{set: {Main.parts: 0}, scan: 1}, expect: Main.motor]}
  - {test: right, steps: [expect: Main.n = 0]}
"""
    )
    shown = run(pytester, failed=8, passed=1)
    shown.fnmatch_lines(
        [
            "*main_test.yaml:8:9: expected Main.motor AND Main.n = 3 at 0.03 s",
            "    Main.motor = TRUE",
            "    Main.n = 2",
            "*PLC until 0.03 s*",
            "*main_test.yaml:9:*: there is no variable 'Main.mootor'",
            "    help: did you mean Main.motor?",
            "*main_test.yaml:10:*: Main.n = mootor: ST2003: there is no variable mootor",
            "    help: did you mean Main.motor?",
            "*main_test.yaml:11:*: Main.n: ST3001: INT does not convert to BOOL",
            "*main_test.yaml:12:*: 3 / Main.n = 1: division by zero",
            "*main_test.yaml:13:*: Main.n = 1): ST1010: expected the end of the condition, found ')'",
            "*main_test.yaml:14:*: there is no variable 'Main.strt'",
            "    help: did you mean Main.start?",
            "*main_test.yaml:15:*: plc/main.st:28: task default stopped at 0 s: division by zero",
        ]
    )


def test_coverage_tells_which_lines_ran(folder, pytester):
    (folder / "plc" / "spare.st").write_text(
        "FUNCTION Spare : INT VAR_INPUT x : INT; END_VAR\nCASE x OF\n1: Spare := 1;\nELSE\n"
        "    Spare := 2;\nEND_CASE;\nEND_FUNCTION\n"
    )
    (folder / "tests" / "main_test.yaml").write_text(
        "sources: plc\ntests:\n  - {test: idle, steps: [{scan: 2, expect: Twice(Main.n) = 0}]}\n"
    )
    (folder / "tests" / "test_main.py").write_text(
        "import pytest\n@pytest.mark.plc('plc')\ndef test_it(plc):\n    plc.scan()\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", "--st-coverage")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "file          lines  missed  cover  missing",
            "plc/main.st       8       2    75%  25-26",
            "plc/spare.st      3       3     0%  2-5",
            "TOTAL            11       5    54%",
        ]
    )


def test_a_file_of_cases_that_is_wrong_is_told_with_its_lines(folder, pytester):
    (folder / "tests" / "main_test.yaml").write_text("""sources: plc
tests:
  - test: idle
    steps:
      - advnce: 1s
  - {test: idle, steps: []}
""")
    (folder / "tests" / "twice_test.yaml").write_text("""sources: plc
tests:
  - {test: idle, steps: [scan: 1]}
  - {test: idle, steps: [expect: Main.motor]}
""")
    (folder / "tests" / "stranger_test.yaml").write_text("of: somebody else\n")
    shown = run(pytester, errors=2)
    shown.fnmatch_lines(
        [
            "*main_test.yaml:5:9: error: unknown key 'advnce'",
            "*did you mean 'advance'?",
            "*twice_test.yaml:3:6: error: two tests are named 'idle'",
            "*the test 'idle' expects nothing",
        ]
    )


def test_the_bottling_line_has_tests_of_its_program(pytester):
    tests = shutil.copytree(FOLDER, pytester.path / "line") / "tests"
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", str(tests))
    result.assert_outcomes(passed=4)


def test_coverage_tells_which_branches_were_not_taken(folder, pytester):
    (folder / "plc" / "main.st").write_text(
        "TYPE Colour : (RED, GREEN); END_TYPE\n"
        "FUNCTION_BLOCK Motor\n"
        "VAR_INPUT run : BOOL; level : INT; END_VAR\n"
        "VAR i, n : INT; c : Colour; name : STRING := 'a'; END_VAR\n"
        "IF run THEN n := 1; ELSIF level > 3 THEN n := 2; END_IF;\n"
        "IF level > 100 THEN\n"
        "    IF level > 200 THEN n := 2; END_IF;\n"
        "ELSE\n"
        "    n := 0;\n"
        "END_IF;\n"
        "CASE c OF\n"
        "    RED: n := 1;\n"
        "    GREEN: n := 2;\n"
        "END_CASE;\n"
        "CASE n OF 1, 3..5: n := n + 1; END_CASE;\n"
        "CASE name OF 'b': n := 2; ELSE n := 9; END_CASE;\n"
        "FOR i := 1 TO level DO n := n + 1; END_FOR;\n"
        "FOR i := 1 TO 3 DO n := n + 1; END_FOR;\n"
        "WHILE n > 100 DO n := n - 1; END_WHILE;\n"
        "END_FUNCTION_BLOCK\n"
        "PROGRAM Main\nVAR m : Motor; END_VAR\n"
        "INITIAL_STEP A: Act(N); END_STEP\nSTEP B: END_STEP\n"
        "TRANSITION FROM A TO B := m.run; END_TRANSITION\n"
        "ACTION Act: m(level := 5); END_ACTION\n"
        "END_PROGRAM\n"
    )
    (folder / "tests" / "main_test.yaml").write_text(
        "sources: plc\ntests: [{test: idle, steps: [{scan: 2, expect: Main.A.X}]}]\n"
    )
    for file in (folder / "tests").glob("*.py"):
        file.unlink()
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", "--st-coverage")
    result.assert_outcomes(passed=1)
    told = [line for line in result.outlines if "branch not" in line or line.startswith("branches:")]
    assert told == [
        "branches: 8 of 18 taken",
        "plc/main.st:5 branch not taken: IF run",
        "plc/main.st:5 branch not taken: IF run: no condition TRUE, no ELSE",
        "plc/main.st:6 branch not taken: IF level > 100",
        "plc/main.st:13 branch not taken: CASE c OF GREEN",
        "plc/main.st:15 branch not taken: CASE n: no label fits, no ELSE",
        "plc/main.st:16 branch not taken: CASE name OF 'b'",
        "plc/main.st:17 branch not taken: FOR i: not once",
        "plc/main.st:19 branch not taken: WHILE n > 100: at least once",
    ]
