"""The command line on another machine: a network namespace of its own, joined to the gateway by one cable."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import PlantError

PLANT = """plant: brewery
root: site/area/line
api: {host: 0.0.0.0, port: 0}
history: null
"""
TAGS = "path,type,access,source,initial\ntank/setpoint,REAL,rw,operator,40\n"
SECRET = "yeast & water"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[tuple[str, str]]:
    """Name of the namespace, and the gateway's address as seen from it."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("a network namespace needs root and iproute2")
    number = os.getpid()
    space, near, far = f"iw{number}", f"iwa{number}", f"iwb{number}"
    net = f"198.18.{number % 256}.{number // 256 % 64 * 4}".rpartition(".")
    gateway, remote = (f"{net[0]}.{int(net[2]) + each}" for each in (1, 2))
    try:
        _ip("netns", "add", space)
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"no network namespace can be made here: {exc.stderr.decode().strip()}")
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
        _ip("addr", "add", f"{gateway}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", space, "addr", "add", f"{remote}/30", "dev", far)
        _ip("-n", space, "link", "set", far, "up")
        yield space, gateway
    finally:
        _ip("netns", "del", space)  # the cable goes with it


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Any]:
    folder = tmp_path / "gateway"
    folder.mkdir()
    (folder / "plant.yaml").write_text(PLANT)
    (folder / "tags.csv").write_text(TAGS)
    home = tempfile.mkdtemp(prefix="iw")
    environment = {**os.environ, "XDG_RUNTIME_DIR": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home}

    def run(*arguments: object, says: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runtime.cli", *map(str, arguments)]
        return subprocess.run(command, env=environment, input=says, capture_output=True, text=True)

    command = [sys.executable, "-m", "runtime.cli", "run", str(folder), "--attached"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (entries := list(Path(home, "ironworks").glob("*.json"))):
            assert process.poll() is None, "the plant ended"
            assert time.monotonic() < deadline, "the plant did not start"
            time.sleep(0.05)
        run.url = lambda: json.loads(entries[0].read_text())["http"]  # type: ignore[attr-defined]
        run.folder = folder  # type: ignore[attr-defined]
        yield run
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home)


def test_a_remote_user_reads_and_writes_once_the_gateway_is_trusted(
    gateway: Any, cable: tuple[str, str], tmp_path: Path
) -> None:
    space, address = cable
    home = tmp_path / "remote"
    home.mkdir(mode=0o700)
    (home / "secret").write_text(SECRET + "\n")
    variables = [f"{each}={home}" for each in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME")]

    def remote(*arguments: object, says: str = "", secret: bool = False) -> subprocess.CompletedProcess[str]:
        more = [f"IRONWORKS_SECRET_FILE={home / 'secret'}"] if secret else []
        inside = ["ip", "netns", "exec", space, "env", *variables, *more, sys.executable, "-m", "runtime.cli"]
        command = [*inside, *map(str, arguments)]
        return subprocess.run(command, input=says, capture_output=True, text=True)

    url = f"https://{address}:{gateway.url().rpartition(':')[2]}"
    read = ("read", "tank/setpoint", "--json", "--url", url)
    refused = remote(*read)
    assert (refused.returncode, "cannot be reached" in refused.stderr) == (1, True), refused.stderr

    assert gateway("user", "add", "anna", "--role", "admin", says=SECRET).returncode == 0
    deadline = time.monotonic() + 60
    while "is not known here" not in (told := remote(*read).stderr):
        assert time.monotonic() < deadline, told
    assert f"ironworks tls trust {url}" in told

    shown = json.loads(gateway("tls", "show", "--json").stdout)["trusted"]["fingerprint"]
    assert remote("tls", "trust", url, "--fingerprint", shown).returncode == 0
    assert "from another machine this needs a name" in remote(*read).stderr

    written = remote("--user", "anna", "write", "tank/setpoint", "55", "--url", url, secret=True)
    assert written.returncode == 0, written.stderr
    assert remote("login", "anna", "--url", url, says=SECRET).returncode == 0
    made = remote("user", "cert", "anna", "--make", home / "anna.pem", "--url", url)
    assert made.returncode == 0, made.stderr
    assert (home / "anna.pem").stat().st_mode & 0o777 == 0o600
    by_certificate = ("--certificate", home / "anna.pem", *read)
    deadline = time.monotonic() + 60
    while (answer := remote(*by_certificate)).returncode:  # asked for from the gateway's next look on
        assert time.monotonic() < deadline, answer.stderr
    assert "55" in answer.stdout
    assert gateway("user", "revoke", made.stdout.split()[1]).returncode == 0
    assert remote(*by_certificate).returncode == 1

    shutil.rmtree(gateway.folder / ".ironworks" / "tls")
    deadline = time.monotonic() + 60
    while "is not the one that was trusted" not in (told := remote(*read).stderr):
        assert time.monotonic() < deadline, told


def test_addresses_are_refused_before_a_secret_leaves(ironworks: Any) -> None:
    assert "would send secrets in the clear" in str(
        ironworks("read", "x", "--url", "http://192.0.2.1:1").exception
    )
    told = str(ironworks("read", "x", "--url", "https://anna:geheim@192.0.2.1").exception)
    assert "does not belong" in told
    assert "geheim" not in told


def test_tls_commands_say_what_is_missing(ironworks: Any, folder: Path) -> None:
    assert "listens on loopback only" in str(ironworks("tls", "show", "--plant", folder).exception)
    file = folder / "plant.yaml"
    file.write_text(file.read_text().replace("api: null", "api: {host: 0.0.0.0}"))
    assert "there is no certificate yet" in str(ironworks("tls", "show", "--plant", folder).exception)
    assert ironworks("tls", "renew", "--plant", folder).exit_code == 0
    shown = ironworks("tls", "show", "--plant", folder).stdout
    assert "signed by    CN=Ironworks brewery" in shown
    exported = ironworks("tls", "export", "--plant", folder).stdout
    assert exported.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in exported


def test_a_certificate_of_nobody_is_refused_in_words(ironworks: Any, tmp_path: Path) -> None:
    told = ironworks("user", "cert", "", "--make", tmp_path / "made.pem").exception
    assert isinstance(told, PlantError)
    assert "whose certificate" in told.text
    assert not (tmp_path / "made.pem").exists()
