"""Another version of the program in the core's process, taken over between two scans."""

import json
import os
import time

import numpy as np
import pytest

from runtime.clock import monotonic_ns
from softplc.core import remote
from softplc.core.remote import CoreProcess, Options, key_of
from softplc.online.offer import Offer, State
from softplc.online.plan import plan
from softplc.wiring import lay_core, wire

OLD = """
PROGRAM Main
VAR speed : REAL; double_speed : REAL; count : LINT; pulse : TON; END_VAR
double_speed := speed * 2.0;
count := count + 1;
pulse(IN := TRUE, PT := T#1h);
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#1ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
NEW = OLD.replace("VAR speed", "VAR before : ARRAY[0..99] OF LREAL; speed").replace("* 2.0", "* 3.0")
SIGNALS = {
    "speed": ("REAL", "Main.speed", "in"),
    "double": ("REAL", "Main.double_speed", "out"),
    "count": ("LINT", "Main.count", "rw"),
    "elapsed": ("TIME", "Main.pulse.ET", "out"),
}
TRIAL_NS = 300_000_000
LONG_NS = 300_000_000_000  # of what is to be left again, or is not to end by its time


class Plc:
    watchdog_ns = 0

    def __init__(self, compiled, tags, folder):
        self.compiled, self.tags, self.folder = compiled, tags, folder
        self.build = compiled(OLD)
        self.process = CoreProcess.start(
            self.laid(self.build), self.build, key_of(self.build, "", Options()), folder, Options()
        )

    def laid(self, build, before=None, attach=False):
        def lay(fd):
            wiring = wire(self.tags, build.application)
            core = lay_core(build, wiring, self.watchdog_ns, fd=fd, attach=attach)
            if before is None and not attach:
                core.set_clock(time.time_ns() - monotonic_ns())
            elif before is not None:
                keys, raw, text = before.inputs()
                core.write_inputs(keys, raw, np.zeros(len(keys), np.uint32), text)
            return core

        return lay

    def offer(self, source, trial_ns=0):
        build = self.compiled(source)
        ways = (
            plan(self.build.application, build.application),
            plan(build.application, self.build.application),
        )
        assert not ways[0].refusals
        lay = self.laid(build, self.process.core)
        key = key_of(build, "", Options())
        offer = Offer(self.process, lay, build, key, self.folder, Options(), ways, trial_ns=trial_ns)
        offer.make()
        return offer

    def become(self, source, until, trial_ns=0, state=State.DONE):
        offer = self.offer(source, trial_ns)
        until(lambda: offer.state is not State.WAITING)
        until(lambda: offer.state is state)
        offer.close()
        if state is State.DONE:
            self.process.core, self.build = offer.new, offer._build
        return offer

    def send(self, name, value):
        tag = self.tags[name]
        raw = np.array([tag.data_type.encode(value)], np.uint64)
        self.process.core.write_inputs(np.array([tag.id], np.int32), raw, np.zeros(1, np.uint32))

    def shown(self, name, core=None):
        core = core or self.process.core
        core.collect()
        return self.tags[name].data_type.decode(core.shown(self.tags[name].id))

    def counted(self):
        """Return the program's own count and the core's number of scans, of one scan."""
        image = self.process.core.read_image(60)
        at = self.build.application.symbol("Main.count").offset
        return [int.from_bytes(image[start : start + 8], "little") + (start == 8) for start in (at, 8)]

    def record(self):
        return json.loads((self.folder / remote.RECORD).read_text())

    def find(self):
        return CoreProcess.find(
            self.laid(self.build, attach=True), key_of(self.build, "", Options()), self.folder
        )


@pytest.fixture
def plc(compiled, plant_tags, tmp_path):
    plc = Plc(compiled, plant_tags(**SIGNALS), tmp_path)
    yield plc
    if plc.process.alive:
        plc.process.stop()


def test_values_timers_inputs_and_counters_go_on_in_the_changed_program(plc, until):
    plc.send("speed", 5.0)
    until(lambda: plc.shown("double") == 10.0 and plc.shown("count") > 20)
    pid, old = plc.process.pid, plc.process.core
    count, elapsed = plc.shown("count"), plc.shown("elapsed")
    plc.become(NEW, until)
    until(lambda: plc.shown("double") == 15.0)
    assert plc.process.pid == pid
    assert plc.shown("count") >= count
    assert plc.shown("elapsed") >= elapsed
    stats = plc.process.core.stats()
    assert stats.scans >= count
    assert stats.tasks[0].latency.p50_us > 0
    scans = old.control.scans
    until(lambda: plc.process.core.control.scans > scans + 50)
    assert old.control.scans == scans  # it is scanned no more
    scans = plc.process.core.control.scans
    assert scans - 30 <= plc.shown("count") <= plc.process.core.control.scans + 30


def test_no_scan_is_lost_or_done_twice_over_many_changes(plc, until):
    until(lambda: plc.shown("count") > 10)
    for number in range(6):
        plc.become(NEW if number % 2 == 0 else OLD, until)
    count, scans = plc.counted()
    assert count == scans


def test_the_next_kernel_finds_the_core_with_the_changed_program(plc, until):
    plc.send("speed", 1.0)
    until(lambda: plc.shown("double") == 2.0)
    old = plc.record()
    plc.become(NEW, until)
    until(lambda: plc.record() != old)
    assert plc.record()["key"] == key_of(plc.build, "", Options())
    other = plc.find()
    assert other is not None
    assert other.pid == plc.process.pid
    until(lambda: plc.shown("double", other.core) == 3.0)
    plc.process.core = other.core
    plc.send("speed", 4.0)
    until(lambda: plc.shown("double", other.core) == 12.0)


def test_a_fault_in_the_first_scan_has_never_been_and_the_old_program_goes_on(plc, until):
    plc.send("speed", 5.0)
    until(lambda: plc.shown("double") == 10.0)
    zero = "VAR zero : INT; "
    wrong = OLD.replace("VAR speed", zero + "speed").replace("count := count + 1;", "count := count / zero;")
    count = plc.shown("count")
    offer = plc.become(wrong, until, LONG_NS, State.RETURNED)
    assert "division by zero at plc/main.st:5" in offer.reason
    assert offer.new.control.latest == 0  # nothing of it was ever shown
    assert plc.process.core is offer.old
    until(lambda: plc.shown("count") > count + 50)
    count, scans = plc.counted()
    assert count == scans
    assert not plc.process.core.faults()
    plc.become(NEW, until)  # the next change finds nothing in its way
    until(lambda: plc.record()["key"] == key_of(plc.build, "", Options()))


def test_the_first_scan_is_on_trial_however_late_it_comes(plc, until):
    until(lambda: plc.shown("count") > 10)
    zero = "VAR zero : INT; "
    wrong = OLD.replace("VAR speed", zero + "speed").replace("count := count + 1;", "count := count / zero;")
    offer = plc.become(wrong, until, 1, State.RETURNED)
    assert "division by zero" in offer.reason


def test_a_program_that_faults_later_takes_its_values_back_to_the_old_one(plc, until):
    until(lambda: plc.shown("count") > 10)
    wrong = OLD.replace(
        "count := count + 1;", "count := count + 1000; IF count > 50_000 THEN count := count / 0; END_IF;"
    )
    wrong = wrong.replace("count / 0", "count / zero").replace("VAR speed", "VAR zero : LINT; speed")
    plc.become(wrong, until, LONG_NS, State.RETURNED)
    until(lambda: plc.shown("count") > 48_000)
    count, scans = plc.counted()
    assert count < 52_000 + scans


def test_a_program_that_is_too_slow_for_its_interval_is_left_again(plc, until):
    until(lambda: plc.shown("count") > 10)
    slow = OLD.replace("VAR speed", "VAR k, sum : LINT; speed").replace(
        "count := count + 1;",
        "count := count + 1; FOR k := 1 TO 4_000_000 DO sum := sum + k * k MOD 7; END_FOR;",
    )
    plc.watchdog_ns = LONG_NS  # else it may be there first
    offer = plc.become(slow, until, LONG_NS, State.RETURNED)
    assert "task main needed" in offer.reason
    assert "its interval is 1 ms" in offer.reason
    count = plc.shown("count")
    until(lambda: plc.shown("count") > count + 20)


def test_an_endless_loop_is_ended_by_the_watchdog_and_left_again(plc, until):
    until(lambda: plc.shown("count") > 10)
    endless = OLD.replace(
        "count := count + 1;", "count := count + 1; WHILE TRUE DO speed := speed + 1.0; END_WHILE;"
    )
    offer = plc.become(endless, until, LONG_NS, State.RETURNED)
    assert "longer than the watchdog allows" in offer.reason
    count = plc.shown("count")
    until(lambda: plc.shown("count") > count + 20)


def test_a_task_that_a_fault_had_stopped_runs_again_and_tasks_may_come_and_be_slower(plc, until):
    zero = OLD.replace("VAR speed", "VAR divisor : LINT := 1; speed").replace(
        "count + 1", "count + 1 / divisor"
    )
    plc.become(zero, until)
    until(lambda: plc.shown("count") > 10)
    stopping = zero.replace("double_speed :=", "IF count > 50 THEN divisor := 0; END_IF; double_speed :=")
    plc.become(stopping, until)
    until(lambda: plc.process.core.faults())
    two = OLD.replace("T#1ms", "T#5ms").replace(
        "PROGRAM Main WITH main : Main;",
        "TASK fast (INTERVAL := T#2ms, PRIORITY := 0);\n"
        "PROGRAM Main WITH main : Main; PROGRAM Other WITH fast : Second;",
    )
    two = "PROGRAM Second VAR k : LINT; END_VAR k := k + 1; END_PROGRAM\n" + two
    count, began = plc.shown("count"), time.monotonic()
    plc.become(two, until, TRIAL_NS)
    until(lambda: plc.shown("count") > count + 10)
    assert not plc.process.core.faults()
    fast, main = plc.process.core.stats().tasks
    assert (fast.name, main.name, main.interval_ns) == ("fast", "main", 5_000_000)
    assert 0 < fast.scans <= (time.monotonic() - began) / 0.002 + 1


def test_after_its_trial_a_change_is_for_good(plc, until):
    offer = plc.offer(NEW, LONG_NS)
    until(lambda: offer.state is State.ON_TRIAL)
    offer.new.control.trial_until_ns = monotonic_ns()
    until(lambda: offer.state is State.DONE)
    offer.close()
    plc.process.core, plc.build = offer.new, offer._build
    plc.become(OLD, until)


def test_a_program_that_cannot_be_loaded_is_refused(plc, until):
    core = plc.process.core
    core.control.offer_pid, core.control.offer_block, core.control.offer_code = os.getpid(), 998, 999
    core.post("offer")
    until(lambda: core.same("offer", "answered"))
    assert core.control.refused
    assert "cannot be loaded" in (plc.folder / remote.MESSAGES).read_text()
    count = plc.shown("count")
    until(lambda: plc.shown("count") > count + 20)
    plc.become(NEW, until)


def test_a_core_that_is_woken_at_any_instant_goes_on(plc, until):
    for _ in range(20_000):
        plc.process.wake()
    plc.become(NEW, until)
    assert plc.process.stop()
