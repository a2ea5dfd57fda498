"""The kernel as a whole, in one process: stop keeps everything, dead sources turn bad."""

import asyncio

import numpy as np
import pytest

from runtime import supervisor
from runtime.assembly import assemble
from runtime.clock import ManualClock
from runtime.contract import Batch, DataType, Quality
from runtime.historian import open_readonly
from runtime.journal import alarm_log
from runtime.kernel import Kernel

TAGS = "path,type,source,access,initial\na/x,DINT,extra,r,\na/sp,REAL,operator,rw,7.5\n"


class Source:
    name = "extra"

    def __init__(self, values):
        self.values = values
        self.done = asyncio.Event()

    async def run(self, port):
        id_ = port.tags["a/x"].id
        start_ns = port.clock.now_ns()
        for number in range(self.values):
            port.submit(Batch.of([id_], [number], start_ns + number))
        self.done.set()
        await asyncio.Event().wait()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plant.yaml").write_text("plant: p\nroot: s/l\napi: {port: null}\n")
    (tmp_path / "tags.csv").write_text(TAGS)
    return tmp_path


def run(folder, source, then=None):
    async def main():
        kernel = Kernel(assemble(folder), extra=[source])
        stop = asyncio.Event()
        life = asyncio.create_task(kernel.run(stop))
        await asyncio.wait_for(source.done.wait(), 60)
        if then:
            await then(kernel)
        stop.set()
        await asyncio.wait_for(life, 60)
        return kernel

    return asyncio.run(main())


def test_a_stop_right_after_a_burst_loses_no_sample(folder):
    kernel = run(folder, Source(5000))
    tag = kernel.plant.tags["a/x"]
    assert kernel.historian.stats().dropped == 0
    with open_readonly(folder / ".ironworks" / "history.duckdb", "s/l") as archive:
        ids = archive.tags.select(tag.path)
        stored = archive.query(ids, 0, 2**62)
    good = stored.raw[stored.quality == Quality.GOOD]
    assert good.tolist() == list(range(5000))
    assert stored.quality[-1] == Quality.BAD_NOT_CONNECTED


def test_a_stop_is_no_alarm(folder):
    """What ends with the plant is not lost: nobody is to acknowledge that after each restart."""
    (folder / "plant.yaml").write_text("plant: p\nroot: s/l\napi: {port: null}\nalarms: alarms.yaml\n")
    (folder / "alarms.yaml").write_text(
        "alarms:\n"
        "  - {name: x.lost, tag: a/x, kind: bad_quality, text: lost}\n"
        "  - {name: x.three, tag: a/x, kind: discrete, state: 3, text: three}\n"
    )

    async def then(kernel):
        async with asyncio.timeout(60):
            while not kernel.alarms.view("x.three")["active"]:  # noqa: ASYNC110 - a disk is waited for
                await asyncio.sleep(0.01)

    kernel = run(folder, Source(4), then)
    moves = kernel.journal.read_now(alarm_log, 100)
    assert [(each.alarm, each.transition) for each in moves] == [("x.three", "raised")]


@pytest.mark.parametrize("stopping", [False, True])
def test_a_kernel_that_is_cancelled_ends_its_components_before_it_ends(folder, monkeypatch, stopping):
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT_S", 60)  # a disk may be slow

    async def main():
        source = Source(100)
        kernel = Kernel(assemble(folder), extra=[source])
        stop = asyncio.Event()
        life = asyncio.create_task(kernel.run(stop))
        await asyncio.wait_for(source.done.wait(), 60)
        if stopping:
            stop.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        life.cancel()
        await asyncio.wait_for(asyncio.wait({life}), 60)
        assert life.cancelled()
        assert {each["state"] for each in kernel.supervisor.views()} == {"stopped"}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_question_before_the_history_is_open_waits_for_it(folder):
    async def then(kernel):
        tag = kernel.plant.tags["a/x"]
        found.append(await kernel.historian.query(np.array([tag.id], np.int32), 0, 2**62))

    found = []
    run(folder, Source(100))
    run(folder, Source(0), then)
    good = found[0].raw[found[0].quality == Quality.GOOD]
    assert good.tolist() == list(range(100))


