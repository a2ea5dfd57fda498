"""Bytes and values: python-snap7's own util functions are the independent judge."""

import math
import struct
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snap7 import util

from drivers.s7.address import Point, parse
from drivers.s7.codec import Codec
from runtime.contract import DataType, Quality, Tag

EPOCH = datetime.fromisoformat("1970-01-01")  # snap7 has times without a zone
MS, SECOND, DAY = 10**6, 10**9, 86_400 * 10**9
AT = 3  # an odd place, with bytes around it


def codec(data_type, address, encoding="latin-1"):
    tag = Tag("a", data_type)
    return Codec([Point(tag, parse(address, data_type))], 0, encoding), tag


def read(data_type, address, payload, encoding="latin-1"):
    made, tag = codec(data_type, address, encoding)
    found = made.decode(np.frombuffer(bytes(payload), np.uint8))
    return tag.data_type.decode(int(found.raw[0]), found.text.get(0)), int(found.quality[0])


def write(data_type, address, value, payload=None, encoding="latin-1"):
    """Return the payload with the value in it, or None where it does not fit."""
    made, tag = codec(data_type, address, encoding)
    payload = np.frombuffer(bytes(64 if payload is None else payload), np.uint8).copy()
    text = {0: value} if isinstance(value, str) else {}
    raw = np.array([tag.data_type.encode(value)], np.uint64)
    unfit = made.encode(payload, raw, np.ones(1, np.bool_), text)
    return None if unfit[0] else bytearray(payload.tobytes())


NUMBERS = {
    "SINT": (util.get_sint, DataType.SINT),
    "INT": (util.get_int, DataType.INT),
    "DINT": (util.get_dint, DataType.DINT),
    "LINT": (util.get_lint, DataType.LINT),
    "USINT": (util.get_usint, DataType.USINT),
    "UINT": (util.get_uint, DataType.UINT),
    "UDINT": (util.get_udint, DataType.UDINT),
    "ULINT": (util.get_ulint, DataType.ULINT),
    "BYTE": (util.get_byte, DataType.BYTE),
    "WORD": (util.get_word, DataType.WORD),
    "DWORD": (util.get_dword, DataType.DWORD),
    "LWORD": (util.get_lword, DataType.LWORD),
    "REAL": (util.get_real, DataType.REAL),
    "LREAL": (util.get_lreal, DataType.LREAL),
}


@settings(deadline=None)
@given(data=st.binary(min_size=16, max_size=16), name=st.sampled_from(sorted(NUMBERS)))
def test_numbers_are_what_snap7_reads_and_go_back_to_the_same_bytes(data, name):
    judge, data_type = NUMBERS[name]
    value, quality = read(data_type, f"DB1.{name}{AT}", data)
    right = judge(bytearray(data), AT)
    assert value == right or (math.isnan(value) and math.isnan(right))
    assert quality == Quality.GOOD
    if not math.isnan(value):
        assert write(data_type, f"DB1.{name}{AT}", value, data) == data


@settings(deadline=None)
@given(data=st.binary(min_size=4, max_size=4), bit=st.integers(0, 7), value=st.booleans())
def test_a_bit_is_what_snap7_reads_and_leaves_its_neighbours(data, bit, value):
    assert read(DataType.BOOL, f"DB1.DBX{AT}.{bit}", data)[0] == util.get_bool(bytearray(data), AT, bit)
    wanted = bytearray(data)
    util.set_bool(wanted, AT, bit, value)
    assert write(DataType.BOOL, f"DB1.DBX{AT}.{bit}", value, data) == wanted


LATIN = st.text(st.characters(max_codepoint=255), max_size=20)
PLANE = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)


@settings(deadline=None)
@given(text=LATIN)
def test_a_string_is_what_snap7_writes_and_reads(text):
    payload = bytearray(64)
    util.set_string(payload, AT, text, 20)
    assert read(DataType.STRING, f"DB1.STRING{AT}[20]", payload) == (text, Quality.GOOD)
    assert util.get_string(write(DataType.STRING, f"DB1.STRING{AT}[20]", text, payload), AT) == text


@settings(deadline=None)
@given(text=PLANE)
def test_a_wstring_is_what_snap7_writes_and_reads(text):
    payload = bytearray(64)
    util.set_wstring(payload, AT, text, 20)
    assert read(DataType.STRING, f"DB1.WSTRING{AT}[20]", payload) == (text, Quality.GOOD)
    assert util.get_wstring(write(DataType.STRING, f"DB1.WSTRING{AT}[20]", text, payload), AT) == text


@settings(deadline=None)
@given(text=LATIN)
def test_characters_are_what_snap7_writes(text):
    kept = text.rstrip(" \0")
    payload = bytearray(64)
    util.set_fstring(payload, AT, text, 20)
    assert read(DataType.STRING, f"DB1.CHAR{AT}[20]", payload)[0] == kept
    assert write(DataType.STRING, f"DB1.CHAR{AT}[20]", text, bytes(64)) == payload


