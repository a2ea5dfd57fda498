"""What those who operate the API get: probes, metrics, ETags, gzip, limits of pace and of streams."""

import asyncio
import copy
import gc
import weakref
from contextlib import suppress
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import unix_connect
from websockets.exceptions import InvalidStatus

from runtime.api import answers, history, limits
from runtime.api.app import create_app
from runtime.contract import Actor, Role
from runtime.errors import PlantError, RateLimitedError
from runtime.historian import Answer
from runtime.wire import PREFIX


def _metrics(text):
    return {
        (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _on_socket(endpoint):
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=endpoint.socket), base_url="http://x", timeout=60
    )


def test_probes_need_no_login_and_ready_names_what_is_not_up(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, httpx.AsyncClient(base_url=endpoint.http, timeout=60) as raw:
            wrong = {"auth": ("nobody", "wrong")}
            assert (await raw.get("/healthz", **wrong)).json() == {"ok": True, "waits": []}
            assert (await raw.get("/readyz", **wrong)).json() == {"ok": True, "waits": []}
            desk.journal.failing = True
            desk.supervisor.health("idle", False, "no field")
            late = await raw.get("/readyz")
            assert (late.status_code, late.json()["waits"]) == (503, ["journal"])
            assert (await raw.get("/healthz")).status_code == 200

    asyncio.run(main())


def test_an_app_that_another_has_replaced_keeps_nothing_alive(desk: Any) -> None:
    before = copy.copy(desk)
    create_app(before)
    gone = weakref.ref(before)
    del before
    create_app(desk)
    gc.collect()
    assert gone() is None


def test_head_is_answered_as_get_without_a_body(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, httpx.AsyncClient(base_url=endpoint.http, timeout=60) as raw:
            for path in ("/healthz", "/readyz", f"{PREFIX}/tags"):
                asked, headed = await raw.get(path), await raw.head(path)
                assert (headed.status_code, headed.content) == (200, b"")
                assert headed.headers["etag"] == asked.headers["etag"]
            desk.journal.failing = True
            assert (await raw.head("/readyz")).status_code == 503
            assert (await raw.head(f"{PREFIX}/tags/tank/none")).status_code == 404
            assert (await raw.head(f"{PREFIX}/users")).status_code == 403  # the rule of GET holds
            assert (await raw.head(f"{PREFIX}/history/sql")).headers["allow"] == "POST"

    asyncio.run(main())


def test_a_query_says_that_another_is_at_work_rather_than_nothing(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(history, "_WAIT_S", 0.01)
    asked, end = asyncio.Event(), asyncio.Event()

    class Busy:
        async def sql(self, query: str, limit: int, seconds: float) -> Answer:
            asked.set()
            await end.wait()
            return Answer(("one",), ((1,),), False)

    desk.historian = Busy()

    async def main() -> None:
        async with desk.client() as client, asyncio.TaskGroup() as group:
            long = group.create_task(client.sql("SELECT 1"))
            await asked.wait()
            with pytest.raises(PlantError, match="another query is still at work"):
                await client.sql("SELECT 1")
            end.set()
            assert (await long).rows == (await client.sql("SELECT 1")).rows == ((1,),)

    asyncio.run(main())


def test_what_a_client_asked_that_has_gone_is_broken_off(desk: Any) -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()

    class Busy:
        async def sql(self, query: str, limit: int, seconds: float) -> Answer:
            if query != "SELECT 1":
                await self.work(query)
            return Answer(("one",), ((1,),), False)

        async def figures(self, *given: object) -> object:
            return await self.work("figures")

        async def trend(self, *given: object) -> object:
            return await self.work("trend")

        async def query(self, *given: object) -> object:
            return await self.work("samples")

        async def work(self, name: str) -> None:
            asked.put_nowait(name)
            try:
                await asyncio.Event().wait()
            finally:
                asked.put_nowait("broken off")

    desk.historian = Busy()
    span = "tag=tank/level&start=0&end=10"

    async def main() -> None:
        async with desk.serving() as endpoint, _on_socket(endpoint) as other, asyncio.timeout(60):
            for name, method, path, body in (
                ("SELECT 2", "POST", "/history/sql", {"query": "SELECT 2"}),
                ("figures", "GET", f"/history?{span}&mode=mean&interval=5", None),
                ("trend", "GET", f"/history/trend?{span}", None),
                ("samples", "GET", f"/history?{span}", None),
            ):
                async with _on_socket(endpoint) as raw, asyncio.TaskGroup() as group:
                    going = group.create_task(raw.request(method, PREFIX + path, json=body, timeout=60))
                    assert await asked.get() == name
                    going.cancel()
                assert await asked.get() == "broken off"
            answer = await other.post(f"{PREFIX}/history/sql", json={"query": "SELECT 1"})
            assert answer.json()["rows"] == [[1]]

    asyncio.run(main())


def test_metrics_tell_routes_components_and_system_tags_in_bounded_labels(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, httpx.AsyncClient(base_url=endpoint.http, timeout=60) as raw:
            for number in range(3):
                await raw.get(f"{PREFIX}/tags/tank/none{number}")
                await raw.get(f"/nothing/{number}")
                await raw.request(f"ODD{number}", "/nothing")
            await desk.overflow_the_tank()
            answer = await raw.get("/metrics")
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            found = _metrics(answer.text)
            route = "route=/tags/{path:path}"
            assert found["ironworks_api_requests_total", "method=GET", route, "status=404"] == 3
            for method in ("GET", "other"):
                labels = (f"method={method}", "route=none", "status=404")
                assert found["ironworks_api_requests_total", *labels] == 3
            assert found["ironworks_api_seconds_count", "method=GET", route] == 3
            assert found["ironworks_component_state", "component=idle", "kind=test", "state=running"] == 1
            assert found["ironworks_sys", "tag=sys/alarms/active"] == 1
            assert found[("ironworks_journal_failing",)] == 0
            assert found[("process_open_fds",)] > 0

    asyncio.run(main())


def test_what_a_client_has_already_is_not_sent_again(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, _on_socket(endpoint) as raw:
            for path in ("/tags", "/alarms?all=true", "/openapi.json"):
                first = await raw.get(PREFIX + path)
                known = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
                again = await raw.get(PREFIX + path, headers=known)
                assert (again.status_code, again.content) == (304, b""), path
                assert again.headers["etag"] == first.headers["etag"]
            tags = await raw.get(f"{PREFIX}/tags")
            desk.port.set("tank/level", 12.0)
            changed = await raw.get(f"{PREFIX}/tags", headers={"If-None-Match": tags.headers["etag"]})
            assert changed.status_code == 200

    asyncio.run(main())


def test_a_mode_that_someone_else_changed_is_not_overwritten(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, _on_socket(endpoint) as raw:
            seen = {"If-Match": (await raw.get(f"{PREFIX}/gate")).headers["etag"]}
            on, off = {"on": True, "reason": "leak"}, {"on": False, "reason": "over"}
            both = [
                raw.put(f"{PREFIX}/gate/read-only", json=on, headers=seen),
                raw.put(f"{PREFIX}/gate/mode", json={"mode": "maintenance", "reason": "x"}, headers=seen),
            ]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in both]
            assert sorted(task.result().status_code for task in tasks) == [200, 412]
            assert (await raw.put(f"{PREFIX}/gate/read-only", json=off)).status_code == 200

    asyncio.run(main())


def test_long_answers_are_zipped_over_tcp_only(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            async with httpx.AsyncClient(base_url=endpoint.http, timeout=60) as raw:
                zipped = await raw.get(f"{PREFIX}/openapi.json")
                assert zipped.headers["content-encoding"] == "gzip"
                assert int(zipped.headers["content-length"]) < len(zipped.content) / 3
                again = await raw.get(
                    f"{PREFIX}/openapi.json", headers={"If-None-Match": zipped.headers["etag"]}
                )
                assert again.status_code == 304
                assert "content-encoding" not in (await raw.get(f"{PREFIX}/info")).headers
                for accepted, takes in (
                    ("br, GZIP;q=0.5", True),
                    ("gzip;q=1.0,deflate", True),
                    ("gzip;q=0", False),
                    ("identity, gzip ; q=0.000", False),
                    ("notgzip", False),
                ):
                    answer = await raw.get(f"{PREFIX}/openapi.json", headers={"Accept-Encoding": accepted})
                    assert ("content-encoding" in answer.headers) == takes, accepted
            async with _on_socket(endpoint) as raw:
                plain = await raw.get(f"{PREFIX}/openapi.json")
                assert "content-encoding" not in plain.headers
                assert plain.content == zipped.content

    asyncio.run(main())


def test_who_asks_too_often_is_told_to_wait_and_others_are_served(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0]
    monkeypatch.setattr(limits, "monotonic_ns", lambda: now[0])
    desk.plant.head.api.__dict__["requests_per_s"] = 2

    async def main() -> None:
        async with desk.serving() as endpoint:
            async with httpx.AsyncClient(base_url=endpoint.http, timeout=60) as raw:
                codes = [(await raw.get(f"{PREFIX}/info")).status_code for _ in range(12)]
                assert codes == [200] * 10 + [429] * 2
                late = await raw.get(f"{PREFIX}/info")
                assert late.headers["retry-after"] == "1"
                assert "requests_per_s" in late.json()["remedy"]
            async with _on_socket(endpoint) as raw:
                assert (await raw.get(f"{PREFIX}/info")).status_code == 200
            now[0] += 10**9
            async with httpx.AsyncClient(base_url=endpoint.http, timeout=60) as raw:
                codes = [(await raw.get(f"{PREFIX}/info")).status_code for _ in range(3)]
                assert codes == [200, 200, 429]

    asyncio.run(main())


def test_who_always_asks_too_often_is_answered_as_often_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(limits, "monotonic_ns", lambda: now[0])
    made = limits.Limits(100)
    answered = 0
    for _ in range(150 * 30):  # half as often again as it may, for 30 s
        now[0] += 10**9 // 150
        with suppress(answers.Refused):
            made.check("10.0.0.9")
            answered += 1
    assert 100 * (30 + limits.BURST_S) - 5 <= answered <= 100 * (30 + limits.BURST_S)


def test_a_write_that_comes_too_often_is_told_when_there_is_room() -> None:
    answer = answers.refused(RateLimitedError("olga writes too often", "wait 7 s", 7)).answer()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_one_user_from_many_addresses_has_one_bucket_and_memory_is_bounded() -> None:
    made = limits.Limits(1000)
    for number in range(3 * limits._KEYS):
        made.check(f"address {number}")
    assert len(made._buckets) == limits._KEYS
    connection = limits.HTTPConnection({"type": "http", "client": ("10.0.0.9", 1), "state": {}})
    assert limits.actor_key(Actor("olga", Role.OPERATOR, "http"), connection) == "actor olga"
    assert limits.actor_key(Actor("anonymous", Role.VIEWER, "http"), connection) == (
        "actor anonymous at 10.0.0.9"
    )


def test_streams_of_one_user_are_bounded(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMS", 2)

    async def main() -> None:
        async with desk.serving() as endpoint:
            url = f"ws://x{PREFIX}/stream"
            first = await unix_connect(endpoint.socket, url, open_timeout=60)
            second = await unix_connect(endpoint.socket, url, open_timeout=60)
            with pytest.raises(InvalidStatus) as refused:
                await unix_connect(endpoint.socket, url, open_timeout=60)
            assert refused.value.response.status_code == 429
            await first.close()

            async def free() -> Any:
                while True:
                    try:
                        return await unix_connect(endpoint.socket, url, open_timeout=60)
                    except InvalidStatus:
                        await desk.clock.sleep(0.01)

            async with asyncio.timeout(60):
                third = await free()
            await second.close()
            await third.close()

    asyncio.run(main())


def test_a_stream_that_asks_for_something_else_too_often_is_closed(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "monotonic_ns", lambda: 0)
    desk.plant.head.api.__dict__["requests_per_s"] = 1

    async def main() -> None:
        from websockets.exceptions import ConnectionClosed

        async with desk.serving() as endpoint:
            websocket = await unix_connect(endpoint.socket, f"ws://x{PREFIX}/stream", open_timeout=60)

            async def ask_again_and_again() -> None:
                while True:
                    await websocket.send("{}")
                    await desk.clock.sleep(0)

            with pytest.raises(ConnectionClosed) as closed:
                await ask_again_and_again()
            assert closed.value.rcvd.code == 1013

    asyncio.run(main())


def test_long_lists_come_in_pages_that_hold_while_the_list_changes(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, _on_socket(endpoint) as raw:
            for level in (95.0, 1.0, 95.0):
                desk.port.set("tank/level", level)
                await desk.until(lambda level=level: desk.port.value("sys/alarms/active") == (level > 90))
            first = (await raw.get(f"{PREFIX}/alarms/journal?limit=2")).json()
            desk.port.set("tank/level", 1.0)  # a new entry, which shifts the list by one
            await desk.until(lambda: desk.port.value("sys/alarms/active") == 0)
            rest = (await raw.get(f"{PREFIX}/alarms/journal?limit=2&before={first['next']}")).json()
            assert [each["transition"] for each in first["entries"] + rest["entries"]] == [
                "raised",
                "cleared",
                "raised",
            ]
            assert rest["next"] is None
            every = (await raw.get(f"{PREFIX}/alarms?all=true")).json()
            assert every["next"] is None
            seen, after = [], ""
            while after is not None:
                page = (await raw.get(f"{PREFIX}/alarms?all=true&limit=1&after={after}")).json()
                seen += page["alarms"]
                after = page["next"]
            assert [each["name"] for each in seen] == [each["name"] for each in every["alarms"]]
            assert (await raw.get(f"{PREFIX}/alarms?after=nothing")).status_code == 404
            for number in range(3):
                body = {"user": "olga", "read": [f"tank/{number}"]}
                await raw.post(f"{PREFIX}/tokens", json=body)
            one = (await raw.get(f"{PREFIX}/tokens?limit=2")).json()
            two = (await raw.get(f"{PREFIX}/tokens?limit=2&after={one['next']}")).json()
            assert [each["read"] for each in one["tokens"] + two["tokens"]] == [
                [f"tank/{number}"] for number in range(3)
            ]
            assert two["next"] is None

    asyncio.run(main())
