"""Commands on a plant folder, nothing running."""

import errno
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from runtime.assembly import assemble
from runtime.cli import _ready_streams, layout
from runtime.cli.doctor_plant import _ports
from runtime.cli.session import iso_time, parse_time
from runtime.endpoint import Endpoint
from runtime.errors import ConfigError, ConnectError, PlantError, StoreError
from runtime.logins import credentials

NEW = """path,type,unit,unit_text,low,high,description,access,source,role,initial
tank/setpoint,REAL,%,%,0,95,Wanted level,rw,operator,,40
tank/cooler,BOOL,,,,,Cooler,rw,operator,,
"""


@pytest.mark.parametrize("there", [False, True])
def test_a_new_plant_that_does_not_fit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(layout, "write_schemas", full)
    if there:
        (tmp_path / "works").mkdir()
    with pytest.raises(PlantError, match="No space left"):
        layout.lay_out(tmp_path / "works", "minimal")
    assert list(tmp_path.rglob("*")) == ([tmp_path / "works"] if there else [])


def test_commands_that_are_shown_next_can_be_typed_where_names_have_spaces(
    ironworks: Any, tmp_path: Path
) -> None:
    plant = tmp_path / "工厂 一" / "works"
    wanted = f"ironworks run '{plant}'"
    plant.parent.mkdir()
    assert wanted in ironworks("new", plant).stdout
    assert wanted in ironworks("alarms", "--plant", plant).exception.remedy
    backup = plant.parent / "b.ironworks.tar.gz"
    assert ironworks("backup", backup, "--plant", plant).exit_code == 0
    restored = plant.with_name("copy two")
    assert f"ironworks run '{restored}'" in ironworks("restore", backup, restored).stdout


def test_the_configuration_of_a_plant_that_never_ran_is_told_as_such(ironworks: Any, folder: Path) -> None:
    assert "plant folder: never run yet" in ironworks("config", "--plant", folder).stdout
    assert ironworks("config", "diff", "--plant", folder).exception.text == "the plant has not run yet"


def test_a_user_who_is_there_already_is_told_how_to_change_it(ironworks: Any, folder: Path) -> None:
    command = ("user", "add", "anna", "--role", "admin", "--plant", folder)
    assert ironworks(*command, input="long enough\n").exit_code == 0
    error = ironworks(*command, input="long enough\n").exception
    assert error.text == "there is a user 'anna' already"
    assert "ironworks user role" in error.remedy


def test_a_backup_into_a_folder_that_is_not_there_is_no_file_of_that_name(
    ironworks: Any, folder: Path, tmp_path: Path
) -> None:
    error = ironworks("backup", f"{tmp_path}/备份/", "--plant", folder).exception
    assert error.text == f"{tmp_path}/备份/ is no folder"
    assert not (tmp_path / "备份").exists()


def test_new_plants_of_one_gateway_have_ports_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one whose rack has the port of the first would drive the first one's machines."""

    def ports(name: str, template: str) -> set[str]:
        layout.lay_out(tmp_path / name, template)
        texts = [(tmp_path / name / file).read_text() for file in ("plant.yaml", "rack.yaml")]
        found = [re.findall(r"port: (\d+)", text) for text in texts]
        assert found[0] == found[1], "the rack is where its plant looks for it"
        return set(found[0])

    (first,) = ports("one", "minimal")
    (second,) = ports("two", "minimal")
    (third,) = ports("three", "line")
    assert len({first, second, third}) == 3
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        (tmp_path / "template").mkdir()
        for name in ("plant.yaml", "rack.yaml"):
            (tmp_path / "template" / name).write_text(f"drivers: [{{name: io, port: {taken}}}]\n")
        monkeypatch.setattr(layout, "write_schemas", lambda _: None)
        monkeypatch.setattr(layout.registry, "load", lambda *_: tmp_path / "template")
        (fourth,) = ports("four", "minimal")
    assert taken < int(fourth) < taken + 100


def test_exported_tags_import_without_a_change(ironworks: Any, folder: Path, tmp_path: Path) -> None:
    text = ironworks("tags", "export", "--plant", folder).stdout
    assert len(text.splitlines()) == 5
    assert "written" in ironworks("tags", "export", tmp_path / "out.csv", "--plant", folder).stdout
    assert (tmp_path / "out.csv").read_text() == text
    before = (folder / "tags.csv").read_text()
    assert "nothing to change" in ironworks("tags", "import", tmp_path / "out.csv", "--plant", folder).stdout
    assert (folder / "tags.csv").read_text() == before


