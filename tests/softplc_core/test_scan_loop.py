"""The native loop in its thread: rate, tasks, faults, watchdog, stopping."""

import time

import numpy as np

from runtime.contract import DataType, Quality

COUNTING = """
PROGRAM Main
VAR n : LINT; x : REAL; y : REAL; t : LINT; END_VAR
n := n + 1;
y := x * 2.0;
END_PROGRAM
CONFIGURATION c RESOURCE r ON PLC
TASK fast (INTERVAL := T#5ms, PRIORITY := 1);
PROGRAM Main WITH fast : Main;
END_RESOURCE END_CONFIGURATION
"""

TWO_TASKS = """
PROGRAM Quick
VAR n : LINT; END_VAR
n := n + 1;
END_PROGRAM

PROGRAM Slow
VAR n : LINT; d : DINT := 1; out : DINT := 7; hang : BOOL; END_VAR
n := n + 1;
WHILE hang DO
  out := out + 1;
END_WHILE;
out := 100 / d;
END_PROGRAM

CONFIGURATION c RESOURCE r ON PLC
TASK quick (INTERVAL := T#2ms, PRIORITY := 1);
TASK slow (INTERVAL := T#10ms, PRIORITY := 2);
PROGRAM Quick WITH quick : Quick;
PROGRAM Slow WITH slow : Slow;
END_RESOURCE END_CONFIGURATION
"""
TWO_TASK_TAGS = {
    "quick_n": ("LINT", "Quick.n", "out"),
    "slow_n": ("LINT", "Slow.n", "out"),
    "slow_out": ("DINT", "Slow.out", "out"),
    "valve": ("DINT", "Slow.out", "device"),
    "d": ("DINT", "Slow.d", "rw"),
    "hang": ("BOOL", "Slow.hang", "rw"),
}


def line_of(source, text):
    return next(number for number, line in enumerate(source.splitlines(), 1) if text in line)


def place(tags, build, name):
    from softplc.wiring import wire

    return next(b.variable for b in wire(tags, build.application).outputs if b.key == tags[name].id)


def send(core, tags, quality=Quality.GOOD, **values):
    chosen = [tags[name] for name in values]
    core.write_inputs(
        np.array([tag.id for tag in chosen], np.int32),
        np.array([tags[name].data_type.encode(value) for name, value in values.items()], np.uint64),
        np.full(len(chosen), quality, np.uint32),
    )


def test_scans_come_at_the_rate_of_the_task(compiled, plant_tags, scanning, until):
    def looked():
        """Return time and figures between two scans; nothing where one is due and not done."""
        next_ns, stats = core.records[0].next_ns, core.stats()
        unchanged, now_ns = core.records[0].next_ns == next_ns, time.monotonic_ns()
        return (now_ns, stats) if unchanged and now_ns < next_ns else None

    tags = plant_tags(n=("LINT", "Main.n", "out"))
    with scanning(compiled(COUNTING), tags) as (core, _):
        first_ns, first = until(looked)
        time.sleep(0.6)
        until(lambda: core.stats().scans > 20)
        last_ns, last = until(looked)
    period_ns = 5_000_000
    activations = last.scans + last.skipped - first.scans - first.skipped
    assert abs(activations * period_ns - (last_ns - first_ns)) <= period_ns
    assert last.execution.p50_us <= last.execution.p99_us <= last.execution.p999_us <= last.execution.max_us
    assert core.read_outputs().raw[0] == core.stats().scans


def test_an_input_reaches_the_output(compiled, plant_tags, scanning, until):
    tags = plant_tags(x=("REAL", "Main.x", "in"), y=("REAL", "Main.y", "out"))
    with scanning(compiled(COUNTING), tags) as (core, _):
        send(core, tags, x=21.25)
        raw = DataType.REAL.encode(42.5)
        until(lambda: core.read_outputs() and core.read_outputs().raw[0] == raw)


def test_an_input_of_bad_quality_holds_the_last_value(compiled, plant_tags, scanning, until):
    tags = plant_tags(x=("REAL", "Main.x", "in"), y=("REAL", "Main.y", "out"))
    with scanning(compiled(COUNTING), tags) as (core, _):
        send(core, tags, x=3.0)
        send(core, tags, Quality.BAD_NO_COMMUNICATION, x=99.0)
        until(lambda: core.read_outputs() and core.read_outputs().raw[0] == DataType.REAL.encode(6.0))
        assert core.stats().held_inputs == 1


