"""Charts that are drawn do what the same charts do that are written."""

import random

import pytest

import softplc
from softplc.plcopen.export import export
from softplc.plcopen.loading import load
from softplc.source import SourceSet

DECLARED = {
    **dict.fromkeys(("a", "b", "c", "lamp", "pulse", "stored"), "BOOL"),
    **dict.fromkeys(("n", "m", "k", "tally"), "INT"),
    "wait": "TON",
}
SEEN = ("lamp", "pulse", "stored", "n", "m", "tally", "Start.X", "Once.X")
WRITTEN = """
PROGRAM Written
VAR a, b, c, lamp, pulse, stored : BOOL; n, m, k, tally : INT; wait : TON; END_VAR
INITIAL_STEP Start: END_STEP
STEP Left: lamp(N); Count(P1); Tally(N); END_STEP
STEP LeftDone: END_STEP
STEP Right: pulse(L, T#20ms); Tick(N); END_STEP
STEP Choice: stored(S); END_STEP
STEP Once: stored(R); END_STEP
TRANSITION FROM Start TO (Left, Right) := a; END_TRANSITION
TRANSITION FROM Left TO LeftDone := b OR c; END_TRANSITION
TRANSITION FROM (LeftDone, Right) TO Choice : wait(IN := LeftDone.X, PT := T#30ms); := wait.Q; END_TRANSITION
TRANSITION (PRIORITY := 1) FROM Choice TO Once := a AND NOT b; END_TRANSITION
TRANSITION (PRIORITY := 2) FROM Choice TO Start := a; END_TRANSITION
TRANSITION FROM Once TO Start := c; END_TRANSITION
ACTION Count: n := n + 1; END_ACTION
ACTION Tick: m := m + 1; END_ACTION
ACTION Tally: tally := tally + 2; END_ACTION
k := k + n;
END_PROGRAM
"""


def step(body, name, *above, number=None, **given):
    return body.chart("step", *above, number=number, name=name, **given)


def act(body, owner, *actions):
    inner = "".join(
        f'<action localId="0" qualifier="{qualifier}"{f" duration={chr(34)}{time}{chr(34)}" if time else ""}>'
        f'<relPosition x="0" y="0"/>{content}</action>'
        for qualifier, time, content in actions
    )
    body.chart("actionBlock", owner, inner=inner)


def named(name):
    return f'<reference name="{name}"/>'


def transition(body, above, condition, **given):
    return body.chart("transition", above, inner=f"<condition>{condition}</condition>", **given)


def chart(draw):
    body = draw.Body("SFC")
    once = body.later()
    start = step(body, "Start", once, initialStep=True)
    rail = body.rail()
    fork = transition(body, start, body._in([body.contact("a", rail)]))
    both = body.chart("simultaneousDivergence", fork)
    left = step(body, "Left", both)
    act(body, left, ("N", "", named("lamp")), ("P1", "", named("Count")), ("N", "", named("Tally")))
    next_ = transition(body, left, f"<inline name=''>{draw.text('b OR c')}</inline>")
    done = step(body, "LeftDone", next_)
    right = step(body, "Right", both)
    tick = f"<inline>{draw.text('m := m + 1;')}</inline>"
    act(body, right, ("L", "T#20ms", named("pulse")), ("N", "", tick))
    join = body.chart("simultaneousConvergence", done, right)
    choice = step(body, "Choice", transition(body, join, named("Waited")))
    act(body, choice, ("S", "", named("stored")))
    ways = body.chart("selectionDivergence", choice)
    low = transition(body, ways, f"<inline name=''>{draw.text('a')}</inline>", priority=2)
    body.chart("jumpStep", low, targetName="Start")
    high = transition(body, ways, named("Ladder"), priority=1)
    last = step(body, "Once", high)
    act(body, last, ("R", "", named("stored")))
    transition(body, last, f"<inline name=''>{draw.text(':= c;')}</inline>", number=once)
    body.network()
    body.put("k", body.block("ADD", {"IN1": body.value("k"), "IN2": body.value("n")}))
    return body


def more(draw):
    """Return the actions and transitions beside the body."""
    waited = draw.Body("FBD")
    timer = {"IN": waited.value("LeftDone.X"), "PT": waited.value("T#30ms")}
    waited.put("Waited", (waited.block("TON", timer, ("Q", "ET"), "wait"), "Q"))
    tally = draw.Body("FBD")
    tally.put("tally", tally.block("ADD", {"IN1": tally.value("tally"), "IN2": tally.value("2")}))
    ladder = draw.Body("LD")
    open_ = ladder.contact("b", ladder.contact("a", ladder.rail()), negated=True)
    ladder.coil("Ladder", open_)
    return (
        f'<actions><action name="Count"><body>{draw.text("n := n + 1;")}</body></action>'
        f'<action name="Tally"><body>{tally}</body></action></actions>'
        f'<transitions><transition name="Waited"><body>{waited}</body></transition>'
        f'<transition name="Ladder"><body>{ladder}</body></transition></transitions>'
    )


