"""The record of a running PLC: what people, other programs and restarts do to it is part of it."""

import asyncio
import pickle
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

import softplc
from runtime.clock import WallClock
from runtime.errors import PlantError, UnknownVariableError
from runtime.online import Wish
from runtime.plcview import ForceOrder
from runtime.testing import FakePort
from softplc.bridge import Bridge, BridgeOptions
from softplc.build import Build
from softplc.record.reader import Record
from softplc.record.recorder import RecordOptions
from softplc.record.replay import Replay
from softplc.record.why import why

SOURCE = """
PROGRAM Main
VAR speed, double : REAL; count, limit : LINT; hand : INT; timer : TON; END_VAR
count := count + 1;
double := speed * 2.0;
timer(IN := TRUE, PT := T#1h);
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#2ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
CHANGED = SOURCE.replace("VAR speed", "VAR extra : LREAL; speed").replace("* 2.0", "* 3.0")
FAULTY = SOURCE.replace("count + 1;", "count + 1 / hand;", 1)
LATE = SOURCE.replace("count + 1;", "count + 1; tries := tries + 1; hand := 1 / (5 - tries);", 1).replace(
    "VAR speed", "VAR tries : INT; speed"
)
SIGNALS = {
    "speed": ("REAL", "Main.speed", "in"),
    "double": ("REAL", "Main.double", "out"),
    "count": ("LINT", "Main.count", "out"),
    "limit": ("LINT", "Main.limit", "rw"),
}
OPTIONS = BridgeOptions(trial_ns=100_000_000, record=RecordOptions(16 << 20, 200_000_000))
LONG_TRIAL = replace(OPTIONS, trial_ns=300_000_000_000)


@pytest.fixture(scope="module")
def builds(core_object):
    return [
        Build(softplc.compile(sources={"main.st": text}), core_object, {"main.st": text})
        for text in (SOURCE, CHANGED)
    ]


@asynccontextmanager
async def running(build, tags, folder, eventually, options=OPTIONS):
    port = FakePort(tags, name="plc", clock=WallClock())
    port.set("speed", 4.0)
    bridge = Bridge(lambda: build, options, folder)
    task = asyncio.create_task(bridge.run(port))
    try:
        await eventually(lambda: task.done() or port.value("double"))
        assert not task.done(), task.exception()
        yield bridge, port
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def answer(replay, path, **at):
    replay.seek(**at) if at else replay.seek_end()
    return why(replay, path)


def test_deeds_changes_and_restarts_are_replayed_and_told(builds, plant_tags, tmp_path, eventually):
    async def main():
        tags = plant_tags(**SIGNALS)
        async with running(builds[0], tags, tmp_path, eventually) as (bridge, port):
            assert await port.command("limit", 7, by="anna") is None
            await bridge.controller.force(ForceOrder("Main.hand", 3, 0, "bert", "a trial"))
            before = port.value("count")
            await eventually(lambda: port.value("count") > before + 20)
            told = await bridge.controller.why("Main.limit")
            assert (told.cause, told.actor, told.value) == ("write", "anna", 7)
            with pytest.raises(UnknownVariableError, match="there is no variable"):
                await bridge.controller.why("Main.nothing")
            figures = bridge.controller.record()
            assert (figures.disk_limit, figures.lost, figures.error) == (16 << 20, 0, "")
            assert figures.scans > 20
            view = await bridge.prepare(Bridge(lambda: builds[1], OPTIONS, tmp_path), port.tags, Wish())
            assert not view.reason
            await bridge.renew()
            await eventually(lambda: port.value("double") == 12)
            told = await bridge.controller.why("Main.double")  # amid the segment that the one before began
            assert (told.value, told.before) == (12, 8)
            await bridge.controller.restart(cold=True, task="main", actor="dora", reason="once more")
            await bridge.controller.restart(cold=True, actor="carl", reason="a new day")
            await eventually(lambda: port.value("count") is not None and port.value("double") == 12)
            port.set("speed", 5.0)
            await eventually(lambda: port.value("double") == 15)

    asyncio.run(main())
    record = Record(tmp_path / "record")
    assert record.problems == record.gaps == []
    assert len(record.runs) == 2
    with Replay(record) as replay:
        replay.run()
        assert replay.compared > 0
        assert replay.differences == []
        assert replay.read("Main.double") == replay.read("site/area/line/double") == 15
        assert replay.at.run == 2

        told = answer(replay, "Main.double")
        assert (told.cause, told.value, told.before, told.line) == ("program", 15, 12, 5)
        told = answer(replay, "Main.speed")
        assert (told.cause, told.tag, told.origin) == ("input", "site/area/line/speed", "operator")
        told = answer(replay, "Main.limit")
        assert (told.cause, told.run, told.value, told.before) == ("change", 1, 0, 7)
        assert (told.actor, told.text) == ("dora", "cold restart of task main: once more")
        told = answer(replay, "Main.count", scan=0, run=2)
        assert (told.cause, told.value) == ("start", 0)
        assert told.before > 0
        assert (told.actor, told.text) == ("carl", "cold restart: a new day")
        first = record.chunks[0].head
        last = max(chunk.head.last for chunk in record.chunks if chunk.head.block == first.block)
        told = answer(replay, "Main.limit", scan=last, run=1)
        assert (told.cause, told.actor, told.tag) == ("write", "anna", "site/area/line/limit")
        told = answer(replay, "Main.hand", scan=last, run=1)
        assert (told.cause, told.actor, told.text, told.value) == ("force", "bert", "a trial", 3)
        told = answer(replay, "Main.extra", scan=last + 1, run=1)
        assert (told.cause, told.value, told.before) == ("change", 0, None)  # there was no such variable
        told = answer(replay, "Main.double", scan=last + 1, run=1)
        assert (told.value, told.before) == (12, 8)
        assert answer(replay, "Main.hand").cause == "force"  # forces outlive the restart


def test_a_change_that_fails_leaves_no_gap(builds, core_object, plant_tags, tmp_path, eventually):
    began_ns = WallClock().now_ns()

    async def main():
        tags = plant_tags(**SIGNALS)
        async with running(builds[0], tags, tmp_path, eventually, LONG_TRIAL) as (bridge, port):
            for text in (FAULTY, LATE):
                build = Build(softplc.compile(sources={"main.st": text}), core_object, {"main.st": text})
                await bridge.prepare(Bridge(lambda build=build: build, OPTIONS, tmp_path), port.tags, Wish())
                with pytest.raises(PlantError, match="the program before runs again"):
                    await bridge.renew()
                before = port.value("count")
                await eventually(lambda before=before: port.value("count") > before + 5)

    asyncio.run(main())
    record = Record(tmp_path / "record")
    assert record.problems == record.gaps == []
    times = [chunk.head.first_ns for chunk in record.chunks]
    assert times == sorted(times)
    assert times[0] > began_ns  # none is without a time
    with Replay(record) as replay:
        replay.run()
        assert replay.differences == []
        assert [replay.seek(at_ns=each).at_ns for each in times] == times


KERNEL = """
import asyncio, pickle, sys
from pathlib import Path
from runtime.clock import WallClock
from runtime.testing import FakePort
from softplc.bridge import Bridge
build, tags, folder, options = pickle.loads(Path(sys.argv[1]).read_bytes())
port = FakePort(tags, name="plc", clock=WallClock())
port.set("speed", 4.0)
asyncio.run(Bridge(lambda: build, options, folder).run(port))
"""


def test_what_the_core_did_without_a_kernel_is_in_the_record(builds, plant_tags, tmp_path, until, eventually):
    tags = plant_tags(**SIGNALS)
    start = tmp_path / "start"
    start.write_bytes(pickle.dumps((builds[0], tags, tmp_path, OPTIONS)))
    with subprocess.Popen([sys.executable, "-c", KERNEL, str(start)]) as kernel:
        until(lambda: list((tmp_path / "record").glob("*.seg")))
        kernel.kill()

    async def main():
        async with running(builds[0], tags, tmp_path, eventually) as (_, port):
            assert [event.kind for event in port.emitted][:1] == ["plc.found"]
            before = port.value("count")
            await eventually(lambda: port.value("count") > before + 50)

    asyncio.run(main())
    record = Record(tmp_path / "record")
    assert record.problems == record.gaps == []
    assert len(record.runs) == 1
    assert any("without a kernel" in note.text for note in record.notes)
    with Replay(record) as replay:
        replay.run()
        assert not replay.jumped
        assert replay.differences == []
        assert replay.read("Main.count") == replay.scans > 50
