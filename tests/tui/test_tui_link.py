"""The link: what it follows, and how it comes back."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

from runtime.clock import ManualClock
from runtime.errors import ConnectError
from tui.link import FIRST_RETRY_S, LAST_RETRY_S, PlantLink
from tui.locale import Words
from tui.model import Link, PlantModel


def test_retries_back_off_to_a_limit():
    clock = ManualClock()
    tries = []

    @asynccontextmanager
    async def connect():
        tries.append(clock.now_ns())
        raise ConnectError("refused")
        yield

    async def main():
        link = PlantLink(PlantModel(Words("en")), connect, clock)
        task = asyncio.ensure_future(link.run())
        await clock.advance(60)
        task.cancel()
        waits = [(b - a) / 1e9 for a, b in pairwise(tries)]
        assert waits[0] == FIRST_RETRY_S
        assert all(b == min(2 * a, LAST_RETRY_S) for a, b in pairwise(waits))
        assert waits[-1] == LAST_RETRY_S
        assert link.model.view(clock.now_ns()).link is Link.CONNECTING

    asyncio.run(main())


def test_a_plant_that_owes_an_answer_is_not_taken_for_one_that_is_well(plant):
    clock = ManualClock()
    model = PlantModel(Words("en"))
    answers = asyncio.Event()
    gate = plant.gate

    async def late():
        await answers.wait()
        return await gate()

    async def main():
        link = PlantLink(model, plant.connect, clock)
        task = asyncio.ensure_future(link.run())
        await clock.advance(3)
        assert model.view(0).link is Link.ONLINE
        plant.gate = late
        await clock.advance(4)
        assert model.view(0).link is Link.ONLINE
        await clock.advance(4)
        assert model.view(0).link is Link.SILENT
        assert model.view(0).stale
        answers.set()
        await clock.advance(2)
        assert model.view(0).link is Link.ONLINE
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_link_ends_when_it_is_told_even_while_the_plant_is_being_lost(plant):
    """A task group whose task fails as it ends swallows the cancellation (Python 3.11)."""
    clock = ManualClock()
    asked = asyncio.Event()

    async def fails():
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectError("the line is cut") from None

    async def main():
        link = PlantLink(PlantModel(Words("en")), plant.connect, clock)
        task = asyncio.ensure_future(link.run())
        await clock.advance(0.5)
        plant.gate = fails
        await clock.advance(3)
        assert asked.is_set()
        task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()

    asyncio.run(main())


def test_many_tags_are_followed_by_several_streams_and_let_go_again(plant, until, make_tag):
    row = ("x", "REAL", "%", 0, 100, "Value", "数值", "r", 1.0)
    plant.tag_list += [make_tag(30 + i, (f"more/m{i}", *row[1:]), 0) for i in range(70)]

    async def main():
        model = PlantModel(Words("en"))
        link = PlantLink(model, plant.connect)
        task = asyncio.ensure_future(link.run())
        await until(lambda: model.view(0).link is Link.ONLINE)
        link.watch(range(100))
        await until(lambda: len(model.view(0).values) == 100)
        link.watch([3])
        await until(lambda: len(model.view(0).values) == 1)
        plant.push("filler/rate_bpm", 1.0)  # no longer followed
        plant.push(plant.tag_list[3].path, 4)
        await until(lambda: model.view(0).values[3].value == 4)
        assert set(model.view(0).values) == {3}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not plant._streams

    asyncio.run(main())
