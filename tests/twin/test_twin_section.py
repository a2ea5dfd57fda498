"""The section `twin:`: bindings to tags, the stepper, wall time, and the rack's process."""

import asyncio
import itertools
import shutil

import pytest

from runtime.assembly import assemble
from runtime.contract import Batch, Quality
from runtime.errors import PlantError
from runtime.testing import FakePort
from twin.player import Player
from twin.rack import Rack
from twin.section import plugin

SECOND = 1_000_000_000
TWIN = """\
equipment:
  infeed:
    kind: source
    next: press
    every: 1s
  press:
    kind: station
    next: out
    cycle: 1s
    values:
      force_n: {mean: 10, noise: 1}
    faults:
      jam: {stops: true}
      weak: {effects: {force_n: -5}}
  out:
    kind: sink
"""
TAGS = """\
path,type,source,variable,deadband,access,initial
press/run,BOOL,operator,,,rw,false
press/running,BOOL,twin,,,,
press/fault,BOOL,twin,,,,
press/count,UDINT,twin,,,,
press/force_n,REAL,twin,,0.5,,
out/count,USINT,twin,,,,
"""
PLANT = """\
plant: small
root: site/area/line
twin: {model: twin.yaml}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "twin.yaml").write_text(TWIN)
    (tmp_path / "tags.csv").write_text(TAGS)
    return tmp_path


def said(folder):
    return [str(each) for each in assemble(folder).check()]


def stepper_of(folder):
    assembly = assemble(folder)
    entry = assembly.sections[0]
    (stepper,) = plugin.steppers(assembly.plant, entry.config)
    return assembly.plant.tags, stepper


def command(tags, path, value, quality=Quality.GOOD):
    tag = tags[path]
    return Batch.of([tag.id], [tag.data_type.encode(value)], 0, quality)


def values(tags, batch):
    if batch is None:
        return {}
    out = {}
    for sample in batch:
        tag = tags[sample.id]
        out[tag.path.removeprefix("site/area/line/")] = tag.data_type.decode(sample.raw)
    return out


def test_good_plant_has_no_findings(folder):
    assert said(folder) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "press/force_n,REAL",
            "press/farce_n,REAL",
            ["nothing in the twin gives press/farce_n", "'press/force_n'"],
        ),
        ("press/fault,BOOL", "press/fault,REAL", ["press/fault is REAL", "make the tag BOOL"]),
        ("press/count,UDINT", "press/count,BOOL", ["press/count is BOOL", "integer type"]),
    ],
)
def test_wrong_tag_is_found_in_its_line(folder, old, new, expected):
    (folder / "tags.csv").write_text(TAGS.replace(old, new))
    text = "\n".join(said(folder))
    assert "tags.csv:" in text
    for each in expected:
        assert each in text


def test_wrong_signal_is_found_in_its_line(folder):
    (folder / "twin.yaml").write_text(
        TWIN.replace("    kind: sink", "    kind: sink\n    signals: {count: out/cuont}")
    )
    text = "\n".join(said(folder))
    assert "twin.yaml:17:" in text
    assert "did you mean 'site/area/line/out/count'?" in text


def test_first_step_tells_everything_and_later_ones_what_changed(folder):
    tags, stepper = stepper_of(folder)
    first = values(tags, stepper.step(0, None))
    assert first["press/running"] is False
    assert first["sys/twin/fault/press/jam"] == 0.0
    assert stepper.step(SECOND // 50, None) is None
    batch = stepper.step(2 * SECOND // 50, command(tags, "press/run", True))
    assert values(tags, batch)["press/running"] is True
    assert set(batch.source_ns.tolist()) == {2 * SECOND // 50}


def test_deadband_holds_noise_back(folder):
    tags, stepper = stepper_of(folder)
    stepper.step(0, command(tags, "press/run", True))
    sent = [values(tags, stepper.step(tick * SECOND // 2, None)) for tick in range(1, 400)]
    forces = [each["press/force_n"] for each in sent if "press/force_n" in each]
    assert 100 < len(forces) < 350
    assert all(abs(a - b) > 0.5 for a, b in itertools.pairwise(forces))


def test_counter_rolls_over_as_a_device_does(folder):
    tags, stepper = stepper_of(folder)
    stepper.step(0, command(tags, "press/run", True))
    last = values(tags, stepper.step(258 * SECOND + SECOND // 2, None))
    assert last["press/count"] == 257
    assert last["out/count"] == 1


def test_command_of_bad_quality_stops_the_machine(folder):
    tags, stepper = stepper_of(folder)
    stepper.step(0, command(tags, "press/run", True))
    batch = stepper.step(SECOND, command(tags, "press/run", True, Quality.BAD_NO_COMMUNICATION))
    assert values(tags, batch)["press/running"] is False


def test_fault_tag_stops_the_machine_and_zero_clears_it(folder):
    tags, stepper = stepper_of(folder)
    stepper.step(0, command(tags, "press/run", True))
    batch = stepper.step(SECOND, command(tags, "sys/twin/fault/press/jam", 1.0))
    assert values(tags, batch)["press/fault"] is True
    batch = stepper.step(2 * SECOND, command(tags, "sys/twin/fault/press/jam", 0.0))
    assert values(tags, batch)["press/fault"] is False


def test_seed_of_the_section_goes_before_that_of_the_model(folder):
    def forces():
        tags, stepper = stepper_of(folder)
        stepper.step(0, command(tags, "press/run", True))
        return [values(tags, stepper.step(tick * SECOND, None)).get("press/force_n") for tick in range(20)]

    first = forces()
    assert forces() == first
    (folder / "plant.yaml").write_text(PLANT.replace("twin.yaml", "twin.yaml, seed: 5"))
    assert forces() != first


class LateClock:
    """Wakes sleepers at their time, but late by what `late_ns` says for the n-th sleep."""

    def __init__(self, late_ns, sleeps):
        self.now, self.late_ns, self.left, self.done = 1_000 * SECOND, late_ns, sleeps, asyncio.Event()

    def now_ns(self):
        return self.now

    def steady_ns(self):
        return self.now

    async def sleep_until(self, at_ns):
        self.left -= 1
        self.now = max(self.now, at_ns) + self.late_ns.get(self.left, 0)
        await asyncio.sleep(0)
        if self.left <= 0:
            self.done.set()
            await asyncio.Event().wait()


def play(folder, late_ns, sleeps):
    tags, stepper = stepper_of(folder)

    async def main():
        clock = LateClock(late_ns, sleeps)
        port = FakePort(tags, "twin", "site/area/line", clock)
        port.set("press/run", True)
        task = asyncio.create_task(Player(stepper).run(port))
        await clock.done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return port, stepper

    return asyncio.run(main())


def test_player_keeps_wall_time(folder):
    port, stepper = play(folder, {}, 501)
    assert stepper.engine.now_ns == 10 * SECOND
    assert port.value("out/count") == 9


def test_player_without_commands_and_faults_plays_too(folder):
    (folder / "twin.yaml").write_text(TWIN[: TWIN.index("    faults:")] + "  out:\n    kind: sink\n")
    rows = TAGS.splitlines(keepends=True)
    (folder / "tags.csv").write_text("".join(row for row in rows if not row.startswith("press/run,")))
    tags, stepper = stepper_of(folder)
    assert len(stepper.reads) == 0
    port = FakePort(tags, "twin", "site/area/line")

    async def main():
        task = asyncio.create_task(Player(stepper).run(port))
        await port.clock.advance(3.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert port.value("out/count") == 2


def test_player_takes_missed_time_in_one_step(folder):
    port, stepper = play(folder, {250: int(1.5 * SECOND)}, 501)
    assert stepper.engine.now_ns == pytest.approx(11.5 * SECOND, abs=SECOND / 10)
    times = sorted({int(at) for batch in port.submitted for at in batch.source_ns})
    assert max(b - a for a, b in itertools.pairwise(times)) > SECOND
    assert min(b - a for a, b in itertools.pairwise(times)) >= SECOND // 50, "no burst follows"


def test_player_leaves_an_hour_of_sleep_out(folder):
    _, stepper = play(folder, {250: 3600 * SECOND}, 501)
    assert stepper.engine.now_ns == pytest.approx(10 * SECOND, abs=SECOND / 10)


def test_player_takes_faults_as_commands(folder):
    tags, stepper = stepper_of(folder)
    port = FakePort(tags, "twin", "site/area/line")

    async def main():
        task = asyncio.create_task(Player(stepper).run(port))
        await port.clock.settle()
        port.set("press/run", True)
        await port.clock.advance(2)
        answer = await port.command("sys/twin/fault/press/jam", 1.0)
        await port.clock.advance(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return answer, port.value("press/fault"), port.value("sys/twin/fault/press/jam")

    assert asyncio.run(main()) == (None, True, 1.0)


# -- with a rack -----------------------------------------------------------------------------------


@pytest.fixture
def racked(folder):
    (folder / "plant.yaml").write_text(
        "plant: small\nroot: site/area/line\n"
        "drivers:\n  - {name: io, kind: modbus.client, host: 127.0.0.1, port: 5029}\n"
        "twin: {rack: rack.yaml}\n"
    )
    (folder / "rack.yaml").write_text(
        "plant: small-rack\nroot: site/area/line\nrack: io\napi: null\nhistory: null\n"
        "drivers:\n  - {name: io, kind: modbus.server, host: 127.0.0.1, port: 5029}\ntwin: {}\n"
    )
    rows = ["path,type,source,address"]
    rows += ["press/running,BOOL,io,10001", "press/fault,BOOL,io,10002", "press/count,UDINT,io,30001"]
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_plant_and_rack_are_both_checked(racked):
    assert said(racked) == []
    assert said(racked / "rack.yaml") == []


def test_rack_that_answers_no_driver_is_found(racked):
    text = (racked / "rack.yaml").read_text().replace("rack: io", "rack: oi")
    (racked / "rack.yaml").write_text(text)
    assert any("no driver of plant.yaml is named 'oi'" in each for each in said(racked))


def test_missing_rack_file_is_found(racked):
    (racked / "rack.yaml").unlink()
    assert any("rack.yaml: error: file not found" in each for each in said(racked))


def test_rack_that_dies_is_told_with_its_last_words(racked):
    shutil.copy(racked / "rack.yaml", racked / "broken.yaml")
    (racked / "broken.yaml").write_text("plant: [\n")
    tags = assemble(racked).plant.tags
    faults = [tag for tag in tags if tag.path.startswith("sys/twin/fault/")]
    port = FakePort(tags, "rack", "site/area/line")
    with pytest.raises(PlantError) as caught:
        asyncio.run(asyncio.wait_for(Rack(racked / "broken.yaml", faults).run(port), 60))
    assert "broken.yaml" in caught.value.text
    assert "ended with code 1" in caught.value.text


def test_two_readings_of_one_tag_are_told(folder):
    (folder / "twin.yaml").write_text(TWIN + "    signals: {count: press/count}\n")
    (folder / "tags.csv").write_text(TAGS.replace("out/count,USINT,twin,,,,\n", ""))
    (finding,) = said(folder)
    assert "twin.yaml:17" in finding
    assert "press/count is given by press.count and by out.count" in finding
    assert "give each reading a tag of its own" in finding


def test_a_command_is_no_tag_that_another_signal_gives(folder):
    speed = "    cycle: 1s\n    signals: {speed_bpm: press/force_n}\n"
    (folder / "twin.yaml").write_text(TWIN.replace("    cycle: 1s\n", speed))
    (finding,) = said(folder)
    assert "twin.yaml:10" in finding
    assert "press.speed_bpm is a command, but its tag" in finding
    assert "does not reach the twin" in finding
