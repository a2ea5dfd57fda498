"""A plant around Modbus drivers, without a kernel: real tag table and bus, real sockets on loopback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.modbus.client import ClientConfig
from drivers.modbus.client import plugin as client_plugin
from drivers.modbus.server import ServerConfig
from drivers.modbus.server import plugin as server_plugin
from runtime.clock import WallClock
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Tag
from runtime.errors import Place
from runtime.testing import FakePort

ROOT = "site/area/line"


class Side:
    """One driver in a plant of its own."""

    def __init__(self, tags, kind, **config):
        self.plugin = client_plugin if kind == "client" else server_plugin
        if kind == "client":
            config = {"period": "20ms", "timeout": "30s", "retries": 0} | config  # tests of silence say less
        if "serial" not in config:
            config = {"port": 0} | ({"host": "127.0.0.1"} if kind == "client" else {}) | config
        model = ClientConfig if kind == "client" else ServerConfig
        self.config = model.model_validate({"name": "io", "kind": f"modbus.{kind}"} | config)
        self.tags = [*tags, *self.plugin.declare(Path(), ROOT, self.config).tags]
        self.plant = plant_of(self.tags)
        self.port = FakePort(self.tags, "io", ROOT, WallClock())
        (self.component,) = self.plugin.build(self.plant, self.config)

    async def run(self):
        await self.component.run(self.port)

    def start(self, group):
        return group.create_task(self.run())


def plant_of(tags):
    head = PlantFile(plant="test", root=ROOT)
    places = {tag.path: Place("tags.csv", row + 2, 1) for row, tag in enumerate(tags)}
    return Plant(Path("plant.yaml"), head, Document(Path("plant.yaml"), {}), TagList(tags, ROOT), places, ())


def make_tag(name, data_type, address, source="io", **more):
    return Tag(f"{ROOT}/{name}", data_type, source=source, device="io", address=address, **more)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that a user would notice, up to a limit."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  sockets of another task decide, no event tells
            await asyncio.sleep(0.005)


class Pair:
    """Two pseudo terminals joined like the ends of a cable."""

    def __init__(self):
        self.fds, self.paths = [], []
        for _ in range(2):
            master, slave = os.openpty()
            os.set_blocking(master, False)
            self.fds += [master, slave]  # the slave stays open, or the master reads an error
            self.paths.append(os.ttyname(slave))

    def __enter__(self):
        loop = asyncio.get_running_loop()
        first, second = self.fds[0], self.fds[2]
        loop.add_reader(first, lambda: os.write(second, os.read(first, 4096)))
        loop.add_reader(second, lambda: os.write(first, os.read(second, 4096)))
        return self

    def __exit__(self, *_):
        for fd in (self.fds[0], self.fds[2]):
            asyncio.get_running_loop().remove_reader(fd)
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def line():
    return Pair


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
