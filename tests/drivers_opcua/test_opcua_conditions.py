"""Alarms as conditions: events, filters, refresh and methods, as a client sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from asyncua import Client, ua

from runtime.contract import Event

LINE = "nb/bottling/line1"
NS = 1_000_000_000
T0 = 1_700_000_000 * NS
BASE, CONDITION = ua.NodeId(ua.ObjectIds.BaseEventType), ua.NodeId(ua.ObjectIds.ConditionType)
SERVER = ua.NodeId(ua.ObjectIds.Server)
FIELDS = [
    "EventId",
    "EventType",
    "SourceNode",
    "SourceName",
    "Time",
    "Severity",
    "Message",
    "ConditionName",
    "BranchId",
    "Retain",
    "EnabledState/Id",
    "AckedState/Id",
    "ActiveState",
    "ActiveState/Id",
    "SuppressedState/Id",
    "SuppressedOrShelved",
    "ShelvingState/CurrentState",
    "ShelvingState/UnshelveTime",
    "Comment",
    "ClientUserId",
    "LastSeverity",
    "Quality",
    "HighLimit",
    "LimitState/CurrentState",
    "ConfirmedState/Id",
]


def alarm(name: str = "tank.high", state: str = "unacknowledged", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "tag": f"{LINE}/tank/level_pct",
        "kind": "high",
        "limit": 90.0,
        "priority": "high",
        "state": state,
        "active": state in ("unacknowledged", "acknowledged"),
        "acknowledged": state in ("normal", "acknowledged"),
        "text": {"en": "Level high", "zh": "液位高"},
        "raised_ns": T0,
        "cleared_ns": None,
        "acknowledged_ns": None,
        "acknowledged_by": "",
        "comment": "",
        "shelved": None,
        "out_of_service": None,
        **more,
    }


def event(given: dict[str, Any], kind: str = "raised", at_ns: int = T0, by: str = "") -> Event:
    return Event(f"alarm.{kind}", "alarms", at_ns, "", {"alarm": given, "by": by})


def operand(path: str, type_: Any = BASE) -> Any:
    names = [ua.QualifiedName(each, 0) for each in path.split("/") if each]
    attribute = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
    return ua.SimpleAttributeOperand(type_, names, attribute)


def literal(value: Any, type_: Any = None) -> Any:
    return ua.LiteralOperand(ua.Variant(value, type_))


def element(operator: str, *operands: Any) -> Any:
    return ua.ContentFilterElement(getattr(ua.FilterOperator, operator), list(operands))


class Listener:
    """A subscription on events that keeps what it is told, in order."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: asyncio.Queue[Any] = asyncio.Queue()
        self.id = 0
        self._fields: Sequence[str] = ()

    async def open(self, interval_ms: float = 50.0) -> Listener:
        params = ua.CreateSubscriptionParameters(interval_ms, 10_000, 10, 0, True, 0)
        made = await self.client.uaclient.create_subscription(params, self._published)
        self.id = made.SubscriptionId
        return self

    async def _published(self, result: Any) -> None:
        for part in result.NotificationMessage.NotificationData or []:
            for each in getattr(part, "Events", ()):
                values = [field.Value for field in each.EventFields]
                self.seen.put_nowait(dict(zip(self._fields, values, strict=True)))

    async def watch(
        self,
        fields: Sequence[str] = FIELDS,
        where: Sequence[Any] = (),
        node: Any = SERVER,
        size: int = 0,
        oldest: bool = True,
        clauses: Sequence[Any] | None = None,
    ) -> Any:
        self._fields = [*fields, "ConditionId"]
        wanted = ua.EventFilter()
        wanted.SelectClauses = clauses or [*map(operand, fields), operand("", CONDITION)]
        wanted.WhereClause.Elements = list(where)
        request = ua.MonitoredItemCreateRequest()
        request.ItemToMonitor = ua.ReadValueId(node, ua.AttributeIds.EventNotifier)
        request.MonitoringMode = ua.MonitoringMode.Reporting
        request.RequestedParameters = ua.MonitoringParameters(1, 0.0, wanted, size, oldest)
        params = ua.CreateMonitoredItemsParameters(self.id, ua.TimestampsToReturn.Both, [request])
        (result,) = await self.client.uaclient.create_monitored_items(params)
        return result

    async def next(self) -> Any:
        async with asyncio.timeout(60):
            return await self.seen.get()

    async def refresh(self, item: int | None = None) -> str:
        given = [ua.Variant(self.id, ua.VariantType.UInt32)]
        method = 3875
        if item is not None:
            given.append(ua.Variant(item, ua.VariantType.UInt32))
            method = 12912
        return (await call(self.client, CONDITION, method, *given)).StatusCode.name


