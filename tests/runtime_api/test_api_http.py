"""What HTTP clients get: reads, writes through the gate, roles, refusals in one shape."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing, suppress
from typing import Any

import httpx
import numpy as np
import pytest

from runtime.api import history
from runtime.client import PlantClient
from runtime.contract import Batch, DataType, Quality
from runtime.errors import ConnectError, PlantError, WriteRejectedError
from runtime.wire import PREFIX, AlarmChange


def test_the_client_sees_the_plant_and_is_admin_on_the_socket_of_its_own_account(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            info = await client.info()
            assert (info.plant, info.root, info.title.in_language("zh")) == (
                "brewery",
                "site/area/line",
                "啤酒厂",
            )
            assert info.user.role == "admin"
            assert info.started_ns <= info.now_ns

    asyncio.run(main())


def test_a_tag_has_value_quality_and_time_and_no_value_while_bad(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            before = await client.tag("tank/level")
            assert (before.value, before.quality_text) == (None, "BadWaitingForInitialData")
            desk.port.set("tank/level", 42.5)
            tag = await client.tag("site/area/line/tank/level")
            assert (tag.value, tag.unit_text, tag.quality_text) == (42.5, "%", "Good")
            assert tag.source_ns > before.source_ns
            desk.port.set("tank/level", 42.5, Quality.BAD_NO_COMMUNICATION)
            assert (await client.tag("tank/level")).value is None

    asyncio.run(main())


def test_values_keep_their_type_and_all_64_bits(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            for path, value in (
                ("pump/count", -(2**63)),
                ("pump/mask", 2**64 - 1),
                ("tank/batch", "批次 7"),
                ("tank/setpoint", 5.0),
            ):
                assert (await client.write(path, value)).value == value
                assert (await client.tag(path)).value == value
            assert isinstance((await client.tag("tank/setpoint")).value, float)
            desk.port.set("tank/level", 7.0)
            await client.write("pump/run", True)
            assert (await client.tag("pump/run")).value is True

    asyncio.run(main())


def test_not_a_number_reads_as_null(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            desk.port.set("tank/level", float("nan"))
            assert (await client.tag("tank/level")).value is None

    asyncio.run(main())


def test_tags_come_in_pages_and_by_glob(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            paths = [tag.path for tag in await client.tags("tank/*")]
            assert paths == [
                f"site/area/line/tank/{name}" for name in ("level", "setpoint", "limit", "batch")
            ]
            raw = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=client.endpoint.socket), timeout=60
            )
            async with raw:
                first = (await raw.get("http://x/api/v1/tags?limit=2&match=**")).json()
                rest = (await raw.get(f"http://x/api/v1/tags?match=**&after={first['next']}")).json()
            assert [tag["id"] for tag in first["tags"] + rest["tags"]] == list(range(len(desk.plant.tags)))
            assert rest["next"] is None

    asyncio.run(main())


def test_a_pattern_cannot_keep_the_plant_busy(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            assert await client.tags("*?" * 12 + "!") == []
            assert [tag.path for tag in await client.tags("tank/*?*?*?*l")] == ["site/area/line/tank/level"]
            assert len(await client.tags("**/tank/**")) == 4
            for pattern in ("**?*?*?!", "**a**b**", "x" * 300 + "*"):
                with pytest.raises(PlantError, match="too"):
                    await client.tags(pattern)
            with pytest.raises(PlantError, match="too many"):
                await client.tags(*["*"] * 50)

    asyncio.run(main())


def test_a_write_tells_the_previous_value_and_is_audited(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            await client.write("tank/setpoint", 10)
            written = await client.write("tank/setpoint", 20.5, "new recipe")
            assert (written.previous, written.value) == (10.0, 20.5)
            newest = (await client.audit(1))[0]
            assert (newest.action, newest.outcome, newest.reason) == ("write", "done", "new recipe")
            assert newest.target == "site/area/line/tank/setpoint"
            assert len(await client.audit(10, before=newest.seq)) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("tank/setpoint", 101, "out of range"),
        ("tank/setpoint", "hot", "REAL cannot be"),
        ("tank/level", 5, "read only"),
        ("pump/run", True, "interlock"),
        ("pump/count", 2**63, "outside LINT"),
        ("pump/count", 10**400, "pump/count"),
        ("tank/setpoint", 10**400, "tank/setpoint"),
    ],
)
def test_a_refused_write_says_why_and_changes_nothing(desk: Any, path: str, value: object, why: str) -> None:
    async def main() -> None:
        async with desk.client() as client:
            desk.port.set("tank/level", 1.0)
            with pytest.raises(WriteRejectedError, match=why):
                await client.write(path, value)
            if path != "tank/level":
                assert desk.port.value(path) is None
            assert (await client.audit(1))[0].outcome == "refused"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/tags/tank/setpoint", {"value": 101}, 422),
        ("PUT", "/tags/tank/setpoint", {"value": "hot"}, 422),
        ("PUT", "/tags/tank/setpoint", {"value": True}, 422),
        ("PUT", "/tags/tank/setpoint", {"value": True, "dry_run": True}, 422),
        ("PUT", "/tags/pump/count", {"value": False}, 422),
        ("PUT", "/tags/tank/setpoint", {"value": 5, "for_ns": 2**61}, 422),
        ("PUT", "/tags/tank/setpoint", {"value": 5, "reason": "x" * 501}, 422),
        ("PUT", "/tags/tank/level", {"value": 5}, 409),
        ("POST", "/alarms/tank.high/shelve", {"for_ns": 10**9, "reason": " "}, 422),
        ("POST", "/alarms/tank.high/shelve", {"for_ns": 2**61, "reason": "x"}, 422),
        ("POST", "/alarms/tank.high/acknowledge", {}, 409),
        ("PUT", "/gate/mode", {"mode": "maintenance"}, 422),
        ("POST", "/users", {"name": "gate", "role": "viewer", "secret": "$argon2id$x"}, 422),
        ("POST", "/users", {"name": "ann", "role": "viewer", "secret": "plain"}, 422),
        ("DELETE", "/users/nobody", None, 404),
        ("POST", "/tokens", {"user": "nobody", "read": ["**"]}, 422),
        ("DELETE", "/tokens/0000", None, 404),
        ("DELETE", "/sessions/0000", None, 404),
        ("DELETE", "/certificates/0000", None, 404),
    ],
)
def test_a_refusal_tells_what_is_asked_from_what_the_plant_does_not_allow_now(
    desk: Any, method: str, path: str, body: object, status: int
) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            transport = httpx.AsyncHTTPTransport(uds=endpoint.socket)
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://x{PREFIX}", timeout=60
            ) as raw:
                answer = await raw.request(method, path, json=body)
                assert (answer.status_code, "items" in answer.text) == (status, False), answer.text

    asyncio.run(main())


def test_what_cannot_be_a_head_of_the_audit_is_no_finding(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            with pytest.raises(PlantError, match=r"query\.expect"):
                await client.verify_audit("4f04")
            report = await client.verify_audit("A" * 64)
            assert [each.kind for each in report.findings] == ["head"]

    asyncio.run(main())


def test_an_unknown_tag_is_not_found_and_a_close_one_is_named(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            with pytest.raises(PlantError, match="tank/level"):
                await client.tag("tank/levle")
            with pytest.raises(PlantError, match="no tag"):
                await client.tags("tank/levle")

    asyncio.run(main())


def test_on_tcp_nobody_is_viewer_and_a_secret_makes_the_user(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            place = type(endpoint)(http=endpoint.http)
            async with PlantClient(place) as nobody:
                assert (await nobody.info()).user.role == "viewer"
                with pytest.raises(WriteRejectedError, match="needs operator"):
                    await nobody.write("tank/setpoint", 5)
                with pytest.raises(WriteRejectedError, match="restart"):
                    await nobody.restart("idle")
            for _ in range(2):
                async with PlantClient(place, "olga", "hops & malt") as olga:
                    assert (await olga.info()).user.name == "olga"
                    assert (await olga.write("tank/setpoint", 5)).value == 5
                    with pytest.raises(WriteRejectedError, match="needs engineer"):
                        await olga.write("tank/limit", 5)
            for name, secret in (("olga", "wrong"), ("nobody", "hops & malt"), ("olga", "")):
                async with PlantClient(place, name, secret) as wrong:
                    with pytest.raises(PlantError, match="wrong"):
                        await wrong.info()
            async with httpx.AsyncClient(base_url=endpoint.http or "", timeout=60) as raw:
                for header in ("Basic ???", "Bearer abc", "Basic", ""):
                    answer = await raw.get("/api/v1/info", headers={"Authorization": header})
                    assert answer.status_code == 401
                    asks = answer.headers["www-authenticate"]
                    assert 'Basic realm="ironworks", charset="UTF-8"' in asks
                    assert 'Bearer realm="ironworks"' in asks  # RFC 6750, 3: never without a parameter
                    assert ('error="invalid_token"' in asks) == ("Bearer" in header)

    asyncio.run(main())


def test_a_method_that_a_resource_does_not_take_is_told_those_that_it_does(desk: Any) -> None:
    async def main() -> None:
        async with (
            desk.serving() as endpoint,
            httpx.AsyncClient(base_url=endpoint.http or "", timeout=60) as raw,
        ):
            for path, allowed in (
                ("/tags/tank/setpoint", {"GET", "HEAD", "PUT"}),
                ("/users", {"GET", "HEAD", "POST"}),
                ("/users/olga/role", {"PUT"}),
                ("/sessions/1", {"DELETE"}),
                ("/openapi.json", {"GET", "HEAD"}),
            ):
                answer = await raw.patch(f"/api/v1{path}")
                assert answer.status_code == 405, path
                assert set(answer.headers["allow"].split(", ")) == allowed, path

    asyncio.run(main())


def test_where_the_plant_file_says_so_nobody_on_tcp_goes_without_a_name(folder: Any, request: Any) -> None:
    file = folder / "plant.yaml"
    file.write_text(file.read_text().replace("api: {", "api: {anonymous: none, "))
    desk = request.getfixturevalue("desk")

    async def main() -> None:
        async with (
            desk.serving() as endpoint,
            httpx.AsyncClient(base_url=endpoint.http or "", timeout=60) as raw,
        ):
            found = {path: await raw.get(path) for path in ("/api/v1/info", "/metrics", "/healthz")}
            assert [each.status_code for each in found.values()] == [401, 401, 200]
            assert found["/metrics"].json()["error"] == "this needs a name"
            assert (await raw.get("/api/v1/info", auth=("olga", "hops & malt"))).status_code == 200
            async with PlantClient(endpoint) as client:  # by the unix socket
                assert (await client.info()).user.via == "local"

    asyncio.run(main())


def test_foreign_host_origin_and_large_bodies_are_refused_on_tcp(desk: Any) -> None:
    async def main() -> None:
        async with (
            desk.serving() as endpoint,
            httpx.AsyncClient(base_url=endpoint.http or "", timeout=60) as raw,
        ):
            for name, value, status in (
                ("Host", "evil.example", 403),
                ("Host", "127.0.0.1.evil.example:80", 403),
                ("Host", "[", 403),
                ("Origin", "https://evil.example", 403),
                ("Origin", "null", 403),
                ("Host", "localhost:1234", 200),
                ("Origin", "http://localhost:9", 403),
                ("Origin", endpoint.http, 200),
                ("X-Forwarded-For", "10.0.0.9", 401),  # a proxy on this machine: who asks is elsewhere
                ("Via", "1.1 proxy", 401),
                ("Sec-Fetch-Site", "cross-site", 403),
                ("Sec-Fetch-Site", "same-origin", 200),
            ):
                answer = await raw.get("/api/v1/info", headers={name: value})
                assert answer.status_code == status, (name, value)
                assert status == 200 or answer.json()["remedy"]
            big = b'{"value": "' + b"x" * 2**20 + b'"}'
            json = {"Content-Type": "application/json"}
            answer = await raw.put("/api/v1/tags/tank/batch", content=big, headers=json)
            assert answer.status_code == 413

            async def chunks():
                for start in range(0, len(big), 50_000):
                    yield big[start : start + 50_000]

            answer = await raw.put("/api/v1/tags/tank/batch", content=chunks(), headers=json)
            assert answer.status_code == 413
            assert "access-control-allow-origin" not in (await raw.get("/api/v1/info")).headers

    asyncio.run(main())


def test_an_alarm_is_listed_acknowledged_and_in_the_journal(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            assert await client.alarms() == ()
            assert {each.name: each.state for each in await client.alarms(all=True)}["tank.high"] == "normal"
            await desk.overflow_the_tank()
            (alarm,) = await client.alarms()
            assert (alarm.name, alarm.active, alarm.value, alarm.text.zh) == ("tank.high", True, 95.0, "罐满")
            done = await client.acknowledge("tank.high", "on my way")
            assert (done.state, done.comment) == ("acknowledged", "on my way")
            with pytest.raises(WriteRejectedError, match="nothing to acknowledge"):
                await client.acknowledge("tank.high")
            with pytest.raises(WriteRejectedError, match="no alarm"):
                await client.acknowledge("tank.hihg")
            journal = await client.alarm_journal()
            assert [each.transition for each in journal] == ["acknowledged", "raised"]

    asyncio.run(main())


def test_alarms_are_shelved_shown_and_taken_out_of_service(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            await desk.overflow_the_tank()
            with pytest.raises(WriteRejectedError, match="needs a reason"):
                await client.shelve("tank.high", 60 * 10**9, "")
            shelved = await client.shelve("tank.high", 60 * 10**9, "sensor is cleaned")
            assert (shelved.hidden, shelved.shelved.reason) == (True, "sensor is cleaned")
            assert await client.alarms() == ()
            assert [each.name for each in await client.alarms(hidden=True)] == ["tank.high"]
            shown = await client.unshelve("tank.high")
            assert (shown.hidden, shown.shelved, shown.state) == (False, None, "unacknowledged")
            assert (await client.out_of_service("tank.high", "away")).out_of_service.until_ns is None
            assert not (await client.in_service("tank.high")).hidden
            with pytest.raises(WriteRejectedError, match="not latched"):
                await client.reset_alarm("tank.high")
            figures = await client.alarm_figures(1.0)
            assert (figures.announced, figures.standing, figures.top[0].alarm) == (3, 1, "tank.high")
            newest = (await client.alarm_journal(1))[0]
            assert (newest.transition, newest.announced) == ("in_service", True)

    asyncio.run(main())


def test_an_alarm_that_needs_it_is_listed_until_it_is_confirmed(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            desk.port.set("pump/count", 2000)
            await desk.until(lambda: desk.port.value("sys/alarms/active") == 1)
            with pytest.raises(WriteRejectedError, match="nothing to confirm: it is unacknowledged"):
                await client.confirm("pump.worn")
            waits = await client.acknowledge("pump.worn", "on my way")
            assert (waits.confirm, waits.confirmed, waits.rests) == (True, False, False)
            desk.port.set("pump/count", 1)
            await desk.until(lambda: desk.port.value("sys/alarms/active") == 0)
            (listed,) = await client.alarms()
            assert (listed.name, listed.state, listed.confirmed) == ("pump.worn", "normal", False)
            async with asyncio.timeout(60), aclosing(client.stream(alarms=True)) as stream:
                told = await anext(each async for each in stream if isinstance(each, AlarmChange))
            assert told.alarm == listed
            done = await client.confirm("pump.worn", "seal replaced")
            assert (done.confirmed, done.comment) == (True, "seal replaced")
            assert done.confirmed_by == (await client.info()).user.name
            assert await client.alarms() == ()
            assert (await client.alarm_journal(1))[0].transition == "confirmed"
            with pytest.raises(WriteRejectedError, match="nothing to confirm"):
                await client.confirm("pump.worn")
            with pytest.raises(WriteRejectedError, match="no alarm"):
                await client.confirm("pump.wron")

    asyncio.run(main())


def test_an_alarm_is_shelved_for_one_episode(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            await desk.overflow_the_tank()
            shelved = await client.shelve("tank.high", 3600 * 10**9, "being emptied", once=True)
            assert shelved.shelved.once
            with pytest.raises(WriteRejectedError, match="already until its episode ends"):
                await client.shelve("tank.high", 3600 * 10**9, "again", once=True)
            desk.port.set("tank/level", 10.0)
            await desk.until(lambda: desk.alarm()["shelved"] is None)
            assert await client.alarms(hidden=True) == ()
            assert [each.transition for each in await client.alarm_journal(2)] == ["unshelved", "cleared"]

    asyncio.run(main())


def test_components_and_health(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            (idle,) = await client.components()
            assert (idle.name, idle.state) == ("idle", "running")
            assert (await client.restart("idle")).name == "idle"
            await desk.until(lambda: desk.supervisor.views()[0]["restarts"] == 1)
            with pytest.raises(PlantError, match="no component"):
                await client.restart("idel")
            health = await client.health()
            assert health.ok
            assert health.history is None

    asyncio.run(main())


def test_history_and_trend(desk: Any) -> None:
    async def main() -> None:
        async with desk.client() as client:
            with pytest.raises(PlantError, match="keeps no history"):
                await client.history(["tank/level"], 0, 10)
            raw = [DataType.REAL.encode(value) for value in (1.0, 2.0, 6.0)]
            quality = np.array([0, Quality.BAD, 0], np.uint32)
            desk.remember(Batch.of([0, 0, 0], raw, np.array([10, 20, 30]), quality))
            (series,) = await client.history(["tank/level"], 10, 40)
            assert series.points == ((10, 1.0, 0), (20, None, int(Quality.BAD)), (30, 6.0, 0))
            assert (await client.history(["tank/level"], 10, 40, limit=1))[0].points == ((30, 6.0, 0),)
            (trend,) = await client.trend(["tank/level"], 0, 40, 1)
            assert trend.points == ((0, 1.0, 3.0, 6.0),)
            for paths, start, end, why in (
                (["tank/levle"], 0, 9, "no tag"),
                (["tank/level"], 9, 9, "not after"),
                (["tank/level"], -1, 9, "start"),
            ):
                with pytest.raises(PlantError, match=why):
                    await client.history(paths, start, end)
            with pytest.raises(PlantError, match="is text"):
                await client.trend(["tank/batch"], 0, 9, 1)

    asyncio.run(main())


def test_many_points_are_written_beside_the_loop(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Figures:
        """Points of one tag that know where they are written."""

        def listed(self, data_type: Any, mode: str) -> list[tuple[int, float, int]]:
            assert threading.current_thread() is not threading.main_thread(), "it would hold up everything"
            return [(0, 1.5, 0)]

    async def figures(ids: Any, *_: Any) -> dict[int, Figures]:
        return {int(each): Figures() for each in ids}

    async def main() -> None:
        desk.remember(Batch.of([0], [0], 1))
        monkeypatch.setattr(desk.historian, "figures", figures, raising=False)
        async with (
            desk.serving() as endpoint,
            httpx.AsyncClient(base_url=endpoint.http or "", timeout=60) as raw,
        ):
            asked = {"tag": "tank/level", "start": 0, "end": 9, "mode": "mean", "interval": 9}
            answer = await raw.get("/api/v1/history", params=asked)
            assert answer.json()["series"][0]["points"] == [[0, 1.5, 0]]

    asyncio.run(main())


def test_large_answers_are_written_one_after_the_other(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)
    met = []

    def samples(*given: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            met.append(both.wait(0.2))
        return history.Json({})

    async def main() -> None:
        monkeypatch.setattr(history, "_samples", samples)
        rows = history._MANY + 1
        desk.remember(Batch.of(np.zeros(rows, np.int32), np.zeros(rows, np.uint64), np.arange(rows)))
        async with (
            desk.serving() as endpoint,
            httpx.AsyncClient(base_url=endpoint.http or "", timeout=60) as raw,
        ):
            asked = {"tag": "tank/level", "start": 0, "end": rows, "limit": rows}
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(raw.get("/api/v1/history", params=asked)) for _ in range(2)]
            assert [task.result().status_code for task in tasks] == [200, 200]
        assert not met, "each may take 200 MB meanwhile"

    asyncio.run(main())


def parts_of(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a JSON document."""
    if isinstance(document, dict):
        yield document
    for each in document.values() if isinstance(document, dict) else document:
        if isinstance(each, dict | list):
            yield from parts_of(each)