@pytest.fixture(scope="module")
def drawn(draw):
    interface = draw.variables("localVars", DECLARED)
    return draw.project(draw.pou("Drawn", chart(draw), interface, more=more(draw)))


def test_drawn_chart_does_what_the_written_one_does(drawn):
    simulator = softplc.compile(sources={"drawn.xml": drawn, "written.st": WRITTEN}).simulator()
    chance = random.Random("chart")
    for scan in range(200):
        for each in "abc":
            value = chance.random() < 0.4
            simulator.write(f"Drawn.{each}", value)
            simulator.write(f"Written.{each}", value)
        simulator.scan(1, 10_000_000)
        for each in (*SEEN, "k", "Left.X", "Right.X"):
            got, wanted = simulator.read(f"Drawn.{each}"), simulator.read(f"Written.{each}")
            assert got == wanted, f"{each} in scan {scan}"
    assert simulator.read("Written.n") > 5


def test_written_chart_is_drawn_and_comes_back(draw):
    from softplc.plcopen.export import export

    plain = WRITTEN.replace("wait(IN := LeftDone.X, PT := T#30ms); := wait.Q", "= wait.Q").replace(
        "Choice : =", "Choice :="
    )
    plain = plain.replace("k := k + n;\n", "")
    xml = export({"written.st": plain})
    for each in ("simultaneousDivergence", "simultaneousConvergence", "selectionDivergence", "actionBlock"):
        assert f"<{each} " in xml
    first = softplc.compile(sources={"a.st": plain})
    second = softplc.compile(sources={"a.xml": xml})
    assert first.initial_image == second.initial_image
    one, two = first.simulator(), second.simulator()
    chance = random.Random("again")
    for _ in range(60):
        for each in "abc":
            value = chance.random() < 0.5
            one.write(f"Written.{each}", value)
            two.write(f"Written.{each}", value)
        one.scan(1, 10_000_000)
        two.scan(1, 10_000_000)
        for each in SEEN:
            assert one.read(f"Written.{each}") == two.read(f"Written.{each}")


def test_indicators_of_actions_are_drawn_and_come_back():
    text = """PROGRAM Main VAR fill, full, a : BOOL; wait : TON; END_VAR
    INITIAL_STEP Begin: fill(L, T#5s, full, wait.Q); Count(N, full); Count(P1); END_STEP
    STEP Rest: END_STEP
    TRANSITION FROM Begin TO Rest := a; END_TRANSITION
    TRANSITION FROM Rest TO Begin := NOT a; END_TRANSITION
    ACTION Count: wait(IN := fill, PT := T#1s); END_ACTION
    END_PROGRAM"""
    xml = export({"main.st": text})
    assert xml.count(" indicator=") == 2
    texts = SourceSet()
    assert load("main.xml", xml, texts)[1:] == ([], [])
    back = texts.files[0].text
    assert "fill(L, T#5s, full, wait.Q);" in back
    assert "Count(N, full);" in back
    assert "Count(P1);" in back
    text_of_others = xml.replace('indicator="full"', 'indicator="pump is on!"')
    assert load("main.xml", text_of_others, texts)[1:] == ([], [])
    assert "Count(N);" in texts.files[1].text


FLAT = """
PROGRAM Flat
VAR a, b, c, lamp : BOOL; n, m, k : INT; END_VAR
INITIAL_STEP Start: END_STEP
STEP Fill: lamp(N); Count(P1); END_STEP
STEP Heat: Tick(N); END_STEP
STEP Stir: Count(P1); END_STEP
STEP Full: END_STEP
STEP Beside: END_STEP
TRANSITION FROM Start TO (Fill, Beside) := a; END_TRANSITION
TRANSITION FROM Fill TO Heat := b; END_TRANSITION
TRANSITION FROM Heat TO Stir := c; END_TRANSITION
TRANSITION FROM Stir TO Fill := NOT c; END_TRANSITION
TRANSITION FROM Stir TO Full := a; END_TRANSITION
TRANSITION (PRIORITY := 1) FROM (Full, Beside) TO Start := b; END_TRANSITION
TRANSITION (PRIORITY := 2) FROM (Full, Beside) TO Fill := c; END_TRANSITION
ACTION Count: n := n + 1; END_ACTION
ACTION Tick: m := m + 1; END_ACTION
k := k + n;
END_PROGRAM
"""


