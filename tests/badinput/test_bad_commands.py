"""Commands given wrongly: 2 for usage, 1 for what cannot be done; words and a remedy each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.cli import build
from runtime.errors import ConnectError, PlantError

CLI = build()
USAGE = [
    ["nonsense"], ["check", "--nope"], ["run", "--for", "abc"], ["run", "--for", "-1"],
    ["run", "--for", "nan"], ["demo", "--headless", "--for", "0"], ["read"],
    ["write", "a"], ["audit", "list", "--limit", "0"],
    ["audit", "verify", "--expect", "4f04"], ["alarms", "--plant", "a", "export", "b"],
    ["history"], ["bench", "nope"], ["st", "check"], ["twin", "fault", "a", "--severity", "5"], ["app"],
    ["plc", "why", "a", "--run", "0"], ["bench", "bus", "--tags", "0"], ["bench", "bus", "--rounds", "-1"],
    ["bench", "history", "--rounds", "0"], ["bench", "soak", "--tags", "0"],
    ["bench", "start", "--tags", "0"],
]  # fmt: skip
IMPOSSIBLE = [
    ["run", "nope"], ["test", "nope"], ["new", "a b"], ["new", "/proc/x"], ["new", "x", "--template", "nope"],
    ["demo", "nope"], ["read", "a", "--plant", "nope"], ["read", "a", "--plant", "http://127.0.0.1:1"],
    ["write", "a", "1"], ["watch", "a"], ["alarms", "list"], ["alarms", "ack", "a"], ["components", "list"],
    ["components", "restart", "a"], ["audit", "list"], ["history", "query", "a"], ["twin", "fault", "a"],
    ["twin", "run", "nope"], ["tags", "export", "--plant", "nope"], ["console", "--plant", "nope"],
    ["alarms", "--plant", "nope", "export"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("IRONWORKS_PLANT", raising=False)


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_two(arguments: list[str]) -> None:
    result = CliRunner().invoke(CLI, arguments)
    assert result.exit_code == 2, result.exception
    assert "Usage:" in result.output


@pytest.mark.parametrize("arguments", IMPOSSIBLE, ids=" ".join)
def test_what_cannot_be_done_is_told_with_a_remedy(arguments: list[str]) -> None:
    result = CliRunner().invoke(CLI, arguments)
    assert isinstance(result.exception, PlantError), result.exception
    assert result.exception.remedy or result.exception.findings[0].remedy


@pytest.mark.parametrize("command", [("alarms", "journal"), ("audit", "verify"), ("user", "list")])
def test_without_any_plant_both_ways_to_one_are_told(command: tuple[str, str]) -> None:
    error = CliRunner().invoke(CLI, [*command]).exception
    assert isinstance(error, PlantError)
    assert error.text == "no plant is running"
    assert "ironworks run" in error.remedy
    assert "--plant" in error.remedy


@pytest.mark.parametrize("command", [("alarms", "list"), ("gate", "status"), ("config", "list")])
def test_an_option_before_a_command_holds_for_it(command: tuple[str, str]) -> None:
    group, name = command
    error = CliRunner().invoke(CLI, [group, "--plant", "nope", name]).exception
    assert isinstance(error, PlantError)
    assert error.text == "nope: no such plant"


FILES_ALONE = [["tags", "export"], ["logs"], ["app", "list"], ["drivers", "browse", "a"], ["tls", "show"]]


@pytest.mark.parametrize("arguments", FILES_ALONE, ids=" ".join)
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://gateway:8420"])
def test_an_address_where_files_are_read_is_told_as_one(arguments: list[str], url: str) -> None:
    error = CliRunner().invoke(CLI, [*arguments, "--plant", url]).exception
    assert isinstance(error, PlantError)
    assert "is an address" in error.text
    assert "on the machine" in error.remedy


@pytest.mark.parametrize("arguments", [["twin", "faults"], ["twin", "fault", "pump.trip"]], ids=" ".join)
def test_a_twin_is_asked_at_its_address(arguments: list[str]) -> None:
    error = CliRunner().invoke(CLI, [*arguments, "--plant", "http://127.0.0.1:1"]).exception
    assert isinstance(error, ConnectError)
    assert error.text.startswith("the plant at http://127.0.0.1:1 cannot be reached")


def test_an_output_that_is_a_folder_is_told_without_a_number(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments in (
        ["demo", "--headless", "--folder", "file"],
        ["new", "file/x"],
        ["test", str(folder), "--junit", str(tmp_path)],
        ["tls", "trust", "https://127.0.0.1:1"],
    ):
        error = CliRunner().invoke(CLI, arguments).exception
        assert isinstance(error, PlantError), error
        assert error.remedy
        assert "Errno" not in error.text


@pytest.mark.parametrize("what", ["SECRET_FILE", "TOKEN_FILE", "AUTHORITY"])
@pytest.mark.parametrize(("name", "why"), [("bytes", "it is not "), (".", "Is a directory")])
def test_a_file_of_the_environment_that_holds_no_text_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, name: str, why: str
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xd2")
    monkeypatch.setenv(f"IRONWORKS_{what}", name)
    monkeypatch.setenv("IRONWORKS_USER", "anna" if what == "SECRET_FILE" else "")
    error = CliRunner().invoke(CLI, ["read", "a", "--plant", "https://127.0.0.1:1"]).exception
    assert isinstance(error, PlantError)
    assert f"cannot be read: {why}" in error.text
    assert "codec" not in error.text
    assert "remove it" not in error.remedy


@pytest.mark.parametrize("command", ["trust", "renew"])
def test_a_mistyped_opcua_driver_is_told_with_the_right_one(folder: Path, command: str) -> None:
    plant = folder / "plant.yaml"
    text = plant.read_text(encoding="utf-8").replace(
        "drivers:\n", "drivers:\n  - {name: ua, kind: opcua.server}\n"
    )
    plant.write_text(text, encoding="utf-8")
    for name, told, remedy in (
        ("uaa", "has no OPC UA client or server 'uaa'", "did you mean 'ua'?"),
        ("nothing", "has no OPC UA client or server 'nothing'", "there are: ua"),
        ("remote_io", "is of kind modbus.client", "opcua.client and opcua.server"),
    ):
        error = CliRunner().invoke(CLI, ["drivers", command, name, "--plant", str(folder)]).exception
        assert isinstance(error, PlantError)
        assert told in error.text
        assert remedy in error.remedy


def run(*arguments: str, **how: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.cli", *arguments]
    return subprocess.run(command, text=True, stderr=subprocess.PIPE, timeout=250, check=False, **how)  # type: ignore[call-overload,no-any-return]


def test_a_missing_plant_is_one_and_two_lines() -> None:
    done = run("run", "nope")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "nope: error: no plant here"


def test_what_is_not_utf8_is_told() -> None:
    done = run("check", "\udcff")
    assert done.returncode == 1
    assert done.stderr.startswith("error: what was typed is not UTF-8")


def test_a_full_disk_under_the_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = run("schema", stdout=full)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error_message() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("schema", stdout=writing)
    os.close(writing)
    assert "Traceback" not in done.stderr


def test_chinese_leaves_as_utf8_whatever_the_locale(folder: Path) -> None:
    locale = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", "tags", "export", "--plant", str(folder)],
        capture_output=True, env=locale, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "液位设定" in done.stdout.decode("utf-8")


@pytest.mark.parametrize("stdin", ["closed", "a file"])
def test_attached_needs_a_pipe(folder: Path, stdin: str) -> None:
    script = f'exec "$0" -m runtime.cli run "$1" --attached {"<&-" if stdin == "closed" else "</dev/null"}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, str(folder)],
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--attached needs a pipe" in done.stderr
