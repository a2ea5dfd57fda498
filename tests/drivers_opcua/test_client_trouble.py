"""Servers that die, hang, or come back as others: gaps are marked, and everything returns."""

import asyncio
import struct

import pytest
from asyncua import Client, ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary

from drivers.chaos.campaign import KINDS
from drivers.chaos.relay import Relay
from drivers.frame.connection import Traffic
from drivers.opcua.chaos.campaign import campaign
from drivers.opcua.chaos.process import free_port
from drivers.opcua.client import connect, gaps, session, supervisor
from drivers.opcua.client.items import Items
from drivers.opcua.client.login import NOBODY
from drivers.opcua.client.reading import Reading
from drivers.opcua.client.values import moment_ns
from runtime.clock import WallClock
from runtime.contract import Access, Batch, DataType, Quality, Tag
from runtime.errors import ConnectError

GOOD = int(Quality.GOOD)


@pytest.mark.campaign
def test_a_server_that_freezes_dies_hangs_and_is_slow_is_always_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr("drivers.chaos.campaign.LIMIT_S", 60.0)  # how fast is not the question here
    report = asyncio.run(
        campaign(
            tmp_path, len(KINDS), 1, lambda _: None, count=20, pace=0.1, keep_alive="200ms", timeout="500ms"
        )
    )
    assert report.findings == []
    assert report.done == dict.fromkeys(KINDS, 1)
    assert len(report.seconds) == len(KINDS)


def plc(namespaces, names):
    async def build(server):
        for uri in namespaces:
            space = await server.register_namespace(uri)
        for value, name in enumerate(names):
            await server.nodes.objects.add_variable(ua.NodeId(name, space), name, value, ua.VariantType.Int32)

    return build


def cut(relay):
    """End the connections of a relay, and let it reach nobody until it has a target again."""
    relay.target = 0
    for each in list(relay._writers):
        each.close()


def test_a_server_that_comes_back_with_other_namespaces_and_nodes(side, tag, stock, run, wait):
    number = free_port()
    plant = side(
        [tag(name, DataType.DINT, f"nsu=urn:plc;s={name}") for name in ("a", "gone", "new")],
        f"opc.tcp://127.0.0.1:{number}",
    )
    port = plant.port

    async def main():
        async with run(plant):
            async with stock(plc(["urn:plc"], ["a", "gone"]), number):
                await wait(lambda: port.quality("a") == port.quality("gone") == GOOD)
                assert port.quality("new") == Quality.BAD_CONFIGURATION_ERROR
                port.submitted.clear()
            await wait(lambda: port.quality("a") == port.quality("gone") == Quality.BAD_NO_COMMUNICATION)
            assert port.value("sys/drivers/io/online") is False
            assert not port.healthy
            async with stock(plc(["urn:first", "urn:plc"], ["new", "a"]), number):
                await wait(lambda: port.quality("a") == port.quality("new") == GOOD)
                assert (port.value("new"), port.value("a")) == (0, 1)
                assert port.quality("gone") == Quality.BAD_CONFIGURATION_ERROR
                await wait(lambda: port.value("sys/drivers/io/online") is True)

    asyncio.run(main())
    kinds = [each.kind for each in port.emitted if each.kind != "driver.address_refused"]
    kinds = kinds[kinds.index("driver.online") :]  # before that it may have been too early
    assert kinds[:3] == ["driver.online", "driver.offline", "driver.online"]
    qualities = [row.quality for batch in port.submitted for row in batch if row.id == port.tags["a"].id]
    assert qualities[:3] == [Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD_NO_COMMUNICATION, GOOD]


