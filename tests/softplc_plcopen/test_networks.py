"""Programs that are drawn do what the same programs do that are written."""

import random
from dataclasses import dataclass, field

import pytest

import softplc

SCANS = 60


@dataclass
class Case:
    """A program as it is drawn (a function of the drawing tools), and as it is written.

    Inputs are variables that the test sets at random, outputs those that must agree.
    """

    drawn: object
    written: str
    inputs: dict
    outputs: list
    variables: dict = field(default_factory=dict)
    written_variables: str = ""


def latch(body):
    rail = body.rail()
    start = body.contact("start", rail)
    held = body.contact("motor", rail)
    body.coil("motor", body.contact("stop", start, held, negated=True))


def edges(body):
    rail = body.rail()
    body.coil("q", body.contact("a", rail, edge="rising"), storage="set")
    body.network()
    body.coil("q", body.contact("b", rail, edge="falling"), storage="reset")
    body.network()
    body.coil("p", body.contact("a", rail), edge="rising")
    body.network()
    counted = body.block(
        "CTU",
        {"CU": body.contact("a", rail), "R": body.contact("b", rail), "PV": body.value("3")},
        ("Q", "CV"),
        "counter",
        pins={"CU": {"edge": "falling"}},
    )
    body.put("n", (counted, "CV"))
    body.coil("full", (counted, "Q"), negated=True)


def timers(body):
    first = body.block("TON", {"IN": body.value("a"), "PT": body.value("T#20ms")}, ("Q", "ET"), "t1")
    second = body.block("TOF", {"IN": (first, "Q"), "PT": body.value("T#30ms")}, ("Q", "ET"), "t2")
    body.put("q", (second, "Q"))
    body.put("past", (second, "ET"))


def loop(body):
    both = body.later()
    either = body.block("OR", {"IN1": body.value("a"), "IN2": both})
    stop = body.value("b", negated=True)
    body.block("AND", {"IN1": either, "IN2": stop}, number=both)
    body.put("q", both)
    body.network()
    total = body.later()
    body.block("ADD", {"IN1": body.value("x"), "IN2": total}, number=total)
    body.put("n", total)


def blink(body):
    """The line from the right timer leads back to the left one: that runs first."""
    right = body.later()
    left = body.block(
        "TON",
        {"IN": (right, "Q"), "PT": body.value("T#20ms")},
        ("Q", "ET"),
        "t1",
        pins={"IN": {"negated": "true"}},
    )
    body.block("TON", {"IN": (left, "Q"), "PT": body.value("T#10ms")}, ("Q", "ET"), "t2", number=right)
    body.put("q", (left, "Q"))
    body.put("past", (right, "ET"))


def jumps(body):
    body.put("i", body.value("0"))
    body.network()
    body.put("n", body.value("0"))
    body.network()
    body.label("again")
    body.network()
    body.put("i", body.block("ADD", {"IN1": body.value("i"), "IN2": body.value("1")}))
    body.network()
    body.put("n", body.block("ADD", {"IN1": body.value("n"), "IN2": body.value("i")}))
    body.network()
    body.jump("again", body.block("LT", {"IN1": body.value("i"), "IN2": body.value("x")}))
    body.network()
    body.jump("skip", body.value("a"))
    body.network()
    body.put("n", body.block("MUL", {"IN1": body.value("n"), "IN2": body.value("2")}))
    body.network()
    body.label("skip")
    body.network()
    body.leave(body.value("b"), negated=True)
    body.network()
    body.put("n", body.block("ADD", {"IN1": body.value("n"), "IN2": body.value("1000")}))


def enabled(body):
    sane = body.block("NE", {"IN1": body.value("y"), "IN2": body.value("0")})
    quotient = body.block("DIV", {"EN": sane, "IN1": body.value("x"), "IN2": body.value("y")}, ("ENO", "OUT"))
    body.put("n", (quotient, "OUT"))
    body.put("q", (quotient, "ENO"))
    body.network()
    other = body.block("NE", {"IN1": body.value("y"), "IN2": body.value("0")})
    rest = body.block("MOD", {"EN": other, "IN1": body.value("x"), "IN2": body.value("y")}, ("ENO", "OUT"))
    body.put("m", (rest, "OUT"))
    body.network()
    enable = body.value("a")
    moved = body.block("MOVE", {"EN": enable, "IN": body.value("7")}, ("ENO", "OUT"))
    body.put("k", (moved, "OUT"))
    body.network()
    bumped = body.block(
        "Bump",
        {"EN": body.value("a"), "plus": body.value("1")},
        ("ENO", "last"),
        "inner",
        {"x": body.value("s")},
    )
    body.put("ran", (bumped, "ENO"))
    body.network()
    fixed = body.block("MOVE", {"EN": body.value("a"), "IN": body.value("5")}, ("ENO", "OUT"))
    body.put("i", (fixed, "OUT"))
    more = body.block(
        "SUB", {"EN": (fixed, "ENO"), "IN1": body.value("i"), "IN2": body.value("1")}, ("ENO", "OUT")
    )
    body.put("i", (more, "OUT"))
    body.put("full", (more, "ENO"))


