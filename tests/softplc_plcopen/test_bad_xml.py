"""What is broken, hostile or not translated is told: one cause once, with place and remedy."""

import pytest

import softplc

DECLARED = {"a": "BOOL", "q": "BOOL", "x": "INT"}


def told(text, code, line=None):
    findings = softplc.check(sources={"bad.xml": text})
    assert [each.code for each in findings] == [code], findings
    assert findings[0].file == "bad.xml"
    assert findings[0].remedy
    if line is not None:
        assert findings[0].line == line
    return findings[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("hello", 1),
        ("<?xml version='1.0'?>\n<project>\n  <types>", 3),
        ("<project>\n<types></type></project>", 2),
        ("<project>\n&what;</project>", 2),
        ("<html/>", 1),
        (
            "<?xml version='1.0'?>\n<!DOCTYPE p [<!ENTITY a 'a'><!ENTITY b '&a;&a;'>]><project>&b;</project>",
            2,
        ),
        ("<!DOCTYPE p SYSTEM 'file:///etc/hostname'>\n<project/>", 1),
        ("<project>" + "<a>" * 5000, 1),
        ("\ufffe\u0000\u0001", 1),
    ],
    ids=["empty", "text", "cut", "crossed", "entity", "html", "grows", "outside", "deep", "noise"],
)
def test_what_is_no_project_is_told_with_its_place(text, line):
    told(text, "ST1020", line)


def bodies(draw):
    """Yield mistakes in networks: what is drawn, its code, what is said."""

    def dangling(body):
        body.put("q", 99)

    def no_label(body):
        body.label("here")
        body.network()
        body.jump("their", body.value("a"))

    def no_output(body):
        timer = body.block("TON", {"IN": body.value("a"), "PT": body.value("T#1s")}, ("Q",), "t")
        body.put("q", (timer, "QQ"))

    def no_connector(body):
        body.put("q", body.continuation("far"))

    def no_expression(body):
        body.put("q", body.value("a; q := TRUE"))

    def no_target(body):
        body.put("a AND q", body.value("a"))

    def open_pin(body):
        body.put("x", body.block("ADD", {"IN1": body.value("x"), "IN2": []}))

    def no_instance(body):
        body.put("q", (body.block("TON", {"IN": body.value("a")}, ("Q",)), "Q"))

    def no_variable(body):
        body.block("Keep", {}, (), "k", {"v": []})

    def twice(body):
        body.put("q", body.value("a", number=5), number=5)

    def unknown(body):
        body.raw(
            '<vendorElement localId="8"><position x="0" y="0"/><alternativeText/>'
            "<inputVariables><variable formalParameter='a'><connectionPointIn>"
            "<connection refLocalId='7'/></connectionPointIn></variable></inputVariables></vendorElement>"
        )

    return {
        dangling: ("ST1023", "a connection comes from localId 99, which is not there"),
        no_label: ("ST1023", "there is no label their"),
        no_output: ("ST1023", "t has no output QQ"),
        no_connector: ("ST1023", "there is no connector far"),
        no_expression: ("ST1023", "'a; q := TRUE' is no expression"),
        no_target: ("ST1023", "'a AND q' cannot be written"),
        open_pin: ("ST1023", "the input IN2 of ADD is connected with nothing"),
        no_instance: ("ST1023", "the block TON has no instance"),
        no_variable: ("ST1023", "v of Keep needs a variable"),
        twice: ("ST1023", "localId 5 is there twice"),
        unknown: ("ST1022", "<vendorElement> cannot be translated"),
    }


def test_mistakes_in_networks_are_told(draw):
    keep = draw.pou("Keep", draw.text("v := v;"), draw.variables("inOutVars", {"v": "INT"}), "functionBlock")
    interface = draw.variables("localVars", DECLARED | {"t": "TON", "k": "Keep"})
    for drawn, (code, message) in bodies(draw).items():
        body = draw.Body()
        drawn(body)
        finding = told(draw.project(keep, draw.pou("Main", body, interface)), code)
        assert finding.message.startswith(f"{message} (POU Main, FBD"), drawn


def test_an_error_behind_the_translation_points_to_the_element(draw):
    body = draw.Body()
    body.raw("\n")
    body.put("q", body.value("missing"))
    body.raw("\n")
    finding = told(draw.project(draw.pou("Main", body, draw.variables("localVars", DECLARED))), "ST2003", 3)
    assert finding.source_line[finding.column - 1 : finding.end_column - 1] == "missing"
    assert finding.message.endswith("(POU Main, FBD, localId 1)")


def test_what_is_drawn_once_is_told_once(draw):
    body = draw.Body()
    wrong = body.block("ADD", {"IN1": body.value("a"), "IN2": body.value("x")})
    body.put("x", wrong)
    body.put("q", wrong)
    told(draw.project(draw.pou("Main", body, draw.variables("localVars", DECLARED))), "ST3002")


