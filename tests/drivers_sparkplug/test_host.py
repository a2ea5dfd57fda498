"""A host on Mosquitto: reads edge nodes made with protobuf's own runtime, and our own."""

import asyncio
import json
import signal

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError

from drivers.sparkplug.host import component
from drivers.sparkplug.host.address import NodeId, points_of
from drivers.sparkplug.host.nodes import Died, Told
from drivers.sparkplug.host.section import plugin
from drivers.sparkplug.host.values import Values
from drivers.sparkplug.payload import INT, Carried, Metric
from runtime.clock import SECOND_NS
from runtime.contract import Access, DataType, Quality

pytestmark = pytest.mark.peer


class Node:
    """An edge node of another make, a message at a time."""

    def __init__(self, listener, payload_class, retains=False):
        self.listener, self.payload_class, self.seq = listener, payload_class, 0
        self.retains = retains

    def say(self, verb, *metrics, device="", seq=None, timestamp=1_700_000_000_000, numbered=True):
        payload = self.payload_class(timestamp=timestamp)
        if verb == "NBIRTH":
            self.seq = 0
        if verb != "NDEATH" and numbered:
            payload.seq = self.seq if seq is None else seq
            self.seq = (self.seq + 1) % 256 if seq is None else self.seq
        for metric in metrics:
            properties = metric.pop("quality", None)
            added = payload.metrics.add(**metric)
            if properties is not None:
                added.properties.keys.append("Quality")
                added.properties.values.add(type=3, int_value=properties)
        topic = "/".join(filter(None, ("spBv1.0", "g", verb, "n", device)))
        self.listener.client.publish(topic, payload.SerializeToString(), retain=self.retains)

    def birth(self, bdseq=0, at=1_700_000_000_000, **more):
        bd = {"name": "bdSeq", "datatype": 4, "long_value": bdseq}
        level = {"name": "level", "alias": 1, "datatype": 9, "timestamp": 5000, "float_value": 1.5}
        self.say("NBIRTH", bd, level | more, timestamp=at)
        count = {"name": "a/count", "alias": 2, "datatype": 2, "int_value": 0xFFFB, "timestamp": 6000}
        text = {"name": "text", "alias": 3, "datatype": 12, "string_value": "é"}
        self.say("DBIRTH", count, text, device="d")


@pytest.fixture
def tags(tag):
    own = {"source": "spark", "device": "spark"}
    return [
        tag("level", address="g/n:level", **own),
        tag("count", DataType.DINT, address="g/n/d:a/count", access=Access.READ_WRITE, **own),
        tag("text", DataType.STRING, address="g/n/d:text", **own),
        tag("wrong", address="g/n:nothing", **own),
    ]


