"""A plant of operator tags, run by the real `ironworks run` in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runtime.endpoint import registration_name

TAGS = """path,type,unit,unit_text,low,high,description,access,source,role,initial
# the tank
tank/setpoint,REAL,%,%,0,100,Wanted level,rw,operator,,40
tank/limit,REAL,%,%,0,100,Limit,rw,operator,engineer,80

# the pump
pump/run,BOOL,,,,,Run,rw,operator,,false
pump/offset,INT,1,,-10,10,Offset,rw,operator,,0
"""
ALARMS = """alarms:
  - name: tank.high
    tag: tank/setpoint
    kind: high
    limit: 90
    text: {en: Tank is full, zh: 罐满}
"""
PLANT = """plant: brewery
root: site/area/line
alarms: alarms.yaml
api: null
history: {flush: 100ms}
users:
USERS"""
SECRET = "correct horse battery"


def lay_out(folder: Path) -> Path:
    from runtime.gate.identity import hash_secret

    hashed = hash_secret(SECRET)
    roles = ("viewer", "operator", "engineer", "admin")
    users = "".join(f'  - {{name: {role}1, role: {role}, secret: "{hashed}"}}\n' for role in roles)
    (folder / "plant.yaml").write_text(PLANT.replace("USERS", users))
    (folder / "tags.csv").write_text(TAGS)
    (folder / "alarms.yaml").write_text(ALARMS, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def runtime_home() -> Iterator[Path]:
    folder = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def start(runtime_home: Path) -> Any:
    """Run a plant in a process of its own until the end of a block, which gets the process."""

    @contextmanager
    def run(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        registered = runtime_home / "ironworks" / f"{registration_name(folder / 'plant.yaml')}.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "run", str(folder), "--attached"],
            stdin=subprocess.PIPE,
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime_home)},
        )
        try:
            deadline = time.monotonic() + 60
            while not registered.exists():
                assert process.poll() is None, "the plant ended"
                assert time.monotonic() < deadline, "the plant did not start"
                time.sleep(0.05)
            yield process
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    return run


@pytest.fixture(scope="module")
def running_plant(tmp_path_factory: pytest.TempPathFactory, start: Any) -> Iterator[Path]:
    folder = lay_out(tmp_path_factory.mktemp("running"))
    with (folder / "tags.csv").open("a") as tags:
        tags.write("safe/sp,REAL,%,%,0,100,Takes two persons,rw,operator,,1\n")
        tags.write("jacket/delay,TIME,,,100ms,10s,Delay,rw,operator,,1.5s\n")
        tags.write("jacket/temp,REAL,,,0,100,Jacket,rw,operator,,20\n")
    with (folder / "alarms.yaml").open("a") as alarms:
        alarms.write("  - {name: jacket.hot, tag: jacket/temp, kind: high, limit: 60, confirm: true, ")
        alarms.write("text: Jacket too hot}\n")
        alarms.write("  - {name: jacket.slow, tag: jacket/delay, kind: high, limit: 8s, text: Jacket slow}\n")
    with (folder / "plant.yaml").open("a") as plant:
        plant.write("gate: {two_person: [safe/sp]}\n")
    with start(folder):
        yield folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plant that does not run."""
    return lay_out(tmp_path)


@pytest.fixture
def until() -> Any:
    """Ask again until a plant in a process of its own says so, up to a minute."""

    def until(holds: Any) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, "it was never told"

    return until


@pytest.fixture
def ironworks(runtime_home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in this process; returns click's result."""
    from runtime.cli import build

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_home))
    monkeypatch.delenv("IRONWORKS_PLANT", raising=False)

    def run(*arguments: object, **options: Any) -> Any:
        return CliRunner().invoke(build(str(arguments[0])), [str(each) for each in arguments], **options)

    return run
