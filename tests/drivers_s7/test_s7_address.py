"""Addresses: both notations mean the same, and what is wrong is told with a remedy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.frame.address import AddressError
from drivers.s7.address import Address, Area, parse
from drivers.s7.datatypes import WORDS, Family, S7Type
from runtime.contract import DataType

TAG_OF = {
    Family.BIT: DataType.BOOL,
    Family.NUMBER: DataType.LREAL,
    Family.DURATION: DataType.TIME,
    Family.MOMENT: DataType.DT,
    Family.TEXT: DataType.STRING,
}


@pytest.mark.parametrize(
    ("data_type", "texts", "meant"),
    [
        (DataType.BOOL, ["DB1.DBX0.3", "DB1,X0.3", "db1.dbx0.3", "%DB1.DBX0.3", "DB1.BOOL0.3"], "DB1.DBX0.3"),
        (DataType.REAL, ["DB1.DBD4", "DB1.REAL4", "DB1,REAL4", "DB1.DBB4:REAL"], "DB1.DBD4:REAL"),
        (DataType.INT, ["DB1.DBW4", "DB1.INT4", "DB1,W4"], "DB1.DBW4:INT"),
        (DataType.UINT, ["DB1.DBW4", "DB1.UINT4"], "DB1.DBW4:UINT"),
        (DataType.WORD, ["DB1.DBW4"], "DB1.DBW4:WORD"),
        (DataType.DINT, ["DB1.DBW4"], "DB1.DBW4:INT"),
        (DataType.REAL, ["IW64*0.1-40", "EW64*1E-1-40", "IW64:INT*0.1-40.0"], "IW64:INT*0.1-40.0"),
        (DataType.INT, ["MW10", "mw10:int", "M INT 10"], "MW10:INT"),
        (DataType.BOOL, ["I0.0", "E0.0", "%IX0.0"], "I0.0"),
        (DataType.BOOL, ["Q2.7", "A2.7"], "Q2.7"),
        (DataType.BYTE, ["QB2", "AB2"], "QB2:BYTE"),
        (DataType.INT, ["QB2"], "QB2:USINT"),
        (DataType.STRING, ["DB1.STRING10[20]", "DB1.STRING10.20"], "DB1.DBB10:STRING[20]"),
        (DataType.STRING, ["DB1.CHAR3", "DB1.DBB3:CHAR[1]"], "DB1.DBB3:CHAR[1]"),
        (DataType.TIME, ["DB1.DBD4", "DB1.TIME4"], "DB1.DBD4:TIME"),
        (DataType.TIME, ["DB1.DBW4", "DB1.S5TIME4"], "DB1.DBW4:S5TIME"),
        (DataType.DT, ["DB1.DATE_AND_TIME4", "DB1.DBB4:DT"], "DB1.DBB4:DT"),
        (DataType.DT, ["DB1.DBW4", "DB1.DATE4"], "DB1.DBW4:DATE"),
        (DataType.LREAL, ["DB1.DBD4"], "DB1.DBD4:REAL"),
        (DataType.TIME, ["T5"], "T5"),
        (DataType.INT, ["C5", "Z5"], "C5"),
    ],
)  # fmt: skip
def test_notations_mean_the_same(data_type, texts, meant):
    assert {str(parse(text, data_type)) for text in texts} == {meant}


@settings(deadline=None)
@given(
    area=st.sampled_from([Area.DB, Area.FLAG, Area.INPUT, Area.OUTPUT]),
    db=st.integers(1, 65_535),
    raw=st.sampled_from(list(dict.fromkeys(WORDS.values()))),
    start=st.integers(0, 60_000),
    bit=st.integers(0, 7),
    length=st.integers(1, 254),
    scale=st.sampled_from([1.0, 0.1, -2.5, 1e-9]),
    offset=st.sampled_from([0.0, 40.0, -0.125, 1e300]),
)
def test_an_address_reads_as_it_is_told(area, db, raw, start, bit, length, scale, offset):
    is_number = raw.family is Family.NUMBER
    meant = Address(
        area,
        db if area is Area.DB else 0,
        start,
        raw,
        bit if raw is S7Type.BOOL else None,
        length if raw.family is Family.TEXT else 0,
        scale if is_number else 1.0,
        offset if is_number else 0.0,
    )
    assert parse(str(meant), TAG_OF[raw.family]) == meant


@pytest.mark.parametrize(
    ("text", "data_type", "says", "remedy"),
    [
        ("40001", DataType.INT, "not an S7 address", "DB1.DBD4:REAL"),
        ("DB1DBD4", DataType.REAL, "not an S7 address", "a dot between"),
        ("PIW256", DataType.INT, "not an S7 address", "process image"),
        ("PEW256", DataType.INT, "not an S7 address", "process image"),
        ('"Pump".Speed', DataType.REAL, "not an S7 address", "symbols stay in the CPU"),
        ("DB0.DBW0", DataType.INT, "there is no DB0", "DB1 to"),
        ("DB1.DBX0.8", DataType.BOOL, "there is no bit 8", ".0 to .7"),
        ("DB1.DBX0", DataType.BOOL, "which bit", ".0 to .7"),
        ("M10", DataType.BOOL, "neither bit nor size", "M10.0 or MB10"),
        ("MB10", DataType.BOOL, "BOOL does not fit 1 byte", "M10.3"),
        ("DB1.DBX0.3", DataType.INT, "INT does not go with BOOL", "make the tag BOOL"),
        ("DB1.DBW4.3", DataType.INT, "a INT has no bit", "write the byte alone"),
        ("DB1.DBW4:REAL", DataType.REAL, "REAL has 4 bytes, not 2", "DBD"),
        ("DB1.DBD4:LREAL", DataType.LREAL, "LREAL has 8 bytes, not 4", "DBB"),
        ("DB1.DBD4:REALL", DataType.REAL, "unknown type REALL", "did you mean REAL?"),
        ("DB1.DBB4[3]", DataType.STRING, "a length without a type", "STRING[20]"),
        ("DB1.STRNG4[3]", DataType.STRING, "unknown size or type STRNG", "did you mean STRING?"),
        ("DB1.DBF4", DataType.REAL, "unknown size or type DBF", "did you mean DB"),
        ("DB1.4", DataType.INT, "which size", "DBX, DBB"),
        ("DB1.STRING4", DataType.STRING, "how long", "STRING[1]"),
        ("DB1.STRING4[300]", DataType.STRING, "300 characters", "STRING[254]"),
        ("DB1.DBB4", DataType.STRING, "STRING does not fit", ":STRING[20]"),
        ("DB1.INT4[3]", DataType.INT, "INT has no length", "a tag of its own"),
        ("DB1.DBD4", DataType.DT, "DT does not fit 4 bytes", "DTL"),
        ("DB1.REAL4:INT", DataType.REAL, "two types", "write one"),
        ("DB1.DBD4:TIME", DataType.REAL, "REAL does not go with TIME", "make the tag TIME"),
        ("DB1.INT4*0", DataType.REAL, "the scale must not be 0", "leave"),
        ("DB1.INT4*1e400", DataType.REAL, "infinite", "leave"),
        ("MW" + "1" * 5000, DataType.INT, "not an S7 address", "MW10"),
        ("DB1.TIME4*2", DataType.TIME, "TIME cannot be scaled", "remove"),
        ("DB1.DBD65534", DataType.REAL, "reaches past byte 65535", "within the block"),
        ("T5", DataType.INT, "INT does not go with S5TIME", "make the tag TIME"),
    ],
)
def test_a_wrong_address_is_told_with_the_remedy(text, data_type, says, remedy):
    with pytest.raises(AddressError) as caught:
        parse(text, data_type)
    assert says in caught.value.text
    assert remedy in caught.value.remedy


@settings(deadline=None)
@given(st.text("DBXWMIQEA01379.,:[]*+-%RELINTS", max_size=16), st.sampled_from(list(DataType)))
def test_no_text_breaks_the_parser(text, data_type):
    try:
        address = parse(text, data_type)
    except AddressError:
        return
    assert parse(str(address), data_type) == address
