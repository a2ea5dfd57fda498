"""`ironworks st check --format sarif`: what SARIF 2.1.0 asks for, with places and fixes that hold."""

import json

import pytest
from typer.testing import CliRunner

from softplc.cli import app

TEXT = """PROGRAM P
VAR motor_speed : INT; t : TON; END_VAR
motor_sped := 1;
motor_speed = 3;
t(INN := TRUE)
motor_speed := t.EET;
END_PROGRAM
"""
CURED = """PROGRAM P
VAR motor_speed : INT; t : TON; END_VAR
motor_speed := 1;
motor_speed := 3;
t(IN := TRUE);
motor_speed := t.ET;
END_PROGRAM
"""


@pytest.fixture
def log(tmp_path, monkeypatch):
    folder = tmp_path / "plc programs"
    folder.mkdir()
    (folder / "main.st").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["check", "plc programs/main.st", "--format", "sarif"])
    assert result.exit_code == 1
    return json.loads(result.stdout)


def test_the_log_has_what_the_schema_requires(log):
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "ironworks"
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"].startswith(rule["id"])
    assert len(run["results"]) == 5
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == "error"
        assert result["message"]["text"]
        (location,) = result["locations"]
        artifact = location["physicalLocation"]["artifactLocation"]
        assert artifact == {"uri": "plc%20programs/main.st", "uriBaseId": "WORKDIR"}
        assert artifact["uriBaseId"] in run["originalUriBaseIds"]
        region = location["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"]) <= (region["endLine"], region["endColumn"])
        assert min(region.values()) >= 1


def test_the_fixes_cure_what_they_can(log):
    lines = TEXT.splitlines()
    replacements = [
        change["replacements"][0]
        for result in log["runs"][0]["results"]
        for fix in result.get("fixes", ())
        for change in fix["artifactChanges"]
    ]
    for each in sorted(replacements, key=lambda one: one["deletedRegion"]["startColumn"], reverse=True):
        region = each["deletedRegion"]
        row = lines[region["startLine"] - 1]
        new = each["insertedContent"]["text"]
        lines[region["startLine"] - 1] = (
            row[: region["startColumn"] - 1] + new + row[region["endColumn"] - 1 :]
        )
    assert "\n".join(lines) + "\n" == CURED


def test_json_stays_what_it_was_and_a_warning_is_a_warning(tmp_path):
    path = tmp_path / "f.st"
    path.write_text("FUNCTION F : INT VAR a : INT; END_VAR F := 1; END_FUNCTION", encoding="utf-8")
    runner = CliRunner()
    old = runner.invoke(app, ["check", str(path), "--json"])
    new = runner.invoke(app, ["check", str(path), "--format", "json"])
    assert (old.exit_code, old.stdout) == (0, new.stdout)
    (found,) = json.loads(old.stdout)["diagnostics"]
    assert (found["code"], found["end_line"], found["end_column"]) == ("ST6001", 1, 23)
    log = json.loads(runner.invoke(app, ["check", str(path), "--format", "sarif"]).stdout)
    (result,) = log["runs"][0]["results"]
    assert result["level"] == "warning"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": path.as_uri()}