def test_the_second_server_is_gone_over_to_and_outputs_are_written_there(side, tag, stock, run, wait):
    async def build(server):
        await plc(["urn:plc"], ["a"])(server)
        node = await server.nodes.objects.add_variable(ua.NodeId("out", 2), "out", 0, ua.VariantType.Int16)
        await node.set_writable()

    numbers = free_port(), free_port()
    urls = [f"opc.tcp://127.0.0.1:{number}" for number in numbers]
    tags = [
        tag("a", DataType.DINT, "nsu=urn:plc;s=a"),
        tag("out", DataType.INT, "nsu=urn:plc;s=out", source="plc"),
        tag("set", DataType.INT, "nsu=urn:plc;s=out", access=Access.READ_WRITE),
    ]
    plant = side(tags, urls)
    port = plant.port

    async def main():
        async with run(plant):
            assert await port.command("set", 3) == "io is offline"
            port.set("out", 5)
            async with stock(build, numbers[1]) as (second, _):
                async with stock(build, numbers[0]):
                    await wait(lambda: port.quality("a") == GOOD and port.value("set") == 5)
                await wait(lambda: port.quality("a") == GOOD and port.value("set") == 5)
                await wait(lambda: port.value("sys/drivers/io/server") == urls[1])
                assert await second.get_node("ns=2;s=out").read_value() == 5
                await wait(lambda: port.value("sys/drivers/io/state") == "degraded")
                assert "not to the first server" in port.health_text

    asyncio.run(main())


def test_a_server_without_subscriptions_is_polled(side, tag, stock, run, wait):
    async def build(server):
        await plc(["urn:plc"], ["a"])(server)

        async def refuse(*_args, **_more):
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)

        server.iserver.subscription_service.create_subscription = refuse

    async def main():
        async with stock(build) as (server, url):
            plant = side([tag("a", DataType.DINT, "ns=2;s=a")], url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.quality("a") == GOOD)
                await server.get_node("ns=2;s=a").write_value(7, ua.VariantType.Int32)
                await wait(lambda: port.value("a") == 7)
                await wait(lambda: port.value("sys/drivers/io/state") == "degraded")
                assert "no subscription" in port.health_text

    asyncio.run(main())


def test_a_node_that_is_polled_and_comes_later_is_read(side, tag, stock, run, wait, monkeypatch):
    monkeypatch.setattr("drivers.opcua.client.poll.RETEST_S", 0.5)
    tags = [tag("a", DataType.DINT, "nsu=urn:plc;s=a"), tag("late", DataType.DINT, "nsu=urn:plc;s=late")]

    async def main():
        async with stock(plc(["urn:plc"], ["a"])) as (server, url):
            plant = side(tags, url, mode="poll")
            port = plant.port
            async with run(plant):
                await wait(lambda: port.quality("a") == GOOD)
                await wait(lambda: port.quality("late") == Quality.BAD_CONFIGURATION_ERROR)
                await plc(["urn:plc"], ["late"])(server)
                await wait(lambda: port.quality("late") == GOOD)

    asyncio.run(main())


def test_of_a_refusal_and_a_value_in_one_message_the_later_one_holds(side, tag):
    plant = side([tag("a", DataType.DINT, "ns=2;s=a")], "opc.tcp://127.0.0.1:1")
    port = plant.port
    reading = Reading("io", Items(plant.component.plan.read), port)
    seven = ua.DataValue(ua.Variant(7, ua.VariantType.Int32))
    denied = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadUserAccessDenied))
    reading.take([(0, denied), (0, seven)])
    assert (port.value("a"), port.quality("a")) == (7, GOOD)
    assert reading.items.refused == []
    reading.take([(0, seven), (0, denied)])
    assert port.quality("a") == Quality.BAD_CONFIGURATION_ERROR
    assert reading.items.refused == [0]


