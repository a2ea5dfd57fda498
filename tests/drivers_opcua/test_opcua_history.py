"""HistoryRead of a whole plant, by asyncua's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from drivers.opcua.aggregates import judged
from drivers.opcua.chaos.process import free_port
from runtime.assembly import assemble
from runtime.contract import Batch, Port, Quality
from runtime.kernel import Kernel

PLANT = """plant: p
root: s/l
api: {port: null}
drivers: [{name: opcua, kind: opcua.server, port: 0, security: [None]}]
"""
TAGS = """path,type,source,retention,access
tank/level,REAL,maker,standard,
tank/count,INT,maker,standard,
tank/name,STRING,maker,standard,
tank/left,UINT,maker,standard,
tank/gone,REAL,maker,none,
"""
BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
NS = int(BEGIN.timestamp()) * 10**9
STEP_S = 10
COUNT = 500
BAD_AT = 7
CALCULATED, PARTIAL, RAW, INTERPOLATED, MULTIPLE = 0x401, 0x404, 0x400, 0x402, 0x410
DOUBTFUL = 0x40A4_0000
# Of ten samples of the ramp, ten seconds each: value, type on the wire, status.
FIRST = {
    "Minimum": (10, "Float", CALCULATED),
    "Minimum2": (10, "Float", CALCULATED),
    "Maximum": (14.5, "Float", CALCULATED),
    "Maximum2": (14.5, "Float", CALCULATED),
    "MinimumActualTime": (10, "Float", RAW),
    "MaximumActualTime": (14.5, "Float", RAW),
    "Range": (4.5, "Float", CALCULATED),
    "Range2": (4.5, "Float", CALCULATED),
    "Average": (12.25, "Double", CALCULATED),
    "TimeAverage": (12.25, "Double", CALCULATED),
    "TimeAverage2": (12.25, "Double", CALCULATED),
    "Total": (1225, "Double", CALCULATED),
    "Total2": (1225, "Double", CALCULATED),
    "Start": (10, "Float", CALCULATED),
    "End": (14.5, "Float", CALCULATED),
    "Delta": (4.5, "Float", CALCULATED),
    "DeltaBounds": (5, "Float", CALCULATED),
    "Interpolative": (10, "Float", RAW),
    "Count": (10, "Int32", CALCULATED),
    "NumberOfTransitions": (10, "Int32", CALCULATED),
    "DurationGood": (100_000, "Double", CALCULATED),
    "DurationBad": (0, "Double", CALCULATED),
    "PercentGood": (100, "Double", CALCULATED),
    "PercentBad": (0, "Double", CALCULATED),
    "WorstQuality": (0, "StatusCode", CALCULATED),
    "StandardDeviationSample": (1.5138, "Double", CALCULATED),
    "StandardDeviationPopulation": (1.4361, "Double", CALCULATED),
}
# Of the first ten, one of which is bad.
BAD_ONE = {
    "Count": (9, DOUBTFUL | CALCULATED),
    "DurationGood": (90_000, CALCULATED),
    "DurationBad": (10_000, CALCULATED),
    "PercentBad": (10, CALCULATED),
    "WorstQuality": (int(Quality.BAD_NO_COMMUNICATION), CALCULATED),
    "Range": (4.5, DOUBTFUL | CALCULATED),
    "Delta": (4.5, CALCULATED),
    "Total": (190, DOUBTFUL | CALCULATED),
    "MaximumActualTime": (4.5, DOUBTFUL | RAW),
}


class Maker:
    """Stores a ramp, a stair and a text of the past, every ten seconds."""

    name = "maker"

    def __init__(self) -> None:
        self.done = asyncio.Event()

    async def run(self, port: Port) -> None:
        level, count, name, left = (
            port.tags.select(f"s/l/tank/{each}")[0] for each in ("level", "count", "name", "left")
        )
        rows = np.arange(COUNT)
        times = NS + rows * STEP_S * 10**9
        quality = np.where(rows == BAD_AT, Quality.BAD_NO_COMMUNICATION, Quality.GOOD).astype(np.uint32)
        floats = (rows / 2).view(np.uint64)
        await port.backfill(Batch.of([level] * COUNT, floats, times, quality))
        await port.backfill(Batch.of([count] * COUNT, (rows // 10).astype(np.uint64), times))
        await port.backfill(Batch.of([left] * 10, np.arange(9, -1, -1).astype(np.uint64), times[:10]))
        await port.backfill(Batch.of([name] * 2, [0, 0], times[:2], text={0: "one", 1: "two"}))
        self.done.set()
        await asyncio.Event().wait()


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[Client]:
    number = free_port()
    (folder / "plant.yaml").write_text(PLANT.replace("port: 0", f"port: {number}"))
    (folder / "tags.csv").write_text(TAGS)
    maker, stop = Maker(), asyncio.Event()
    kernel = Kernel(assemble(folder / "plant.yaml"), extra=[maker])
    life = asyncio.create_task(kernel.run(stop))
    try:
        async with asyncio.timeout(60):
            await maker.done.wait()
            opc = await connected(f"opc.tcp://127.0.0.1:{number}")
        async with opc:
            yield opc
    finally:
        stop.set()
        await life


async def connected(url: str) -> Client:
    """Return a client once the server listens."""
    while True:
        try:
            await Client(url, timeout=60, watchdog_intervall=60).connect_and_get_server_endpoints()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return Client(url, timeout=60, watchdog_intervall=60)


def at(step: float) -> datetime:
    return BEGIN + timedelta(seconds=step * STEP_S)


async def ask(opc: Client, details: Any, *paths: str, points: Any = None) -> list[Any]:
    nodes = [
        ua.HistoryReadValueId(ua.NodeId(f"s/l/tank/{path}", 2), ContinuationPoint=(points or {}).get(path))
        for path in paths
    ]
    request = ua.HistoryReadParameters(details, ua.TimestampsToReturn.Both, False, nodes)
    return list(await opc.uaclient.history_read(request))


def values(result: Any) -> list[Any]:
    data = result.HistoryData
    if isinstance(data, ua.ExtensionObject):
        data = struct_from_binary(ua.HistoryData, Buffer(data.Body))
    return list(data.DataValues)


def raw(start: datetime | None, end: datetime | None, most: int = 0, bounds: bool = False) -> Any:
    never = datetime(1601, 1, 1, tzinfo=UTC)
    return ua.ReadRawModifiedDetails(False, start or never, end or never, most, bounds)


def processed(start: datetime, end: datetime, seconds: float, *aggregates: str) -> Any:
    kinds = [ua.NodeId(getattr(ua.ObjectIds, f"AggregateFunction_{each}")) for each in aggregates]
    return ua.ReadProcessedDetails(start, end, seconds * 1000, kinds)


def steps(found: list[Any]) -> list[float]:
    return [(each.SourceTimestamp - BEGIN).total_seconds() / STEP_S for each in found]


def test_history_is_read(tmp_path: Path) -> None:
    """One plant for all: its start is what takes time."""

    async def main() -> None:
        async with living(tmp_path) as opc:
            for check in CHECKS:
                await check(opc)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("before", "good", "bad", "after"),
    [
        (DOUBTFUL | CALCULATED, 60, 40, CALCULATED),
        (DOUBTFUL | CALCULATED, 60, 30, DOUBTFUL | CALCULATED),  # the rest is uncertain, and counts as good
        (DOUBTFUL | CALCULATED, 0, 40, DOUBTFUL | CALCULATED),
        (DOUBTFUL | CALCULATED, 50, 50, DOUBTFUL | CALCULATED),
        (DOUBTFUL | CALCULATED, 20, 80, 0x8000_0000),
        (DOUBTFUL | CALCULATED, 0, 80, 0x8000_0000),
        (int(Quality.BAD_NO_COMMUNICATION), 100, 0, int(Quality.BAD_NO_COMMUNICATION)),
        (CALCULATED, float("nan"), float("nan"), CALCULATED),  # of no samples
    ],
)
def test_an_interval_is_good_or_bad_by_its_shares(before: int, good: float, bad: float, after: int) -> None:
    codes = np.array([before], np.uint32)
    assert judged(codes, np.array([good]), np.array([bad]), (60, 80)).tolist() == [after]


async def raw_values_come_in_order_with_status_and_time(opc: Client) -> None:
    (result,) = await ask(opc, raw(at(5), at(9)), "level")
    found = values(result)
    assert steps(found) == [5, 6, 7, 8]
    assert [each.Value.Value for each in found] == [2.5, 3.0, None, 4.0]
    assert found[2].StatusCode.value == Quality.BAD_NO_COMMUNICATION
    assert {each.Value.VariantType for each in found if each.Value.Value} == {ua.VariantType.Float}
    (result,) = await ask(opc, raw(at(0), at(2)), "name")
    assert [each.Value.Value for each in values(result)] == ["one", "two"]


async def backwards_when_the_end_is_before_the_start(opc: Client) -> None:
    (result,) = await ask(opc, raw(at(9), at(5)), "level")
    assert steps(values(result)) == [9, 8, 7, 6]


async def so_many_from_a_start_or_before_an_end(opc: Client) -> None:
    (result,) = await ask(opc, raw(at(5), None, 3), "level")
    assert steps(values(result)) == [5, 6, 7]
    assert not result.ContinuationPoint
    (result,) = await ask(opc, raw(None, at(5), 3), "level")
    assert steps(values(result)) == [5, 4, 3]


async def a_time_before_1970_is_a_time(opc: Client) -> None:
    for start in (datetime(1900, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)):
        (result,) = await ask(opc, raw(start, at(COUNT)), "level")
        assert steps(values(result)) == list(range(COUNT))
        (result,) = await ask(opc, raw(start, at(COUNT), 3), "level")
        assert steps(values(result)) == [0, 1, 2]
        (result,) = await ask(opc, raw(at(2), start), "level")
        assert steps(values(result)) == [2, 1, 0]
        (result,) = await ask(opc, raw(start, None, 3), "level")
        assert steps(values(result)) == [0, 1, 2]
        (result,) = await ask(opc, processed(start, at(COUNT), 0, "Count"), "level")
        assert [each.Value.Value for each in values(result)] == [COUNT - 1]


async def the_year_9999_is_an_end(opc: Client) -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    (result,) = await ask(opc, raw(at(0), end, 5), "level")
    assert steps(values(result)) == [0, 1, 2, 3, 4]
    (result,) = await ask(opc, raw(at(0), end), "level", points={"level": result.ContinuationPoint})
    assert steps(values(result)) == list(range(5, COUNT))
    (result,) = await ask(opc, raw(end, at(0), 5), "level")
    assert steps(values(result)) == list(range(COUNT - 1, COUNT - 6, -1))
    (result,) = await ask(opc, raw(at(COUNT - 2), end, bounds=True), "level")
    assert [each.StatusCode.name for each in values(result)] == ["Good", "Good", "BadBoundNotFound"]
    (result,) = await ask(opc, processed(at(0), end, 0, "Count"), "level")
    assert [each.Value.Value for each in values(result)] == [COUNT - 1]
    for path in ("level", "count"):
        (result,) = await ask(opc, ua.ReadAtTimeDetails([at(1), end], False), path)
        assert [each.StatusCode.is_good() for each in values(result)] == [True, False]


async def pages_by_continuation_points_lose_and_double_nothing(opc: Client) -> None:
    for start, end in ((at(0), at(COUNT)), (at(COUNT), at(-1))):
        found: list[Any] = []
        points: dict[str, Any] = {}
        while True:
            (result,) = await ask(opc, raw(start, end, 70), "level", points=points)
            assert result.StatusCode.is_good()
            found += values(result)
            if not result.ContinuationPoint:
                break
            points = {"level": result.ContinuationPoint}
        expected = list(range(COUNT)) if start < end else list(range(COUNT))[::-1]
        assert steps(found) == expected


async def a_continuation_point_is_used_once_or_released(opc: Client) -> None:
    used, released = [
        result.ContinuationPoint for result in await ask(opc, raw(at(0), at(9), 3), "level", "level")
    ]
    assert used != released
    await ask(opc, raw(at(0), at(9), 3), "level", points={"level": used})
    node = ua.HistoryReadValueId(ua.NodeId("s/l/tank/level", 2), ContinuationPoint=released)
    release = ua.HistoryReadParameters(raw(at(0), at(9), 3), ua.TimestampsToReturn.Both, True, [node])
    (result,) = await opc.uaclient.history_read(release)
    assert result.StatusCode.is_good()
    for point in (used, released):
        (result,) = await ask(opc, raw(at(0), at(9), 3), "level", points={"level": point})
        assert result.StatusCode.value == ua.StatusCodes.BadContinuationPointInvalid


async def bounds_are_there_or_told_as_missing(opc: Client) -> None:
    (result,) = await ask(opc, raw(at(4.5), at(6.5), bounds=True), "level")
    assert steps(values(result)) == [4, 5, 6, 7]
    (result,) = await ask(opc, raw(at(-3), at(1), bounds=True), "level")
    first, *rest = values(result)
    assert first.StatusCode.value == ua.StatusCodes.BadBoundNotFound
    assert steps(rest) == [0, 1]


async def bounds_count_as_values(opc: Client) -> None:
    """As Table 1 of OPC 10000-11, 4.6 has it; a time of 0 is not given, None is a bound that is missing."""
    for start, end, most, bounds, *expected in (
        (5, 8, 0, True, [5, 6, 7, 8]),
        (5, 8, 3, True, [5, 6, 7], [8]),
        (5.5, 7.5, 3, True, [5, 6, 7], [8]),
        (8, 5, 3, True, [8, 7, 6], [5]),
        (7.5, 5.5, 3, True, [8, 7, 6], [5]),
        (-1, 3, 3, True, [None, 0, 1], [2, 3]),
        (-1, 3, 1, True, [None], [0], [1], [2], [3]),
        (7.5, 10, 2, True, [7, 8], [9, None]),
        (7.5, 10, 3, True, [7, 8, 9], [None]),
        (7, 0, 2, True, [7, 8]),
        (7, 0, 6, True, [7, 8, 9, None]),
        (10, 0, 6, True, [9, None]),
        (0, 2, 6, True, [2, 1, 0, None]),
        (0, -1, 6, True, [0, None]),
        (-1, -1, 0, True, [None, 0]),
        (-1, -1, 0, False, []),
        (5, 5, 0, True, [5, 6]),
        (5, 5, 0, False, [5]),
        (5, 5, 1, True, [5], [6]),
        (5.5, 5.5, 0, True, [5, 6]),
        (5.5, 5.5, 1, False, []),
        (9, 9, 0, True, [9, None]),
    ):
        pages: list[Any] = []
        points: dict[str, Any] = {}
        while not pages or points["left"]:
            details = raw(start and at(start), end and at(end), most, bounds)
            (result,) = await ask(opc, details, "left", points=points)
            pages.append(
                [
                    None if each.StatusCode.value == ua.StatusCodes.BadBoundNotFound else steps([each])[0]
                    for each in values(result)
                ]
            )
            points = {"left": result.ContinuationPoint}
        assert pages == expected, (start, end, most, bounds)


async def a_missing_bound_has_the_time_that_was_asked_for_or_the_next_second(opc: Client) -> None:
    for start, end, moment in ((at(9), at(11), 11), (at(9), None, 9.1), (None, at(0), -0.1)):
        (result,) = await ask(opc, raw(start, end, 6, bounds=True), "left")
        assert steps(values(result))[-1] == moment


def plain(value: Any) -> Any:
    """Return a value of a variant, a status code as its number."""
    return value.value if isinstance(value, ua.StatusCode) else value


async def aggregates_have_a_value_for_each_interval(opc: Client) -> None:
    for name, (expected, kind, status) in FIRST.items():
        (result,) = await ask(opc, processed(at(20), at(40), 100, name), "level")
        found = values(result)
        assert steps(found) == ([29, 39] if name == "MaximumActualTime" else [20, 30])
        told = found[0]
        assert plain(told.Value.Value) == pytest.approx(expected, abs=1e-3), name
        assert (told.Value.VariantType.name, told.StatusCode.value) == (kind, status), name
    for name, bad in BAD_ONE.items():
        (result,) = await ask(opc, processed(at(0), at(10), 100, name), "level")
        (told,) = values(result)
        assert plain(told.Value.Value) == pytest.approx(bad[0], abs=1e-3), name
        assert told.StatusCode.value == bad[1], name


async def an_interval_that_is_not_complete_says_so(opc: Client) -> None:
    for name, marked in (("TimeAverage", PARTIAL), ("Count", PARTIAL), ("Average", 0), ("Interpolative", 0)):
        (result,) = await ask(opc, processed(at(20), at(35), 100, name), "level")
        whole, cut = values(result)
        assert not whole.StatusCode.value & 0x4
        assert cut.StatusCode.value & 0x4 == marked & 0x4, name
    (result,) = await ask(opc, processed(at(-15), at(5), 100, "Maximum"), "level")
    before, first = values(result)
    assert before.StatusCode.value == ua.StatusCodes.BadNoData
    assert (first.Value.Value, first.StatusCode.value) == (2.0, DOUBTFUL | CALCULATED | PARTIAL)


async def a_tag_that_moves_in_steps_keeps_its_type(opc: Client) -> None:
    (result,) = await ask(opc, processed(at(20), at(40), 50, "Interpolative"), "count")
    found = values(result)
    assert {each.Value.VariantType for each in found} == {ua.VariantType.Int16}
    assert [each.Value.Value for each in found] == [2, 2, 3, 3]
    (result,) = await ask(opc, processed(at(20.5), at(22.5), 10, "Interpolative"), "count")
    assert [each.StatusCode.value for each in values(result)] == [INTERPOLATED] * 2
    for name, expected, status in (
        ("Range", 2, CALCULATED),
        ("Maximum", 9, CALCULATED),
        ("Delta", None, ua.StatusCodes.BadAggregateInvalidInputs),  # -2 is no UInt16
        ("DeltaBounds", None, ua.StatusCodes.BadAggregateInvalidInputs),
    ):
        (result,) = await ask(opc, processed(at(0), at(2.5), 25, name), "left")
        (told,) = values(result)
        assert (told.Value.Value if told.Value else None, told.StatusCode.value) == (expected, status), name


async def texts_have_aggregates_of_their_quality(opc: Client) -> None:
    (result,) = await ask(opc, processed(at(0), at(10), 100, "PercentGood"), "name")
    assert [each.Value.Value for each in values(result)] == [100]
    (result,) = await ask(opc, processed(at(0), at(10), 100, "Delta"), "name")
    assert result.StatusCode.value == ua.StatusCodes.BadAggregateNotSupported


async def percentages_say_what_is_good_enough(opc: Client) -> None:
    """A tenth is bad, of the samples and of the time; where both apply, the good ones decide."""
    good, unsure, bad = CALCULATED, DOUBTFUL | CALCULATED, ua.StatusCodes.Bad
    statuses = {(90, 100): good, (91, 100): unsure, (95, 10): bad, (95, 11): unsure, (90, 10): good}
    by_shares = ("Average", "TimeAverage", "Total2", "Maximum2", "Count", "NumberOfTransitions")
    for name in (*by_shares, "Maximum", "PercentBad"):
        for (most_good, most_bad), status in statuses.items():
            details = processed(at(0), at(10), 100, name)
            details.AggregateConfiguration = ua.AggregateConfiguration(
                False, False, PercentDataBad=most_bad, PercentDataGood=most_good, UseSlopedExtrapolation=False
            )
            (result,) = await ask(opc, details, "level")
            (told,) = values(result)
            if name not in by_shares:
                assert told.StatusCode.value == (unsure if name == "Maximum" else good), name
                continue
            assert told.StatusCode.value == status, (name, most_good, most_bad)
            assert (told.Value is None or told.Value.Value is None) == (status == bad)


async def uncertain_values_count_and_who_wants_it_otherwise_is_told(opc: Client) -> None:
    for how, code in (
        (ua.AggregateConfiguration(True, True, 0, 0, True), ua.StatusCodes.Good),  # as the server does it
        (ua.AggregateConfiguration(False, False, 100, 100, False), ua.StatusCodes.Good),
        (
            ua.AggregateConfiguration(False, True, 100, 100, False),
            ua.StatusCodes.BadAggregateConfigurationRejected,
        ),
        (
            ua.AggregateConfiguration(False, False, 100, 100, True),
            ua.StatusCodes.BadAggregateConfigurationRejected,
        ),
        (ua.AggregateConfiguration(False, False, 0, 0, False), ua.StatusCodes.BadAggregateInvalidInputs),
        (ua.AggregateConfiguration(False, False, 80, 19, False), ua.StatusCodes.BadAggregateInvalidInputs),
        (ua.AggregateConfiguration(False, False, 101, 100, False), ua.StatusCodes.BadAggregateInvalidInputs),
        (ua.AggregateConfiguration(False, False, 100, 101, False), ua.StatusCodes.BadAggregateInvalidInputs),
    ):
        details = processed(at(0), at(10), 100, "Average")
        details.AggregateConfiguration = how
        (result,) = await ask(opc, details, "level")
        assert result.StatusCode.value == code, how


async def aggregates_are_read_in_pages(opc: Client) -> None:
    names = ["Count"] * 100
    (first, *_) = await ask(opc, processed(at(0), at(150), 1, *names), *["level"] * 100)
    found = values(first)
    assert len(found) == 1000
    (rest, *_) = await ask(
        opc, processed(at(0), at(150), 1, "Count"), "level", points={"level": first.ContinuationPoint}
    )
    found += values(rest)
    assert len(found) == 1500
    assert [each.Value.Value for each in found[::10]] == [int(row != BAD_AT) for row in range(150)]
    assert not any(each.StatusCode.value & 0x4 for each in found)


async def every_aggregate_is_listed(opc: Client) -> None:
    for folder in ("Server_ServerCapabilities", "HistoryServerCapabilities"):
        node = opc.get_node(ua.NodeId(getattr(ua.ObjectIds, f"{folder}_AggregateFunctions")))
        names = {(await each.read_browse_name()).Name for each in await node.get_children()}
        assert names == set(FIRST)


async def maxima_of_a_stair_come_backwards(opc: Client) -> None:
    (result,) = await ask(opc, processed(at(40), at(20), 100, "Maximum"), "count")
    assert [each.Value.Value for each in values(result)] == [3, 2]
    assert values(result)[0].Value.VariantType == ua.VariantType.Int16


async def values_at_times(opc: Client) -> None:
    times = [at(4.5), at(20.5), at(-5), datetime.now(UTC) + timedelta(days=1)]
    (result,) = await ask(opc, ua.ReadAtTimeDetails(times, False), "level")
    found = values(result)
    assert [each.Value.Value for each in found] == [2.25, 10.25, None, None]
    (result,) = await ask(opc, ua.ReadAtTimeDetails(times, False), "count")
    assert [each.Value.Value for each in values(result)] == [0, 2, None, None]


async def what_cannot_be_read_says_why(opc: Client) -> None:
    codes = ua.StatusCodes
    many = ["level", "gone", "nowhere"]
    told = [each.StatusCode.value for each in await ask(opc, raw(at(0), at(1)), *many)]
    assert told == [codes.Good, codes.BadHistoryOperationUnsupported, codes.BadNodeIdUnknown]
    for details, code in (
        (raw(None, None), codes.BadHistoryOperationInvalid),
        (raw(at(0), None), codes.BadHistoryOperationInvalid),
        (raw(at(-30), at(-20)), codes.GoodNoData),
        (processed(at(0), at(1), 1, "AnnotationCount"), codes.BadAggregateNotSupported),
        (processed(at(0), at(1), 1), codes.BadAggregateListMismatch),
        (processed(at(0), at(1), -1, "Average"), codes.BadInvalidArgument),
        (processed(at(0), at(1), float("nan"), "Average"), codes.BadInvalidArgument),
        (processed(at(0), at(1), float("inf"), "Average"), codes.BadInvalidArgument),
        (ua.ReadAtTimeDetails([at(1)] * 101, False), codes.BadTooManyOperations),
        (ua.ReadAtTimeDetails([], False), codes.BadInvalidArgument),
        (ua.ReadRawModifiedDetails(True, at(0), at(1)), codes.BadHistoryOperationUnsupported),
    ):
        (result,) = await ask(opc, details, "level")
        assert result.StatusCode.value == code, details
    many = await ask(opc, ua.ReadAtTimeDetails([at(1)] * 11, False), *["level"] * 100)
    assert {each.StatusCode.value for each in many} == {codes.BadTooManyOperations}
    for part, encoding, code in (
        ("1:3", "", codes.BadIndexRangeNoData),
        ("3:1", "", codes.BadIndexRangeInvalid),
        (None, "no such", codes.BadDataEncodingInvalid),
        (None, "Default Binary", codes.Good),
    ):
        node = ua.HistoryReadValueId(ua.NodeId("s/l/tank/level", 2), part, ua.QualifiedName(encoding))
        both = ua.TimestampsToReturn.Both
        request = ua.HistoryReadParameters(raw(at(0), at(1)), both, False, [node])
        (result,) = await opc.uaclient.history_read(request)
        assert result.StatusCode.value == code, (part, encoding)
    for point in (b"x", b"x" * 21):
        (result,) = await ask(opc, raw(at(0), at(1)), "level", points={"level": point})
        assert result.StatusCode.value == codes.BadContinuationPointInvalid


async def a_tag_says_whether_it_has_history(opc: Client) -> None:
    for path, has in (("level", True), ("gone", False)):
        node = opc.get_node(ua.NodeId(f"s/l/tank/{path}", 2))
        assert (ua.AccessLevel.HistoryRead in await node.get_access_level()) == has
        assert (ua.AccessLevel.HistoryRead in await node.get_user_access_level()) == has
        historizing = await node.read_attribute(ua.AttributeIds.Historizing)
        assert historizing.Value.Value is has


CHECKS: list[Callable[[Client], Coroutine[Any, Any, None]]] = [
    raw_values_come_in_order_with_status_and_time,
    backwards_when_the_end_is_before_the_start,
    so_many_from_a_start_or_before_an_end,
    a_time_before_1970_is_a_time,
    the_year_9999_is_an_end,
    pages_by_continuation_points_lose_and_double_nothing,
    a_continuation_point_is_used_once_or_released,
    bounds_are_there_or_told_as_missing,
    bounds_count_as_values,
    a_missing_bound_has_the_time_that_was_asked_for_or_the_next_second,
    aggregates_have_a_value_for_each_interval,
    an_interval_that_is_not_complete_says_so,
    a_tag_that_moves_in_steps_keeps_its_type,
    texts_have_aggregates_of_their_quality,
    aggregates_are_read_in_pages,
    percentages_say_what_is_good_enough,
    uncertain_values_count_and_who_wants_it_otherwise_is_told,
    every_aggregate_is_listed,
    maxima_of_a_stair_come_backwards,
    values_at_times,
    what_cannot_be_read_says_why,
    a_tag_says_whether_it_has_history,
]
