"""Projects beside text: in a plant, in an editor, and units of one used in the other."""

import pytest

import softplc
from runtime.errors import PlantError
from softplc.build import read_sources
from softplc.lsp.analysis import Analysis
from softplc.lsp.rename import rename
from softplc.plcopen.export import export

WRITTEN = """PROGRAM Main
VAR lamp : Lamp; go AT %IX0.0 : BOOL; END_VAR
lamp(on := go);
END_PROGRAM
"""


@pytest.fixture
def drawn(draw):
    body = draw.Body("LD")
    body.raw("\n")
    body.coil("lit", body.contact("on", body.rail(), edge="rising"), storage="set")
    interface = draw.variables("inputVars", {"on": "BOOL"}) + draw.variables("outputVars", {"lit": "BOOL"})
    return draw.project(draw.pou("Lamp", body, interface, "functionBlock"))


def test_text_uses_what_is_drawn_in_a_plant(drawn, tmp_path):
    (tmp_path / "plc").mkdir()
    (tmp_path / "plc" / "lamp.xml").write_bytes(drawn.replace("utf-8", "utf-16").encode("utf-16"))
    (tmp_path / "plc" / "main.st").write_text(WRITTEN, encoding="utf-8")
    sources = read_sources(tmp_path, ["plc/*.st", "plc/*.xml"])
    assert list(sources) == ["plc/lamp.xml", "plc/main.st"]
    simulator = softplc.compile(sources=sources).simulator()
    simulator.inputs["go"] = True
    simulator.scan()
    assert simulator.read("Main.lamp.lit")


def test_editor_finds_names_across_and_renames_none_that_is_drawn(drawn):
    analysis = Analysis({"lamp.xml": drawn, "main.st": WRITTEN})
    assert not [each for each in analysis.findings if each.severity == "error"]
    there = analysis.at("main.st", WRITTEN.index("lamp(on") + len("lamp("))
    assert there is not None
    declared = analysis.declaration(there.symbol)
    assert declared is not None
    source = analysis.texts.at(declared.at)
    line, column = source.place(declared.at)
    assert source.name == "lamp.xml"
    assert source.line_text(line)[column - 1 :].startswith('<variable name="on"')
    with pytest.raises(PlantError, match=r"named in lamp\.xml"):
        rename(analysis, there.symbol, "start")


def test_text_and_drawing_are_exported_as_one(drawn):
    xml = export({"lamp.xml": drawn, "main.st": WRITTEN})
    assert "<LD>" in xml
    assert "<ST>" in xml
    first = softplc.compile(sources={"lamp.xml": drawn, "main.st": WRITTEN})
    second = softplc.compile(sources={"all.xml": xml})
    assert (first.initial_image, first.roots) == (second.initial_image, second.roots)


def test_code_for_another_compiler_is_a_warning(draw):
    body = draw.text("x := 1;\n{__SET_VAR(data__->,x,,5)}\n{attribute 'hidden'}\n{{ if (x) { y(); } }}\n")
    findings = softplc.check(
        sources={"p.xml": draw.project(draw.pou("Main", body, draw.variables("localVars", {"x": "INT"})))}
    )
    assert [(each.code, each.line, each.severity) for each in findings] == [
        ("ST6021", 3, "warning"),
        ("ST6021", 5, "warning"),
    ]
