"""What happens in the loop is noted there, and told once; what becomes of a task after its fault."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest

from runtime.clock import WallClock
from runtime.testing import FakePort
from softplc.bridge import Bridge, BridgeOptions
from softplc.core.events import Events
from softplc.core.layout import EVENTS, Kind
from softplc.core.probe import Probe
from softplc.core.remote import Record
from softplc.core.thread import ScanThread
from softplc.wiring import FaultPolicy, OnFault, make_core, wire

SOURCE = """
PROGRAM Quick
VAR n : LINT; END_VAR
n := n + 1;
END_PROGRAM
PROGRAM Slow
VAR n : LINT; d : DINT := 1; out : DINT; work : DINT; k : DINT; END_VAR
n := n + 1;
FOR k := 1 TO work DO out := out * 3 + k; END_FOR;
out := 700 / d;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK quick (INTERVAL := T#2ms, PRIORITY := 1);
TASK slow (INTERVAL := T#5ms, PRIORITY := 2);
PROGRAM Quick WITH quick : Quick;
PROGRAM Slow WITH slow : Slow;
END_RESOURCE END_CONFIGURATION
"""
LINE = next(number for number, line in enumerate(SOURCE.splitlines(), 1) if "700 / d" in line)
SIGNALS = {
    "quick": ("LINT", "Quick.n", "out"),
    "n": ("LINT", "Slow.n", "out"),
    "out": ("DINT", "Slow.out", "out"),
    "d": ("DINT", "Slow.d", "rw"),
    "work": ("DINT", "Slow.work", "rw"),
}


@pytest.fixture
def build(compiled):
    return compiled(SOURCE)


@pytest.fixture
def core(build, plant_tags):
    """A function that scans with a policy for the task `slow`; returns the core."""
    running = []

    def core(slow=OnFault.SAFE):
        wiring = wire(plant_tags(**SIGNALS), build.application, FaultPolicy(tasks={"slow": slow}))
        core = make_core(build, wiring, 60_000_000_000)
        core.set_clock(time.time_ns() - time.monotonic_ns())
        core.rows = {name: core.output_rows[wiring.outputs[i].key][0] for i, name in enumerate(SIGNALS)}
        core.places = {name: wiring.outputs[i].variable for i, name in enumerate(SIGNALS)}
        thread = ScanThread(core.native, core.address, core.control, core.records)
        thread.start()
        running.append((core, thread))
        return core

    yield core
    for _, thread in running:
        assert thread.stop(60.0)


def shown(core, name):
    outputs = core.read_outputs()
    return None if outputs is None else int(outputs.raw[core.rows[name]])


def test_a_fault_is_noted_with_scan_time_and_place(core, until):
    began_ns = time.time_ns()
    core = core()
    events = Events(core)
    until(lambda: shown(core, "out") == 700)
    core.write(core.places["d"], 0)
    until(core.faults)
    found, lost = events.take()
    (fault,) = [each for each in found if each.kind is Kind.FAULT]
    assert (lost, found[0].kind, [each.number for each in found]) == (
        0,
        Kind.STARTED,
        list(range(1, len(found) + 1)),
    )
    assert (fault.mask, fault.b) == (2, LINE)
    assert 0 < fault.scans <= core.stats().scans
    assert began_ns < fault.at_ns < time.time_ns() + 500_000_000
    assert Kind.FAULT not in {each.kind for each in events.take()[0]}


def test_what_nobody_has_read_is_counted(core, until):
    core = core()
    events = Events(core)
    for number in range(EVENTS + 40):
        core.control.stale = number % 2
        told = number % 2
        until(lambda told=told: core.control.stale_told == told)
    found, lost = events.take()
    numbers = [each.number for each in found]
    assert EVENTS - 2 <= len(found) < EVENTS
    assert numbers == list(range(lost + 1, lost + 1 + len(found)))
    assert numbers[-1] >= EVENTS + 40


def test_overruns_in_a_row_are_two_events(core, until):
    core = core()
    events = Events(core)
    until(lambda: shown(core, "out") == 700)
    core.write(core.places["work"], 100_000_000)  # some 40 ms, where 5 are the interval
    until(lambda: core.records[1].row_overruns > 3)
    core.write(core.places["work"], 0)
    seen = []

    def caught_up():
        seen.extend(each for each in events.take()[0] if each.mask == 2 and each.kind is not Kind.FAULT)
        return any(each.kind is Kind.CAUGHT_UP and each.a > 2 for each in seen)

    until(caught_up)
    end = next(each for each in seen if each.kind is Kind.CAUGHT_UP and each.a > 2)
    begin = seen[seen.index(end) - 1]
    assert begin.kind is Kind.OVERRUN
    assert begin.scans < end.scans
    assert end.b >= end.a


@pytest.mark.parametrize(
    ("policy", "out", "stopped"), [("safe", 0, 1), ("hold", 700, 1), ("restart", 0, 1), ("stop", 0, 2)]
)
def test_policies_of_a_task(core, until, policy, out, stopped):
    core = core(OnFault(policy))
    until(lambda: shown(core, "out") == 700)
    core.write(core.places["d"], 0)

    def told():
        core.collect()
        return core.control.collected_faults

    until(told)
    assert shown(core, "out") == out
    assert len(core.faults()) == stopped
    before = shown(core, "quick")
    if policy == "stop":
        assert before == 0
    else:
        until(lambda: shown(core, "quick") > before)


@asynccontextmanager
async def bridge_of(build, port, folder, policy=OnFault.SAFE):
    options = BridgeOptions(policy=FaultPolicy(default=policy))
    task = asyncio.create_task(Bridge(lambda: build, options, folder).run(port))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


def kinds(port):
    return [event.kind for event in port.emitted]


def test_a_task_begins_anew_by_itself_until_it_has_done_so_too_often(build, plant_tags, tmp_path, eventually):
    async def main():
        port = FakePort(plant_tags(**SIGNALS), name="plc", clock=WallClock())
        async with bridge_of(build, port, tmp_path, OnFault.RESTART):
            await eventually(lambda: port.value("out") == 700)
            for times in range(1, 4):
                await port.command("d", 0)
                await eventually(lambda times=times: kinds(port).count("plc.changed") == times)
                assert kinds(port).count("plc.resumed") == times
                await eventually(lambda: port.value("out") == 700 and port.healthy)
            await port.command("d", 0)
            await eventually(lambda: "plc.gave_up" in kinds(port) and kinds(port).count("plc.fault") > 3)
            assert kinds(port).count("plc.fault") == 4
            assert not port.healthy
            before = port.value("quick")
            await eventually(lambda: port.value("quick") > before)

    asyncio.run(main())


KERNEL = """
import asyncio, os, pickle, signal, sys
from pathlib import Path
from runtime.clock import WallClock
from runtime.testing import FakePort
from softplc.bridge import Bridge, BridgeOptions
from softplc.build import Build
from softplc.core.remote import Record
build, tags, folder = pickle.loads(Path(sys.argv[1]).read_bytes())
port = FakePort(tags, name="plc", clock=WallClock())
async def main():
    bridge = Bridge(lambda: Build.from_bytes(build), BridgeOptions(), folder)
    plc = asyncio.create_task(bridge.run(port))
    while (port.value("n") or 0) < 100:
        await asyncio.sleep(0.01)
    os.kill(Record.read(folder).pid, signal.SIGSTOP)  # what is written now it scans without a kernel
    write = asyncio.create_task(port.command("d", 0))
    while not bridge._live._pending:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_a_fault_while_no_kernel_is_there_is_told_by_the_next_one(
    build, plant_tags, tmp_path, until, eventually
):
    tags, start = plant_tags(**SIGNALS), tmp_path / "start"
    start.write_bytes(pickle.dumps((build.to_bytes(), tags, tmp_path)))
    began_ns = time.time_ns()
    assert subprocess.run([sys.executable, "-c", KERNEL, str(start)]).returncode == -signal.SIGKILL
    probe = Probe(tmp_path)
    os.kill(probe.pid, signal.SIGCONT)
    until(lambda: probe.stopped and probe.stale)

    async def main():
        port = FakePort(tags, name="plc", clock=WallClock())
        async with bridge_of(build, port, tmp_path):
            await eventually(lambda: "plc.fresh" in kinds(port))
            assert Record.read(tmp_path).pid == probe.pid
            told = {event.kind: event for event in reversed(port.emitted)}  # the first of each
            assert kinds(port).count("plc.fault") == 1
            assert told["plc.fault"].data["line"] == LINE
            assert told["plc.fault"].data["scan"] > 100
            assert began_ns < told["plc.fault"].at_ns < told["plc.found"].at_ns
            assert told["plc.stale"].data["missed"]
            assert not told["plc.fresh"].data["missed"]
            assert began_ns < told["plc.stale"].at_ns < told["plc.found"].at_ns
            assert told["plc.stale"].at_ns < told["plc.fresh"].at_ns
            await eventually(lambda: probe.untold == 0)

    asyncio.run(main())
