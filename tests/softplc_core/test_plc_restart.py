"""One task begins anew while the others scan on."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from runtime.clock import WallClock
from runtime.errors import PlantError, UnknownVariableError, WriteRejectedError
from runtime.plcview import ForceOrder
from runtime.testing import FakePort
from softplc.bridge import Bridge, BridgeOptions

SOURCE = """
CONFIGURATION c
VAR_GLOBAL shared : DINT := 1; END_VAR
RESOURCE r ON PLC
TASK main (INTERVAL := T#5ms, PRIORITY := 1);
TASK other (INTERVAL := T#2ms, PRIORITY := 2);
TASK parts (INTERVAL := T#10ms, PRIORITY := 3);
PROGRAM Main WITH main : Main(block WITH parts);
PROGRAM Other WITH other : Other;
END_RESOURCE END_CONFIGURATION
FUNCTION_BLOCK Block
VAR n : DINT; END_VAR
n := n + 1;
END_FUNCTION_BLOCK
PROGRAM Main
VAR_EXTERNAL shared : DINT; END_VAR
VAR count, divisor : DINT := 1; block : Block; timer : TON; link : REF_TO DINT; END_VAR
VAR RETAIN kept : LINT; END_VAR
count := count + 100 / divisor / shared; kept := kept + 1; timer(IN := TRUE, PT := T#1h); link := REF(count);
END_PROGRAM
PROGRAM Other
VAR_EXTERNAL shared : DINT; END_VAR
VAR count : DINT; END_VAR
count := count + 1;
END_PROGRAM
"""
SIGNALS = {
    "count": ("DINT", "Main.count", "out"),
    "divisor": ("DINT", "Main.divisor", "rw"),
    "other": ("DINT", "Other.count", "out"),
}


@pytest.fixture
def start(compiled, plant_tags, tmp_path, eventually):
    build = compiled(SOURCE)

    @asynccontextmanager
    async def start():
        port = FakePort(plant_tags(**SIGNALS), name="plc", clock=WallClock())
        bridge = Bridge(lambda: build, BridgeOptions(), tmp_path)
        task = asyncio.create_task(bridge.run(port))
        try:
            await eventually(lambda: task.done() or port.value("count") is not None)
            assert not task.done(), task.exception()
            yield bridge.controller, port
        finally:
            task.cancel()
            await asyncio.wait([task])

    return start


async def values(controller):
    (main, other) = (await controller.read(["Main", "Other"])).variables
    return main.value, other.value


def test_a_task_that_a_fault_has_stopped_begins_anew_while_the_others_go_on(start, eventually):
    async def main():
        async with start() as (controller, port):
            await eventually(lambda: port.value("count") > 2_000)
            await port.command("divisor", 0)
            await eventually(lambda: port.value("sys/plc/fault"))
            before, other = await values(controller)
            assert "division by zero" in controller.figures().tasks[0].fault
            await controller.restart(cold=False, task="MAIN")
            after, more = await values(controller)
            assert after["divisor"] == 1
            assert (after["count"] - 1) / 100 == after["kept"] - before["kept"] > 0
            assert more["count"] > other["count"]
            await eventually(lambda: port.value("sys/plc/fault") is False and port.value("count") is not None)
            assert port.healthy
            assert {task.fault for task in controller.figures().tasks} == {""}

            await controller.restart(cold=True, task="main")
            cold, most = await values(controller)
            assert (cold["count"] - 1) / 100 == cold["kept"] > 0
            assert most["count"] > more["count"]
            begun = [
                row.quality >> 30
                for batch in port.submitted
                for row in batch
                if row.id == port.tags["other"].id
            ]
            assert set(begun) == {0}  # nothing else was bad for a moment

    asyncio.run(main())


def test_one_that_fails_again_at_once_is_left_as_it_was(start, eventually, monkeypatch):
    async def main():
        async with start() as (controller, port):
            await controller.force(ForceOrder("shared", 0, 0, "anna", "test"))
            await eventually(lambda: port.value("sys/plc/fault"))
            before, _ = await values(controller)
            with monkeypatch.context() as patch:
                patch.setattr("softplc.bridge.TRIAL_NS", 300_000_000_000)  # its first scan may come late
                with pytest.raises(PlantError, match="division by zero"):
                    await controller.restart(cold=False, task="main")
            after, other = await values(controller)
            assert after["count"] == before["count"]
            assert "division by zero" in controller.figures().tasks[0].fault
            await controller.force(ForceOrder("shared", 1, 0, "anna", "test"))
            await controller.restart(cold=False, task="main")
            assert (await values(controller))[1]["count"] > other["count"]
            for task, kind, says in (
                ("mian", UnknownVariableError, "there is no task 'mian'"),
                ("parts", WriteRejectedError, "runs no program of its own"),
            ):
                with pytest.raises(kind, match=says):
                    await controller.restart(cold=False, task=task)

    asyncio.run(main())
