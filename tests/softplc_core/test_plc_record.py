"""Scans recorded by the loop, kept on disk and run again: from the outside, with the files in between."""

import json
import os
import random
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from runtime import cli
from runtime.errors import PlantError
from softplc.core.block import Block, Sizes
from softplc.core.forces import Forced, Forces
from softplc.core.layout import FORCES
from softplc.core.watch import watch
from softplc.lookup import Lookup
from softplc.record.files import segments
from softplc.record.notes import WRITE, Note
from softplc.record.player import Player
from softplc.record.programs import Kept
from softplc.record.reader import Record
from softplc.record.recorder import Recorder, RecordOptions
from softplc.record.replay import Position, Replay
from softplc.record.ring import Ring
from softplc.record.until import run_until
from softplc.record.why import why
from softplc.section import RecordConfig
from softplc.wiring import make_core, wire

SOURCE = """
TYPE E_Mode : (OFF, ON, BROKEN); END_TYPE
FUNCTION_BLOCK Filter
VAR_INPUT x : LREAL; END_VAR
VAR_OUTPUT y : LREAL; END_VAR
VAR_IN_OUT total : LREAL; END_VAR
y := 0.9 * y + 0.1 * x;
total := total + y;
END_FUNCTION_BLOCK
PROGRAM Main
VAR level : INT; start AT %IX0.3 : BOOL; setpoint : INT := 5; divisor : INT := 1; loops : DINT; END_VAR
VAR mode : E_Mode; delay : TON; smooth : Filter; total : LREAL; motor : BOOL; n : LINT; END_VAR
VAR name : STRING[10]; END_VAR
n := n + 1 / divisor;
WHILE loops > 0 DO n := n + 1; END_WHILE;
delay(IN := start, PT := T#50ms);
motor := delay.Q AND
    level > setpoint;
smooth(x := SIN(INT_TO_LREAL(level)), total := total);
mode := OFF;
IF motor THEN
    mode := ON;
END_IF;
END_PROGRAM
PROGRAM Slow
VAR count : DINT; seen : INT; END_VAR
count := count + 1;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
TASK slow (INTERVAL := T#70ms, PRIORITY := 2);
PROGRAM Main WITH fast : Main;
PROGRAM Slow WITH slow : Slow;
END_RESOURCE END_CONFIGURATION
"""
SIGNALS = {
    "level": ("INT", "Main.level", "in"),
    "start": ("BOOL", "Main.start", "in"),
    "name": ("STRING", "Main.name", "in"),
    "motor": ("BOOL", "Main.motor", "out"),
    "setpoint": ("INT", "Main.setpoint", "rw"),
}
BEGAN_NS = 1_700_000_000_000_000_000
STEP_NS = 10_000_000


class Line:
    """A program that is stepped and recorded; `images` are what they were behind each scan."""

    def __init__(self, build, tags, folder, record_words=0, watchdog_ns=0, options=None):
        self.build, self.tags, self.folder = build, tags, folder
        self.wiring = wire(tags, build.application)
        assert not self.wiring.problems
        self.options = options or RecordOptions(64 << 20, 1_000_000_000)
        words = record_words or self.options.ring_words(build, self.wiring)
        self.core = make_core(build, self.wiring, watchdog_ns, record_words=words)
        self.recorder = Recorder(folder, self.options)
        self.recorder.prepare(self.core, 1)
        self.recorder.follow(self.core, self.describe)
        self.now_ns = BEGAN_NS
        self.images = {0: self.core.image()}

    def describe(self):
        return Kept.of(self.build, self.wiring, self.tags)

    def scan(self, steps=1, drain=True, **inputs):
        for path, value in inputs.items():
            tag = self.tags[path]
            text = {0: value} if isinstance(value, str) else {}
            raw = 0 if text else tag.data_type.encode(value)
            self.core.write_inputs(
                np.array([tag.id], np.int32), np.array([raw], np.uint64), np.zeros(1, np.uint32), text
            )
        for _ in range(steps):
            before = self.core.control.scans
            self.core.step(self.now_ns)
            if self.core.control.scans == before + 1:  # two tasks in one step leave no image between
                self.images[before + 1] = self.core.image()
            self.now_ns += STEP_NS
        if drain:
            self.recorder.drain()

    def write(self, path, value, actor=""):
        lookup = Lookup(self.build.application)
        symbol = lookup.symbol(path)
        _, raws = lookup.parse(symbol, value)
        number = self.core.write(lookup.variable(symbol), raws[0])
        if actor:
            head = Ring(self.core).head
            self.recorder.note(
                Note(WRITE, self.now_ns, head.run, head.block, number, f"tag of {path}", value, actor)
            )

    def force(self, forces, **until_ns):
        lookup = Lookup(self.build.application)
        found = []
        for number, (path, value) in enumerate(forces.items(), 1):
            symbol = lookup.symbol(path)
            _, raws = lookup.parse(symbol, value)
            found.append(Forced(number, lookup.variable(symbol), raws, until_ns.get("until_ns", 0)))
        Forces(self.core).write(found)

    def busy(self, steps, seed=1):
        rnd = random.Random(seed)
        for number in range(steps):
            if rnd.random() < 0.2:
                self.scan(level=rnd.randrange(-50, 50), start=rnd.random() < 0.8, drain=False)
            if rnd.random() < 0.05:
                self.scan(name="".join(rnd.choices("abcdé", k=rnd.randrange(9))), drain=False)
            if rnd.random() < 0.05:
                self.write("Main.setpoint", rnd.randrange(20))
            self.scan(drain=number % 60 == 0)

    def end(self):
        self.recorder.end()
        return Record(self.folder)


