"""Texts between tags and the scan core: STRING and WSTRING variables, bound to STRING tags."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import WallClock
from runtime.contract import Batch, Quality
from runtime.testing import FakePort
from softplc.bridge import Bridge, BridgeOptions
from softplc.core.elf import load
from softplc.core.kinds import Text
from softplc.stepper import PlcStepper
from softplc.wiring import lay_core, wire

SOURCE = """
PROGRAM Main
VAR
  name : STRING[12]; label : WSTRING[9] := "none"; order : STRING[10] := 'A1'; greeting : STRING;
  wide : WSTRING; count : UDINT; divisor : DINT := 1; quotient : DINT;
END_VAR
count := count + 1;
greeting := CONCAT('hello ', name);
wide := CONCAT(label, " $20AC", STRING_TO_WSTRING(order));
quotient := 10 / divisor;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#10ms, PRIORITY := 1);
PROGRAM Main WITH main : Main;
END_RESOURCE END_CONFIGURATION
"""
SIGNALS = {
    "name": ("STRING", "Main.name", "in"),
    "count": ("UDINT", "Main.count", "out"),
    "label": ("STRING", "Main.label", "in"),
    "greeting": ("STRING", "Main.greeting", "out"),
    "wide": ("STRING", "Main.wide", "out"),
    "order": ("STRING", "Main.order", "rw"),
    "divisor": ("DINT", "Main.divisor", "rw"),
}
EURO, SMILE = "\u20ac", "\U0001f600"


class Play:
    """Steps a PLC and remembers what it published: values by name, and how often each came."""

    def __init__(self, build, tags):
        self.tags, self.stepper, self.now_ns = tags, PlcStepper(build, tags), 1_700_000_000_000_000_000
        self.values, self.quality, self.times = {}, {}, {}

    def step(self, quality=Quality.GOOD, **values):
        tags = [self.tags[name] for name in values]
        raw = [tag.data_type.encode(value) for tag, value in zip(tags, values.values(), strict=True)]
        text = {row: value for row, value in enumerate(values.values()) if isinstance(value, str)}
        ids = [tag.id for tag in tags]
        changed = Batch.of(ids, raw, self.now_ns, quality, text) if values else None
        for row in self.stepper.step(self.now_ns, changed) or ():
            tag = next(each for each in self.tags if each.id == row.id)
            name = tag.path.rsplit("/", 1)[-1]
            self.values[name] = tag.data_type.decode(row.raw, row.text)
            self.quality[name] = row.quality
            self.times[name] = self.times.get(name, 0) + 1
        self.now_ns += self.stepper.period_ns
        return self.values


@pytest.fixture
def play(compiled, plant_tags):
    return Play(compiled(SOURCE), plant_tags(**SIGNALS))


def test_texts_go_in_and_come_back(play):
    assert play.step()["wide"] == f"none {EURO}A1"
    values = play.step(name="Zo\u00eb", label=f"gr\u00fc{SMILE}")
    assert values["greeting"] == "hello Zo\u00eb"
    assert values["wide"] == f"gr\u00fc{SMILE} {EURO}A1"


def test_a_text_is_cut_at_its_capacity_and_what_it_cannot_hold_is_marked(play):
    values = play.step(name=f"{EURO}2345678901234567", label=f"12345678{SMILE}")
    assert values["greeting"] == "hello ?23456789012"
    assert values["wide"] == f"12345678 {EURO}A1"


def test_a_text_comes_only_when_it_changes_and_numbers_go_on(play):
    for _ in range(3):
        play.step(name="same", label="")
    assert play.times == {"greeting": 1, "wide": 1, "order": 1, "divisor": 1, "count": 3} | {
        name: count for name, count in play.times.items() if name not in SIGNALS
    }


def test_a_text_of_bad_quality_is_held(play):
    play.step(name="first")
    play.step(name="second", quality=Quality.BAD_NO_COMMUNICATION)
    assert play.values["greeting"] == "hello first"


def test_people_write_a_text(play):
    play.step(order="B22")
    assert play.step()["order"] == "B22"
    assert play.values["wide"] == f"none {EURO}B22"


def test_texts_of_a_stopped_task_take_their_safe_value(play):
    play.step(name="x")
    play.step(divisor=0)
    play.step()
    assert (play.values["greeting"], play.values["wide"]) == ("", "")
    assert Quality.is_bad(play.quality["greeting"])


def test_the_running_plc_carries_texts_and_refuses_what_does_not_fit(compiled, plant_tags, tmp_path):
    async def main():
        build = compiled(SOURCE)
        port = FakePort(plant_tags(**SIGNALS), name="plc", clock=WallClock())
        port.set("name", "Ada")
        task = asyncio.create_task(Bridge(lambda: build, BridgeOptions(), tmp_path).run(port))
        async with asyncio.timeout(60):
            while port.value("greeting") != "hello Ada":
                assert not task.done(), task.exception()
                await asyncio.sleep(0.005)
        assert await port.command("order", "C333") is None
        assert port.value("order") == "C333"
        assert "holds 10 characters, not 11" in await port.command("order", "12345678901")
        assert EURO in await port.command("order", EURO)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


def test_another_kernel_takes_the_texts_over(compiled, plant_tags):
    build, tags = compiled(SOURCE), plant_tags(**SIGNALS)
    wiring = wire(tags, build.application)
    fd = os.memfd_create("block")
    try:
        scanning = lay_core(build, wiring, fd=fd)
        scanning.enter(load(build.application.object_code))
        scanning.step(0)
        name, greeting = tags["name"], tags["greeting"]
        other = lay_core(build, wiring, fd=fd, attach=True)
        present = {row.id: row.text for row in other.collect()}
        assert present[greeting.id] == "hello "
        given = Batch.of([name.id], [0], 0, text={0: "again"})
        other.write_inputs(given.ids, given.raw, given.quality, given.text)
        changed = scanning.step(10_000_000)
        assert [row.text for row in changed if row.id == greeting.id] == ["hello again"]
    finally:
        os.close(fd)


@given(st.text(max_size=12), st.integers(1, 12), st.booleans())
def test_what_is_packed_is_unpacked(text, capacity, wide):
    place = Text(64, capacity, wide)
    seen = place.unpack(place.pack(text))
    if not place.refusal(text):
        assert seen == text
    assert len(seen.encode("utf-16-le")) // 2 <= capacity


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=4, max_size=4))
def test_any_bytes_are_some_text(raws):
    place = Text(0, 12, wide=True)
    assert len(place.unpack(raws[: len(place.parts)])) <= 12