def test_a_source_that_ends_leaves_no_good_value_behind(folder):
    class Short(Source):
        async def run(self, port):
            port.submit(Batch.of([port.tags["a/x"].id], [5], port.clock.now_ns()))
            self.done.set()
            raise RuntimeError("broken")

    async def then(kernel):
        async with asyncio.timeout(60):
            while kernel.table.quality[kernel.plant.tags["a/x"].id] != Quality.BAD_NOT_CONNECTED:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    run(folder, Short(1), then)


def test_the_alarms_tell_their_figures_again_after_a_restart(folder):
    async def then(kernel):
        ids = kernel.plant.tags.select("sys/alarms/*")
        life = kernel.supervisor.find("alarms")
        for restarts in (0, 1):
            async with asyncio.timeout(60):
                while life.restarts < restarts or (kernel.table.quality[ids] != Quality.GOOD).any():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            kernel.supervisor.restart("alarms")

    run(folder, Source(1), then)


def test_initial_values_hold_until_an_operator_sets_others(folder):
    async def then(kernel):
        tag = kernel.plant.tags["a/sp"]
        seen.append(kernel.table.value(kernel.table[tag.id]))
        await kernel.gate.write(tag, 9.25, kernel.identity.peer(0))

    seen = []
    run(folder, Source(1), then)
    run(folder, Source(1), then)
    assert seen == [7.5, 9.25]


def test_a_component_cannot_speak_for_another(folder):
    refused = []

    class Stranger(Source):
        async def run(self, port):
            with pytest.raises(PermissionError, match="not the source of s/l/a/sp"):
                port.submit(Batch.of([port.tags["a/sp"].id], [DataType.REAL.encode(1.0)], 1))
            refused.append(True)
            self.done.set()
            await asyncio.Event().wait()

    run(folder, Stranger(1))
    assert refused


def test_what_a_component_missed_goes_into_history_and_changes_no_present_value(folder):
    class Late(Source):
        async def run(self, port):
            id_, now_ns = port.tags["a/x"].id, port.clock.now_ns()
            port.submit(Batch.of([id_], [3], now_ns))
            await port.backfill(
                Batch.of([id_, id_], [1, 2], np.array([now_ns - 200, now_ns - 100], np.int64))
            )
            with pytest.raises(PermissionError, match="not the source of s/l/a/sp"):
                await port.backfill(Batch.of([port.tags["a/sp"].id], [0], now_ns))
            self.done.set()
            await asyncio.Event().wait()

    async def then(kernel):
        tag = kernel.plant.tags["a/x"]
        assert kernel.table.value(kernel.table[tag.id]) == 3
        found = await kernel.historian.query(np.array([tag.id], np.int32), 0, 2**62)
        assert found.raw[found.quality == Quality.GOOD].tolist() == [1, 2, 3]

    run(folder, Late(1), then)


def test_the_bus_and_figures_are_told_by_health(folder):
    async def then(kernel):
        health = kernel.health()
        assert health["bus"]["updates"] >= 10
        assert health["bus"]["overflow"] == 0
        assert np.isfinite(health["history"]["lag_ms"])

    run(folder, Source(10), then)


def test_a_clock_that_is_set_back_harms_no_component(folder):
    async def main():
        clock = ManualClock()
        kernel = Kernel(assemble(folder), clock, [Source(1)])
        stop = asyncio.Event()
        life = asyncio.create_task(kernel.run(stop))
        await asyncio.wait_for(kernel.ready.wait(), 60)
        kernel.started_ns += 3600 * 1_000_000_000
        for _ in range(20):
            await clock.advance(0.5)
        assert kernel.table.value(kernel.table["sys/kernel/uptime_s"]) is not None
        assert not [view for view in kernel.supervisor.views() if view["state"] == "faulted"]
        stop.set()
        await asyncio.wait_for(life, 60)

    asyncio.run(main())
