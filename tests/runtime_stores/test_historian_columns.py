"""Deadband against a scalar oracle; patterns come back from the columns bit by bit."""

import ctypes
import math

import duckdb
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.config import TagList
from runtime.contract import Batch, DataType, Quality, Tag
from runtime.historian.columns import Kinds, execute_on, to_columns
from runtime.historian.deadband import Deadband

TAGS = TagList(
    [
        Tag("a/exact", DataType.REAL),
        Tag("a/banded", DataType.REAL, deadband=1.5),
        Tag("a/count", DataType.INT, deadband=2),
        Tag("a/text", DataType.STRING),
    ]
)
KINDS = Kinds(TAGS)

numbers = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0, -0.0, math.nan, math.inf])
wholes = st.integers(-5, 5)
row = st.one_of(
    st.tuples(st.sampled_from([0, 1]), numbers),
    st.tuples(st.just(2), wholes),
    st.tuples(st.just(3), st.sampled_from(["", "a", "b"])),
)
rows = st.lists(st.tuples(row, st.sampled_from([Quality.GOOD, Quality.BAD])), max_size=12)


@given(st.lists(rows, max_size=6))
def test_deadband_keeps_what_a_scalar_reading_keeps(batches):
    deadband = Deadband(TAGS, KINDS)
    last = {}
    begun = 0
    for played in batches:
        expected = []
        for index, ((id_, value), quality) in enumerate(played):
            tag = TAGS[id_]
            raw = tag.data_type.encode(value)
            before = last.get(id_)
            keep = before is None or before[2] != quality
            if not keep and isinstance(value, str):
                keep = before[1] != value
            elif not keep and raw != before[0]:
                keep = not (tag.deadband and abs(value - before[1]) < tag.deadband)
            if keep:
                last[id_] = (raw, value, quality)
                expected.append(index)
        batch = Batch.of(
            [id_ for (id_, _), _ in played],
            [TAGS[id_].data_type.encode(value) for (id_, value), _ in played],
            begun + np.arange(len(played), dtype=np.int64),
            np.array([quality for _, quality in played], np.uint32),
            {index: value for index, ((_, value), _) in enumerate(played) if isinstance(value, str)},
        )
        kept = deadband.keep(batch)
        assert kept.source_ns.tolist() == [begun + index for index in expected]
        assert [each.text for each in kept] == [batch.text.get(index) for index in expected]
        begun += len(played)


timed = st.lists(st.tuples(row, st.integers(1, 9)), max_size=8)


@given(st.lists(timed, max_size=6))
def test_what_comes_late_is_kept_and_the_newest_value_stays_the_last(batches):
    deadband = Deadband(TAGS, KINDS)
    newest, late, stored = {}, [], []
    for played in batches:
        for (id_, value), t in played:
            if id_ in newest and t < newest[id_][0]:
                late.append((id_, t, str(value)))
            else:
                newest[id_] = (t, value)
        batch = Batch.of(
            [id_ for (id_, _), _ in played],
            [TAGS[id_].data_type.encode(value) for (id_, value), _ in played],
            np.array([t for _, t in played], np.int64),
            text={index: value for index, ((_, value), _) in enumerate(played) if isinstance(value, str)},
        )
        for each in deadband.keep(batch):
            value = each.text if each.text is not None else TAGS[each.id].data_type.decode(each.raw)
            stored.append((each.id, each.source_ns, str(value)))
    assert not [each for each in late if each not in stored]
    for id_, (_, value) in newest.items():
        own = [each for each in stored if each[0] == id_]
        held = max(enumerate(own), key=lambda each: (each[1][1], each[0]))[1][2]  # as history is read
        band = TAGS[id_].deadband
        assert held == str(value) or (band and abs(float(held) - value) < band)


def test_after_the_clock_was_set_back_nothing_is_late():
    deadband = Deadband(TAGS, KINDS)
    id_, kind = next((tag.id, tag.data_type) for tag in TAGS if tag.data_type is not DataType.STRING)

    def kept(value, t):
        return len(deadband.keep(Batch.of([id_], [kind.encode(value)], t)))

    assert kept(1, 1000) == 1
    deadband.clock_set()
    assert [kept(1, 10), kept(2, 11), kept(2, 12)] == [0, 1, 0]


ALL = TagList([Tag(f"a/{each.iec}", each) for each in DataType])


@st.composite
def any_value(draw):
    tag = draw(st.sampled_from(list(ALL)))
    kind = tag.data_type
    if kind.kind == "s":
        return tag.id, draw(st.text(max_size=5))
    if kind.kind == "f":
        return tag.id, draw(st.floats(width=32 if kind is DataType.REAL else 64, allow_nan=False))
    return tag.id, draw(st.integers(*(int(bound) for bound in kind.limits)))


@example([(ALL["a/LINT"].id, sign * (2**53 + more)) for sign in (1, -1) for more in (-1, 0, 1, 2)])
@given(st.lists(any_value(), min_size=1))
def test_every_pattern_survives_the_columns(played):
    batch = Batch.of(
        [id_ for id_, _ in played],
        [ALL[id_].data_type.encode(value) for id_, value in played],
        7,
        text={index: value for index, (_, value) in enumerate(played) if isinstance(value, str)},
    )
    kinds = Kinds(ALL)
    columns = to_columns([batch, batch], np.arange(len(ALL)), kinds)
    ids = np.concatenate([batch.ids, batch.ids])
    raw = kinds.encode(ids, columns.value)
    exact = ~np.ma.getmaskarray(columns.exact)
    raw[columns.special[exact]] = columns.exact.data[exact]
    assert raw.tolist() == batch.raw.tolist() * 2
    texts = dict(zip(columns.special.tolist(), columns.text.tolist(), strict=True))
    assert [texts.get(index) for index in range(len(ids))] == [
        batch.text.get(i) for i in range(len(played))
    ] * 2


class Allocated(ctypes.Structure):
    """What glibc's mallinfo2 tells, in bytes: `used` in its heaps, `mapped` beside them."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "free",
            "fast",
            "maps",
            "mapped",
            "highest",
            "fast_free",
            "used",
            "unused",
            "top",
        )
    ]


def test_thousands_of_queries_keep_nothing_of_what_was_given():
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("this C library does not tell what is allocated")
    libc.mallinfo2.restype = Allocated

    def used_after(times):
        for _ in range(times):
            execute_on(connection, {"t": np.arange(10)}, "SELECT max(t) FROM given")
            assert connection.fetchall() == [(9,)]
        found = libc.mallinfo2()
        return found.used + found.mapped

    with duckdb.connect(":memory:", config={"threads": 1}) as root, root.cursor() as connection:
        before = used_after(500)
        assert used_after(2000) - before < 250_000
