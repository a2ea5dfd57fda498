"""A plant on real table, bus, gate, alarms and journal, served by the real API server."""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.alarms.service import AlarmService
from runtime.api import ApiServer
from runtime.assembly import assemble
from runtime.backup.service import Backups
from runtime.client import PlantClient
from runtime.clock import WallClock
from runtime.contract import Actor, Batch, Port, Role
from runtime.endpoint import Endpoint, find
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.gate.identity import Identity, hash_secret
from runtime.gate.policy import Gate
from runtime.journal import Journal
from runtime.supervisor import Supervisor
from runtime.testing import FakePort
from runtime.versions.service import Versions

TAGS = """path,type,unit,unit_text,low,high,description,access,source,role,interlock
tank/level,REAL,%,%,0,100,Level of the tank,r,rio,,
tank/setpoint,REAL,%,%,0,100,Wanted level,rw,operator,,
tank/limit,REAL,%,%,0,100,Limit,rw,operator,engineer,
tank/batch,STRING,,,,,Batch,rw,operator,,
pump/run,BOOL,,,,,Run,rw,operator,,tank/level > 5
pump/count,LINT,1,,,,Starts,rw,operator,,
pump/mask,LWORD,,,,,Mask,rw,operator,,
"""
ALARMS = """alarms:
  - name: tank.high
    tag: tank/level
    kind: high
    limit: 90
    priority: high
    text: {en: Tank is full, zh: 罐满}
  - name: pump.worn
    tag: pump/count
    kind: high
    limit: 1000
    confirm: true
    text: {en: Pump started too often, zh: 泵启动过于频繁}
"""
PLANT = """plant: brewery
title: {{en: Brewery, zh: 啤酒厂}}
root: site/area/line
alarms: alarms.yaml
history: null
api: {{port: {port}}}
users:
  - {{name: olga, role: operator, secret: "{secret}"}}
"""


class Idle:
    """A component that only lives."""

    name = "idle"

    async def run(self, port: Port) -> None:
        await asyncio.Event().wait()


class Memory:
    """Samples in memory, in order of time, asked like the historian."""

    is_open = True

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    async def query(self, ids: Any, start_ns: int, end_ns: int, limit: int | None = None) -> Batch:
        rows = (
            np.isin(self.batch.ids, ids)
            & (self.batch.source_ns >= start_ns)
            & (self.batch.source_ns < end_ns)
        )
        newest = [np.flatnonzero(rows & (self.batch.ids == each))[-(limit or 0) :] for each in np.unique(ids)]
        return self.batch.take(np.concatenate(newest))

    async def trend(self, tag_id: int, start_ns: int, end_ns: int, buckets: int) -> list[tuple[Any, ...]]:
        found = await self.query([tag_id], start_ns, end_ns)
        values = found.raw.view(np.float64)
        return (
            [(start_ns, float(values.min()), float(values.mean()), float(values.max()))] if len(found) else []
        )