def in_text(draw, condition):
    return f"<inline name=''>{draw.text(condition)}</inline>"


def macro(body, name, inner, *above, **given):
    """Draw a macro step with its chart in it."""
    return body.chart("macroStep", *above, inner=f"<body>{inner}</body>", name=name, **given)


def test_a_macro_step_is_the_chart_in_it(draw):
    """Its numbers may be those of the chart around it, and it may hold another one."""
    deep = draw.Body("SFC")
    heat = step(deep, "Heat", initialStep=True)
    tick = f"<inline>{draw.text('m := m + 1;')}</inline>"
    act(deep, heat, ("N", "", tick))
    stir = step(deep, "Stir", transition(deep, heat, in_text(draw, "c")))
    act(deep, stir, ("P1", "", named("Count")))
    inner = draw.Body("SFC")
    again = inner.later()
    fill = step(inner, "Fill", again, initialStep=True)
    act(inner, fill, ("N", "", named("lamp")), ("P1", "", named("Count")))
    cook = macro(inner, "Cook", deep, transition(inner, fill, in_text(draw, "b")))
    ways = inner.chart("selectionDivergence", cook)
    transition(inner, ways, in_text(draw, "NOT c"), number=again)
    step(inner, "Full", transition(inner, ways, in_text(draw, "a")))
    inner.network()
    inner.put("k", inner.block("ADD", {"IN1": inner.value("k"), "IN2": inner.value("n")}))
    body = draw.Body("SFC")
    start = step(body, "Start", initialStep=True)
    both = body.chart("simultaneousDivergence", transition(body, start, in_text(draw, "a")))
    batch = macro(body, "Batch", inner, both)
    join = body.chart("simultaneousConvergence", batch, step(body, "Beside", both))
    out = body.chart("selectionDivergence", join)
    body.chart("jumpStep", transition(body, out, in_text(draw, "b"), priority=1), targetName="Start")
    body.chart("jumpStep", transition(body, out, in_text(draw, "c"), priority=2), targetName="Batch")
    count = f'<actions><action name="Count"><body>{draw.text("n := n + 1;")}</body></action></actions>'
    kinds = {**dict.fromkeys(("a", "b", "c", "lamp"), "BOOL"), **dict.fromkeys(("n", "m", "k"), "INT")}
    interface = draw.variables("localVars", kinds)
    xml = draw.project(draw.pou("Drawn", body, interface, more=count))
    simulator = softplc.compile(sources={"drawn.xml": xml, "flat.st": FLAT}).simulator()
    chance, entered = random.Random("macro"), set()
    for scan in range(400):
        for each in "abc":
            value = chance.random() < 0.4
            simulator.write(f"Drawn.{each}", value)
            simulator.write(f"Flat.{each}", value)
        simulator.scan(1, 10_000_000)
        steps = [f"{each}.X" for each in ("Start", "Fill", "Heat", "Stir", "Full", "Beside")]
        for each in ("lamp", "n", "m", "k", *steps):
            got, wanted = simulator.read(f"Drawn.{each}"), simulator.read(f"Flat.{each}")
            assert got == wanted, f"{each} in scan {scan}"
        entered.update(each for each in steps if simulator.read(f"Drawn.{each}"))
    assert len(entered) == 6
    assert simulator.read("Drawn.k") > 100


INSIDE = """
PROGRAM Written
VAR a, b, c, lamp : BOOL; n, m : INT; END_VAR
INITIAL_STEP Idle: END_STEP
STEP Work: Batch(N); END_STEP
STEP Again: Work_action(N); END_STEP
TRANSITION FROM Idle TO Work := a; END_TRANSITION
TRANSITION FROM Work TO Again := b; END_TRANSITION
TRANSITION FROM Again TO Idle := c; END_TRANSITION
ACTION Batch:
INITIAL_STEP Fill: lamp(N); Count(P1); END_STEP
STEP Hold: END_STEP
TRANSITION FROM Fill TO Hold := c; END_TRANSITION
TRANSITION FROM Hold TO Fill := b; END_TRANSITION
ACTION Count: n := n + 1; END_ACTION
END_ACTION
ACTION Work_action:
INITIAL_STEP On: Tick(N); END_STEP
STEP Off: END_STEP
TRANSITION FROM On TO Off := a; END_TRANSITION
TRANSITION FROM Off TO On := TRUE; END_TRANSITION
ACTION Tick: m := m + 1; END_ACTION
END_ACTION
END_PROGRAM
"""
INSIDE_STEPS = ("Idle", "Work", "Again", "Fill", "Hold", "On", "Off")


