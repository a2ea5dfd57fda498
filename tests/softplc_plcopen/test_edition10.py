"""Projects in the form of IEC 61131-10 are read as those of TC6."""

import softplc
from softplc.plcopen.export import export

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<Project xmlns="www.iec.ch/public/TC65SC65BWG7TF10"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" schemaVersion="1.0">'
    '<FileHeader companyName="" productName="" productVersion="1"/>'
    '<ContentHeader name="p" creationDateTime="2026-01-01T00:00:00"/><Types><GlobalNamespace>'
)
TYPES = """
<DataTypeDecl name="Mode"><UserDefinedTypeSpec xsi:type="EnumTypeSpec"><Enumerator name="Idle"/>
<Enumerator name="Busy"/></UserDefinedTypeSpec></DataTypeDecl>
<DataTypeDecl name="Pair"><UserDefinedTypeSpec xsi:type="StructTypeSpec"><Member name="low"><Type>
<TypeName>INT</TypeName></Type><InitialValue><SimpleValue value="4"/></InitialValue></Member>
</UserDefinedTypeSpec></DataTypeDecl>
"""
TWICE = """
<Function name="Twice"><ResultType><TypeName>INT</TypeName></ResultType><Parameters><InputVars>
<Variable name="a" orderWithinParamSet="0"><Type><TypeName>INT</TypeName></Type></Variable></InputVars>
</Parameters>
<MainBody><BodyContent xsi:type="ST"><ST>Twice := a * 2;</ST></BodyContent></MainBody></Function>
"""


def variable(name, kind, more=""):
    return f'<Variable name="{name}"><Type><TypeName>{kind}</TypeName></Type>{more}</Variable>'


def source(text, point):
    return (
        f'<FbdObject xsi:type="DataSource" identifier="{text}">'
        f'<ConnectionPointOut connectionPointOutId="{point}"/></FbdObject>'
    )


def pin_in(kind, name, point):
    line = f'<ConnectionPointIn><Connection refConnectionPointOutId="{point}"/></ConnectionPointIn>'
    return f'<{kind} parameterName="{name}">{line}</{kind}>'


def sink(text, point, more=""):
    line = f'<ConnectionPointIn><Connection refConnectionPointOutId="{point}"/></ConnectionPointIn>'
    return f'<FbdObject xsi:type="DataSink" identifier="{text}">{more}{line}</FbdObject>'


def contact(operand, source_point, point, more=""):
    line = f'<ConnectionPointIn><Connection refConnectionPointOutId="{source_point}"/></ConnectionPointIn>'
    return (
        f'<LdObject xsi:type="Contact" operand="{operand}"{more}>{line}'
        f'<ConnectionPointOut connectionPointOutId="{point}"/></LdObject>'
    )


FBD = (
    "<Network>"
    + source("x", 1)
    + '<FbdObject xsi:type="Block" typeName="Twice"><InputVariables>'
    + pin_in("InputVariable", "a", 1)
    + '</InputVariables><OutputVariables><OutputVariable parameterName="Twice">'
    + '<ConnectionPointOut connectionPointOutId="2"/></OutputVariable></OutputVariables></FbdObject>'
    + sink("y", 2)
    + "</Network><Network>"
    + source("y > 5", 1)
    + '<FbdObject xsi:type="Jump" targetNetworkLabel="done"><ConnectionPointIn>'
    + '<Connection refConnectionPointOutId="1"/></ConnectionPointIn></FbdObject></Network><Network>'
    + source("n + 1", 1)
    + sink("n", 1)
    + '</Network><Network label="done">'
    + source("pair.low", 7)
    + sink("z", 7)
    + "</Network>"
)
LD = (
    '<Rung evaluationOrder="2">'
    '<LdObject xsi:type="LeftPowerRail"><ConnectionPointOut connectionPointOutId="1"/></LdObject>'
    + contact("run", 1, 2)
    + '<FbdObject xsi:type="Block" typeName="TON" instanceName="wait"><InputVariables>'
    + pin_in("InputVariable", "IN", 2)
    + pin_in("InputVariable", "PT", 9)
    + '</InputVariables><OutputVariables><OutputVariable parameterName="Q">'
    + '<ConnectionPointOut connectionPointOutId="3"/></OutputVariable></OutputVariables></FbdObject>'
    + source("T#20ms", 9)
    + '<LdObject xsi:type="Coil" operand="late"><ConnectionPointIn><Connection refConnectionPointOutId="3"/>'
    + '</ConnectionPointIn><ConnectionPointOut connectionPointOutId="4"/></LdObject></Rung>'
    '<Rung evaluationOrder="1">'
    '<LdObject xsi:type="LeftPowerRail"><ConnectionPointOut connectionPointOutId="1"/></LdObject>'
    + contact("go", 1, 2)
    + contact("run", 1, 3)
    + contact("stop", 2, 4, ' negated="true"').replace(
        "</ConnectionPointIn>", '<Connection refConnectionPointOutId="3"/></ConnectionPointIn>'
    )
    + '<LdObject xsi:type="Coil" operand="run"><ConnectionPointIn><Connection refConnectionPointOutId="4"/>'
    + '</ConnectionPointIn><ConnectionPointOut connectionPointOutId="5"/></LdObject></Rung>'
)
PROGRAM = (
    '<Program name="Main"><Vars accessSpecifier="private">'
    + variable("x", "INT", '<InitialValue><SimpleValue value="1"/></InitialValue>')
    + "".join(variable(each, "INT") for each in "yzn")
    + variable("pair", "Pair")
    + variable("mode", "Mode")
    + variable("lamp", "BOOL", '<Address address="%QX0.1"/>')
    + "</Vars><MainBody><BodyContent xsi:type='FBD'>"
    + FBD
    + "</BodyContent></MainBody></Program>"
    + '<FunctionBlock name="Motor"><Parameters><InputVars>'
    + variable("go", "BOOL")
    + variable("stop", "BOOL")
    + "</InputVars><OutputVars>"
    + variable("run", "BOOL")
    + variable("late", "BOOL")
    + "</OutputVars></Parameters><Vars>"
    + variable("wait", "TON")
    + "</Vars><MainBody><BodyContent xsi:type='LD'>"
    + LD
    + "</BodyContent></MainBody></FunctionBlock>"
    + '<Program name="Use"><Vars>'
    + variable("m", "Motor")
    + variable("go", "BOOL")
    + "</Vars><MainBody><BodyContent xsi:type='ST'><ST>m(go := go);</ST></BodyContent></MainBody></Program>"
)
TAIL = (
    '</GlobalNamespace></Types><Instances><Configuration name="C"><Resource name="R" resourceTypeName="">'
    '<Task xsi:type="StandardTask" name="t" interval="T#10ms" priority="1"/>'
    '<ProgramInstance name="one" typeName="Main" associatedTaskName="t"/>'
    '<ProgramInstance name="two" typeName="Use" associatedTaskName="t"/></Resource></Configuration>'
    "</Instances>"
    "</Project>\n"
)


