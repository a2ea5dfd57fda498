"""A plant around the S7 client, without a kernel, and a CPU as a process of its own on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path

import pytest
from snap7.client import Client
from snap7.connection import ISOTCPConnection

from drivers.chaos.process import free_port
from drivers.s7.client import ClientConfig, plugin
from runtime.clock import WallClock
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Tag
from runtime.errors import Place
from runtime.testing import FakePort

ROOT = "site/area/line"
# The hand waits as long as the tests do, not five seconds.
ISOTCPConnection.connect = partialmethod(ISOTCPConnection.connect, timeout=60.0)


class Device:
    """python-snap7's server in a process, and python-snap7's client as the hand that looks into it."""

    def __init__(self, **settings):
        self.settings = {"host": "127.0.0.1", "port": free_port(), "dbs": {"1": 1024}} | settings
        self.process = None

    @property
    def port(self):
        return self.settings["port"]

    def start(self, **settings):
        self.settings |= settings
        command = [sys.executable, Path(__file__).with_name("cpu.py"), json.dumps(self.settings)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @contextmanager
    def hand(self):
        client = Client()
        client.connect(self.settings["host"], 0, 1, self.port)
        try:
            yield client
        finally:
            client.disconnect()

    def get(self, db, start, size):
        with self.hand() as client:
            return bytes(client.db_read(db, start, size))

    def put(self, db, start, data):
        with self.hand() as client:
            client.db_write(db, start, bytearray(data))


class Side:
    """The client in a plant of its own."""

    def __init__(self, tags, **config):
        config = {
            "host": "127.0.0.1",
            "period": "20ms",
            "timeout": "30s",
        } | config  # tests of silence say less
        self.config = ClientConfig.model_validate({"name": "io", "kind": "s7.client"} | config)
        self.tags = [*tags, *plugin.declare(Path(), ROOT, self.config).tags]
        self.plant = plant_of(self.tags)
        self.port = FakePort(self.tags, "io", ROOT, WallClock())
        (self.component,) = plugin.build(self.plant, self.config)

    def start(self, group):
        return group.create_task(self.component.run(self.port))

    def kinds(self, kind):
        return [event for event in self.port.emitted if event.kind == kind]


def plant_of(tags):
    head = PlantFile(plant="test", root=ROOT)
    places = {tag.path: Place("tags.csv", row + 2, 1) for row, tag in enumerate(tags)}
    return Plant(Path("plant.yaml"), head, Document(Path("plant.yaml"), {}), TagList(tags, ROOT), places, ())


def make_tag(name, data_type, address, source="io", **more):
    return Tag(f"{ROOT}/{name}", data_type, source=source, device="io", address=address, **more)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that a user would notice, up to a limit."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  a process decides, no event tells
            await asyncio.sleep(0.005)


@pytest.fixture
def side():
    return Side


@pytest.fixture
def tag():
    return make_tag


@pytest.fixture
def wait():
    return until


@pytest.fixture
def plant():
    return plant_of


@pytest.fixture
def port():
    """Return a free port of loopback."""
    return free_port()


@pytest.fixture
def device():
    """Return what makes a CPU; it is killed in the end, frozen or not."""
    made = []

    def make(**settings):
        made.append(Device(**settings))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture
def play():
    """Return what runs a body beside a client, and ends the client as a plant does: in time."""

    def run(client, body):
        async def main():
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                polling = client.start(group)
                try:
                    await body()
                finally:
                    polling.cancel()
                    async with asyncio.timeout(60):
                        await asyncio.wait([polling])

        asyncio.run(main())

    return run
