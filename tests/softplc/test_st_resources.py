"""Resources: what each declares for itself, how it is named outside, and what is wrong with it."""

from pathlib import Path

import pytest

import softplc
from runtime.errors import PlantError
from softplc.application import UnknownPathError
from softplc.bind.scope import Scope
from softplc.lsp.analysis import Analysis
from softplc.lsp.complete import complete
from softplc.lsp.live import Shown, beside
from softplc.lsp.rename import rename, renamed
from softplc.lsp.spot import spot_at
from softplc.plcopen.export import export
from softplc.taskfacts import task_names

PROGRAM = "PROGRAM P VAR_EXTERNAL g : INT; END_VAR g := g + 1; END_PROGRAM\n"


def told(text: str) -> list[str]:
    findings = softplc.check(sources={"x.st": text})
    return [f"{each.code} {each.message}; {each.remedy}" for each in findings if each.severity == "error"]


def two(left: str = "", right: str = "", outside: str = "", more: str = "") -> str:
    return f"""CONFIGURATION C {outside}
    RESOURCE left ON PLC {left}
    TASK t(INTERVAL := T#10ms, PRIORITY := 1); PROGRAM main WITH t : P; END_RESOURCE
    RESOURCE right ON PLC {right}
    TASK t(INTERVAL := T#10ms, PRIORITY := 2); PROGRAM main WITH t : P; END_RESOURCE
    {more} END_CONFIGURATION\n"""


G = "VAR_GLOBAL g : INT; END_VAR"


def test_paths_begin_with_the_resource_only_where_names_are_in_several():
    alone = G.replace("g :", "h, g :")
    application = softplc.compile(sources={"x.st": PROGRAM + two(alone, G)})
    assert [each.path for each in application.roots] == ["h", "left.g", "right.g"]
    assert [(each.name, each.programs) for each in application.tasks] == [
        ("left.t", ("left.main",)),
        ("right.t", ("right.main",)),
    ]
    with pytest.raises(UnknownPathError):
        application.symbol("g")


def test_a_global_of_the_configuration_keeps_its_path():
    application = softplc.compile(sources={"x.st": PROGRAM + two(G, "", G)})
    plc = application.simulator()
    plc.scan(3)
    assert [each.path for each in application.roots] == ["g", "left.g"]
    assert (plc.read("g"), plc.read("left.g")) == (3, 3)