def test_snapshots_are_never_torn_under_a_fast_writer(compiled, plant_tags, scanning):
    tags = plant_tags(**{f"n{i}": ("LINT", "Main.n", "out") for i in range(1000)})
    with scanning(compiled(COUNTING, interval_ns=10_000), tags) as (core, _):
        last, distinct = 0, 0
        while distinct < 5_000:
            outputs = core.read_outputs()
            if outputs is None:
                continue
            value = int(outputs.raw[0])
            assert (outputs.raw == value).all()
            assert value >= last
            distinct += value > last
            last = value


def test_inputs_are_latched_whole(compiled, plant_tags, scanning, until):
    source = """
    PROGRAM Main
    VAR a : LINT; b : LINT; c : REAL; torn : LINT; seen : LINT; END_VAR
    IF a <> b OR LINT_TO_REAL(a) <> c THEN torn := torn + 1; END_IF;
    seen := a;
    END_PROGRAM
    CONFIGURATION k RESOURCE r ON PLC
    TASK t (INTERVAL := T#1ms, PRIORITY := 1);
    PROGRAM Main WITH t : Main;
    END_RESOURCE END_CONFIGURATION
    """
    tags = plant_tags(
        a=("LINT", "Main.a", "in"), b=("LINT", "Main.b", "in"), c=("REAL", "Main.c", "in"),
        torn=("LINT", "Main.torn", "out"), seen=("LINT", "Main.seen", "out"),
    )  # fmt: skip
    with scanning(compiled(source, interval_ns=10_000), tags) as (core, _):
        for number in range(1, 10_001):
            send(core, tags, a=number, b=number, c=number)
        until(lambda: core.read_outputs() and core.read_outputs().raw[1] == 10_000)
        torn = core.read_outputs().raw[0]
    assert torn == 0


def test_a_fault_stops_its_task_with_file_and_line_and_leaves_the_other_running(
    compiled, plant_tags, scanning, until
):
    build, tags = compiled(TWO_TASKS), plant_tags(**TWO_TASK_TAGS)
    with scanning(build, tags) as (core, _):
        until(lambda: core.stats().tasks[1].scans > 2)
        core.write(place(tags, build, "d"), 0)
        (fault,) = until(core.faults)
        from softplc.wiring import fault_text

        line = line_of(TWO_TASKS, "100 / d")
        assert fault_text(fault, build.application) == (
            f"task slow stopped: division by zero at plc/main.st:{line} in Slow (100 / 0)"
        )
        quick, slow = (task.scans for task in core.stats().tasks)
        until(lambda: core.stats().tasks[0].scans > quick + 20)
        assert core.stats().tasks[1].scans == slow


def rows_with(core, quality, until):
    """Collect until an output has a quality, and all have come; return the newest row of each, by tag."""
    rows = {}

    def collected():
        rows.update((row.id, row) for row in core.collect() or ())
        return len(rows) == core.control.output_count and any(row.quality == quality for row in rows.values())

    until(collected)
    return rows


def test_outputs_of_a_faulted_task_are_safe_and_bad(compiled, plant_tags, scanning, until):
    build, tags = compiled(TWO_TASKS), plant_tags(**TWO_TASK_TAGS)
    with scanning(build, tags) as (core, _):
        until(lambda: core.stats().tasks[1].scans > 2)
        core.write(place(tags, build, "d"), 0)
        rows = rows_with(core, Quality.BAD_DEVICE_FAILURE, until)
        assert rows[tags["slow_out"].id].raw == 0
        assert rows[tags["slow_out"].id].quality == Quality.BAD_DEVICE_FAILURE
        assert rows[tags["quick_n"].id].quality == Quality.GOOD


def test_a_safe_value_on_its_way_to_a_device_is_one_that_drivers_write(compiled, plant_tags, scanning, until):
    build, tags = compiled(TWO_TASKS), plant_tags(**TWO_TASK_TAGS)
    with scanning(build, tags) as (core, _):
        until(lambda: core.stats().tasks[1].scans > 2)
        core.write(place(tags, build, "d"), 0)
        rows = rows_with(core, Quality.GOOD_LOCAL_OVERRIDE, until)
        assert rows[tags["valve"].id].raw == 0
        assert rows[tags["valve"].id].quality == Quality.GOOD_LOCAL_OVERRIDE


def test_outputs_hold_where_that_is_asked_for(compiled, plant_tags, scanning, until):
    build, tags = compiled(TWO_TASKS), plant_tags(**TWO_TASK_TAGS)
    with scanning(build, tags, hold=True) as (core, _):
        until(lambda: core.stats().tasks[1].scans > 2)
        core.write(place(tags, build, "d"), 0)
        rows = rows_with(core, Quality.BAD_DEVICE_FAILURE, until)
        assert rows[tags["slow_out"].id].raw == 100
        assert rows[tags["slow_out"].id].quality == Quality.BAD_DEVICE_FAILURE