def test_an_item_whose_value_is_refused_is_at_the_server_once(side, tag, stock, run, wait, monkeypatch):
    monkeypatch.setattr("drivers.opcua.client.building.RETEST_S", 0.2)

    async def main():
        async with stock(plc(["urn:plc"], ["a", "b"])) as (server, url):
            node = server.get_node("ns=2;s=b").nodeid
            denied = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadUserAccessDenied))
            await server.write_attribute_value(node, denied)
            plant = side([tag(name, DataType.DINT, f"ns=2;s={name}") for name in "ab"], url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.quality("b") == Quality.BAD_CONFIGURATION_ERROR)
                asked = plant.port.value("sys/drivers/io/requests")
                await wait(lambda: plant.port.value("sys/drivers/io/requests") > asked + 12)
                (subscription,) = server.iserver.subscription_service.subscriptions.values()
                assert len(subscription.monitored_item_srv._monitored_items) <= 2
                await server.write_attribute_value(node, ua.DataValue(ua.Variant(7, ua.VariantType.Int32)))
                await wait(lambda: (port.value("b"), port.quality("b")) == (7, GOOD))

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
def test_a_value_that_the_server_cannot_encode_spoils_no_other_and_is_named(
    side, tag, stock, run, wait, monkeypatch, mode
):
    monkeypatch.setattr("drivers.opcua.client.building.RETEST_S", 0.2)
    monkeypatch.setattr("drivers.opcua.client.poll.RETEST_S", 0.2)

    async def main():
        async with stock(plc(["urn:plc"], "abcd")) as (server, url):
            node, first = server.get_node("ns=2;s=c"), server.get_node("ns=2;s=a")
            too_much = ua.DataValue(ua.Variant(2**40, ua.VariantType.Int32))
            await server.write_attribute_value(node.nodeid, too_much)
            plant = side([tag(name, DataType.DINT, f"ns=2;s={name}") for name in "abcd"], url, mode=mode)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.quality("c") == Quality.BAD_CONFIGURATION_ERROR)
                await wait(lambda: [port.quality(name) for name in "abd"] == [GOOD] * 3)
                await first.write_value(9, ua.VariantType.Int32)
                await wait(lambda: port.value("a") == 9)
                await wait(lambda: port.value("sys/drivers/io/refused") == 1)
                await node.write_value(7, ua.VariantType.Int32)
                await wait(lambda: (port.value("c"), port.quality("c")) == (7, GOOD))
                assert port.value("sys/drivers/io/reconnects") == 0
            texts = [each.text for each in port.emitted if each.kind == "driver.address_refused"]
            assert texts == ["io refuses ns=2;s=c: BadEncodingError"]

    asyncio.run(main())


def test_what_a_server_kept_while_it_was_not_heard_goes_into_history(
    side, tag, stock, run, wait, monkeypatch
):
    """Also where the first who asks for it loses the session."""
    read_history, asked = InternalSession.history_read, []

    async def read_later(self, params):
        asked.append(params)
        if len(asked) == 1:
            raise ServiceError(ua.StatusCodes.BadSessionClosed)
        return await read_history(self, params)

    monkeypatch.setattr(InternalSession, "history_read", read_later)

    async def main():
        async with stock(plc(["urn:plc"], ["a", "b"])) as (server, url):
            node = server.get_node("ns=2;s=a")
            await server.historize_node_data_change(node, count=100)
            relay = Relay(there := int(url.rpartition(":")[2]), WallClock())
            await relay.start()
            tags = [tag("a", DataType.DINT, "ns=2;s=a"), tag("b", DataType.DINT, "ns=2;s=b")]
            plant = side(tags, f"opc.tcp://127.0.0.1:{relay.port}", fill_gaps=True)
            port = plant.port
            async with run(plant):
                await wait(lambda: plant.good)
                cut(relay)
                await wait(lambda: port.quality("a") == Quality.BAD_NO_COMMUNICATION)
                for value in (101, 102, 103):
                    await node.write_value(value, ua.VariantType.Int32)
                relay.target = there
                await wait(lambda: port.value("a") == 103 and port.backfilled)
                rows = [(row.id, row.raw) for batch in port.backfilled for row in batch]
                assert rows == [(port.tags["a"].id, value) for value in (101, 102)]
                assert len(asked) > 1
                await wait(lambda: "driver.gap_filled" in {each.kind for each in port.emitted})
            await relay.stop()

    asyncio.run(main())


