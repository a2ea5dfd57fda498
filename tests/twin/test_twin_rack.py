"""The rack as a real child process, and the commands that reach it."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from runtime.assembly import assemble
from runtime.clock import WallClock
from runtime.config import Applied
from runtime.errors import ConnectError, PlantError
from runtime.testing import FakePort
from twin.cli import app
from twin.rack import Rack

TWIN = """\
equipment:
  infeed:
    kind: source
    next: press
    every: 1s
  press:
    kind: station
    next: out
    cycle: 1s
    faults:
      jam: {stops: true, text: It is jammed}
  out:
    kind: sink
"""


@pytest.fixture
def folder(monkeypatch, tmp_path, free_port):
    port = free_port()
    (tmp_path / "twin.yaml").write_text(TWIN)
    head = f"root: site/area/line\ndrivers:\n  - {{name: io, kind: KIND, host: 127.0.0.1, port: {port}}}\n"
    (tmp_path / "plant.yaml").write_text(
        "plant: small\napi: null\nhistory: null\ntwin: {rack: rack.yaml}\n"
        + head.replace("KIND", "modbus.client")
    )
    (tmp_path / "rack.yaml").write_text(
        "plant: small-rack\nrack: io\napi: null\nhistory: null\ntwin: {}\n"
        + head.replace("KIND", "modbus.server")
    )
    (tmp_path / "tags.csv").write_text(
        "path,type,source,address\npress/fault,BOOL,io,10001\npress/count,UDINT,io,30001\n"
    )
    (tmp_path / "logging.py").write_text("raise ImportError('taken from the plant folder')\n")
    monkeypatch.chdir(tmp_path)  # as the service's WorkingDirectory
    with tempfile.TemporaryDirectory(prefix="iw-") as sockets:
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        yield tmp_path


def children(folder: Path) -> list[psutil.Process]:
    """Return our child processes that work for a plant folder."""
    found = []
    for each in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it ends just now
            found += [each] if str(folder) in " ".join(each.cmdline()) else []
    return found


async def in_thread(*arguments: str):
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def answering(rack: Path):
    async with asyncio.timeout(60):
        while True:
            result = await in_thread("faults", "--plant", str(rack), "--json")
            if result.exit_code == 0:
                return json.loads(result.stdout)
            assert isinstance(result.exception, ConnectError | PlantError)
            await asyncio.sleep(0.1)


def test_rack_plays_takes_faults_and_leaves_nothing_behind(folder):
    tags = assemble(folder).plant.tags
    faults = [tag for tag in tags if tag.path.startswith("sys/twin/fault/")]
    rack_file = folder / "rack.yaml"

    async def main():
        port = FakePort(tags, "rack", "site/area/line", WallClock())
        task = asyncio.create_task(Rack(rack_file, faults).run(port))
        said = [await answering(rack_file)]
        assert await port.command("sys/twin/fault/press/jam", 1.0) is None
        said.append(await answering(rack_file))
        cleared = await in_thread("fault", "press.jam", "--clear", "--json", "--plant", str(rack_file))
        assert cleared.exit_code == 0, cleared
        assert json.loads(cleared.stdout) == {"press.jam": 0.0}
        said.append(await answering(rack_file))
        wrong = await in_thread("fault", "press.jem", "--plant", str(rack_file))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return port, said, wrong

    port, said, wrong = asyncio.run(main())
    assert said == [{"press.jam": 0.0}, {"press.jam": 1.0}, {"press.jam": 0.0}]
    assert port.value("sys/twin/fault/press/jam") == 1.0, "as the plant had set it"
    assert "did you mean 'press.jam'?" in str(wrong.exception)
    assert children(folder) == []


def test_killed_rack_is_a_fault_that_the_supervisor_hears(folder):
    tags = assemble(folder).plant.tags
    port = FakePort(tags, "rack", "site/area/line", WallClock())

    async def main():
        task = asyncio.create_task(Rack(folder / "rack.yaml", []).run(port))
        await answering(folder / "rack.yaml")
        (child,) = children(folder)
        os.kill(child.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            await task

    with pytest.raises(PlantError, match="was killed by signal 9"):
        asyncio.run(main())
    assert children(folder) == []


def test_a_rack_plays_what_was_applied_not_what_was_edited_since(folder, tmp_path_factory):
    tags = assemble(folder).plant.tags
    kept = tmp_path_factory.mktemp("kept") / "1"
    shutil.copytree(folder, kept, ignore=lambda *_: [".ironworks", "s"])
    (folder / "twin.yaml").write_text("equipment: [\n")

    async def main():
        port = FakePort(tags, "rack", "site/area/line", WallClock())
        rack = Rack(folder / "rack.yaml", [], Applied(lambda asked: {folder: kept}[asked]))
        task = asyncio.create_task(rack.run(port))
        said = await answering(kept / "rack.yaml")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return said

    assert asyncio.run(main()) == {"press.jam": 0.0}
    assert children(kept) == []


def test_fault_forwarded_to_a_rack_that_is_not_up_is_refused_with_the_reason(folder):
    tags = assemble(folder).plant.tags
    faults = [tag for tag in tags if tag.path.startswith("sys/twin/fault/")]
    port = FakePort(tags, "rack", "site/area/line", WallClock())
    (folder / "rack.yaml").write_text("plant: [\n")  # however long it is given, it does not come up

    async def main():
        task = asyncio.create_task(Rack(folder / "rack.yaml", faults).run(port))
        await asyncio.sleep(0)
        refusal = await port.command("sys/twin/fault/press/jam", 1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return refusal

    assert "is not running" in asyncio.run(main())
    assert port.value("sys/twin/fault/press/jam") == 0.0
