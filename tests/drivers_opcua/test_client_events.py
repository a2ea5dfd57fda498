"""A server's events go into the plant; what people do to alarms on its conditions goes to the server."""

import asyncio
import os
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from asyncua import Client, ua

from drivers.opcua.chaos.process import free_port
from drivers.opcua.client import supervisor
from drivers.opcua.client.address import parse
from drivers.opcua.client.events import MAX_WAITING, MOST, Events
from runtime.clock import SECOND_NS
from runtime.contract import Access, DataType, Event, Quality, Role
from runtime.errors import ConnectError

GOOD = int(Quality.GOOD)
BLANK = [None] * 3  # confirmed, comment, user


def test_events_are_told_but_not_more_than_the_plant_can_take(side, tag, stock, run, wait, monkeypatch):
    taking = []

    def make(*about):
        taking.append(Events(*about))
        return taking[0]

    monkeypatch.setattr(supervisor, "Events", make)

    async def build(server):
        await server.register_namespace("urn:plc")

    async def main():
        async with stock(build) as (server, url):
            made = await server.get_event_generator()
            plant = side([tag("a", DataType.DINT, "i=2256")], url, events=True)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("sys/drivers/io/online") is True)
                made.event.Severity = 700
                await made.trigger(message="Pumpe\nläuft heiß")
                found = []

                def told(kind):
                    found[:] = [each for each in port.emitted if each.kind == kind]
                    return found

                await wait(lambda: told("driver.event"))
                assert found[0].text == "Server: Pumpe läuft heiß"
                assert (found[0].data["severity"], found[0].data["condition"]) == (700, "")
                port.emitted.clear()
                now_ns = port.clock.now_ns()
                monkeypatch.setattr(port.clock, "now_ns", lambda: now_ns)
                for _ in range(4 * MOST):
                    await made.trigger(message="flood")
                await wait(lambda: taking[0]._left_out >= MOST)
                assert len(told("driver.event")) <= MOST
                monkeypatch.setattr(port.clock, "now_ns", lambda: now_ns + SECOND_NS)
                await made.trigger(message="later")
                await wait(lambda: told("driver.events_left_out"))
                assert found[0].data["count"] >= MOST
                assert port.value("sys/drivers/io/reconnects") == 0

    asyncio.run(main())


def test_a_condition_that_a_refresh_tells_after_a_loss_is_told_behind_it(side, tag):
    """Its event has the time at which it became active; the values of a tag are in order of time."""
    plant = side([tag("high", DataType.BOOL, "event:ns=2;s=High")], "opc.tcp://127.0.0.1:1")
    port, plan = plant.port, plant.component.plan
    events = Events("io", plan.conditions, False, port)
    node, at = ua.NodeId("High", 2), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    events._by_node = {node: list(events._by_tag.values())}
    told = [b"1", ua.NodeId(2782), "Tank", at, "high", 700, node, "High", True, None, True, False, *BLANK]
    event = [ua.Variant(each) for each in told]
    events.take(event)
    events.lose()
    events.take(event)
    rows = [row for batch in port.submitted for row in batch]
    bad = Quality.BAD_NO_COMMUNICATION
    assert [(row.raw, row.quality) for row in rows] == [(1, GOOD), (1, bad), (1, GOOD)]
    times = [row.source_ns for row in rows]
    assert times[0] == 1_767_323_040_000_000_000
    assert times == sorted(set(times))


def test_a_past_state_that_is_still_to_be_acknowledged_is_not_how_a_condition_is(side, tag):
    plant = side([tag("high", DataType.BOOL, "event:ns=2;s=High")], "opc.tcp://127.0.0.1:1")
    events = Events("io", plant.component.plan.conditions, False, plant.port)
    node, branch, at = ua.NodeId("High", 2), ua.NodeId(7, 2), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    events._by_node = {node: list(events._by_tag.values())}
    for event_id, of, active in ((b"1", ua.NodeId(), False), (b"2", branch, True)):
        told = [
            event_id,
            ua.NodeId(2782),
            "Tank",
            at,
            "high",
            700,
            node,
            "High",
            True,
            of,
            active,
            False,
            *BLANK,
        ]
        events.take([ua.Variant(each) for each in told])
    assert [row.raw for batch in plant.port.submitted for row in batch] == [0]
    assert events._by_tag[plant.port.tags["high"].path].event_id == b"1"


@pytest.mark.parametrize("unknown", [None, ua.StatusCode(ua.StatusCodes.BadConditionDisabled)])
def test_a_condition_that_is_disabled_is_not_active(side, tag, unknown):
    plant = side([tag("high", DataType.BOOL, "event:ns=2;s=High")], "opc.tcp://127.0.0.1:1")
    events = Events("io", plant.component.plan.conditions, False, plant.port)
    node, at = ua.NodeId("High", 2), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    events._by_node = {node: list(events._by_tag.values())}
    for retain, active in ((True, True), (False, unknown)):
        told = [b"1", ua.NodeId(2782), "Tank", at, "high", 700, node, "High", retain, None, active, unknown]
        told += BLANK
        events.take([ua.Variant(each) for each in told])
    assert [row.raw for batch in plant.port.submitted for row in batch] == [1, 0]


