"""Commands against a plant that runs."""

import csv
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import PlantError, WriteRejectedError


def _json(result: Any) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def in_plant(running_plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(running_plant)


def test_read_prints_values_with_units_and_quality(ironworks: Any) -> None:
    result = ironworks("read", "tank/*")
    assert result.exit_code == 0, result.exception
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["path", "value", "quality", "time"]
    assert lines[2].split()[:4] == ["site/area/line/tank/limit", "80", "%", "Good"]
    assert _json(ironworks("read", "pump/run", "--json"))[0]["value"] is False


def test_a_mistyped_tag_is_an_error_with_the_right_name(ironworks: Any) -> None:
    error = ironworks("read", "tank/setpiont").exception
    assert isinstance(error, PlantError)
    assert "tank/setpoint" in error.remedy
    assert isinstance(ironworks("read", "nothing/*").exception, PlantError)


@pytest.mark.parametrize("name", ["", "..", "tank/setpoint"])
def test_what_can_be_no_name_is_told_as_an_unknown_one(ironworks: Any, name: str) -> None:
    for kind, command in (
        ("alarm", ["alarms", "show", name]),
        ("alarm", ["alarms", "ack", name]),
        ("component", ["components", "restart", name]),
        ("user", ["user", "role", name, "--role", "viewer"]),
        ("user", ["user", "remove", name, "--yes"]),
        ("session", ["user", "end", name]),
        ("certificate" if len(name) > 8 else "token", ["user", "revoke", name]),
    ):
        error = ironworks(*command).exception
        assert isinstance(error, PlantError)
        assert error.text == f"no {kind} is named {name!r}"
        assert error.remedy.startswith("`ironworks ")
    for command in (["config", "show"], ["config", "rollback"], ["config", "diff", "1"]):
        error = ironworks(*command, name).exception
        assert isinstance(error, PlantError)
        assert error.text == f"there is no version {name!r}"


@pytest.mark.parametrize("path", ["", "..", "tank/../setpoint"])
def test_what_can_be_no_path_is_told_as_an_unknown_tag(ironworks: Any, path: str) -> None:
    error = ironworks("write", path, "5").exception
    assert isinstance(error, PlantError)
    assert error.text == f"no tag is named {path!r}"


def test_a_time_beyond_all_stamps_is_told(ironworks: Any) -> None:
    for option, at in (("--to", "9999-12-31"), ("--from", "1600-01-01")):
        error = ironworks("history", "query", "tank/setpoint", option, at).exception
        assert isinstance(error, PlantError)
        assert error.text == f"{at!r} is out of range"
        assert error.remedy


def test_write_goes_through_the_gate_and_shows_both_values(ironworks: Any) -> None:
    ironworks("write", "tank/setpoint", "50")
    result = ironworks("write", "tank/setpoint", "60.5", "--reason", "recipe 7")
    assert result.stdout == "site/area/line/tank/setpoint: 50 % -> 60.5 %\n"
    assert _json(ironworks("write", "pump/run", "on", "--json")) == {
        "path": "site/area/line/pump/run",
        "value": True,
        "previous": False,
    }
    for path, value, why in (
        ("tank/setpoint", "101", "out of range"),
        ("tank/setpoint", "hot", "not a value of REAL"),
        ("pump/run", "maybe", "not a value of BOOL"),
    ):
        error = ironworks("write", path, value).exception
        assert isinstance(error, WriteRejectedError)
        assert why in error.text
        assert error.remedy
    newest = _json(ironworks("audit", "list", "--json", "--limit", "3"))
    assert {"refused", "done"} == {each["outcome"] for each in newest}
    assert "recipe 7" in ironworks("audit", "list").stdout


def test_a_time_that_a_script_left_empty_is_no_time_for_ever(ironworks: Any) -> None:
    ironworks("write", "tank/setpoint", "50")
    for command, option in (
        (("write", "tank/setpoint", "60"), "--for"),
        (("alarms", "shelve", "tank.high", "-r", "x"), "--for"),
        (("user", "token", "olga", "--scope", "read:**"), "--expires"),
    ):
        error = ironworks(*command, option, "").exception
        assert isinstance(error, PlantError)
        assert error.text.startswith(f"{option}: '' is not a duration")
    assert _json(ironworks("read", "tank/setpoint", "--json"))[0]["value"] == 50


def test_negative_values_can_be_written(ironworks: Any) -> None:
    assert _json(ironworks("write", "--json", "pump/offset", "--", "-5"))["value"] == -5


def test_times_are_written_and_shown_with_units(ironworks: Any) -> None:
    assert "T#1s500ms" in ironworks("read", "jacket/delay").stdout
    said = ironworks("write", "jacket/delay", "3s")
    assert said.stdout == "site/area/line/jacket/delay: T#1s500ms -> T#3s\n"
    assert _json(ironworks("read", "jacket/delay", "--json"))[0]["value"] == 3_000_000_000
    assert "T#3s" in ironworks("history", "query", "jacket/delay").stdout
    late, bare = (ironworks("write", "jacket/delay", each).exception for each in ("1m", "5"))
    assert isinstance(late, PlantError)
    assert isinstance(bare, PlantError)
    assert "T#1m is out of range" in late.text
    assert late.remedy == "from T#100ms to T#10s"
    assert "with units" in bare.remedy


def test_alarms_are_listed_acknowledged_and_in_the_journal(
    ironworks: Any, monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    assert "tank.high" not in ironworks("alarms", "list").stdout
    ironworks("write", "tank/setpoint", "95")
    until(lambda: "tank.high" in ironworks("alarms").stdout)
    (alarm,) = [each for each in _json(ironworks("alarms", "list", "--json")) if each["name"] == "tank.high"]
    assert alarm["state"] == "unacknowledged"
    assert "acknowledged by" in ironworks("alarms", "ack", "tank.high", "-c", "seen").stdout
    error = ironworks("alarms", "ack", "tank.high").exception
    assert isinstance(error, WriteRejectedError)
    shown = ironworks("alarms", "show", "tank.high").stdout
    for told in (
        "tank.high: Tank is full", "state:        acknowledged", "high of site/area/line/tank/setpoint, 90",
        "seen", "once in all",
    ):  # fmt: skip
        assert told in shown
    assert _json(ironworks("alarms", "show", "tank.high", "--json"))["state"] == "acknowledged"
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")  # the plant's own texts are in the language of who reads them
    assert "tank.high: 罐满" in ironworks("alarms", "show", "tank.high").stdout
    assert "罐满" in ironworks("alarms", "list").stdout
    error = ironworks("alarms", "show", "tank.hihg").exception
    assert error.text == "no alarm is named 'tank.hihg'"
    journal = _json(ironworks("alarms", "journal", "--json"))
    assert [each["transition"] for each in journal if each["alarm"] == "tank.high"] == [
        "acknowledged",
        "raised",
    ]
    assert "seen" in ironworks("alarms", "journal").stdout
    assert {each["alarm"] for each in _json(ironworks("alarms", "journal", "tank.high", "--json"))} == {
        "tank.high"
    }
    assert _json(ironworks("alarms", "journal", "tank.gone", "--json")) == []
    ironworks("write", "tank/setpoint", "50")


def test_journal_audit_and_gate_tell_values_with_units_as_well(ironworks: Any, until: Any) -> None:
    ironworks("write", "jacket/delay", "3s")
    ironworks("write", "jacket/delay", "9s", "--for", "10min")
    assert ironworks("gate").stdout.splitlines()[-1].split()[1:3] == ["T#9s", "T#3s"]
    assert "T#3s -> T#9s" in ironworks("audit", "list", "--limit", "1").stdout
    (newest,) = _json(ironworks("audit", "list", "--limit", "1", "--json"))
    assert (newest["old"], newest["new"], newest["type"]) == (3_000_000_000, 9_000_000_000, "TIME")
    until(lambda: "T#9s" in ironworks("alarms", "journal", "jacket.slow").stdout)
    ironworks("write", "jacket/delay", "3s")
    ironworks("alarms", "ack", "jacket.slow")
    assert "jacket/delay" not in ironworks("gate").stdout
    ironworks("write", "tank/setpoint", "95")
    until(lambda: " 95 %" in ironworks("alarms", "journal", "tank.high").stdout)
    ironworks("write", "tank/setpoint", "50")
    assert " 95 % -> 50 %" in ironworks("audit", "list", "--limit", "1").stdout


def test_what_was_tried_with_a_value_of_another_type_is_told_as_it_was() -> None:
    """What a client sends, and what somebody wrote into the file, may be no value of the tag at all."""
    from runtime.cli.session import show_of
    from runtime.wire import JournalEntry

    for type_ in ("TIME", "DT", "REAL", "BOOL", "STRING", ""):
        for value, text in (
            (None, "-"), ("T#5s", "T#5s"), (True, "true"), (10**30, f"{10**30}"),
            (math.inf, "inf"), (math.nan, "nan"),
        ):  # fmt: skip
            entry = JournalEntry(1, 1, "a", "raised", "normal", "", "", value, type=type_)
            assert show_of(entry, value) == text


@pytest.mark.parametrize(
    ("at_ns", "text"), [(0, "1970-01-01 "), (-(2**63), "1677-09-2"), (2**63 - 1, "2262-04-")]
)
def test_every_moment_that_a_tag_can_have_is_shown_as_one(at_ns: int, text: str) -> None:
    from runtime.cli.session import show_of
    from runtime.wire import JournalEntry

    shown = show_of(JournalEntry(1, 1, "a", "raised", "normal", "", "", at_ns, type="DT"), at_ns)
    assert shown.startswith(text) or (at_ns == 0 and shown.startswith("1969-12-31 "))  # west of Greenwich
    assert len(shown) == len("1970-01-01 00:00:00.000")


def test_alarms_are_shelved_and_taken_out_of_service(ironworks: Any) -> None:
    shelved = ironworks(
        "alarms", "shelve", "tank.high", "--for", "2h", "--reason", "sensor is cleaned"
    ).stdout
    assert "shelved by" in shelved
    assert "sensor is cleaned" in ironworks("alarms", "list", "--hidden").stdout
    newest = _json(ironworks("audit", "list", "--json", "--limit", "1"))[0]
    assert (newest["action"], newest["reason"]) == ("shelve", "for 2h: sensor is cleaned")
    assert ironworks("alarms", "unshelve", "tank.high").stdout == "tank.high: normal\n"
    assert "out of service by" in ironworks("alarms", "out-of-service", "tank.high", "-r", "away").stdout
    ironworks("alarms", "in-service", "tank.high")
    assert "no hidden alarms" in ironworks("alarms", "list", "--hidden").stdout
    assert _json(ironworks("alarms", "figures", "--json"))["announced"] >= 0
    assert "% in flood" in ironworks("alarms", "figures", "--hours", "1").stdout
    for wrong in (("reset", "tank.high"), ("shelve", "tank.high", "-r", "x", "--for", "soon")):
        assert isinstance(ironworks("alarms", *wrong).exception, PlantError)
    result = ironworks("alarms", "shelve", "tank.high", "-r", "x", "--for", "0s")
    assert str(result.exception) == "--for: 0 is no time (write it like 30s, 10min or 8h)"


def test_what_is_typed_as_a_reason_moves_no_cursor_and_begins_no_line(ironworks: Any) -> None:
    reason = "cleaned \x1b[2J\nsecond \u202eline 报警"
    told = "cleaned \\x1b[2J\\nsecond \\u202eline 报警"
    assert ironworks("alarms", "shelve", "tank.high", "--reason", reason).stdout.endswith(f"{told}\n")
    assert f"{told}\n" in ironworks("alarms", "show", "tank.high").stdout
    assert told in ironworks("alarms", "list", "--hidden").stdout
    assert told in ironworks("alarms", "journal", "tank.high", "--limit", "1").stdout
    assert told in ironworks("audit", "list", "--limit", "1").stdout
    assert (
        json.loads(ironworks("alarms", "--json", "show", "tank.high").stdout)["shelved"]["reason"] == reason
    )
    ironworks("alarms", "unshelve", "tank.high")
    assert ironworks("alarms", "journal", "no.such").stdout == "no transitions of no.such\n"


def test_an_alarm_is_confirmed_and_one_is_shelved_for_an_episode(ironworks: Any, until: Any) -> None:
    ironworks("write", "jacket/temp", "70")
    until(lambda: "jacket.hot" in ironworks("alarms", "list").stdout)
    assert isinstance(ironworks("alarms", "confirm", "jacket.hot").exception, WriteRejectedError)
    ironworks("alarms", "ack", "jacket.hot")
    ironworks("write", "jacket/temp", "20")
    until(lambda: "normal" in ironworks("alarms", "list").stdout)
    assert "to be confirmed" in ironworks("alarms").stdout
    done = ironworks("alarms", "confirm", "jacket.hot", "-c", "valve opened").stdout
    assert done.startswith("jacket.hot: normal, confirmed by ")
    newest = _json(ironworks("audit", "list", "--json", "--limit", "1"))[0]
    assert (newest["action"], newest["reason"]) == ("confirm", "valve opened")
    assert "jacket.hot" not in ironworks("alarms").stdout
    shelved = ironworks("alarms", "shelve", "jacket.hot", "--once", "--reason", "test run").stdout
    assert "until its end" in shelved
    newest = _json(ironworks("audit", "list", "--json", "--limit", "1"))[0]
    assert (newest["action"], newest["reason"]) == ("shelve-once", "for 1d: test run")

    def last() -> str:
        (newest,) = _json(ironworks("alarms", "journal", "jacket.hot", "--json", "--limit", "1"))
        return str(newest["transition"])

    for level, transition in (("70", "raised"), ("20", "unshelved")):
        ironworks("write", "jacket/temp", level)
        until(lambda transition=transition: last() == transition)
    assert "no hidden alarms" in ironworks("alarms", "list", "--hidden").stdout


def test_components_are_listed_and_restarted(ironworks: Any) -> None:
    names = {each["name"] for each in _json(ironworks("components", "list", "--json"))}
    assert {"alarms", "api", "historian"} <= names
    assert _json(ironworks("components", "restart", "alarms", "--json"))["name"] == "alarms"
    assert isinstance(ironworks("components", "restart", "nobody").exception, WriteRejectedError)


def test_history_of_a_running_plant(ironworks: Any) -> None:
    ironworks("write", "tank/limit", "70")
    ironworks("write", "tank/limit", "71")
    (series,) = _json(ironworks("history", "query", "tank/limit", "--from", "-10min", "--json"))
    assert [point[1] for point in series["points"]][-2:] == [70.0, 71.0]
    text = ironworks("history", "query", "tank/*", "--csv", "-").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (
        rows[-1]["path"] == "site/area/line/tank/limit" or rows[-1]["path"] == "site/area/line/tank/setpoint"
    )
    assert {"70.0", "71.0"} <= {row["value"] for row in rows}
    (trend,) = _json(
        ironworks("history", "trend", "tank/limit", "--from", "-1min", "--buckets", "4", "--json")
    )
    assert max(point[3] for point in trend["points"] if point[3] is not None) >= 71.0
    texts = [each["path"] for each in _json(ironworks("read", "**", "--json")) if each["type"] == "STRING"]
    for command in (("trend",), ("query", "--mode", "mean", "--interval", "10s")):
        told = {
            each["path"] for each in _json(ironworks("history", *command, "**", "--from", "-1min", "--json"))
        }
        assert trend["path"] in told
        assert told.isdisjoint(texts)
        error = ironworks("history", *command, texts[0]).exception
        assert f"{texts[0]} is text and has no" in error.text
    for options, why in ((("--from", "yesterday"), "not a time"), (("--to", "-2h"), "not after")):
        error = ironworks("history", "query", "tank/limit", *options).exception
        assert isinstance(error, PlantError)
        assert why in error.text


def test_watch_prints_changes_until_its_reader_goes(runtime_home: Path, ironworks: Any) -> None:
    command = [sys.executable, "-m", "runtime.cli", "watch", "tank/limit", "--every", "100ms", "--json"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime_home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    try:
        assert json.loads(process.stdout.readline())["path"] == "site/area/line/tank/limit"
        ironworks("write", "tank/limit", "33")
        assert json.loads(process.stdout.readline())["value"] == 33.0
        process.stdout.close()
        ironworks("write", "tank/limit", "34")
        process.wait(60)
        assert "Traceback" not in process.stderr.read()
    finally:
        process.stderr.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def test_errors_are_words_on_stderr_and_exit_code_1(runtime_home: Path) -> None:
    command = [sys.executable, "-m", "runtime.cli", "read", "tank/setpiont"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "tank/setpoint" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_knows_that_the_plant_runs(ironworks: Any) -> None:
    checks = {each["name"]: each for each in _json(ironworks("doctor", "--json"))["checks"]}
    assert "brewery" in checks["running"]["text"]
    assert checks["journal"]["verdict"] == "ok"
    assert "running plant" in checks["history"]["text"]
    assert checks["components"]["verdict"] == "ok"


def test_a_plant_that_runs_cannot_be_run_again(running_plant: Path, runtime_home: Path) -> None:
    command = [sys.executable, "-m", "runtime.cli", "run", str(running_plant)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_home)}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "is already running (pid " in done.stderr


def test_logs_are_read_by_level_and_component_and_followed(
    ironworks: Any, runtime_home: Path, until: Any
) -> None:
    until(lambda: "api running" in ironworks("logs", "--json").stdout)
    lines = [json.loads(line) for line in ironworks("logs", "--json").stdout.splitlines()]
    assert {"component": "api", "level": "info", "text": "api running"}.items() <= next(
        each for each in lines if each["text"].startswith("api running")
    ).items()
    chosen = ironworks("logs", "--component", "journal", "--since", "-1h").stdout
    assert "api running" not in chosen
    assert ironworks("logs", "--level", "error", "-n", "5").stdout == ""
    assert (
        "nothing of 'nobody'; the log has lines of alarms, "
        in ironworks("logs", "--component", "nobody").stderr
    )
    assert isinstance(ironworks("logs", "--level", "loud").exception, PlantError)
    assert isinstance(ironworks("logs", "--since", "lately").exception, PlantError)
    command = [sys.executable, "-m", "runtime.cli", "logs", "--follow", "--json", "-n", "1"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_home)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as following:
        try:
            following.stdout.readline()  # the newest: what comes after it is followed
            ironworks("components", "restart", "gate")
            while "gate starting" not in (line := json.loads(following.stdout.readline()))["text"]:
                continue
            assert line["component"] == "gate"
        finally:
            following.terminate()