def test_a_fault_names_the_line_of_the_file(draw):
    body = draw.text("\n\nx := 7 / (x - x);\n")
    text = draw.project(draw.pou("Main", body, draw.variables("localVars", DECLARED)))
    simulator = softplc.compile(sources={"p.xml": text}).simulator()
    with pytest.raises(softplc.PlcFaultError) as caught:
        simulator.scan()
    assert caught.value.line == 4


def test_instruction_list_is_told_with_its_place(draw):
    body = '\n<IL><p xmlns="http://www.w3.org/1999/xhtml">LD a\nST q</p></IL>'
    text = draw.project(draw.pou("Main", body, draw.variables("localVars", DECLARED)))
    finding = told(text, "ST1021", 3)
    assert "ST, FBD or LD" in finding.remedy


def test_an_element_that_is_loose_is_a_warning(draw):
    body = draw.Body("LD")
    body.coil("q")
    body.network()
    body.coil("a", body.contact("q", body.rail()))
    text = draw.project(draw.pou("Main", body, draw.variables("localVars", DECLARED)))
    finding = told(text, "ST6020")
    assert finding.severity == "warning"
    softplc.compile(sources={"p.xml": text})


def test_names_and_values_cannot_break_out(draw):
    interface = (
        '<localVars><variable name="a : INT; b"><type><INT/></type></variable>'
        '<variable name="c"><type><derived name="INT; END_VAR"/></type></variable>'
        '<variable name="d" address="%QX0.0 : BOOL; e"><type><BOOL/></type></variable>'
        '<variable name="f"><type><INT/></type><initialValue><simpleValue value="1; g : INT"/></initialValue>'
        "</variable></localVars>"
    )
    findings = softplc.check(sources={"p.xml": draw.project(draw.pou("Main", draw.text(""), interface))})
    assert [each.code for each in findings] == ["ST1024"] * 4


def test_what_goes_round_is_told(draw):
    """Connectors, VAR_IN_OUT and divergences that lead to themselves, and long ways of them."""
    keep = draw.pou("Keep", draw.text("v := v;"), draw.variables("inOutVars", {"v": "INT"}), "functionBlock")
    interface = draw.variables("localVars", DECLARED | {"k": "Keep", "m": "Keep"})

    def connectors(body):
        first, second = body.continuation("a"), body.continuation("b")
        body.connector("a", second)
        body.connector("b", first)
        body.put("q", first)

    def in_outs(body):
        second = body.later()
        first = body.block("Keep", {}, (), "k", {"v": (second, "v")})
        body.block("Keep", {}, (), "m", {"v": (first, "v")}, number=second)

    for drawn in (connectors, in_outs):
        body = draw.Body()
        drawn(body)
        findings = softplc.check(sources={"p.xml": draw.project(keep, draw.pou("Main", body, interface))})
        assert findings, drawn
        assert {each.code for each in findings} == {"ST1023"}, drawn
    long = draw.Body()
    last = long.value("x")
    for number in range(1500):
        long.connector(f"c{number}", last)
        last = long.continuation(f"c{number}")
    long.put("x", last)
    passed = long.block("Keep", {}, (), "k", {"v": long.value("x")})
    for _ in range(700):
        passed = long.block("Keep", {}, (), "k", {"v": (passed, "v")})
    chart = draw.Body("SFC")
    above = chart.chart("step", name="Start", initialStep=True)
    for _ in range(1500):
        above = chart.chart("selectionDivergence", above)
    condition = f"<condition><inline name=''>{draw.text('a')}</inline></condition>"
    chart.chart("jumpStep", chart.chart("transition", above, inner=condition), targetName="Start")
    text = draw.project(keep, draw.pou("Long", long, interface), draw.pou("Chart", chart, interface))
    assert softplc.check(sources={"p.xml": text}) == []


def test_many_elements_take_little_time(draw):
    """A chain of contacts, a lattice of branches, and a loop of blocks grow no expression without bound."""
    chain = draw.Body("LD")
    last = chain.rail()
    for _ in range(400):
        last = chain.contact("a", last)
    chain.coil("q", last)
    lattice = draw.Body("LD")
    pair = [lattice.rail()]
    for _ in range(100):
        pair = [lattice.contact("a", *pair), lattice.contact("q", *pair)]
    lattice.coil("q", *pair)
    ring = draw.Body()
    first = node = ring.later()
    for number in range(200):
        after = ring.later() if number < 199 else first
        ring.block("OR", {"IN1": node, "IN2": ring.value("a")}, number=after)
        node = after
    ring.put("q", first)
    interface = draw.variables("localVars", DECLARED)
    pous = [draw.pou(f"P{number}", body, interface) for number, body in enumerate((chain, lattice, ring))]
    assert softplc.check(sources={"p.xml": draw.project(*pous)}) == []
