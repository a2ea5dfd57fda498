"""The core as a process of its own: it outlives the kernel, and comes back when it is killed."""

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import numpy as np
import pytest

from runtime.clock import WallClock, monotonic_ns
from runtime.contract import Quality
from runtime.errors import PlantError
from runtime.testing import FakePort
from softplc import launch
from softplc.bridge import Bridge, BridgeOptions
from softplc.core import remote
from softplc.core.layout import END_ALONE, END_REPLACED
from softplc.core.remote import CoreProcess, Options, key_of
from softplc.wiring import lay_core, wire

SOURCE = """
PROGRAM Main
VAR speed : REAL; double_speed : REAL; count : LINT; hang : BOOL; END_VAR
double_speed := speed * 2.0;
count := count + 1;
WHILE hang DO speed := speed + 1.0; END_WHILE;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#2ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
SIGNALS = {
    "speed": ("REAL", "Main.speed", "in"),
    "double": ("REAL", "Main.double_speed", "out"),
    "count": ("LINT", "Main.count", "rw"),
    "hang": ("BOOL", "Main.hang", "rw"),
}


@pytest.fixture
def plc(compiled, plant_tags, tmp_path):
    """A program on a core of its own; all that were started are gone at the end."""
    plc = Plc(compiled(SOURCE), plant_tags(**SIGNALS), tmp_path)
    yield plc
    for process in plc.started:
        if process.alive:
            process.stop()


class Plc:
    def __init__(self, build, tags, folder):
        self.build, self.tags, self.folder = build, tags, folder
        self.wiring = wire(tags, build.application)
        self.started = []

    def start(self, watchdog_limit_ns=0, **options):
        options = Options(**options)

        def lay(fd):
            core = lay_core(self.build, self.wiring, watchdog_limit_ns, fd=fd)
            core.set_clock(time.time_ns() - monotonic_ns())
            return core

        process = CoreProcess.start(lay, self.build, self.key(options), self.folder, options)
        self.started.append(process)
        return process

    def find(self, key=None):
        def lay(fd):
            return lay_core(self.build, self.wiring, fd=fd, attach=True)

        return CoreProcess.find(lay, key or self.key(Options()), self.folder)

    def key(self, options):
        return key_of(self.build, "", options)

    def send(self, core, name, value):
        tag = self.tags[name]
        raw = np.array([tag.data_type.encode(value)], np.uint64)
        core.write_inputs(np.array([tag.id], np.int32), raw, np.zeros(1, np.uint32))

    def shown(self, core, name):
        row = [bound.key for bound in self.wiring.outputs].index(self.tags[name].id)
        outputs = core.read_outputs()
        return None if outputs is None else self.tags[name].data_type.decode(int(outputs.raw[row]))


def test_values_pass_both_ways_and_it_ends_when_asked(plc, until):
    process = plc.start()
    plc.send(process.core, "speed", 21.0)
    until(lambda: plc.shown(process.core, "double") == 42.0)
    assert process.pid != os.getpid()
    assert process.alive
    assert "SCHED_FIFO" in process.scheduling() or "no real-time priority: " in process.scheduling()
    assert process.stop()
    assert not (plc.folder / remote.RECORD).exists()


def test_another_kernel_takes_it_over_where_it_is(plc, until):
    process = plc.start()
    plc.send(process.core, "speed", 1.0)
    until(lambda: plc.shown(process.core, "double") == 2.0)
    before = plc.shown(process.core, "count")
    other = plc.find()
    assert (other.pid, other.alone_ns > 0) == (process.pid, True)
    until(lambda: plc.shown(other.core, "count") > before + 10)
    assert plc.shown(other.core, "double") == 2.0
    changed = other.core.collect()
    assert {plc.tags["count"].id, plc.tags["double"].id} <= set(changed.ids.tolist())
    plc.send(other.core, "speed", 5.0)
    until(lambda: plc.shown(other.core, "double") == 10.0)


@pytest.mark.parametrize("noted", [True, False])
def test_a_kernel_that_died_within_a_hand_over_mixes_no_buffers_up(plc, until, noted):
    process = plc.start()
    control = process.core.control
    plc.send(process.core, "speed", 1.0)
    if not noted:  # as if it had died after the exchange: the number of its buffer is an old one
        control.filling = control.ready & 3
    other = plc.find()
    for number in range(200):
        plc.send(other.core, "speed", float(number))
        assert sorted({control.filling, control.ready & 3, control.latched}) in (
            [0, 1, 2],
            [0, 1],
            [0, 2],
            [1, 2],
        )
    until(lambda: plc.shown(other.core, "double") == 398.0)
    assert sorted([control.filling, control.ready & 3, control.latched]) == [0, 1, 2]


def test_a_core_of_another_program_is_ended_and_not_taken_over(plc):
    process = plc.start()
    assert plc.find("another key") is None
    assert not process.alive


def test_a_record_of_a_process_that_is_gone_or_another_one_is_no_core(plc):
    process = plc.start()
    os.kill(process.pid, signal.SIGSTOP)  # else it may see first that the record does not name it
    record = json.loads((plc.folder / remote.RECORD).read_text())
    (plc.folder / remote.RECORD).write_text(json.dumps(record | {"ticks": record["ticks"] + 1}))
    assert plc.find() is None
    assert process.alive  # not ours to end: the pid may be anybody's
    os.kill(process.pid, signal.SIGCONT)
    for text in ("", "[]", "{}", '{"pid": 1}', json.dumps(record | {"pid": 4_000_000})):
        (plc.folder / remote.RECORD).write_text(text)
        assert plc.find() is None


def test_without_a_kernel_inputs_go_stale_and_in_the_end_it_ends(plc, until):
    options = {"stale_ns": 500_000_000}
    process = plc.start(**options)
    until(lambda: process.core.control.stale == 1)
    found = plc.find(plc.key(Options(**options)))
    assert found.was_stale
    assert found.alone_ns > 500_000_000
    before = until(lambda: plc.shown(process.core, "count"))
    until(lambda: plc.shown(process.core, "count") > before)
    process.core.control.beat_ns -= Options().alone_ns
    until(lambda: not process.alive)
    assert process.core.control.end == END_ALONE
    assert "without a kernel" in process.why()


def test_a_core_was_stale_however_soon_it_is_fresh_when_it_is_found(plc, until, monkeypatch):
    options = Options(stale_ns=500_000_000)
    process = plc.start(stale_ns=options.stale_ns)
    control = process.core.control
    until(lambda: control.stale_told)
    head, real = control.event_head, CoreProcess.__init__

    def late(self, *args):
        until(lambda: control.stale_told == 0 or control.beat_ns < monotonic_ns() - options.stale_ns)
        real(self, *args)

    monkeypatch.setattr(CoreProcess, "__init__", late)
    found = plc.find(plc.key(options))
    assert found.was_stale
    assert found.missed == head
    until(lambda: control.event_head > head)  # it is fresh again, which is not missed


def test_a_core_that_no_record_names_ends(plc, until, monkeypatch):
    process = plc.start()
    record = json.loads((plc.folder / remote.RECORD).read_text())
    (plc.folder / remote.RECORD).write_text(json.dumps(record | {"pid": os.getpid()}))
    end = time.monotonic() + 60
    while process.alive and time.monotonic() < end:
        process.core.control.beat_ns = monotonic_ns()
        time.sleep(0.05)
    assert process.core.control.end == END_REPLACED


def test_sigterm_is_for_the_kernel_as_long_as_there_is_one(plc, until):
    process = plc.start()
    process.core.control.beat_ns = monotonic_ns() + 60_000_000_000  # however late the next one is
    os.kill(process.pid, signal.SIGTERM)
    before = until(lambda: plc.shown(process.core, "count"))  # the first scan may be still to come
    until(lambda: plc.shown(process.core, "count") > before + 200)
    assert process.alive
    process.core.control.beat_ns = monotonic_ns() - 400_000_000
    os.kill(process.pid, signal.SIGTERM)
    until(lambda: not process.alive)


def test_an_endless_loop_does_not_keep_it_from_ending(plc, until):
    process = plc.start(600_000_000_000)  # else the watchdog may be there first
    variable = next(b.variable for b in plc.wiring.outputs if b.key == plc.tags["hang"].id)
    process.core.write(variable, 1)
    until(lambda: process.core.control.active)
    assert process.stop(), "it was killed"


def test_a_process_that_does_not_start_is_told(plc, monkeypatch, tmp_path):
    file = tmp_path / "python"
    file.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    file.chmod(0o755)
    monkeypatch.setattr(remote.sys, "executable", str(file))
    with pytest.raises(PlantError, match="no such thing") as caught:
        plc.start()
    assert "core.log" in caught.value.remedy


@asynccontextmanager
async def running(plc, port):
    """The bridge on a port, under what restarts it as the supervisor does; at the end it is cancelled."""
    component = plc.bridge = Bridge(lambda: plc.build, BridgeOptions(), plc.folder)
    ends = []

    async def live():
        while True:
            try:
                await component.run(port)
            except PlantError as exc:
                ends.append(exc.text)

    task = asyncio.create_task(live())
    try:
        yield ends
    finally:
        task.cancel()
        await asyncio.wait([task])


def pid_of(plc):
    return json.loads((plc.folder / remote.RECORD).read_text())["pid"]


FAR = 1_000_000_000  # no program here counts so far by itself


def test_a_killed_core_comes_back_with_the_state_of_its_last_scan(plc, monkeypatch, eventually):
    monkeypatch.setattr(launch, "_SOUND_NS", 0)

    async def main():
        port = FakePort(plc.tags, name="plc", clock=WallClock())
        async with running(plc, port) as ends:
            await eventually(lambda: port.value("count"))
            assert await port.command("count", FAR) is None
            control = plc.bridge._live.core.control
            copies = control.copy_done
            await eventually(lambda: control.copy_done > copies + 1)  # it may be killed amid a scan
            before, pid = port.value("count"), pid_of(plc)
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: port.value("sys/plc/died"))
            await eventually(lambda: (port.value("count") or 0) > before + 200)
            assert port.value("count") < 2 * FAR
            assert pid_of(plc) != pid
            id_ = port.tags["double"].id
            told = [row.quality for batch in port.submitted for row in batch if row.id == id_]
            assert told == [Quality.GOOD, Quality.BAD_NOT_CONNECTED, Quality.GOOD]
            assert not ends
            monkeypatch.setattr(launch, "_SOUND_NS", 10**18)
            os.kill(pid_of(plc), signal.SIGKILL)  # so soon: it may have died of its state
            await eventually(lambda: ends)
            assert "killed by signal 9" in ends[0]
            port.set("count", 0)
            await eventually(lambda: port.value("count") > 0)
            assert port.value("count") < FAR

    asyncio.run(main())
    assert not (plc.folder / remote.RECORD).exists()


def test_a_core_that_was_stopped_in_order_begins_anew(plc, eventually):
    async def main():
        port = FakePort(plc.tags, name="plc", clock=WallClock())
        async with running(plc, port):
            await eventually(lambda: port.value("count"))
            assert await port.command("count", FAR) is None
            assert port.value("count") >= FAR
        again = FakePort(plc.tags, name="plc", clock=WallClock())
        async with running(plc, again):
            await eventually(lambda: again.value("count") is not None)
            assert again.value("count") < FAR

    asyncio.run(main())


KERNEL = """
import asyncio, pickle, sys
from pathlib import Path
from runtime.clock import WallClock
from runtime.testing import FakePort
from softplc import launch
from softplc.bridge import Bridge, BridgeOptions
from softplc.build import Build
build, tags, folder = pickle.loads(Path(sys.argv[1]).read_bytes())
port = FakePort(tags, name="plc", clock=WallClock())
async def main():
    plc = asyncio.create_task(Bridge(lambda: Build.from_bytes(build), BridgeOptions(), folder).run(port))
    while not port.value("count"):
        await asyncio.sleep(0.01)
    print("scans", flush=True)
    await plc
asyncio.run(main())
"""


def test_the_core_scans_on_when_its_kernel_is_killed_and_the_next_one_finds_it(plc, eventually):
    start = plc.folder / "start"
    start.write_bytes(pickle.dumps((plc.build.to_bytes(), plc.tags, plc.folder)))
    with subprocess.Popen([sys.executable, "-c", KERNEL, str(start)], stdout=subprocess.PIPE) as kernel:
        assert kernel.stdout.readline()
        pid = pid_of(plc)
        kernel.kill()

    async def main():
        port = FakePort(plc.tags, name="plc", clock=WallClock())
        async with running(plc, port):
            await eventually(lambda: (port.value("count") or 0) > 0)
            assert pid_of(plc) == pid
            (found,) = [event for event in port.emitted if event.kind == "plc.found"]
            assert found.data["scans"] > 0
            before = port.value("count")
            await eventually(lambda: port.value("count") > before + 10)

    asyncio.run(main())
    assert not (plc.folder / remote.RECORD).exists()