def shared(body):
    total = body.block("ADD", {"IN1": body.value("n"), "IN2": body.value("1")})
    body.put("n", total)
    body.put("m", total)
    body.network()
    low = body.block("MinMax", {"p": body.value("x"), "q": body.value("y")}, ("MinMax", "high"))
    body.put("k", (low, "MinMax"))
    body.put("s", body.block("SUB", {"IN1": (low, "high"), "IN2": (low, "MinMax")}))


def passed(body):
    first = body.block("Bump", {"plus": body.value("x")}, ("last",), "b1", {"x": body.value("n")})
    second = body.block("Bump", {"plus": body.value("1")}, ("last",), "b2", {"x": (first, "x")})
    body.put("m", (second, "x"))
    body.put("k", (second, "last"))


def answered(body):
    moved = body.block("MOVE", {"IN": body.value("x")}, ("ENO", "OUT"))
    body.put("q", (moved, "ENO"))
    body.network()
    raised = body.block("Raise", {"plus": body.value("x")}, ("Raise",), in_outs={"v": body.value("n")})
    body.put("m", (raised, "Raise"))


def signs(body):
    both = body.block(
        "AND",
        {"IN1": body.value("a"), "IN2": body.value("b", negated=True)},
        pins={"IN1": {"negated": "true"}, "OUT": {"negated": "true"}},
    )
    body.put("q", both, negated=True)
    body.network()
    kept = body.both("p", body.value("a"), negatedIn=True)
    body.put("full", kept)
    body.network()
    body.put("r", body.value("a"), storage="set")
    body.network()
    body.put("r", body.value("b"), storage="reset")
    body.network()
    wide = body.block("XOR", {"IN1": body.value("a"), "IN2": body.value("b"), "IN3": body.value("q")})
    body.connector("far", wide)
    body.network()
    body.put("o", body.continuation("far"))


def given_order(body):
    after = body.later()
    body.put("q", (after, "Q"), executionOrderId=1)
    body.block(
        "TON",
        {"IN": body.value("a"), "PT": body.value("T#0s")},
        ("Q", "ET"),
        "t1",
        number=after,
        executionOrderId=2,
    )
    body.put("p", (after, "Q"), executionOrderId=3)


CASES = {
    "latch": Case(latch, "motor := (start OR motor) AND NOT stop;", {"start": bool, "stop": bool}, ["motor"]),
    "edges": Case(
        edges,
        "ra(CLK := a); IF ra.Q THEN q := TRUE; END_IF; fb(CLK := b); IF fb.Q THEN q := FALSE; END_IF;"
        "pa(CLK := a); p := pa.Q; fa(CLK := a); counter(CU := fa.Q, R := b, PV := 3); n := counter.CV;"
        "full := NOT counter.Q;",
        {"a": bool, "b": bool},
        ["q", "p", "n", "full"],
        {"counter": "CTU"},
        "VAR ra, pa : R_TRIG; fa, fb : F_TRIG; END_VAR",
    ),
    "timers": Case(
        timers,
        "t1(IN := a, PT := T#20ms); t2(IN := t1.Q, PT := T#30ms); q := t2.Q; past := t2.ET;",
        {"a": bool},
        ["q", "past"],
        {"t1": "TON", "t2": "TOF", "past": "TIME"},
    ),
    "loop": Case(
        loop,
        "q := (a OR q) AND NOT b; n := x + n;",
        {"a": bool, "b": bool, "x": int},
        ["q", "n"],
    ),
    "blink": Case(
        blink,
        "t1(IN := NOT t2.Q, PT := T#20ms); t2(IN := t1.Q, PT := T#10ms); q := t1.Q; past := t2.ET;",
        {},
        ["q", "past"],
        {"t1": "TON", "t2": "TON", "past": "TIME"},
    ),
    "jumps": Case(
        jumps,
        "i := 0; n := 0; REPEAT i := i + 1; n := n + i; UNTIL i >= x END_REPEAT;"
        "IF NOT a THEN n := n * 2; END_IF; IF NOT b THEN RETURN; END_IF; n := n + 1000;",
        {"a": bool, "b": bool, "x": int},
        ["i", "n"],
    ),
    "enabled": Case(
        enabled,
        "q := y <> 0; IF q THEN n := x / y; m := x MOD y; END_IF;"
        "IF a THEN k := 7; s := s + 1; i := 4; END_IF; ran := a; full := a;",
        {"a": bool, "x": int, "y": int},
        ["q", "n", "m", "k", "s", "ran", "i", "full"],
        {"inner": "Bump"},
    ),
    "shared": Case(
        shared,
        "n := n + 1; m := n; k := MIN(x, y); s := ABS(x - y);",
        {"x": int, "y": int},
        ["n", "m", "k", "s"],
    ),
    "passed": Case(
        passed,
        "n := n + x + 1; m := n; k := 1;",
        {"x": int},
        ["n", "m", "k"],
        {"b1": "Bump", "b2": "Bump"},
    ),
    "answered": Case(answered, "q := TRUE; n := n + x; m := n * 2;", {"x": int}, ["q", "n", "m"]),
    "signs": Case(
        signs,
        "q := NOT a AND NOT b; p := NOT a; full := p;"
        "IF a THEN r := TRUE; END_IF; IF b THEN r := FALSE; END_IF; o := a XOR b XOR q;",
        {"a": bool, "b": bool},
        ["q", "p", "full", "r", "o"],
    ),
    "given_order": Case(
        given_order,
        "q := t1.Q; t1(IN := a, PT := T#0s); p := t1.Q;",
        {"a": bool},
        ["q", "p"],
        {"t1": "TON"},
    ),
}
PLAIN = {
    **dict.fromkeys(("a", "b", "start", "stop", "motor", "q", "p", "r", "o", "full", "ran"), "BOOL"),
    **dict.fromkeys(("x", "y", "n", "m", "k", "s", "i"), "INT"),
}
LADDERS = ("latch", "edges")
BLOCKS = """
FUNCTION_BLOCK Bump
VAR_INPUT plus : INT; END_VAR VAR_IN_OUT x : INT; END_VAR VAR_OUTPUT last : INT; END_VAR
x := x + plus; last := plus;
END_FUNCTION_BLOCK
"""


