"""Bytes to values and back: every type, order and scaling, against Python's own struct."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.address import ORDERS, Point, parse
from drivers.modbus.codec import Codec, pack_bits, unpack_bits
from runtime.contract import DataType, Quality, Tag

BE = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I",
    "int64": ">q", "uint64": ">Q", "float": ">f", "double": ">d",
}  # fmt: skip
WHOLE = {
    DataType.INT: "int16", DataType.UINT: "uint16", DataType.DINT: "int32", DataType.UDINT: "uint32",
    DataType.LINT: "int64", DataType.ULINT: "uint64", DataType.WORD: "uint16",
}  # fmt: skip


def point(address, data_type, index=0):
    return Point(Tag(f"s/t{index}", data_type, id=index), parse(address, data_type))


def decode(points, payload, base=0):
    values = Codec(points, base).decode(np.frombuffer(payload, np.uint8))
    out = [
        each.tag.data_type.decode(int(values.raw[row]), values.text.get(row))
        for row, each in enumerate(points)
    ]
    return out, values.quality.tolist()


def encode(points, values, payload, base=0):
    image = np.frombuffer(payload, np.uint8).copy()
    raw = np.array([p.tag.data_type.encode(v) for p, v in zip(points, values, strict=True)], np.uint64)
    text = {row: value for row, value in enumerate(values) if isinstance(value, str)}
    unfit = Codec(points, base).encode(image, raw, np.ones(len(points), np.bool_), text)
    return image.tobytes(), unfit.tolist()


def ordered(big_endian, order):
    words = [big_endian[at : at + 2] for at in range(0, len(big_endian), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return b"".join(words)


@given(data=st.data(), data_type=st.sampled_from(list(WHOLE)), order=st.sampled_from(ORDERS))
def test_whole_numbers_cross_in_every_order(data, data_type, order):
    low, high = data_type.limits
    numbers = data.draw(st.lists(st.integers(int(low), int(high)), min_size=1, max_size=10))
    kind = BE[WHOLE[data_type]]
    size = struct.calcsize(kind) // 2
    points = [point(f"4{10 + row * size + 1:05d}#{order}", data_type, row) for row in range(len(numbers))]
    wire = b"".join(ordered(struct.pack(kind, number), order) for number in numbers)
    assert decode(points, wire, 10) == (numbers, [Quality.GOOD] * len(numbers))
    assert encode(points, numbers, bytes(len(wire)), 10) == (wire, [False] * len(numbers))


@given(number=st.floats(width=32), order=st.sampled_from(ORDERS))
def test_floats_cross_bit_for_bit(number, order):
    wire = ordered(struct.pack(">f", number), order)
    (value,), _ = decode([point(f"40001#{order}", DataType.REAL)], wire)
    assert struct.pack(">f", value) == struct.pack(">f", number) or number != number
    back, unfit = encode([point(f"40001#{order}", DataType.REAL)], [value], bytes(4))
    assert unfit == [False]
    assert back == wire or number != number


@given(
    raw=st.integers(-32768, 32767), scale=st.sampled_from([0.1, 0.01, 2.0, -0.5, 10.0]),
    offset=st.sampled_from([0.0, -40.0, 273.15]),
)  # fmt: skip
def test_scaled_values_come_back_to_the_same_raw_value(raw, scale, offset):
    points = [point(f"40001:int16*{scale}{offset:+}", DataType.LREAL)]
    wire = struct.pack(">h", raw)
    (value,), _ = decode(points, wire)
    assert value == pytest.approx(raw * scale + offset)
    assert encode(points, [value], bytes(2)) == (wire, [False])


@given(st.text(max_size=12).filter(lambda text: "\0" not in text), st.sampled_from(ORDERS))
def test_texts_cross_or_are_refused_whole(text, order):
    points = [point(f"40001:string[11]#{order}", DataType.STRING)]
    wire, (unfit,) = encode(points, [text], bytes(12))
    assert unfit == (len(text.encode()) > 11)
    assert decode(points, wire)[0] == ["" if unfit else text]


@given(st.lists(st.booleans(), min_size=1, max_size=2000))
def test_packed_bits_are_least_significant_first(bits):
    packed = pack_bits(np.array(bits, np.uint8))
    assert [bool(packed[at // 8] >> at % 8 & 1) for at in range(len(bits))] == bits
    assert unpack_bits(packed, len(bits)).astype(bool).tolist() == bits


@pytest.mark.parametrize("order", ORDERS)
def test_writing_bits_leaves_the_other_bits_of_the_register(order):
    low_first = order in ("BADC", "DCBA")
    points = [point(f"40001.0#{order}", DataType.BOOL), point(f"40001.15#{order}", DataType.BOOL, 1)]
    before = 0b0101_0101_0101_0101
    wire, _ = encode(points, [False, True], before.to_bytes(2, "little" if low_first else "big"))
    assert int.from_bytes(wire, "little" if low_first else "big") == 0b1101_0101_0101_0100


def test_values_outside_the_tags_type_are_held_and_uncertain():
    points = [point("40001:uint16", DataType.INT), point("40002:int16", DataType.UINT, 1)]
    exceeded = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    assert decode(points, b"\xff\xff\xff\xff") == ([32767, 0], [exceeded, exceeded])
    assert decode([point("40001:float", DataType.INT)], struct.pack(">f", float("nan")))[1] == [exceeded]
    assert decode([point("40001:double", DataType.LINT)], struct.pack(">d", 1e300)) == (
        [2**63 - 1],
        [exceeded],
    )
    assert decode([point("40001:double", DataType.ULINT)], struct.pack(">d", 2.0**64)) == (
        [2**64 - 1],
        [exceeded],
    )


def test_values_that_do_not_fit_the_device_are_not_written():
    assert encode([point("40001:int16", DataType.DINT)], [40000], b"\x12\x34") == (b"\x12\x34", [True])
    assert encode([point("40001:uint16*0.1", DataType.REAL)], [-1.0], b"\x12\x34") == (b"\x12\x34", [True])
    assert encode([point("40001:float", DataType.LREAL)], [1e300], b"\0\0\0\1") == (b"\0\0\0\1", [True])
    assert encode([point("40001:int16", DataType.REAL)], [float("nan")], b"\x12\x34") == (b"\x12\x34", [True])
    assert encode([point("40001:bool", DataType.BOOL)], [True], b"\0\0") == (b"\0\1", [False])


def test_a_text_with_half_of_a_surrogate_pair_does_not_fit_and_its_neighbour_is_written():
    points = [point("40001:string[2]", DataType.STRING), point("40002", DataType.INT)]
    assert encode(points, ["\ud800", 7], b"ab\0\0") == (b"ab\0\7", [True, False])


@pytest.mark.filterwarnings("error")
def test_what_a_scale_makes_infinite_is_not_good_and_is_not_written():
    far = [point("40001:double*1e300", DataType.LREAL)]
    assert decode(far, struct.pack(">d", 1e300))[1] == [Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED]
    near = [point("40001:float*1e-300", DataType.LREAL)]
    assert encode(near, [1e300], b"\0\0\0\1") == (b"\0\0\0\1", [True])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "data_type"), [("40001:float*2", DataType.REAL), ("40001:float", DataType.INT)]
)
def test_a_number_that_signals_to_be_none_is_no_warning(text, data_type):
    decode([point(text, data_type)], b"\x7f\xa0\0\0")
