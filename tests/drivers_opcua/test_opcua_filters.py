"""Filters that mean harm: the server stays fast, and says no."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncua import Client, Server, ua
from asyncua.common.utils import ServiceError

from drivers.opcua.conditions.facts import Facts
from drivers.opcua.conditions.fields import Occurrence
from drivers.opcua.conditions.filters import check
from drivers.opcua.conditions.like import like
from drivers.opcua.conditions.queue import MAX_ITEMS, MAX_OF_SESSION, EventItem, EventItems
from drivers.opcua.conditions.schema import BASE, EventTypes

ALLOWED = (AssertionError, pytest.fail.Exception, TimeoutError)
STOCK = pytest.mark.xfail(strict=True, raises=ALLOWED, reason="the stock server allows it")
BOTH = pytest.mark.parametrize("kind", ["ours", pytest.param("stock", marks=STOCK)])


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("main%", "main", True),
        ("main%", "mainframe", True),
        ("%en%", "event", True),
        ("%en", "event", False),
        ("_en", "ten", True),
        ("_en", "en", False),
        ("[a-c]at", "bat", True),
        ("[^a-c]at", "bat", False),
        ("[^a-c]at", "rat", True),
        ("100\\%", "100%", True),
        ("100\\%", "1000", False),
        ("", "", True),
        ("%", "", True),
        ("[a", "a", None),
        ("a\\", "a", None),
    ],
)
def test_like_follows_the_standard(pattern: str, text: str, matches: bool | None) -> None:
    assert like(text, pattern) is matches


def test_a_pattern_cannot_take_more_time_than_text_times_pattern() -> None:
    assert like("a" * 2_000, "%a" * 100 + "b") is False  # one that tries all ways would not come back


class Plant:
    """The event types of the standard address space, read once."""

    def __init__(self) -> None:
        from asyncua.server.internal_server import InternalServer

        async def load() -> Any:
            server = InternalServer()
            await server.load_standard_address_space()
            return server.aspace._nodes

        self.types = EventTypes(asyncio.run(load()))

    def filter(self, *elements: Any) -> Any:
        wanted = ua.EventFilter()
        wanted.SelectClauses = [
            ua.SimpleAttributeOperand(BASE, [ua.QualifiedName("ConditionName", 0)], ua.AttributeIds.Value)
        ]
        wanted.WhereClause.Elements = list(elements)
        return check(wanted, self.types)


@pytest.fixture(scope="module")
def plant() -> Plant:
    return Plant()


def occurrence(name: str = "a") -> Occurrence:
    facts: dict[str, Any] = {
        "name": name,
        "tag": "s/l/a",
        "priority": "low",
        "state": "normal",
        "active": 0,
        "acknowledged": 1,
    }
    return Occurrence(b"", ua.ObjectIds.DiscreteAlarmType, 1, 1, ua.NodeId(), "s/l/a", Facts.of(facts))


def test_a_filter_that_asks_itself_twice_over_is_judged_once(plant: Plant) -> None:
    both = [
        ua.ContentFilterElement(ua.FilterOperator.And, [ua.ElementOperand(number), ua.ElementOperand(number)])
        for number in range(1, 60)
    ]
    last = ua.ContentFilterElement(ua.FilterOperator.IsNull, [ua.LiteralOperand(ua.Variant())])
    assert plant.filter(*both, last).passes(occurrence())  # 2 ** 59 ways, 60 steps


def test_a_type_that_is_left_null_is_any_event(plant: Plant) -> None:
    """The client of the older python library `opcua` leaves it so, in its select and where clauses."""

    def of(name: str) -> Any:
        return ua.SimpleAttributeOperand(ua.NodeId(), [ua.QualifiedName(name, 0)], ua.AttributeIds.Value)

    def filter_(type_: int) -> Any:
        wanted = ua.EventFilter(SelectClauses=[of("ConditionName"), of("SourceName")])
        listed = ua.LiteralOperand(ua.Variant(ua.NodeId(type_)))
        wanted.WhereClause.Elements = [
            ua.ContentFilterElement(ua.FilterOperator.InList, [of("EventType"), listed])
        ]
        return check(wanted, plant.types)

    wanted = filter_(ua.ObjectIds.DiscreteAlarmType)
    assert wanted.passes(occurrence())
    sent = wanted.encode(occurrence("jam"), 1, "en")
    assert b"jam" in sent
    assert b"s/l/a" in sent
    assert not filter_(ua.ObjectIds.OffNormalAlarmType).passes(occurrence())


def test_a_refresh_goes_past_the_queue_and_the_next_waits_for_its_end(plant: Plant) -> None:
    item = EventItem(1, "", lambda: occurrence("overflow"))
    parameters = ua.MonitoringParameters(7, 0.0, None, 2, True)
    assert item.configure(parameters, plant.filter()) == 2
    item.set_mode(ua.MonitoringMode.Reporting)
    item.offer(occurrence("before"))
    assert item.refresh([occurrence("start"), *map(occurrence, "abcde"), occurrence("end")])
    for name in "xyz":
        item.offer(occurrence(name))
    assert not item.refresh([occurrence("start"), occurrence("end")])
    names = []
    while item.waiting:
        names += [each[13:].decode() for each in item.take(3, "en")]
    assert names == ["before", "start", *"abcde", "end", "overflow", "y", "z"]
    assert item.refresh([])
    item.set_mode(ua.MonitoringMode.Disabled)
    item.offer(occurrence("unseen"))
    assert item.waiting == 0


@BOTH
def test_a_field_that_no_event_has_is_refused(serve: Any, kind: str) -> None:
    async def stock() -> None:
        server = Server()
        await server.init()
        server.set_endpoint("opc.tcp://127.0.0.1:0/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        async with server:
            await refused(f"opc.tcp://127.0.0.1:{server.bserver.port}/")

    async def ours() -> None:
        async with serve() as served:
            await refused(served.url)

    async def refused(url: str) -> None:
        async with Client(url, timeout=60, watchdog_intervall=60) as client:
            params = ua.CreateSubscriptionParameters(500, 1000, 10, 0, True, 0)
            made = await client.uaclient.create_subscription(params, callback=lambda _: None)
            wanted = ua.EventFilter()
            wanted.SelectClauses = [
                ua.SimpleAttributeOperand(BASE, [ua.QualifiedName("Nothing", 0)], ua.AttributeIds.Value)
            ]
            request = ua.MonitoredItemCreateRequest()
            request.ItemToMonitor = ua.ReadValueId(
                ua.NodeId(ua.ObjectIds.Server), ua.AttributeIds.EventNotifier
            )
            request.RequestedParameters = ua.MonitoringParameters(1, 0.0, wanted, 10, True)
            asked = ua.CreateMonitoredItemsParameters(
                made.SubscriptionId, ua.TimestampsToReturn.Both, [request]
            )
            (result,) = await client.uaclient.create_monitored_items(asked)
            assert result.StatusCode.name == "BadEventFilterInvalid"

    asyncio.run(ours() if kind == "ours" else stock())


def test_one_session_does_not_take_all_items_on_events() -> None:
    items = EventItems()
    items.check_room(MAX_OF_SESSION - 1)
    with pytest.raises(ServiceError):
        items.check_room(MAX_OF_SESSION)
    for number in range(MAX_ITEMS):
        items.add(EventItem(number, "", occurrence))
    with pytest.raises(ServiceError):
        items.check_room(0)