@pytest.fixture(scope="module")
def sources(draw):
    """Every case twice: as one project, and as one file."""
    pous, files = [], [BLOCKS]
    for name, case in CASES.items():
        body = draw.Body("LD" if name in LADDERS else "FBD")
        case.drawn(body)
        interface = draw.variables("localVars", PLAIN | case.variables)
        pous.append(draw.pou(f"Drawn_{name}", body, interface))
        own = " ".join(f"{each} : {kind};" for each, kind in (PLAIN | case.variables).items())
        files.append(
            f"PROGRAM Written_{name} VAR {own} END_VAR {case.written_variables} {case.written} END_PROGRAM"
        )
    low_high = (
        "<returnType><INT/></returnType>"
        + draw.variables("inputVars", {"p": "INT", "q": "INT"})
        + draw.variables("outputVars", {"high": "INT"})
    )
    function = draw.text("MinMax := MIN(p, q); high := MAX(p, q);")
    pous.append(draw.pou("MinMax", function, low_high, "function"))
    raises = (
        "<returnType><INT/></returnType>"
        + draw.variables("inputVars", {"plus": "INT"})
        + draw.variables("inOutVars", {"v": "INT"})
    )
    pous.append(draw.pou("Raise", draw.text("v := v + plus; Raise := v * 2;"), raises, "function"))
    return {"drawn.xml": draw.project(*pous), "written.st": "\n".join(files)}


@pytest.fixture(scope="module")
def application(sources):
    return softplc.compile(sources=sources)


@pytest.mark.parametrize("name", CASES)
def test_drawn_program_does_what_the_written_one_does(application, name):
    case = CASES[name]
    simulator = application.simulator()
    chance = random.Random(f"drawn {name}")
    for scan in range(SCANS):
        for each, kind in case.inputs.items():
            value = chance.random() < 0.4 if kind is bool else chance.randint(0, 9)
            simulator.write(f"Drawn_{name}.{each}", value)
            simulator.write(f"Written_{name}.{each}", value)
        simulator.scan(1, 10_000_000)
        seen = {each: simulator.read(f"Drawn_{name}.{each}") for each in case.outputs}
        wanted = {each: simulator.read(f"Written_{name}.{each}") for each in case.outputs}
        assert seen == wanted, f"scan {scan}"


def test_what_is_exported_is_the_same_program(sources):
    from softplc.plcopen.export import export

    drawn = {"drawn.xml": sources["drawn.xml"]}
    again = export(drawn)
    rest = {"written.st": sources["written.st"]}
    first = softplc.compile(sources=drawn | rest)
    second = softplc.compile(sources={"drawn.xml": again} | rest)
    assert first.initial_image == second.initial_image
    assert first.roots == second.roots
    assert first.shapes == second.shapes
    assert export({"drawn.xml": again}) == again
    assert again.count("<position ") == sources["drawn.xml"].count("<position ")