def test_openapi_describes_every_answer(desk: Any) -> None:
    async def main() -> None:
        async with (
            desk.serving() as endpoint,
            httpx.AsyncClient(base_url=endpoint.http or "", timeout=60) as raw,
        ):
            document = (await raw.get("/api/v1/openapi.json")).json()
            schemas = document["components"]["schemas"]
            names = []
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    content = operation["responses"]["200"]["content"]
                    if path.endswith("/backup"):
                        assert set(content) == {"application/gzip"}
                    elif path.endswith("/{name}/record"):
                        assert set(content) == {"application/vnd.tcpdump.pcap"}
                    elif path != "/metrics":  # Prometheus' own format
                        schema = content["application/json"]["schema"]
                        assert schema["$ref"].rpartition("/")[2] in schemas, (path, method)
                    assert {"401", "403", "413", "429", "503"} <= operation["responses"].keys()
                    assert operation["summary"], (path, method)
                    names.append(operation["operationId"])
            assert len(names) == len(set(names))
            assert {"TagView", "AlarmView", "Subscription", "Refusal"} <= schemas.keys()
            arrays = [each for each in parts_of(schemas) if each.get("type") == "array"]
            assert all(isinstance(each.get("items", {}), dict) for each in arrays), "generators know no false"
            assert all({"items", "prefixItems"} & each.keys() for each in arrays)
            assert (await raw.get("/docs")).status_code == 404
            missing = await raw.get("/api/v1/nothing")
            assert (missing.status_code, missing.headers["content-type"]) == (
                404,
                "application/problem+json",
            )

    asyncio.run(main())


def test_a_plant_that_is_gone_is_told_as_such(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            client = await PlantClient(endpoint).__aenter__()
        with pytest.raises(ConnectError, match="cannot be reached"):
            await client.info()
        await client.__aexit__(None, None, None)

    asyncio.run(main())
