"""What goes on on one secure channel: HistoryReads beside other requests, and one session after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from drivers.abuse.raw import Raw, long_answer
from drivers.opcua import session as sessions
from runtime.contract import Batch

ROOT = "nb/bottling/line1"
LEVEL, SPEED = ua.NodeId(f"{ROOT}/tank/level_pct", 2), ua.NodeId(f"{ROOT}/line/speed", 2)
BEGIN = datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
ALL = ua.ReadRawModifiedDetails(False, BEGIN, BEGIN + timedelta(seconds=30), 0, False)
WITHIN_S = 60.0


class Slow:
    """A history of one value, read when it is let; `begun` and `ended` count, `failing` makes it fail."""

    def __init__(self, port: Any) -> None:
        self.begun = self.ended = 0
        self.go = asyncio.Event()
        self.failing = False
        self._read = port.history
        port.set("tank/level_pct", 1.0)
        port.submitted.append(
            Batch.of([port.tags[f"{ROOT}/tank/level_pct"].id], [0], int(BEGIN.timestamp()) * 10**9)
        )
        port.history = self

    async def __call__(self, *about: Any) -> Any:
        self.begun += 1
        try:
            await self.go.wait()
            if self.failing:
                raise RuntimeError("the store is upside down")
            return await self._read(*about)
        finally:
            self.ended += 1


def history() -> dict[str, Any]:
    return {
        "HistoryReadDetails": ALL,
        "TimestampsToReturn": ua.TimestampsToReturn.Both,
        "ReleaseContinuationPoints": False,
        "NodesToRead": [ua.HistoryReadValueId(LEVEL)],
    }


def history_request() -> Any:
    request = ua.HistoryReadRequest()
    for name, value in history().items():
        setattr(request.Parameters, name, value)
    return request


def plain(served: Any) -> Client:
    return Client(served.url, timeout=60, watchdog_intervall=60)


async def alone(served: Any) -> Client:
    """A client with a channel but no session."""
    client = plain(served)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    return client


async def entered(served: Any) -> Raw:
    raw = await Raw.connect(int(served.url.rstrip("/").rpartition(":")[2]), "127.0.0.1")
    assert await raw.enter()
    return raw


def addresses(served: Any) -> list[str]:
    return list(served.component._service._face.addresses)


def count_of(answer: Any) -> int:
    (result,) = answer.Results
    assert result.StatusCode.is_good()
    return len(result.HistoryData.DataValues)


# History beside.


def test_a_history_read_holds_up_nothing_else_of_its_connection(
    serve: Any, asking: Any, wait: Any, secure: Callable[..., Client]
) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "olga", "pump") as client:
            ask, slow = asking(client), Slow(served.port)
            await ask.watch(await ask.subscribe(60), LEVEL)
            async with asyncio.TaskGroup() as group:
                reads = [group.create_task(ask("HistoryRead", **history())) for _ in range(5)]
                await wait(lambda: slow.begun == sessions.HISTORIES_AT_ONCE)
                async with asyncio.timeout(WITHIN_S):
                    assert (await ask.read(LEVEL)).Value.Value == 1.0
                    assert [each.Value.Value for each in asking.values(await ask.published())] == [1.0]
                    data = ua.DataValue(ua.Variant(2.0, ua.VariantType.Float))
                    wanted = [ua.WriteValue(SPEED, ua.AttributeIds.Value, None, data)]
                    assert (await ask("Write", NodesToWrite=wanted)).Results[0].is_good()
                assert (slow.begun, [each.done() for each in reads]) == (
                    sessions.HISTORIES_AT_ONCE,
                    [False] * 5,
                )
                slow.go.set()
            assert [count_of(each.result()) for each in reads] == [1] * 5

    asyncio.run(main())


def test_more_history_reads_than_may_wait_hold_up_their_connection_and_no_other(
    serve: Any, asking: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.session.MAX_HISTORIES", 3)
        async with serve() as served, plain(served) as client, plain(served) as other:
            ask, slow = asking(client), Slow(served.port)
            async with asyncio.TaskGroup() as group:
                reads = [group.create_task(ask("HistoryRead", **history())) for _ in range(3)]
                assert (await ask.read(LEVEL)).Value.Value == 1.0
                await wait(lambda: slow.begun == sessions.HISTORIES_AT_ONCE)
                reads.append(group.create_task(ask("HistoryRead", **history())))
                behind = group.create_task(ask.read(LEVEL))
                assert (await asking(other).read(LEVEL)).Value.Value == 1.0
                assert (slow.begun, behind.done()) == (sessions.HISTORIES_AT_ONCE, False)
                slow.go.set()
            assert [count_of(each.result()) for each in reads] == [1] * 4
            assert behind.result().Value.Value == 1.0

    asyncio.run(main())


def test_a_history_read_that_fails_is_told_and_logged_and_the_next_is_answered(
    serve: Any, asking: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve() as served, plain(served) as client:
            ask, slow = asking(client), Slow(served.port)
            slow.failing = True
            slow.go.set()
            for _ in range(sessions.MAX_HISTORIES + 1):
                assert await ask.code("HistoryRead", **history()) == "BadInternalError"
            assert "the store is upside down" in caplog.text
            slow.failing = False
            assert count_of(await ask("HistoryRead", **history())) == 1
            nothing = history() | {"NodesToRead": []}
            assert await ask.code("HistoryRead", **nothing) == "BadNothingToDo"

    asyncio.run(main())


def test_history_reads_of_a_session_that_is_closed_are_refused_before_it_is_said_to_be(
    serve: Any, wait: Any
) -> None:
    async def main() -> None:
        async with serve() as served:
            slow = Slow(served.port)
            raw = await entered(served)
            before = len(asyncio.all_tasks())
            for _ in range(3):
                raw.send(raw.messages(raw.asked(history_request())))
            await wait(lambda: slow.begun == sessions.HISTORIES_AT_ONCE)
            raw.send(raw.messages(raw.asked(ua.CloseSessionRequest())))
            said = [await heard(raw) for _ in range(4)]
            assert said == ["BadSessionClosed"] * 3 + ["CloseSessionResponse"]
            await wait(lambda: slow.ended == slow.begun == sessions.HISTORIES_AT_ONCE)
            slow.go.set()
            raw.send(raw.messages(raw.asked(ua.GetEndpointsRequest())))
            assert await heard(raw) == "GetEndpointsResponse", "nothing comes after the session"
            await wait(lambda: len(asyncio.all_tasks()) <= before)
            assert await raw.log_in()
            assert count_of(await raw.ask(history_request())) == 1
            raw.close()

    asyncio.run(main())


async def heard(raw: Raw) -> str:
    """Return which response comes next; of a fault its code."""
    said = await raw.receive()
    assert said is not None
    body = ua.ua_binary.Buffer(said[1][16:])
    kind = ua.ua_binary.nodeid_from_binary(body.copy())
    answer = struct_from_binary(ua.extension_objects_by_typeid[kind], body)
    if isinstance(answer, ua.ServiceFault):
        return str(answer.ResponseHeader.ServiceResult.name)
    return type(answer).__name__


def test_a_connection_that_goes_takes_its_history_reads_along(serve: Any, wait: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            slow = Slow(served.port)
            before = len(asyncio.all_tasks())
            raw = await entered(served)
            for _ in range(3):
                raw.send(raw.messages(raw.asked(history_request())))
            await wait(lambda: slow.begun == sessions.HISTORIES_AT_ONCE)
            raw.close()
            await wait(lambda: slow.ended == sessions.HISTORIES_AT_ONCE)
            await wait(lambda: len(asyncio.all_tasks()) <= before)
            assert slow.begun == sessions.HISTORIES_AT_ONCE, "the third is not begun for nobody"

    asyncio.run(main())


def test_a_server_stops_and_a_session_times_out_while_history_is_read(
    serve: Any, asking: Any, wait: Any, fall_silent: Any
) -> None:
    async def main() -> None:
        async with serve() as served:
            slow, client = Slow(served.port), await alone(served)
            await client.create_session()
            await client.activate_session()
            read = asyncio.ensure_future(asking(client).code("HistoryRead", **history()))
            await wait(lambda: slow.begun == 1)
            (session,) = served.component._service._server.sessions
            fall_silent(session)
            async with asyncio.timeout(WITHIN_S):
                assert await read == "BadSessionClosed"
            assert (slow.begun, slow.ended) == (1, 1)
            client.disconnect_socket()
            raw = await entered(served)
            raw.send(raw.messages(raw.asked(history_request())))
            await wait(lambda: slow.begun == 2)
        assert slow.ended == 2
        assert await raw.receive() is None
        raw.close()

    asyncio.run(main())


def test_history_is_not_read_for_who_takes_no_answers(serve: Any, wait: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            slow, raw = Slow(served.port), await entered(served)
            raw.writer.transport.pause_reading()
            for _ in range(4):
                raw.send(raw.messages(raw.asked(history_request())))
            body = raw.asked(long_answer())
            for _ in range(3_000):
                raw.send(raw.messages(body))
            (theirs,) = served.component._service._face.bserver.clients
            await wait(lambda: not theirs.processor.taken.is_set())
            slow.go.set()
            await wait(lambda: slow.ended == sessions.HISTORIES_AT_ONCE)
            await asyncio.sleep(0.2)
            assert slow.begun == sessions.HISTORIES_AT_ONCE
            raw.writer.transport.resume_reading()
            async with asyncio.timeout(60):
                while slow.begun < 4:
                    await raw.receive()
            raw.close()

    asyncio.run(main())


def test_a_session_that_goes_to_another_channel_leaves_its_history_reads_unanswered_there(
    serve: Any, asking: Any, wait: Any
) -> None:
    async def main() -> None:
        async with serve() as served, plain(served) as old:
            slow = Slow(served.port)
            read = asyncio.ensure_future(asking(old).code("HistoryRead", **history()))
            await wait(lambda: slow.begun == 1)
            new = await alone(served)
            await take_over(new, old)
            async with asyncio.timeout(WITHIN_S):
                assert await read == "BadSecureChannelIdInvalid"
            assert slow.ended == 1
            slow.go.set()
            assert count_of(await asking(new)("HistoryRead", **history())) == 1
            new.disconnect_socket()

    asyncio.run(main())


async def take_over(new: Client, old: Client) -> None:
    """Have the session of one client on the channel of another."""
    new.uaclient.protocol.authentication_token = old.uaclient.protocol.authentication_token
    token = ua.AnonymousIdentityToken()
    await new.uaclient.activate_session(ua.ActivateSessionParameters(UserIdentityToken=token))


# Sessions of a channel.


def test_a_channel_outlives_a_session_that_was_silent_and_has_the_next(
    serve: Any, asking: Any, wait: Any, fall_silent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with serve() as served, plain(served) as other:
            inner = served.component._service._server
            monkeypatch.setattr("drivers.opcua.requests.LOGIN_WITHIN_S", 4.0)
            client = await alone(served)
            ask = asking(client)
            await client.create_session()
            await client.activate_session()
            fall_silent(inner.owner_of(await ask.subscribe()))
            await wait(lambda: len(inner.sessions) == 1)
            await asyncio.sleep(4)  # the time to log in is over, too
            assert await ask.code("Read") == "BadSessionClosed"
            await client.create_session()
            await client.activate_session()
            assert (await ask.read(ua.NodeId(2255))).StatusCode.is_good()
            assert await ask.code("CloseSession") == "Good"
            await take_over(client, other)
            assert (await ask.read(ua.NodeId(2255))).StatusCode.is_good()
            assert await asking(other).code("Read") == "BadSecureChannelIdInvalid"
            client.disconnect_socket()

    asyncio.run(main())


def end_time_to_log_in(processor: Any) -> None:
    """Do what is done at the end of that time, if anything waits for it."""
    if processor._alone is not None:
        processor._alone._run()


@pytest.mark.parametrize("end", ["never there", "not activated", "closed", "gone"])
def test_a_channel_without_a_session_is_ended_after_a_while(
    serve: Any, asking: Any, wait: Any, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.requests.SESSIONLESS_S", 0.5)
        async with serve() as served, plain(served) as other:
            if end == "never there":
                monkeypatch.setattr("drivers.opcua.requests.LOGIN_WITHIN_S", 1.0)
                client = plain(served)
                await client.connect_socket()
            else:
                client = await alone(served)
                theirs = served.component._service._face.bserver.clients[-1].processor
                await client.create_session()
            if end == "not activated":
                assert await asking(client).code("CloseSession") == "Good"
                await client.create_session()
                end_time_to_log_in(theirs)
            elif end != "never there":
                await client.activate_session()
            if end == "closed":
                end_time_to_log_in(theirs)
                assert await asking(client).code("Read") == "BadNothingToDo", "a session keeps it"
                assert await asking(client).code("CloseSession") == "Good"
            elif end == "gone":
                third = await alone(served)
                await take_over(third, client)
            await wait(lambda: client.uaclient.protocol.is_closed)
            await wait(lambda: len(addresses(served)) == (2 if end == "gone" else 1))
            kept = asking(third if end == "gone" else other)
            assert (await kept.read(ua.NodeId(2255))).StatusCode.is_good()
            for each in (client, *([third] if end == "gone" else [])):
                each.disconnect_socket()

    asyncio.run(main())


def test_a_second_session_on_a_channel_is_refused_and_the_first_goes_on(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, plain(served) as client, plain(served) as other:
            ask = asking(client)
            served.port.set("tank/level_pct", 1.0)
            await ask.watch(await ask.subscribe(60), LEVEL)
            mine = client.uaclient.protocol.authentication_token
            assert await ask.code("CreateSession") == "BadTooManySessions"
            client.uaclient.protocol.authentication_token = other.uaclient.protocol.authentication_token
            assert await ask.code("ActivateSession") == "BadSessionIdInvalid"
            client.uaclient.protocol.authentication_token = mine
            assert [each.Value.Value for each in asking.values(await ask.published())] == [1.0]
            assert (await ask.read(LEVEL)).Value.Value == 1.0
            assert (await asking(other).read(LEVEL)).Value.Value == 1.0

    asyncio.run(main())
