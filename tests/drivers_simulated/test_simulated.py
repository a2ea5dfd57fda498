"""Waveforms stay in their range and type; writes are kept."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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


@pytest.mark.parametrize(
    "address", ["sin(2s)", "sine", "sine(2)", "sine(0s)", "constant(x)", "constant(nan)", "constant(inf)", ""]
)
def test_a_wrong_address_is_refused(address):
    with pytest.raises(ValueError, match=r"waveform|duration|longer|number"):
        parse_waveform(address)


@pytest.mark.parametrize(("low", "high"), [(5.0, None), (None, -5.0)])
def test_a_wave_stays_within_a_range_that_has_one_end(low, high):
    generator = Generator([Tag("s/x", DataType.LREAL, low=low, high=high)], [parse_waveform("ramp(10s)")])
    for second in range(10):
        value = DataType.LREAL.decode(int(generator.raw(second * 10**9)[0]))
        assert (low or -6.0) <= value <= (high or 6.0)


@pytest.mark.parametrize(
    ("data_type", "written", "value"),
    [
        (DataType.LREAL, 1e30, 1e30),
        (DataType.LREAL, -1e300, -1e300),
        (DataType.REAL, 2.0**100, 2.0**100),
        (DataType.REAL, 1e300, float(np.finfo(np.float32).max)),
        (DataType.INT, 1e300, 32767),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_constant_is_held_at_the_limit_of_its_type_and_no_sooner(data_type, written, value):
    raw = Generator([Tag("s/x", data_type)], [parse_waveform(f"constant({written})")]).raw(0)
    assert data_type.decode(int(raw[0])) == value


def test_a_period_of_no_time_is_refused():
    with pytest.raises(ValidationError, match="period"):
        SimulatedConfig(name="sim", kind="simulated", period="0s")


def test_a_write_to_a_waveform_is_refused_with_the_remedy():
    wave = Tag("s/w", DataType.REAL, source="sim", address="ramp(10s)", access=Access.READ_WRITE)

    async def main():
        port = FakePort([wave], "sim")
        device = asyncio.create_task(SimulatedDevice(SimulatedConfig(name="sim", kind="simulated")).run(port))
        await port.clock.advance(1)
        async with asyncio.timeout(60):
            assert "clear its address" in await port.command("s/w", 4.0)
        device.cancel()
        await asyncio.wait({device})

    asyncio.run(main())


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
