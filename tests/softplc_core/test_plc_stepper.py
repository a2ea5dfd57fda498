"""The PLC in virtual time."""

import time

import pytest

from runtime.contract import Batch, Quality
from softplc.core.watch import watch
from softplc.stepper import PlcStepper
from softplc.wiring import make_core, wire

START_NS = 1_700_000_000_000_000_000
SOURCE = """
PROGRAM Main
VAR
  start : BOOL; lamp : BOOL; pulses : UDINT; divisor : DINT := 1; quotient : DINT; setpoint : REAL := 4.0;
  delay : TON; edge : R_TRIG; elapsed : TIME;
END_VAR
delay(IN := start, PT := T#250ms);
edge(CLK := delay.Q);
lamp := delay.Q;
elapsed := delay.ET;
IF edge.Q THEN pulses := pulses + 1; END_IF;
quotient := 10 / divisor;
END_PROGRAM

PROGRAM Slow
VAR n : UDINT; END_VAR
n := n + 1;
END_PROGRAM

CONFIGURATION c RESOURCE r ON PLC
TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
TASK slow (INTERVAL := T#25ms, PRIORITY := 2);
PROGRAM Main WITH fast : Main;
PROGRAM Slow WITH slow : Slow;
END_RESOURCE END_CONFIGURATION
"""
SIGNALS = {
    "start": ("BOOL", "Main.start", "in"),
    "lamp": ("BOOL", "Main.lamp", "out"),
    "pulses": ("UDINT", "Main.pulses", "out"),
    "setpoint": ("REAL", "Main.setpoint", "rw"),
    "divisor": ("DINT", "Main.divisor", "rw"),
    "quotient": ("DINT", "Main.quotient", "out"),
    "slow": ("UDINT", "Slow.n", "out"),
}


class Play:
    """Steps a PLC and remembers what it published."""

    def __init__(self, build, tags):
        self.tags, self.stepper, self.now_ns = tags, PlcStepper(build, tags), START_NS
        self.raw, self.quality, self.log = {}, {}, []

    def step(self, steps=1, quality=Quality.GOOD, **values):
        chosen = [self.tags[name] for name in values]
        raw = [tag.data_type.encode(value) for tag, value in zip(chosen, values.values(), strict=True)]
        changed = Batch.of([tag.id for tag in chosen], raw, self.now_ns, quality) if values else None
        for _ in range(steps):
            for row in self.stepper.step(self.now_ns, changed) or ():
                self.raw[row.id], self.quality[row.id] = row.raw, row.quality
                self.log.append((row.id, row.raw, row.quality, row.source_ns))
            changed = None
            self.now_ns += self.stepper.period_ns

    def __getitem__(self, name):
        tag = self.tags[name]
        return tag.data_type.decode(self.raw[tag.id])


@pytest.fixture
def play(compiled, plant_tags):
    return lambda: Play(compiled(SOURCE), plant_tags(**SIGNALS))


def test_a_timer_counts_plant_time(play):
    plc = play()
    plc.step(start=True)
    assert plc.stepper.period_ns == 5_000_000
    plc.step(49)
    assert plc["lamp"] is False
    plc.step(2)
    assert plc["lamp"] is True
    assert plc["pulses"] == 1


def test_each_task_runs_at_its_own_interval(play):
    plc = play()
    plc.step(200)
    assert plc["slow"] == 40
    plc.step(1)
    assert plc["sys/plc/scans"] == 100 + 40 + 2


def test_only_what_changed_is_returned(play):
    plc = play()
    plc.step(1)
    assert len(plc.log) >= len(SIGNALS) - 1
    before = len(plc.log)
    plc.step(4)
    assert len(plc.log) == before


def test_the_same_inputs_give_the_same_trace(play):
    def trace():
        plc = play()
        for number in range(300):
            plc.step(start=number % 97 < 60)
        return plc.log

    assert trace() == trace()


def test_a_write_to_an_own_tag_lands_before_the_scan(play):
    plc = play()
    plc.step(2)
    plc.step(2, divisor=5)
    assert plc["quotient"] == 2
    assert plc["divisor"] == 5


def test_an_echo_of_an_own_value_changes_nothing(play):
    plc = play()
    plc.step(2, divisor=5)
    plc.step(2, divisor=5)
    assert plc["quotient"] == 2


def test_a_bad_input_holds(play):
    plc = play()
    plc.step(60, start=True)
    plc.step(60, Quality.BAD_NO_COMMUNICATION, start=False)
    assert plc["lamp"] is True


def test_a_fault_is_told_and_the_other_task_goes_on(play):
    plc = play()
    plc.step(2)
    slow = plc["slow"]
    plc.step(20, divisor=0)
    line = next(number for number, text in enumerate(SOURCE.splitlines(), 1) if "10 / divisor" in text)
    text = f"task fast stopped: division by zero at plc/main.st:{line} in Main (10 / 0)"
    assert plc.stepper.faults == (text,)
    assert plc["sys/plc/fault"] is True
    assert plc.quality[plc.tags["quotient"].id] == Quality.BAD_DEVICE_FAILURE
    assert plc["slow"] > slow


def test_virtual_time_equals_the_simulator(play, compiled):
    plc = play()
    simulator = compiled(SOURCE).application.simulator()
    dt_ns = plc.stepper.period_ns
    for number in range(400):
        pressed = number % 131 < 90
        plc.step(start=pressed)
        if number % 2 == 0:
            simulator.write("Main.start", pressed)
            simulator.scan(dt_ns=2 * dt_ns)
            assert plc["lamp"] == simulator.read("Main.lamp")
            assert plc["pulses"] == simulator.read("Main.pulses")


def test_an_endless_loop_does_not_hang_a_test(compiled, plant_tags):
    source = """
    PROGRAM Main
    VAR n : DINT; END_VAR
    WHILE TRUE DO n := n + 1; END_WHILE;
    END_PROGRAM
    CONFIGURATION c RESOURCE r ON PLC
    TASK t (INTERVAL := T#10ms, PRIORITY := 1);
    PROGRAM Main WITH t : Main;
    END_RESOURCE END_CONFIGURATION
    """
    build = compiled(source)
    core = make_core(build, wire(plant_tags(), build.application), 100_000_000)
    watch(core)
    began = time.monotonic()
    core.step(START_NS)
    assert time.monotonic() - began < 30.0
    assert core.faults()[0].line in (4, 5)
