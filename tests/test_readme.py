"""What the README shows, runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from runtime.cli import build

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(heading):
    """The `ironworks` commands of the indented blocks under a heading, comments cut off."""
    section = README.split(f"## {heading}")[1].split("\n## ")[0]
    lines = re.findall(r"^    (ironworks .*)$", section, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


def ironworks(arguments, folder, seconds=250):
    return subprocess.run(
        [sys.executable, "-m", "runtime.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """The tour's folder after its commands but the last were run; `run` is told to stop by itself."""
    folder = tmp_path_factory.mktemp("tour")
    listed = commands("Five minutes: a plant of your own")
    assert [each[0] for each in listed] == ["new", "check", "test", "run"]
    for arguments in listed:
        more = ["--for", "4"] if arguments[0] == "run" else []
        done = ironworks([*arguments, *more], folder)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    return folder


def test_the_five_minute_tour_works_as_written(tour):
    assert (tour / "my-plant" / "plant.yaml").is_file()


def test_every_file_of_the_table_is_laid_out(tour):
    rows = README.split("is a folder of text files:")[1].split("\n\nA mistake")[0]
    names = [
        name
        for line in rows.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    assert len(names) >= 7
    for name in names:
        assert list((tour / "my-plant").glob(name.rstrip("/"))), name


def test_the_example_test_passes_in_the_plant_of_the_tour(tour):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    (tour / "my-plant" / "tests" / "test_readme_example.py").write_text(code, encoding="utf-8")
    done = ironworks(["test", "my-plant", "-k", "settles or waits", "--junit", "report.xml"], tour)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    report = (tour / "report.xml").read_text(encoding="utf-8")
    assert 'name="the pump waits until the rack answers"' in report


def test_every_page_and_picture_that_is_linked_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/install/README.md"])
def test_every_command_of_a_page_takes_what_is_shown(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = re.findall(r"^    (?:sudo -u ironworks )?(?:/\S+/)?ironworks ([a-z].*)$", text, re.MULTILINE)
    assert len(lines) > 2
    root = get_command(build())
    for line in lines:
        context, command, name, words = None, root, "ironworks", shlex.split(line, comments=True)
        while command is not None:
            context = command.make_context(name, words, parent=context)
            words = [*getattr(context, "_protected_args", ()), *context.args]
            name, command, words = command.resolve_command(context, words) if words else ("", None, [])


def test_the_variables_of_the_readme_are_those_of_the_tour(tour):
    program = "\n".join(file.read_text(encoding="utf-8") for file in (tour / "my-plant" / "plc").glob("*.st"))
    section = README.split("## While the program runs")[1].split("\n## ")[0]
    for path in re.findall(r"plc (?:watch|force|why) ([\w.]+)", section):
        for name in path.split("."):
            assert re.search(rf"\b{name}\b", program), path
