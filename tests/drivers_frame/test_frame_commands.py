"""Writes of people get an answer each, whatever the device does."""

import asyncio

import pytest

from drivers.frame.commands import MAX_COMMANDS, Commands
from runtime.contract import DataType, Tag
from runtime.errors import ConnectError
from runtime.testing import FakePort


class Desk:
    """A port whose writes go into a queue of commands."""

    def __init__(self):
        self.port = FakePort([Tag("site/area/line/a", DataType.INT, source="io")], "io")
        self.commands = Commands("io", asyncio.Event())

    def ask(self, group, value):
        return group.create_task(self.port.command("a", value))

    async def arrived(self, count):
        async with asyncio.timeout(60):
            while len(self.commands) < count:  # noqa: ASYNC110  tasks of the test itself decide
                await asyncio.sleep(0)


def run(body):
    async def main():
        desk = Desk()
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(desk.commands.take(desk.port.commands()))
            await body(desk, group)
            taking.cancel()

    asyncio.run(main())


def test_a_device_that_is_offline_refuses_at_once():
    async def body(desk, group):
        assert await desk.port.command("a", 1) == "io is offline"

    run(body)


def test_the_oldest_goes_first_and_each_has_its_own_answer():
    async def body(desk, group):
        desk.commands.online = True
        first, second = desk.ask(group, 1), desk.ask(group, 2)
        await desk.arrived(2)

        async def carry_out(command):
            return "too hot" if command.raw == 1 else ""

        await desk.commands.serve_next(carry_out)
        assert await first == "too hot"
        assert not second.done()
        await desk.commands.serve_next(carry_out)
        assert await second is None
        assert not desk.commands

    run(body)


def test_the_queue_is_bounded_and_what_waits_is_refused_with_the_loss():
    async def body(desk, group):
        desk.commands.online = True
        asked = [desk.ask(group, number) for number in range(MAX_COMMANDS)]
        await desk.arrived(MAX_COMMANDS)
        assert await desk.port.command("a", 1) == f"io has {MAX_COMMANDS} writes waiting"
        desk.commands.lose("cable cut")
        assert {await each for each in asked} == {"io is offline: cable cut"}

    run(body)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectError("reset"), "io was lost: reset: whether the value arrived is not known"),
        (ZeroDivisionError(), "io was interrupted: whether the value arrived is not known"),
    ],
    ids=["lost", "bug"],
)
def test_what_ends_a_write_half_way_is_told(error, told):
    async def body(desk, group):
        desk.commands.online = True
        asked = desk.ask(group, 1)
        await desk.arrived(1)

        async def carry_out(command):
            raise error

        with pytest.raises(type(error)):
            await desk.commands.serve_next(carry_out)
        assert told in await asked

    run(body)
