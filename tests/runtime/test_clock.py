"""Time that a test moves."""

import asyncio

import pytest

from runtime.clock import SECOND_NS, ManualClock


def test_sleepers_wake_in_order_of_their_times():
    async def main():
        clock = ManualClock()
        woken = []

        async def sleeper(name, seconds):
            await clock.sleep(seconds)
            woken.append((name, (clock.now_ns() - start) // SECOND_NS))
            if name == "a":
                await clock.sleep(2)
                woken.append(("again", (clock.now_ns() - start) // SECOND_NS))

        start = clock.now_ns()
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 5), ("a", 1), ("b", 4)):
                group.create_task(sleeper(name, seconds))
            await clock.advance(10)
        return woken

    assert asyncio.run(main()) == [("a", 1), ("again", 3), ("b", 4), ("c", 5)]


def test_time_does_not_run_backwards():
    clock = ManualClock()
    with pytest.raises(ValueError, match="backwards"):
        clock.set_ns(0)