def test_a_long_gap_is_filled_in_pieces_even_by_a_server_that_forgets_to_say_more(
    side, tag, stock, run, wait, monkeypatch
):
    monkeypatch.setattr(gaps, "VALUES", 20)
    monkeypatch.setattr(gaps, "TOLD_EVERY", 100)
    count = 250

    async def main():
        async with stock(plc(["urn:plc"], ["a"])) as (server, url):
            node = server.get_node("ns=2;s=a")
            await server.historize_node_data_change(node, count=1000)
            relay = Relay(there := int(url.rpartition(":")[2]), WallClock())
            await relay.start()
            plant = side(
                [tag("a", DataType.DINT, "ns=2;s=a")], f"opc.tcp://127.0.0.1:{relay.port}", fill_gaps=True
            )
            port = plant.port
            async with run(plant):
                await wait(lambda: plant.good)
                cut(relay)
                await wait(lambda: port.quality("a") == Quality.BAD_NO_COMMUNICATION)
                for value in range(1, count + 1):
                    await node.write_value(value, ua.VariantType.Int32)
                relay.target = there
                await wait(lambda: "driver.gap_filled" in {each.kind for each in port.emitted})
            await relay.stop()
        rows = [row.raw for batch in port.backfilled for row in batch]
        assert rows == list(range(1, count))
        told = [each.text for each in port.emitted if each.kind == "driver.gap_filling"]
        assert [int(text.partition(" ")[0]) // 100 for text in told] == [1, 2]

    asyncio.run(main())


def test_a_gap_that_is_filled_goes_on_where_it_was_when_the_link_is_lost_again(
    side, tag, stock, run, wait, monkeypatch
):
    """Each value comes into history once, and neither what is there nor what came live is asked for again."""
    monkeypatch.setattr(gaps, "VALUES", 20)
    count, asked = 200, []
    read_history = InternalSession.history_read

    async def main():
        async with stock(plc(["urn:plc"], ["a", "b"])) as (server, url):
            nodes = [server.get_node(f"ns=2;s={name}") for name in "ab"]
            for node in nodes:
                await server.historize_node_data_change(node, count=1000)
            relay = Relay(there := int(url.rpartition(":")[2]), WallClock())

            async def read_and_lose(self, params):
                names = [each.NodeId.Identifier for each in params.NodesToRead]
                asked.append((names, moment_ns(params.HistoryReadDetails.StartTime)))
                if len(asked) == 4:
                    cut(relay)
                return await read_history(self, params)

            monkeypatch.setattr(InternalSession, "history_read", read_and_lose)
            await relay.start()
            tags = [tag(name, DataType.DINT, f"ns=2;s={name}") for name in "ab"]
            plant = side(tags, f"opc.tcp://127.0.0.1:{relay.port}", fill_gaps=True)
            port = plant.port

            def lost():
                return all(port.quality(name) == Quality.BAD_NO_COMMUNICATION for name in "ab")

            async with run(plant):
                await wait(lambda: plant.good)
                cut(relay)
                await wait(lost)
                for value in range(1, count + 1):
                    for node, extra in zip(nodes, (0, 10), strict=True):
                        await node.write_value(value + extra * (value < count), ua.VariantType.Int32)
                relay.target = there
                await wait(lambda: len(asked) >= 4)  # after the newest value of both had come
                for node in nodes:
                    await node.write_value(count + 1, ua.VariantType.Int32)
                await wait(lost)
                newest = {row.id: row.source_ns for batch in port.backfilled for row in batch}
                for value in (count + 2, count + 3):
                    for node in nodes:
                        await node.write_value(value, ua.VariantType.Int32)
                begun = len(asked)
                relay.target = there
                await wait(lambda: "driver.gap_filled" in {each.kind for each in port.emitted})
                await wait(lambda: sum(len(batch) for batch in port.backfilled) >= 2 * (count + 1))
            await relay.stop()
        for names, start_ns in asked[begun:]:
            assert start_ns >= min(newest[port.tags[name].id] for name in names)
        for name, extra in (("a", 0), ("b", 10)):
            found = [row for batch in port.backfilled for row in batch if row.id == port.tags[name].id]
            rows = [row.raw for row in sorted(found, key=lambda row: row.source_ns)]
            kept = [value + extra for value in range(1, count)]
            assert rows == [*kept, count + 1, count + 2]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["BadNoContinuationPoints", "BadOutOfMemory", "BadContinuationPointInvalid"])