async def call(client: Client, node: Any, method: int, *given: Any) -> Any:
    request = ua.CallMethodRequest(node, ua.NodeId(method), list(given))
    (result,) = await client.uaclient.call([request])
    return result


def client(served: Any, name: str = "olga", secret: str = "pump", locale: str = "en") -> Client:
    made = Client(served.url, timeout=60, watchdog_intervall=60)
    made.set_user(name)
    made.set_password(secret)
    made.set_locale([locale])
    return made


TEXT = ua.VariantType.LocalizedText
ACKNOWLEDGE, COMMENT, CONFIRM = 9111, 9029, 9113
SHELVE, UNSHELVE, ONE_SHOT = 2949, 2947, 2948
ONE_SHOT_2 = ua.ObjectIds.ShelvedStateMachineType_OneShotShelve2


def test_a_change_of_an_alarm_is_an_event_in_the_language_of_the_client(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, client(served) as one, client(served, locale="zh-CN") as other:
            served.port.set("tank/level_pct", 95.0, 0x4094_0000)
            english, chinese = await Listener(one).open(), await Listener(other).open()
            assert (await english.watch()).StatusCode.is_good()
            assert (await chinese.watch()).StatusCode.is_good()
            served.port.bus.emit(event(alarm()))
            seen = await english.next()
            assert seen["EventType"] == ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
            assert seen["SourceNode"] == ua.NodeId(f"{LINE}/tank/level_pct", 2)
            assert (seen["SourceName"], seen["ConditionName"]) == (f"{LINE}/tank/level_pct", "tank.high")
            assert (seen["Severity"], seen["LastSeverity"], seen["HighLimit"]) == (700, 700, 90.0)
            assert (seen["Retain"], seen["EnabledState/Id"], seen["ActiveState/Id"]) == (True, True, True)
            assert (seen["AckedState/Id"], seen["SuppressedOrShelved"]) == (False, False)
            assert seen["Quality"].value == 0x4094_0000
            assert seen["BranchId"] == ua.NodeId()
            assert seen["ConfirmedState/Id"] is None  # the plant has no such thing
            assert (seen["Message"].Text, seen["Message"].Locale) == ("Level high", "en")
            assert (seen["ActiveState"].Text, seen["LimitState/CurrentState"].Text) == ("Active", "High")
            assert seen["ConditionId"] == ua.NodeId("Alarms/tank.high", 3)
            there = await chinese.next()
            assert there["EventId"] == seen["EventId"]
            assert (there["Message"].Text, there["ActiveState"].Text) == ("液位高", "激活")
            served.port.bus.emit(event(alarm(state="normal", cleared_ns=T0 + NS), "cleared", T0 + NS))
            after = await english.next()
            assert (after["Retain"], after["ActiveState/Id"]) == (False, False)
            assert after["Time"].timestamp() == seen["Time"].timestamp() + 1
            assert after["EventId"] != seen["EventId"]
            served.port.bus.emit(event(alarm("slow", tag=f"{LINE}/all/time", limit=2.5 * NS)))
            assert (await english.next())["HighLimit"] == 2500.0  # a Duration, as the value of its tag

    asyncio.run(main())


def test_a_client_acknowledges_comments_and_shelves_as_its_user(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with (
            serve() as served,
            secure(served.url, "olga", "pump") as opc,
            secure(served.url, "vera", "look") as viewer,
        ):
            condition = ua.NodeId("Alarms/tank.high", 3)
            shelving = ua.NodeId("Alarms/tank.high/ShelvingState", 3)
            listener = await Listener(opc).open()
            await listener.watch()

            async def said(method: int, *given: Any, on: Any = condition, by: Client = opc) -> str:
                return (await call(by, on, method, *given)).StatusCode.name

            def words(text: str) -> Any:
                return ua.Variant(ua.LocalizedText(text, "en"), TEXT)

            def duration(ms: float) -> Any:
                return ua.Variant(ms, ua.VariantType.Double)

            served.port.bus.emit(event(alarm()))
            first = ua.Variant((await listener.next())["EventId"], ua.VariantType.ByteString)
            assert await said(ACKNOWLEDGE, first, words("seen"), by=viewer) == "BadUserAccessDenied"
            assert await said(ACKNOWLEDGE, first) == "BadArgumentsMissing"
            assert await said(ACKNOWLEDGE, first, words(""), words("")) == "BadTooManyArguments"
            wrong = await call(opc, condition, ACKNOWLEDGE, words("x"), words("y"))
            assert [each.name for each in wrong.InputArgumentResults] == ["BadTypeMismatch", "Good"]
            assert await said(ACKNOWLEDGE, ua.Variant(b"?" * 28), words("seen")) == "BadEventIdUnknown"
            assert served.port.commanded == []
            assert await said(ACKNOWLEDGE, first, words("seen")) == "Good"
            assert await said(COMMENT, first, words("pump 3")) == "Good"
            assert await said(COMMENT, first, words(" ")) == "BadInvalidArgument"
            assert await said(SHELVE, duration(60_000), on=shelving) == "Good"
            assert await said(SHELVE, duration(60_000)) == "Good"
            for ms in (0.0, -1.0, float("nan"), 25 * 3_600_000.0):
                assert await said(SHELVE, duration(ms), on=shelving) == "BadShelvingTimeOutOfRange"
            assert await said(UNSHELVE, on=shelving) == "BadConditionNotShelved"
            assert await said(CONFIRM, first, words("yes")) == "BadMethodInvalid"  # its definition wants none
            assert (await said(9027), await said(9028)) == ("BadConditionAlreadyEnabled", "BadNotSupported")
            assert (
                await said(ACKNOWLEDGE, first, words(""), on=ua.NodeId("Alarms/x", 3)) == "BadNodeIdUnknown"
            )
            assert await said(ACKNOWLEDGE, first, words(""), on=CONDITION) == "BadNodeIdInvalid"
            done = [(verb, actor.name, reason, ns) for verb, _, actor, reason, ns in served.port.commanded]
            assert done == [
                ("acknowledge", "olga", "seen", 0),
                ("comment", "olga", "pump 3", 0),
                ("shelve", "olga", "OPC UA client", 60 * NS),
                ("shelve", "olga", "OPC UA client", 60 * NS),
            ]
            acknowledged = alarm(state="acknowledged", acknowledged_by="olga", comment="seen")
            served.port.bus.emit(event(acknowledged, "acknowledged", T0 + NS, "olga"))
            seen = await listener.next()
            assert (seen["AckedState/Id"], seen["Comment"].Text, seen["ClientUserId"]) == (
                True,
                "seen",
                "olga",
            )
            assert await said(ACKNOWLEDGE, first, words("")) == "BadConditionBranchAlreadyAcked"
            served.port.bus.emit(event(acknowledged | {"comment": "pump 3"}, "commented", T0 + NS, "erik"))
            seen = await listener.next()
            assert (seen["Comment"].Text, seen["ClientUserId"]) == ("pump 3", "erik")
            shelf = {"at_ns": T0 + 2 * NS, "by": "olga", "reason": "works", "until_ns": T0 + 62 * NS}
            served.port.bus.emit(
                event(acknowledged | {"comment": "pump 3", "shelved": shelf}, "shelved", T0 + 2 * NS, "olga")
            )
            seen = await listener.next()
            assert (seen["ShelvingState/CurrentState"].Text, seen["ShelvingState/UnshelveTime"]) == (
                "Timed Shelved",
                60_000.0,
            )
            assert (seen["SuppressedOrShelved"], seen["ClientUserId"]) == (True, "erik")
            assert await said(UNSHELVE, on=shelving) == "Good"
            served.port.bus.emit(event(alarm(raised_ns=T0 + 9 * NS), "raised", T0 + 9 * NS))
            assert await said(ACKNOWLEDGE, first, words("late")) == "BadEventIdUnknown"  # nobody saw this one

    asyncio.run(main())


def test_a_condition_that_needs_it_is_confirmed_after_it_is_acknowledged(serve: Any, secure: Any) -> None:
    """Source: OPC 10000-9, 5.7.4, and the states of table B.1."""

    async def main() -> None:
        async with (
            serve(standing=[alarm(state="normal", confirm=True, raised_ns=None), alarm("plain")]) as served,
            secure(served.url, "olga", "pump") as opc,
            secure(served.url, "vera", "look") as viewer,
        ):
            condition = ua.NodeId("Alarms/tank.high", 3)
            listener = await Listener(opc).open()
            fields = [
                "EventId",
                "ActiveState/Id",
                "AckedState/Id",
                "ConfirmedState/Id",
                "Retain",
                "ConfirmedState",
                "ConfirmedState/TransitionTime",
                "Comment",
                "ClientUserId",
            ]
            await listener.watch(fields)

            async def said(event_id: Any, *more: Any, by: Client = opc) -> str:
                return (await call(by, condition, CONFIRM, event_id, *more)).StatusCode.name

            async def told(state: str, kind: str, at: int, by: str = "", **more: Any) -> Any:
                stood = alarm(state=state, confirm=True, **more)
                served.port.bus.emit(event(stood, kind, T0 + at * NS, by))
                return await listener.next()

            def states(seen: Any) -> list[Any]:
                return [seen[each] for each in fields[1:5]]

            yes = ua.Variant(ua.LocalizedText("valve replaced", "en"), TEXT)
            seen = await told("unacknowledged", "raised", 0)
            assert states(seen) == [True, False, True, True]
            first = ua.Variant(seen["EventId"], ua.VariantType.ByteString)
            assert await said(first, yes) == "BadConditionBranchAlreadyConfirmed"  # acknowledge it first
            acted = {"acknowledged_ns": T0 + NS, "acknowledged_by": "vic", "comment": "seen"}
            seen = await told("acknowledged", "acknowledged", 1, "vic", confirmed=False, **acted)
            assert states(seen) == [True, True, False, True]
            assert seen["ConfirmedState"].Text == "Unconfirmed"
            acted["cleared_ns"] = T0 + 2 * NS
            seen = await told("normal", "cleared", 2, confirmed=False, **acted)
            assert states(seen) == [False, True, False, True]
            assert await said(first, yes, by=viewer) == "BadUserAccessDenied"
            assert await said(first) == "BadArgumentsMissing"
            assert await said(first, yes, yes) == "BadTooManyArguments"
            assert await said(yes, yes) == "BadInvalidArgument"
            assert await said(ua.Variant(b"?" * 28, ua.VariantType.ByteString), yes) == "BadEventIdUnknown"
            assert served.port.commanded == []
            assert await said(first, yes) == "Good"
            ((verb, name, actor, reason, for_ns),) = served.port.commanded
            assert (verb, name, actor.name, reason, for_ns) == (
                "confirm", "tank.high", "olga", "valve replaced", 0,
            )  # fmt: skip
            done = {"confirmed_ns": T0 + 3 * NS, "confirmed_by": "olga", "comment": "valve replaced"}
            seen = await told("normal", "confirmed", 3, "olga", confirmed=True, **acted | done)
            assert states(seen) == [False, True, True, False]
            assert (seen["ConfirmedState"].Text, seen["Comment"].Text, seen["ClientUserId"]) == (
                "Confirmed", "valve replaced", "olga",
            )  # fmt: skip
            assert seen["ConfirmedState/TransitionTime"].timestamp() == T0 // NS + 3
            assert await said(first, yes) == "BadConditionBranchAlreadyConfirmed"
            await told("unacknowledged", "raised", 9, raised_ns=T0 + 9 * NS)
            assert await said(first, yes) == "BadEventIdUnknown"  # that was another episode

            async def children(name: str) -> set[str]:
                node = opc.get_node(f"ns=3;s=Alarms/{name}")
                return {(await each.read_browse_name()).Name for each in await node.get_children()}

            both = {"ConfirmedState", "Confirm"}
            assert both < await children("tank.high")
            assert both & await children("plain") == set()
            served.port.standing[:] = [alarm(raised_ns=T0 + 9 * NS), alarm("plain", confirm=True)]
            served.port.bus.emit(Event("config.applied", "config", T0, "", {"version": 2}))
            for _ in range(2):  # the definitions changed places
                await listener.next()
            assert both < await children("plain")
            assert both & await children("tank.high") == set()

    asyncio.run(main())


def test_a_condition_is_shelved_for_one_episode(serve: Any, secure: Any) -> None:
    """Source: OPC 10000-9, 5.8.17."""

    async def main() -> None:
        async with (
            serve(standing=[alarm()]) as served,
            secure(served.url, "olga", "pump") as opc,
            secure(served.url, "vera", "look") as viewer,
        ):
            condition = ua.NodeId("Alarms/tank.high", 3)
            shelving = ua.NodeId("Alarms/tank.high/ShelvingState", 3)
            listener = await Listener(opc).open()
            state = [
                "ShelvingState/CurrentState",
                "ShelvingState/CurrentState/Id",
                "ShelvingState/UnshelveTime",
            ]
            await listener.watch([*state, "SuppressedOrShelved", "Retain"])

            async def said(method: int, *given: Any, on: Any = shelving, by: Client = opc) -> str:
                return (await call(by, on, method, *given)).StatusCode.name

            async def told(shelf: Any, kind: str, at: int) -> Any:
                served.port.bus.emit(event(alarm(shelved=shelf), kind, T0 + at * NS, "olga"))
                return [*(await listener.next()).values()][:5]

            def shelf(at: int, until: int, *, once: bool) -> dict[str, Any]:
                times = {"at_ns": T0 + at * NS, "until_ns": T0 + until * NS}
                return {"by": "olga", "reason": "test run", "once": once, **times}

            why = ua.Variant(ua.LocalizedText("test run"), TEXT)
            assert await said(UNSHELVE) == "BadConditionNotShelved"
            assert await said(ONE_SHOT, by=viewer) == "BadUserAccessDenied"
            assert await said(ONE_SHOT, why) == "BadTooManyArguments"
            assert await said(ONE_SHOT_2) == "BadArgumentsMissing"
            assert served.port.commanded == []
            assert await said(ONE_SHOT, on=condition) == "Good"
            assert await said(ONE_SHOT_2, why) == "Good"
            day_ns = 24 * 3600 * NS
            assert [(verb, reason, ns) for verb, _, _, reason, ns in served.port.commanded] == [
                ("shelve-once", "OPC UA client", day_ns),
                ("shelve-once", "test run", day_ns),
            ]
            words, id_, left_ms, hidden, retain = await told(shelf(1, 86_401, once=True), "shelved", 1)
            assert (words.Text, id_) == (
                "One Shot Shelved", ua.NodeId(ua.ObjectIds.ShelvedStateMachineType_OneShotShelved),
            )  # fmt: skip
            assert (left_ms, hidden, retain) == (86_400_000.0, True, True)
            assert await said(ONE_SHOT) == "BadConditionAlreadyShelved"
            assert await said(ONE_SHOT_2, why) == "BadConditionAlreadyShelved"
            too_long = ua.Variant(25 * 3_600_000.0, ua.VariantType.Double)
            assert await said(SHELVE, too_long) == "BadShelvingTimeOutOfRange"
            minute = ua.Variant(60_000.0, ua.VariantType.Double)
            assert await said(SHELVE, minute) == "Good"  # from the one state of the shelf to the other
            words, id_, left_ms, *_ = await told(shelf(2, 62, once=False), "shelved", 2)
            assert (words.Text, left_ms) == ("Timed Shelved", 60_000.0)
            assert id_ == ua.NodeId(ua.ObjectIds.ShelvedStateMachineType_TimedShelved)
            assert await said(ONE_SHOT) == "Good"
            await told(shelf(3, 86_403, once=True), "shelved", 3)
            assert await said(UNSHELVE) == "Good"
            words, id_, left_ms, hidden, _ = await told(None, "unshelved", 4)
            assert (words.Text, left_ms, hidden) == ("Unshelved", 0.0, False)
            assert id_ == ua.NodeId(ua.ObjectIds.ShelvedStateMachineType_Unshelved)
            assert await said(UNSHELVE) == "BadConditionNotShelved"
            children = await opc.get_node(shelving).get_children()
            names = {(await each.read_browse_name()).Name for each in children}
            assert {"OneShotShelve", "OneShotShelve2", "TimedShelve2", "Unshelve2", "UnshelveTime"} <= names

    asyncio.run(main())


def test_what_stands_is_there_after_a_restart_and_a_refresh_tells_it(serve: Any, secure: Any) -> None:
    async def main() -> None:
        standing = [
            alarm(),
            alarm("pump.fault", "returned", kind="discrete", limit=None),
            alarm("calm", "normal"),
        ]
        async with serve(standing=standing) as served, secure(served.url, "olga", "pump") as opc:
            listener = await Listener(opc).open()
            item = await listener.watch(["EventType", "ConditionName", "EventId"])
            start, end = ua.NodeId(2787), ua.NodeId(2788)
            assert await listener.refresh() == "Good"
            seen = [await listener.next() for _ in range(4)]
            assert [each["ConditionName"] for each in seen] == [None, "tank.high", "pump.fault", None]
            assert (seen[0]["EventType"], seen[3]["EventType"]) == (start, end)
            assert seen[2]["EventType"] == ua.NodeId(ua.ObjectIds.OffNormalAlarmType)
            result = await call(
                opc,
                seen[1]["ConditionId"],
                ACKNOWLEDGE,
                ua.Variant(seen[1]["EventId"], ua.VariantType.ByteString),
                ua.Variant(ua.LocalizedText("after all"), TEXT),
            )
            assert result.StatusCode.is_good()
            only = await listener.watch(
                ["EventType", "ConditionName", "EventId"], node=ua.NodeId("Alarms", 3)
            )
            assert await listener.refresh(only.MonitoredItemId) == "Good"
            assert [(await listener.next())["ConditionName"] for _ in range(4)][1:3] == [
                "tank.high",
                "pump.fault",
            ]
            assert await listener.refresh(item.MonitoredItemId + 99) == "BadMonitoredItemIdInvalid"
            listener.id += 1
            assert await listener.refresh() == "BadSubscriptionIdInvalid"
            active = opc.get_node("ns=3;s=Alarms/tank.high/ActiveState/Id")
            assert await active.read_value() is True
            folder = opc.get_node("ns=3;s=Alarms")
            named = [each.Name for each in [await c.read_browse_name() for c in await folder.get_children()]]
            assert named == ["Acknowledge", "tank.high", "pump.fault", "calm"]

    asyncio.run(main())


def test_a_configuration_that_takes_alarms_away_or_brings_some_is_followed(serve: Any) -> None:
    async def main() -> None:
        async with serve(standing=[alarm(), alarm("old")]) as served, client(served) as opc:
            listener = await Listener(opc).open()
            await listener.watch(["ConditionName", "Retain"])
            served.port.standing[:] = [alarm(), alarm("new", "normal")]
            served.port.bus.emit(Event("config.applied", "config", T0, "", {"version": 2}))
            seen = [await listener.next() for _ in range(2)]
            assert [(each["ConditionName"], each["Retain"]) for each in seen] == [
                ("old", False),
                ("new", False),
            ]
            gone = opc.get_node("ns=3;s=Alarms/old/State")
            with pytest.raises(ua.UaStatusCodeError, match="BadNodeIdUnknown"):
                await gone.read_value()

    asyncio.run(main())


Where = Callable[[], Sequence[Any]]
NAME, SEVERITY = operand("ConditionName"), operand("Severity")
PASSING: dict[str, tuple[list[Any], list[str]]] = {
    "of a type": ([element("OfType", literal(ua.NodeId(ua.ObjectIds.LimitAlarmType)))], ["a", "b"]),
    "of another": ([element("OfType", literal(ua.NodeId(ua.ObjectIds.DiscreteAlarmType)))], ["c"]),
    "equals": ([element("Equals", NAME, literal("b"))], ["b"]),
    "a number as text": ([element("Equals", SEVERITY, literal("900"))], ["b"]),
    "greater": ([element("GreaterThan", SEVERITY, literal(500))], ["a", "b"]),
    "at most": ([element("LessThanOrEqual", SEVERITY, literal(500))], ["c"]),
    "between": ([element("Between", SEVERITY, literal(600), literal(800))], ["a"]),
    "in a list": ([element("InList", NAME, literal("c"), literal("a"))], ["a", "c"]),
    "like": ([element("Like", operand("Message"), literal("Level [a-h]%"))], ["a", "c"]),
    "a field that is not there is null": ([element("IsNull", operand("HighLimit"))], ["c"]),
    "null is not false": (
        [element("Not", ua.ElementOperand(1)), element("GreaterThan", operand("HighLimit"), literal(100))],
        ["a", "b"],
    ),
    "and, or, not": (
        [
            element("And", ua.ElementOperand(1), ua.ElementOperand(2)),
            element("Or", ua.ElementOperand(3), ua.ElementOperand(4)),
            element("Not", ua.ElementOperand(4)),
            element("Equals", NAME, literal("a")),
            element("Equals", NAME, literal("b")),
        ],
        ["a"],
    ),
    "text and a number are not alike": ([element("GreaterThan", NAME, literal(1))], []),
}
BAD_WHERE: dict[str, tuple[list[Any], str, list[str]]] = {
    "operands": ([element("Equals", NAME)], "BadFilterOperandCountMismatch", []),
    "backwards": (
        [element("Not", ua.ElementOperand(0))],
        "BadFilterElementInvalid",
        ["BadFilterOperandInvalid"],
    ),
    "field": (
        [element("IsNull", operand("Nothing"))],
        "BadFilterElementInvalid",
        ["BadNodeIdUnknown"],
    ),
    "type": (
        [element("OfType", literal(ua.NodeId(ua.ObjectIds.Server)))],
        "BadFilterElementInvalid",
        ["BadNodeIdUnknown"],
    ),
    "operator": ([element("InView", literal(ua.NodeId(1)))], "BadFilterOperatorUnsupported", []),
}


def test_filters_pass_what_they_say_and_bad_ones_are_refused_by_their_parts(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, client(served) as opc:
            raised = [
                alarm("a"),
                alarm("b", priority="critical", text={"en": "level high"}),
                alarm("c", kind="expression", limit=None, priority="low"),
            ]
            for title, (where, names) in PASSING.items():
                listener = await Listener(opc).open()
                result = await listener.watch(["ConditionName"], where)
                assert result.StatusCode.is_good(), title
                for number, each in enumerate([*raised, alarm("end")]):
                    served.port.bus.emit(event(each | {"raised_ns": T0 + number}))
                everything = await Listener(opc).open()
                await everything.watch(["ConditionName"])
                for each in [*raised, alarm("last")]:
                    served.port.bus.emit(event(each | {"raised_ns": served.port.clock.now_ns()}))
                while (await everything.next())["ConditionName"] != "last":
                    pass
                seen = []
                while not listener.seen.empty():
                    seen.append(listener.seen.get_nowait()["ConditionName"])
                assert sorted({*seen} - {"end", "last"}) == names, title
                await opc.uaclient.delete_subscriptions([listener.id, everything.id])
            listener = await Listener(opc).open()
            for title, (where, code, operands) in BAD_WHERE.items():
                result = await listener.watch(["ConditionName"], where)
                assert result.StatusCode.name == "BadEventFilterInvalid", title
                (found,) = result.FilterResult.WhereClauseResult.ElementResults
                assert found.StatusCode.name == code, title
                assert [each.name for each in found.OperandStatusCodes] == operands, title
            clauses = [
                operand("EventId"),
                operand("Nothing"),
                operand("EventId", ua.NodeId(ua.ObjectIds.FolderType)),
                operand("AckedState/Id", CONDITION),
                ua.SimpleAttributeOperand(BASE, [], ua.AttributeIds.Value),
                ua.SimpleAttributeOperand(
                    BASE, [ua.QualifiedName("Message", 0)], ua.AttributeIds.Value, "0:2"
                ),
            ]
            refused = await listener.watch(clauses=clauses[1:])
            assert refused.StatusCode.name == "BadEventFilterInvalid"
            result = await listener.watch(list("abcde"), clauses=clauses)  # one field that there is will do
            assert result.StatusCode.is_good()
            served.port.bus.emit(event(alarm("last")))
            told = await listener.next()
            assert isinstance(told.pop("a"), bytes)
            assert set(told.values()) == {None}
            assert [each.name for each in result.FilterResult.SelectClauseResults] == [
                "Good",
                "BadNodeIdUnknown",
                "BadTypeDefinitionInvalid",
                "BadNodeIdUnknown",
                "BadAttributeIdInvalid",
                "BadIndexRangeInvalid",
            ]
            speed = await listener.watch(node=ua.NodeId(f"{LINE}/line/speed", 2))
            assert speed.StatusCode.name == "BadAttributeIdInvalid"

    asyncio.run(main())


def test_an_area_tells_of_its_own_alarms_only(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, client(served) as opc:
            tank, everything = await Listener(opc).open(), await Listener(opc).open()
            await tank.watch(["ConditionName"], node=ua.NodeId(f"{LINE}/tank/", 2))
            await everything.watch(["ConditionName"], node=ua.NodeId("/", 2))
            served.port.bus.emit(event(alarm("speed", tag=f"{LINE}/line/speed")))
            served.port.bus.emit(event(alarm()))
            assert [(await everything.next())["ConditionName"] for _ in range(2)] == ["speed", "tank.high"]
            assert (await tank.next())["ConditionName"] == "tank.high"
            assert tank.seen.empty()

    asyncio.run(main())


@pytest.mark.parametrize("oldest", [True, False])
def test_a_full_queue_says_that_events_were_lost(serve: Any, asking: Any, oldest: bool) -> None:
    async def main() -> None:
        async with serve() as served, client(served) as opc, client(served) as other:
            ask, listener, everything = asking(opc), Listener(opc), await Listener(other).open()
            listener.id = await ask.subscribe(50)
            assert (
                await listener.watch(["ConditionName", "EventType"], size=3, oldest=oldest)
            ).RevisedQueueSize == 3
            await everything.watch(["ConditionName"])
            await ask.published()
            for number in range(6):
                served.port.bus.emit(event(alarm(f"a{number}")))
            while (await everything.next())["ConditionName"] != "a5":
                pass
            (part,) = (await ask.published()).NotificationMessage.NotificationData
            seen = [[field.Value for field in each.EventFields] for each in part.Events]
            names = [name for name, *_ in seen]
            assert names == ([None, "a3", "a4", "a5"] if oldest else ["a0", "a1", "a5", None])
            assert seen[0 if oldest else 3][1] == ua.NodeId(3035)

    asyncio.run(main())


def test_a_thousand_alarms_at_once_reach_clients_while_others_are_served(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, client(served) as opc, client(served) as other:
            served.port.set("line/speed", 1.0)
            listeners = [await Listener(opc).open() for _ in range(3)]
            for each in listeners:
                await each.watch()
            speed = other.get_node(served.node("line/speed"))
            for number in range(1000):
                served.port.bus.emit(event(alarm(f"a{number}")))
            assert await speed.read_value() == 1.0
            for each in listeners:
                names = [(await each.next())["ConditionName"] for _ in range(1000)]
                assert names == [f"a{number}" for number in range(1000)]

    asyncio.run(main())