def test_texts_keep_to_their_encoding_and_their_length():
    def string(value, payload=None, encoding="latin-1", n=20):
        return write(DataType.STRING, f"DB1.STRING0[{n}]", value, payload, encoding)

    payload = bytearray(64)
    util.set_string(payload, 0, "橙汁 7", 20, encoding="gbk")
    assert read(DataType.STRING, "DB1.STRING0[20]", payload, "gbk") == ("橙汁 7", Quality.GOOD)
    assert util.get_string(string("橙汁 7", payload, "gbk"), 0, "gbk") == "橙汁 7"
    assert string("橙汁") is None  # not in latin-1
    assert string("five!", n=4) is None
    assert string("ab", bytes([9] * 6), n=4)[0] == 9  # the greatest length is the program's
    assert write(DataType.STRING, "DB1.WSTRING0[3]", "a😀b") is None  # four units of UTF-16
    wide = write(DataType.STRING, "DB1.WSTRING0[4]", "a😀b")
    assert read(DataType.STRING, "DB1.WSTRING0[4]", wide)[0] == "a😀b"
    longer = bytearray(64)
    util.set_string(longer, 0, "longer than four", 40)
    held = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    assert read(DataType.STRING, "DB1.STRING0[4]", longer) == ("long", held)
    none = bytes([4, 9, 65, 65, 65, 65])
    assert read(DataType.STRING, "DB1.STRING0[4]", none)[1] == Quality.BAD_CONFIGURATION_ERROR
    assert read(DataType.STRING, "DB1.STRING0[4]", bytes(6)) == ("", Quality.GOOD)


MOMENTS = st.datetimes(*map(datetime.fromisoformat, ("1990-01-01", "2089-12-31T23:59:59.999")))


def ns_of(moment):
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


@settings(deadline=None)
@given(moment=MOMENTS)
def test_moments_are_what_snap7_writes(moment):
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    payload = bytearray(64)
    util.set_dt(payload, AT, whole)
    assert read(DataType.DT, f"DB1.DT{AT}", payload) == (ns_of(whole), Quality.GOOD)
    assert write(DataType.DT, f"DB1.DATE_AND_TIME{AT}", ns_of(moment)) == payload
    payload = bytearray(64)
    util.set_dtl(payload, AT, moment)
    assert read(DataType.DT, f"DB1.DTL{AT}", payload) == (ns_of(moment), Quality.GOOD)
    assert write(DataType.DT, f"DB1.DTL{AT}", ns_of(moment)) == payload
    payload = bytearray(64)
    util.set_date(payload, AT, moment.date())
    midnight = ns_of(moment.replace(hour=0, minute=0, second=0, microsecond=0))
    assert read(DataType.DT, f"DB1.DATE{AT}", payload) == (midnight, Quality.GOOD)
    assert write(DataType.DT, f"DB1.DATE{AT}", ns_of(moment)) == payload
    payload = bytearray(64)
    util.set_ldt(payload, AT, moment)
    assert read(DataType.DT, f"DB1.LDT{AT}", payload) == (ns_of(moment), Quality.GOOD)
    assert write(DataType.DT, f"DB1.LDT{AT}", ns_of(moment)) == payload


