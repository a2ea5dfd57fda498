"""Watch, force and restart of a running PLC, over the deaths of kernel and core."""

import asyncio
import json
import os
import signal
import time
from contextlib import asynccontextmanager

import pytest

import softplc
from runtime.clock import WallClock, monotonic_ns
from runtime.contract import Quality
from runtime.errors import ConnectError, PlantError, StoreError, UnknownVariableError, WriteRejectedError
from runtime.plcview import FORCED, WATCHED, ForceOrder
from runtime.testing import FakePort
from softplc import launch
from softplc.bridge import Bridge, BridgeOptions
from softplc.build import Build
from softplc.core import remote
from softplc.core.forces import Forces
from softplc.core.remote import CoreProcess, Options, key_of
from softplc.forcebook import FILE, ForceBook
from softplc.lookup import Lookup
from softplc.wiring import lay_core, wire

SOURCE = """
FUNCTION_BLOCK Part
VAR CONSTANT most : INT := 6; END_VAR
VAR_OUTPUT q : INT; END_VAR
q := most;
END_FUNCTION_BLOCK
PROGRAM Main
VAR speed : REAL; double : REAL; count : LINT; many : ARRAY[1..300] OF INT; END_VAR
VAR RETAIN kept : LINT; END_VAR
VAR CONSTANT most : INT := 5; END_VAR
VAR part : Part; END_VAR
VAR bits AT %MB2 : BYTE; bit AT %MX2.0 : BOOL; END_VAR
double := speed * 2.0; count := count + 1; kept := kept + 1;
END_PROGRAM
PROGRAM Store
VAR big : ARRAY[1..30000] OF INT; END_VAR
big[1] := 1;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#2ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
PROGRAM Store WITH main : Store;
END_RESOURCE END_CONFIGURATION
"""
SIGNALS = {
    "speed": ("REAL", "Main.speed", "in"),
    "double": ("REAL", "Main.double", "out"),
    "count": ("LINT", "Main.count", "rw"),
    "kept": ("LINT", "Main.kept", "rw"),
}
FAR = 1_000_000_000  # no program here counts so far by itself


@pytest.fixture(scope="module")
def build(core_object):
    return Build(softplc.compile(sources={"main.st": SOURCE}), core_object)


@pytest.fixture
def start(build, plant_tags, tmp_path, eventually):
    """A context in which the bridge runs on a port: yields its controller and the port."""

    @asynccontextmanager
    async def start(program=build, before=lambda port: None):
        port = FakePort(plant_tags(**SIGNALS), name="plc", clock=WallClock())
        port.set("speed", 4.0)
        before(port)
        bridge = Bridge(lambda: program, BridgeOptions(), tmp_path)
        task = asyncio.create_task(bridge.run(port))
        try:
            await eventually(lambda: task.done() or port.value("double") is not None)
            assert not task.done(), task.exception()
            yield bridge.controller, port
        finally:
            task.cancel()
            await asyncio.wait([task])

    return start


def order(path, value, for_ns=0):
    return ForceOrder(path, value, for_ns, "anna", "test")


async def value(controller, path):
    (view,) = (await controller.read([path])).variables
    return view.value


def pid_of(folder):
    return json.loads((folder / remote.RECORD).read_text())["pid"]


def test_what_is_forced_is_seen_listed_told_and_released(start, eventually):
    async def main():
        async with start() as (controller, port):
            assert port.value("sys/plc/forces") == 0
            view = await controller.force(order("MAIN.Double", "9.5"))
            assert (view.path, view.type, view.value, view.until_ns) == ("Main.double", "REAL", 9.5, 0)
            assert view.tags == ("site/area/line/double",)
            await eventually(lambda: port.value("double") == 9.5)
            await eventually(lambda: port.quality("double") == Quality.GOOD_LOCAL_OVERRIDE)
            await eventually(lambda: port.value("sys/plc/forces") == 1)
            seen = (await controller.read(["Main.double", "Main", "Main.speed"])).variables
            assert [each.forced for each in seen] == [True, True, False]
            assert seen[2].tags == ("site/area/line/speed",)
            await controller.force(order("Main.double", 8))  # another value in its place
            assert [each.value for each in controller.forces()] == [8.0]
            assert controller.figures().forces == 1
            await controller.release(["main.DOUBLE"])
            assert controller.forces() == ()
            await eventually(lambda: port.value("double") == 8.0 and port.quality("double") == Quality.GOOD)
            assert port.value("sys/plc/forces") == 0

    asyncio.run(main())