@pytest.fixture(scope="module")
def build(core_object):
    import softplc
    from softplc.build import Build

    return Build(softplc.compile(sources={"plc/main.st": SOURCE}), core_object, {"plc/main.st": SOURCE})


@pytest.fixture
def line(build, plant_tags, tmp_path):
    def line(**options):
        return Line(build, plant_tags(**SIGNALS), tmp_path / "record", **options)

    return line


def known(replay, image):
    """What of an image belongs to variables: arguments of calls are addresses, different in each process."""
    return np.frombuffer(image, np.uint8)[replay.program.state].tobytes()


def test_every_scan_is_what_it_was_forwards_and_backwards(line):
    plant = line()
    plant.busy(800)
    record = plant.end()
    assert record.problems == record.gaps == []
    with Replay(record) as replay:
        assert replay.run() is True
        assert replay.scans == plant.core.control.scans > 900
        assert known(replay, replay.image) == known(replay, plant.core.image())
        assert replay.compared >= 6
        assert replay.differences == []
        for scan in random.Random(2).sample(sorted(plant.images), 12):
            replay.seek(scan=scan)
            assert known(replay, replay.image) == known(replay, plant.images[scan])
            back = min(scan, 250)
            assert replay.step(-back)
            assert replay.scans == scan - back
            assert replay.step(back)
            assert known(replay, replay.image) == known(replay, plant.images[scan])
        assert replay.seek_first().scan == 0
        assert replay.step(-1) is False
        replay.seek_end()
        assert replay.step() is False
        assert replay.seek(at_ns=BEGAN_NS + 5 * STEP_NS).at_ns == BEGAN_NS + 5 * STEP_NS
        with pytest.raises(PlantError, match="scan 99999 is not in the record"):
            replay.seek(scan=99_999)


def test_what_recording_costs_on_disk_is_little(line):
    plant = line()
    plant.scan(2000, drain=False)
    plant.end()
    assert plant.recorder.figures.bytes / plant.recorder.figures.scans < 4  # nothing changes but time


def test_writes_forces_and_their_ends_are_part_of_it(line):
    plant = line()
    plant.scan(3, level=9, start=True)
    plant.force({"Main.motor": True, "Main.name": "abc"})
    plant.scan(4)
    plant.force({"Main.motor": False}, until_ns=time.monotonic_ns() + 1)  # it ends with the next scan
    plant.scan(2)
    plant.write("Main.setpoint", 12, "anna")
    plant.scan(3)
    with Replay(plant.end()) as replay:
        for scan, image in plant.images.items():
            replay.seek(scan=scan)
            assert known(replay, replay.image) == known(replay, image), scan
        replay.seek_end()
        answer = why(replay, "site/area/line/setpoint")
        assert (answer.path, answer.value, answer.before) == ("Main.setpoint", 12, 5)
        assert (answer.cause, answer.actor, answer.tag) == ("write", "anna", "tag of Main.setpoint")
        replay.seek(at_ns=BEGAN_NS + 4 * STEP_NS)
        assert why(replay, "Main.name").cause == "force"


