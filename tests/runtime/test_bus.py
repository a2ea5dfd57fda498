"""Mailbox, journal, events."""

import asyncio

import numpy as np
import pytest

from runtime.bus import EVENT_LIMIT, Bus
from runtime.config import TagList
from runtime.contract import Batch, DataType, Event, Quality, Tag
from runtime.tagtable import TagTable


@pytest.fixture
def bus():
    names = [Tag(f"s/a/{n}", DataType.DINT) for n in range(10)]
    return Bus(TagTable(TagList([*names, Tag("s/a/text", DataType.STRING)], "s")))


def ids(*numbers):
    return np.array(numbers, np.int32)


def test_slow_reader_sees_only_the_newest_value(bus):
    box = bus.mailbox(ids(1, 2))
    box.take()
    for value in range(100):
        bus.publish(Batch.of([1, 3], [value, value], value))
    batch = box.take()
    assert [(row.id, row.raw) for row in batch] == [(1, 99)]
    assert box.take() is None


def test_mailbox_begins_with_the_present_values(bus):
    bus.publish(Batch.of([2], [7], 1))
    rows = {row.id: row for row in bus.mailbox(ids(1, 2)).take()}
    assert rows[2].raw == 7
    assert rows[1].quality == Quality.BAD_WAITING_FOR_INITIAL_DATA


def test_journal_keeps_every_value_in_order(bus):
    journal = bus.journal(ids(1))
    journal.take()
    for value in range(50):
        bus.publish(Batch.of([0, 1], [value, value], value))
    got = []
    while (batch := journal.take()) is not None:
        got += [(row.id, row.raw) for row in batch]
    assert got == [(1, value) for value in range(50)]


def test_journal_overflow_is_counted_and_drops_the_oldest(bus):
    journal = bus.journal(ids(1), limit=10)
    journal.take()
    for value in range(25):
        bus.publish(Batch.of([1], [value], value))
    assert journal.overflow == bus.overflow == 15
    assert journal.take().raw[0] == 15


def test_text_travels_with_its_row(bus):
    box = bus.mailbox(ids(1, 10))
    bus.publish(Batch.of([10], [0], 5, text={0: "lot 7"}))
    assert [row.text for row in box.take() if row.id == 10] == ["lot 7"]


def test_last_row_stays_where_an_id_occurs_twice(bus):
    bus.publish(Batch.of([1, 1, 1], [5, 6, 7], np.array([1, 2, 3])))
    assert int(bus.table.raw[1]) == 7
    assert int(bus.table.source_ns[1]) == 3


def test_waiting_reader_wakes_on_its_tag_only(bus):
    async def main():
        box = bus.mailbox(ids(1))
        await anext(box)
        waiting = asyncio.create_task(anext(box))
        await asyncio.sleep(0)
        bus.publish(Batch.of([2], [1], 1))
        await asyncio.sleep(0)
        assert not waiting.done()
        bus.publish(Batch.of([1], [9], 1))
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(main()).raw[0] == 9


def test_closing_ends_the_reader_and_the_subscription(bus):
    async def main():
        box = bus.mailbox(ids(1))
        await anext(box)
        waiting = asyncio.create_task(anext(box))
        await asyncio.sleep(0)
        box.close()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(waiting, 60)

    asyncio.run(main())
    assert not bus._subscriptions


def test_events_are_bounded_and_chosen_by_kind(bus):
    stream = bus.events("alarm.")
    bus.emit(Event("component.faulted", "x", 0, ""))
    for number in range(EVENT_LIMIT + 5):
        bus.emit(Event("alarm.raised", "x", number, ""))
    got = list(stream.drain())
    assert len(got) == EVENT_LIMIT
    assert got[0].at_ns == 5
    assert stream.overflow == 5
