"""The component `plc` against a fake port: what an operator and the supervisor would see."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from runtime.clock import WallClock
from runtime.contract import Quality
from runtime.errors import PlantError
from runtime.testing import FakePort
from softplc.bridge import Bridge, BridgeOptions, CoreDiedError
from softplc.wiring import FaultPolicy

SOURCE = """
PROGRAM Main
VAR speed : REAL; double_speed : REAL; count : DINT; divisor : DINT := 1; quotient : DINT := 3; END_VAR
double_speed := speed * 2.0;
count := count + 1;
quotient := 100 / divisor;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#5ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
LINE = next(number for number, line in enumerate(SOURCE.splitlines(), 1) if "100 / divisor" in line)
SIGNALS = {
    "speed": ("REAL", "Main.speed", "in"),
    "double": ("REAL", "Main.double_speed", "out"),
    "count": ("DINT", "Main.count", "rw"),
    "divisor": ("DINT", "Main.divisor", "rw"),
    "quotient": ("DINT", "Main.quotient", "out"),
}


@pytest.fixture
def running(compiled, plant_tags, tmp_path):
    """A context with the bridge running on a port; stops it and says how long that took."""

    @asynccontextmanager
    async def running(source=SOURCE, signals=SIGNALS, before=lambda port: None, **options):
        build = compiled(source)
        port = FakePort(plant_tags(**signals), name="plc", clock=WallClock())
        before(port)
        task = asyncio.create_task(Bridge(lambda: build, BridgeOptions(**options), tmp_path).run(port))
        try:
            async with asyncio.timeout(60):
                while not port.submitted:
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.005)
                yield port
        finally:
            began = time.monotonic()
            task.cancel()
            await asyncio.wait([task])
            assert time.monotonic() - began < 30.0

    return running


async def eventually(condition, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.005)


def told(port, kind):
    return [event for event in port.emitted if event.kind == kind]


def test_it_ends_when_it_is_told_even_while_its_core_dies(compiled, plant_tags, tmp_path, monkeypatch):
    """A task group whose task fails as it ends swallows the cancellation (Python 3.11)."""

    async def dies(live):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise CoreDiedError("it was killed as well") from None

    monkeypatch.setattr("softplc.bridge._Live._take_commands", dies)
    build = compiled(SOURCE)

    async def main():
        port = FakePort(plant_tags(**SIGNALS), name="plc", clock=WallClock())
        task = asyncio.create_task(Bridge(lambda: build, BridgeOptions(), tmp_path).run(port))
        await eventually(lambda: port.submitted or task.done())
        task.cancel()
        await asyncio.wait([task], timeout=60)
        ended = task.cancelled()
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1)
        assert ended

    asyncio.run(main())


def test_tags_go_in_and_outputs_come_back(running):
    async def main():
        async with running(before=lambda port: port.set("speed", 1.5)) as port:
            await eventually(lambda: port.value("double") == 3.0)
            port.set("speed", 8.0)
            await eventually(lambda: port.value("double") == 16.0)
            assert port.healthy
            assert "SCHED_" in port.health_text or "no real-time priority: " in port.health_text

    asyncio.run(main())


def test_the_first_scan_already_sees_the_present_inputs(running):
    async def main():
        async with running(before=lambda port: port.set("speed", 1.5)) as port:
            await eventually(lambda: port.value("double") is not None)
            id_ = port.tags["double"].id
            assert {row.raw for batch in port.submitted for row in batch if row.id == id_} == {
                port.tags["double"].data_type.encode(3.0)
            }

    asyncio.run(main())


def test_outputs_carry_the_time_of_the_scan(running):
    async def main():
        began_ns = time.time_ns()
        async with running() as port:
            await eventually(lambda: port.value("count") is not None)
            at_ns = int(port.tags.snapshot().source_ns[port.tags["count"].id])
            assert began_ns < at_ns < time.time_ns() + 500_000_000

    asyncio.run(main())