def test_the_watchdog_ends_an_endless_loop(compiled, plant_tags, scanning, until):
    build, tags = compiled(TWO_TASKS), plant_tags(**TWO_TASK_TAGS)
    with scanning(build, tags) as (core, _):
        until(lambda: core.stats().tasks[1].scans > 2)
        core.write(place(tags, build, "hang"), 1)
        (fault,) = until(core.faults)
        first = line_of(TWO_TASKS, "WHILE hang")
        assert fault.task == "slow"
        assert first <= fault.line <= first + 2
        quick = core.stats().tasks[0].scans
        until(lambda: core.stats().tasks[0].scans > quick + 20)
        assert core.stats().aborts == 1


def test_an_overrun_is_counted_and_what_was_missed_is_dropped(compiled, plant_tags, scanning, until):
    source = """
    PROGRAM Main
    VAR i : DINT; s : DINT; n : LINT; END_VAR
    n := n + 1;
    FOR i := 1 TO 3_000_000 DO s := s XOR (i * s + n_to(i)); END_FOR;
    END_PROGRAM
    """
    source = source.replace("s XOR (i * s + n_to(i))", "(s * 7 + i) MOD 1013")
    source += COUNTING[COUNTING.index("CONFIGURATION") :].replace("T#5ms", "T#1ms")
    tags = plant_tags(n=("LINT", "Main.n", "out"))
    with scanning(compiled(source), tags, watchdog_limit_ns=60_000_000_000) as (core, _):
        until(lambda: core.stats().scans >= 5)
        stats, faults = core.stats(), core.faults()  # the stop ends a scan that goes on for so long
    assert stats.overruns >= 3
    assert stats.skipped >= stats.overruns
    assert stats.execution.max_us > 1000
    assert not faults


def test_stop_is_prompt_whatever_the_interval(compiled, plant_tags, scanning):
    tags = plant_tags(n=("LINT", "Main.n", "out"))
    with scanning(compiled(COUNTING, interval_ns=60_000_000_000), tags) as (_, thread):
        time.sleep(0.05)
        assert thread.stop(30.0)
        assert not thread.alive


def test_stop_ends_a_scan_that_hangs(compiled, plant_tags, scanning, until):
    build, tags = compiled(TWO_TASKS), plant_tags(**TWO_TASK_TAGS)
    with scanning(build, tags, watchdog_limit_ns=60_000_000_000) as (core, thread):
        core.write(place(tags, build, "hang"), 1)
        until(
            lambda: core.control.active and time.monotonic_ns() - core.control.active_since_ns > 500_000_000
        )
        assert thread.stop(30.0)
        assert core.faults()[0].task == "slow"


def test_the_programs_clock_is_the_wall_clock_and_stands_still_within_a_scan(
    compiled, plant_tags, scanning, until
):
    source = """
    PROGRAM Main
    VAR timer : TON; done : BOOL; elapsed : TIME; END_VAR
    timer(IN := TRUE, PT := T#100ms);
    done := timer.Q;
    elapsed := timer.ET;
    END_PROGRAM
    """ + COUNTING[COUNTING.index("CONFIGURATION") :]
    tags = plant_tags(done=("BOOL", "Main.done", "out"), elapsed=("TIME", "Main.elapsed", "out"))
    began = time.monotonic()
    with scanning(compiled(source), tags) as (core, _):
        until(lambda: core.read_outputs() and core.read_outputs().raw[0])
        assert time.monotonic() - began >= 0.1
        batch = core.collect()
        assert abs(int(batch.source_ns[0]) - time.time_ns()) < 60_000_000_000


def test_the_image_can_be_read_between_scans(compiled, plant_tags, scanning, until):
    build = compiled(COUNTING)
    tags = plant_tags(n=("LINT", "Main.n", "out"))
    with scanning(build, tags) as (core, _):
        until(core.read_outputs)
        before = core.read_outputs().raw[0]
        image = core.read_image(60)
        assert before <= place(tags, build, "n").raw(image) <= core.stats().scans


def test_more_writes_than_the_queue_holds_are_refused(compiled, plant_tags, scanning, until):
    build = compiled(COUNTING, interval_ns=60_000_000_000)
    tags = plant_tags(t=("LINT", "Main.t", "rw"))
    with scanning(build, tags) as (core, _):
        until(lambda: core.stats().scans == 1)  # the next one is a minute away
        numbers = [core.write(place(tags, build, "t"), value) for value in range(300)]
    assert numbers[255] is not None
    assert numbers[-1] is None
