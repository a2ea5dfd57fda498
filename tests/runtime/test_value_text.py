"""Values of tags as people write them: what is read, what is refused, and the same value back."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config import parse_value, read_tags, value_text, wanted, write_tags
from runtime.contract import DataType
from runtime.errors import ConfigError

S = 1_000_000_000
NOON = 1_769_860_800 * S  # 2026-01-31 12:00 UTC
WHOLE = st.integers(-(1 << 63), (1 << 63) - 1)


@pytest.fixture
def ningbo(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("data_type", "text", "value"),
    [
        (DataType.TIME, "3s", 3 * S),
        (DataType.TIME, "0", 0),
        (DataType.TIME, "-1.5ms", -1_500_000),
        (DataType.TIME, "T#1d2h3m4s5ms6us7ns", 93_784_005_006_007),
        (DataType.TIME, "time#1_000MS", S),
        (DataType.TIME, "1h 30min", 5400 * S),
        (DataType.DT, "DT#2026-01-31-12:00:00.25", NOON + S // 4),
        (DataType.DT, "2026-01-31 12:00:00Z", NOON),
        (DataType.DT, "2026-01-31T13:30+01:30", NOON),
        (DataType.DT, "2026-01-31 20:00:00", NOON),
        (DataType.INT, "007", 7),
        (DataType.INT, "-0x10", -16),
        (DataType.WORD, "16#FF_00", 0xFF00),
        (DataType.BYTE, "2#1010", 10),
        (DataType.INT, "３", 3),
        (DataType.BOOL, " On ", True),
        (DataType.REAL, "2.5", 2.5),
        (DataType.STRING, " as it is ", " as it is "),
    ],
)
def test_a_value_is_read_as_people_write_it(ningbo, data_type, text, value):
    assert parse_value(data_type, text) == value


@pytest.mark.parametrize(
    ("data_type", "text", "advice"),
    [
        (DataType.TIME, "5", "3s, 250ms"),  # of what?
        (DataType.TIME, "3 apples", "3s, 250ms"),
        (DataType.TIME, "T#", "3s, 250ms"),
        (DataType.TIME, "400000d", "3s, 250ms"),
        (DataType.DT, "2026", "2026-01-31 12:00:00"),
        (DataType.DT, "2026-02-30 12:00:00", "2026-01-31 12:00:00"),
        (DataType.DT, "9999-01-01", "2026-01-31 12:00:00"),
        (DataType.INT, "40000", "a whole number from -32768 to 32767"),
        (DataType.INT, "2.5", "a whole number"),
        (DataType.BYTE, "16#FFF", "from 0 to 255"),
        (DataType.BOOL, "maybe", "true or false"),
        (DataType.REAL, "2,5", "2.5"),
        (DataType.REAL, "nan", "2.5"),
        (DataType.REAL, "", "2.5"),
    ],
)
def test_what_is_no_value_is_refused_and_told_how_one_is_written(data_type, text, advice):
    with pytest.raises(ValueError, match=r"^'.*' is not a (value of|finite number)"):
        parse_value(data_type, text)
    assert advice in wanted(data_type)


@given(WHOLE, st.sampled_from([DataType.TIME, DataType.DT, DataType.LINT]))
def test_a_value_is_written_so_that_the_same_one_is_read(value, data_type):
    assert parse_value(data_type, value_text(data_type, value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_so_that_the_same_one_is_read(value):
    assert parse_value(DataType.LREAL, value_text(DataType.LREAL, value)) == value


def test_limits_of_times_have_units_and_come_back(tmp_path):
    file = tmp_path / "tags.csv"
    file.write_text("path,type,low,high,deadband,initial\ndelay,TIME,100ms,10s,50ms,1.5s\n")
    ((tag, _),) = read_tags(file, "s")
    assert (tag.low, tag.high, tag.deadband, tag.initial) == (S / 10, 10 * S, S / 20, 1.5 * S)
    file.write_text(write_tags([tag], "s"))
    assert "T#100ms,T#10s" in file.read_text()
    assert [each for each, _ in read_tags(file, "s")] == [tag]
    file.write_text("path,type,low,high,initial\ndelay,TIME,100ms,10s,1m\n")
    with pytest.raises(ConfigError, match="T#1m is outside low and high"):
        read_tags(file, "s")
