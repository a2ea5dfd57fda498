"""A changed program of a running plant: taken over online, refused, left again, gone back from."""

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager

import pytest

from runtime.cli.online import show_online
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, WallClock
from runtime.contract import Actor, Role
from runtime.endpoint import find
from runtime.errors import ConfigError, PlantError, ReturnedError, WriteRejectedError
from runtime.kernel import Kernel
from runtime.online import DifferenceLine, OnlineView, RehearsalView, VariableLine, Wish
from runtime.versions import service
from runtime.versions.service import Change
from runtime.versions.start import assemble_version, choose, store_of

PLANT = "plant: p\nroot: s/l\napi: {port: null}\nplc: {trial: 300ms}\n"
TAGS = """path,type,source,access,variable,initial
in,DINT,operator,rw,Main.into,4
out,DINT,plc,r,Main.out,
count,LINT,plc,rw,Main.count,
"""
PROGRAM = """PROGRAM Main
VAR into, out : DINT; count : LINT; END_VAR
out := into * 2;
count := count + 1;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#10ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
ENGINEER = Actor("erna", Role.ENGINEER, "test")
OPERATOR = Actor("otto", Role.OPERATOR, "test")
ONLINE = Change(online=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    home = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    monkeypatch.setenv("XDG_RUNTIME_DIR", home)
    monkeypatch.setattr(service, "SETTLE_NS", SECOND_NS // 2)
    plant = tmp_path / "plant"
    plant.mkdir()
    for name, text in (("plant.yaml", PLANT), ("tags.csv", TAGS), ("main.st", PROGRAM)):
        file = plant / ("plc/main.st" if name == "main.st" else name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    yield plant
    shutil.rmtree(home)


@asynccontextmanager
async def running(folder):
    assembly, begin = await asyncio.to_thread(choose, folder, WallClock().now_ns())
    kernel = Kernel(assembly, begin=begin)
    stop = asyncio.Event()
    life = asyncio.create_task(kernel.run(stop))
    try:
        await asyncio.wait({life, asyncio.create_task(kernel.ready.wait())}, return_when="FIRST_COMPLETED")
        await until(lambda: life.done() or (value(kernel, "count") or 0) > 3)
        yield kernel
    finally:
        stop.set()
        await asyncio.wait_for(life, 60)


async def until(holds, seconds=60):
    async with asyncio.timeout(seconds):
        while not holds():
            await WallClock().sleep(0.02)


def value(kernel, path):
    return kernel.table.value(kernel.table[path])


def program(folder, *pairs):
    text = PROGRAM
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (folder / "plc/main.st").write_text(text)


TRIPLE = ("into * 2", "into * 3")
FAULTS = ("into * 2", "into / (into - into)")


def test_a_plc_that_starts_anew_runs_what_was_applied_and_no_edit_since(folder):
    async def main():
        async with running(folder) as kernel:
            (folder / "plc/main.st").write_text(PROGRAM.replace("into * 2", "into * 3"))
            kernel.supervisor.restart("plc")
            await until(lambda: plc(kernel)["restarts"] == 1)  # what it told before is bad by then
            await until(lambda: value(kernel, "out") is not None)
            assert value(kernel, "out") == 8

    asyncio.run(main())


def test_a_changed_program_is_taken_over_refused_left_again_and_gone_back_from(folder):
    async def main():
        async with running(folder) as kernel, PlantClient(find(str(folder))) as client:
            versions, since_ns = kernel.versions, plc(kernel)["since_ns"]
            assert value(kernel, "out") == 8
            program(folder, TRIPLE)
            (view,) = (await client.config_apply(dry_run=True, rehearse=20)).plan.online
            told = view.rehearsal
            assert (told.scans, told.differing, told.fault, view.reason) == (20, 1, "", "")
            assert [*told.differences] == [DifferenceLine(1, "s/l/out", 8, 12)]
            assert value(kernel, "out") == 8
            await kernel.gate.forcing.force("Main.out", 77, ENGINEER, "test", 0, None)

            program(folder, TRIPLE, ("VAR into", "VAR pad : LREAL; into"))
            told = (await client.config_apply(dry_run=True)).plan
            assert [each.effect for each in told.changes] == ["online change of plc"]
            assert (told.needs, told.restarts) == ((), ())
            (view,) = told.online
            assert (view.kept, [each.path for each in view.new], view.reason) == (3, ["Main.pad"], "")
            with pytest.raises(PlantError, match="engineer"):
                await versions.apply(OPERATOR, change=ONLINE)
            before = value(kernel, "count")
            assert (await client.config_apply("triple", online=True)).version == 2
            first = versions.running
            count = value(kernel, "count")
            assert count > before
            await until(lambda: value(kernel, "count") > count + 5)
            assert value(kernel, "out") == 77  # it is forced in the changed program, too

            with pytest.raises(WriteRejectedError, match="the one that runs"):
                await versions.apply(ENGINEER, change=ONLINE)

            program(folder, FAULTS)
            with pytest.raises(WriteRejectedError, match="rehearsal, at scan 1, task main stopped: division"):
                await versions.apply(ENGINEER, change=Change(Wish(rehearse=3), online=True))
            with pytest.raises(ReturnedError, match=r"division by zero at plc/main\.st:3"):
                await versions.apply(ENGINEER, change=ONLINE)
            assert versions.running == first
            count = value(kernel, "count")
            await until(lambda: value(kernel, "count") > count + 5)
            assert value(kernel, "out") == 77

            program(folder, ("into * 2", "into * nothing"))
            with pytest.raises(ConfigError, match="no variable nothing"):
                await versions.apply(ENGINEER, change=ONLINE)

            program(folder, ("into, out : DINT", "into, out : REAL"), ("* 2", "* 2.0"))
            (folder / "tags.csv").write_text(TAGS.replace("DINT", "REAL"))
            with pytest.raises(WriteRejectedError, match=r"Main\.out is forced"):
                await versions.apply(ENGINEER, change=ONLINE)
            await kernel.gate.forcing.release(["Main.out"], ENGINEER, "test")
            await until(lambda: value(kernel, "out") == 12)
            with pytest.raises(
                WriteRejectedError, match=r"Main.into \(DINT -> REAL\) and 1 more would begin"
            ):
                await versions.apply(ENGINEER, change=ONLINE)
            assert value(kernel, "out") == 12
            await versions.apply(ENGINEER, change=Change(Wish(reset=True), online=True))
            await until(lambda: value(kernel, "out") == 8.0)

            done = await client.config_rollback("previous", online=True, reset=True)
            assert (done.version, versions.running) == (first.number, first)
            assert "into * 3" in (folder / "plc/main.st").read_text()
            await until(lambda: value(kernel, "out") == 12)
            await kernel.gate.write(kernel.table["count"], 1_000_000, ENGINEER)
            await until(lambda: value(kernel, "count") > 1_000_000)
            assert plc(kernel)["since_ns"] == since_ns  # it never stopped
            assert plc(kernel)["restarts"] == 0

    asyncio.run(main())


def test_a_version_is_compiled_into_the_cache_of_the_plant_and_stays_as_it_was_kept(folder):
    file = folder / "plant.yaml"
    store = store_of(file)
    version = store.keep(store.present(), 1)
    before = sorted(store.place(version).rglob("*"))
    assemble_version(store, version, file)
    assert sorted(store.place(version).rglob("*")) == before
    assert list((folder / ".ironworks" / "cache" / "plc").iterdir())


def plc(kernel):
    return next(each for each in kernel.supervisor.views() if each["name"] == "plc")


def test_the_plan_and_the_rehearsal_are_told_in_words(capsys):
    lines = tuple(VariableLine(f"Main.v{number}", "INT") for number in range(25))
    told = RehearsalView(40, 1, (DifferenceLine(3, "s/l/out", 8, 12),), {"main": 21.4}, "division by zero")
    show_online(OnlineView("plc", 7, new=lines, reason="Main.p is a pointer", rehearsal=told))
    said = capsys.readouterr().out
    for text in (
        "plc: 7 kept, 25 new",
        "new      Main.v0 : INT",
        "5 more",
        "rehearsed for 40 scans; longest: main 21 us",
        "it stopped: division by zero",
        "s/l/out  8       12",
        "no online change: Main.p is a pointer",
        "config apply --restart",
    ):
        assert text in said
    show_online(OnlineView("plc", same=True))
    assert "the one that runs" in capsys.readouterr().out
