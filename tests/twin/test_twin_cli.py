"""`ironworks twin run`: a plant in virtual time, from the command line."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from runtime.errors import PlantError
from runtime.testing.virtual import VirtualPlant
from twin.cli import app
from twin.demo.templates import LINE


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """One folder for all: its program is compiled once."""
    folder = tmp_path_factory.mktemp("line") / "my-plant"
    shutil.copytree(LINE, folder)
    for each in folder.rglob("*"):
        if each.is_file():
            each.write_text(each.read_text().replace("{{name}}", "my-plant"))
    return folder


def figures(*arguments: str):
    result = CliRunner().invoke(app, ["run", *arguments, "--json"])
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout.splitlines()[-1])


def test_figures_come_as_one_json_object(line):
    result = figures(str(line), "--for", "5min", "--seed", "3")
    assert result["plant_s"] == 300
    assert result["seed"] == 3
    assert 100 < result["items"]["taken"] < 155
    shares = result["equipment"]["filler"]
    assert sum(
        shares.get(each, 0) for each in ("busy", "starved", "blocked", "fault", "stopped")
    ) == pytest.approx(1, abs=0.01)
    assert result["alarms"] == []


def test_same_seed_same_figures_another_seed_others(line):
    def run(seed):
        result = figures(str(line), "--for", "3min", "--seed", seed)
        return result["equipment"]

    assert run("1") == run("1")
    assert run("1") != run("2")


def test_fault_from_the_start_shows_in_alarms(line):
    assert figures(str(line), "--for", "1min", "--fault", "capper.jam")["alarms"] == ["capper.fault"]


def test_a_play_keeps_nothing_of_what_was_published(line, monkeypatch):
    """A day of the bottling line would be two GiB."""
    played = []

    class Watched(VirtualPlant):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            played.append(self)

    monkeypatch.setattr("twin.play.VirtualPlant", Watched)
    assert figures(str(line), "--for", "2s")["plant_s"] == 2
    assert list(played[0].batches()) == []


def test_people_get_a_table(line):
    result = CliRunner().invoke(app, ["run", str(line), "--for", "1min"])
    assert result.exit_code == 0
    assert "times as fast" in result.stdout
    assert "filler" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--for", "soon"], "not a duration"),
        (["--fault", "capper.jem"], "did you mean 'capper.jam'"),
    ],
)
def test_wrong_arguments_are_told_with_a_remedy(line, arguments, said):
    result = CliRunner().invoke(app, ["run", str(line), *arguments])
    assert isinstance(result.exception, PlantError)
    assert said in str(result.exception)