def test_code_is_there_once_for_what_means_the_same_everywhere():
    units = (
        "FUNCTION_BLOCK Same VAR_OUTPUT q : INT; END_VAR q := q + 1; END_FUNCTION_BLOCK\n"
        "FUNCTION_BLOCK Other VAR_OUTPUT q : INT; END_VAR VAR s : Same; END_VAR VAR_EXTERNAL g : INT; END_VAR"
        " s(); g := g + 1; END_FUNCTION_BLOCK\n"
        "PROGRAM P VAR s : Same; o : Other; END_VAR s(); o(); END_PROGRAM\n"
    )
    _, module = softplc.pipeline.lower_application((), {"x.st": units + two(G, G)})
    names = [each.name for each in module.routines]
    assert names.count("function_block.same") == 1
    assert sorted(each for each in names if "other" in each) == [
        "function_block.other$left",
        "function_block.other$right",
    ]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        (
            PROGRAM + two(G),
            "ST2046 g is there in resource left only, and this runs in resource right, as main; "
            "declare it in resource right too, or in the CONFIGURATION for all",
        ),
        (
            PROGRAM + two(G, G.replace("INT", "REAL")),
            "ST2046 g is REAL in resource right, as main; give it one type, or another name",
        ),
        (
            "PROGRAM P VAR x : INT; END_VAR x := g; END_PROGRAM " + two(G, G.replace("INT", "SINT")),
            "ST2046 g has another type in each resource, as main; say which with VAR_EXTERNAL",
        ),
        (
            PROGRAM + two(G.replace("INT", "REAL"), G.replace("INT", "DINT")),
            "ST2012 the global g is REAL, not INT; declare it as REAL",
        ),
        (
            PROGRAM + "CONFIGURATION C RESOURCE left ON PLC VAR_GLOBAL g : INT; END_VAR END_RESOURCE"
            " PROGRAM p : P; END_CONFIGURATION",
            "ST2046 g is there in resource left only, and this runs in no resource, as p; "
            "declare it in the CONFIGURATION, or let the program run in the resource",
        ),
        (
            "PROGRAM P VAR_EXTERNAL g : INT; END_VAR g := 1; END_PROGRAM "
            + two(G, G.replace("VAR_GLOBAL", "VAR_GLOBAL CONSTANT")),
            "ST2010 g is a constant: it cannot be assigned; declare it without CONSTANT",
        ),
        (
            PROGRAM + two(f"{G} {G}", G),
            "ST2002 variable g is already declared; rename or remove one of the two",
        ),
        (
            PROGRAM + two(G).replace("RESOURCE right", "RESOURCE left"),
            "ST2002 resource left is already declared; rename or remove one of the two",
        ),
        (
            PROGRAM + two(G, G, "VAR_GLOBAL left : INT; END_VAR"),
            "ST2002 program instance or variable left is already declared; rename or remove one of the two",
        ),
        (
            PROGRAM + two(G, G, more="VAR_ACCESS a : g : INT; END_VAR"),
            "ST2044 several resources have g; begin with the resource: R.g",
        ),
        (
            PROGRAM + two(G, G, more="VAR_ACCESS a : main.g : INT; END_VAR"),
            "ST2044 several resources have main; begin with the resource: R.main",
        ),
        (
            PROGRAM + two(G.replace("g :", "g, h :"), G, more="VAR_ACCESS a : right.h : INT; END_VAR"),
            "ST2044 there is no program instance h; there are main, g, left, right",
        ),
        (
            PROGRAM
            + two(G.replace("g :", "g, h :"), G).replace("RESOURCE right ON PLC", "RESOURCE right ON PLC ")
            .replace("PRIORITY := 2);", "PRIORITY := 2); TASK u(SINGLE := h, PRIORITY := 3);")
            .replace("h : INT", "h : BOOL").replace("g, h : BOOL", "g : INT; h : BOOL"),
            "ST2046 h is there in resource left only, and this runs in resource right; "
            "declare it in resource right too, or in the CONFIGURATION for all",
        ),
        (
            "TYPE T : ARRAY[1..g] OF INT; END_TYPE PROGRAM P VAR t : T; END_VAR t[1] := 1; END_PROGRAM "
            + two("VAR_GLOBAL CONSTANT g : INT := 2; END_VAR", "VAR_GLOBAL CONSTANT g : INT := 3; END_VAR"),
            "ST2006 an array limit must be a constant expression; use literals and VAR CONSTANT",
        ),
    ],
    ids=[
        "missing", "other type", "no external", "neither type", "no resource", "constant", "twice",
        "resource twice", "path taken", "access", "access program", "access elsewhere", "single", "limit",
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_once(text, findings):
    assert told(text) == [findings]


def test_a_connection_names_the_owner_of_what_it_means():
    program = "PROGRAM P VAR_INPUT a : INT; END_VAR VAR x : INT; END_VAR x := a; END_PROGRAM "
    text = program + two("VAR_GLOBAL g : INT := 2; END_VAR", "", "VAR_GLOBAL g : INT := 1; END_VAR")
    plc = softplc.compile(sources={"x.st": text.replace(": P;", ": P(a := g);")}).simulator()
    plc.scan()
    assert (plc.read("left.main.x"), plc.read("right.main.x")) == (2, 1)
    first = text.replace(": P;", ": P(a := left.g);", 1)
    assert told(first) == []
    (found,) = told(text.replace(": P;", ": P(a := C.g);", 1))
    assert found.startswith("ST2003 there is no variable C")


def test_a_constant_that_the_resources_agree_in_is_a_constant():
    limit = "VAR_GLOBAL CONSTANT g : INT := 2; END_VAR"
    text = "TYPE T : ARRAY[1..g] OF INT; END_TYPE PROGRAM P VAR t : T; END_VAR t[g] := g; END_PROGRAM "
    plc = softplc.compile(sources={"x.st": text + two(limit, limit)}).simulator()
    plc.scan()
    assert [plc.read(f"{each}.main.t[2]") for each in ("left", "right")] == [2, 2]


def test_two_resources_that_write_their_own_variable_are_no_two_writers():
    text = PROGRAM.replace("g := g + 1", "g := 1")
    assert softplc.check(sources={"x.st": text + two(G, G)}) == []
    (shared,) = softplc.check(sources={"x.st": text + two("", "", G)})
    assert shared.message == "g is written by left.main and by right.main: the last program wins"
    outputs = [G.replace("g :", f"g AT %QW{place} :") for place in (0, 1)]
    assert softplc.check(sources={"x.st": text + two(*outputs)}) == []
    (same,) = softplc.check(sources={"x.st": text + two(outputs[0], outputs[0])})
    assert same.code == "ST6004"


def test_values_that_are_kept_are_each_resources_own():
    kept = "VAR_GLOBAL RETAIN g : INT; END_VAR"
    application = softplc.compile(sources={"x.st": PROGRAM + two(kept, kept)})
    assert [each.path for each in application.symbols.retained()] == ["left.g", "right.g"]


def test_names_of_tasks_are_those_of_the_compiled_program():
    text = PROGRAM + two(G, G).replace("TASK t(INTERVAL := T#10ms, PRIORITY := 2)", "TASK T(PRIORITY := 2)")
    names = task_names([text])
    assert names == ("left.t", "right.T")
    assert {each.name for each in softplc.compile(sources={"x.st": text}).tasks} == set(names)
    assert task_names([export({"x.st": PROGRAM + two(G, G)})]) == ("left.t", "right.t")
    assert task_names([text.replace("TASK T", "TASK u")]) == ("t", "u")


def test_the_language_server_has_one_name_for_the_variables_of_all_resources():
    analysis = Analysis({"x.st": PROGRAM + two(G, G, more="VAR_ACCESS a : left.g : INT; END_VAR")})
    symbol = next(each.symbol for each in analysis.index.found if each.symbol.name == "g")
    assert len(analysis.occurrences(symbol)) == 6
    assert sum(each.declares for each in analysis.occurrences(symbol)) == 2
    text = renamed(analysis, rename(analysis, symbol, "fill"), "fill")["x.st"]
    assert text.count("fill") == 6
    assert "left.fill : INT" in text
    assert softplc.check(sources={"x.st": text}) == []
    with pytest.raises(PlantError):
        rename(analysis, symbol, "main")
    shown = Shown("line/g", "", "", "INT", 7, 0)
    live = beside(analysis, "x.st", 0, len(PROGRAM), {"right.g": shown})
    assert [value for _, value in live] == [shown]
    instance = next(each.symbol for each in analysis.index.found if each.symbol.name == "main")
    assert len(analysis.occurrences(instance)) == 1
    text = "PROGRAM P g END_PROGRAM " + two(G, G)
    spot = spot_at(text, text.index("g END_PROGRAM") + 1)
    found = complete(spot, Scope(Analysis({"x.st": text}).project))
    assert [each.label for each in found if each.kind == "variable"] == ["g"]


def test_projects_in_xml_keep_them_apart():
    text = PROGRAM + two(G.replace("INT;", "INT := 5;"), G, more="VAR_ACCESS a : right.g : INT; END_VAR")
    xml = export({"x.st": text})
    first, second = softplc.compile(sources={"x.st": text}), softplc.compile(sources={"x.xml": xml})
    assert (first.roots, first.access, first.initial_image) == (
        second.roots,
        second.access,
        second.initial_image,
    )
    plc = second.simulator()
    plc.scan(2)
    assert (plc.read("left.g"), plc.read("right.g"), plc.read("a")) == (7, 2, 2)


def test_they_are_formatted_as_any_other(tmp_path):
    from softplc.formatter import format_text

    source = (Path(__file__).parents[1] / "conformance" / "resources.st").read_text(encoding="utf-8")
    shown = format_text(source)
    assert format_text(shown) == shown
    first, second = (softplc.compile(sources={"x.st": each}) for each in (source, shown))
    assert first.initial_image == second.initial_image