def test_a_fault_is_replayed_and_the_other_task_goes_on(line):
    plant = line()
    plant.scan(5)
    plant.write("Main.divisor", 0)
    plant.scan(20)
    record = plant.end()
    with Replay(record) as replay:
        replay.run()
        assert [fault.task for fault in replay.faults()] == ["fast"]
        assert known(replay, replay.image) == known(replay, plant.core.image())
        assert replay.differences == []
        assert replay.read("Slow.count") == 4
        fault = next(fault for fault in replay.faults())
        assert replay.program.build.application.files[fault.file] == "plc/main.st"


def test_a_scan_that_the_watchdog_ended_has_the_image_that_it_left(line):
    plant = line(watchdog_ns=500_000_000)
    watch(plant.core)
    plant.scan(5)
    plant.write("Main.loops", 1)
    plant.scan(30)
    assert plant.core.control.aborts == 1
    with Replay(plant.end()) as replay:
        began = time.monotonic()
        replay.run()
        assert time.monotonic() - began < 40  # it does not loop for ever again
        assert known(replay, replay.image) == known(replay, plant.core.image())
        assert replay.differences == []


def test_what_found_no_room_is_a_gap_that_is_told(line):
    plant = line(record_words=20_000)
    plant.scan(10)
    plant.scan(9000, drain=False)  # nobody takes it out
    lost = Ring(plant.core).head.lost_ever
    plant.scan(10)
    plant.scan(300, level=7)
    record = plant.end()
    assert lost > 0
    (gap,) = record.gaps
    assert gap.last - gap.first == Ring(plant.core).head.lost_ever
    assert f"scans {gap.first + 1} to {gap.last} are not in the record" in gap.text
    with Replay(record) as replay:
        replay.run()
        assert replay.jumped
        assert known(replay, replay.image) == known(replay, plant.core.image())
        with pytest.raises(PlantError, match="not in the record"):
            replay.seek(scan=(gap.first + gap.last) // 2)
        replay.seek(scan=gap.first)
        assert replay.step()
        assert replay.scans == gap.last


def test_another_kernel_goes_on_where_the_one_before_was_killed(line):
    plant = line()
    plant.busy(100)
    plant.scan(50, drain=False)
    for _ in range(2):  # killed; the second time after it wrote, before it freed the room
        ring = Ring(plant.core)
        tail = ring.head.tail
        plant.recorder = Recorder(plant.folder, plant.options)
        plant.recorder.follow(plant.core, plant.describe)
        plant.scan(30)
        ring.free(tail)
    plant.recorder = Recorder(plant.folder, plant.options)
    plant.recorder.follow(plant.core, plant.describe)
    plant.scan(10)
    record = plant.end()
    assert record.gaps == record.problems == []
    assert len(segments(plant.folder)) == 4
    with Replay(record) as replay:
        replay.run()
        assert replay.scans == plant.core.control.scans
        assert known(replay, replay.image) == known(replay, plant.core.image())
        assert not replay.jumped


def test_a_kernel_that_was_killed_before_it_freed_any_room_wrote_once(line):
    plant = line()
    plant.scan(30)
    Ring(plant.core).free(0)
    plant.recorder = Recorder(plant.folder, plant.options)
    plant.recorder.follow(plant.core, plant.describe)
    plant.scan(10)
    record = plant.end()
    assert record.gaps == record.problems == []
    with Replay(record) as replay:
        replay.run()
        assert replay.scans == plant.core.control.scans
        assert not replay.jumped


def test_the_oldest_scans_make_room(line):
    plant = line(options=RecordOptions(140_000, 100_000_000))
    plant.busy(6000)
    record = plant.end()
    size = sum(each.stat().st_size for each in segments(plant.folder))
    assert 60_000 < size <= 140_000
    assert record.gaps == []
    assert record.chunks[0].head.first > 0
    with Replay(record) as replay:
        first = replay.at
        assert first.scan > 0
        replay.run()
        assert replay.differences == []
        assert known(replay, replay.image) == known(replay, plant.core.image())


@pytest.mark.parametrize("how", ["flipped", "cut", "head flipped", "emptied"])
def test_a_damaged_segment_costs_no_more_than_itself(line, how):
    plant = line(options=RecordOptions(4_000_000, 300_000_000))
    plant.recorder._segments._size = 4_000  # several, without writing megabytes
    plant.busy(1500)
    plant.end()
    files = segments(plant.folder)
    assert len(files) > 4
    victim = files[2]
    raw = bytearray(victim.read_bytes())
    if how == "flipped":
        raw[len(raw) // 2] ^= 4
    elif how == "head flipped":
        raw[9] ^= 64
    victim.write_bytes(raw[: len(raw) // 2] if how == "cut" else b"" if how == "emptied" else raw)
    with Replay(Record(plant.folder)) as replay:
        replay.run()
        record = replay.record
        assert known(replay, replay.image) == known(replay, plant.core.image())
        assert replay.differences == []
        assert record.gaps or record.problems
        if how != "emptied":
            assert any(victim.name in each for each in record.problems)


def test_a_disk_that_refuses_is_told_and_costs_only_its_scans(line, caplog):
    plant = line()
    plant.folder.parent.mkdir(exist_ok=True)
    plant.folder.write_text("a file where the folder should be")
    plant.scan(20)
    plant.scan(20)
    assert "the record of scans cannot be written" in plant.recorder.figures.error
    assert plant.recorder.figures.lost >= 40
    assert len(caplog.records) == 1  # told once
    plant.folder.unlink()
    plant.scan(300)  # the next whole image is due after a second
    record = plant.end()
    assert plant.recorder.figures.error == ""
    with Replay(record) as replay:
        assert replay.at.scan > 40
        replay.run()
        assert known(replay, replay.image) == known(replay, plant.core.image())


def test_a_record_of_nothing_says_what_to_do(tmp_path):
    with pytest.raises(PlantError, match="no scans are recorded") as error:
        Record(tmp_path)
    (told,) = re.findall("`plc: record: (.*)`", error.value.remedy)
    assert RecordConfig.model_validate(YAML(typ="safe").load(told)).disk_limit_mib == 0
    (tmp_path / "00000001.seg").write_bytes(b"rubbish" * 30)
    with pytest.raises(PlantError, match=r"00000001\.seg is damaged from byte 0 on"):
        Record(tmp_path)


def test_a_condition_is_an_expression_over_all_variables(line):
    plant = line()
    plant.scan(3)
    plant.scan(10, level=9, start=True)
    plant.scan(5, start=False)
    with Replay(plant.end()) as replay:
        assert run_until(replay, "Main.motor AND Main.delay.ET = T#50ms AND Main.mode = E_Mode#ON")
        assert replay.read("Main.motor") is True
        replay.step(-1)
        assert replay.read("Main.motor") is False
        replay.seek_first()
        assert run_until(replay, "Main.motor", Position(1, 5, 0)) is False
        assert run_until(replay, "Main.level = 77") is False
        for text, told in (
            ("Main.mottor", "no variable"),
            ("Main.level +", "expected"),
            ("Main.level", "BOOL"),
            ("1 = 1; 2", "no ;"),
        ):
            with pytest.raises(PlantError, match=told):
                run_until(replay, text)


def test_why_names_line_input_and_what_the_line_reads(line):
    plant = line()
    plant.scan(3)
    plant.scan(12, level=9, start=True)
    with Replay(plant.end()) as replay:
        replay.seek_end()
        answer = why(replay, "Main.motor")
        assert (answer.value, answer.before, answer.cause, answer.task) == (True, False, "program", "fast")
        assert (answer.pou, answer.file, answer.line) == ("Main", "plc/main.st", 17)
        assert answer.source == "motor := delay.Q AND level > setpoint;"
        assert [(read.path, read.value) for read in answer.reads] == [
            ("Main.delay.Q", True), ("Main.level", 9), ("Main.setpoint", 5),
        ]  # fmt: skip
        assert answer.reads[1].tag == "site/area/line/level"
        assert answer.reads[1].source == "operator"
        replay.seek(scan=answer.scan)
        assert replay.read("Main.motor") is True
        replay.seek(scan=answer.scan - 1)
        assert replay.read("Main.motor") is False

        def line_of(path):
            replay.seek_end()
            found = why(replay, path)
            return found.cause, found.pou, found.line

        assert line_of("Main.mode") == ("program", "Main", 22)
        assert line_of("Main.smooth.y") == ("program", "Filter", 7)
        assert line_of("Main.total") == ("program", "Filter", 8)  # through VAR_IN_OUT
        assert line_of("Main.smooth.x") == ("program", "Main", 19)  # handed over by the call
        assert line_of("Main.delay.Q") == ("program", "Main", 16)  # a library's block: who calls it
        assert line_of("Main.level")[0] == line_of("site/area/line/start")[0] == "input"
        replay.seek_end()
        assert why(replay, "Main.divisor").cause == "unchanged"
        replay.seek_end()
        with pytest.raises(PlantError, match="there is no variable"):
            why(replay, "Main.nothing")
        with pytest.raises(PlantError, match="name one of its members"):
            why(replay, "Main.smooth")


RESOURCES = """
PROGRAM P VAR q : BOOL; END_VAR VAR_EXTERNAL n : INT; END_VAR n := n + 1; q := n > 3; END_PROGRAM
CONFIGURATION c
RESOURCE a ON PLC VAR_GLOBAL n : INT; END_VAR TASK t (PRIORITY := 1); PROGRAM p WITH t : P; END_RESOURCE
RESOURCE b ON PLC VAR_GLOBAL n : INT := 1; END_VAR TASK t (PRIORITY := 2); PROGRAM p WITH t : P; END_RESOURCE
END_CONFIGURATION
"""


def test_why_names_the_variables_of_the_resource(core_object, plant_tags, tmp_path):
    import softplc
    from softplc.build import Build

    sources = {"plc/main.st": RESOURCES}
    plant = Line(Build(softplc.compile(sources=sources), core_object, sources), plant_tags(), tmp_path)
    plant.scan(8)
    with Replay(plant.end()) as replay:
        for resource, value in (("a", 4), ("b", 4)):
            replay.seek_end()
            answer = why(replay, f"{resource}.p.q")
            assert (answer.task, answer.line) == (f"{resource}.t", 2)
            assert [(read.path, read.value) for read in answer.reads] == [(f"{resource}.n", value)]


def test_a_force_table_that_is_full_fits_into_a_record(line):
    plant = line(record_words=20_000)
    lookup = Lookup(plant.build.application)
    variable = lookup.variable(lookup.symbol("Main.setpoint"))
    Forces(plant.core).write([Forced(1, variable, (number,)) for number in range(FORCES)])
    plant.scan(5)
    with Replay(plant.end()) as replay:
        replay.run()
        assert replay.read("Main.setpoint") == FORCES - 1
        assert known(replay, replay.image) == known(replay, plant.core.image())


def test_the_program_is_kept_with_its_scans(line, build):
    plant = line()
    plant.scan(5)
    record = plant.end()
    with Replay(record) as replay:
        assert replay.program.sources == {"plc/main.st": SOURCE}
        assert replay.program.build == build
        assert replay.program.source_line("plc/main.st", 14).startswith("n := n + 1")
    for file in (plant.folder / "programs").glob("*.plc"):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(PlantError, match="a program of the record cannot be read"):
        Replay(Record(plant.folder))


@pytest.mark.skipif(sys.platform != "linux", reason="lists what is open")
def test_a_record_that_has_ended_is_closed(line):
    plant = line()
    plant.scan(5)
    plant.end()
    assert not [each for each in Path("/proc/self/fd").iterdir() if plant.folder in each.resolve().parents]


def test_only_the_owner_may_read_it(line):
    plant = line()
    plant.scan(5)
    plant.end()
    for file in plant.folder.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, file
    assert plant.folder.stat().st_mode & 0o077 == 0


@pytest.fixture
def shell(build, plant_tags, tmp_path):
    """A plant folder with a record, and a function that runs a command on it."""
    (tmp_path / "plant.yaml").write_text("plant: tank\nroot: site/area/line\n")
    plant = Line(build, plant_tags(**SIGNALS), tmp_path / ".ironworks" / "plc" / "record")
    plant.scan(3)
    plant.scan(12, level=9, start=True)
    plant.scan(5, start=False)
    plant.recorder.end()
    command = cli.build("plc")

    def shell(*arguments):
        return CliRunner().invoke(command, ["plc", *arguments, "--plant", str(tmp_path)])

    return shell


def test_replay_in_a_shell_tells_changes_images_and_gaps(shell):
    done = shell("replay", "Main.motor", "site/area/line/level")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert [line.split("  ")[-1] for line in lines if "Main.motor = " in line][:3] == [
        "Main.motor = FALSE", "Main.motor = TRUE", "Main.motor = FALSE",
    ]  # fmt: skip
    assert "all the same" in lines[-1]
    assert "1970" not in done.output
    (line,) = shell("replay", "Main.delay", "--scan", "9", "--json").output.splitlines()
    told = json.loads(line)
    assert (told["scan"], told["different"], told["gaps"]) == (9, 0, [])
    assert told["values"]["Main.delay"]["PT"] == "T#50ms"
    assert len(told["image"]) == 64


def test_replay_stops_where_a_condition_comes_true_or_says_that_it_does_not(shell):
    done = shell("replay", "--until", "Main.motor", "--json")
    assert (done.exit_code, json.loads(done.output)["until"]) == (0, True)
    done = shell("replay", "--until", "Main.level = 4711")
    assert done.exit_code == 1
    assert "Main.level = 4711 does not become TRUE" in done.output


def test_why_in_a_shell_names_the_line(shell):
    assert shell("why", "motor", "--at", "12").stdout == shell("why", "Main.motor", "--at", "12").stdout
    done = shell("why", "site/area/line/motor", "--at", "12")
    assert done.exit_code == 0
    assert "Main.motor = TRUE since scan 11, " in done.output
    assert "(before: FALSE)" in done.output
    assert "task fast, Main, plc/main.st:17" in done.output
    assert "motor := delay.Q AND level > setpoint;" in done.output
    assert json.loads(shell("why", "Main.motor", "--json").output)["before"] is True


def test_a_mistake_is_told_in_words(shell):
    for arguments, told in (
        (("why", "Main.mottor"), "there is no variable"),
        (("why", "Main.motor", "--at", "yesterday"), "is not a time"),
        (("why", "Main.motor", "--at", "999999"), "scan 999999 is not in the record"),
        (("replay", "--scan", "5", "--run", "9"), "has no run 9"),
        (("why", "Main.motor", "--run", "9"), "has no run 9"),
        (("replay", "--from", "2100-01-01", "--to", "2000-01-01"), "is before the beginning"),
        (("replay", "--until", "Main.level"), "BOOL"),
        (("replay", "Nothing.here"), "there is no variable"),
    ):
        with pytest.raises(PlantError, match=told):
            raise shell(*arguments).exception


def test_the_prompt_steps_shows_and_explains(line):
    plant = line()
    plant.scan(3)
    plant.scan(12, level=9, start=True)
    with Replay(plant.end()) as replay:
        player = Player(replay, [], plant.now_ns)

        def say(text):
            return "\n".join(player.obey(text))

        assert "scan 5, " in say("n 5")
        assert "Main.level = 9" in say("show Main.level Main.motor")
        assert "Main.motor = TRUE" in say("c")
        assert "Main.motor = FALSE" in say("b")
        assert "Main.motor = FALSE" in say("")  # the same once more
        assert "ends here" in say("n 99999")
        assert "scan 0, before the first scan" in say("start")
        assert "begins here" in say("b")
        assert "Main.motor = TRUE" in say("until Main.motor")
        at = replay.at
        assert "motor := delay.Q" in say("why Main.motor")
        assert replay.at == at
        assert "nothing is missing" in say("gaps")
        assert "scan 4" in say("scan 4")
        assert "why PATH" in say("h")
        assert say("hide") == ""
        for text in ("dance", "n x", "scan -1", "at noon", "c", "why Main.nothing", "show Main.x", "until ("):
            with pytest.raises(PlantError):
                say(text)


def test_what_was_taken_out_takes_no_memory_of_the_kernel():
    fd = os.memfd_create("block")
    block = Block(Sizes(image=64, tasks=1, inputs=1, outputs=1, keys=1, record=1 << 18), fd)
    os.close(fd)
    ring = block.view("record")
    ring[:] = 7
    assert _resident_bytes(block.address) >= 2 << 20
    block.let_go("record", 0, len(ring))
    assert _resident_bytes(block.address) < 64 << 10
    assert (ring == 7).all()


def test_a_block_without_a_file_keeps_what_is_let_go():
    block = Block(Sizes(image=64, tasks=1, inputs=1, outputs=1, keys=1, record=1 << 14))
    ring = block.view("record")
    ring[:] = 7
    block.let_go("record", 0, len(ring))
    assert (ring == 7).all()


def _resident_bytes(address):
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.startswith(f"{address:x}-"):
            return next(int(each.split()[1]) * 1024 for each in lines if each.startswith("Rss:"))
    raise AssertionError("it is not mapped")