def test_an_input_of_bad_quality_is_held_and_counted(running):
    async def main():
        async with running(before=lambda port: port.set("speed", 1.5)) as port:
            await eventually(lambda: port.value("double") == 3.0)
            port.set("speed", 50.0, Quality.BAD_NO_COMMUNICATION)
            await eventually(lambda: port.value("sys/plc/inputs_held") == 1)
            assert port.value("double") == 3.0

    asyncio.run(main())


def test_an_operators_write_is_done_after_the_scan_that_took_it(running):
    async def main():
        async with running() as port:
            assert await port.command("count", 1_000_000) is None
            assert port.value("count") > 1_000_000

    asyncio.run(main())


def test_a_write_that_the_variables_type_has_no_value_for_is_refused(running):
    source = """
    TYPE Mode : (IDLE, RUNNING := 5); Level : INT(3..9); END_TYPE
    PROGRAM Main VAR mode : Mode; level : Level; count : DINT; END_VAR count := count + 1; END_PROGRAM
    """
    signals = {name: ("INT", f"Main.{name}", "rw") for name in ("mode", "level")}

    async def main():
        async with running(source, {**signals, "count": ("DINT", "Main.count", "out")}) as port:
            assert await port.command("mode", 5) is None
            assert "1 is no value of Mode (it has IDLE, RUNNING)" in await port.command("mode", 1)
            assert await port.command("level", 9) is None
            assert "it takes 3 to 9" in await port.command("level", 10)
            assert (port.value("mode"), port.value("level")) == (5, 9)

    asyncio.run(main())


def test_a_fault_is_an_event_bad_quality_degraded_health_and_an_alarm_tag(running):
    async def main():
        async with running() as port:
            await eventually(lambda: port.value("quotient") == 100)
            assert port.value("sys/plc/fault") is False
            await port.command("divisor", 0)
            await eventually(lambda: told(port, "plc.fault") and not port.healthy)
            text = f"task main stopped: division by zero at plc/main.st:{LINE} in Main (100 / 0)"
            (event,) = told(port, "plc.fault")
            assert (event.source, event.text) == ("plc", text)
            assert event.data["line"] == LINE
            assert not port.healthy
            assert port.health_text == text
            assert port.quality("quotient") == Quality.BAD_DEVICE_FAILURE
            assert int(port.tags.snapshot().raw[port.tags["quotient"].id]) == 0
            assert port.value("sys/plc/fault") is True
            assert port.value("sys/plc/running") is False
            assert "stopped by a fault" in await port.command("count", 5)

    asyncio.run(main())


def test_configured_safe_values_replace_those_of_a_stopped_task(running):
    async def main():
        policy = FaultPolicy(safe={"site/area/line/quotient": -1})
        async with running(policy=policy) as port:
            await port.command("divisor", 0)
            await eventually(lambda: not port.healthy)
            tag = port.tags["quotient"]
            assert tag.data_type.decode(int(port.tags.snapshot().raw[tag.id])) == -1

    asyncio.run(main())


def test_figures_are_refreshed(running):
    async def main():
        async with running() as port:
            await eventually(lambda: (port.value("sys/plc/scans") or 0) > 20)
            assert 0 < port.value("sys/plc/scan_p50_us") <= port.value("sys/plc/scan_max_us")

    asyncio.run(main())


def test_a_tag_without_a_variable_in_the_program_stops_the_component_with_a_reason(running):
    async def main():
        with pytest.raises(AssertionError, match=r"no variable 'Main\.sped'"):
            async with running(signals={"speed": ("REAL", "Main.sped", "in")}):
                pass

    asyncio.run(main())


def test_a_program_that_does_not_compile_is_told(plant_tags, tmp_path):
    def fail():
        raise PlantError("plc/main.st:3:1: error")

    async def main():
        port = FakePort(plant_tags(), name="plc", clock=WallClock())
        with pytest.raises(PlantError, match=r"main\.st"):
            await Bridge(fail, BridgeOptions(), tmp_path).run(port)

    asyncio.run(main())