def test_births_data_and_deaths_of_another_make(broker, listen, host, tags, wait, payload_class):
    us = host(tags, [broker.url], host="scada", reorder="200ms")
    port = us.port

    async def main():
        listener = await listen(broker).ready()
        node = Node(listener, payload_class)
        node.say("NDATA", {"alias": 1, "float_value": 9.0}, seq=7)
        async with us.running():
            await wait(lambda: us.fact("state") == "online")
            await wait(lambda: any("NCMD/n" in topic for topic, *_ in listener.messages))  # asked for births
            node.birth()
            await wait(lambda: port.value("text") == "é")
            assert (port.value("level"), port.value("count")) == (1.5, -5)
            assert port.quality("wrong") == Quality.BAD_CONFIGURATION_ERROR
            ids = {name: port.tags[name].id for name in ("level", "count", "text")}
            assert port.table.source_ns[ids["count"]] == 6_000_000_000
            node.say("NDATA", {"alias": 1, "float_value": 2.5, "quality": 500, "timestamp": 7000})
            await wait(lambda: port.value("level") == 2.5)
            assert port.quality("level") == Quality.UNCERTAIN_LAST_USABLE_VALUE
            node.say("DDATA", {"alias": 2, "is_null": True}, device="d")
            await wait(lambda: port.quality("count") == Quality.BAD)
            # What overtook another message waits for it.
            node.say("NDATA", {"alias": 1, "float_value": 4.0}, seq=5)
            node.say("NDATA", {"alias": 1, "float_value": 3.0}, seq=4)
            await wait(lambda: port.value("level") == 4.0)
            node.seq = 6
            node.say("NDATA", {"alias": 1, "float_value": 3.0}, seq=4)  # what comes again is old by now
            history = {"alias": 1, "float_value": 0.5, "is_historical": True, "timestamp": 3000}
            node.say("NDATA", history, {"alias": 1, "float_value": 5.0})
            await wait(lambda: port.value("level") == 5.0)
            await wait(lambda: port.backfilled)
            assert [(row.raw, row.source_ns) for row in port.backfilled[0]] == [
                (DataType.REAL.encode(0.5), 3_000_000_000)
            ]
            # What is missing is not waited for for ever.
            asked = us.fact("rebirths") or 0
            node.say("NDATA", {"alias": 1, "float_value": 6.0}, seq=9)
            await wait(lambda: port.value("level") == 6.0)
            await wait(lambda: us.fact("rebirths") > asked)
            node.birth()
            # A birth of the node ends its devices, until each is born again.
            await wait(lambda: port.value("level") == 1.5 and port.quality("text") == Quality.GOOD)
            node.say("DDEATH", device="d", timestamp=8000)
            await wait(lambda: port.quality("text") == Quality.BAD_NO_COMMUNICATION)
            assert port.table.source_ns[ids["text"]] == 8_000_000_000
            node.say("NDEATH", {"name": "bdSeq", "datatype": 4, "long_value": 3})  # of an older session
            node.say("NDATA", {"alias": 1, "float_value": 7.0})
            await wait(lambda: port.value("level") == 7.0)
            node.say("NDEATH", {"name": "bdSeq", "datatype": 4, "long_value": 0})
            await wait(lambda: port.quality("level") == Quality.BAD_NO_COMMUNICATION)
            listener.client.publish("spBv1.0/g/NBIRTH/n", b"\xff\xff")
            await wait(lambda: us.fact("exceptions") == 1)
            node.birth(datatype=12, string_value="x")
            await wait(lambda: port.quality("level") == Quality.BAD_CONFIGURATION_ERROR)

    asyncio.run(main())
    kinds = [event.kind for event in port.emitted]
    assert (kinds.count("driver.type_differs"), kinds.count("driver.address_refused")) == (1, 1)