def test_what_cannot_be_is_refused_with_the_reason(start, tmp_path):
    async def main():
        async with start() as (controller, _):
            await controller.force(order("Main.bit", True))
            for wrong, kind, says in (
                (order("Main.bits", 7), WriteRejectedError, "shares memory with Main.bit"),
                (order("Main.many", 7), UnknownVariableError, "its parts are forced"),
                (order("Main.nope", 7), UnknownVariableError, "no variable"),
                (order("Main.count", "x"), PlantError, "no value"),
            ):
                with pytest.raises(kind, match=says):
                    await controller.force(wrong)
            for constant in ("Main.most", "Main.part.most"):
                with pytest.raises(WriteRejectedError, match=f"{constant} is a constant"):
                    controller.target(constant)
            with pytest.raises(UnknownVariableError, match="no variable"):
                await controller.read(["Main.count", "Main.nope"])
            for paths in (["Store.big"], ["Main.count"] * (WATCHED + 1)):
                with pytest.raises(PlantError, match=r"are too m(any|uch)"):
                    await controller.read(paths)
            for number in range(1, FORCED):
                await controller.force(order(f"Main.many[{number}]", number))
            with pytest.raises(WriteRejectedError, match="forced already"):
                await controller.force(order("Main.count", 1))
            assert await value(controller, f"Main.many[{FORCED - 1}]") == FORCED - 1
            await controller.release([each.path for each in controller.forces()])
            (tmp_path / FILE).unlink()
            (tmp_path / FILE).mkdir()  # a disk that refuses
            with pytest.raises(StoreError, match="cannot be written"):
                await controller.force(order("Main.count", 1))
            assert controller.forces() == ()
            assert (await controller.read(["Main"])).variables[0].forced is False
            (tmp_path / FILE).rmdir()
        for ask in (controller.read(["Main.count"]), controller.force(order("Main.count", 1))):
            with pytest.raises(ConnectError, match="does not run"):
                await ask

    asyncio.run(main())


def test_a_force_whose_time_is_over_ends_and_waits_to_be_audited(start, tmp_path, eventually):
    async def main():
        async with start() as (controller, port):
            hour_ns = 3_600_000_000_000
            view = await controller.force(order("Main.speed", 50.0, for_ns=hour_ns))
            assert 0 < view.until_ns - port.clock.now_ns() <= hour_ns
            await eventually(lambda: port.value("double") == 100.0)
            await controller.force(order("Main.speed", 50.0, for_ns=300_000_000))
            await eventually(lambda: controller.ended())
            await eventually(lambda: port.value("double") == 8.0)  # the tag again
            assert controller.forces() == ()
            (ended,) = controller.ended()
            assert (ended.path, ended.value, ended.actor, ended.why) == (
                "Main.speed", 50.0, "anna", "its time is over",
            )  # fmt: skip
            assert "Main.speed" in (tmp_path / FILE).read_text()  # a kill now loses no row of the audit
            await controller.forget([ended.number])
            assert controller.ended() == ()
            assert "Main.speed" not in (tmp_path / FILE).read_text()

    asyncio.run(main())


def test_forces_outlive_core_component_and_restarts(start, tmp_path, monkeypatch, eventually):
    monkeypatch.setattr(launch, "_SOUND_NS", 0)

    async def main():
        async with start() as (controller, port):
            await controller.force(order("Main.double", 1.5))
            await controller.force(order("Main.kept", -7))
            os.kill(pid_of(tmp_path), signal.SIGKILL)
            await eventually(lambda: port.value("sys/plc/died"))
            await eventually(lambda: port.value("double") == 1.5)
            assert port.quality("double") == Quality.GOOD_LOCAL_OVERRIDE
            await controller.restart(cold=True)
            assert await value(controller, "Main.double") == 1.5
            await controller.release(["Main.kept"])
        async with start() as (controller, port):
            assert [(each.path, each.value, each.actor) for each in controller.forces()] == [
                ("Main.double", 1.5, "anna")
            ]
            seen = {row.raw for batch in port.submitted for row in batch if row.id == port.tags["double"].id}
            assert len(seen) == 1  # from the first scan on
            assert port.value("sys/plc/forces") == 1

    asyncio.run(main())


