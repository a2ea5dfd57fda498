"""`ironworks st check` and `ironworks st run`."""

import json

import pytest
from typer.testing import CliRunner

from softplc.cli import app

PROGRAM = """
VAR_GLOBAL g : DINT := 5; END_VAR
PROGRAM Main
VAR n : INT; Go AT %IX0.0 : BOOL; t : TON; a : ARRAY[1..2, 1..2] OF INT := [1, 2, 3, 4];
d : DATE := D#2024-02-29; r : REAL := 0.1; s : STRING := 'hi'; z : INT; END_VAR
IF Go THEN n := n + 1; END_IF; t(IN := Go, PT := T#1m30s);
IF n = 100 THEN z := n / z; END_IF;
END_PROGRAM
PROGRAM Other VAR x : LREAL := 1.5; END_VAR END_PROGRAM
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "main.st"
    path.write_text(PROGRAM, encoding="utf-8")
    return str(path)


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_run_prints_one_object_of_all_variables(program):
    result = invoke("run", program, "--scans", "3", "--period", "20ms", "--set", "Main.Go=TRUE", "--json")
    assert result.exit_code == 0
    values = json.loads(result.stdout)
    assert values["Main.n"] == 3
    assert values["Main.t.ET"] == "T#40ms"
    assert values["Main.t.PT"] == "T#1m30s"
    assert values["Main.a"] == [[1, 2], [3, 4]]
    assert values["Main.d"] == "D#2024-02-29"
    assert values["Main.r"] == 0.1
    assert values["Main.s"] == "hi"
    assert values["Other.x"] == 1.5
    assert values["g"] == 5


def test_what_is_no_project_is_not_imported(program, tmp_path):
    done = invoke("import", program, "-o", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "is no project in PLCopen XML" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_project_that_cannot_be_written_is_told_with_a_remedy(program, tmp_path):
    done = invoke("export", program, "-o", str(tmp_path))
    assert done.exit_code == 2
    assert "cannot be written: Is a directory" in done.stderr
    assert "help: check its folder" in done.stderr


def test_run_restricts_to_one_program(program):
    result = invoke("run", program, "--program", "other", "--json")
    assert json.loads(result.stdout) == {"Other.x": 1.5}


def test_run_sets_addresses_and_based_numbers(program):
    result = invoke("run", program, "--set", "%IX0.0=1", "--set", "g=16#FF", "--set", "Main.n=-3", "--json")
    values = json.loads(result.stdout)
    assert (values["Main.n"], values["g"], values["Main.Go"]) == (-2, 255, True)


def test_a_fault_is_exit_code_3_with_its_place(program):
    result = invoke("run", program, "--set", "Main.n=99", "--set", "Main.Go=1", "--json")
    assert result.exit_code == 3
    assert "main.st:7" in result.stderr
    assert "division by zero" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "Main.nope=1"),
        ("--set", "Main.n"),
        ("--set", "Main.n=abc"),
        ("--set", "Main.n=70000"),
        ("--period", "soon"),
        ("--period", "0s"),
        ("--program", "Nobody"),
    ],
)
def test_wrong_use_is_exit_code_2_with_a_message(program, arguments):
    result = invoke("run", program, *arguments)
    assert result.exit_code == 2
    assert "error: " in result.stderr


def test_errors_are_exit_code_1_with_place_and_caret(tmp_path):
    path = tmp_path / "bad.st"
    path.write_text("PROGRAM P\nVAR x : INT; END_VAR\nx := TRUE;\nEND_PROGRAM", encoding="utf-8")
    for command in ("check", "run"):
        result = invoke(command, str(path))
        assert result.exit_code == 1
        assert f"{path}:3:6: error ST3001" in result.stderr
        assert "x := TRUE;" in result.stderr
        assert "^^^^" in result.stderr
    result = invoke("check", str(path), "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["diagnostics"]
    assert (finding["code"], finding["line"], finding["column"]) == ("ST3001", 3, 6)


def test_check_of_a_good_program(program):
    assert invoke("check", program).exit_code == 0
    assert json.loads(invoke("check", program, "--json").stdout) == {"ok": True, "diagnostics": []}


def test_a_missing_file_is_told(tmp_path):
    result = invoke("check", str(tmp_path / "absent.st"))
    assert result.exit_code == 1
    assert "cannot read the file" in result.stderr
