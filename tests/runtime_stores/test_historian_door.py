"""The swinging door against a plain reading: no dropped sample lies off the line."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config import TagList
from runtime.contract import Batch, DataType, Quality, Tag
from runtime.historian import door
from runtime.historian.columns import Kinds
from runtime.historian.compression import Compression

S = 1_000_000_000
BAND = 1.2345678  # no line between these numbers passes at just this distance
GOOD, UNSURE, BAD = 0, int(Quality.UNCERTAIN_LAST_USABLE_VALUE), int(Quality.BAD)
TAGS = TagList(
    [
        Tag("a/level", DataType.LREAL, deadband=BAND, compression="swinging_door"),
        Tag("a/count", DataType.INT, deadband=BAND, compression="swinging_door"),
        Tag("a/plain", DataType.LREAL),
    ]
)
KINDS = Kinds(TAGS)

step = st.sampled_from([1, 1, 1, 1, 2, 5, 59, 61, 0, -3])
value = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 7.0, -20.0, math.nan, math.inf])
sample = st.tuples(st.sampled_from([0, 0, 0, 1]), step, value, st.sampled_from([GOOD] * 8 + [UNSURE, BAD]))
played = st.lists(st.lists(sample, max_size=12), max_size=8)


class Plain:
    """One tag, sample by sample, each line checked against every sample that it would stand for."""

    def __init__(self):
        self.kept, self.anchor, self.dropped, self.pending = [], None, [], None
        self.segments = []

    def on_line(self, row):
        (t0, v0, _), (t1, v1, _) = self.anchor, row
        return all(
            abs(Fraction(v0) + (Fraction(v1) - Fraction(v0)) * Fraction(t - t0, t1 - t0) - Fraction(v))
            <= BAND
            for t, v, _ in [*self.dropped, self.pending]
        )

    def end(self):
        if self.pending:
            self.kept.append(self.pending)
            self.segments.append((self.anchor, self.pending, self.dropped))
            self.anchor, self.pending, self.dropped = self.pending, None, []

    def feed(self, row):
        t, v, quality = row
        usable = quality != BAD and math.isfinite(v)
        if self.anchor is None:
            self.kept.append(row)
            self.anchor = row
            return
        same = quality == self.anchor[2]
        if same and not usable and (v == self.anchor[1] or (math.isnan(v) and math.isnan(self.anchor[1]))):
            return
        last = self.pending or self.anchor
        going = usable and last[2] != BAD and math.isfinite(last[1]) and t > last[0]
        rested = going and t - last[0] > 60 * S and abs(v - last[1]) > BAND
        if going and same and not rested:
            if self.pending and self.on_line(row):
                self.dropped = [*self.dropped, self.pending]
            elif self.pending:
                self.end()
            self.pending = row
            return
        self.end()
        if rested:
            self.kept.append((t - 1, last[1], last[2]))
        self.kept.append(row)
        if t >= last[0]:
            self.anchor = row


def rows_of(batch, kinds=KINDS):
    value = kinds.decode(batch.ids, batch.raw)
    return list(
        zip(
            batch.ids.tolist(),
            batch.source_ns.tolist(),
            map(repr, value.tolist()),
            batch.quality.tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("few", [1, 10**9])
@given(played)
def test_the_door_keeps_what_a_plain_reading_keeps(few, batches):
    compression, plain = Compression(TAGS, KINDS), [Plain(), Plain()]
    now = [0, 0]
    before, door._FEW = door._FEW, few
    try:
        for rows in batches:
            made = []
            for id_, step_s, value, quality in rows:
                now[id_] += step_s * S
                if id_ == 1:
                    value = float(int(value)) if math.isfinite(value) else 0.0
                made.append((id_, now[id_], value, quality))
            for each in plain:
                each.kept = []
            for id_, *row in made:
                plain[id_].feed(tuple(row))
            batch = Batch.of(
                [id_ for id_, *_ in made],
                [TAGS[id_].data_type.encode(value) for id_, _, value, _ in made],
                np.array([t for _, t, *_ in made], np.int64),
                np.array([quality for *_, quality in made], np.uint32),
            )
            found = rows_of(compression.keep(batch, 0))
            for id_ in (0, 1):
                expected = [(id_, t, repr(v), quality) for t, v, quality in plain[id_].kept]
                assert [row for row in found if row[0] == id_] == expected
        held = {id_: (t, v) for id_, t, v, _ in rows_of(compression.waiting())}
        assert held == {i: (p.pending[0], repr(p.pending[1])) for i, p in enumerate(plain) if p.pending}
        assert len(compression.rest()) == len(held)
        assert not len(compression.waiting())
    finally:
        door._FEW = before
    for each in plain:
        for (t0, v0, _), (t1, v1, _), dropped in each.segments:
            for t, v, _ in dropped:
                assert abs(v0 + (v1 - v0) * (t - t0) / (t1 - t0) - v) <= BAND + 1e-9


def test_many_tags_at_once_keep_what_each_would_alone():
    tags = TagList(
        [Tag(f"a/{n}", DataType.REAL, deadband=0.5, compression="swinging_door") for n in range(100)]
    )
    kinds = Kinds(tags)
    together, alone = Compression(tags, kinds), Compression(tags, kinds)
    noise = np.random.default_rng(3)
    walk = np.cumsum(noise.normal(0, 0.3, (100, 100)), axis=0)
    got, expected = [], []
    for number, row in enumerate(walk):
        batch = Batch.of(np.arange(100), row.view(np.uint64), number * S)
        got += rows_of(together.keep(batch, number * S), kinds)
        for id_ in range(100):
            expected += rows_of(alone.keep(batch.take(np.array([id_])), number * S), kinds)
    assert sorted(got) == sorted(expected)
    assert len(got) < 100 * 100 / 2


def test_nothing_is_held_back_longer_than_told():
    compression = Compression(TAGS, KINDS)
    kept = []
    for second in range(200):
        batch = Batch.of([0], [TAGS[0].data_type.encode(second * 1.0)], second * S)
        kept += rows_of(compression.keep(batch, second * S)) + rows_of(compression.due(second * S))
        newest = kept[-1][1] // S
        assert second - newest <= door.HOLD_NS // S
    assert [t // S for _, t, *_ in kept] == [0, 61, 122, 183]  # a straight line: nothing else is needed


@pytest.mark.parametrize("few", [1, 10**9])
def test_after_the_clock_was_set_back_lines_go_on(monkeypatch, few):
    monkeypatch.setattr(door, "_FEW", few)
    compression = Compression(TAGS, KINDS)
    kept = []
    for begun in (1000, 500):
        for second in range(50):
            batch = Batch.of([0], [TAGS[0].data_type.encode(second * 1.0)], (begun + second) * S)
            kept += rows_of(compression.keep(batch, second * S))
        if begun == 1000:
            kept += rows_of(compression.clock_set())
    kept += rows_of(compression.rest())
    assert [t // S for _, t, *_ in kept] == [1000, 1049, 500, 549]


def test_other_tags_keep_their_deadband_in_the_same_batch():
    compression = Compression(TAGS, KINDS)
    for second in range(3):
        batch = Batch.of([0, 2], [TAGS[0].data_type.encode(1.0 * second)] * 2, second * S)
        kept = compression.keep(batch, second * S)
        assert sorted(kept.ids.tolist()) == ([0, 2] if second == 0 else [2])
