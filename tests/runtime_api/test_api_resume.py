"""A client that lost its connection gets what it missed; one that needs each value gets each, or is told."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from runtime.api import every as every_module
from runtime.client import PlantClient
from runtime.contract import Batch, DataType, Event
from runtime.errors import ConnectError
from runtime.follow import Interrupted, follow
from runtime.wire import PREFIX, AlarmChange, ConfigChange, Gap, Missed, Place, Values


async def _take(stream, count):
    return [await anext(stream) for _ in range(count)]


def test_alarms_that_came_while_the_client_was_away_are_told_in_order(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            place = Place()
            async with aclosing(client.stream(alarms=True, place=place)) as stream:
                await desk.overflow_the_tank()
                assert isinstance(await anext(stream), AlarmChange)
            await client.acknowledge("tank.high", "seen")
            desk.port.set("tank/level", 1.0)
            await desk.until(lambda: desk.alarm()["state"] == "normal")
            async with aclosing(client.stream(alarms=True, place=place)) as stream:
                missed, change = await _take(stream, 2)
                assert [each.transition for each in missed.entries] == ["acknowledged", "cleared"]
                assert missed.complete
                assert (change.alarm.name, change.alarm.state) == ("tank.high", "normal")
            async with aclosing(client.stream(alarms=True, place=place)) as stream:
                assert (await anext(stream)).entries == ()

    asyncio.run(main())


def test_a_place_in_another_journal_or_too_far_back_is_a_gap(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("runtime.api.stream.MISSED", 2)

    async def main() -> None:
        async with desk.client() as client:
            for level in (95.0, 1.0, 95.0, 1.0):
                desk.port.set("tank/level", level)
                await desk.until(lambda level=level: desk.port.value("sys/alarms/active") == (level > 90))
            entries = (await client.alarm_journal())[::-1]
            began_ns, last, at_ns = entries[0].at_ns, entries[-1].seq, [each.at_ns for each in entries]
            for resume, complete, count in (
                (f"{began_ns}.{last - 2}.{at_ns[-3]}", True, 2),
                (f"{began_ns}.{last - 3}.{at_ns[-4]}", False, 2),
                (f"{began_ns + 1}.{last}.{at_ns[-1]}", False, 0),
                (f"{began_ns}.{last + 1}.{at_ns[-1]}", False, 0),
                (f"{began_ns}.{last - 2}.{at_ns[-3] + 1}", False, 0),  # a backup was restored since
                (f"{began_ns}.{last}", False, 0),  # of an earlier Ironworks
                ("0.0.0", False, 2),
                ("0.0", False, 2),
            ):
                async with aclosing(client.stream(alarms=True, place=Place(resume))) as stream:
                    missed = await anext(stream)
                    assert isinstance(missed, Missed)
                    assert (missed.complete, len(missed.entries)) == (complete, count), resume
                    assert missed.entries in ((), entries[-2:])
                    if not complete:  # a client that keeps a list needs all of it anew
                        assert (await anext(stream)).alarm.name == desk.alarms.views()[0]["name"]

    asyncio.run(main())


def test_an_every_stream_carries_each_value_in_order(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            stream = client.stream(["pump/count"], interval_ms=50, every=True)
            async with aclosing(stream):
                await anext(stream)
                for number in range(500):
                    desk.port.set("pump/count", number)
                seen: list[Any] = []
                while len(seen) < 500:
                    seen += [row[1] for row in (await anext(stream)).rows]
                assert seen == list(range(500))

    asyncio.run(main())


def test_values_that_do_not_fit_are_told_and_raise_no_alarm_of_the_plant(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(every_module, "WAITING_ROWS", 100)

    async def main() -> None:
        async with desk.client() as client:
            stream = client.stream(["pump/count"], interval_ms=50, every=True)
            async with aclosing(stream):
                await anext(stream)
                for number in range(500):
                    desk.port.set("pump/count", number)
                seen, lost = [], 0
                while 499 not in seen:
                    match await anext(stream):
                        case Values(rows):
                            seen += [row[1] for row in rows]
                        case Gap(since_ns, until_ns, count, _):
                            assert since_ns <= until_ns
                            lost += count
                assert len(seen) + lost == 500
                assert lost > 0
                assert desk.bus.overflow == 0

    asyncio.run(main())


def test_an_every_stream_goes_on_from_the_history_without_doubles(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            id_ = desk.plant.tags["pump/count"].id
            desk.port.set("pump/count", 1)
            place = Place()
            async with aclosing(client.stream(["pump/count"], every=True, place=place)) as stream:
                await anext(stream)
            begun_ns = place.since_ns
            times = np.array([begun_ns, begun_ns + 1, begun_ns + 2])
            desk.remember(Batch.of([id_] * 3, [DataType.LINT.encode(each) for each in (1, 2, 3)], times))
            desk.bus.publish(desk.historian.batch.take(np.array([2])))
            async with aclosing(client.stream(["pump/count"], every=True, place=place)) as stream:
                assert [row[1] for row in (await anext(stream)).rows] == [2, 3]
                desk.port.set("pump/count", 4)
                assert [row[1] for row in (await anext(stream)).rows] == [4]
            desk.historian = None
            async with aclosing(client.stream(["pump/count"], every=True, place=place)) as stream:
                gap = await anext(stream)
                assert isinstance(gap, Gap)
                assert "no history" in gap.text
                assert gap.lost is None

    asyncio.run(main())


def test_over_another_configuration_no_value_is_lost_and_no_alarm_told_twice(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            await desk.overflow_the_tank()
            desk.port.set("pump/count", 0)
            before = len(desk.bus._subscriptions)
            options = {"interval_ms": 50, "every": True, "place": Place("0.0.0")}
            seen: list[Any] = []
            missed, changed, turns = [], 0, [(1, 1), (5, 2)]
            async with asyncio.timeout(60), aclosing(client.stream(["pump/count"], True, **options)) as got:
                while len(missed) < 3 or 8 not in seen:
                    match await anext(got):
                        case Values(rows):
                            seen += [row[1] for row in rows]
                        case Missed(entries):
                            missed.append([each.transition for each in entries])
                        case ConfigChange():
                            changed += 1
                    if (len(seen), len(missed)) in turns:  # the stream sleeps now, and then it is to turn
                        turns.remove((len(seen), len(missed)))
                        for number in range(len(seen), len(seen) + 4):
                            desk.port.set("pump/count", number)
                        desk.bus.emit(Event("config.applied", "config", 0, "", {"version": 2}))
            assert seen == [*range(9)]
            assert missed == [["raised"], [], []]
            await desk.until(lambda: len(desk.bus._subscriptions) == before)

    asyncio.run(main())


def test_a_source_whose_clock_is_ahead_is_filled_in_too(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            id_ = desk.plant.tags["pump/count"].id
            ahead_ns = desk.clock.now_ns() + 3600 * 10**9
            missed = Batch.of([id_] * 3, [1, 2, 3], ahead_ns + np.arange(3))
            desk.remember(missed)
            desk.bus.publish(missed)
            place = Place("", ahead_ns)  # it had the first
            async with aclosing(client.stream(["pump/count"], every=True, place=place)) as stream:
                assert [row[1] for row in (await anext(stream)).rows] == [2, 3]

    asyncio.run(main())


def test_a_gap_of_several_tags_reaches_to_where_the_last_of_them_begins(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(every_module, "BACK_ROWS", 4)  # two of each

    async def main() -> None:
        async with desk.client() as client:
            slow, fast = desk.plant.tags["tank/level"].id, desk.plant.tags["pump/count"].id
            ids = [slow, fast, fast, fast, fast]
            desk.remember(Batch.of(ids, [0] * 5, np.array([101, 102, 103, 104, 105])))
            wanted = ["tank/level", "pump/count"]
            async with aclosing(client.stream(wanted, every=True, place=Place("", 100))) as stream:
                gap, values = await _take(stream, 2)
                assert [(row[0], row[3]) for row in values.rows] == [(slow, 101), (fast, 104), (fast, 105)]
                assert (gap.since_ns, gap.until_ns) == (100, 104)

    asyncio.run(main())


def test_follow_comes_back_after_the_server_and_takes_up_what_it_missed(desk: Any, folder: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            client = await PlantClient(endpoint).__aenter__()
            stream = follow(client, ["tank/level"], alarms=True)
            desk.port.set("tank/level", 5.0)
            assert isinstance(await anext(stream), Values)
        assert isinstance(await anext(stream), Interrupted)
        again = type(desk)(folder)
        async with again.serving():
            await again.overflow_the_tank()
            seen: list[Any] = []
            async with asyncio.timeout(60):
                while {type(each) for each in seen} < {Values, Missed, AlarmChange}:
                    message = await anext(stream)
                    seen += [] if isinstance(message, Interrupted) else [message]
            (missed,) = (each for each in seen if isinstance(each, Missed))
            assert [each.transition for each in missed.entries] == ["raised"]
            assert 95.0 in [each.rows[0][1] for each in seen if isinstance(each, Values)]
            await stream.aclose()
        with pytest.raises(ConnectError):
            await anext(client.stream(["tank/level"]))
        await client.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_client_knows_its_place_before_it_gets_anything_else(desk: Any, monkeypatch: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            read = desk.journal.read

            async def busy(*asked: Any) -> Any:
                for _ in range(100):  # values would be out long before
                    await desk.clock.sleep(0.001)
                return await read(*asked)

            monkeypatch.setattr(desk.journal, "read", busy)
            asked = {"tags": ["tank/level"], "alarms": True, "components": True}
            async with unix_connect(endpoint.socket, f"ws://x{PREFIX}/stream", open_timeout=60) as websocket:
                await websocket.send(json.dumps(asked))
                kinds = [json.loads(await websocket.recv())["type"] for _ in range(3)]
            assert kinds[0] == "missed"
            assert {"values", "component"} <= set(kinds)

    asyncio.run(main())


def test_no_message_breaks_a_stream_but_by_a_reason(desk: Any) -> None:
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=6,
    )
    words = st.sampled_from(["**", "tank/*", "tank/level", "nothing", "*" * 300, "\x00", "[", "a**b**c**"])
    asked = st.fixed_dictionaries(
        {},
        optional={
            "tags": st.lists(words, max_size=4) | json_values,
            "alarms": st.booleans() | json_values,
            "components": st.booleans(),
            "interval_ms": st.integers() | json_values,
            "every": st.booleans(),
            "resume": st.sampled_from(["", "0.0", "1.1", "-1.0", "1.", "9" * 40 + ".1", "١.١"]) | json_values,
            "since_ns": st.none() | st.integers() | json_values,
        },
    )
    messages = st.one_of(
        st.text(max_size=60), st.binary(max_size=60), json_values.map(json.dumps), asked.map(json.dumps)
    )

    async def main() -> None:
        async with desk.serving() as endpoint:

            async def until_closed(websocket: Any) -> None:
                await websocket.send("nonsense")  # after what was sent: a server that lives ends it here
                while True:
                    json.loads(await websocket.recv())

            async def send(message: str | bytes) -> None:
                async with unix_connect(
                    endpoint.socket, f"ws://x{PREFIX}/stream", open_timeout=60
                ) as websocket:
                    await websocket.send(message)
                    with pytest.raises(ConnectionClosed) as closed:
                        await until_closed(websocket)
                    assert closed.value.rcvd.code in (1008, 1013), (message, closed)
                    assert closed.value.rcvd.reason

            @settings(max_examples=100, deadline=None, database=None)
            @given(messages)
            def fuzz(message: str | bytes) -> None:
                asyncio.run_coroutine_threadsafe(send(message), loop).result(60)

            loop = asyncio.get_running_loop()
            await asyncio.to_thread(fuzz)
            async with PlantClient(endpoint) as client:
                assert (await client.info()).plant == "brewery"

    asyncio.run(main())
