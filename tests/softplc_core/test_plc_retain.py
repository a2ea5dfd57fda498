"""What is retained comes back: after a stop, a kill, a changed program, a damaged file."""

import asyncio
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import softplc
from runtime.clock import WallClock
from runtime.testing import FakePort
from softplc.bridge import Bridge, BridgeOptions
from softplc.core import remote
from softplc.core.slots import NAMES, Slots
from softplc.forcebook import ForceBook
from softplc.retain import Layout, Retention

COUNTING = """
FUNCTION_BLOCK Meter
VAR_INPUT step : DINT; END_VAR
VAR RETAIN total : LINT; END_VAR
VAR last : DINT; END_VAR
total := total + step; last := step;
END_FUNCTION_BLOCK

PROGRAM Main
VAR RETAIN a : LINT; b : LINT; name : STRING[20] := 'new'; END_VAR
VAR RETAIN flag AT %MX3.2 : BOOL; located AT %MW4 : INT; END_VAR
VAR meter : Meter; torn : DINT; plain : LINT; END_VAR
IF a <> b THEN torn := torn + 1; END_IF;
a := a + 1; b := b + 1; plain := plain + 1;
meter(step := 2); flag := TRUE; located := 7; name := 'kept';
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#1ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
SIGNALS = {
    "a": ("LINT", "Main.a", "rw"),
    "b": ("LINT", "Main.b", "out"),
    "torn": ("DINT", "Main.torn", "out"),
    "plain": ("LINT", "Main.plain", "out"),
    "total": ("LINT", "Main.meter.total", "out"),
}


def after(source, scans=3):
    """Return program, layout and what it would store after some scans."""
    application = softplc.compile(sources={"main.st": source})
    simulator = application.simulator()
    simulator.scan(scans, 1_000_000)
    layout = Layout.of(application)
    image = simulator.image
    return application, layout, b"".join(bytes(image[at : at + size]) for at, size in layout.ranges)


def restored(folder, application):
    """Start a program on what is stored; return a function that reads a variable, and what was found."""
    found = Retention(folder).restore(Layout.of(application), application.initial_image)
    simulator = application.simulator()
    simulator.image[:] = found.image
    return simulator.read, found


def test_retained_values_come_back_and_all_others_are_initial(tmp_path):
    application, layout, data = after(COUNTING)
    Retention(tmp_path).prepare(layout)
    Slots(tmp_path).write(layout.digest, data, 1)
    read, found = restored(tmp_path, application)
    values = {
        path: read(f"Main.{path}") for path in ("a", "b", "name", "flag", "located", "meter.total", "plain")
    }
    assert values == {
        "a": 3, "b": 3, "name": "kept", "flag": True, "located": 7, "meter.total": 6, "plain": 0,
    }  # fmt: skip
    assert not found.new
    assert not found.dropped


def test_a_changed_program_finds_them_by_path_and_type(tmp_path):
    _, layout, data = after(COUNTING)
    Retention(tmp_path).prepare(layout)
    Slots(tmp_path).write(layout.digest, data, 7)
    changed = COUNTING
    for old, new in (
        ("a : LINT; b : LINT; name : STRING[20]", "more : INT := 5; a : LINT; b : DINT; name : STRING[3]"),
        ("%MX3.2", "%MX9.0"),
        ("b := b + 1", "b := b + 1; more := 1"),
        ("IF a <> b", "IF a <> b OR more = 0"),
        ("located AT %MW4 : INT;", ""),
        ("located := 7;", ""),
    ):
        assert old in changed
        changed = changed.replace(old, new)
    read, found = restored(tmp_path, softplc.compile(sources={"main.st": changed}))
    assert [read(f"Main.{path}") for path in ("a", "b", "more", "name", "flag", "meter.total")] == [
        3, 0, 5, "kep", True, 6,
    ]  # fmt: skip
    assert set(found.new) == {"Main.more", "Main.b"}
    assert set(found.dropped) == {"Main.located", "Main.b"}
    assert found.sequence == 7


def test_constants_of_a_retained_block_are_those_of_the_changed_program(tmp_path):
    source = """