@pytest.mark.parametrize(
    "command",
    ["check", "test", "run", "alarms export", "alarms import alarms.csv", "install systemd", "twin run"],
)
def test_commands_that_take_the_plant_as_an_argument_take_it_as_all_others_do(
    ironworks: Any, tmp_path: Path, command: str
) -> None:
    def told(*more: object) -> tuple[int, str]:
        found = ironworks(*command.split(), *more)
        return found.exit_code, f"{found.exception} {found.output}"

    there = tmp_path / "nowhere"
    wanted = told(there)
    assert wanted[0] == 1
    assert "nowhere" in wanted[1]
    assert told("--plant", there) == told("-p", there) == wanted
    code, text = told(there, "-p", there)
    assert (code, "named already" in text) == (2, True)


def test_alarms_and_tags_are_exported_in_the_same_way(ironworks: Any, folder: Path, tmp_path: Path) -> None:
    for kind in ("alarms", "tags"):
        text = ironworks(kind, "export", "-p", folder).stdout
        assert text.count("\n") > 1
        ironworks(kind, "export", "-p", folder, "-o", tmp_path / kind)
        assert (tmp_path / kind).read_text(encoding="utf-8-sig") == text
    assert ironworks("alarms", "-p", folder, "export").stdout == ironworks("alarms", "export", folder).stdout
    assert ironworks("tags", "export", "a.csv", "-o", "b.csv", "-p", folder).exit_code == 2


def test_what_a_spreadsheet_shows_is_marked_as_utf_8_and_stays_so(
    ironworks: Any, folder: Path, tmp_path: Path
) -> None:
    mark = b"\xef\xbb\xbf"
    table, out = folder / "tags.csv", tmp_path / "out.csv"
    table.write_bytes(table.read_bytes().rstrip() + "\n储罐/液位,REAL,%\n".encode())
    ironworks("tags", "export", out, "--plant", folder)
    assert out.read_bytes().startswith(mark)
    out.write_bytes(out.read_bytes().replace("储罐/液位".encode(), "储罐/温度".encode()))
    ironworks("tags", "import", out, "--plant", folder)
    assert not table.read_bytes().startswith(mark)
    table.write_bytes(mark + table.read_bytes())
    ironworks("tags", "import", out, "--plant", folder, "--replace")
    assert table.read_bytes().count(mark) == 1
    assert "储罐/温度" in table.read_text()


def test_an_import_shows_and_merges_what_changed(ironworks: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(NEW)
    before = (folder / "tags.csv").read_text()
    dry = ironworks("tags", "import", tmp_path / "new.csv", "--plant", folder, "--dry-run")
    assert "~ site/area/line/tank/setpoint  high: 100.0 -> 95.0" in dry.stdout
    assert "+ site/area/line/tank/cooler (BOOL)" in dry.stdout
    assert (folder / "tags.csv").read_text() == before
    done = json.loads(ironworks("tags", "import", tmp_path / "new.csv", "--plant", folder, "--json").stdout)
    assert done["added"] == ["site/area/line/tank/cooler"]
    assert done["changed"] == {"site/area/line/tank/setpoint": {"high": [100.0, 95.0]}}
    assert len(done["kept"]) == 3
    lines = (folder / "tags.csv").read_text().splitlines()
    order = "path,# the tank,tank/setpoint,tank/limit,,# the pump,pump/run,pump/offset,tank/cooler"
    assert ",".join(line.split(",")[0] for line in lines) == order
    ironworks("tags", "import", tmp_path / "new.csv", "--plant", folder, "--replace")
    assert ironworks("tags", "export", "--plant", folder).stdout.count("\n") == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n", "\r"),
        ("\n", "\r\n"),
        ("Wanted level", "Wanted\u2028level"),
        ("Wanted level", "Wanted\x0blevel"),
        ("# the pump\n", '# pump/old,BOOL,,,,,"Old\npump",rw,operator,,\n'),
    ],
)
def test_an_import_leaves_comments_and_rows_as_they_were_whatever_ends_lines(
    ironworks: Any, folder: Path, tmp_path: Path, before: str, after: str
) -> None:
    file = folder / "tags.csv"
    file.write_bytes(file.read_text().replace(before, after).encode())
    there = [(tag.path, tag.description) for tag in assemble(folder).plant.tags]
    comments = [line for line in file.read_text().split("\n") if line.startswith(("#", 'pump"'))]
    (tmp_path / "new.csv").write_text("path,type\ntank/cooler,BOOL\n")
    result = ironworks("tags", "import", tmp_path / "new.csv", "--plant", folder)
    assert result.exit_code == 0, result.exception
    now = [(tag.path, tag.description) for tag in assemble(folder).plant.tags]
    assert [each for each in now if each not in there] == [("site/area/line/tank/cooler", "")]
    assert [each for each in there if each not in now] == []
    assert [line for line in file.read_text().split("\n") if line.startswith(("#", 'pump"'))] == comments