def ring(draw, names, conditions, actions):
    """Draw steps one after the other, and back to the first."""
    body = draw.Body("SFC")
    again = above = body.later()
    for number, (name, condition) in enumerate(zip(names, conditions, strict=True)):
        here = step(body, name, above, initialStep=number == 0)
        if name in actions:
            act(body, here, *actions[name])
        last = number == len(names) - 1
        above = transition(body, here, in_text(draw, condition), number=again if last else None)
    return body


def assert_the_same(one, other, seed):
    simulator = softplc.compile(sources={"one.xml": one, "other.st": other}).simulator()
    chance, entered = random.Random(seed), set()
    for scan in range(300):
        for each in "abc":
            value = chance.random() < 0.3
            simulator.write(f"Drawn.{each}", value)
            simulator.write(f"Written.{each}", value)
        simulator.scan(1, 10_000_000)
        for each in ("lamp", "n", "m", *(f"{one}.X" for one in INSIDE_STEPS)):
            got, wanted = simulator.read(f"Drawn.{each}"), simulator.read(f"Written.{each}")
            assert got == wanted, f"{each} in scan {scan}"
        entered.update(each for each in INSIDE_STEPS if simulator.read(f"Drawn.{each}.X"))
    assert entered == set(INSIDE_STEPS)


def test_an_action_may_be_a_chart(draw):
    tick = f"<inline>{draw.text('m := m + 1;')}</inline>"
    on = ring(draw, ("On", "Off"), ("a", "TRUE"), {"On": [("N", "", tick)]})
    fill = {"Fill": [("N", "", named("lamp")), ("P1", "", named("Count"))]}
    batch = ring(draw, ("Fill", "Hold"), ("c", "b"), fill)
    actions = {"Work": [("N", "", named("Batch"))], "Again": [("N", "", f"<inline>{on}</inline>")]}
    body = ring(draw, ("Idle", "Work", "Again"), "abc", actions)
    more = (
        f'<actions><action name="Count"><body>{draw.text("n := n + 1;")}</body></action>'
        f'<action name="Batch"><body>{batch}</body></action></actions>'
    )
    kinds = {**dict.fromkeys(("a", "b", "c", "lamp"), "BOOL"), "n": "INT", "m": "INT"}
    xml = draw.project(draw.pou("Drawn", body, draw.variables("localVars", kinds), more=more))
    assert_the_same(xml, INSIDE, "inside")
    drawn = export({"drawn.st": INSIDE.replace("Written", "Drawn")})
    assert drawn.count("<SFC>") == 3
    assert_the_same(drawn, INSIDE, "exported")


def test_an_action_that_is_a_chart_does_not_use_itself(draw):
    batch = ring(draw, ("Fill", "Hold"), ("a", "a"), {"Fill": [("N", "", named("Batch"))]})
    body = ring(draw, ("Idle", "Work"), ("a", "a"), {"Work": [("N", "", named("Batch"))]})
    more = f'<actions><action name="Batch"><body>{batch}</body></action></actions>'
    findings = chart_findings(draw, body, more)
    assert findings[0].message.partition(" (")[0] == "the action Batch is a chart that uses it"
    assert findings[0].remedy == "use another one"


def test_a_chart_may_begin_with_a_macro_step(draw):
    inner, body = draw.Body("SFC"), draw.Body("SFC")
    step(inner, "Only", initialStep=True)
    again = body.later()
    first = macro(body, "First", inner, again)
    next_ = step(body, "Next", transition(body, first, in_text(draw, "TRUE")))
    transition(body, next_, in_text(draw, "TRUE"), number=again)
    plc = softplc.compile(sources={"p.xml": draw.project(draw.pou("P", body))}).simulator()
    seen = []
    for _ in range(4):
        plc.scan()
        seen.append(plc.read("P.Only.X"))
    assert seen == [True, False, True, False]


