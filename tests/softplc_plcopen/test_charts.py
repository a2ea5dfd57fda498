"""Charts that are drawn do what the same charts do that are written."""

import random

import pytest

import softplc

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

    def macro(body):
        start = step(body, "Start", initialStep=True)
        body.chart("macroStep", start, name="Many")

    def gone(body):
        step(body, "Start", 77, initialStep=True)

    def doubled(body):
        first = step(body, "Start", initialStep=True)
        step(body, "Next", first)

    wanted = {
        lonely: "the transition has no step behind it",
        bare: "the transition has no condition",
        macro: "the macro step Many cannot be translated",
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
