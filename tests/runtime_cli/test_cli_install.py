"""The systemd unit: what systemd itself says of it, and what the service tells systemd."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli import install
from runtime.cli.notify import Notifier
from runtime.errors import PlantError
from softplc.core.thread import HIGHEST_PRIORITY

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


def unit_of(ironworks, folder, *more):
    result = ironworks("install", "systemd", folder, "--user", "daemon", *more)
    assert result.exit_code == 0, result.output
    return result.stdout


@needs_systemd
@pytest.mark.parametrize("name", ["plain", "with space", "50%", "a'b", "c$d"])
def test_systemd_finds_no_fault_in_the_unit(ironworks, folder, name):
    plant = folder / name
    shutil.copytree(folder, plant, ignore=lambda *_: [name])
    file = folder / "ironworks-brewery.service"
    file.write_text(unit_of(ironworks, plant))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, timeout=250
    )
    complaints = [line for line in done.stderr.splitlines() if file.name in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@needs_systemd
def test_the_unit_exposes_little(ironworks, folder):
    file = folder / "ironworks-brewery.service"
    file.write_text(unit_of(ironworks, folder))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    if "offline" in done.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed")
    assert done.returncode == 0, done.stdout


def test_stores_and_backups_elsewhere_may_be_written(ironworks, folder):
    head = (folder / "plant.yaml").read_text()
    (folder / "plant.yaml").write_text(f"{head}state: /var/lib/x\nbackup: {{to: /mnt/usb stick}}\n")
    text = unit_of(ironworks, folder)
    assert f'ReadWritePaths={folder} -/var/lib/x -"/mnt/usb stick"' in text


def test_a_program_in_a_home_can_be_read_there(ironworks, folder, monkeypatch):
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "executable", "/opt/ironworks/bin/python")
    assert "ProtectHome=yes" in unit_of(ironworks, folder)
    monkeypatch.setattr(sys, "executable", "/home/anna/venv/bin/python")
    assert "ProtectHome=read-only" in unit_of(ironworks, folder)


def test_the_service_may_have_what_it_asks_for(ironworks, folder):
    text = unit_of(ironworks, folder)
    assert f"LimitRTPRIO={HIGHEST_PRIORITY}\n" in text
    assert "AF_NETLINK" in text  # addresses of the machine: the certificate's names


def test_no_child_of_the_service_speaks_for_it(tmp_path, monkeypatch):
    for name, value in {"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "4000000"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().every_s == 2.0
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


def test_a_plant_of_root_needs_an_account(ironworks, folder):
    if folder.owner() != "root":
        pytest.skip("not root here")
    assert isinstance(ironworks("install", "systemd", folder).exception, PlantError)


def test_an_account_that_is_not_there_is_told(ironworks, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(install, "UNITS", tmp_path)
    error = ironworks("install", "systemd", folder, "--user", "nobody-of-that-name", "--write").exception
    assert isinstance(error, PlantError)
    assert "no account 'nobody-of-that-name'" in error.text
    assert not list(tmp_path.glob("*.service"))

    def owner(path):
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(Path, "owner", owner)
    error = ironworks("install", "systemd", folder).exception
    assert isinstance(error, PlantError)
    assert "an account that this machine does not have" in error.text


def test_the_service_tells_that_it_is_ready_alive_and_stopping(folder, tmp_path_factory, runtime_home):
    place = runtime_home / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        manager.settimeout(60)
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(place),
            "WATCHDOG_USEC": "200000",
            "XDG_RUNTIME_DIR": str(runtime_home),
        }
        process = subprocess.Popen([sys.executable, "-m", "runtime.cli", "run", str(folder)], env=environment)
        try:
            told = [manager.recv(4096).decode() for _ in range(3)]
            assert told[0].splitlines() == ["READY=1", "STATUS=brewery runs"]
            assert told[1:] == ["WATCHDOG=1", "WATCHDOG=1"]
            process.send_signal(signal.SIGTERM)
            while told[-1] != "STOPPING=1":
                told.append(manager.recv(4096).decode())
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