FUNCTION_BLOCK Dose
VAR CONSTANT grams : ARRAY[1..2] OF INT := [10, 20]; END_VAR
VAR RETAIN size : INT := 1; END_VAR
VAR_OUTPUT due : INT; END_VAR
size := 2; due := grams[size];
END_FUNCTION_BLOCK
PROGRAM Main VAR d : Dose; END_VAR d(); END_PROGRAM
"""
    _, layout, data = after(source)
    Retention(tmp_path).prepare(layout)
    Slots(tmp_path).write(layout.digest, data, 1)
    read, found = restored(tmp_path, softplc.compile(sources={"main.st": source.replace("20]", "25]")}))
    assert (read("Main.d.size"), read("Main.d.grams[2]")) == (2, 25)
    assert not found.dropped


CHART = """
FUNCTION_BLOCK Line
VAR RETAIN n : INT; END_VAR
INITIAL_STEP Wait : END_STEP
STEP Fill : END_STEP
TRANSITION FROM Wait TO Fill := TRUE; END_TRANSITION
TRANSITION FROM Fill TO Wait := n > 9; END_TRANSITION
END_FUNCTION_BLOCK
PROGRAM Main VAR line : Line; END_VAR line(); END_PROGRAM
"""


@pytest.mark.parametrize(("old", "new", "active"), [("", "", "Fill"), ("n > 9", "n > 8", "Wait")])
def test_a_retained_chart_has_one_active_step_whatever_has_changed(tmp_path, old, new, active):
    _, layout, data = after(CHART)
    Retention(tmp_path).prepare(layout)
    Slots(tmp_path).write(layout.digest, data, 1)
    application = softplc.compile(sources={"main.st": CHART.replace(old, new)})
    simulator = application.simulator()
    found = Retention(tmp_path).restore(Layout.of(application), application.initial_image)
    simulator.image[:] = found.image
    simulator.scan()
    assert [each for each in ("Wait", "Fill") if simulator.read(f"Main.line.{each}.X")] == [active]


@pytest.mark.parametrize(
    ("values", "read_then", "new"),
    [
        ("(idle, busy, done)", 2, ()),
        ("(idle, busy, done, off)", 2, ()),
        ("(idle, off, busy, done)", 0, ("Main.m",)),
    ],
)
def test_a_retained_number_never_becomes_another_value_of_its_enumeration(tmp_path, values, read_then, new):
    source = (
        "TYPE Mode : (idle, busy, done); END_TYPE\n"
        "PROGRAM Main VAR RETAIN m : Mode; END_VAR VAR n : INT; END_VAR m := done; n := 1; END_PROGRAM"
    )
    _, layout, data = after(source)
    Retention(tmp_path).prepare(layout)
    Slots(tmp_path).write(layout.digest, data, 1)
    changed = source.replace("(idle, busy, done)", values).replace("n := 1", "n := 2")
    read, found = restored(tmp_path, softplc.compile(sources={"main.st": changed}))
    assert (read("Main.m"), found.new) == (read_then, new)


@pytest.mark.parametrize(
    ("type_", "value"),
    [("INT(-50..-10)", -20), ("DINT(-100..0)", -20), ("INT(0..10)", 5), ("INT(-19..10)", 5)],
)
def test_a_retained_value_lies_within_the_subrange_of_the_changed_program(tmp_path, type_, value):
    source = "PROGRAM Main VAR RETAIN x : INT; END_VAR x := -20; END_PROGRAM"
    _, layout, data = after(source)
    Retention(tmp_path).prepare(layout)
    Slots(tmp_path).write(layout.digest, data, 1)
    changed = source.replace("INT", f"{type_} := 5" if value == 5 else type_).replace("x := -20", "x := x")
    read, found = restored(tmp_path, softplc.compile(sources={"main.st": changed}))
    assert read("Main.x") == value
    assert found.new == (() if value == -20 else ("Main.x",))


@pytest.mark.parametrize(
    ("before", "after_", "value"),
    [
        ("WSTRING[9]", "WSTRING[3]", "gr\u00fc"),
        ("WSTRING[9]", "WSTRING[20]", "gr\u00fc\u20ac56789"),
        ("STRING[10]", "STRING[9]", "gr\u00fc?56789"),
        ("STRING[9]", "WSTRING[9]", ""),
    ],
)
def test_a_retained_text_is_cut_to_its_new_room(tmp_path, before, after_, value):
    text = '"gr$00FC$20AC56789X"' if before[0] == "W" else "'gr$FC?56789X'"
    source = f"PROGRAM Main VAR RETAIN t : {before}; END_VAR t := {text}; END_PROGRAM"
    _, layout, data = after(source)
    Retention(tmp_path).prepare(layout)
    Slots(tmp_path).write(layout.digest, data, 1)
    changed = f"PROGRAM Main VAR RETAIN t : {after_}; n : INT; END_VAR n := LEN(t); END_PROGRAM"
    read, _ = restored(tmp_path, softplc.compile(sources={"main.st": changed}))
    assert read("Main.t") == value


@pytest.mark.parametrize("newer", [0, 1])
def test_a_damaged_slot_is_told_and_the_other_one_used(tmp_path, newer):
    slots, layout = Slots(tmp_path), bytes(range(32))
    for sequence in (4 + newer, 5 + newer):
        slots.write(layout, bytes([sequence]) * 1000, sequence)
    file = tmp_path / NAMES[(5 + newer) % 2]
    whole = file.read_bytes()
    rng = random.Random(1)
    for cut in [0, *(rng.randrange(1, len(whole)) for _ in range(30))]:
        file.write_bytes(whole[:cut])
        slot, damaged = slots.read()
        assert (slot.sequence, slot.data) == (4 + newer, bytes([4 + newer]) * 1000)
        assert len(damaged) == (cut > 0)
    for bit in range(0, 8 * len(whole), 37):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        slot, damaged = slots.read()
        assert slot.sequence == 4 + newer
        state = struct.unpack_from("<I", changed, 8)[0]
        assert damaged or state == 1  # a slot that says it was just being written is none
    file.write_bytes(whole)
    assert slots.read()[0].sequence == 5 + newer


def test_both_slots_damaged_means_initial_values_and_a_word(tmp_path):
    application, layout, data = after(COUNTING)
    for sequence in (1, 2):
        Slots(tmp_path).write(layout.digest, data, sequence)
    for name in NAMES:
        (tmp_path / name).write_bytes(b"rubbish" * 40)
    read, found = restored(tmp_path, application)
    assert read("Main.a") == 0
    assert len(found.damaged) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="asks what a descriptor is of")
def test_a_loss_of_power_takes_no_name_of_a_file_with_it(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()))
    retention, folder = Retention(tmp_path), tmp_path.resolve()
    retention.prepare(after(COUNTING)[1])
    assert synced.pop() == folder
    retention.forget()
    assert synced.pop() == folder
    asyncio.run(ForceBook(tmp_path).remove([]))
    assert synced.pop() == folder


def test_a_lost_layout_of_another_program_is_told(tmp_path):
    _, layout, data = after(COUNTING)
    Slots(tmp_path).write(layout.digest, data, 1)
    _, found = restored(tmp_path, softplc.compile(sources={"main.st": COUNTING.replace("'new'", "'other'")}))
    assert "layout" in found.damaged[0]


def test_layouts_that_nothing_needs_any_more_are_removed(tmp_path):
    retention, slots = Retention(tmp_path), Slots(tmp_path)
    for number in range(5):
        _, layout, data = after(COUNTING.replace("'new'", f"'{number}'"))
        retention.prepare(layout)
        slots.write(layout.digest, data, number + 1)
    assert len(list(tmp_path.glob("retain-*.json"))) == 2


@pytest.fixture
def plant(compiled, plant_tags, tmp_path):
    return compiled(COUNTING), plant_tags(**SIGNALS), tmp_path / "plc"


async def living(plant, do):
    """Run the bridge as the supervisor does, and do something meanwhile."""
    build, tags, folder = plant
    port = FakePort(tags, name="plc", clock=WallClock())
    task = asyncio.create_task(Bridge(lambda: build, BridgeOptions(), folder).run(port))
    try:
        await until(lambda: task.done() or port.value("a") is not None)
        return await do(port)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.005)


def test_a_stop_stores_what_is_retained_and_the_next_start_has_it(plant):
    async def first(port):
        await until(lambda: port.value("a") > 100)
        return port.value("a")

    async def second(port):
        return port.value("a"), port.value("plain"), port.value("sys/plc/retain_lost")

    last = asyncio.run(living(plant, first))
    a, plain, lost = asyncio.run(living(plant, second))
    assert a > last
    assert plain < a - 50
    assert not lost


def test_a_damaged_slot_raises_the_alarms_tag(plant):
    async def count(port):
        await until(lambda: port.value("a") > 20)

    for _ in range(2):
        asyncio.run(living(plant, count))
    folder = plant[2]
    newest = max((folder / name for name in NAMES), key=lambda file: file.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-3])

    async def look(port):
        await until(lambda: port.value("sys/plc/retain_lost"))
        return port.value("a")

    assert asyncio.run(living(plant, look)) > 20


@pytest.mark.parametrize(("book", "lost"), [(None, False), ("{}", True)])
def test_a_damaged_book_of_forces_raises_the_alarms_tag(plant, book, lost):
    if book is not None:
        plant[2].mkdir(parents=True, exist_ok=True)
        (plant[2] / "forces.json").write_text(book)

    async def look(port):
        await until(lambda: port.value("sys/plc/running"))
        return port.value("sys/plc/forces_lost"), port.value("sys/plc/forces")

    assert asyncio.run(living(plant, look)) == (lost, 0)


STORES = """
import sys
from pathlib import Path
from softplc.core.slots import Slots
slots, number = Slots(Path(sys.argv[1])), int(sys.argv[2])
while True:
    number += 1
    slots.write(bytes(32), number.to_bytes(8, "little") * 20_000, number)
    print(number, flush=True)
