"""Hostile messages and clients: each ends in an answer or a closed connection, and the others are served.

Stock asyncua is not run beside: most of these end it, or take all memory there is.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, variant_from_binary, variant_to_binary

from drivers.abuse import evil
from drivers.abuse.campaign import play
from drivers.abuse.on_opcua import without_right
from drivers.abuse.plant import SECRET, USER
from drivers.abuse.raw import Raw, framed, hello, long_answer, text
from drivers.abuse.target import Target
from drivers.abuse.wrong import make_certificate
from drivers.opcua import decoding
from drivers.opcua.pace import PASS_NS, Pace
from runtime.clock import monotonic_ns
from runtime.contract import Role

PATH = "nb/bottling/line1/line/speed"
SPEED = f"ns=2;s={PATH}"
ELSEWHERE = "127.0.0.66"


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.opcua.pace.PER_S", 1_000_000)


def port_of(served: Any) -> int:
    return int(served.url.rstrip("/").rpartition(":")[2])


async def in_session(port: int, source: str = ELSEWHERE) -> Raw:
    raw = await Raw.connect(port, source)
    assert await raw.enter()
    return raw


@asynccontextmanager
async def watched(served: Any) -> Any:
    """A good client, which is served before and after."""
    served.port.set("line/speed", 1.0)
    async with Client(served.url, timeout=60, watchdog_intervall=60) as client:
        yield client
        assert await client.get_node(SPEED).read_value() == served.port.value("line/speed")


def status(answer: Any) -> str:
    return str(ua.StatusCode(answer.ResponseHeader.ServiceResult.value).name)


@pytest.mark.parametrize("variant", [pytest.param(each, id=name) for name, each in evil.variants()])
def test_a_variant_costs_no_more_than_its_bytes(variant: bytes) -> None:
    try:
        value = variant_from_binary(Buffer(variant))
    except (ua.UaError, decoding.NotEnoughData, struct.error, RecursionError):
        return
    assert not isinstance(value.Value, list) or len(value.Value) <= len(variant)


def test_arrays_keep_their_shape() -> None:
    for value in ([[1, 2], [3, 4], [5, 6]], [], [1], [[[7]]]):
        variant = ua.Variant(value, ua.VariantType.Int32)
        assert variant_from_binary(Buffer(variant_to_binary(variant))).Value == value


def test_a_message_has_so_many_parts_and_no_more() -> None:
    body = struct.pack("<i", 10) + b"\x01\x00\x00\x00a" * 10
    names = decoding.Measured.of(Buffer(body), 22)
    assert decoding.ua_binary.from_binary(list[ua.String], names) == ["a"] * 10
    with pytest.raises(decoding.TooMuchError):
        decoding.ua_binary.from_binary(list[ua.String], decoding.Measured.of(Buffer(body), 21))


def test_requests_made_to_hurt_before_login_hurt_nobody(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, watched(served):
            port, raw = port_of(served), None
            for _, body in evil.before_login(ua.NodeId()):
                if raw is None:
                    raw = await Raw.connect(port, ELSEWHERE)
                    assert await raw.enter(session=False)
                if await raw.ask(body) is None:
                    raw.close()
                    raw = None

    asyncio.run(main())


def test_requests_made_to_hurt_after_login_hurt_nobody(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, watched(served):
            raw, said = await in_session(port_of(served)), {}
            for name, body in evil.after_login(raw.authentication, PATH):
                answer = await raw.ask(body)
                assert answer is not None, name
                said[name] = status(answer)
            assert said["three gigabytes"] == "BadResponseTooLarge"
            assert said["sixty thousand nodes"] == "BadTooManyOperations"
            assert said["a write of 1.0"] == "BadEncodingLimitsExceeded"
            assert said["a write of a count that nothing follows"] == "BadDecodingError"
            made = await raw.ask(ua.CreateSubscriptionRequest())
            for request in evil.items(made.Parameters.SubscriptionId, PATH):
                answer = await raw.ask(request)
                assert status(answer) == "Good"
                assert not any(each.StatusCode.is_good() for each in answer.Results[6:])
            assert served.port.value("line/speed") == 1.0
            raw.close()

    asyncio.run(main())


def test_items_on_other_nodes_than_tags_are_counted(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.items.MAX_OTHERS", 5)
        monkeypatch.setattr("drivers.opcua.items.SHARE", 1.0)
        async with serve() as served, Client(served.url, timeout=60, watchdog_intervall=60) as client:
            made = await client.create_subscription(500, None)
            node = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
            item = ua.MonitoredItemCreateRequest(
                ua.ReadValueId(node, ua.AttributeIds.Value),
                ua.MonitoringMode.Reporting,
                ua.MonitoringParameters(1, 100.0, None, 0xFFFF_FFFF, True),
            )
            for _ in range(2):
                wanted = ua.CreateMonitoredItemsParameters(
                    SubscriptionId=made.subscription_id,
                    TimestampsToReturn=ua.TimestampsToReturn.Both,
                    ItemsToCreate=[item] * 7,
                )
                results = await client.uaclient.create_monitored_items(wanted)
                assert [each.StatusCode.is_good() for each in results] == [True] * 5 + [False] * 2
                assert results[0].RevisedQueueSize <= 10
                ids = [each.MonitoredItemId for each in results[:5]]
                gone = ua.DeleteMonitoredItemsParameters(made.subscription_id, [*ids, 4_000_000])
                assert [each.is_good() for each in await client.uaclient.delete_monitored_items(gone)] == [
                    True
                ] * 5 + [False]

    asyncio.run(main())


def test_answers_that_nobody_takes_are_not_made(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, watched(served):
            raw = await in_session(port_of(served))
            taken = raw.writer.get_extra_info("socket")
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.writer.transport.pause_reading()
            body = raw.asked(long_answer())
            for _ in range(3_000):
                raw.send(raw.messages(body))
            service = served.component._service
            (theirs,) = [each for each in service._face.bserver.clients if each.peer_name[0] == ELSEWHERE]
            async with asyncio.timeout(60):
                while theirs.processor.taken.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert theirs.transport.get_write_buffer_size() < 1_000_000
            assert len(theirs._pending) < 1_000_000
            raw.close()

    asyncio.run(main())


def test_who_does_not_take_answers_is_hung_up_on(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.listener.TAKEN_WITHIN_S", 0.2)
        async with serve() as served, watched(served):
            raw = await Raw.connect(port_of(served), ELSEWHERE)
            assert await raw.enter(session=False)
            raw.writer.transport.pause_reading()
            body = raw.asked(ua.GetEndpointsRequest())
            for _ in range(2_000):
                raw.send(raw.messages(body))
            clients = served.component._service._face.bserver.clients
            async with asyncio.timeout(60):
                while len(clients) > 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            raw.close()

    asyncio.run(main())


def test_what_nobody_acknowledges_is_kept_up_to_a_size(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.watch.MOST_UNACKNOWLEDGED", 100)
        async with serve() as served, watched(served):
            raw = await in_session(port_of(served))
            request = ua.CreateSubscriptionRequest()
            request.Parameters.RequestedPublishingInterval = 50
            request.Parameters.PublishingEnabled = True
            number = (await raw.ask(request)).Parameters.SubscriptionId
            wanted = ua.CreateMonitoredItemsRequest()
            wanted.Parameters.SubscriptionId = number
            wanted.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            wanted.Parameters.ItemsToCreate = [
                ua.MonitoredItemCreateRequest(
                    ua.ReadValueId(ua.NodeId(PATH, 2), ua.AttributeIds.Value), ua.MonitoringMode.Reporting
                )
            ]
            assert (await raw.ask(wanted)).Results[0].StatusCode.is_good()
            for turn in range(12):
                served.port.set("line/speed", float(turn))
                answer = await raw.ask(ua.PublishRequest())
                assert len(answer.Parameters.AvailableSequenceNumbers) <= 4
            raw.close()

    asyncio.run(main())


def test_sessions_made_and_closed_leave_no_tasks(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, watched(served):
            raw = await Raw.connect(port_of(served), ELSEWHERE)
            assert await raw.enter(session=False)
            before = len(asyncio.all_tasks())
            for _ in range(40):
                made = await raw.ask(ua.CreateSessionRequest())
                raw.authentication = made.Parameters.AuthenticationToken
                assert await raw.ask(ua.CloseSessionRequest()) is not None
            assert len(asyncio.all_tasks()) < before + 5
            raw.close()
            gc.collect()

    asyncio.run(main())


def test_no_address_has_all_connections(serve: Any) -> None:
    async def main() -> None:
        async with serve(max_connections=10, per_address=8) as served:
            port = port_of(served)
            held = [await Raw.connect(port, ELSEWHERE) for _ in range(20)]
            for each in held:
                each.send(hello(each.url))
            said = [await each.receive() for each in held]
            assert sum(each is not None for each in said) == 8
            async with watched(served):
                pass
            for each in held:
                each.close()

    asyncio.run(main())


def test_a_flood_of_one_address_waits_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivers.opcua import pace

    async def main() -> None:
        monkeypatch.setattr(pace, "PER_S", 100)
        monkeypatch.setattr(pace, "LONGEST_WAIT_S", 0.0)
        now_ns = monotonic_ns()
        monkeypatch.setattr(pace, "monotonic_ns", lambda: now_ns)
        limit = pace.Pace()
        let_in = [await limit.turn("a", 5) for _ in range(100)]
        assert 40 <= sum(let_in) < 100
        assert not let_in[-1]
        assert await limit.turn("b", 5)
        assert limit.login("a") is not limit.login("b")

    asyncio.run(main())


SPOILT = {
    "no channel": lambda raw: framed(b"MSG", struct.pack("<4I", 0, 0, 1, 1)),
    "another channel": lambda raw: framed(b"MSG", struct.pack("<4I", raw.channel + 1, raw.token, 9, 9)),
    "another token": lambda raw: framed(b"MSG", struct.pack("<4I", raw.channel, raw.token + 7, 9, 9)),
    "a sequence number again": lambda raw: 2 * raw.message(raw.asked(ua.GetEndpointsRequest())),
    "a chunk of no kind": lambda raw: raw.message(b"x", chunk=b"Q"),
    "an acknowledge": lambda raw: framed(b"ACK", struct.pack("<5I", 0, 1, 1, 0, 0)),
    "a message of no kind": lambda raw: framed(b"XYZ", bytes(20)),
    "a closed channel": lambda raw: raw.message(b"", kind=b"CLO"),
    "an opening that stops": lambda raw: framed(b"OPN", struct.pack("<I", raw.channel)),
}
POLICY = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
SPOILT_OPENING = {
    "of another policy": lambda raw: raw.opening().replace(b"#None", b"#Nine"),
    "signed with nothing": lambda raw: framed(b"OPN", bytes(4) + text(POLICY) + bytes(200)),
    "signed by nobody": lambda raw: framed(
        b"OPN", bytes(4) + text(POLICY) + text("x" * 900) + text("y" * 20) + bytes(256)
    ),
    "of a mode that there is not": lambda raw: raw.opening().replace(
        struct.pack("<II", 1, 0xFFFF_FFFF), bytes(8)
    ),
}


def test_a_connection_that_breaks_the_rules_is_closed(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served, watched(served):
            for name, spoil in (SPOILT | SPOILT_OPENING).items():
                raw = await Raw.connect(port_of(served), ELSEWHERE)
                await raw.hello()
                if name in SPOILT:
                    assert await raw.open()
                raw.send(spoil(raw))
                if name in SPOILT_OPENING:
                    raw.send(raw.opening())  # which is not answered any more
                async with asyncio.timeout(60):
                    while (said := await raw.receive()) is not None:
                        assert said[0] != b"OPNF", name
                raw.close()

    asyncio.run(main())


def test_struct_decoders_are_those_that_count() -> None:
    request = struct.pack("<iiq", 0, 2_000_000_000, 0)
    with pytest.raises(decoding.NotEnoughData):
        struct_from_binary(ua.GetEndpointsParameters, Buffer(request))


def test_the_backlogs_of_one_address_keep_nobody_waiting() -> None:
    """Without turns each connection looks at all that it was sent before others have theirs."""
    pace, order = Pace(), []

    async def looks_at(address: str, messages: int) -> None:
        for _ in range(messages):
            await pace.in_turn(address)
            order.append(address)
            until_ns = monotonic_ns() + 2 * PASS_NS
            while monotonic_ns() < until_ns:
                pass

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            foes = [group.create_task(looks_at("foe", 10)) for _ in range(4)]
            group.create_task(looks_at("friend", 2))
            await asyncio.sleep(0)
            foes.pop().cancel()

    asyncio.run(main())
    assert [at for at, each in enumerate(order) if each == "friend"][-1] < 6
    assert order.count("foe") == 30
    assert pace._turns == {}


def test_one_address_leaves_monitored_items_to_others(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.opcua.items.MAX_ITEMS", 500)
    monkeypatch.setattr("drivers.opcua.items.MAX_OTHERS", 10)

    async def made(raw: Raw, node: ua.NodeId, count: int) -> int:
        subscription = await raw.ask(ua.CreateSubscriptionRequest())
        wanted = ua.CreateMonitoredItemsRequest()
        wanted.Parameters.SubscriptionId = subscription.Parameters.SubscriptionId
        parameters = ua.MonitoringParameters(1, 1000.0, None, 1, True)
        item = ua.MonitoredItemCreateRequest(
            ua.ReadValueId(node, 13), ua.MonitoringMode.Reporting, parameters
        )
        wanted.Parameters.ItemsToCreate = [item] * count
        answer = await raw.ask(wanted)
        return sum(each.StatusCode.is_good() for each in answer.Results)

    async def main() -> None:
        async with serve() as served, watched(served):
            foes = [await in_session(port_of(served)) for _ in range(2)]
            friend = await in_session(port_of(served), "127.0.0.2")
            tag, clock = ua.NodeId(PATH, 2), ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
            assert [await made(each, tag, 300) for each in foes] == [300, 100]
            assert [await made(each, clock, 6) for each in foes] == [6, 2]
            assert (await made(friend, tag, 300), await made(friend, clock, 6)) == (100, 2)
            for each in [*foes, friend]:
                each.close()

    asyncio.run(main())


def test_writes_without_right_come_to_the_gate_on_secured_channels(serve: Any, tmp_path: Path) -> None:
    async def main() -> None:
        make_certificate(tmp_path)
        async with serve() as served, watched(served):
            served.port.users[USER] = (SECRET, Role.VIEWER)
            target = Target(port_of(served), 0, 0, PATH, PATH, client=tmp_path)
            attack = asyncio.create_task(play(without_right, target, Random(1), 60))
            async with asyncio.timeout(60):
                while min(target.refused.values(), default=0) < 10 and not attack.done():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            attack.cancel()
            await asyncio.wait([attack])
            assert attack.cancelled(), attack.result()
            for user, refused in target.refused.items():
                asked = [path for path, _, actor, _ in served.port.writes if actor.name == user]
                assert len(asked) >= refused >= 10
                assert set(asked) == {PATH}
            assert set(target.refused) == {"anonymous", USER}
            assert served.port.value("line/speed") == 1.0

    asyncio.run(main())


def test_an_attack_fails_where_the_gate_lets_a_write_through(serve: Any, tmp_path: Path) -> None:
    async def main() -> None:
        make_certificate(tmp_path)
        async with serve(anonymous="operator") as served:
            target = Target(port_of(served), 0, 0, PATH, PATH, client=tmp_path)
            failed = await play(without_right, target, Random(1), 60)
            assert "of anonymous was answered by Good" in failed or "BadOutOfRange" in failed

    asyncio.run(main())