def test_a_warm_restart_keeps_what_is_retained_and_a_cold_one_nothing(start, eventually):
    async def main():
        async with start() as (controller, port):
            for name in ("kept", "count"):
                assert await port.command(name, FAR) is None
            kept = port.value("kept")
            assert kept > FAR
            await controller.restart(cold=False)
            assert await value(controller, "Main.kept") >= kept
            assert await value(controller, "Main.count") < FAR
            assert await value(controller, "Main.speed") == 4.0  # present inputs, not initial ones
            await controller.restart(cold=True)
            assert await value(controller, "Main.kept") < FAR
            both = (await controller.read(["Main.kept", "Main.count"])).variables
            assert both[0].value == both[1].value
            told = [
                row.quality for batch in port.submitted for row in batch if row.id == port.tags["double"].id
            ]
            assert told.count(Quality.BAD_NOT_CONNECTED) == 2

    asyncio.run(main())


def test_another_program_keeps_the_forces_that_it_has_a_variable_for(start, core_object):
    changed = SOURCE.replace("count : LINT", "count : DINT").replace("kept : LINT", "more : INT; kept : LINT")
    other = Build(softplc.compile(sources={"main.st": changed}), core_object)

    async def main():
        async with start() as (controller, _):
            for path in ("Main.double", "Main.count", "Main.kept", "Main.many[2]"):
                await controller.force(order(path, 5))

        def less(port):
            port.set("speed", 1.0)

        signals = {**SIGNALS, "count": ("LINT", "Main.kept", "out")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SIGNALS, "count", signals["count"])
            async with start(other, less) as (controller, _):
                assert [each.path for each in controller.forces()] == [
                    "Main.double",
                    "Main.kept",
                    "Main.many[2]",
                ]
                (ended,) = controller.ended()
                assert ended.why == "Main.count is DINT now, not LINT"
                assert await value(controller, "Main.many[2]") == 5

    asyncio.run(main())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"next": 1, "forces": [{}]}'])
def test_a_damaged_book_forces_nothing_and_is_told(tmp_path, caplog, data):
    (tmp_path / FILE).write_bytes(data)
    book = ForceBook(tmp_path)
    book.load(0)
    assert not book.entries
    assert book.lost
    assert "nothing is forced" in caplog.text
    assert not (tmp_path / FILE).exists()
    assert (tmp_path / FILE).with_suffix(".corrupt").read_bytes() == data


def test_the_core_ends_a_force_without_a_kernel_and_the_next_one_learns_it(
    build, plant_tags, tmp_path, until
):
    tags = plant_tags(**SIGNALS)
    wiring = wire(tags, build.application)
    now_ns = time.time_ns()
    forces = [
        {"number": number, "path": path, "type": kind, "value": 3, "since_ns": 1, "until_ns": until_ns,
         "actor": "anna", "reason": "test"}
        for number, path, kind, until_ns in (
            (1, "Main.double", "REAL", now_ns + 400_000_000),
            (2, "Main.count", "LINT", now_ns + 3_600_000_000_000),
        )
    ]  # fmt: skip
    (tmp_path / FILE).write_text(json.dumps({"next": 3, "forces": forces}))
    book = ForceBook(tmp_path)
    book.load(now_ns)
    book.resolve(Lookup(build.application))

    def lay(fd):
        core = lay_core(build, wiring, fd=fd)
        book.lay(Forces(core))
        return core

    options = Options()
    process = CoreProcess.start(lay, build, key_of(build, "", options), tmp_path, options)
    try:
        until(lambda: process.core.control.forces_ended == 1)  # nobody beats or collects
        other = ForceBook(tmp_path)
        other.load(now_ns - 10**15)  # whatever the clock of the next kernel says
        other.resolve(Lookup(build.application))
        found = CoreProcess.find(
            lambda fd: lay_core(build, wiring, fd=fd, attach=True), key_of(build, "", options), tmp_path
        )
        assert found is not None
        forces = Forces(found.core)
        other.learn(forces)
        assert [entry.path for entry, _ in other.over.values()] == ["Main.double"]
        assert [each.path for each in other.entries] == ["Main.count"]
        assert other.remaining_ns(2) < 3_600_000_000_000
        other.hand_over(forces)
        until(lambda: forces.settled)
        assert list(forces.there()) == [2]
        assert monotonic_ns() < forces.there()[2]
    finally:
        process.stop()
