"""Small plants with an app of their own, and a kernel that runs them."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.assembly import assemble
from runtime.clock import WallClock
from runtime.contract import Value
from runtime.kernel import Kernel, open_kernel
from runtime.versions.start import choose

PLANT = """\
plant: small
root: site/area/line
api: {port: null}
history: null
apps:
  - app: ./apps/mine
"""
TAGS = """\
path,type,unit,low,high,access,initial
unit/x,REAL,m,-100,100,rw,1
unit/mode,STRING,,,,rw,calm
other/y,REAL,m,-100,100,rw,5
"""
MANIFEST = """\
name: mine
version: 1.0.0
title: Mine
description: An app of a test
entry: app:Mine
parameters:
  factor: {type: REAL, default: 2, low: 0, high: 10, description: What x is multiplied by}
permissions:
  reads: ["unit/*"]
produces:
  - {path: unit/double, type: REAL, unit: m, low: -100, high: 100, description: Twice x}
  - {path: unit/word, type: STRING, description: The mode}
budget: {period: 50ms, deadline: 40ms, cpu: 0.5, memory_mib: 96}
"""
CODE = """\
from apps.sdk import App

class Mine(App):
    def step(self, now_ns, values):
        x = values.number("unit/x")
        if x is None:
            return {}
        return {"unit/double": x * self.context.parameters["factor"], "unit/word": values.value("unit/mode")}
"""


class Small:
    """The folder of a small plant with the app `mine`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "apps" / "mine"
        self.app.mkdir(parents=True)
        self.plant(PLANT)
        (folder / "tags.csv").write_text(TAGS)
        (self.app / "app.yaml").write_text(MANIFEST)
        self.code(CODE)

    def plant(self, text: str) -> None:
        (self.folder / "plant.yaml").write_text(text)

    def code(self, text: str) -> None:
        (self.app / "app.py").write_text(textwrap.dedent(text))

    def manifest(self, old: str, new: str) -> None:
        file = self.app / "app.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def findings(self) -> list[str]:
        return [str(each) for each in assemble(self.folder).check()]


class Running:
    """A kernel at work, seen from a test."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __getitem__(self, path: str) -> Value | None:
        return self.kernel.table.value(self.kernel.table[path])

    def quality(self, path: str) -> int:
        return int(self.kernel.table.quality[self.kernel.table[path].id])

    def component(self, name: str = "mine") -> dict[str, Any]:
        return next(each for each in self.kernel.supervisor.views() if each["name"] == name)

    @property
    def pid(self) -> int | None:
        return self.kernel.supervisor._lives["mine"].component.pid

    async def until(self, holds: Any, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - whatever a test asks for
                await asyncio.sleep(0.01)


@asynccontextmanager
async def started(folder: Path, *, by_version: bool = False) -> AsyncIterator[Running]:
    if by_version:
        assembly, begin = choose(folder, WallClock().now_ns())
        kernel = Kernel(assembly, begin=begin)
    else:
        kernel = open_kernel(assemble(folder))
    stop = asyncio.Event()
    task = asyncio.create_task(kernel.run(stop))
    try:
        yield Running(kernel)
    finally:
        stop.set()
        await task


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


@pytest.fixture
def runtime_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("h")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    return home


@pytest.fixture
def run(runtime_home: Path) -> Any:
    """An async context manager that runs a plant folder."""
    return started


@pytest.fixture
def live(small: Small, runtime_home: Path) -> Any:
    """A function that runs a coroutine function with the running small plant."""

    def play(scene: Any, *, by_version: bool = False) -> None:
        async def main() -> None:
            async with started(small.folder, by_version=by_version) as plant:
                await scene(plant)

        asyncio.run(main())

    return play
