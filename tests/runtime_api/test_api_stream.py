"""The stream: what is there, then what changes, the newest per tag, at the client's pace."""

import asyncio
import json
import tracemalloc
from contextlib import aclosing
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runtime.api import protocol
from runtime.api.protocol import WebSocketProtocol
from runtime.bus import Mailbox
from runtime.client import PlantClient
from runtime.contract import Event
from runtime.errors import ConnectError, PlantError
from runtime.wire import AlarmChange, ComponentChange, Values


async def _open(desk_endpoint, **wanted):
    websocket = await unix_connect(desk_endpoint.socket, "ws://x/api/v1/stream", open_timeout=60)
    await websocket.send(json.dumps(wanted))
    return websocket


async def _drain(take):
    while True:
        await take()


def test_present_values_come_first_then_only_what_changed(desk: Any) -> None:
    async def main() -> None:
        desk.port.set("tank/level", 1.0)
        async with desk.client() as client, aclosing(client.stream(["tank/*"], interval_ms=50)) as stream:
            first = await anext(stream)
            assert isinstance(first, Values)
            assert {row[0]: row[1] for row in first.rows} == {0: 1.0, 1: None, 2: None, 3: None}
            desk.port.set("tank/batch", "b1")
            desk.port.set("pump/count", 1)
            second = await anext(stream)
            assert [(row[0], row[1], row[2]) for row in second.rows] == [(3, "b1", 0)]

    asyncio.run(main())


