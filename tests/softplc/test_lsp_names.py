"""Names in namespaces, configurations and dialects, as the language server sees them."""

from pathlib import Path

import pytest

from runtime.errors import PlantError
from softplc.bind.scope import Scope
from softplc.lsp.analysis import Analysis
from softplc.lsp.complete import complete
from softplc.lsp.outline import outline
from softplc.lsp.rename import rename, renamed
from softplc.lsp.spot import spot_at
from softplc.profiles import CODESYS, IEC

FOLDER = Path(__file__).parents[1] / "conformance"


def analysed(name, profile=IEC):
    return Analysis({name: (FOLDER / name).read_text(encoding="utf-8")}, profile)


def test_a_variable_is_renamed_in_the_paths_that_name_it():
    analysis = analysed("configured.st")
    lamp = next(each for each in analysis.index.found if each.symbol.name == "lamp" and each.declares)
    text = renamed(analysis, rename(analysis, lamp.symbol, "light"), "light")["configured.st"]
    assert "p1.light AT %QX0.3" in text
    assert "p2.light AT %QX0.4" in text
    assert "Cpu.p1.light : BOOL" in text


def test_a_member_is_renamed_where_var_config_places_it():
    analysis = analysed("located_members.st")
    run = next(each for each in analysis.index.found if each.symbol.name == "run" and each.declares)
    text = renamed(analysis, rename(analysis, run.symbol, "turn"), "turn")["located_members.st"]
    assert "r.p.list[2].turn AT %QX0.3" in text
    assert "run" not in text


def test_steps_and_actions_of_a_chart_in_an_action_are_renamed():
    analysis = analysed("chart_actions.st")
    for old, new, places in (("Fill", "Pour", 3), ("Tick", "Beat", 2), ("Deep", "Low", 2)):
        found = next(each for each in analysis.index.found if each.symbol.name == old)
        text = renamed(analysis, rename(analysis, found.symbol, new), new)["chart_actions.st"]
        assert text.count(new) == places
        assert old not in text


def test_indicators_of_actions_are_renamed():
    text = """PROGRAM Main VAR fill, a : BOOL; full : ARRAY[0..1] OF BOOL; END_VAR
    INITIAL_STEP Begin: fill(L, T#5s, a, full[0]); END_STEP STEP Rest: END_STEP
    TRANSITION FROM Begin TO Rest := full[1]; END_TRANSITION
    TRANSITION FROM Rest TO Begin := TRUE; END_TRANSITION
    END_PROGRAM"""
    analysis = Analysis({"a.st": text})
    full = next(each for each in analysis.index.found if each.symbol.name == "full" and each.declares)
    changed = renamed(analysis, rename(analysis, full.symbol, "done"), "done")["a.st"]
    assert changed == text.replace("full", "done")


def test_a_unit_of_a_namespace_is_renamed_where_it_is_named_short_or_full():
    analysis = analysed("namespaces.st")
    twice = next(each for each in analysis.index.found if each.symbol.name == "twice" and each.declares)
    text = renamed(analysis, rename(analysis, twice.symbol, "double"), "double")["namespaces.st"]
    assert "Plant.double(x) + double(x)" in text
    assert "twice" not in text
    with pytest.raises(PlantError):
        rename(analysis, twice.symbol, "told")


def test_completion_in_a_namespace():
    analysis = analysed("namespaces.st")
    text = analysis.sources["namespaces.st"]
    place = text.index("Plant.twice(x)") + len("Plant.")
    spot = spot_at(text, place)
    labels = {each.label for each in complete(spot, Scope(analysis.project, analysis.unit_at(spot)))}
    assert {"twice", "Inner", "Mode", "Base"} <= labels
    assert "three" not in labels


def test_properties_are_one_entry_each():
    analysis = analysed("codesys/objects.st", CODESYS)
    tank = next(each for each in outline(analysis.units["codesys/objects.st"]) if each.name == "Tank")
    assert [each.name for each in tank.children].count("height") == 1
