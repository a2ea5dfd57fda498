"""How tasks and programs do, and the longest scan with its inputs: what a control engineer is told."""

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest

import softplc
from runtime.clock import WallClock
from runtime.config import TagList
from runtime.contract import DataType, Tag
from runtime.errors import UnknownVariableError
from runtime.testing import FakePort
from softplc import facts
from softplc.bridge import Bridge, BridgeOptions
from softplc.core.stats import Spread
from softplc.faults import operands_text
from softplc.taskfacts import task_names
from softplc.wiring import fault_text, make_core, wire

SOURCE = """
FUNCTION_BLOCK Table
VAR_INPUT k : USINT; END_VAR
VAR a : ARRAY[-2..3] OF INT; small : INT(-5..5); END_VAR
a[USINT_TO_INT(k) - 2] := 1; small := USINT_TO_INT(k) * 3;
END_FUNCTION_BLOCK
PROGRAM Work
VAR rounds, done : DINT; k, sum : DINT; name : STRING[12]; table : Table; index, divisor : USINT := 1; END_VAR
sum := 0;
FOR k := 1 TO rounds - done DO sum := sum * 3 + k; END_FOR; done := rounds;
table(k := index);
sum := 200 / divisor;
END_PROGRAM
PROGRAM Light
VAR n : LINT; END_VAR
n := n + 1;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK main (INTERVAL := T#10ms, PRIORITY := 1); (* TASK not_this ( *)
PROGRAM First WITH main : Work;
PROGRAM Second WITH main : Light;
END_RESOURCE END_CONFIGURATION
"""
TAGS = (
    Tag("site/area/line/rounds", DataType.DINT, variable="First.rounds", source="operator"),
    Tag("site/area/line/name", DataType.STRING, variable="First.name", source="operator"),
    Tag("site/area/line/index", DataType.USINT, variable="First.index", source="operator"),
    Tag("site/area/line/divisor", DataType.USINT, variable="First.divisor", source="operator"),
    Tag("site/area/line/n", DataType.LINT, variable="Second.n", source="plc"),
    *facts.declare(("main",)).tags,
)


@pytest.fixture
def plc(compiled, tmp_path, eventually):
    @asynccontextmanager
    async def plc(**values):
        port = FakePort(TagList(TAGS, "site/area/line"), name="plc", clock=WallClock())
        for path, value in {"index": 1, "divisor": 1, **values}.items():
            port.set(path, value)
        build = compiled(SOURCE)
        bridge = Bridge(lambda: build, BridgeOptions(watchdog_ns=300_000_000_000), tmp_path)
        task = asyncio.create_task(bridge.run(port))
        try:
            await eventually(lambda: port.value("n") is not None)
            yield bridge.controller, port
        finally:
            task.cancel()
            await asyncio.wait([task])

    return plc


def test_the_longest_scan_is_kept_with_its_inputs_and_tasks_and_programs_have_figures(plc, eventually):
    async def main():
        async with plc(name="before") as (controller, port):
            await eventually(lambda: port.value("n") > 20)
            port.set("name", "guilty")
            port.set("rounds", 60_000_000)

            def guilty():
                values = {each.variable: each.value for each in controller.worst("MAIN").inputs}
                return values["First.rounds"] and controller.figures().tasks[0].execution.max_us > 20_000

            await eventually(guilty)
            port.set("rounds", 0)
            port.set("name", "after")
            before = port.value("n")
            await eventually(lambda: port.value("n") > before + 5)
            worst = controller.worst("MAIN")
            values = {each.variable: each.value for each in worst.inputs}
            assert values == {
                "First.rounds": 60_000_000, "First.name": "guilty", "First.index": 1, "First.divisor": 1,
            }  # fmt: skip
            (task,) = controller.figures().tasks
            assert (worst.scan, worst.at_ns) == (task.worst_scan, task.worst_at_ns)
            assert worst.took_us == task.execution.max_us
            first, second = task.programs
            assert (first.name, second.name) == ("First", "Second")
            assert first.worst_scan == worst.scan
            assert first.execution.max_us > 20_000 > second.execution.p50_us
            assert 0 < second.execution.min_us <= second.execution.p50_us <= second.execution.max_us
            assert first.share > second.share > 0
            with pytest.raises(UnknownVariableError, match="no task 'mian'"):
                controller.worst("mian")
            assert worst.scan > 20
            await eventually(lambda: (port.value("sys/plc/tasks/main/scans") or 0) > worst.scan)
            assert port.value("sys/plc/tasks/main/execution_max_us") > 20_000
            assert port.value("sys/plc/tasks/main/worst_scan") == worst.scan
            assert port.value("sys/plc/tasks/main/latency_p99_us") > 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"divisor": 0}, "division by zero at plc/main.st:{12} in First (200 / 0)"),
        ({"index": 9}, "index out of range at plc/main.st:{5} in Table (7 is not in -2..3)"),
        ({"index": 2}, "value outside its subrange at plc/main.st:{5} in Table (6 is not in -5..5)"),
    ],
    ids=["division", "index", "subrange"],
)
def test_a_fault_tells_scan_unit_line_and_operands(compiled, inputs, says):
    build, tags = compiled(SOURCE), TagList(TAGS, "site/area/line")
    core = make_core(build, wire(tags, build.application))
    for _ in range(2):
        core.step(1_000_000_000 + 10_000_000 * core.stats().scans)
    ids = np.array([tags[name].id for name in inputs], np.int32)
    core.write_inputs(ids, np.array(list(inputs.values()), np.uint64), np.zeros(len(ids), np.uint32))
    core.step(1_100_000_000)
    (fault,) = core.faults()
    text = says.replace("{", "").replace("}", "")
    assert fault_text(fault, build.application) == f"task main stopped: {text}"
    assert fault.scan == core.stats().scans == 3
    assert not any(core.image()[16:28])
    assert not any(core.image()[40:128])


def test_a_method_is_known_by_its_block_and_its_name():
    text = "FUNCTION_BLOCK Tank METHOD PUBLIC fill : INT fill := 1; END_METHOD END_FUNCTION_BLOCK "
    text += "PROGRAM Main VAR t : Tank; n : INT; END_VAR n := t.fill(); END_PROGRAM"
    assert set(softplc.compile(sources={"a.st": text}).units) == {"", "Main", "Tank.fill"}


def test_unsigned_operands_are_unsigned():
    assert operands_text(1, (-1, 0, 0), unsigned=True) == f"{2**64 - 1} / 0"
    assert operands_text(5, (1, 2, 3)) == ""


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (SOURCE, ("main",)),
        ("task A(INTERVAL := T#1s); TASK  b\n(PRIORITY := 1); TASK a(", ("A", "b")),
        ("x := 'TASK no ('; // TASK no (\n", ("default",)),
        (
            '<project><task name="Fast" interval="T#1s"/><task priority="1" name="slow"/></project>',
            ("Fast", "slow"),
        ),
    ],
    ids=["commented", "cases", "none", "xml"],
)
def test_names_of_tasks_are_found_without_compiling(source, names):
    assert task_names([source]) == names


def test_percentiles_of_programs_are_right_to_six_percent():
    bins = np.zeros(640, np.uint32)
    durations = [3, 40, 1_000, 25_000, 1_000_000]
    for ns in durations:
        shift = max(ns.bit_length() - 5, 0)
        bins[ns if ns < 16 else (shift + 1) * 16 + (ns >> shift) % 16] += 1
    spread = Spread.of_laps(bins, max(durations), 3, 3)
    assert 1.0 <= spread.p50_us <= 1.07
    assert spread.p99_us == spread.max_us == 1_000
