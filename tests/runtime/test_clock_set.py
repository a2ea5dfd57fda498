"""The machine's clock is set while a plant runs: delays last as they were meant to, no sample is lost."""

import asyncio

import numpy as np
import pytest

from runtime import clock as clocks
from runtime.api.limits import Limits
from runtime.api.metrics import Metrics
from runtime.assembly import assemble
from runtime.clock import SECOND_NS, STEP_NS, ManualClock, WallClock
from runtime.contract import Actor, Role
from runtime.errors import StoreError
from runtime.journal import alarm_log
from runtime.journal.gatelog import gate_rows
from runtime.kernel import Kernel

DAY = 86_400
ANA = Actor("ana", Role.ADMIN, "test")
PLANT = """plant: p
root: a
api: null
alarms: alarms.yaml
history: {flush: 1s}
gate: {longest_hold: 40s, rates: [{tags: ["**"], writes: 2, per: 10s}]}
drivers:
  - {name: sim, kind: simulated, period: 1s}
"""
TAGS = """path,type,access,source,address,initial
level,REAL,r,sim,sine(20s),
sp,REAL,rw,operator,,1
limit,REAL,rw,operator,,1
free,REAL,rw,operator,,1
"""
ALARMS = """alarms:
  - {name: late, tag: sp, kind: high, limit: 50, on_delay: 30s, text: late}
  - {name: hidden, tag: limit, kind: high, limit: 50, text: hidden}
  - {name: again, tag: free, kind: high, limit: 50, re_alarm: 30s, text: again}
"""


@pytest.fixture
def folder(tmp_path, runtime_folder):
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "tags.csv").write_text(TAGS)
    (tmp_path / "alarms.yaml").write_text(ALARMS)
    return tmp_path


def running(folder, work, clock):
    """Run a plant in this process while `work` lasts."""

    async def main():
        kernel = Kernel(assemble(folder), clock)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(kernel.run(stop))
            try:
                await asyncio.wait_for(kernel.ready.wait(), 60)
                await until(lambda: kernel.historian._opened.is_set() and kernel.alarms._group)
                return await work(kernel)
            finally:
                stop.set()

    return asyncio.run(main())


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - threads and a disk are waited for
            await asyncio.sleep(0.005)


async def seconds(kernel, count):
    """Let seconds pass; in each the threads of the stores do what came of it, and what comes of that."""
    for _ in range(count):
        await kernel.clock.advance(1)
        for _ in range(6):  # the clock's step: the journal, then the flush and the mark of the history
            await kernel.journal._call(int)
            await kernel.historian._threads.write(int)
            await kernel.clock.settle()


async def transitions(kernel, alarm):
    rows = await kernel.journal.read(alarm_log, 100)
    return [row.transition for row in reversed(rows) if row.alarm == alarm]


@pytest.mark.parametrize("jump_s", [DAY, -DAY, 300, -300, 20_000 * DAY])
def test_what_is_timed_lasts_as_long_as_it_was_meant_to(folder, jump_s):
    clock = ManualClock()

    async def work(kernel):
        alarms, gate, tags = kernel.alarms, kernel.gate, kernel.table
        await gate.write(tags["a/sp"], 60.0, ANA, "")
        await gate.write(tags["a/limit"], 60.0, ANA, "", for_ns=40 * SECOND_NS)
        await until(lambda: alarms.view("hidden")["active"])
        await kernel.command_alarm("shelve", "hidden", ANA, "why", 20 * SECOND_NS)
        await seconds(kernel, 10)
        updates = kernel.table.updates
        clock.jump(jump_s)
        await seconds(kernel, 8)
        assert kernel.table.value(tags["sys/clock/jumps"]) == 1
        assert kernel.table.value(tags["sys/clock/last_jump_s"]) == jump_s
        assert 8 <= kernel.table.updates - updates < 150  # neither silence nor a burst
        assert await transitions(kernel, "late") == []
        assert await transitions(kernel, "hidden") == ["raised", "shelved"]
        assert tags.value(tags["a/limit"]) == 60
        (hold,) = (await kernel.journal.read(gate_rows))[1]
        assert hold.until_ns - clock.now_ns() == pytest.approx(22 * SECOND_NS, abs=2 * SECOND_NS)
        await seconds(kernel, 8)
        await until(lambda: not alarms.view("hidden")["shelved"])
        await seconds(kernel, 8)
        await until(lambda: alarms.view("late")["active"])
        await seconds(kernel, 10)
        await until(lambda: tags.value(tags["a/limit"]) == 1)
        assert (await transitions(kernel, "clock.jumped"))[:1] == ["raised"]
        rows = await kernel.journal.read(alarm_log, 100)
        assert [row.seq for row in rows] == sorted((row.seq for row in rows), reverse=True)

    running(folder, work, clock)


