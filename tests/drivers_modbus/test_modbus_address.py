"""Addresses: what people write, and what they are told when it is wrong."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.frame.address import AddressError
from drivers.modbus.address import ORDERS, RawType, Table, parse
from runtime.contract import DataType


@pytest.mark.parametrize(
    ("text", "data_type", "expected"),
    [
        ("00001", DataType.BOOL, "1!000001"),
        ("10017", DataType.BOOL, "1!100017"),
        ("30001", DataType.INT, "1!300001:int16#ABCD"),
        ("465536", DataType.UINT, "1!465536:uint16#ABCD"),
        ("7!40010", DataType.DINT, "7!400010:int32#ABCD"),
        ("40010.15", DataType.BOOL, "1!400010.15#ABCD"),
        ("40010:bool", DataType.BOOL, "1!400010:bool#ABCD"),
        ("40001:float#CDAB", DataType.LREAL, "1!400001:float#CDAB"),
        ("40001#cdab:UINT32", DataType.REAL, "1!400001:uint32#CDAB"),
        ("40001:int16*0.1-40", DataType.REAL, "1!400001:int16#ABCD*0.1-40.0"),
        ("40001:uint16 * 1e-3 + 5", DataType.REAL, "1!400001:uint16#ABCD*0.001+5.0"),
        ("30020:string[12]", DataType.STRING, "1!300020:string[12]#ABCD"),
        ("40001:uint32*1000000", DataType.TIME, "1!400001:uint32#ABCD*1000000.0"),
    ],
)
def test_addresses_mean_what_the_documentation_says(text, data_type, expected):
    address = parse(text, data_type)
    assert str(address) == expected
    assert parse(expected, data_type) == address


@pytest.mark.parametrize(
    ("text", "data_type", "says", "remedy"),
    [
        ("banana", DataType.INT, "not a Modbus address", "40001"),
        ("1", DataType.BOOL, "1 digits, not 5 or 6", "leading zeros"),
        ("20001", DataType.BOOL, "no table 2", "0 coil"),
        ("40000", DataType.INT, "not in 1 to 65536", "count from 1"),
        ("465537", DataType.INT, "not in 1 to 65536", "count from 1"),
        ("465536", DataType.DINT, "past the last register", "shorter"),
        ("300!40001", DataType.INT, "unit 300", "before the !"),
        ("00001", DataType.INT, "does not fit one bit", "register"),
        ("00001.3", DataType.BOOL, "no bits", "alone"),
        ("40001", DataType.BOOL, "which bit", ".0 to .15"),
        ("40001.16", DataType.BOOL, "bit 16", "0 to 15"),
        ("40001.1", DataType.INT, "bit 1", "BOOL"),
        ("40001#ACBD", DataType.DINT, "unknown order", "CDAB"),
        ("40001:int24", DataType.DINT, "unknown type", "int32"),
        ("40001", DataType.STRING, "STRING", "string[n]"),
        ("40001:string[4]", DataType.INT, "INT", "string[n]"),
        ("40001:string[0]", DataType.STRING, "0 bytes", "string[1]"),
        ("40001.1*2", DataType.BOOL, "cannot be scaled", "remove"),
        ("40001*0", DataType.REAL, "scale", "leave"),
        ("40001*1e400", DataType.REAL, "infinite", "leave"),
        ("40001:int16:int32", DataType.DINT, "several types", "one"),
        ("40001#ABCD:int32#CDAB", DataType.DINT, "several orders", "one"),
        ("40001." + "1" * 5000, DataType.BOOL, "not a Modbus address", "40001.3"),
        ("1" * 5000 + "!40001", DataType.INT, "not a Modbus address", "2!30010"),
        (f"40001:string[{'1' * 5000}]", DataType.STRING, "unknown type", "string[n]"),
    ],
)
def test_a_wrong_address_says_what_and_the_remedy(text, data_type, says, remedy):
    with pytest.raises(AddressError) as caught:
        parse(text, data_type)
    assert says in caught.value.text
    assert remedy in caught.value.remedy


NUMBERS = [each for each in RawType if each not in (RawType.BOOL, RawType.STRING)]


@given(
    unit=st.integers(0, 255),
    table=st.sampled_from([Table.INPUT_REGISTER, Table.HOLDING_REGISTER]),
    number=st.integers(1, 65533),
    raw=st.sampled_from(NUMBERS),
    order=st.sampled_from(ORDERS),
    scale=st.floats(1e-9, 1e9),
    offset=st.floats(-1e9, 1e9),
)
def test_what_an_address_prints_is_read_back_as_itself(unit, table, number, raw, order, scale, offset):
    text = f"{unit}!{table.digit}{number:05d}:{raw.text}#{order}*{scale!r}{offset:+}"
    address = parse(text, DataType.LREAL)
    assert (address.unit, address.table, address.start, address.raw) == (unit, table, number - 1, raw)
    assert parse(str(address), DataType.LREAL) == address


@given(st.text(max_size=20), st.sampled_from(list(DataType)))
def test_no_text_is_met_with_a_traceback(text, data_type):
    with suppress(AddressError):
        assert str(parse(text, data_type))