def test_a_server_that_cannot_answer_for_history_just_now_is_asked_again(
    side, tag, stock, run, wait, monkeypatch, name
):
    """No continuation point was left, no memory for the request, or the point was given up meanwhile."""
    monkeypatch.setattr(gaps, "VALUES", 20)
    code, asked = getattr(ua.StatusCodes, name), []
    read_history = InternalSession.history_read

    async def read_some(self, params):
        asked.append(params)
        results = await read_history(self, params)
        if len(asked) == 2 and code == ua.StatusCodes.BadOutOfMemory:
            raise ServiceError(code)
        if len(asked) == 2:
            results[-1] = ua.HistoryReadResult(StatusCode=ua.StatusCode(code))
        elif code == ua.StatusCodes.BadContinuationPointInvalid and len(asked) == 1:
            results[-1].ContinuationPoint = b"1"
        return results

    monkeypatch.setattr(InternalSession, "history_read", read_some)

    async def main():
        async with stock(plc(["urn:plc"], ["a", "b"])) as (server, url):
            nodes = [server.get_node(f"ns=2;s={each}") for each in "ab"]
            for node in nodes:
                await server.historize_node_data_change(node, count=1000)
            relay = Relay(there := int(url.rpartition(":")[2]), WallClock())
            await relay.start()
            tags = [tag(each, DataType.DINT, f"ns=2;s={each}") for each in "ab"]
            plant = side(tags, f"opc.tcp://127.0.0.1:{relay.port}", fill_gaps=True)
            port = plant.port
            async with run(plant):
                await wait(lambda: plant.good)
                cut(relay)
                await wait(lambda: port.quality("b") == Quality.BAD_NO_COMMUNICATION)
                for value in range(101, 151):
                    for node in nodes:
                        await node.write_value(value, ua.VariantType.Int32)
                relay.target = there
                await wait(lambda: "driver.gap_filled" in {each.kind for each in port.emitted})
                assert port.value("sys/drivers/io/reconnects") == 1
            await relay.stop()
        for each in "ab":
            rows = [row.raw for batch in port.backfilled for row in batch if row.id == port.tags[each].id]
            assert rows == list(range(101, 150))

    asyncio.run(main())


def test_an_archive_that_takes_longer_than_the_server_may_be_silent_fills_the_gap_all_the_same(
    side, tag, serve, run, wait
):
    async def main():
        own = Tag("line/a", DataType.DINT, source="opcua")
        async with serve([own]) as served:
            read_history = served.port.history

            async def read_slowly(*wanted, **how):
                await served.port.clock.sleep(6.0)
                return await read_history(*wanted, **how)

            def say(value, at_ns):
                served.port.submit(Batch.of([served.port.tags["line/a"].id], [value], at_ns))

            served.port.history = read_slowly
            say(1, served.port.clock.now_ns())
            relay = Relay(there := int(served.url.rpartition(":")[2].strip("/")), WallClock())
            await relay.start()
            at = f"ns=2;s={served.port.tags['line/a'].path}"
            config = {"timeout": "5s", "fill_gaps": True}
            plant = side([tag("a", DataType.DINT, at)], f"opc.tcp://127.0.0.1:{relay.port}", **config)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("a") == 1)
                cut(relay)
                await wait(lambda: port.quality("a") == Quality.BAD_NO_COMMUNICATION)
                now_ns = served.port.clock.now_ns()
                for value in (2, 3, 4):
                    say(value, now_ns + value * 1_000_000)
                relay.target = there
                await wait(lambda: "driver.gap_filled" in {each.kind for each in port.emitted})
                assert port.value("sys/drivers/io/reconnects") == 1
            await relay.stop()
        assert [row.raw for batch in port.backfilled for row in batch] == [2, 3]

    asyncio.run(main())


