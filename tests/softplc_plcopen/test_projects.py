"""Projects: declarations and configurations, both ways, and the commands."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import softplc
from softplc.cli import app
from softplc.plcopen.export import export
from softplc.profiles import profile_of
from softplc.texts import parse_value

CONFORMANCE = Path(__file__).parents[1] / "conformance"
TYPES = """
<dataType name="Color"><baseType><enum><values><value name="Red"/><value name="Green" value="4"/></values>
</enum></baseType><initialValue><simpleValue value="Green"/></initialValue></dataType>
<dataType name="Percent"><baseType><subrangeUnsigned><range lower="0" upper="100"/><baseType><UINT/>
</baseType></subrangeUnsigned></baseType></dataType>
<dataType name="Row"><baseType><array><dimension lower="1" upper="4"/><baseType><INT/></baseType></array>
</baseType><initialValue><arrayValue><value repetitionValue="2"><simpleValue value="7"/></value><value>
<simpleValue value="9"/></value></arrayValue></initialValue></dataType>
<dataType name="Point"><baseType><struct><variable name="x"><type><INT/></type><initialValue>
<simpleValue value="3"/></initialValue></variable><variable name="label"><type><string length="8"/></type>
<initialValue><simpleValue value="it's"/></initialValue></variable></struct></baseType></dataType>
<dataType name="Distance"><baseType><derived name="DINT"/></baseType></dataType>
"""
REFERRING = "PROGRAM Main VAR n : INT; r : REFERENCE TO INT REF= n; END_VAR r := r + 1; END_PROGRAM"
INTERFACE = """
<localVars><variable name="tone"><type><derived name="Color"/></type></variable>
<variable name="row"><type><derived name="Row"/></type></variable>
<variable name="spot"><type><derived name="Point"/></type><initialValue><structValue><value member="x">
<simpleValue value="5"/></value></structValue></initialValue></variable>
<variable name="far"><type><derived name="Distance"/></type></variable></localVars>
<localVars retain="true"><variable name="kept"><type><derived name="Percent"/></type><initialValue>
<simpleValue value="50"/></initialValue><documentation><p xmlns="http://www.w3.org/1999/xhtml">how full</p>
</documentation></variable></localVars>
<localVars constant="true"><variable name="TOP"><type><INT/></type><initialValue><simpleValue value="12"/>
</initialValue></variable></localVars>
<localVars><variable name="lamp" address="%QX0.3"><type><BOOL/></type></variable></localVars>
<tempVars><variable name="t"><type><INT/></type></variable></tempVars>
<externalVars><variable name="total"><type><INT/></type></variable></externalVars>
"""
CONFIGURATION = """
<configuration name="Plant"><resource name="Cpu"><task name="fast" interval="PT0.02S" priority="1">
<pouInstance name="one" typeName="Main"/></task><task name="slow" interval="T#1s" priority="2">
<pouInstance name="two" typeName="Main"/></task></resource>
<globalVars><variable name="total"><type><INT/></type><initialValue><simpleValue value="100"/></initialValue>
</variable></globalVars><accessVars><accessVariable alias="level" instancePathAndName="Cpu.one.kept"
direction="readOnly"><type><derived name="Percent"/></type></accessVariable></accessVars>
</configuration>
"""


@pytest.fixture(scope="module")
def whole(draw):
    """A project with everything but drawings, and one drawing."""
    main = draw.text(
        "t := TOP;\ntotal := total + t;\nIF total < 1000 & NOT lamp THEN kept := kept + 1; END_IF;"
    )
    ladder = draw.Body("LD")
    ladder.coil("lamp", ladder.contact("on", ladder.rail()))
    block = draw.variables("inputVars", {"on": "BOOL"}) + draw.variables("outputVars", {"lamp": "BOOL"})
    return draw.project(
        draw.pou("Main", main, INTERFACE),
        draw.pou("Lamp", ladder, block, "functionBlock"),
        types=TYPES,
        configurations=CONFIGURATION,
    )


def test_declarations_mean_what_they_say(whole):
    application = softplc.compile(sources={"p.xml": whole})
    assert [(each.name, each.interval_ns, each.priority) for each in application.tasks] == [
        ("fast", 20_000_000, 1),
        ("slow", 1_000_000_000, 2),
    ]
    simulator = application.simulator()
    simulator.scan(2, 20_000_000)
    seen = {each: simulator.read(f"one.{each}") for each in ("spot.x", "spot.label", "far", "kept", "row[3]")}
    assert seen == {"spot.x": 5, "spot.label": "it's", "far": 0, "kept": 52, "row[3]": 9}
    assert simulator.read("one.tone") in (4, "Green")
    assert simulator.read("total") == 100 + 12 * 3
    assert application.symbol("one.kept").retain
    assert application.symbol("one.lamp").address == "%QX0.3"
    assert application.symbol("level").read_only


def test_export_says_the_same(whole):
    first = softplc.compile(sources={"p.xml": whole})
    again = export({"p.xml": whole})
    second = softplc.compile(sources={"p.xml": again})
    assert (first.initial_image, first.roots, first.access) == (
        second.initial_image,
        second.roots,
        second.access,
    )
    assert "how full" in again
    assert export({"p.xml": again}) == again


@pytest.mark.parametrize(
    "name", ["aggregates", "charts", "calls", "located", "located_members", "wide_strings"]
)
def test_exported_text_keeps_to_its_trace(name):
    """The traces of the language hold for what was Structured Text, XML, and a program again."""
    xml = export({f"{name}.st": (CONFORMANCE / f"{name}.st").read_text(encoding="utf-8")})
    simulator = softplc.compile(sources={f"{name}.xml": xml}).simulator()
    first = softplc.compile(CONFORMANCE / f"{name}.st").simulator()
    lines = (CONFORMANCE / f"{name}.trace").read_text(encoding="utf-8").splitlines()
    compared = 0
    for line in lines:
        words = line.split("#!")[0].split(None, 2)
        if not words or words[0].startswith("#") or words[0] == "fault":
            continue
        if words[0] == "set":
            value = parse_value(simulator.application.symbol(words[1]), words[2])
            simulator.write(words[1], value)
            first.write(words[1], value)
        elif words[0] == "scan":
            count = int(words[1]) if len(words) > 1 else 1
            simulator.scan(count, 10_000_000)
            first.scan(count, 10_000_000)
        else:
            path = line.partition(" = ")[0].strip()
            assert repr(simulator.read(path)) == repr(first.read(path)), line
            compared += 1
    assert compared > 5


def test_what_the_format_cannot_say_is_refused_with_place_and_remedy():
    text = "CLASS A\nEND_CLASS\nPROGRAM P\nVAR_INPUT go : BOOL R_EDGE; END_VAR\nEND_PROGRAM\n"
    with pytest.raises(softplc.CompileError) as caught:
        export({"p.st": text})
    told = [(each.code, each.line) for each in caught.value.diagnostics]
    assert told == [("ST1025", 1), ("ST1025", 4)]
    assert all(each.remedy for each in caught.value.diagnostics)


def test_import_writes_readable_text_that_is_the_same_program(whole, tmp_path, draw):
    body = draw.Body()
    sum_ = body.block("ADD", {"IN1": body.value("n"), "IN2": body.value("2")})
    body.put("n", sum_)
    body.put("m", body.block("MUL", {"IN1": sum_, "IN2": sum_}))
    extra = draw.pou("Other", body, draw.variables("localVars", {"n": "LINT", "m": "LINT"}))
    file = tmp_path / "p.xml"
    file.write_text(whole.replace("</pous>", f"{extra}</pous>"), encoding="utf-8")
    runner = CliRunner()
    done = runner.invoke(app, ["import", str(file), "-o", str(tmp_path / "st")])
    assert done.exit_code == 0, done.output
    made = sorted(each.name for each in (tmp_path / "st").iterdir())
    assert made == ["Lamp.st", "Main.st", "Other.st", "Plant.st", "types.st"]
    other = (tmp_path / "st" / "Other.st").read_text(encoding="utf-8")
    assert ": LINT;" in other
    assert "ANY" not in other
    first = softplc.compile(file)
    second = softplc.compile(*sorted((tmp_path / "st").iterdir()))
    assert first.initial_image == second.initial_image
    again = runner.invoke(app, ["import", str(file), "-o", str(tmp_path / "st")])
    assert again.exit_code == 2
    assert "is there already" in again.output


def test_export_and_check_commands(whole, tmp_path):
    (tmp_path / "p.xml").write_text(whole, encoding="utf-8")
    (tmp_path / "more.st").write_text(
        "FUNCTION Twice : INT VAR_INPUT a : INT; END_VAR Twice := a * 2; END_FUNCTION"
    )
    runner = CliRunner()
    target = tmp_path / "out.xml"
    done = runner.invoke(
        app, ["export", str(tmp_path / "p.xml"), str(tmp_path / "more.st"), "-o", str(target)]
    )
    assert done.exit_code == 0, done.output
    shown = runner.invoke(app, ["run", str(target), "--scans", "3", "--period", "20ms", "--json"])
    assert json.loads(shown.output)["one.kept"] == 53
    refused = runner.invoke(app, ["fmt", str(target)])
    assert refused.exit_code == 1
    assert "PLCopen XML" in refused.output


def test_older_namespaces_and_encodings_are_read(draw, tmp_path):
    body = draw.text("n := n + 1;")
    interface = draw.variables("localVars", {"n": "INT"})
    for space in ("http://www.plcopen.org/xml/tc6.xsd", "http://www.plcopen.org/xml/tc6_0200"):
        old = draw.project(draw.pou("Main", body, interface), space=space)
        assert softplc.check(sources={"p.xml": old}) == []
        assert 'xmlns="http://www.plcopen.org/xml/tc6_0201"' in export({"p.xml": old})
    (tmp_path / "wide.xml").write_bytes(old.replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16"))
    (tmp_path / "narrow.xml").write_bytes(
        old.replace('encoding="utf-8"', 'encoding="iso-8859-1"')
        .replace("n + 1", "n + (* größer *) 1")
        .encode("latin-1")
    )
    assert softplc.check(tmp_path / "wide.xml") == []
    assert softplc.check(tmp_path / "narrow.xml") == []


def test_what_codesys_keeps_beside_the_standard_is_read(draw):
    vendor = "http://www.3s-software.com/plcopenxml"

    def data(kind, content):
        return f'<data name="{vendor}/{kind}" handleUnknown="implementation">{content}</data>'

    def method(value):
        result = "<interface><returnType><INT/></returnType></interface>"
        body = f"<body>{draw.text(f'Size := {value};')}</body>"
        return data("method", f'<Method name="Size">{result}{body}</Method>')

    level = (
        '<Property name="Level"><interface><returnType><INT/></returnType></interface>'
        f"<GetAccessor><interface/><body>{draw.text('Level := kept;')}</body></GetAccessor>"
        f"<SetAccessor><interface/><body>{draw.text('kept := Level;')}</body></SetAccessor></Property>"
    )
    inherits = data("pouinheritance", "<Inheritance><Extends>Base</Extends></Inheritance>")
    kept = draw.variables("localVars", {"kept": "INT"})
    base = draw.pou("Base", draw.text(""), kept, "functionBlock")
    base = base.replace("</pou>", f"<addData>{method(1)}{data('property', level)}</addData></pou>")
    heir = draw.pou("Heir", draw.text(""), f"<addData>{inherits}</addData>", "functionBlock")
    heir = heir.replace("</pou>", f"<addData>{method(2)}</addData></pou>")
    body = draw.text("h.Level := Lists.start; n := h.Size() * 10 + h.Level; Bump();")
    actions = f'<actions><action name="Bump"><body>{draw.text("m := m + 1;")}</body></action></actions>'
    local = draw.variables("localVars", {"h": "Heir", "n": "INT", "m": "INT"})
    main = draw.pou("Main", body, local, more=actions)
    globals_ = (
        '<globalVars name="Lists"><variable name="start"><type><INT/></type><initialValue>'
        '<simpleValue value="7"/></initialValue></variable></globalVars>'
    )
    text = draw.project(base, heir, main).replace(
        "</project>", f"<addData>{data('globalvars', globals_)}</addData></project>"
    )
    simulator = softplc.compile(sources={"p.xml": text}, profile="codesys").simulator()
    simulator.scan(3)
    assert (simulator.read("Main.n"), simulator.read("Main.m")) == (27, 3)
    told = softplc.check(sources={"p.xml": text})
    assert "Level is a property of Heir (POU Main, ST)" in [each.message for each in told]


def test_tasks_of_an_application_of_codesys_run_its_programs(draw):
    tasks = (
        '<resource name="Application"><task name="MainTask" interval="PT0.02S" priority="1"><pouInstance '
        'name="PLC_PRG" typeName=""/></task><task name="VISU_TASK" interval="PT0.1S" priority="31">'
        '<pouInstance name="VisuElems.Visu_Prg" typeName=""/><pouInstance name="PLC_PRG"/></task>'
        '<globalVars name="GVL"><variable name="start"><type><INT/></type>'
        '</variable></globalVars><addData><data name="pou" handleUnknown="implementation">'
    )
    main = draw.pou("PLC_PRG", draw.text("n := n + 1;"), draw.variables("localVars", {"n": "INT"}))
    idle = draw.pou("Idle", draw.text("n := n + 1;"), draw.variables("localVars", {"n": "INT"}))
    text = draw.project().replace(
        "</project>",
        '<addData><data name="http://www.3s-software.com/plcopenxml/application">'
        f"{tasks}{main}{idle}</data></addData></resource></data></addData></project>",
    )
    application = softplc.compile(sources={"p.xml": text}, profile="codesys")
    tasks = {each.name: each.interval_ns for each in application.tasks}
    assert tasks == {"MainTask": 20_000_000, "VISU_TASK": 100_000_000}
    told = softplc.check(sources={"p.xml": text}, profile="codesys")
    assert [each.code for each in told] == ["ST6022", "ST6022"]
    simulator = application.simulator()
    simulator.scan(5)  # each 10 ms
    assert simulator.read("PLC_PRG.n") == 3
    assert simulator.read("start") == 0


def test_references_of_codesys_are_read_and_written(draw):
    kinds = {"n": "INT", "r": "REFERENCE TO INT", "l": "REFERENCE TO ARRAY [0..1] OF INT"}
    local = draw.variables("localVars", kinds).replace(
        'TO INT"/></type>', 'TO INT"/></type><initialValue><simpleValue value="n"/></initialValue>', 1
    )
    text = draw.project(draw.pou("Main", draw.text("r := r + 1;"), local))
    profile = profile_of("codesys")
    for each in (text, export({"p.xml": text}, profile), export({"p.st": REFERRING}, profile)):
        simulator = softplc.compile(sources={"p.xml": each}, profile="codesys").simulator()
        simulator.scan(3)
        assert simulator.read("Main.n") == 3


def test_arguments_of_fb_init_static_variables_and_properties_of_interfaces_are_read(draw):
    def data(content):
        return (
            f'<data name="http://www.3s-software.com/plcopenxml/x" handleUnknown="discard">{content}</data>'
        )

    number = "<interface><returnType><INT/></returnType></interface>"
    level = f'<Property name="Level">{number}<GetAccessor>'
    get = f"<body>{draw.text('Level := kept + calls;')}</body>"
    ends = "</GetAccessor></Property>"
    sized = f'<Interface name="ISized"><Properties>{level}{ends}</Properties></Interface>'
    given = draw.variables("inputVars", {"bInitRetains": "BOOL", "bInCopyCode": "BOOL", "size": "INT"})
    first = f"<interface>{given}</interface><body>{draw.text('kept := size;')}</body>"
    inside = draw.variables("localVars", {"kept": "INT"}) + draw.variables("globalVars", {"calls": "INT"})
    inside += f"<addData>{data('<Implements>ISized</Implements>')}</addData>"
    added = data(f'<Method name="FB_init">{first}</Method>') + data(f"{level}{get}{ends}")
    tank = draw.pou("Tank", draw.text("calls := calls + 1;"), inside, "functionBlock")
    tank = tank.replace("</pou>", f"<addData>{added}</addData></pou>")
    local = draw.variables("localVars", {"a": "Tank", "b": "Tank", "i": "ISized", "n": "INT"})
    for value in ("<Value>3</Value>", "<Name>size</Name><Value>40</Value>"):
        arguments = data(f"<InputAssignments><InputAssignment>{value}</InputAssignment></InputAssignments>")
        local = local.replace(
            '"Tank"/></type></variable>', f'"Tank"/></type><addData>{arguments}</addData></variable>', 1
        )
    main = draw.pou("Main", draw.text("a(); b(); i := b; n := a.Level * 100 + i.Level;"), local)
    text = draw.project(tank, main).replace("</project>", f"<addData>{data(sized)}</addData></project>")
    simulator = softplc.compile(sources={"p.xml": text}, profile="codesys").simulator()
    simulator.scan(1)
    assert simulator.read("Main.n") == 542