def test_types_units_networks_and_tasks_are_read():
    text = HEAD + TYPES + TWICE + PROGRAM + TAIL
    application = softplc.compile(sources={"p.xml": text})
    assert [(each.name, each.programs) for each in application.tasks] == [("t", ("one", "two"))]
    assert application.symbol("one.lamp").address == "%QX0.1"
    simulator = application.simulator()
    simulator.scan(1, 10_000_000)
    assert [simulator.read(f"one.{each}") for each in "yzn"] == [2, 4, 1]
    simulator.write("one.x", 3)
    simulator.scan(1, 10_000_000)
    assert [simulator.read(f"one.{each}") for each in "yzn"] == [6, 4, 1]
    simulator.write("two.go", True)
    simulator.scan(1, 10_000_000)
    assert (simulator.read("two.m.run"), simulator.read("two.m.late")) == (True, False)
    simulator.write("two.go", False)
    simulator.scan(3, 10_000_000)
    assert (simulator.read("two.m.run"), simulator.read("two.m.late")) == (True, True)


def test_it_is_exported_as_tc6():
    text = HEAD + TYPES + TWICE + PROGRAM + TAIL
    xml = export({"p.xml": text})
    assert 'xmlns="http://www.plcopen.org/xml/tc6_0201"' in xml
    first, second = softplc.compile(sources={"p.xml": text}), softplc.compile(sources={"p.xml": xml})
    assert (first.initial_image, first.roots) == (second.initial_image, second.roots)


def test_a_unit_alone_with_its_declaration_as_text_is_read():
    text = (
        '<ppx:Program xmlns:ppx="www.iec.ch/public/TC65SC65BWG7TF10" name="Alone"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><ppx:AddData><ppx:Data name="x"'
        ' handleUnknown="implementation"><textDeclaration><content>PROGRAM Alone\nVAR\n a, q : BOOL;\nEND_VAR'
        "</content></textDeclaration></ppx:Data></ppx:AddData><ppx:MainBody>"
        '<ppx:BodyContent xsi:type="ppx:FBD"><ppx:Network>'
        '<ppx:FbdObject xsi:type="ppx:DataSource" identifier="a" globalId="1">'
        '<ppx:ConnectionPointOut connectionPointOutId="2"/></ppx:FbdObject>'
        '<ppx:FbdObject xsi:type="ppx:DataSink" identifier="q" globalId="3"><ppx:AddData>'
        '<ppx:Data name="x" handleUnknown="implementation"><StorageMode mode="Set"/></ppx:Data></ppx:AddData>'
        '<ppx:ConnectionPointIn><ppx:Connection refConnectionPointOutId="2"/></ppx:ConnectionPointIn>'
        "</ppx:FbdObject></ppx:Network></ppx:BodyContent></ppx:MainBody></ppx:Program>"
    )
    simulator = softplc.compile(sources={"alone.xml": text}).simulator()
    for value, wanted in ((False, False), (True, True), (False, True)):
        simulator.write("Alone.a", value)
        simulator.scan()
        assert simulator.read("Alone.q") is wanted


def test_what_has_no_counterpart_is_told():
    body = '<Program name="P"><MainBody><BodyContent xsi:type="SFC"/></MainBody></Program><Class name="K"/>'
    findings = softplc.check(sources={"p.xml": HEAD + body + TAIL.replace("Main", "P").replace("Use", "P")})
    assert [each.code for each in findings] == ["ST1022", "ST1022"]
    assert {each.message.split(" of IEC")[0] for each in findings} == {"a body in SFC", "the Class K"}