def test_a_server_that_takes_long_to_create_items_is_asked_for_fewer(
    side, tag, stock, run, wait, monkeypatch
):
    monkeypatch.setattr(supervisor, "CHUNK", 100)
    asked = []

    async def build(server):
        await plc(["urn:plc"], ["a"])(server)
        service = server.iserver.subscription_service
        create = service.create_monitored_items

        async def slow(params):
            asked.append(len(params.ItemsToCreate))
            await asyncio.sleep(0.02 * len(params.ItemsToCreate))
            return await create(params)

        service.create_monitored_items = slow

    async def main():
        async with stock(build) as (_, url):
            tags = [tag(f"a{number}", DataType.DINT, "ns=2;s=a") for number in range(100)]
            plant = side(tags, url, timeout="1500ms", keep_alive="2s")
            async with run(plant):
                await wait(lambda: plant.good)
        assert asked[0] == 100
        assert set(asked[-2:]) == {50}

    asyncio.run(main())


def test_a_connection_that_is_gone_before_the_first_word_is_not_waited_for(tmp_path, wait, monkeypatch):
    connect_socket = Client.connect_socket

    async def connect_and_lose(self):
        await connect_socket(self)
        await wait(lambda: self.uaclient.protocol.is_closed)

    monkeypatch.setattr(Client, "connect_socket", connect_and_lose)

    async def main():
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        url = f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        way = connect.Way("io", "urn:test", "None", False, tmp_path, 60.0)
        async with asyncio.timeout(30):
            with pytest.raises(ConnectError, match="the connection is gone"):
                await connect.open_session(url, way, NOBODY, Traffic(), WallClock())
        server.close()

    asyncio.run(main())


def test_a_server_that_claims_endless_messages_is_hung_up_on(side, tag, run, wait):
    sent = []

    async def flood(reader, writer):
        await reader.read(100)
        writer.write(b"ACKF" + (0x7FFF_FFFF).to_bytes(4, "little"))
        count = 0
        try:
            while count < 200:
                writer.write(bytes(1 << 20))
                await writer.drain()
                count += 1
        except OSError:
            pass
        finally:
            sent.append(count)
            writer.close()

    async def main():
        server = await asyncio.start_server(flood, "127.0.0.1", 0)
        number = server.sockets[0].getsockname()[1]
        plant = side([tag("a", DataType.DINT, "ns=2;s=a")], f"opc.tcp://127.0.0.1:{number}", timeout="20s")
        async with run(plant):
            await wait(lambda: sent)
        server.close()

    asyncio.run(main())
    assert sent[0] < 40


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "gone"])
def test_a_notification_that_is_lost_is_asked_for_again(side, tag, stock, run, wait, monkeypatch, kept):
    """Where the server has it no more, everything is read once."""
    lost = []
    forward = UaProcessor.forward_publish_response

    async def lose_one(self, result, requestdata):
        values = [
            each.Value.Value.Value
            for data in result.NotificationMessage.NotificationData or ()
            for each in data.MonitoredItems
        ]
        if 1 in values and not lost:
            lost.append(values)
            if not kept:
                for each in self.iserver.subscription_service.subscriptions.values():
                    each._not_acknowledged_results.clear()
            return
        await forward(self, result, requestdata)

    monkeypatch.setattr(UaProcessor, "forward_publish_response", lose_one)

    async def main():
        async with stock(plc(["urn:plc"], ["a"])) as (server, url):
            plant = side([tag("a", DataType.DINT, "ns=2;s=a")], url, keep_alive="2s")
            port = plant.port
            async with run(plant):
                await wait(lambda: port.quality("a") == GOOD)
                port.submitted.clear()
                node = server.get_node("ns=2;s=a")
                await node.write_value(1, ua.VariantType.Int32)
                await wait(lambda: lost)
                if kept:
                    await node.write_value(2, ua.VariantType.Int32)
                    await wait(lambda: port.value("a") == 2)
                else:  # the next keep-alive tells that there was one
                    await wait(lambda: port.value("a") == 1)
                rows = [each for batch in port.submitted for each in batch if each.id == port.tags["a"].id]
                assert [each.raw for each in rows if each.quality == GOOD] == ([1, 2] if kept else [1])
                assert port.value("sys/drivers/io/reconnects") == 0

    asyncio.run(main())


