"""What a deadband holds back, against a reading of each value by itself."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from drivers.frame.deadband import Deadband, bands_of, moved
from runtime.contract import DataType, Tag

TYPES = (DataType.BOOL, DataType.INT, DataType.LINT, DataType.UDINT, DataType.ULINT, DataType.LREAL)


def values_of(data_type):
    if data_type.kind == "f":
        return st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, 0.0]), st.floats(-10, 10))
    low, high = data_type.limits
    return st.integers(max(int(low), -10), min(int(high), 10))


@st.composite
def rows(draw):
    data_type = draw(st.sampled_from(TYPES))
    return data_type, draw(values_of(data_type)), draw(values_of(data_type))


def column(cells):
    return np.array([data_type.encode(value) for data_type, value in cells], np.uint64)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows(), max_size=30), st.one_of(st.just(0.0), st.floats(0, 5)))
def test_a_value_is_told_when_it_left_the_band(cells, amount):
    tags = [Tag(f"a/b/t{row}", data_type) for row, (data_type, _, _) in enumerate(cells)]
    told = column([(data_type, before) for data_type, before, _ in cells])
    raw = column([(data_type, after) for data_type, _, after in cells])
    found = moved(bands_of(tags, (amount, False)), told, raw).tolist()
    for (data_type, before, after), told_raw, new_raw, is_told in zip(cells, told, raw, found, strict=True):
        if data_type is DataType.BOOL or not amount:
            assert is_told == (told_raw != new_raw)
        elif math.isfinite(before) and math.isfinite(after):
            assert is_told == (abs(after - before) > amount)
        else:
            assert is_told == (told_raw != new_raw)


def test_per_cent_is_of_the_range_and_a_tag_without_one_tells_everything():
    tags = [
        Tag("a/b/level", DataType.REAL, low=0.0, high=200.0),
        Tag("a/b/open", DataType.REAL),
    ]
    bands = bands_of(tags, (1.0, True))
    told, raw = column([(DataType.REAL, 10.0)] * 2), column([(DataType.REAL, 12.0)] * 2)
    assert moved(bands, told, raw).tolist() == [False, True]
    assert moved(bands, told, column([(DataType.REAL, 12.5)] * 2)).tolist() == [True, True]


@pytest.mark.parametrize(("text", "meant"), [("2%", (2.0, True)), (0.5, (0.5, False)), ("3", (3.0, False))])
def test_a_deadband_is_written_as_a_number_or_per_cent(text, meant):
    assert TypeAdapter(Deadband).validate_python(text) == meant


@pytest.mark.parametrize("text", ["two", "101%", -1, True, "nan"])
def test_what_is_no_deadband_is_refused(text):
    with pytest.raises(ValidationError):
        TypeAdapter(Deadband).validate_python(text)
