"""The client on foreign servers: node-opcua, and our own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.frame.connection import Traffic
from drivers.opcua.chaos.process import free_port
from drivers.opcua.client.address import parse_node
from drivers.opcua.client.browse import listing
from drivers.opcua.client.connect import Way, open_session
from drivers.opcua.client.login import NOBODY
from drivers.opcua.trust import TrustList
from runtime.clock import WallClock
from runtime.contract import Access, DataType, Quality

PACKAGE = "node-opcua-server"
START_WITHIN_S = 180
SCRIPT = Path(__file__).with_name("peer_server.js")
GOOD = int(Quality.GOOD)
RW = Access.READ_WRITE


@pytest.fixture(scope="session")
def node_server(node_package: Callable[[str], Path]) -> Path:
    return node_package(PACKAGE)


@pytest.mark.peer
def test_node_opcua_is_browsed_subscribed_written_called_and_lost(
    side: Any, tag: Any, run: Any, wait: Any, node_server: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    number = free_port()
    url = f"opc.tcp://127.0.0.1:{number}"
    monkeypatch.setenv("PEER", "geheim")
    pace = {"period": "200ms", "keep_alive": "10s"}
    tags = [tag(f"v{each}", DataType.LREAL, f"ns=1;s=v{each}") for each in range(1000)]
    tags += [
        tag("set", DataType.LREAL, "ns=1;s=set", access=RW),
        tag("element", DataType.DINT, "ns=1;s=array#[1]", access=RW),
        tag("last", DataType.DINT, "ns=1;s=array#[2]"),
        tag("fixed", DataType.INT, "ns=1;s=fixed", access=RW),
        tag("called", DataType.DINT, "ns=1;s=called"),
        tag("start", DataType.DINT, "call:ns=1;s=Line>ns=1;s=Start", access=RW),
        tag("none", DataType.DINT, "ns=1;s=none"),
    ]
    user = {"user": "anna", "password_env": "PEER"}
    plant = side(tags, url, security="Aes256_Sha256_RsaPss", **user, **pace)
    port = plant.port

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(SCRIPT),
            str(number),
            str(tmp_path / "pki"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"NODE_PATH": str(node_server)},
            cwd=tmp_path,
        )
        assert process.stdout is not None
        async with asyncio.timeout(START_WITHIN_S):
            while await process.stdout.readline() != b"ready\n":
                assert process.returncode is None, "the server did not start"
        return process

    async def main() -> None:
        process = await start()
        try:
            async with run(plant):
                await wait(lambda: port.value("sys/drivers/io/state") == "off")
                trust = TrustList(tmp_path / ".ironworks" / "opcua" / "io")
                (shown,) = trust.list()
                trust.accept(shown.fingerprint)
                await wait(lambda: port.quality("v999") == GOOD)
                before = port.value("v0")
                await wait(lambda: port.value("v0") > before and port.value("v999") > before)
                assert port.quality("none") == Quality.BAD_CONFIGURATION_ERROR
                assert (port.value("element"), port.value("last")) == (2, 3)
                assert await port.command("set", 2.3) is None
                assert await port.command("element", 20) is None
                await wait(lambda: (port.value("element"), port.value("last")) == (20, 3))
                assert await port.command("fixed", 5) == "the server refuses: BadNotWritable"
                assert await port.command("start", 9) is None
                await wait(lambda: port.value("called") == 9)
                assert await port.command("start", -1) == "the server refuses: BadOutOfRange"
                made = await _listing(url)
                assert [each.path for each in made.tags if each.path.startswith("io/Line/v")] == [
                    f"io/Line/v{each}" for each in range(1000)
                ]
                (found,) = (each for each in made.tags if each.path == "io/Line/set")
                assert (found.data_type, found.access) == (DataType.REAL, RW)
                assert found.address.startswith("ns=1;s=set")
                process.kill()
                await process.wait()
                await wait(lambda: port.quality("v0") == Quality.BAD_NO_COMMUNICATION)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _listing(server: str) -> Any:
        way = Way("io", "urn:test", "None", False, tmp_path, 60.0)
        session = await open_session(server, way, NOBODY, Traffic(), WallClock())
        try:
            await session.learn()
            return await listing(session, session.node_id(parse_node("i=85")), "io")
        finally:
            await session.close(politely=True)

    asyncio.run(main())


def test_our_own_server_takes_and_refuses_by_its_gate(
    serve: Any, side: Any, tag: Any, run: Any, wait: Any, opcua_state: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OLGA", "pump")
    monkeypatch.setenv("NOBODY", "wrong")
    root = "nb/bottling/line1"
    tags = [
        tag("level", DataType.REAL, f"nsu=urn:ironworks:demo:tags;s={root}/tank/level_pct"),
        tag("speed", DataType.REAL, f"ns=2;s={root}/line/speed", access=RW),
        tag("recipe", DataType.INT, f"ns=2;s={root}/line/recipe", access=RW),
        tag("text", DataType.STRING, f"ns=2;s={root}/all/string"),
        tag("took", DataType.TIME, f"ns=2;s={root}/all/time"),
        tag("at", DataType.DT, f"ns=2;s={root}/all/dt"),
    ]

    async def main() -> None:
        async with serve() as served:
            far = served.port
            far.set("tank/level_pct", 41.5)
            far.set("line/speed", 12.0)
            far.set("line/recipe", 1)
            far.set("all/string", "橙汁")
            far.set("all/time", 1_500_000_000)
            far.set("all/dt", 1_700_000_000_123_456_000)
            TrustList(tmp_path / ".ironworks" / "opcua" / "io").add(
                opcua_state / "opcua" / "opcua" / "certificate.der"
            )
            secure = {"security": "Basic256Sha256"}
            plant = side(tags, served.url, user="olga", password_env="OLGA", deadband=0.5, **secure)
            poll = side(tags, served.url, mode="poll")
            denied = side(tags, served.url, user="olga", password_env="NOBODY", **secure)
            async with run(plant, poll, denied):
                for each in (plant, poll):
                    port = each.port
                    await wait(lambda port=port: port.value("level") == 41.5 and port.value("speed") == 12.0)
                    assert (port.value("text"), port.value("took")) == ("橙汁", 1_500_000_000)
                    assert port.value("at") == 1_700_000_000_123_456_000
                port = plant.port
                assert port.table.source_ns[port.tags["level"].id] // 1000 == (
                    far.table.source_ns[far.tags["tank/level_pct"].id] // 1000
                )
                far.set("tank/level_pct", 41.8)  # within the deadband
                far.set("tank/level_pct", 42.5, Quality.UNCERTAIN_LAST_USABLE_VALUE)
                await wait(lambda: port.value("level") == 42.5)
                assert port.quality("level") == Quality.UNCERTAIN_LAST_USABLE_VALUE
                far.set("tank/level_pct", 43.5, Quality.BAD_SENSOR_FAILURE)
                await wait(lambda: port.quality("level") == Quality.BAD_SENSOR_FAILURE)
                unsafe = "BadSecurityModeInsufficient"
                assert await port.command("speed", 33.0) is None
                assert far.value("line/speed") == 33.0
                assert far.writes[-1][2].name == "olga"
                assert await port.command("speed", 61.0) == "the server refuses: BadOutOfRange"
                assert await port.command("recipe", 2) == "the server refuses: BadUserAccessDenied"
                assert await poll.port.command("speed", 20.0) == f"the server refuses: {unsafe}"
                await wait(lambda: "does not take user 'olga'" in denied.port.health_text)

    asyncio.run(main())
