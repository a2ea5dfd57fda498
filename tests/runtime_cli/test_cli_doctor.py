"""`ironworks doctor`: what is wrong with a plant's state is told, with a remedy."""

import json
import os
import resource
import shutil
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.cli import doctor
from runtime.endpoint import running
from runtime.journal import chain
from runtime.journal.schema import VERSION, prepare


@pytest.fixture
def state(folder):
    made = folder / ".ironworks"
    made.mkdir(mode=0o750)
    with closing(sqlite3.connect(made / "journal.sqlite", isolation_level=None)) as connection:
        prepare(connection)
    return made


@pytest.fixture
def checks(ironworks, folder, state):
    def run():
        result = ironworks("doctor", "--plant", folder, "--json")
        found = {}
        for each in json.loads(result.stdout)["checks"]:
            found.setdefault(each["name"], each)
            assert each["verdict"] == "ok" or each["remedy"], each
        return found

    return run


def certificate(days):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    end = datetime.now(UTC) + timedelta(days=days)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=400))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, built.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(("days", "verdict"), [(100, "ok"), (5, "warn"), (-5, "fail")])
def test_a_certificate_is_told_before_it_ends(checks, state, days, verdict):
    (state / "server.pem").write_bytes(certificate(days)[1])
    assert checks()["certificate"]["verdict"] == verdict


def test_a_certificate_without_an_end_is_told_as_that(checks, state):
    days = (datetime(9999, 12, 31, tzinfo=UTC) - datetime.now(UTC)).days
    (state / "authority.pem").write_bytes(certificate(days)[1])
    assert checks()["certificate"]["text"] == "authority.pem has no end"


def test_a_key_that_others_may_read_is_told(checks, state):
    (state / "key.pem").write_bytes(certificate(9)[0])
    (state / "key.pem").chmod(0o644)
    assert checks()["keys"]["verdict"] == "fail"
    (state / "key.pem").chmod(0o600)
    assert "keys" not in checks()


def test_a_state_folder_that_anyone_may_write_is_told(checks, state):
    state.chmod(0o777)
    assert checks()["state"]["verdict"] == "fail"
    state.chmod(0o755)
    assert checks()["state"]["text"].startswith("anyone may read hashes of secrets")
    state.chmod(0o750)
    assert checks()["state"]["verdict"] == "ok"


def test_a_state_folder_that_cannot_be_made_is_told(checks, state, folder, monkeypatch):
    shutil.rmtree(state)
    assert "state" not in checks()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: path != folder)  # as on a read-only disk
        assert "cannot be made" in checks()["state"]["text"]


def test_backups_and_times_are_told(checks, state):
    assert checks()["backup"]["verdict"] == "warn"
    with closing(sqlite3.connect(state / "journal.sqlite", isolation_level=None)) as connection:
        chain.install(connection)
        from runtime.journal import AuditEntry

        for at, action in ((datetime.now(UTC), "backup"), (datetime.now(UTC) + timedelta(days=2), "write")):
            for sql, values in AuditEntry(
                int(at.timestamp() * 1e9), "a", "admin", "cli", action, "x"
            ).statements():
                connection.execute(sql, values)
    found = checks()
    assert found["backup"]["verdict"] == "ok"
    assert "set back" in found["time"]["text"]
    assert found["journal"]["text"].startswith("2 audit rows")