@pytest.mark.parametrize(
    ("drawn", "message", "remedy"),
    [
        (
            lambda draw, inner: (
                step(inner, "Two", transition(inner, step(inner, "One"), in_text(draw, "a"))),
                step(inner, "Three"),
            ),
            (
                "the macro step Many has 2 steps that begin it: One, Three",
                "the macro step Many has 2 steps that end it: Two, Three",
            ),
            "make one of them the initial step of its chart",
        ),
        (
            lambda draw, inner: inner.chart(
                "jumpStep", transition(inner, step(inner, "One"), in_text(draw, "a")), targetName="One"
            ),
            ("the macro step Many has 0 steps that end it",),
            "lead every way to one step that no transition follows",
        ),
        (
            lambda draw, inner: None,
            ("the macro step Many has 0 steps that begin it", "the macro step Many has 0 steps that end it"),
            "make one of them the initial step of its chart",
        ),
        (
            lambda draw, inner: step(inner, "Start", initialStep=True),
            ("variable Start is already declared",),
            "rename or remove one of the two",
        ),
    ],
    ids=["several", "endless", "empty", "name"],
)  # fmt: skip
def test_macro_steps_that_cannot_be_flattened_are_told(draw, drawn, message, remedy):
    inner, body = draw.Body("SFC"), draw.Body("SFC")
    drawn(draw, inner)
    start = step(body, "Start", initialStep=True)
    many = macro(body, "Many", inner, transition(body, start, in_text(draw, "a")))
    body.chart("jumpStep", transition(body, many, in_text(draw, "a")), targetName="Start")
    findings = chart_findings(draw, body)
    assert tuple(each.message.partition(" (")[0] for each in findings) == message
    assert findings[0].remedy == remedy
    assert findings[0].line > 1


def chart_findings(draw, body, more=""):
    interface = draw.variables("localVars", {"a": "BOOL"})
    text = draw.project(draw.pou("P", body, interface, more=more))
    return softplc.check(sources={"p.xml": text})


def test_mistakes_in_charts_are_told(draw):
    def lonely(body):
        start = step(body, "Start", initialStep=True)
        transition(body, start, "<inline name=''>" + draw.text("a") + "</inline>")

    def bare(body):
        start = step(body, "Start", initialStep=True)
        body.chart("jumpStep", body.chart("transition", start), targetName="Start")

    def hollow(body):
        start = step(body, "Start", initialStep=True)
        many = body.chart("macroStep", transition(body, start, in_text(draw, "a")), name="Many")
        body.chart("jumpStep", transition(body, many, in_text(draw, "a")), targetName="Start")

    def gone(body):
        step(body, "Start", 77, initialStep=True)

    def doubled(body):
        first = step(body, "Start", initialStep=True)
        step(body, "Next", first)

    wanted = {
        lonely: "the transition has no step behind it",
        bare: "the transition has no condition",
        hollow: "the macro step Many has no chart",
        gone: "localId 77 is no part of the chart",
        doubled: "a step cannot follow a step here",
    }
    for drawn, message in wanted.items():
        body = draw.Body("SFC")
        drawn(body)
        findings = chart_findings(draw, body)
        assert [each.message.partition(" (")[0] for each in findings] == [message], drawn
        assert "POU P" in findings[0].message
        assert findings[0].remedy


def test_a_chart_in_an_action_that_is_called_is_told(draw):
    batch = ring(draw, ("Fill", "Hold"), ("a", "a"), {})
    more = f'<actions><action name="Batch"><body>{batch}</body></action></actions>'
    findings = chart_findings(draw, draw.text("a := NOT a;"), more)
    assert [each.message.partition(" (")[0] for each in findings] == [
        "a chart cannot stand here: only steps have actions that are charts"
    ]
    assert findings[0].remedy == "make it a function block, and call that here"


def test_a_way_that_ends_with_a_jump_may_be_drawn_on_to_where_the_others_meet(draw):
    body = draw.Body("SFC")
    ways = body.chart("selectionDivergence", step(body, "Start", initialStep=True))
    back = body.chart("jumpStep", transition(body, ways, in_text(draw, "a")), targetName="Start")
    two = step(body, "Two", transition(body, ways, in_text(draw, "b")))
    meet = body.chart("selectionConvergence", back, transition(body, two, in_text(draw, "c")))
    last = body.chart("jumpStep", meet, targetName="Start")
    body.chart(
        "jumpStep", body.chart("selectionConvergence", back, last), targetName="Two"
    )  # nothing leads here
    text = draw.project(draw.pou("P", body, draw.variables("localVars", dict.fromkeys("abc", "BOOL"))))
    simulator = softplc.compile(sources={"p.xml": text}).simulator()
    simulator.scan(1)
    for name, active in (("b", "Two"), ("c", "Start"), ("a", "Start")):
        simulator.write(f"P.{name}", True)
        simulator.scan(1)
        simulator.write(f"P.{name}", False)
        assert simulator.read(f"P.{active}.X"), name