@pytest.mark.parametrize("kind", ["RefreshRequiredEventType", "EventQueueOverflowEventType"])
def test_conditions_are_asked_for_anew_where_the_server_says_that_events_were_lost(side, tag, kind):
    class Asked:
        """A session whose server is still busy with the refresh before."""

        codes = (ua.StatusCodes.BadRefreshInProgress, ua.StatusCodes.Good)

        def __init__(self):
            self.methods = []

        async def ask(self, request, answer):
            self.methods += [each.MethodId for each in request.Parameters.MethodsToCall]
            code = self.codes[len(self.methods) - 1]
            return ua.CallResponse(Results=[ua.CallMethodResult(StatusCode=ua.StatusCode(code))])

    async def main():
        plant = side([tag("high", DataType.BOOL, "event:ns=2;s=High")], "opc.tcp://127.0.0.1:1")
        events = Events("io", plant.component.plan.conditions, False, plant.port)
        events._session = session = Asked()
        node = ua.NodeId("High", 2)
        events._by_node = {node: list(events._by_tag.values())}

        def take(type_, *more):
            told = [b"1", ua.NodeId(getattr(ua.ObjectIds, type_)), *[None] * 13]
            told[6:6] = more
            events.take([ua.Variant(each) for each in told[:15]])

        await events.carry()
        assert session.methods == []
        take("RefreshStartEventType")
        take("AlarmConditionType", node, "High", True)
        take(kind)
        await events.carry()
        take("RefreshEndEventType")  # of the one before: what it told holds
        for _ in range(3):
            await events.carry()
        assert session.methods == [ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)] * 2
        assert events.refused == ""
        assert plant.port.value("high") is True

    asyncio.run(main())


def test_what_people_do_to_a_condition_whose_namespace_the_server_has_no_more_is_not_asked_for(side, tag):
    class Restarted:
        def node_id(self, node):
            return None

    async def main():
        plant = side([tag("high", DataType.BOOL, "event:nsu=urn:gone;s=High")], "opc.tcp://127.0.0.1:1")
        port, name = plant.port, plant.port.tags["high"].path
        events = Events("io", plant.component.plan.conditions, False, port)
        events._by_tag[name].event_id = b"of before"
        events._session = Restarted()

        async def acknowledged():
            yield Event("alarm.acknowledged", "alarms", 0, "", {"alarm": {"tag": name}, "seq": 1})

        await events.follow(acknowledged())
        await events.carry()
        assert not events._said

    asyncio.run(main())


def test_what_people_did_to_more_alarms_than_may_wait_is_counted_and_told(side, tag):
    async def main():
        plant = side([tag("high", DataType.BOOL, "event:nsu=urn:plc;s=High")], "opc.tcp://127.0.0.1:1")
        port, name = plant.port, plant.port.tags["high"].path
        events = Events("io", plant.component.plan.conditions, False, port)
        events._by_tag[name].event_id = b"one"

        async def commented():
            for _ in range(MAX_WAITING + 3):
                yield Event("alarm.commented", "alarms", 0, "", {"alarm": {"tag": name, "comment": "c"}})

        await events.follow(commented())
        await events.carry()
        (told,) = (each for each in port.emitted if each.kind == "driver.condition_refused")
        assert "the oldest 3 things" in told.text
        await events.carry()
        assert told is port.emitted[-1]

    asyncio.run(main())


def test_what_is_being_carried_while_the_connection_is_lost_waits_for_the_next_one(side, tag):
    class Lost:
        def node_id(self, node):
            return ua.NodeId("High", 2)

        async def ask(self, request, answer):
            raise ConnectError("the connection is gone")

    class Back(Lost):
        asked: ClassVar = []

        async def ask(self, request, answer):
            self.asked += request.Parameters.MethodsToCall
            return ua.CallResponse(Results=[ua.CallMethodResult()])

    async def main():
        plant = side([tag("high", DataType.BOOL, "event:nsu=urn:plc;s=High")], "opc.tcp://127.0.0.1:1")
        port, name = plant.port, plant.port.tags["high"].path
        events = Events("io", plant.component.plan.conditions, False, port)
        events._by_tag[name].event_id = b"one"

        async def done():
            yield Event("alarm.acknowledged", "alarms", 0, "", {"alarm": {"tag": name}, "by": "anna"})

        events._session = Lost()
        await events.follow(done())
        with pytest.raises(ConnectError):
            await events.carry()
        events._session = Back()
        await events.carry()
        await events.carry()
        (call,) = Back.asked
        assert call.MethodId == ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
        assert call.InputArguments[1].Value.Text == "anna"

    asyncio.run(main())


