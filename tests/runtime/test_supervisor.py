"""Components restart with back-off; nothing they do stops the others."""

import asyncio

import pytest

from runtime.clock import ManualClock
from runtime.errors import ConnectError, PlantError
from runtime.supervisor import Supervisor


class Part:
    def __init__(self, name, work):
        self.name = name
        self.runs = 0
        self._work = work

    async def run(self, port):
        self.runs += 1
        await self._work(self, port)


async def forever(part, port):
    await asyncio.Event().wait()


async def fail(part, port):
    raise ConnectError("the device is gone", "check the cable")


async def crash(part, port):
    raise KeyError("bug")


def play(*parts, then):
    """Run parts under a supervisor; `then(supervisor, clock)` is the test."""

    async def main():
        clock = ManualClock()
        events = []
        ended = []
        supervisor = Supervisor(clock, events.append)
        for part in parts:
            supervisor.add(part, "test", None, lambda part=part: ended.append(part.name))
        task = asyncio.create_task(supervisor.run(*(part.name for part in parts)))
        await clock.settle()
        await then(supervisor, clock)
        task.cancel()
        await asyncio.wait({task})
        assert all(view["state"] == "stopped" for view in supervisor.views())
        return events, ended

    return asyncio.run(main())


def state(supervisor, name):
    return next(view for view in supervisor.views() if view["name"] == name)


def test_a_failing_component_restarts_with_growing_pauses_and_harms_nobody():
    good, bad = Part("good", forever), Part("bad", fail)

    async def then(supervisor, clock):
        assert state(supervisor, "bad")["state"] == "faulted"
        assert "the device is gone (check the cable)" in state(supervisor, "bad")["text"]
        for pause, runs in ((0.4, 1), (0.2, 2), (0.8, 2), (0.2, 3), (2.0, 4)):
            await clock.advance(pause)
            assert bad.runs == runs
        supervisor.settle()
        assert state(supervisor, "good")["state"] == "running"
        assert good.runs == 1

    events, ended = play(good, bad, then=then)
    assert ended.count("bad") == 4
    assert any(event.kind == "component.faulted" for event in events)


def test_a_bug_is_told_in_words():
    async def then(supervisor, clock):
        assert "internal error: KeyError" in state(supervisor, "bug")["text"]

    play(Part("bug", crash), then=then)


def test_a_component_that_ends_by_itself_is_a_fault():
    async def end(part, port):
        return

    async def then(supervisor, clock):
        assert "ended by itself" in state(supervisor, "short")["text"]

    play(Part("short", end), then=then)


def test_a_component_starts_again_when_what_it_waits_for_is_cancelled():
    async def wait(part, port):
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    part = Part("short", wait)

    async def then(supervisor, clock):
        assert state(supervisor, "short")["state"] == "faulted"
        assert "was cancelled; starts again in 0.5 s" in state(supervisor, "short")["text"]
        await clock.advance(0.6)
        assert part.runs == 2

    play(part, then=then)


def test_restart_on_request_needs_no_back_off():
    part = Part("p", forever)

    async def then(supervisor, clock):
        supervisor.restart("p")
        await clock.settle()
        assert part.runs == 2
        assert state(supervisor, "p")["restarts"] == 1
        with pytest.raises(PlantError, match="no component is named"):
            supervisor.restart("q")

    play(part, then=then)


def test_degraded_and_back_is_told_once_each():
    part = Part("p", forever)

    async def then(supervisor, clock):
        for _ in range(3):
            supervisor.health("p", False, "slow")
        assert state(supervisor, "p")["state"] == "degraded"
        supervisor.health("p", True, "")

    events, _ = play(part, then=then)
    kinds = [event.kind for event in events]
    assert kinds.count("component.degraded") == 1
    assert kinds.count("component.running") == 1


def test_what_is_begun_after_the_stop_stays_stopped():
    async def main():
        supervisor = Supervisor(ManualClock(), [].append)
        running = asyncio.create_task(supervisor.run(others=True))
        await ManualClock.settle()
        running.cancel()
        await asyncio.wait({running})
        late = Part("late", forever)
        supervisor.add(late, "test", None, lambda: None)
        supervisor.begin("late")  # by a change of the configuration that was on its way
        await ManualClock.settle()
        assert (late.runs, state(supervisor, "late")["state"]) == (0, "stopped")

    asyncio.run(main())


def test_a_component_that_is_stopped_twice_ends_whole():
    async def slow(part, port):
        try:
            await asyncio.Event().wait()
        finally:
            await port.wait()

    async def main():
        supervisor, ended, may_end = Supervisor(ManualClock(), [].append), [], asyncio.Event()
        supervisor.add(Part("slow", slow), "test", may_end, lambda: ended.append("slow"))
        running = asyncio.create_task(supervisor.run("slow"))
        await ManualClock.settle()
        ending = asyncio.create_task(supervisor.end("slow"))  # by a change of the configuration
        await ManualClock.settle()
        running.cancel()  # by the stop of the plant
        await ManualClock.settle()
        may_end.set()
        await asyncio.wait({running, ending})
        assert ended == ["slow"]

    asyncio.run(main())
