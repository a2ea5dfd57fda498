"""The fast server equals the simple one: bytes of values, what subscribers get, answers of a whole server."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from asyncua.ua.uaprotocol_auto import DataChangeFilter
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.opcua import queue as queues
from drivers.opcua.image import Image
from drivers.opcua.items import TagItems
from drivers.opcua.plainwatch import PlainWatch
from drivers.opcua.queue import OVERFLOW
from drivers.opcua.values import TagValues
from drivers.opcua.watch import ColumnWatch
from drivers.opcua.wire import Samples, Wire
from runtime.clock import ManualClock
from runtime.contract import Batch, DataType, Tag

TAGS = [
    Tag(f"a/{each.iec.lower()}", each, low=-1.0, high=99.0, id=number) for number, each in enumerate(DataType)
]
N = len(TAGS)
TEXT = next(tag.id for tag in TAGS if tag.data_type is DataType.STRING)
GOOD, UNCERTAIN, BAD = 0, 0x40900000, 0x80310000
STATUS = st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD, GOOD | OVERFLOW])
TIMES = st.sampled_from([0, 1, 1_700_000_000_123_456_789, 1_700_000_000_000_000_000])


def values_of(tag: Tag) -> st.SearchStrategy[Any]:
    if tag.data_type is DataType.BOOL:
        return st.booleans()
    if tag.data_type is DataType.STRING:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    if tag.data_type in (DataType.REAL, DataType.LREAL):
        return st.floats(width=32)
    if tag.data_type is DataType.DT:
        return st.integers(0, 4_000_000_000_000_000_000)
    low, high = tag.data_type.limits or (0, 0)
    return st.integers(int(low), int(high)) | st.integers(0, 5)


@st.composite
def samples(draw: st.DrawFn) -> list[tuple[int, Any, int, int]]:
    ids = draw(st.lists(st.integers(0, N - 1), min_size=1, max_size=8))
    return [(id_, draw(values_of(TAGS[id_])), draw(STATUS), draw(TIMES)) for id_ in ids]


def batch(rows: list[tuple[int, Any, int, int]]) -> Batch:
    raw = [TAGS[id_].data_type.encode(value) for id_, value, _, _ in rows]
    texts = {row: value for row, (id_, value, _, _) in enumerate(rows) if id_ == TEXT}
    return Batch(
        np.array([row[0] for row in rows], np.int32),
        np.array(raw, np.uint64),
        np.array([row[2] for row in rows], np.uint32),
        np.array([row[3] for row in rows], np.int64),
        texts,
    )


@settings(deadline=None, max_examples=300)
@given(samples(), st.integers(0, 3), st.booleans(), st.integers(1, 10**18))
def test_bytes_are_those_of_asyncua(
    rows: list[tuple[int, Any, int, int]], stamps: int, handled: bool, now_ns: int
) -> None:
    image, clock = Image(TAGS), ManualClock(now_ns)
    plain = TagValues(TAGS, image, clock)
    expected = b""
    for row in rows:
        image.take(batch([row]))
        value = plain.read(row[0], stamps)
        expected += struct_to_binary(ua.MonitoredItemNotification(7, value) if handled else value)
    given_ = batch(rows)
    found = Wire(TAGS).encode(
        Samples(given_.ids, given_.raw, given_.quality, given_.source_ns, now_ns, given_.text),
        stamps,
        np.full(len(rows), 7, np.uint32) if handled else None,
    )
    assert found == expected


def test_what_is_no_tag_stands_where_it_was_asked_for() -> None:
    rows = [(TEXT, "x", GOOD, 1000), (0, True, GOOD, 1000), (TEXT, "y", BAD, 1000), (1, 3, GOOD, 1000)]
    one = batch(rows)
    wire = Wire(TAGS)
    made = Samples(one.ids, one.raw, one.quality, one.source_ns, 5000, one.text)
    each = [wire.encode(made.where(np.arange(4) == row), 2) for row in range(4)]
    assert wire.encode(made, 2) == b"".join(each)
    for row in range(4):
        expected = [*each[:row], b"other", *each[row + 1 :]]
        assert wire.encode(made, 2, others={row: b"other"}) == b"".join(expected)
    assert wire.encode(made, 2, others=dict.fromkeys(range(4), b"o")) == b"oooo"


ITEMS = st.lists(
    st.tuples(
        st.integers(0, N - 1),
        st.integers(0, 3),  # TimestampsToReturn
        st.integers(1, 3),  # queue
        st.booleans(),  # discard oldest
        st.sampled_from([0.0, 100.0, 1000.0]),  # sampling
        st.sampled_from(list(ua.DataChangeTrigger)),
        st.sampled_from([0.0, 1.5, 40.0]),
    ),
    min_size=1,
    max_size=6,
)
PARTS = (None, "1", "0:2")  # of a text
STEPS = st.lists(
    st.one_of(
        samples(),
        st.sampled_from(["publish", "tick", "second", "resend"]),
        st.tuples(
            st.sampled_from(["off", "sample", "on", "delete", "modify", "link", "unlink"]), st.integers(0, 5)
        ),
    ),
    max_size=25,
)


@pytest.fixture(scope="module", autouse=True)
def narrow() -> Iterator[None]:
    """Make the columns so short that few samples fill them, grow them and move in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queues, "_FIRST", 2)
        patch.setattr(queues, "_SPARE", 1)
        yield


