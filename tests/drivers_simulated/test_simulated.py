"""Waveforms stay in their range and type; writes are kept."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulated.driver import SimulatedConfig, SimulatedDevice
from drivers.simulated.waveform import Generator, parse_waveform
from runtime.contract import Access, DataType, Tag
from runtime.testing import FakePort

NUMBERS = [each for each in DataType if each.kind != "s"]


@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(["sine(20s)", "ramp(1min)", "square(5s)", "noise(2s)"]),
    st.integers(0, 4 * 10**18),
)
def test_every_waveform_stays_in_the_range_and_type_of_its_tag(data_type, address, now_ns):
    low, high = (0, 1) if data_type is DataType.BOOL else (3, 90)
    tag = Tag("s/x", data_type, low=low, high=high)
    raw = Generator([tag], [parse_waveform(address)]).raw(now_ns)
    value = data_type.decode(int(raw[0]))
    assert low <= value <= high
    assert data_type.encode(value) == int(raw[0])


def test_a_counter_counts_periods_and_a_constant_stays():
    tags = [Tag("s/n", DataType.UDINT), Tag("s/c", DataType.LREAL)]
    generator = Generator(tags, [parse_waveform("counter(2s)"), parse_waveform("constant(4.25)")])
    first, later = generator.raw(10 * 10**9), generator.raw(16 * 10**9)
    assert (int(first[0]), int(later[0])) == (5, 8)
    assert DataType.LREAL.decode(int(later[1])) == 4.25


@pytest.mark.parametrize(
    ("data_type", "seconds", "value"),
    [
        (DataType.UINT, 65_537, 1),
        (DataType.DINT, 2**31 + 4, 4),
        (DataType.ULINT, 2**33, 2**33),
        (DataType.LREAL, 2**33, 2**33),
    ],
)
def test_a_counter_begins_again_where_its_type_ends(data_type, seconds, value):
    raw = Generator([Tag("s/n", data_type)], [parse_waveform("counter(1s)")]).raw(seconds * 10**9)
    assert data_type.decode(int(raw[0])) == value


@pytest.mark.parametrize("address", ["sin(2s)", "sine", "sine(2)", "sine(0s)", "constant(x)", ""])
def test_a_wrong_address_is_refused(address):
    with pytest.raises(ValueError, match=r"waveform|duration|longer|number"):
        parse_waveform(address)


def test_the_device_moves_its_waves_and_keeps_what_is_written():
    tags = [
        Tag("s/wave", DataType.REAL, low=0, high=10, source="sim", address="ramp(10s)"),
        Tag("s/set", DataType.INT, source="sim", access=Access.READ_WRITE),
    ]

    async def main():
        port = FakePort(tags, "sim")
        device = asyncio.create_task(SimulatedDevice(SimulatedConfig(name="sim", kind="simulated")).run(port))
        await port.clock.advance(5)
        before = port.value("s/wave")
        await port.clock.advance(2)
        assert np.isclose((port.value("s/wave") - before) % 10, 2, atol=1e-5)
        assert await port.command("s/set", 42) is None
        assert port.value("s/set") == 42
        device.cancel()
        await asyncio.wait({device})

    asyncio.run(main())
