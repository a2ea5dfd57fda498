"""Raw patterns, batches and quality."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contract import Batch, DataType, Quality, glob

INTEGERS = [each for each in DataType if each.limits and each is not DataType.BOOL]


@given(st.sampled_from(INTEGERS), st.data())
def test_every_integer_of_a_type_survives_the_raw_pattern(data_type, data):
    low, high = data_type.limits
    value = data.draw(st.integers(int(low), int(high)))
    assert data_type.decode(data_type.encode(value)) == value


@given(st.floats())
def test_lreal_is_exact(value):
    back = DataType.LREAL.decode(DataType.LREAL.encode(value))
    assert back == value or (math.isnan(back) and math.isnan(value))


@given(st.floats(width=32))
def test_real_is_exact_for_single_precision(value):
    back = DataType.REAL.decode(DataType.REAL.encode(value))
    assert back == value or (math.isnan(back) and math.isnan(value))


@pytest.mark.parametrize("data_type", INTEGERS)
def test_a_value_outside_the_type_is_refused(data_type):
    low, high = data_type.limits
    with pytest.raises(ValueError, match=data_type.iec):
        data_type.encode(int(high) + 1)
    with pytest.raises(ValueError, match=data_type.iec):
        data_type.encode(int(low) - 1)


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        (DataType.BOOL, 2),
        (DataType.BOOL, "on"),
        (DataType.INT, "5"),
        (DataType.INT, 1.5),
        (DataType.REAL, "x"),
        (DataType.STRING, 7),
    ],
)
def test_a_value_of_another_kind_is_refused(data_type, value):
    with pytest.raises(TypeError):
        data_type.encode(value)


def test_real_that_overflows_single_precision_is_refused():
    with pytest.raises(ValueError, match="REAL"):
        DataType.REAL.encode(1e39)


def test_batch_keeps_texts_with_their_rows():
    batch = Batch.of([3, 4, 5], [0, 7, 0], 100, text={0: "a", 2: "c"})
    picked = batch.take(np.array([False, True, True]))
    assert [(row.id, row.text) for row in picked] == [(4, None), (5, "c")]
    picked = batch.take(np.array([2, 0]))
    assert [(row.id, row.text) for row in picked] == [(5, "c"), (3, "a")]


def test_severity_bits_decide_what_is_good():
    assert Quality.is_good(Quality.GOOD_LOCAL_OVERRIDE)
    assert not Quality.is_good(Quality.UNCERTAIN_LAST_USABLE_VALUE)
    assert Quality.is_bad(Quality.BAD_NO_COMMUNICATION)
    assert not Quality.is_bad(Quality.UNCERTAIN_LAST_USABLE_VALUE)


def plain(pattern):
    """The pattern with every place of every text tried."""
    out = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*")
    return re.compile(out.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))


PARTS = st.lists(st.sampled_from(["*", "**", "**/", "a", "ab", "b", "/", "?", "."]), max_size=7).map("".join)


@given(PARTS.filter(lambda text: "***" not in text), st.text("ab/.", max_size=9))
def test_a_pattern_matches_as_if_every_place_were_tried(pattern, path):
    assert bool(glob(pattern).fullmatch(path)) == bool(plain(pattern).fullmatch(path))


@pytest.mark.parametrize("pattern", ["**a**a**a**a**a**b", "**" + "?*" * 30 + "**z", "*a" * 60 + "*b"])
def test_a_hostile_pattern_costs_no_more_than_another(pattern):
    assert not glob(pattern).fullmatch("a" * 250)  # with every place tried this takes hours