def test_a_death_that_goes_with_no_birth_is_asked_about(
    broker, listen, host, tags, wait, payload_class, monkeypatch
):
    """Edge nodes made with Tahu's python number their births by one more than their wills."""
    monkeypatch.setattr(component, "ASK_NS", SECOND_NS // 2)
    monkeypatch.setattr(component, "DOUBT_NS", 3600 * SECOND_NS)
    us = host(tags, [broker.url], host="scada")
    port = us.port

    async def main():
        listener = await listen(broker).ready()
        node = Node(listener, payload_class)
        old = {"name": "bdSeq", "datatype": 4, "long_value": 0}
        asked = []
        listener.client.message_callback_add("+/+/NCMD/#", lambda *_: asked.append(1))
        async with us.running():
            await wait(lambda: us.fact("state") == "online")
            node.birth(bdseq=1)
            await wait(lambda: port.value("text") == "é")
            # One that is there tells its births: the death was an old one.
            asked.clear()
            node.say("NDEATH", old)
            await wait(lambda: asked)
            node.birth(bdseq=1, at=1_700_000_001_000, float_value=2.5)
            await wait(lambda: port.value("level") == 2.5)
            level, bad = port.tags["level"].id, Quality.BAD_NO_COMMUNICATION
            told = [row for batch in port.submitted for row in batch if row.id == level]
            assert [row.quality for row in told[-2:]] == [Quality.GOOD] * 2
            # A device with a connection of its own leaves a will without a number.
            await wait(lambda: port.quality("text") == Quality.GOOD)
            node.say("DDEATH", old, device="d", timestamp=1, numbered=False)
            await wait(lambda: port.quality("text") == bad)
            assert port.quality("level") == Quality.GOOD
            # One that is not there says nothing.
            monkeypatch.setattr(component, "DOUBT_NS", SECOND_NS)
            node.say("NDEATH", old)
            await wait(lambda: port.quality("level") == port.quality("text") == bad)
            node.birth(bdseq=3, float_value=3.5)
            await wait(lambda: port.value("level") == 3.5 and port.quality("text") == Quality.GOOD)

    asyncio.run(main())


def test_births_that_a_broker_retained_are_of_a_node_that_may_be_gone(
    broker, listen, host, tags, wait, payload_class
):
    us = host(tags, [broker.url], host="scada")
    port = us.port

    async def main():
        listener = await listen(broker).ready()
        node = Node(listener, payload_class, retains=True)
        node.birth()
        node.say("NDATA", {"alias": 1, "float_value": 9.0})
        asked = []
        listener.client.message_callback_add("+/+/NCMD/#", lambda *_: asked.append(1))
        await wait(lambda: listener.of("NDATA"))  # the broker has all of it
        async with us.running():
            await wait(lambda: asked)
            assert Quality.is_bad(port.quality("level"))
            await wait(lambda: us.fact("exceptions") == 3)
            node.birth(at=1_700_000_001_000)  # while we listen it is as any other
            await wait(lambda: port.value("text") == "é")
            assert (port.value("level"), port.quality("level")) == (1.5, Quality.GOOD)

    asyncio.run(main())


def test_a_death_behind_a_value_in_one_go_keeps_that_value(host, tags):
    us = host(tags, ["mqtt://127.0.0.1:1"], host="scada")
    port, node = us.port, NodeId("g", "n")
    values = Values("spark", points_of(us.plant, "spark"), port)

    def told(number, **more):
        metric = Metric("a/count", value=Carried(INT, number), timestamp_ms=5000, **more)
        return Told("d", "a/count", metric, 2, 5000)

    for number, last in ((41, Died("d", 6000)), (42, told(0, is_null=True))):
        values.take(node, [told(1)])
        values.take(node, [told(number), last])
        assert Quality.is_bad(port.quality("count"))
        assert int(port.table.raw[port.tags["count"].id]) == number


def test_what_is_lost_of_the_past_while_history_takes_none_is_told(host, tags, wait, monkeypatch):
    monkeypatch.setattr(component, "MOST_PAST", 2)
    us = host(tags, ["mqtt://127.0.0.1:1"], host="scada")
    port = us.port
    run = component._Run(us.component._plan, port, None)
    metric = Metric("a/count", value=Carried(INT, 1), timestamp_ms=5000, is_historical=True)

    async def main():
        for _ in range(5):
            run.apply(NodeId("g", "n"), [Told("d", "a/count", metric, 2, 5000)])
        task = asyncio.create_task(run.fill())
        await wait(lambda: port.emitted)
        task.cancel()

    asyncio.run(main())
    assert len(port.backfilled) == 2
    assert [event.text for event in port.emitted] == [
        "3 messages of the past were lost: history took none for too long"
    ]


def test_a_metric_of_many_values_is_told_as_what_no_tag_can_be(host, tags):
    us = host(tags, ["mqtt://127.0.0.1:1"], host="scada")
    port = us.port
    values = Values("spark", points_of(us.plant, "spark"), port)
    for name, more, quality in (
        ("text", {}, Quality.BAD_CONFIGURATION_ERROR),
        ("a/count", {"is_null": True}, Quality.BAD),  # it has none at present, and may be told when it has
    ):
        metric = Metric(name, timestamp_ms=5000, **more)
        values.take(NodeId("g", "n"), [Told("d", name, metric, 16, 5000)])
        assert port.quality(name.rpartition("/")[2]) == quality
    (event,) = port.emitted
    assert (event.kind, "DataSet" in event.text) == ("driver.type_differs", True)


def test_a_uint32_is_written_as_wide_as_the_node_has_it(broker, listen, host, tag, wait, payload_class):
    """Eclipse Tahu and what is made with it carry a UInt32 in 64 bits, the standard in 32."""
    places = {"narrow": "g/n:narrow", "wide": "g/n:wide"}
    own = {"source": "spark", "device": "spark", "access": Access.READ_WRITE}
    us = host([tag(name, DataType.UDINT, address=at, **own) for name, at in places.items()], [broker.url])

    async def main():
        listener = await listen(broker).ready()
        node = Node(listener, payload_class)

        asked = []

        def hear(client, data, message):
            metrics = payload_class.FromString(message.payload).metrics
            asked.extend(metric for metric in metrics if metric.name != "Node Control/Rebirth")

        listener.client.message_callback_add("+/+/NCMD/#", hear)
        async with us.running():
            await wait(lambda: us.fact("state") == "online")
            node.say(
                "NBIRTH",
                {"name": "bdSeq", "datatype": 4, "long_value": 0},
                {"name": "narrow", "datatype": 7, "int_value": 1},
                {"name": "wide", "datatype": 7, "long_value": 2},
            )
            await wait(lambda: (us.port.value("narrow"), us.port.value("wide")) == (1, 2))
            for name, field in (("narrow", "int_value"), ("wide", "long_value")):
                before = len(asked)
                done = asyncio.create_task(us.port.command(name, 4_000_000_000))
                await wait(lambda before=before: len(asked) > before)
                metric = asked[-1]
                assert (metric.WhichOneof("value"), getattr(metric, field)) == (field, 4_000_000_000)
                node.say("NDATA", {"name": name, "datatype": 7, field: 4_000_000_000})
                assert await done is None

    asyncio.run(main())


def test_the_state_of_the_host_is_told_as_the_standard_has_it(broker, listen, host, tags, wait):
    us = host(tags, [broker.url], host="scada")

    async def main():
        listener = await listen(broker).ready()
        said = []
        listener.client.on_message = lambda *more: said.append((more[2].payload, more[2].qos))
        async with us.running():
            await wait(lambda: len(said) == 1)
            listener.state(False, 1)
            await wait(lambda: len(said) == 3)
        await wait(lambda: len(said) == 4)
        return [json.loads(payload) for payload, qos in said if qos == 1]

    first, lie, again, last = asyncio.run(main())
    assert (first["online"], lie["online"], again["online"], last["online"]) == (True, False, True, False)
    assert first["timestamp"] == again["timestamp"] <= last["timestamp"]


@pytest.mark.parametrize("mqtt", ["3.1.1", "5"])
def test_another_client_of_the_same_name_is_told_of(broker, host, tags, wait, mqtt):
    us = host(tags, [broker.url], host="scada", mqtt=mqtt)

    async def main():
        async with us.running():
            await wait(lambda: us.fact("online") is True)
            other = Client(CallbackAPIVersion.VERSION2, "ironworks-host-scada")
            other.connect("127.0.0.1", broker.port)
            try:
                wanted = "another client calls itself ironworks-host-scada too"
                await wait(lambda: any(wanted in each.text for each in us.port.emitted))
            finally:
                other.disconnect()

    asyncio.run(main())


def test_our_host_and_our_edge_node_work_together(broker, edge, host, tag, wait, tmp_path, monkeypatch):
    monkeypatch.setattr(component, "SECOND_NS", 60 * SECOND_NS)  # it asks no node that is slow to start
    rw = {"access": Access.READ_WRITE, "source": "operator"}
    node = edge(
        [tag("filler/speed", low=0.0, high=60.0, **rw), tag("filler/count", DataType.DINT)],
        [broker.url],
        devices={"filler": ["filler/**"]},
        primary_host="scada",
        commands={"actor": "scada", "role": "operator"},
    )
    own = {"source": "spark", "device": "spark"}
    us = host(
        [
            tag("speed", access=Access.READ_WRITE, address="group/test/filler:speed", **own),
            tag("count", DataType.DINT, address="group/test/filler:count", **own),
        ],
        [broker.url],
        host="scada",
    )

    async def main():
        node.port.set("filler/speed", 10.0)
        node.port.set("filler/count", 1)
        async with us.running():
            async with node.running():
                await wait(lambda: us.port.value("speed") == 10.0)
                assert us.fact("rebirths") in (None, 0)  # it waited for us
                assert await us.port.command("speed", 20.0) is None
                assert (node.port.value("filler/speed"), us.port.value("speed")) == (20.0, 20.0)
                assert await us.port.command("speed", 99.0) == "the node keeps 20.0"
                node.port.set("filler/count", 2)
                await wait(lambda: us.port.value("count") == 2)
            await wait(lambda: us.port.quality("count") == Quality.BAD_NO_COMMUNICATION)
            assert "offline" in await us.port.command("speed", 30.0)
            async with node.running():
                await wait(lambda: us.port.value("count") == 2)
            broker.kill()
            await wait(lambda: us.fact("online") is False)
            assert us.port.quality("count") == Quality.BAD_NO_COMMUNICATION

    asyncio.run(main())


def test_a_broker_that_freezes_is_noticed_where_nothing_is_sent(broker, edge, host, tag, wait):
    quick = {"timeout": "300ms", "watch": "100ms"}
    node = edge([tag("count", DataType.DINT)], [broker.url], **quick)
    own = {"source": "spark", "device": "spark"}
    us = host([tag("count", DataType.DINT, address="group/test:count", **own)], [broker.url], **quick)

    async def main():
        node.port.set("count", 1)
        async with us.running(), node.running():
            await wait(lambda: us.port.value("count") == 1 and node.fact("online"))
            broker.signal(signal.SIGSTOP)
            await wait(lambda: us.port.quality("count") == Quality.BAD_NO_COMMUNICATION)
            await wait(lambda: node.fact("online") is False)
            assert us.fact("timeouts") > 0
            assert "does not answer within 0.3 s" in node.port.health_text
            node.port.set("count", 2)
            broker.signal(signal.SIGCONT)
            await wait(lambda: us.port.value("count") == 2)
            await wait(lambda: us.fact("round_trip_p50_ms"))
            assert us.fact("reconnects") > 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("address", "more", "says"),
    [
        ("", {}, "has no address"),
        ("g/n", {}, "not a metric"),
        ("g:m", {}, "not a metric"),
        ("g/n/d/e:m", {}, "not a metric"),
        ("g/n+:m", {}, "it has '+'"),
        ("g/n:m", {}, "are both g/n:m"),
        ("g/n:x", {"source": "plc"}, "hosts only read"),
    ],
)
def test_a_wrong_address_is_told_once(plant, tag, address, more, says):
    own = {"source": "spark", "device": "spark"}
    settings = plugin.Config.model_validate(
        {"name": "spark", "kind": "sparkplug.host", "urls": ["mqtts://b"]}
    )
    tags = [tag("first", address="g/n:m", **own), tag("second", **(own | {"address": address} | more))]
    (found,) = plugin.check(plant(tags), settings, ("drivers", 0))
    assert says in found.text
    assert str(found.place) == "tags.csv:3:1"


def test_a_host_without_tags_is_warned_of(plant):
    base = {"name": "spark", "kind": "sparkplug.host", "urls": ["mqtts://b"]}
    (found,) = plugin.check(plant([]), plugin.Config.model_validate(base), ("drivers", 0))
    assert "reads nothing" in found.text
    with pytest.raises(ValidationError, match="no Sparkplug id"):
        plugin.Config.model_validate(base | {"host": "a/b"})