@pytest.mark.parametrize("jump_s", [20_000 * DAY, -DAY])
def test_the_plant_is_no_older_or_younger(folder, jump_s):
    clock = ManualClock()

    async def work(kernel):
        await seconds(kernel, 5)
        clock.jump(jump_s)
        await seconds(kernel, 5)
        up_s = Metrics(kernel, Limits(100)).registry.get_sample_value("ironworks_uptime_seconds")
        assert up_s == (clock.steady_ns() - kernel.started_steady_ns) / SECOND_NS

    running(folder, work, clock)


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_standing_alarm_calls_again_when_it_would_have(folder, jump_s):
    clock = ManualClock()

    async def work(kernel):
        await kernel.gate.write(kernel.table["a/free"], 60.0, ANA, "")
        await until(lambda: kernel.alarms.view("again")["active"])
        await kernel.command_alarm("acknowledge", "again", ANA)
        await seconds(kernel, 10)
        clock.jump(jump_s)
        await seconds(kernel, 2)
        await kernel.command_alarm("comment", "again", ANA, "sensor ordered")
        await kernel.alarms.renew(kernel.alarms._configs, kernel.plant.tags)  # as `config apply` does
        await seconds(kernel, 15)
        assert await transitions(kernel, "again") == ["raised", "acknowledged", "commented"]
        await seconds(kernel, 5)
        await until(lambda: kernel.alarms.view("again")["state"] == "unacknowledged")

    running(folder, work, clock)


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_no_sample_is_lost_or_doubled(folder, jump_s):
    clock = ManualClock()
    start_ns = clock.now_ns()

    async def work(kernel):
        await seconds(kernel, 10)
        clock.jump(jump_s)
        await seconds(kernel, 10)
        id_ = kernel.table["a/level"].id
        found = await kernel.historian.query(np.array([id_], np.int32), 0, 2**62)
        good = found.take(np.flatnonzero(found.quality < 2**31))
        times = sorted(good.source_ns.tolist())
        assert len(set(times)) == len(times)
        steps = sorted(round((at - start_ns) / SECOND_NS) for at in times)
        before = [each for each in steps if 0 <= each <= 11]
        after = [each for each in steps if not 0 <= each <= 11]
        assert len(before) + len(after) == len(steps) == pytest.approx(21, abs=1)
        assert max(after) - min(after) == len(after) - 1

    running(folder, work, clock)


def test_a_start_with_a_clock_that_was_set_back_is_told_and_records(folder):
    running(folder, lambda kernel: seconds(kernel, 5), ManualClock())
    clock = ManualClock(ManualClock().now_ns() - DAY * SECOND_NS)

    async def work(kernel):
        await seconds(kernel, 5)
        id_ = kernel.table["a/level"].id
        found = await kernel.historian.query(np.array([id_], np.int32), 0, clock.now_ns() + 1)
        assert len(found) >= 5
        assert int(found.source_ns.max()) <= clock.now_ns()

    running(folder, work, clock)


def test_a_value_for_a_time_goes_back_though_the_next_start_is_in_1970(folder):
    """As on a gateway whose clock has no battery, until a time server sets it."""

    async def written(kernel):
        await kernel.gate.write(kernel.table["a/limit"], 60.0, ANA, "", for_ns=10 * SECOND_NS)

    running(folder, written, ManualClock())
    clock = ManualClock(DAY * SECOND_NS)

    async def work(kernel):
        await seconds(kernel, 3)
        clock.jump(20_000 * DAY)
        await seconds(kernel, 3)
        assert kernel.table.value(kernel.table["a/limit"]) == 60
        (hold,) = (await kernel.journal.read(gate_rows))[1]
        assert hold.until_ns - clock.now_ns() == pytest.approx(34 * SECOND_NS, abs=2 * SECOND_NS)
        await seconds(kernel, 40)
        await until(lambda: kernel.table.value(kernel.table["a/limit"]) == 1)
        assert (await kernel.journal.read(gate_rows))[1] == []

    running(folder, work, clock)


def test_history_is_spared_though_the_journal_cannot_be_written(folder, monkeypatch):
    clock = ManualClock()

    async def full(records):
        raise StoreError("the journal cannot be written: disk full", "free space")

    async def work(kernel):
        await kernel.gate.write(kernel.table["a/limit"], 60.0, ANA, "", for_ns=40 * SECOND_NS)
        with monkeypatch.context() as disk:
            disk.setattr(kernel.journal, "append_all", full)
            clock.jump(20_000 * DAY)
            await seconds(kernel, 3)
        assert kernel.table.value(kernel.table["sys/clock/jumps"]) == 1
        assert kernel.historian._keeper._spared_until_ns > clock.steady_ns()

    running(folder, work, clock)


def test_writes_go_on_after_the_clock_was_set_back(folder):
    clock = ManualClock()

    async def work(kernel):
        tag = kernel.table["a/free"]
        await kernel.gate.write(tag, 1.0, ANA, "")
        await kernel.gate.write(tag, 2.0, ANA, "")
        clock.jump(-DAY)
        await seconds(kernel, 10)
        await kernel.gate.write(tag, 3.0, ANA, "")

    running(folder, work, clock)


def test_real_time_steps_only_when_it_is_followed(monkeypatch):
    offset = [1_700_000_000 * SECOND_NS]
    monkeypatch.setattr(clocks, "_offset_ns", lambda: offset[0])
    clock = WallClock()
    offset[0] += 3600 * SECOND_NS
    assert clock._offset_ns == 1_700_000_000 * SECOND_NS
    assert clock.follow() == 3600 * SECOND_NS
    assert clock.follow() == 0
    assert clock._offset_ns == offset[0]


def test_a_machine_that_holds_up_the_look_at_its_clock_has_not_set_it(monkeypatch):
    class Time:
        now_ns, held_ns = 0, 0

        def perf_counter_ns(self):
            return self.now_ns

        def time_ns(self):
            self.now_ns, self.held_ns = self.now_ns + self.held_ns, 0
            return 1_700_000_000 * SECOND_NS + self.now_ns

    time = Time()
    monkeypatch.setattr(clocks, "time", time)
    clock = WallClock()
    time.held_ns = 3 * SECOND_NS
    assert clock.follow() == 0
    assert clock._offset_ns == 1_700_000_000 * SECOND_NS


def test_drift_is_followed_and_time_never_runs_backwards(monkeypatch):
    offset = [0]
    monkeypatch.setattr(clocks, "_offset_ns", lambda: offset[0])
    clock = WallClock()
    offset[0] = -STEP_NS + 1
    for _ in range(3):
        assert clock.follow() == 0
    assert clock._offset_ns == -3_000_000
    for _ in range(500):
        clock.follow()
    assert clock._offset_ns == offset[0]
