"""Blocks and groups: few requests, none too long, every point read once."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.frame.connection import Backoff
from drivers.frame.plan import Span, coalesce
from drivers.modbus.address import Point, parse
from drivers.modbus.outputs import Outputs
from drivers.modbus.plan import blocks_of, together
from runtime.contract import Batch, DataType, Quality, Tag


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 8)), min_size=1, max_size=60),
    st.integers(8, 125),
    st.integers(0, 30),
)
def test_runs_hold_every_span_once_within_the_limits(pairs, most, gap):
    spans = [Span(start, count, index) for index, (start, count) in enumerate(pairs)]
    runs = list(coalesce(spans, most, gap))
    assert sorted(span.index for run in runs for span in run) == list(range(len(spans)))
    for run in runs:
        places = {place for span in run for place in range(span.start, span.end)}
        assert max(places) - min(places) < most
        ordered = sorted(places)
        assert all(b - a - 1 <= gap for a, b in itertools.pairwise(ordered))


def point(address, data_type, index):
    return Point(Tag(f"s/t{index}", data_type, id=index), parse(address, data_type))


def test_blocks_never_mix_units_or_tables_and_keep_to_125_registers():
    points = [point(f"4{row * 2 + 1:05d}", DataType.REAL, row) for row in range(100)]
    points += [point("2!40001", DataType.INT, 100), point("30001", DataType.INT, 101)]
    points += [point(f"0{row + 1:05d}", DataType.BOOL, 102 + row) for row in range(2100)]
    blocks = list(blocks_of(points, 16))
    assert sorted((block.unit, block.table.digit, block.start, block.count) for block in blocks) == [
        (1, 0, 0, 2000), (1, 0, 2000, 100), (1, 3, 0, 1), (1, 4, 0, 124), (1, 4, 124, 76), (2, 4, 0, 1),
    ]  # fmt: skip


def test_a_block_tells_only_what_changed():
    (block,) = blocks_of([point("40001", DataType.INT, 0), point("40002", DataType.INT, 1)], 0)
    assert block.take(b"\0\1\0\2", 10).ids.tolist() == [0, 1]
    assert block.take(b"\0\1\0\2", 20) is None
    assert block.take(b"\0\1\0\3", 30).ids.tolist() == [1]
    assert block.fail(40).quality.tolist() == [Quality.UNCERTAIN_LAST_USABLE_VALUE] * 2
    assert block.fail(50).quality.tolist() == [Quality.BAD_NO_COMMUNICATION] * 2
    assert block.fail(60) is None
    again = block.take(b"\0\1\0\3", 70)
    assert again.quality.tolist() == [Quality.GOOD] * 2
    assert again.source_ns.tolist() == [70, 70]


def test_a_block_never_read_is_bad_at_once():
    (block,) = blocks_of([point("40001", DataType.INT, 0)], 0)
    assert block.fail(10).quality.tolist() == [Quality.BAD_NO_COMMUNICATION]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=20), st.integers(1, 60))
def test_splitting_ends_at_the_one_bad_place(starts, bad):
    """Bisecting as the client does isolates exactly the points at the bad register."""
    points = [point(f"4{start:05d}", DataType.INT, row) for row, start in enumerate(starts)]
    todo = list(blocks_of(points, 124))
    good, refused, asked = [], [], 0
    while todo:
        block = todo.pop()
        asked += 1
        if not block.start <= bad - 1 < block.start + block.count:
            good += [each.address.start + 1 for each in block.points]
        elif parts := block.split():
            todo += parts
        else:
            refused += [each.address.start + 1 for each in block.points]
    assert sorted(good) == sorted(start for start in starts if start != bad)
    assert sorted(refused) == sorted(start for start in starts if start == bad)
    assert asked <= 2 * len(starts)


def test_a_longer_value_that_begins_where_another_does_is_divided_from_it():
    """A REAL on the last register of a device is refused; the WORD there is not."""
    (block,) = blocks_of([point("40100", DataType.REAL, 0), point("40100", DataType.WORD, 1)], 16)
    first, second = block.split()
    assert [(each.start, each.count) for each in (first, second)] == [(99, 1), (99, 2)]
    assert first.split() is second.split() is None


def test_writes_that_follow_each_other_go_in_one_request_and_the_newest_wins():
    points = [point(f"4{row + 1:05d}", DataType.INT, row) for row in range(200)]
    points += [point("40300", DataType.REAL, 200), point("00005", DataType.BOOL, 201)]
    outputs = Outputs(points, 202)
    ids = np.arange(202)
    outputs.take(Batch.of(ids, np.zeros(202, np.uint64), 1))
    outputs.take(Batch.of([3], [7], 2))
    requests = [write.request for area in outputs.pending for write in area.writes()[0]]
    assert [(each.table.digit, each.start, each.count) for each in requests] == [
        (0, 4, 1), (4, 0, 123), (4, 123, 77), (4, 299, 2),
    ]  # fmt: skip
    assert requests[1].data[6:8] == b"\0\7"
    assert not outputs.pending
    outputs.all_again()
    assert sum(len(area.writes()[0]) for area in outputs.pending) == 4


def test_a_value_that_turns_bad_is_not_written_again():
    outputs = Outputs([point("40001", DataType.INT, 0)], 1)
    outputs.take(Batch.of([0], [5], 1))
    outputs.take(Batch.of([0], [5], 2, Quality.UNCERTAIN_LAST_USABLE_VALUE))
    assert not outputs.pending
    outputs.all_again()
    assert not outputs.pending


def test_backoff_grows_to_its_limit_and_starts_again():
    backoff = Backoff()
    assert [backoff.next_s() for _ in range(8)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
    backoff.reset()
    assert backoff.next_s() == 0.1


def test_a_block_is_no_longer_than_the_device_takes():
    points = [point(f"4{row + 1:04d}", DataType.INT, row) for row in range(50)]
    points += [point(f"1{row + 1:04d}", DataType.BOOL, 50 + row) for row in range(50)]
    points.append(point("30001:string[100]", DataType.STRING, 100))
    sizes = {}
    for block in blocks_of(points, 16, 20):
        sizes.setdefault(block.table.digit, []).append(block.count)
    assert sizes == {1: [50], 3: [50], 4: [20, 20, 10]}


def test_the_same_bytes_are_told_again_after_a_gap():
    (block,) = blocks_of([point("40001", DataType.INT, 0), point("40002", DataType.INT, 1)], 0)
    assert len(block.take(b"\0\1\0\2", 10)) == 2
    assert block.take(b"\0\1\0\2", 20) is None
    for lose in (block.fail, block.hold, block.reject):
        assert len(lose(30)) == 2
        again = block.take(b"\0\1\0\2", 40)
        assert again.quality.tolist() == [Quality.GOOD] * 2
        assert again.source_ns.tolist() == [40, 40]


ANSWER = st.sampled_from([b"\0\0", b"a\0", b"\1\2", None])


ANSWERS = st.lists(ANSWER, min_size=4, max_size=4)


@settings(max_examples=80)
@given(
    st.lists(st.tuples(ANSWERS, st.sets(st.integers(0, 3))), max_size=6),
    st.sampled_from([(0.0, False), (1.0, False)]),
)
def test_blocks_that_are_decoded_at_once_tell_what_they_would_tell_alone(rounds, deadband):
    """Each round is an answer to each block, or silence; a round without silence is taken in as a whole.

    In any round some answers are gathered before; those of a broken round are not taken in.
    """
    points = [
        point("00001", DataType.BOOL, 0), point("00002", DataType.BOOL, 1),
        point("30001.9", DataType.BOOL, 2), point("40001:string[2]", DataType.STRING, 3),
        point("40001", DataType.SINT, 4),
        point("2!40001#BADC", DataType.INT, 5), point("2!40001:uint16*0.5", DataType.REAL, 6),
    ]  # fmt: skip
    alone, joined = (list(blocks_of(points, 0, deadband=deadband)) for _ in range(2))
    assert len(alone) == 4
    whole = together(joined)
    for now_ns, (answers, gathered) in enumerate(rounds, 1):
        told = taken_alone(alone, answers, now_ns)
        whole.gather([(at in gathered and data) or b"" for at, data in enumerate(answers)])
        if None in answers:
            said = taken_alone(joined, answers, now_ns)
        else:
            said = [whole.take(answers, [now_ns] * 4)]
        assert rows_of(said) == rows_of(told)
        for block, other in zip(joined, alone, strict=True):
            assert (block.failures, block.fresh) == (other.failures, other.fresh)


def taken_alone(blocks, answers, now_ns):
    pairs = zip(blocks, answers, strict=True)
    return [block.fail(now_ns) if data is None else block.take(data, now_ns) for block, data in pairs]


def rows_of(batches):
    batch = Batch.joined(each for each in batches if each is not None)
    return sorted((each.id, each.raw, each.quality, each.source_ns, each.text or "") for each in batch)