class Side:
    """One subscription on one kind of watch."""

    def __init__(self, fast: bool, clock: ManualClock, most: int) -> None:
        self.image = Image(TAGS)
        values = TagValues(TAGS, self.image, clock)
        nodes: Any = type("Nodes", (), {"tag_id": staticmethod(lambda node: node.Identifier)})
        self.watch: Any = (
            ColumnWatch(nodes, values, clock, Wire(TAGS)) if fast else PlainWatch(nodes, values, clock)
        )
        result = ua.CreateSubscriptionResult(SubscriptionId=1, RevisedPublishingInterval=1000.0)
        self.subscription = self.watch.make_subscription(most, result, None, None, None)
        self.items = TagItems(self.subscription, None, self.watch)
        self.subscription.monitored_item_srv = self.items
        self.ids: list[int] = []
        self.got: defaultdict[int, list[str]] = defaultdict(list)

    async def create(self, asked: list[Any]) -> None:
        for handle, (id_, stamps, *rest) in enumerate(asked):
            part = PARTS[handle % len(PARTS)] if id_ == TEXT else None
            (made,) = await self.items.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    TimestampsToReturn=ua.TimestampsToReturn(stamps),
                    ItemsToCreate=[
                        ua.MonitoredItemCreateRequest(
                            ua.ReadValueId(ua.NodeId(id_, 2), ua.AttributeIds.Value, part),
                            ua.MonitoringMode.Reporting,
                            parameters(handle, rest, id_),
                        )
                    ],
                )
            )
            assert made.StatusCode.is_good()
            self.ids.append(made.MonitoredItemId)

    async def step(self, step: Any, asked: list[Any]) -> None:
        if isinstance(step, list):
            given_ = batch(step)
            self.image.take(given_)
            await self.watch.post(np.unique(given_.ids))
        elif step == "publish":
            self.publish()
        elif step == "resend":
            await self.items.resend()
        elif isinstance(step, tuple):
            await self.manage(step[0], step[1], step[1] % len(asked))

    async def manage(self, what: str, number: int, index: int) -> None:
        item = self.ids[index]
        if what == "delete":
            self.items.delete_monitored_items([item])
        elif what == "modify":
            request = ua.MonitoredItemModifyRequest(
                item, parameters(index, [1 + number % 3, number % 2 == 0, 0.0, 1, 0.0], 0)
            )
            stamps = ua.TimestampsToReturn(number % 4)
            self.items.modify_monitored_items(
                ua.ModifyMonitoredItemsParameters(TimestampsToReturn=stamps, ItemsToModify=[request])
            )
        elif what in ("link", "unlink"):
            other = self.ids[number * 2 % len(self.ids)]
            links = {"LinksToAdd" if what == "link" else "LinksToRemove": [other]}
            if item in self.items._monitored_items:
                self.items.set_triggering(ua.SetTriggeringParameters(TriggeringItemId=item, **links))
        else:
            mode = ua.MonitoringMode({"off": 0, "sample": 1, "on": 2}[what])
            if item in self.items._monitored_items:
                await self.items.set_monitoring_mode(mode, [item])

    def publish(self) -> None:
        self.subscription.trigger()
        while True:
            result = self.subscription._pop_publish_result()
            for each in result.NotificationMessage.NotificationData:
                known = each
                if isinstance(each, ua.ExtensionObject):
                    known = struct_from_binary(ua.DataChangeNotification, Buffer(each.Body))
                for item in known.MonitoredItems:
                    again = struct_from_binary(ua.DataValue, Buffer(struct_to_binary(item.Value)))
                    self.got[item.ClientHandle].append(repr(again))
            if not result.MoreNotifications:
                return


def parameters(handle: int, rest: Any, id_: int) -> Any:
    size, oldest, sampling, trigger, deadband = rest
    plain = TAGS[id_].data_type in (DataType.BOOL, DataType.STRING, DataType.DT)
    return ua.MonitoringParameters(
        ClientHandle=handle,
        SamplingInterval=sampling,
        Filter=DataChangeFilter(
            ua.DataChangeTrigger(trigger),
            ua.DeadbandType.Absolute if deadband and not plain else ua.DeadbandType.None_,
            0.0 if plain else deadband,
        ),
        QueueSize=size,
        DiscardOldest=oldest,
    )


@settings(deadline=None, max_examples=300)
@given(ITEMS, STEPS, st.sampled_from([0, 1, 2]))
def test_subscribers_get_the_same(asked: list[Any], steps: list[Any], most: int) -> None:
    async def main() -> None:
        clock = ManualClock(1_700_000_000_000_000_000)
        sides = [Side(True, clock, most), Side(False, clock, most)]
        for side in sides:
            await side.create(asked)
        for step in [*steps, "publish"]:
            if step == "tick":
                clock.set_ns(clock.now_ns() + 50_000_000)
            elif step == "second":
                clock.set_ns(clock.now_ns() + 1_000_000_000)
            for side in sides:
                await side.step(step, asked)
        assert sides[0].got == sides[1].got, (asked, steps, dict(sides[0].got), dict(sides[1].got))
        for side in sides:
            side.items.delete_all_monitored_items()
            assert side.watch.size == 0
        queue = sides[0].subscription.queue
        assert (queue.due(), queue.quiet, queue.triggering) == (0, 0, {})
        for each in (side.subscription for side in sides):
            assert [*each.quiet, *each.released, *each._triggered_datachanges] == []
            assert [*each.links._of, *each.links._times, *each.links._fired] == []

    asyncio.run(main())