def test_a_condition_is_an_address():
    text = "event:nsu=urn:plc;s=Tank.High"
    assert str(parse(text)) == text
    assert parse(text).is_condition


@pytest.mark.peer
def test_a_condition_of_node_opcua_is_followed_and_what_people_do_is_carried_there(
    side, tag, run, wait, node_package
):
    folder = node_package("node-opcua-server")
    number = free_port()
    tags = [
        tag("high", DataType.BOOL, "event:ns=1;s=High"),
        tag("plain", DataType.BOOL, "event:ns=1;s=Plain"),
        tag("other", DataType.BOOL, "event:ns=1;s=NoSuchCondition"),
        tag("level", DataType.LREAL, "ns=1;s=level", access=Access.READ_WRITE),
        tag("acked", DataType.STRING, "ns=1;s=acked"),
        tag("confirmed", DataType.BOOL, "ns=1;s=confirmed"),
    ]
    plant = side(tags, f"opc.tcp://127.0.0.1:{number}", keep_alive="2s", events=True)
    port = plant.port

    def olga(did, comment, to="high"):
        alarm = {"tag": port.tags[to].path, "comment": comment}
        port.emit(Event(f"alarm.{did}", "alarms", 0, "", {"alarm": alarm, "seq": 1, "by": "olga"}))

    async def main():
        process = await asyncio.create_subprocess_exec(
            "node",
            "tests/drivers_opcua/peer_server.js",
            str(number),
            str(plant.plant.state),
            env=os.environ | {"NODE_PATH": str(folder)},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(180):
                while (line := await process.stdout.readline()) != b"ready\n":
                    assert line, "the server ended"
            async with run(plant):
                # It was active before we came: ConditionRefresh tells.
                await wait(lambda: port.value("high") is True and port.value("other") is False)
                olga("acknowledged", "checked")
                await wait(
                    lambda: port.value("acked") == "olga: checked" and port.value("confirmed") is False
                )
                olga("commented", "valve is old")
                await wait(lambda: port.value("acked") == "olga: valve is old")
                olga("confirmed", "")
                await wait(lambda: port.value("confirmed") is True)
                olga("confirmed", "")  # it is: no trouble
                await wait(lambda: port.quality("level") == GOOD)
                assert await port.command("level", 50.0) is None
                await wait(lambda: port.value("high") is False)
                assert await port.command("level", 99.0) is None
                await wait(lambda: port.value("high") is True and port.value("acked") == "no")
                assert not [each for each in port.emitted if each.kind == "driver.condition_refused"]
                high = port.tags["high"].path
                for name, state in (("high", "unacknowledged"), ("older", "normal")):
                    port.standing.append({"name": name, "tag": high, "state": state, "confirmed": True})
                async with Client(
                    f"opc.tcp://127.0.0.1:{number}", timeout=60, watchdog_intervall=60
                ) as panel:
                    condition = panel.get_node("ns=1;s=High")
                    event_id = await (await condition.get_child("0:EventId")).read_value()
                    words = ua.LocalizedText("seen at the press")
                    await condition.call_method("0:Acknowledge", event_id, words)
                    await wait(lambda: port.commanded)
                    olga("raised", "")  # after a delay: what was done there counts for it too
                    await wait(lambda: len(port.commanded) > 1)
                    event_id = await (await condition.get_child("0:EventId")).read_value()
                    await condition.call_method("0:AddComment", event_id, ua.LocalizedText("valve changed"))
                    await wait(lambda: len(port.commanded) > 2)
                did = [
                    (verb, name, who.name.partition(":")[0], who.role, why)
                    for verb, name, who, why, _ in port.commanded
                ]
                assert did == [
                    ("acknowledge", "high", "io", Role.OPERATOR, "seen at the press"),
                    ("acknowledge", "high", "io", Role.OPERATOR, "seen at the press"),
                    ("comment", "high", "io", Role.OPERATOR, "valve changed"),
                ]
                port.emit(
                    Event(
                        "alarm.acknowledged", "alarms", 0, "", {"alarm": {"tag": high}, "by": "io:somebody"}
                    )
                )  # as the plant tells what was done there: it does not go back
                olga("commented", "ours")
                await wait(lambda: port.value("acked") == "olga: ours")
                assert len(port.commanded) == 3
                olga("confirmed", "", to="plain")  # one that knows no Confirm
                await wait(lambda: any(each.kind == "driver.condition_refused" for each in port.emitted))
                told = [each.data for each in port.emitted if each.kind == "driver.event"]
                last = [each for each in told if each["condition"] == "ns=1;s=High"][-1]
                assert last["active"] is True
                process.kill()
                await wait(lambda: port.quality("high") == Quality.BAD_NO_COMMUNICATION)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    asyncio.run(main())