"""


@pytest.mark.campaign
def test_a_kill_at_any_instant_leaves_the_last_completed_store_whole(tmp_path, rounds):
    rng, last = random.Random(20261128), 0
    for _ in range(rounds * 3):
        command = [sys.executable, "-c", STORES, str(tmp_path), str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for _ in range(rng.randrange(1, 4)):
                last = int(child.stdout.readline() or last)
            time.sleep(rng.uniform(0, 0.004))
            child.send_signal(signal.SIGKILL)
            completed = [int(line) for line in child.stdout if line.endswith("\n")]
        last = max([last, *completed])
        slot, damaged = Slots(tmp_path).read()
        assert not damaged
        assert slot.sequence in (last, last + 1)
        assert slot.data == slot.sequence.to_bytes(8, "little") * 20_000
        last = slot.sequence


@pytest.mark.campaign
def test_kernel_and_core_killed_at_once_lose_at_most_what_was_not_stored(plant, rounds):
    """As when the power goes: what comes back is whole, and no older than the last completed store."""

    async def life(port):
        wanted = random.Random(rounds).uniform(1.2, 2.0)
        end = time.monotonic() + wanted
        await until(lambda: port.value("a") > start or time.monotonic() > end)
        assert (port.value("torn"), port.value("sys/plc/retain_lost")) == (0, False)
        await until(lambda: time.monotonic() > end and Slots(plant[2]).read()[0])
        pid = json.loads((plant[2] / remote.RECORD).read_text())["pid"]
        (stored,) = struct.unpack_from("<q", Slots(plant[2]).read()[0].data, at)
        await until(lambda: port.value("a") >= stored)  # what the core has, we see a little later
        os.kill(pid, signal.SIGKILL)
        return port.value("a"), stored

    places = Layout.of(plant[0].application).places
    start, at = 0, next(place.at for place in places if place.path == "Main.a")
    for _ in range(2):
        seen, stored = asyncio.run(living(plant, life))
        assert start <= stored <= seen
        start = stored
