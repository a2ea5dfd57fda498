"""Payloads against protobuf's own runtime, both ways, and bytes that are none."""

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sparkplug.datatypes import UnfitError, carried, quality_code, status_of, value_of
from drivers.sparkplug.payload import MOST_UNPACKED, Carried, Metric, Payload, Property, decode, encode
from drivers.sparkplug.wire import PayloadError
from runtime.contract import DataType, Quality

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
FIELDS = (
    "int_value",
    "long_value",
    "float_value",
    "double_value",
    "boolean_value",
    "string_value",
    "bytes_value",
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
contents = {
    10: st.integers(0, U32),
    11: st.integers(0, U64),
    12: st.floats(width=32, allow_nan=False),
    13: st.floats(allow_nan=False),
    14: st.booleans(),
    15: text,
    16: st.binary(max_size=20),
}
values = st.one_of([st.builds(Carried, st.just(kind), content) for kind, content in contents.items()])
optional = st.none() | st.integers(0, U64)
properties = st.builds(Property, st.integers(0, 34), st.none() | values.filter(lambda each: each.kind < 16))
metrics = st.builds(
    Metric,
    name=text,
    alias=optional,
    timestamp_ms=optional,
    datatype=st.none() | st.integers(0, 34),
    is_historical=st.booleans(),
    is_null=st.booleans(),
    value=st.none() | values,
    properties=st.dictionaries(text, properties, max_size=3),
)
payloads = st.builds(Payload, optional, st.lists(metrics, max_size=4), optional)


def same(ours, theirs, field, default):
    return (theirs.HasField(field), getattr(theirs, field)) == (
        (False, default) if ours is None else (True, ours)
    )


@settings(max_examples=25, deadline=None)
@given(payload=payloads)
def test_protobuf_reads_what_we_write_and_we_read_what_it_writes(payload_class, payload):
    read = payload_class.FromString(encode(payload))
    assert same(payload.timestamp_ms, read, "timestamp", 0)
    assert same(payload.seq, read, "seq", 0)
    for ours, theirs in zip(payload.metrics, read.metrics, strict=True):
        assert ours.name == theirs.name
        assert same(ours.alias, theirs, "alias", 0)
        assert same(ours.timestamp_ms, theirs, "timestamp", 0)
        assert same(ours.datatype, theirs, "datatype", 0)
        assert (ours.is_historical, ours.is_null) == (theirs.is_historical, theirs.is_null)
        field = theirs.WhichOneof("value")
        assert field == (None if ours.value is None else FIELDS[ours.value.kind - 10])
        if field:
            assert getattr(theirs, field) == ours.value.content
        assert list(ours.properties) == list(theirs.properties.keys)
    again = decode(read.SerializeToString())
    assert again.metrics == list(payload.metrics)
    assert (again.timestamp_ms, again.seq) == (payload.timestamp_ms, payload.seq)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_payload_or_an_error(data):
    with contextlib.suppress(PayloadError):
        decode(data)


@settings(max_examples=15, deadline=None)
@given(payload=payloads, at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_payload_with_one_wrong_byte_is_read_or_refused(payload, at, byte):
    data = bytearray(encode(payload))
    if data:
        data[at % len(data)] = byte
    with contextlib.suppress(PayloadError):
        decode(bytes(data))
    with contextlib.suppress(PayloadError):
        decode(bytes(data[: at % (len(data) + 1)]))


def test_what_is_no_payload_is_told():
    for data, says in (
        (b"\x08", "ends within a number"),
        (b"\x08" + b"\xff" * 11, "over 64 bits"),
        (b"\x12\x05ab", "ends after the message"),
        (b"\x0b", "kind 3"),
        (b"\x00\x01", "no field number"),
        (b"\x12\x03\x0a\x01\xff", "UTF-8"),
    ):
        with pytest.raises(PayloadError, match=says):
            decode(data)


PACKERS = {"zlib": zlib.compress, "gzip": gzip.compress}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@settings(max_examples=25, deadline=None)
@given(payload=payloads, outer=st.builds(Payload, optional, st.just(()), optional))
def test_a_compressed_payload_is_read_as_what_lies_in_it(payload_class, pack, payload, outer):
    wrapped = payload_class.FromString(encode(outer))
    wrapped.uuid, wrapped.body = "SPBV1.0_COMPRESSED", pack(encode(payload))
    wrapped.metrics.add(name="algorithm", datatype=12, string_value="DEFLATE")
    read = decode(wrapped.SerializeToString())
    assert read.metrics == decode(encode(payload)).metrics
    assert read.seq == (outer.seq if payload.seq is None else payload.seq)
    assert read.timestamp_ms == (outer.timestamp_ms if payload.timestamp_ms is None else payload.timestamp_ms)


def test_what_cannot_be_unpacked_is_told(payload_class):
    def wrapped(body):
        return payload_class(uuid="SPBV1.0_COMPRESSED", body=body).SerializeToString()

    whole = zlib.compress(encode(Payload(1, [Metric("a")], 2)))
    for body, says in [
        (b"", "cut off"),
        (whole[:-3], "cut off"),
        (b"nonsense", "cannot be unpacked"),
        (zlib.compress(bytes(MOST_UNPACKED + 1)), "more than 16777216 bytes"),
        (zlib.compress(b"\0"), "field"),
        (zlib.compress(wrapped(whole)), "twice"),
    ]:
        with pytest.raises(PayloadError, match=says):
            decode(wrapped(body))
    assert decode(payload_class(uuid="another", body=whole, seq=7).SerializeToString()) == Payload(
        None, [], 7
    )


def test_what_is_not_known_is_passed_over(payload_class):
    theirs = payload_class(timestamp=5, seq=3, uuid="x", body=b"y")
    theirs.metrics.add(name="a", is_transient=True, int_value=7)
    data = theirs.SerializeToString() + b"\xfa\x07\x02hi"
    dataset = b"\x12\x06\x0a\x01d\x8a\x01\x00"
    found = decode(data + dataset)
    assert (found.timestamp_ms, found.seq, found.metrics[0].value) == (5, 3, Carried(10, 7))
    assert (found.metrics[1].name, found.metrics[1].value) == ("d", None)


kinds = {"i": st.integers(-(1 << 63), (1 << 63) - 1), "u": st.integers(0, U64)}


@settings(max_examples=40, deadline=None)
@given(data=st.data(), data_type=st.sampled_from(list(DataType)))
def test_a_value_comes_back_as_it_went(data, data_type):
    if data_type is DataType.STRING:
        value = data.draw(text)
    elif data_type.kind == "f":
        value = data.draw(st.floats(width=data_type.bits, allow_nan=False))
    elif data_type is DataType.BOOL:
        value = data.draw(st.booleans())
    else:
        low, high = data_type.limits
        if data_type is DataType.DT:
            low += 1_000_000  # Sparkplug has whole milliseconds
        value = data.draw(st.integers(int(low), int(high)))
    there = carried(data_type, data_type.encode(value), value if isinstance(value, str) else None)
    back = value_of(data_type, None, there)
    if data_type is DataType.DT:
        value = value // 1_000_000 * 1_000_000
    assert back == value


@pytest.mark.parametrize(
    ("data_type", "datatype", "value", "says"),
    [
        (DataType.BOOL, None, Carried(10, 1), "data type Boolean"),
        (DataType.INT, 3, Carried(10, 70_000), "outside INT"),
        (DataType.USINT, 1, Carried(10, 0xFF), "outside USINT"),
        (DataType.INT, 9, Carried(12, 1.5), "whole numbers"),
        (DataType.REAL, None, Carried(15, "1"), "data type Float"),
        (DataType.REAL, 11, Carried(14, True), "REAL cannot be True"),
        (DataType.REAL, 10, Carried(13, 1e300), "does not fit REAL"),
        (DataType.STRING, 3, Carried(10, 1), "takes text"),
        (DataType.INT, 16, Carried(10, 1), "data type DataSet"),
        (DataType.INT, 99, Carried(10, 1), "data type 99"),
        (DataType.STRING, None, Carried(16, b"x"), "bytes"),
        (DataType.DT, 13, Carried(11, 1 << 62), "outside DT"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(data_type, datatype, value, says):
    with pytest.raises(UnfitError, match=says):
        value_of(data_type, datatype, value)


def test_values_of_other_types_are_taken_where_they_fit():
    assert value_of(DataType.REAL, 3, Carried(10, U32)) == -1
    assert value_of(DataType.LINT, 7, Carried(11, U32)) == U32
    assert value_of(DataType.SINT, 1, Carried(10, 0xFFFF_FFFB)) == -5  # as other encoders widen it
    assert value_of(DataType.DT, 13, Carried(11, 1_700_000_000_123)) == 1_700_000_000_123_000_000


@pytest.mark.parametrize(
    ("data_type", "value"), [(DataType.SINT, -3), (DataType.INT, -300), (DataType.DINT, -70_000)]
)
def test_a_negative_number_is_extended_to_32_bits(data_type, value):
    """sparkplug-payload of npm reads 32 bits whatever the type: of fewer it made 253 of -3."""
    assert carried(data_type, data_type.encode(value), None) == Carried(10, value & U32)
    assert carried(DataType.USINT, DataType.USINT.encode(253), None) == Carried(10, 253)


def test_qualities():
    assert quality_code(Quality.GOOD_LOCAL_OVERRIDE) == 192
    assert quality_code(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED) == 500
    assert quality_code(Quality.BAD_NO_COMMUNICATION) == 0
    assert [quality_code(status_of(code)) for code in (192, 500, 0)] == [192, 500, 0]