def test_a_client_ends_when_it_is_told_even_while_it_is_losing_its_server(side, tag, stock, wait):
    """A task group that takes in a loss swallows a cancellation that comes meanwhile (Python 3.11)."""

    async def main():
        async with stock(plc(["urn:plc"], ["a"])) as (server, url):
            for turns in range(1, 6):
                plant = side([tag("a", DataType.DINT, "ns=2;s=a")], url)
                task = asyncio.create_task(plant.run())
                await wait(lambda plant=plant: plant.good)
                for each in list(server.bserver.clients):
                    each.transport.abort()
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                _, left = await asyncio.wait([task], timeout=60)
                assert not left, f"runs on when it is cancelled {turns} turns later"

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
def test_a_server_that_does_not_tell_its_limits_is_asked_for_fewer(
    side, tag, stock, run, wait, monkeypatch, mode
):
    count, most = 60, 7
    read, write = InternalSession.read, InternalSession.write

    def limited(carry_out, field):
        async def some(self, params):
            if len(getattr(params, field)) > most:
                raise ServiceError(ua.StatusCodes.BadTooManyOperations)
            return await carry_out(self, params)

        return some

    async def build(server):
        await plc(["urn:plc"], [f"a{number}" for number in range(count)])(server)
        for number in range(count):
            await server.get_node(f"ns=2;s=a{number}").set_writable()

    async def main():
        async with stock(build) as (server, url):
            service = server.iserver.subscription_service
            create = service.create_monitored_items
            monkeypatch.setattr(InternalSession, "read", limited(read, "NodesToRead"))
            monkeypatch.setattr(InternalSession, "write", limited(write, "NodesToWrite"))

            async def create_some(params):
                if len(params.ItemsToCreate) > most:
                    raise ServiceError(ua.StatusCodes.BadTooManyOperations)
                return await create(params)

            service.create_monitored_items = create_some
            names = [f"a{number}" for number in range(count)]
            tags = [tag(name, DataType.DINT, f"ns=2;s={name}") for name in names]
            tags += [tag(f"out_{name}", DataType.DINT, f"ns=2;s={name}", source="plc") for name in names]
            plant = side(tags, url, mode=mode)
            port = plant.port
            async with run(plant):
                await wait(lambda: all(port.quality(name) == GOOD for name in names))
                for value, name in enumerate(names, 1000):
                    port.set(f"out_{name}", value)
                await wait(lambda: all(port.value(name) == value for value, name in enumerate(names, 1000)))
                assert port.value("sys/drivers/io/reconnects") == 0

    asyncio.run(main())


def test_a_session_is_used_before_the_server_would_end_it(side, tag, stock, run, wait, monkeypatch):
    monkeypatch.setattr(connect, "SESSION_MS", 2000)

    async def main():
        async with stock(plc(["urn:plc"], ["a"])) as (_, url):
            plant = side([tag("a", DataType.DINT, "ns=2;s=a")], url, keep_alive="1min")
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("sys/drivers/io/online") is True)
                before = port.value("sys/drivers/io/requests")
                await wait(lambda: port.value("sys/drivers/io/requests") >= before + 4)
                assert port.value("sys/drivers/io/reconnects") == 0

    asyncio.run(main())


