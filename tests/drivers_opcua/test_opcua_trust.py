"""Which clients come in: by certificate, and by address. The stock server lets all in."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Server, ua
from asyncua.ua.uaerrors import UaStatusCodeError
from typer.testing import CliRunner

from drivers.cli import app
from drivers.opcua.certificate import own_certificate
from drivers.opcua.limits import whence

SPEED = "ns=2;s=nb/bottling/line1/line/speed"
ALLOWED = (AssertionError, pytest.fail.Exception, TimeoutError)
STOCK = pytest.mark.xfail(strict=True, raises=ALLOWED, reason="the stock server allows it")
BOTH = pytest.mark.parametrize("kind", ["ours", pytest.param("stock", marks=STOCK)])
REFUSED = (ConnectionError, TimeoutError, ua.UaError, OSError)


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client")
    own_certificate(folder, "urn:client", "client")
    return folder


@pytest.fixture
def plant(tmp_path: Path, serve: Any, opcua_state: Path) -> Path:
    """A plant folder whose state is that of the server; it has a key already."""
    serve.state = tmp_path / ".ironworks"
    own_certificate(opcua_state / "opcua" / "opcua", "urn:ironworks:demo", "Ironworks")
    for name in ("key.pem", "certificate.der"):
        target = serve.state / "opcua" / "opcua" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(opcua_state / "opcua" / "opcua" / name, target)
    lines = ["plant: demo", "root: nb/bottling/line1", "drivers:", "  - {name: opcua, kind: opcua.server}"]
    (tmp_path / "plant.yaml").write_text("\n".join(lines) + "\n")
    return tmp_path


async def secured(url: str, peer: Path, uri: str = "urn:client") -> Client:
    client = Client(url, timeout=60, watchdog_intervall=60)
    client.application_uri = uri
    files = f"{peer}/certificate.der,{peer}/key.pem"
    await client.set_security_string(f"Basic256Sha256,SignAndEncrypt,{files}")
    return client


def ironworks(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_client_comes_in_once_it_is_trusted_and_goes_when_that_is_withdrawn(
    serve: Any, plant: Path, peer: Path, wait: Any
) -> None:
    def trust(*arguments: str) -> dict[str, Any]:
        said = ironworks("trust", "opcua", *arguments, "--plant", str(plant), "--json")
        (shown,) = json.loads(said)["certificates"]
        return dict(shown)

    async def main() -> None:
        async with serve(certificates="trusted") as served:
            served.port.set("line/speed", 1.0)
            for _ in range(2):
                with pytest.raises(REFUSED):
                    await (await secured(served.url, peer)).connect()
            (told,) = [each for each in served.port.emitted if each.kind == "driver.client_refused"]
            shown = trust()
            assert (shown["trusted"], shown["uris"]) == (False, ["urn:client"])
            assert f"ironworks drivers trust opcua {shown['fingerprint'][:16]}" in told.text
            assert trust(shown["fingerprint"][:16])["trusted"]
            client = await secured(served.url, peer)
            async with asyncio.timeout(60):
                while True:
                    try:
                        await client.connect()
                        break
                    except REFUSED:
                        client = await secured(served.url, peer)
            assert await client.get_node(SPEED).read_value() == 1.0
            await wait(lambda: served.port.value("sys/drivers/opcua/client_certificate_days") is not None)
            assert 1_800 < served.port.value("sys/drivers/opcua/client_certificate_days") < 1_830
            other = await secured(served.url, peer, "urn:somebody:else")
            with pytest.raises(UaStatusCodeError, match="BadCertificateUriInvalid"):
                await other.connect()
            assert not trust(shown["fingerprint"][:16], "--withdraw")["trusted"]
            await wait(lambda: not served.component._service._server.sessions)
            with pytest.raises(REFUSED):
                await client.get_node(SPEED).read_value()
            client.disconnect_socket()
            with pytest.raises(REFUSED):
                await (await secured(served.url, peer)).connect()

    asyncio.run(main())


@BOTH
def test_a_certificate_that_nobody_trusts_opens_no_channel(
    serve: Any, plant: Path, peer: Path, kind: str
) -> None:
    async def stock() -> None:
        server = Server()
        await server.init()
        server.set_endpoint("opc.tcp://127.0.0.1:0/")
        await server.load_certificate(plant / ".ironworks" / "opcua" / "opcua" / "certificate.der")
        await server.load_private_key(plant / ".ironworks" / "opcua" / "opcua" / "key.pem")
        async with server:
            await refused(f"opc.tcp://127.0.0.1:{server.bserver.port}/")

    async def ours() -> None:
        async with serve(certificates="trusted") as served:
            await refused(served.url)

    async def refused(url: str) -> None:
        client = await secured(url, peer)
        with pytest.raises(REFUSED):
            async with client:
                pass

    asyncio.run(ours() if kind == "ours" else stock())


def test_a_renewed_certificate_is_shown_while_clients_stay(serve: Any, plant: Path, wait: Any) -> None:
    async def main() -> None:
        async with serve() as served, Client(served.url, timeout=60, watchdog_intervall=60) as client:
            served.port.set("line/speed", 1.0)
            await wait(lambda: served.port.value("sys/drivers/opcua/certificate_days") is not None)
            assert 1_800 < served.port.value("sys/drivers/opcua/certificate_days") < 1_830
            before = (await client.get_endpoints())[0].ServerCertificate
            arguments = ("renew", "opcua", "--plant", str(plant), "--json")
            new = json.loads(await asyncio.to_thread(ironworks, *arguments))
            assert new["file"].endswith("opcua/certificate.der")
            async with asyncio.timeout(60):
                while (await client.get_endpoints())[0].ServerCertificate == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert await client.get_node(SPEED).read_value() == 1.0
            async with await secured(served.url, plant / ".ironworks" / "opcua" / "opcua") as other:
                assert await other.get_node(SPEED).read_value() == 1.0

    asyncio.run(main())


@BOTH
def test_one_address_does_not_take_all_connections(serve: Any, kind: str) -> None:
    async def stock() -> None:
        server = Server()
        await server.init()
        server.iserver.max_connections = 6
        server.set_endpoint("opc.tcp://127.0.0.1:0/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        async with server:
            await others_come_in(server.bserver.port)

    async def ours() -> None:
        async with serve(max_connections=6, per_address=3) as served:
            await others_come_in(int(served.url.rstrip("/").rpartition(":")[2]))

    async def others_come_in(port: int) -> None:
        hello = b"HELF" + (32 + 24).to_bytes(4, "little") + bytes(4)
        hello += b"".join((65_536).to_bytes(4, "little") for _ in range(2)) + bytes(8)
        hello += (24).to_bytes(4, "little") + b"opc.tcp://127.0.0.1:4840"
        greedy = [
            await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(6)
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.3", 0))
        writer.write(hello)
        async with asyncio.timeout(60):
            try:
                said = await reader.read(4)
            except ConnectionError:
                said = b""
        assert said == b"ACKF"
        for _, each in [*greedy, (reader, writer)]:
            each.close()

    asyncio.run(ours() if kind == "ours" else stock())


def test_one_address_has_so_many_sessions_and_subscriptions(
    serve: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.opcua.limits.SUBSCRIPTIONS_PER_SESSION", 1)

    async def main() -> None:
        async with serve(per_address=2) as served:
            for _ in range(3):
                flaky = Client(served.url, timeout=60, watchdog_intervall=60)
                await flaky.connect()
                await flaky.create_subscription(500, None)
                flaky.disconnect_socket()
                await wait(lambda: not served.component._service._face.addresses)
            sessions = served.component._service._server.sessions
            assert len(sessions) == 2  # those that are lost made room
            async with Client(served.url, timeout=60, watchdog_intervall=60) as client:
                await client.create_subscription(500, None)
                with pytest.raises(UaStatusCodeError, match="BadTooManySubscriptions"):
                    await client.create_subscription(500, None)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("peer_name", "address"),
    [
        (("10.0.0.7", 4000), "10.0.0.7"),
        (("::ffff:10.0.0.7", 4000, 0, 0), "10.0.0.7"),
        (("2001:db8:1:2:aaaa::1", 4000, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 4000, 0, 3), "fe80::/64"),
        (None, ""),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(peer_name: Any, address: str) -> None:
    assert whence(peer_name) == address


def test_beyond_loopback_certificates_are_trusted_first_and_addresses_share() -> None:
    from drivers.opcua.server import OpcuaServerConfig

    near, far = OpcuaServerConfig(name="a"), OpcuaServerConfig(name="a", host="0.0.0.0")
    assert (near.strict, far.strict) == (False, True)
    assert (near.most_per_address, far.most_per_address) == (100, 25)
    assert not OpcuaServerConfig(name="a", host="0.0.0.0", certificates="any").strict