def test_the_limits_are_those_of_the_plant_that_runs(ironworks, running_plant):
    [there] = [each for each in running() if each.file == str(running_plant / "plant.yaml")]
    soft, hard = resource.prlimit(there.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(there.pid, resource.RLIMIT_NOFILE, (700, hard))
    try:
        told = json.loads(ironworks("doctor", "--plant", running_plant, "--json").stdout)["checks"]
    finally:
        resource.prlimit(there.pid, resource.RLIMIT_NOFILE, (soft, hard))
    [found] = [each for each in told if each["name"] == "open files"]
    assert (found["verdict"], found["text"]) == ("warn", f"at most 700 (hard limit {hard})")


def test_what_does_not_work_in_a_plant_that_runs_is_told(ironworks, folder, start, until):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with (folder / "plant.yaml").open("a") as plant:
            plant.write(f"drivers:\n  - {{name: oven, kind: modbus.client, host: 127.0.0.1, port: {port}}}\n")
        (folder / "alarms.yaml").write_text("alarms: []\n")
        (folder / "tags.csv").write_text("path,type,source,address\noven/temp,REAL,oven,40001\n")
        with start(folder):
            found = []

            def told():
                checks = json.loads(ironworks("doctor", "--plant", folder, "--json").stdout)["checks"]
                found[:] = [each for each in checks if "oven is degraded: oven does not" in each["text"]]
                return found

            until(told)
    assert (found[0]["name"], found[0]["verdict"]) == ("components", "warn")
    assert "ironworks logs --component oven" in found[0]["remedy"]


def test_a_gateway_elsewhere_is_asked_and_the_machine_is_said_to_be_this_one(ironworks):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        result = ironworks("doctor", "--plant", url, "--json")
    assert result.exit_code == 1
    checks = {each["name"]: each for each in json.loads(result.stdout)["checks"]}
    assert "this machine" in checks["gateway"]["text"]
    assert checks["components"]["verdict"] == "fail"
    assert url in checks["components"]["text"]


def test_nothing_is_made_beside_the_journal_of_a_stopped_plant(checks, state):
    """An account that may only read could not: it was told that the journal is damaged."""
    with closing(sqlite3.connect(state / "journal.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = sorted(state.iterdir())
    assert checks()["journal"]["verdict"] == "ok"
    assert sorted(state.iterdir()) == before


def test_a_journal_of_a_later_version_is_told(checks, state):
    with closing(sqlite3.connect(state / "journal.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert "later Ironworks" in checks()["journal"]["text"]


def test_a_disk_that_fills_within_a_week_is_told(tmp_path):
    quiet, *_ = doctor.disk(tmp_path, 1)
    free_mib = int(quiet.text.split()[0])
    soon, *_ = doctor.disk(tmp_path, 1, free_mib / 3)
    assert (quiet.verdict, soon.verdict) == ("ok", "warn")
    assert "a day" in soon.text


def test_the_room_that_history_has_taken_is_not_asked_for_again(checks, state):
    free_mib = shutil.disk_usage(state).free >> 20
    plant = state.parent / "plant.yaml"
    limit = f"history: {{disk_limit_mib: {free_mib + 2000}}}\n"
    plant.write_text("".join(each for each in plant.open() if not each.startswith("history:")) + limit)
    assert checks()["disk"]["verdict"] == "warn"
    (state / "history" / "2026-01-01").mkdir(parents=True)
    with (state / "history" / "2026-01-01" / "standard-1.parquet").open("wb") as file:
        file.truncate(8000 << 20)  # takes none of the disk
    assert checks()["disk"]["verdict"] == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_beside_a_plant_belongs_to_the_account_of_the_plant(ironworks, folder):
    account = 54_321  # one without a name, as of a container
    (folder / "plc").mkdir()
    (folder / "plc" / "main.st").write_text("PROGRAM Main\nEND_PROGRAM\n")
    (folder / "plant.yaml").write_text("plant: brewery\nroot: s\nplc: {}\n")
    os.chown(folder, account, account)
    assert ironworks("check", folder).exit_code == 0
    assert (
        ironworks("user", "add", "anna", "--role", "admin", "-p", folder, input="hops & malt\n").exit_code
        == 0
    )
    made = [folder / ".ironworks" / name for name in (".", "cache", "cache/plc", "journal.sqlite")]
    assert {each.stat().st_uid for each in made} == {account}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_state_that_the_account_of_the_plant_cannot_write_is_told(checks, folder, state):
    assert checks()["state"]["verdict"] == "ok"
    os.chown(folder, 54_321, 54_321)
    told = checks()["state"]
    assert (told["verdict"], told["remedy"]) == ("warn", f"chown -R 54321 {state}")
    os.chown(state, 54_321, 54_321)
    assert checks()["state"]["text"].startswith(
        f"{state / 'journal.sqlite'} belongs to root, the plant to 54321"
    )
    os.chown(state / "journal.sqlite", 54_321, 54_321)
    assert checks()["state"]["text"] == f"{state} of 54321"