def test_an_import_leaves_the_columns_that_the_csv_lacks(
    ironworks: Any, folder: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.csv"
    new.write_text("path,type,high\ntank/setpoint,REAL,95\n")
    done = json.loads(ironworks("tags", "import", new, "--plant", folder, "--json").stdout)
    assert done["changed"] == {"site/area/line/tank/setpoint": {"high": [100.0, 95.0]}}
    assert "tank/setpoint,REAL,%,%,0,95,Wanted level,,rw" in (folder / "tags.csv").read_text()
    new.write_text("path,type,unit\ntank/limit,REAL,bar\n")
    done = json.loads(ironworks("tags", "import", new, "--plant", folder, "--json").stdout)
    assert done["changed"] == {"site/area/line/tank/limit": {"unit": ["%", "bar"], "unit_text": ["%", "bar"]}}
    new.write_text("path,type\ntank/setpoint,BOOL\n")
    error = ironworks("tags", "import", new, "--plant", folder).exception
    assert "new.csv:2:1: error: column 'initial': '40' is not a value of BOOL" in str(error)


def test_a_secret_is_the_same_however_its_line_ends_and_begins(
    ironworks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xef\xbb\xbfhops & malt\r\n")
    monkeypatch.setenv("IRONWORKS_SECRET_FILE", str(file))
    assert credentials(Endpoint(), "anna") == {"user": "anna", "secret": "hops & malt"}
    line = json.loads(ironworks("user", "hash", "--json", input=file.read_bytes()).stdout)["secret"]
    assert PasswordHasher().verify(line, "hops & malt")
    monkeypatch.setenv("IRONWORKS_TOKEN_FILE", str(file))
    file.write_text("iw_1_2\r\n")
    assert credentials(Endpoint()) == {"token": "iw_1_2"}


def test_a_secret_and_a_token_that_are_none_are_told_and_not_shown(
    ironworks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ironworks("user", "hash", input="中国 hops & malt".encode("gbk")).exception
    assert isinstance(error, PlantError)
    assert error.text == "the secret of standard input is not UTF-8"
    monkeypatch.setenv("IRONWORKS_SECRET", os.fsdecode("中国 hops & malt".encode("gbk")))
    with pytest.raises(PlantError, match="IRONWORKS_SECRET is not UTF-8"):
        credentials(Endpoint(), "anna")
    for wrong in ("iw_1_令", "iw_1\niw_2"):
        monkeypatch.setenv("IRONWORKS_TOKEN", wrong)
        with pytest.raises(PlantError, match="is no token") as told:
            credentials(Endpoint())
        assert "iw_" not in str(told.value)


def test_a_wrong_csv_is_refused_with_its_line_and_nothing_is_written(
    ironworks: Any, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text(NEW.replace("REAL", "REEL"))
    before = (folder / "tags.csv").read_text()
    error = ironworks("tags", "import", tmp_path / "new.csv", "--plant", folder).exception
    assert isinstance(error, ConfigError)
    assert "new.csv:2:2" in str(error)
    assert (folder / "tags.csv").read_text() == before
    assert isinstance(
        ironworks("tags", "import", tmp_path / "no.csv", "--plant", folder).exception, ConfigError
    )


def test_tags_that_the_plant_cannot_run_with_are_refused(
    ironworks: Any, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text(NEW.replace(",0,95,", ",0,90,"))  # an alarm is at 90
    before = (folder / "tags.csv").read_text()
    error = ironworks("tags", "import", tmp_path / "new.csv", "--plant", folder).exception
    assert isinstance(error, ConfigError)
    assert "can never be above 90" in str(error)
    assert (folder / "tags.csv").read_text() == before


def test_history_of_a_stopped_plant_comes_from_its_file(
    ironworks: Any, folder: Path, runtime_home: Path
) -> None:
    command = [sys.executable, "-m", "runtime.cli", "run", str(folder), "--for", "1000ms"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_home)}
    subprocess.run(command, env=environment, check=True, timeout=250, stdin=subprocess.DEVNULL)
    options = ("--from", "-5min", "--plant", folder)
    (series,) = json.loads(ironworks("history", "query", "tank/setpoint", *options, "--json").stdout)
    assert 40.0 in [point[1] for point in series["points"]]
    shown = ironworks("history", "query", "tank/*", *options)
    assert {"40 %", "80 %"} <= set(re.findall(r"\d+ %", shown.stdout)), shown.exception
    (trend,) = json.loads(ironworks("history", "trend", "tank/setpoint", *options, "--json").stdout)
    assert 40.0 in [point[3] for point in trend["points"]]
    for command in (("trend",), ("query", "--mode", "mean", "--interval", "10s")):
        everything = json.loads(ironworks("history", *command, "**", *options, "--json").stdout)
        assert {"site/area/line/tank/setpoint", "site/area/line/pump/run"} <= {
            each["path"] for each in everything
        }
    figures = ironworks("history", "query", "tank/limit", "--mode", "mean", "--interval", "1min", *options)
    assert "BadNoData" in figures.stdout
    ironworks("history", "query", "tank/limit", *options, "--csv", folder / "out.csv")
    assert "site/area/line/tank/limit,80.0,%," in (folder / "out.csv").read_text()
    error = ironworks("history", "query", "tank/none", *options).exception
    assert isinstance(error, PlantError)
    assert "tank/none" in error.text


@pytest.mark.parametrize("killed", [False, True])
def test_a_stopped_plant_tells_journal_and_audit_as_it_did_while_it_ran(
    ironworks: Any, folder: Path, start: Any, until: Any, killed: bool
) -> None:
    questions = [
        ("alarms", "journal", "--json"),
        ("alarms", "journal", "tank.high"),
        ("alarms", "journal", "no.such", "--json"),
        ("alarms", "journal", "--limit", "1"),
        ("audit", "list", "--json"),
        ("audit", "list", "--limit", "2"),
    ]

    def answers() -> list[str]:
        results = [ironworks(*each, "--plant", folder) for each in questions]
        assert [each.exception for each in results] == [None] * len(results)
        return [each.stdout for each in results]

    with start(folder) as process:
        ironworks("write", "tank/setpoint", "95", "--reason", "for the test", "--yes", "--plant", folder)
        until(lambda: "unacknowledged" in ironworks("alarms", "--plant", folder).stdout)
        ironworks("alarms", "ack", "tank.high", "--comment", "seen", "--plant", folder)
        while_it_ran = answers()
        if killed:
            process.kill()
    state = folder / ".ironworks"
    files = sorted(each.name for each in state.iterdir())
    assert answers() == while_it_ran
    assert sorted(each.name for each in state.iterdir()) == files
    transitions, _, none, newest, audit, _ = while_it_ran
    assert [each["transition"] for each in json.loads(transitions)] == ["acknowledged", "raised"]
    assert json.loads(none) == []
    assert len(newest.splitlines()) == 2
    assert {each["reason"] for each in json.loads(audit)} >= {"for the test", "seen"}


def test_a_plant_whose_journal_has_damaged_rows_starts_and_says_which(
    ironworks: Any, folder: Path, start: Any, until: Any
) -> None:
    with start(folder):
        ironworks("write", "tank/setpoint", "55", "--yes", "--plant", folder)
        ironworks("write", "tank/limit", "85", "--yes", "--plant", folder)
        ironworks("gate", "mode", "auto", "--reason", "x", "--plant", folder)
    with closing(sqlite3.connect(folder / ".ironworks" / "journal.sqlite")) as connection, connection:
        connection.execute("UPDATE operator_values SET source_ns = 'x' WHERE path LIKE '%setpoint'")
        connection.execute("UPDATE gate_mode SET mode = 'autp'")
    with start(folder):
        shown = ironworks("read", "tank/*", "--plant", folder).stdout
        assert "40 %" in shown  # the initial value
        assert "85 %" in shown  # as it was written
        assert "mode: read only" in ironworks("gate", "--plant", folder).stdout
        until(lambda: "journal.damaged" in ironworks("alarms", "--plant", folder).stdout)
    log = ironworks("logs", "--level", "error", "--plant", folder).stdout
    assert "operator_values" in log
    assert "site/area/line/tank/setpoint" in log


@pytest.mark.parametrize("command", [("alarms", "journal"), ("audit", "list"), ("audit", "verify")])
def test_a_journal_that_is_not_there_or_no_journal_is_told(
    ironworks: Any, folder: Path, tmp_path: Path, command: tuple[str, str]
) -> None:
    error = ironworks(*command, "--plant", folder).exception
    assert isinstance(error, PlantError)
    assert "no journal yet" in error.text
    (folder / ".ironworks").mkdir()
    (folder / ".ironworks" / "journal.sqlite").write_bytes(b"rubbish" * 1000)
    error = ironworks(*command, "--plant", folder).exception
    assert isinstance(error, StoreError)
    assert "cannot be read" in error.text


@pytest.mark.parametrize("command", [("alarms", "journal"), ("audit", "list"), ("audit", "verify")])
def test_a_gateway_that_does_not_answer_is_told_as_such(ironworks: Any, command: tuple[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        error = ironworks(*command, "--url", url).exception
    assert isinstance(error, ConnectError)
    assert url in error.text


def test_a_plant_that_does_not_run_is_told_as_such(ironworks: Any, folder: Path) -> None:
    error = ironworks("read", "**", "--plant", folder).exception
    assert isinstance(error, ConnectError)
    assert "ironworks run" in error.remedy
    assert isinstance(ironworks("history", "query", "x", "--plant", folder).exception, PlantError)


def test_doctor_names_a_port_in_use_and_a_damaged_store(ironworks: Any, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        head = (folder / "plant.yaml").read_text()
        (folder / "plant.yaml").write_text(head.replace("api: null", f"api: {{port: {port}}}"))
        (folder / ".ironworks").mkdir()
        (folder / ".ironworks" / "journal.sqlite").write_bytes(b"rubbish" * 1000)
        (folder / ".ironworks" / "history.duckdb").write_bytes(b"rubbish" * 1000)
        result = ironworks("doctor", "--plant", folder, "--json")
    assert result.exit_code == 1
    checks = {each["name"]: each for each in json.loads(result.stdout)["checks"]}
    for name in ("port", "journal", "history"):
        assert checks[name]["verdict"] == "fail", checks[name]
        assert checks[name]["remedy"]
    assert str(port) in checks["port"]["text"]
    assert {"version", "clock", "real time", "memory", "disk", "locale"} <= checks.keys()


def test_doctor_tells_the_plants_own_port_from_one_that_another_program_has(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        head = (folder / "plant.yaml").read_text()
        (folder / "plant.yaml").write_text(head.replace("api: null", f"api: {{port: {port}}}"))
        found = [
            next(iter(_ports(assemble(folder / "plant.yaml"), Endpoint(pid=pid)))).verdict
            for pid in (os.getpid(), os.getppid())
        ]
    assert found == ["ok", "fail"]


def test_doctor_passes_a_sound_plant_and_fails_a_wrong_one(ironworks: Any, folder: Path) -> None:
    assert ironworks("doctor", "--plant", folder).exit_code == 0
    (folder / "plant.yaml").write_text("plant: brewery\nroots: x\n")
    result = ironworks("doctor", "--plant", folder)
    assert result.exit_code == 1
    assert "plant.yaml:" in result.stdout


def test_a_hashed_secret_is_verified_by_argon2(ironworks: Any) -> None:
    line = json.loads(ironworks("user", "hash", "--json", input="hops & malt\n").stdout)["secret"]
    assert PasswordHasher().verify(line, "hops & malt")
    assert ironworks("user", "hash", input="hops & malt\n").stdout.startswith('secret: "$argon2')
    assert isinstance(ironworks("user", "hash", input="\n").exception, PlantError)


def test_times_are_read_as_people_write_them() -> None:
    now_ns = 1_700_000_000_000_000_000
    assert parse_time("now", now_ns) == now_ns
    assert parse_time("-1h 30min", now_ns) == now_ns - 5400 * 10**9
    assert parse_time("2023-11-14T22:13:20.25Z", 0) == now_ns + 250_000_000
    assert iso_time(now_ns + 1) == "2023-11-14T22:13:20.000000001Z"
    for wrong in ("", "1h", "-1x", "yesterday", "2023-99-01"):
        with pytest.raises(PlantError):
            parse_time(wrong, now_ns)


def test_a_full_disk_behind_the_output_is_told_once() -> None:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "runtime.cli", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, timeout=250)
    assert done.returncode == 1
    first, remedy = done.stderr.decode().splitlines()
    assert first == "error: No space left on device"
    assert "room on its disk" in remedy


def test_an_input_that_is_closed_is_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python makes it of `<&-`
    _ready_streams()
    assert not sys.stdin.isatty()
    assert sys.stdin.readline() == ""


def test_check_counts_one_of_a_kind_as_one(ironworks: Any, tmp_path: Path) -> None:
    (tmp_path / "plant.yaml").write_text("plant: p\nroot: s\n")
    (tmp_path / "tags.csv").write_text("path,type,source\na,BOOL,operator\n")
    assert ironworks("check", tmp_path).stdout.startswith("p: ok, 1 tag, ")
