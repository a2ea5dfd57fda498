"""Values on their way out stay within the ranges of their tags."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.frame.ranges import Ranges, bounds, held
from runtime.contract import DataType, Tag

NUMBERS = [each for each in DataType if each.kind in "iuf" and each.bits > 1]
END = st.none() | st.floats(-1e6, 1e6)


@st.composite
def cells(draw):
    data_type = draw(st.sampled_from(NUMBERS))
    low, high = draw(END), draw(END)
    if low is not None and high is not None and low > high:
        low, high = high, low
    if data_type.kind == "f":
        value = draw(st.floats(-1e7, 1e7, width=32) | st.sampled_from([float("inf"), float("-inf")]))
    else:
        value = draw(st.integers(*(int(each) for each in data_type.limits)))
    if data_type.kind == "u":
        low, high = (None if each is None else abs(each) % 200 for each in (low, high))
        low, high = (high, low) if low is not None and high is not None and low > high else (low, high)
    elif data_type.kind == "i":
        low, high = (None if each is None else each % 100 for each in (low, high))
        low, high = (high, low) if low is not None and high is not None and low > high else (low, high)
    return Tag(f"s/{data_type.name}", data_type, low=low, high=high), value


@given(st.lists(cells(), min_size=1, max_size=8))
def test_many_at_once_are_held_as_each_alone_and_what_lies_within_stays(rows):
    tags = [tag for tag, _ in rows]
    raw = np.array([tag.data_type.encode(value) for tag, value in rows], np.uint64)
    outside = Ranges(tags).hold(raw)
    for (tag, value), pattern, was_outside in zip(rows, raw.tolist(), outside.tolist(), strict=True):
        found = tag.data_type.decode(pattern)
        low, high = bounds(tag)
        assert found == held(tag, value)
        assert low <= found <= high
        assert was_outside == (found != value)


@pytest.mark.parametrize(
    ("data_type", "low", "high", "value", "meant"),
    [
        (DataType.INT, 0.5, 9.5, -3, 1),
        (DataType.INT, 0.5, 9.5, 12, 9),
        (DataType.INT, 0.2, 0.8, 5, 5),  # no whole number lies in it
        (DataType.LREAL, None, 100.0, 1e9, 100.0),
        (DataType.REAL, 0.1, None, -1.0, float(np.float32(0.1))),
        (DataType.BOOL, 0.0, 0.0, True, True),
        (DataType.STRING, 0.0, 1.0, "x", "x"),
    ],
)
def test_a_value_is_held_at_what_its_type_can_be(data_type, low, high, value, meant):
    assert held(Tag("s/a", data_type, low=low, high=high), value) == meant


def test_no_number_stays_no_number():
    raw = np.array([DataType.REAL.encode(float("nan"))], np.uint64)
    assert not Ranges([Tag("s/a", DataType.REAL, low=0.0, high=1.0)]).hold(raw)[0]
    assert np.isnan(DataType.REAL.decode(int(raw[0])))