class Desk:
    """What the API serves in these tests; the test plays the field with `port.set`."""

    def __init__(self, folder: Path) -> None:
        assembly = assemble(folder)
        self.plant = assembly.plant
        self.clock = WallClock()
        self.started_ns = self.clock.now_ns()
        self.port = FakePort(self.plant.tags, "alarms", self.plant.root, self.clock)
        self.api_port = copy.copy(self.port)  # as the component `api` has it: the same table and bus
        self.api_port.name = "api"
        self.bus = self.port.bus
        self.identity = Identity(self.plant.head.users)
        self.journal = Journal(self.plant.state / "journal.sqlite", self.clock)
        self.alarms = AlarmService(self.plant.alarms, self.plant.tags, self.journal)
        self.supervisor = Supervisor(self.clock, self.bus.emit)
        self.gate = Gate(self.port.table, self.clock, self.journal, self.bus.publish, lambda command: False)
        self.historian: Any = None
        self.versions = Versions(self, assembly, None)
        self.backups = Backups(self.plant, self.clock, self.journal, self.gate.attempts, None)

    async def command_alarm(
        self, verb: str, alarm: str, actor: Actor, reason: str = "", for_ns: int = 0
    ) -> Mapping[str, Any]:
        return await self.alarms.command(verb, alarm, actor, reason, for_ns)

    async def restart(self, name: str, actor: Actor) -> None:
        if actor.role < Role.ENGINEER:
            raise ForbiddenError(f"{actor.name} is {actor.role.name.lower()}; a restart needs engineer")
        self.supervisor.restart(name)

    async def record(self, name: str, actor: Actor, for_ns: int, most: int, reason: str = "") -> Any:
        raise WriteRejectedError(f"{name} has no traffic to record")

    def health(self) -> Mapping[str, Any]:
        bus = {"updates": self.port.table.updates, "overflow": self.bus.overflow}
        return {"ok": True, "components": {"running": 1}, "history": None, "bus": bus}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Endpoint]:
        await self.journal.open()
        server = ApiServer(self)
        try:
            server.bind()
            self.supervisor.add(Idle(), "test", self.port, lambda: None)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self.supervisor.run("idle")),
                    group.create_task(self.alarms.run(self.port)),
                    group.create_task(server.run(self.api_port)),
                ]
                async with asyncio.timeout(60):
                    while not (endpoint := _found(self.plant.folder)):
                        await self.clock.sleep(0.01)
                    await self.until(lambda: self.port.value("sys/alarms/active") == 0)
                self.supervisor.health("idle", True, "")
                try:
                    yield endpoint
                finally:
                    for task in tasks:
                        task.cancel()
        except ExceptionGroup as group_:
            raise group_.exceptions[0] from None
        finally:
            await self.journal.close()

    async def until(self, holds: Any, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await self.clock.sleep(0.01)

    async def overflow_the_tank(self) -> None:
        self.port.set("tank/level", 95.0)
        await self.until(lambda: self.port.value("sys/alarms/active") == 1)  # told, so on disk

    def alarm(self) -> Mapping[str, Any]:
        return next(each for each in self.alarms.views() if each["name"] == "tank.high")

    def remember(self, batch: Batch) -> None:
        self.historian = Memory(batch)

    @asynccontextmanager
    async def client(self, tcp: bool = False, user: str | None = None, secret: str | None = None) -> Any:
        async with self.serving() as endpoint:
            place = Endpoint(http=endpoint.http) if tcp else endpoint
            async with PlantClient(place, user, secret) as client:
                yield client


def _found(folder: Path) -> Endpoint | None:
    from runtime.errors import ConnectError

    try:
        return find(folder)
    except ConnectError:
        return None


@pytest.fixture
def runtime_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    monkeypatch.delenv("IRONWORKS_PLANT", raising=False)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def secret() -> str:
    return hash_secret("hops & malt")


@pytest.fixture
def folder(tmp_path: Path, runtime_home: Path, secret: str) -> Path:
    (tmp_path / "plant.yaml").write_text(PLANT.format(port=0, secret=secret), encoding="utf-8")
    (tmp_path / "tags.csv").write_text(TAGS)
    (tmp_path / "alarms.yaml").write_text(ALARMS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def desk(folder: Path) -> Desk:
    made = Desk(folder)
    assert os.environ["XDG_RUNTIME_DIR"]
    return made


@pytest.fixture
def started() -> Any:
    """Run a plant folder in a process of its own, after the code `first`; gives the URL of its API."""

    @contextmanager
    def run(folder: Path, first: str = "") -> Iterator[str]:
        tags = (folder / "tags.csv").read_text()
        (folder / "tags.csv").write_text(tags.replace("rio", "operator"))  # nobody plays the field
        code = f"{first}\nfrom runtime.cli import main\nmain()"
        command = [sys.executable, "-c", code, "run", str(folder), "--attached"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, **pipes, text=True, encoding="utf-8") as process:
            try:
                line = process.stderr.readline()
                assert "runs" in line, line + process.stderr.read()
                while not (endpoint := _found(folder)):
                    assert process.poll() is None, process.stderr.read()
                yield endpoint.http or ""
                process.stdin.close()
                process.wait(60)
            finally:
                process.kill()

    return run