@settings(deadline=None)
@given(ms=st.integers(-(2**31), 2**31 - 1))
def test_time_is_milliseconds(ms):
    payload = bytearray(64)
    payload[AT : AT + 4] = struct.pack(">i", ms)
    days, rest = divmod(abs(ms), 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    sign = "-" if ms < 0 else ""
    assert util.get_time(payload, AT) == f"{sign}{days}:{hours}:{minutes}:{rest // 1000}.{rest % 1000:03d}"
    assert read(DataType.TIME, f"DB1.DBD{AT}", payload) == (ms * MS, Quality.GOOD)
    assert write(DataType.TIME, f"DB1.TIME{AT}", ms * MS) == payload


@settings(deadline=None)
@given(ms=st.integers(0, 86_399_999))
def test_a_time_of_day_is_what_snap7_writes(ms):
    payload = bytearray(64)
    util.set_tod(payload, AT, timedelta(milliseconds=ms))
    assert read(DataType.TIME, f"DB1.TOD{AT}", payload) == (ms * MS, Quality.GOOD)
    assert write(DataType.TIME, f"DB1.TIME_OF_DAY{AT}", ms * MS) == payload
    payload = bytearray(64)
    util.set_ltod(payload, AT, timedelta(milliseconds=ms))
    assert read(DataType.TIME, f"DB1.LTOD{AT}", payload) == (ms * MS, Quality.GOOD)
    assert write(DataType.TIME, f"DB1.LTIME_OF_DAY{AT}", ms * MS) == payload
    util.set_ltime(payload, AT, timedelta(milliseconds=-ms))
    assert read(DataType.TIME, f"DB1.LTIME{AT}", payload) == (-ms * MS, Quality.GOOD)


@settings(deadline=None)
@given(base=st.integers(0, 3), count=st.integers(0, 999))
def test_s5time_is_what_snap7_reads_and_goes_back_as_fine_as_it_can(base, count):
    digits = [count // 100, count // 10 % 10, count % 10]
    payload = bytearray(64)
    payload[AT : AT + 2] = bytes([base << 4 | digits[0], digits[1] << 4 | digits[2]])
    ms = count * 10 ** (base + 1)
    assert util.get_s5time(payload, AT) == str(timedelta(milliseconds=ms))
    assert read(DataType.TIME, f"DB1.DBW{AT}", payload) == (ms * MS, Quality.GOOD)
    again = write(DataType.TIME, f"DB1.S5TIME{AT}", ms * MS)
    assert util.get_s5time(again, AT) == str(timedelta(milliseconds=ms))
    assert again[AT] >> 4 <= base


@pytest.mark.parametrize(
    ("data_type", "address", "data"),
    [
        (DataType.DT, "DB1.DTL0", bytes(12)),
        (DataType.DT, "DB1.DTL0", bytes([7, 0xE8, 2, 30, 1, 0, 0, 0, 0, 0, 0, 0])),  # 30 February
        (DataType.DT, "DB1.DTL0", bytes([7, 0xE8, 2, 3, 1, 24, 0, 0, 0, 0, 0, 0])),
        (DataType.DT, "DB1.DTL0", bytes([8, 0xD6, 4, 12, 1, 0, 0, 0, 0, 0, 0, 0])),  # a day after the last
        (DataType.DT, "DB1.DT0", bytes(8)),
        (DataType.DT, "DB1.DT0", bytes([0x2A, 1, 1, 0, 0, 0, 0, 0])),
        (DataType.DT, "DB1.LDT0", b"\xff" * 8),  # before 1970
        (DataType.TIME, "DB1.TOD0", b"\xff" * 4),
        (DataType.TIME, "DB1.LTOD0", b"\xff" * 8),
        (DataType.TIME, "DB1.S5TIME0", b"\x40\x00"),
        (DataType.TIME, "DB1.S5TIME0", b"\x0a\x00"),
        (DataType.INT, "C0", b"\x0a\x00"),
    ],
)
def test_bytes_that_are_no_value_of_the_type_are_bad(data_type, address, data):
    assert read(data_type, address, data) == (0, Quality.BAD_CONFIGURATION_ERROR)


@pytest.mark.parametrize(
    ("data_type", "address", "value"),
    [
        (DataType.INT, "DB1.SINT0", 128),
        (DataType.DINT, "DB1.UINT0", -1),
        (DataType.LREAL, "DB1.REAL0", 1e39),
        (DataType.LREAL, "DB1.INT0*0.1", 4000.0),
        (DataType.LREAL, "DB1.INT0", float("nan")),
        (DataType.LREAL, "DB1.REAL0*1E-300", 1e300),
        (DataType.TIME, "DB1.TIME0", 2**31 * MS),
        (DataType.TIME, "DB1.TOD0", DAY),
        (DataType.TIME, "DB1.LTOD0", -1),
        (DataType.TIME, "DB1.S5TIME0", 9995 * SECOND),
        (DataType.TIME, "DB1.S5TIME0", -1),
        (DataType.DT, "DB1.DT0", 0),
        (DataType.DT, "DB1.DATE0", 0),
        (DataType.DT, "DB1.DTL0", -1),
    ],
)
def test_a_value_that_the_type_cannot_hold_is_not_written(data_type, address, value):
    assert write(data_type, address, value) is None


def test_a_value_that_the_tag_cannot_hold_stops_at_the_limit_and_is_uncertain():
    held = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    assert read(DataType.INT, "DB1.DINT0", struct.pack(">i", 70_000)) == (32_767, held)
    assert read(DataType.USINT, "DB1.INT0", struct.pack(">h", -5)) == (0, held)
    assert read(DataType.INT, "DB1.REAL0", struct.pack(">f", float("nan"))) == (0, held)
    assert read(DataType.REAL, "DB1.LREAL0", struct.pack(">d", 1e300))[1] == held


@settings(deadline=None)
@given(st.floats(-3000, 3000))
def test_scaled_values_come_back_within_half_a_step(value):
    payload = write(DataType.LREAL, "DB1.INT0*0.1-40", value)
    if payload is not None:
        assert abs(read(DataType.LREAL, "DB1.INT0*0.1-40", payload)[0] - value) <= 0.0500001


def test_a_counter_has_three_digits():
    assert read(DataType.INT, "C0", b"\x09\x87") == (987, Quality.GOOD)
    assert read(DataType.TIME, "T0", b"\x21\x27") == (127 * SECOND, Quality.GOOD)
