"""What is read together: blocks, requests within the message length, halves, and what they held."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.s7.address import Area, Point, parse
from drivers.s7.messages import MAX_ITEMS, Item
from drivers.s7.pdu import max_read, message_of
from drivers.s7.plan import Rules, blocks_of, packed, pieces, planned_again, taken
from runtime.contract import Batch, DataType, Quality, Tag


def points(*addresses, data_type=DataType.INT):
    return [Point(Tag(f"t{n}", data_type, id=n), parse(at, data_type)) for n, at in enumerate(addresses)]


def told(batch):
    return {row.id: (row.raw, row.quality) for row in batch or ()}


def test_neighbours_are_one_block_of_one_memory():
    made = points("DB1.DBW0", "DB1.DBW2", "DB2.DBW4", "DB1.DBW40", "MW0", "IW0", "DB1.DBW4", "C3", "C4")
    assert [str(block) for block in blocks_of(made, Rules(max_gap=16))] == [
        "C3..C4", "IB0..1", "MB0..1", "DB1.DBB0..5", "DB1.DBB40..41", "DB2.DBB4..5",
    ]  # fmt: skip
    assert len(blocks_of(made, Rules(max_gap=34))) == 5


@settings(deadline=None)
@given(
    starts=st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True),
    gap=st.integers(0, 200),
    pdu=st.integers(240, 960),
)
def test_every_request_and_its_answer_fit_the_message_length(starts, gap, pdu):
    made = points(*(f"DB{1 + start % 3}.DBW{start}" for start in starts))
    blocks = blocks_of(made, Rules(gap), pdu)
    assert sorted(point.tag.id for block in blocks for point in block.points) == list(range(len(starts)))
    assert all(block.item.size <= max_read(pdu) for block in blocks)
    requests = list(packed((block.item for block in blocks), pdu))
    assert [item for request in requests for item in request.items] == [block.item for block in blocks]
    for request in requests:
        assert len(request.items) <= MAX_ITEMS
        assert len(message_of(request, 1)) <= pdu
        assert 14 + sum(4 + item.size + item.size % 2 for item in request.items) <= pdu


def test_a_value_longer_than_a_message_is_read_alone_in_pieces():
    made = points("DB1.WSTRING0[254]", "DB1.WSTRING600[4]", data_type=DataType.STRING)
    todo = deque(blocks_of(made, Rules()))
    chosen, requests = taken(todo, 240, 8)
    assert [str(block) for block in chosen] == ["DB1.DBB0..511"]
    assert [request.items[0].count for request in requests] == [222, 222, 68]
    timers = pieces(Item(Area.TIMER, 0, 5, 3), 4)
    assert [(item.start, item.count) for item in timers] == [(5, 2), (7, 1)]
    chosen, requests = taken(todo, 240, 8)
    assert len(chosen) == len(requests) == 1
    assert not todo


def test_a_block_is_uncertain_then_bad_and_its_parts_know_its_values():
    (block,) = blocks_of(points("DB1.DBW0", "DB1.DBW2", "DB1.DBW4"), Rules())
    good, uncertain = int(Quality.GOOD), int(Quality.UNCERTAIN_LAST_USABLE_VALUE)
    assert told(block.take(b"\0\1\0\2\0\3", 1)) == {0: (1, good), 1: (2, good), 2: (3, good)}
    assert block.take(b"\0\1\0\2\0\3", 2) is None
    head, rest = block.split(first_alone=True)
    assert (str(head), str(rest)) == ("DB1.DBB0..1", "DB1.DBB2..5")
    assert rest.take(b"\0\2\0\3", 3) is None  # it knows them
    assert told(rest.fail(4)) == {1: (2, uncertain), 2: (3, uncertain)}
    assert told(rest.fail(5)) == {n: (n + 1, int(Quality.BAD_NO_COMMUNICATION)) for n in (1, 2)}
    assert not rest.is_due(6)
    assert told(rest.reject(7)) == {n: (n + 1, int(Quality.BAD_CONFIGURATION_ERROR)) for n in (1, 2)}
    assert rest.fail(8) is None
    assert head.split() is None


def test_what_was_written_and_read_back_is_told_again_when_the_cpu_takes_it_back():
    (block,) = blocks_of(points("DB1.DBW0", "DB1.DBW2"), Rules())
    block.take(b"\0\1\0\2", 1)
    block.put(Batch.of([1], [5], 2))
    assert told(block.take(b"\0\1\0\2", 3)) == {1: (2, int(Quality.GOOD))}


def test_a_plan_for_longer_messages_holds_what_was_known():
    made = points(*(f"DB1.DBW{at}" for at in range(0, 600, 2)))
    short = blocks_of(made, Rules())
    assert len(short) == 3
    short[0].take(b"\0\1" * 111, 1)
    (whole,) = planned_again(short, Rules(), 960)
    values = told(whole.take(b"\0\1" * 300, 2))
    assert sorted(values) == list(range(111, 300))
    assert len(planned_again([whole], Rules(), 240)) == 3