def test_a_client_that_does_not_read_gets_the_newest_and_costs_no_memory(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            websocket = await _open(endpoint, tags=["tank/level"], interval_ms=50)
            await websocket.recv()
            text, began = "x" * 1000, asyncio.get_running_loop().time()
            for number in range(2000):
                desk.port.set("tank/level", float(number % 100))
                desk.port.set("tank/batch", text)
                if number % 100 == 0:
                    await asyncio.sleep(0)
            desk.port.set("tank/level", 77.0)
            seen: list[float] = []
            while 77.0 not in seen:
                seen += [row[1] for row in json.loads(await websocket.recv())["rows"]]
            assert len(seen) < 20 + (asyncio.get_running_loop().time() - began) / 0.05
            await websocket.close()

    asyncio.run(main())


def test_a_client_may_ask_for_something_else_at_any_time(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            websocket = await _open(endpoint, tags=["tank/level"])
            assert len(json.loads(await websocket.recv())["rows"]) == 1
            await websocket.send(json.dumps({"tags": ["pump/*"]}))
            rows = json.loads(await websocket.recv())["rows"]
            assert {row[0] for row in rows} == {4, 5, 6}
            await websocket.send(json.dumps({"components": True}))
            assert json.loads(await websocket.recv())["component"]["name"] == "idle"
            desk.port.set("pump/count", 3)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await websocket.recv()
            await websocket.close()
        assert not [each for each in desk.bus._subscriptions if isinstance(each, Mailbox)]

    asyncio.run(main())


def test_alarms_and_components_stand_first_and_then_change(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            await desk.overflow_the_tank()
            async with aclosing(client.stream(alarms=True, components=True)) as stream:
                standing = [await anext(stream), await anext(stream)]
                assert {type(each) for each in standing} == {AlarmChange, ComponentChange}
                await client.acknowledge("tank.high")
                change = await anext(stream)
                assert isinstance(change, AlarmChange)
                assert change.alarm.state == "acknowledged"
                await client.restart("idle")
                change = await anext(stream)
                assert isinstance(change, ComponentChange)
                assert change.component.state == "starting"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ("nonsense", "not a subscription"),
        ('{"tags": "tank"}', "not a subscription"),
        ('{"tag": ["tank/level"]}', "not a subscription"),
        ('{"tags": ["tank/levle"]}', "no tag"),
        ('{"tags": ["**a**b**c**d**"]}', "too many"),
    ],
)
def test_a_wrong_request_closes_the_stream_with_the_reason(desk: Any, request_: str, why: str) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            websocket = await unix_connect(endpoint.socket, "ws://x/api/v1/stream", open_timeout=60)
            await websocket.send(request_)
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            assert why in closed.value.rcvd.reason

    asyncio.run(main())


def test_the_stream_asks_for_host_origin_and_secret_like_the_rest(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            url = f"ws{(endpoint.http or '').removeprefix('http')}/api/v1/stream"
            for headers, status in (
                ({"Origin": "https://evil.example"}, 403),
                ({"Authorization": "Basic b2xnYTp4"}, 401),
            ):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(url, additional_headers=headers, proxy=None, open_timeout=60)
                assert refused.value.response.status_code == status
            place = type(endpoint)(http=endpoint.http)
            with pytest.raises(PlantError, match="wrong"):
                await anext(PlantClient(place, "olga", "bad").stream(["**"]))
            async with aclosing(PlantClient(place, "olga", "hops & malt").stream(["tank/level"])) as stream:
                assert isinstance(await anext(stream), Values)

    asyncio.run(main())


def test_alarms_that_a_slow_client_lost_close_its_stream(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr("runtime.bus.EVENT_LIMIT", 3)
        async with desk.serving() as endpoint:
            websocket = await _open(endpoint, alarms=True)
            await desk.until(lambda: len(desk.bus._streams) == 2)  # alarms, and changes of the configuration
            for level in range(10):
                desk.port.set("tank/level", 99.0 if level % 2 else 1.0)
            view = desk.alarm()
            for _ in range(10):
                desk.bus.emit(Event("alarm.raised", "alarms", 1, "", {"alarm": view}))
            with pytest.raises(ConnectionClosed) as closed:
                await _drain(websocket.recv)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013

    asyncio.run(main())


def test_clients_that_never_read_cost_little_and_do_not_hold_up_the_stop(desk: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with desk.serving() as endpoint:
            reader, writer = await asyncio.open_unix_connection(endpoint.socket, limit=1024)
            request = (
                b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            )
            request += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\n\r\n"
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()
            wanted = b'{"tags":["**"],"interval_ms":50}'
            writer.write(bytes([0x81, 0x80 | len(wanted), 0, 0, 0, 0]) + wanted)
            await desk.until(lambda: [each for each in desk.bus._subscriptions if isinstance(each, Mailbox)])
            desk.port.set("tank/batch", "x" * 2_000_000)
            tracemalloc.start()
            for number in range(300):
                desk.port.set("tank/batch", f"{number}" + "x" * 1_000_000)
                desk.port.set("pump/count", number)
                await desk.clock.sleep(0.005)
            grown, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert grown < 30_000_000
            stopping = loop.time()
        assert loop.time() - stopping < 10  # a second, and what the machine withholds
        writer.close()

    asyncio.run(main())


async def _open_raw(desk_endpoint):
    reader, writer = await asyncio.open_unix_connection(desk_endpoint.socket, limit=1024)
    writer.write(
        b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()
    return reader, writer


def _frame(first, data=b""):
    return bytes([first, 0x80 | len(data), 0, 0, 0, 0]) + data


@pytest.mark.parametrize(
    ("begun", "sent"),
    [
        pytest.param(b"", _frame(0x89, b"p" * 125), id="pings that nobody waits for"),
        pytest.param(_frame(0x01), _frame(0x00), id="a message in pieces without end"),
    ],
)
def test_frames_without_end_take_no_room(
    desk: Any, monkeypatch: pytest.MonkeyPatch, begun: bytes, sent: bytes
) -> None:
    wanted = b'{"tags":["**"]}'
    # So many take a slow machine longer than a client has that takes and answers nothing.
    monkeypatch.setattr(protocol, "STALLED_S", 600)
    monkeypatch.setattr(WebSocketProtocol, "start_keepalive", lambda self: None)

    async def main() -> None:
        async with desk.serving() as endpoint:
            _, writer = await _open_raw(endpoint)
            writer.write(begun)
            tracemalloc.start()
            for _ in range(50):
                writer.write(sent * 2000)
                await writer.drain()
            writer.write(_frame(0x80 if begun else 0x81, wanted))
            subscriptions = desk.bus._subscriptions
            await desk.until(lambda: [each for each in subscriptions if isinstance(each, Mailbox)], 300)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert most < 8_000_000
            writer.close()

    asyncio.run(main())


def test_a_ping_is_answered_once_a_slow_client_reads_on(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    full = asyncio.Event()
    pause = WebSocketProtocol.pause_writing
    monkeypatch.setattr(WebSocketProtocol, "pause_writing", lambda self: (pause(self), full.set()))

    async def main() -> None:
        async with desk.serving() as endpoint:
            desk.port.set("tank/batch", "x" * 2_000_000)  # more than a socket holds
            reader, writer = await _open_raw(endpoint)
            writer.write(_frame(0x81, b'{"tags":["tank/batch"]}'))
            async with asyncio.timeout(60):
                await full.wait()
                writer.write(_frame(0x89, b"first") + _frame(0x89, b"second"))
                await desk.clock.sleep(0.1)
                writer.transport.resume_reading()
                assert (await reader.readexactly(2_000_000)).endswith(b"x")
                await reader.readuntil(b"\x8a\x06second")
            writer.close()

    asyncio.run(main())


def test_stopping_the_plant_ends_streams_soon(desk: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with desk.serving() as endpoint:
            streams = [PlantClient(endpoint).stream(["**"]) for _ in range(3)]
            for stream in streams:
                await anext(stream)
            stopping = loop.time()
        assert loop.time() - stopping < 10  # a second, and what the machine withholds
        for stream in streams:
            with pytest.raises(ConnectError):
                await _drain(stream.__anext__)

    asyncio.run(main())
