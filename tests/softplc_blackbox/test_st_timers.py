"""Timers, counters, edges and bistables against models of the standard's diagrams (6.6.3.5)."""

import random

import pytest

import softplc

MS = 1_000_000
PRESET = 50 * MS


class On:
    """TON: Q follows IN after the preset time."""

    def __init__(self):
        self.before, self.start = False, 0

    def __call__(self, on, now):
        if on and not self.before:
            self.start = now
        self.before = on
        elapsed = min(now - self.start, PRESET) if on else 0
        return on and elapsed == PRESET, elapsed


class Off:
    """TOF: Q stays for the preset time after IN fell."""

    def __init__(self):
        self.before, self.q, self.start, self.elapsed = False, False, 0, 0

    def __call__(self, on, now):
        if on:
            self.q, self.elapsed = True, 0
        else:
            if self.before:
                self.start = now
            if self.q:
                self.elapsed = min(now - self.start, PRESET)
                self.q = self.elapsed < PRESET
        self.before = on
        return self.q, self.elapsed


class Pulse:
    """TP: a pulse of the preset time that IN cannot retrigger; ET falls when pulse and IN are over."""

    def __init__(self):
        self.before, self.q, self.start, self.elapsed = False, False, 0, 0

    def __call__(self, on, now):
        if on and not self.before and not self.q and self.elapsed == 0:
            self.q, self.start = True, now
        if self.q:
            self.elapsed = min(now - self.start, PRESET)
            self.q = self.elapsed < PRESET
        if not self.q and not on:
            self.elapsed = 0
        self.before = on
        return self.q, self.elapsed


@pytest.mark.parametrize(("name", "model"), [("TON", On), ("TOF", Off), ("TP", Pulse)])
def test_timer_follows_its_diagram_with_any_scan_time(name, model):
    source = (
        f"PROGRAM Main VAR t : {name}; on, q : BOOL; e : TIME; END_VAR "
        "t(IN := on, PT := T#50ms, Q => q, ET => e); END_PROGRAM"
    )
    application = softplc.compile(sources={"timer.st": source})
    for seed in range(30):
        pick, simulator, expected, on = random.Random(seed), application.simulator(), model(), False
        for _ in range(120):
            on ^= pick.random() < 0.25
            simulator.write("Main.on", on)
            now = simulator.now_ns
            simulator.scan(dt_ns=pick.choice([10, 10, 30, 100]) * MS)
            assert (simulator.read("Main.q"), simulator.read("Main.e")) == expected(on, now), (seed, now)


def rows(text):
    """Read a table: inputs, then outputs, one scan a line."""
    for line in text.strip().splitlines():
        yield [int(each) for each in line.replace("|", " ").split()]


@pytest.mark.parametrize(
    ("call", "inputs", "outputs", "table"),
    [
        ("TON(IN := a, PT := T#0s)", "a", "Q ET", "1|1 0\n0|0 0\n1|1 0"),
        ("TP(IN := a, PT := T#0s)", "a", "Q", "1|0\n0|0\n1|0"),
        ("TOF(IN := a, PT := T#0s)", "a", "Q ET", "1|1 0\n0|0 0"),
        ("TOF(IN := a, PT := T#50ms)", "a", "Q ET", "0|0 0\n0|0 0"),
        ("R_TRIG(CLK := a)", "a", "Q", "1|1\n1|0\n0|0\n1|1"),
        ("F_TRIG(CLK := a)", "a", "Q", "0|1\n0|0\n1|0\n0|1\n0|0"),
        ("SR(S1 := a, R := b)", "a b", "Q1", "1 1|1\n0 1|0\n1 0|1\n0 0|1"),
        ("RS(S := a, R1 := b)", "a b", "Q1", "1 1|0\n1 0|1\n0 0|1\n0 1|0"),
        (
            "CTU(CU := a, R := b, PV := 2)",
            "a b",
            "Q CV",
            "0 0|0 0\n1 0|0 1\n1 0|0 1\n0 0|0 1\n1 0|1 2\n0 0|1 2\n"
            "1 0|1 3\n1 1|0 0\n1 0|0 0\n0 0|0 0\n1 0|0 1",
        ),
        (
            "CTD(CD := a, LD := b, PV := 2)",
            "a b",
            "Q CV",
            "0 1|0 2\n1 0|0 1\n0 0|0 1\n1 0|1 0\n0 0|1 0\n1 0|1 -1",
        ),
        (
            "CTUD(CU := a, CD := b, R := c, LD := d, PV := 2)",
            "a b c d",
            "QU QD CV",
            "0 0 0 0|0 1 0\n1 0 0 0|0 0 1\n0 0 0 0|0 0 1\n1 1 0 0|0 0 1\n0 0 0 0|0 0 1\n1 0 0 0|1 0 2\n"
            "0 1 0 0|0 0 1\n0 0 1 1|0 1 0\n0 0 0 1|1 0 2",
        ),
    ],
)
def test_block_follows_its_table(call, inputs, outputs, table):
    name, arguments = call.split("(", 1)
    source = f"PROGRAM Main VAR t : {name}; a, b, c, d : BOOL; END_VAR t({arguments}; END_PROGRAM"
    simulator = softplc.compile(sources={"block.st": source}).simulator()
    ins, outs = inputs.split(), outputs.split()
    for number, row in enumerate(rows(table)):
        for variable, value in zip(ins, row[: len(ins)], strict=True):
            simulator.write(f"Main.{variable}", bool(value))
        simulator.scan()
        assert [int(simulator.read(f"Main.t.{each}")) for each in outs] == row[len(ins) :], number