def test_an_answer_that_cannot_be_read_is_a_loss_and_not_a_bug(
    side, tag, stock, run, wait, monkeypatch, caplog
):
    def garble(kind, data):
        if kind is ua.CreateSubscriptionResponse:
            raise struct.error("unpack requires a buffer of 4 bytes")
        return struct_from_binary(kind, data)

    monkeypatch.setattr(session, "struct_from_binary", garble)

    async def main():
        async with stock(plc(["urn:plc"], ["a"])) as (_, url):
            plant = side([tag("a", DataType.DINT, "ns=2;s=a")], url)
            async with run(plant):
                await wait(lambda: (plant.port.value("sys/drivers/io/requests") or 0) > 10)
                assert plant.port.quality("a") == Quality.BAD_NO_COMMUNICATION

    asyncio.run(main())
    assert "a bug" not in caplog.text


def test_a_server_that_refuses_writes_or_items_as_a_whole_is_read_all_the_same(
    side, tag, stock, run, wait, monkeypatch
):
    refused, write = [], InternalSession.write

    async def refuse(*_args):
        refused.append(1)
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    async def refuse_write(self, params):
        """The server itself writes too: what time it is, each second."""
        ours = any(each.NodeId.NamespaceIndex for each in params.NodesToWrite)
        return await (refuse() if ours else write(self, params))

    async def main():
        async with stock(plc(["urn:plc"], ["a", "b"])) as (server, url):
            monkeypatch.setattr(InternalSession, "write", refuse_write)
            server.iserver.subscription_service.create_monitored_items = refuse
            tags = [tag("a", DataType.DINT, "ns=2;s=a"), tag("out", DataType.DINT, "ns=2;s=b", source="plc")]
            plant = side([*tags, tag("set", DataType.DINT, "ns=2;s=b", access=Access.READ_WRITE)], url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.quality("a") == GOOD)
                port.set("out", 5)
                await wait(lambda: "driver.write_refused" in {each.kind for each in port.emitted})
                assert await port.command("set", 7) == "the server refuses: BadServiceUnsupported"
                assert (port.value("sys/drivers/io/reconnects"), port.quality("a")) == (0, GOOD)
                await wait(lambda: "polls: no items" in port.health_text)

    asyncio.run(main())
    assert len(refused) >= 3


@pytest.mark.parametrize("granted", [0, -1, float("nan"), 1])
def test_a_server_that_grants_next_to_no_time_is_not_asked_all_the_time(granted):
    client = Client("opc.tcp://127.0.0.1:4840")
    client.session_timeout = client.secure_channel_timeout = granted
    clock = WallClock()
    made = session.Session(client, "", Traffic(), clock, 1.0, {})
    assert made.life_s == 1.0
    assert made._renew_ns - clock.steady_ns() > 500_000_000


@pytest.mark.parametrize("revised", [0.0, -5.0, float("inf")])
def test_an_interval_that_cannot_be_is_a_loss_and_not_a_bug(side, tag, stock, run, wait, caplog, revised):
    async def main():
        async with stock(plc(["urn:plc"], ["a"])) as (server, url):
            service = server.iserver.subscription_service
            create = service.create_subscription

            async def revise(*args, **more):
                result = await create(*args, **more)
                result.RevisedPublishingInterval = revised
                return result

            service.create_subscription = revise
            plant = side([tag("a", DataType.DINT, "ns=2;s=a")], url)
            async with run(plant):
                await wait(lambda: (plant.port.value("sys/drivers/io/requests") or 0) > 10)
                assert plant.port.quality("a") != GOOD

    asyncio.run(main())
    assert "a bug" not in caplog.text
