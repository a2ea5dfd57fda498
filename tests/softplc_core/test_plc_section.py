"""The section `plc` of a plant file: what `ironworks check` says."""

import pytest

from runtime.config import Document, Plant, PlantFile, TagList, read_tags
from softplc.section import plugin

SOURCE = """PROGRAM Main
VAR speed : REAL; level : INT; label : STRING; wide : WSTRING; mark : CHAR;
story : STRING[2000]; delay : LTIME; at_time : LDT; motor AT %QX0.0 : BOOL; sensor AT %IX0.0 : BOOL; END_VAR
motor := sensor AND speed > 1.0 AND level > 0;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#10ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
GOOD = """path,type,source,variable
speed,REAL,operator,Main.speed
sensor,BOOL,operator,%IX0.0
motor,BOOL,plc,Main.motor
"""


@pytest.fixture(scope="session")
def state(tmp_path_factory):
    """A state folder that all tests here share, for the cache of compiled programs."""
    return str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def check(tmp_path, state):
    """A function that checks a plant with the given tags and program, and returns its findings."""

    def check(tags=GOOD, source=SOURCE, **config):
        (tmp_path / "plc").mkdir(exist_ok=True)
        (tmp_path / "plc" / "main.st").write_text(source)
        (tmp_path / "tags.csv").write_text(tags)
        read = read_tags(tmp_path / "tags.csv", "a/b/c")
        section = plugin.Config(**config)
        declared = plugin.declare(tmp_path, "a/b/c", section)
        plant = Plant(
            tmp_path / "plant.yaml",
            PlantFile(plant="p", root="a/b/c", state=state),
            Document(tmp_path / "plant.yaml", {"plc": config}, {("plc",): (3, 1)}),
            TagList([*(tag for tag, _ in read), *declared.tags], "a/b/c"),
            {tag.path: place for tag, place in read},
            tuple(declared.alarms),
        )
        return list(plugin.check(plant, section, ("plc",)))

    return check


def test_a_good_plant_has_no_findings(check):
    assert check() == []


def test_a_program_is_checked_in_the_profile_of_the_plant(check):
    pointing = SOURCE.replace("VAR speed", "VAR p : POINTER TO INT; speed").replace(
        "motor :=", "p := ADR(level); p^ := 5;\nmotor :="
    )
    assert not [each for each in check(source=pointing, profile="codesys") if each.severity == "error"]
    assert [each for each in check(source=pointing) if each.severity == "error"]


def test_program_errors_have_place_and_remedy(check):
    (finding,) = check(source=SOURCE.replace("motor :=", "moter :="))
    assert str(finding.place).endswith("plc/main.st:4:1")
    assert "moter" in finding.text
    assert "motor" in finding.remedy


def test_warnings_of_a_program_that_compiles_are_told(check):
    (finding,) = check(source=SOURCE.replace("END_PROGRAM", "RETURN; motor := FALSE; END_PROGRAM", 1))
    assert finding.severity == "warning"
    assert finding.text.startswith("ST6005: ")


def test_an_unknown_variable_has_a_suggestion(check):
    (finding,) = check(GOOD.replace("Main.speed", "Main.sped"))
    assert (finding.place.line, finding.severity) == (2, "error")
    assert "Main.sped" in finding.text
    assert "speed" in finding.remedy.lower()


def test_types_that_do_not_fit_are_told_with_both_types(check):
    (finding,) = check(GOOD.replace("speed,REAL", "speed,DINT"))
    assert "REAL" in finding.text
    assert "DINT" in finding.text


def test_a_wider_variable_takes_a_narrower_tag_but_not_the_reverse(check):
    assert check(GOOD + "level,SINT,operator,Main.level\n") == []
    (finding,) = check(GOOD + "level,DINT,operator,Main.level\n")
    assert "INT" in finding.text


@pytest.mark.parametrize("variable", ["label", "wide"])
def test_a_text_takes_a_text_only(check, variable):
    assert check(GOOD + f"label,STRING,operator,Main.{variable}\n") == []
    (finding,) = check(GOOD + f"label,INT,operator,Main.{variable}\n")
    assert finding.severity == "error"
    assert "STRING" in finding.text


@pytest.mark.parametrize("variable", ["mark", "story"])
def test_a_character_or_a_very_long_text_cannot_be_bound_and_that_is_said(check, variable):
    (finding,) = check(GOOD + f"label,STRING,operator,Main.{variable}\n")
    assert finding.severity == "error"
    assert "tag can carry" in finding.text
    assert "STRING" in finding.remedy


def test_long_times_are_carried_as_times(check):
    assert check(GOOD + "delay,TIME,operator,Main.delay\nat,DT,plc,Main.at_time\n") == []


def test_two_tags_for_one_input_are_refused(check):
    (finding,) = check(GOOD + "speed2,REAL,operator,main.SPEED\n")
    assert "already takes its value from a/b/c/speed" in finding.text


def test_a_constant_is_shown_by_a_tag_and_takes_no_value_from_one(check):
    source = SOURCE.replace("END_VAR", "END_VAR VAR CONSTANT most : INT := 5; END_VAR", 1)
    source = source.replace("level > 0", "level > most")
    assert check(GOOD + "most,INT,plc,Main.most\n", source) == []
    (finding,) = check(GOOD + "most,INT,operator,Main.most\n", source)
    assert (finding.place.line, finding.severity) == (5, "error")
    assert "Main.most is a constant, but operator would write it" in finding.text


def test_an_output_that_the_plc_does_not_produce_is_a_warning(check):
    (finding,) = check(GOOD.replace("motor,BOOL,plc,Main.motor", "motor,BOOL,operator,%QX0.0"))
    assert finding.severity == "warning"
    assert "%QX0.0" in finding.text


def test_a_tag_of_the_plc_without_a_variable_is_an_error(check):
    (finding,) = check(GOOD + "lamp,BOOL,plc,\n")
    assert finding.severity == "error"


@pytest.mark.parametrize(
    ("safe", "text"),
    [({"moter": True}, "unknown tag"), ({"speed": 1.0}, "comes from operator"), ({"motor": 3}, "BOOL")],
)
def test_wrong_safe_values_are_told(check, safe, text):
    (finding,) = check(safe=safe)
    assert text in finding.text


def test_a_right_safe_value_is_accepted(check):
    assert check(safe={"motor": True}) == []
