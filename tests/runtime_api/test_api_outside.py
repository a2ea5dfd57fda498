"""Reaching the API from outside, with real sockets on an address of this machine that is not loopback."""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from runtime import trust
from runtime.api import door, front, protocol, server
from runtime.api.rules import RULES
from runtime.cli import build
from runtime.client import PlantClient
from runtime.clock import WallClock
from runtime.endpoint import Endpoint, find
from runtime.errors import ConnectError, PlantError, WriteRejectedError
from runtime.gate.identity import hash_secret
from runtime.tls.issue import issue_server, new_authority, new_client
from runtime.tls.shown import OwnFiles

SPARE = "198.51.100.17"  # TEST-NET-2, for a machine that has no address of its own
DENIED = "from another machine this needs a name"
OLGA = ("olga", "hops & malt")


def _own_addresses() -> Iterator[str]:
    for of_one in psutil.net_if_addrs().values():
        for each in of_one:
            if each.family is socket.AF_INET and not each.address.startswith(("127.", "169.254.")):
                yield each.address


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    found = next(_own_addresses(), None)
    if found:
        yield found
        return
    if os.geteuid() != 0:
        pytest.skip("this machine has no address beyond loopback, and only root can add one")
    subprocess.run(["ip", "addr", "add", f"{SPARE}/32", "dev", "lo"], check=True)
    yield SPARE
    subprocess.run(["ip", "addr", "del", f"{SPARE}/32", "dev", "lo"], check=True)


@pytest.fixture(scope="module")
def anna() -> str:
    return hash_secret("yeast & water")


class Outside:
    """A desk whose plant file names an address beyond loopback."""

    def __init__(self, folder: Path, make: Any, address: str, anna: str) -> None:
        self.folder, self._make, self.address, self._anna = folder, make, address, anna
        self.file = folder / "plant.yaml"
        self.tls = ""
        self.desk: Any = None
        self.endpoint: Any = None

    @property
    def own(self) -> OwnFiles:
        return OwnFiles(self.desk.plant.state, "brewery")

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def port(self) -> int:
        return int(find(self.file).http.rpartition(":")[2])

    @asynccontextmanager
    async def serving(self, admin: bool = True) -> AsyncIterator[Endpoint]:
        text = self.file.read_text("utf-8")
        host = f"api: {{host: {self.address}, port: 0{self.tls}}}"
        text = text.replace("api: {port: 0}", host)
        if admin:
            text = text.replace(
                "users:\n", f'users:\n  - {{name: anna, role: admin, secret: "{self._anna}"}}\n'
            )
        self.file.write_text(text, "utf-8")
        self.desk = self._make(self.folder)
        async with self.desk.serving() as endpoint:
            self.endpoint = endpoint
            if admin:
                await self.desk.until(lambda: self.desk.port.value("sys/api/outside"))
            yield endpoint

    def pin(self) -> None:
        trust.pin(self.url, trust.shown_at(self.url))

    def client(self, *login: str, **options: Any) -> PlantClient:
        return PlantClient(Endpoint(http=self.url), *login, **options)


@pytest.fixture
def outside(desk: Any, folder: Path, address: str, anna: str, monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setattr(front, "PERIOD_S", 0.05)
    for module, patience in ((door, "HANDSHAKE_S"), (protocol, "REQUEST_S"), (trust, "_TIMEOUT_S")):
        monkeypatch.setattr(module, patience, 300)
    return Outside(folder, type(desk), address, anna)


def reaches(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), 60):
        return True
    return False


def test_it_stays_on_loopback_until_an_admin_can_log_in(outside: Outside, anna: str) -> None:
    async def main() -> None:
        async with outside.serving(admin=False) as endpoint, PlantClient(endpoint) as local:
            desk, port = outside.desk, outside.port
            await desk.until(lambda: desk.port.value("sys/api/outside") is False)
            assert endpoint.http == f"https://127.0.0.1:{port}"
            assert not await asyncio.to_thread(reaches, outside.address, port)
            assert "no admin can log in yet" in desk.api_port.health_text
            assert not desk.api_port.healthy

            await local.add_user("anna", "admin", anna)
            await desk.until(lambda: desk.port.value("sys/api/outside"))
            assert find(outside.file).http == outside.url
            await asyncio.to_thread(outside.pin)
            async with outside.client("anna", "yeast & water") as remote:
                assert (await remote.info()).user.role == "admin"
            assert (desk.api_port.healthy, desk.api_port.health_text) == (True, outside.url)

            await local.remove_user("anna")
            await desk.until(lambda: desk.port.value("sys/api/outside") is False)
            assert not await asyncio.to_thread(reaches, outside.address, port)

    asyncio.run(main())


def test_anonymous_gets_nothing_from_outside_and_looks_on_loopback(outside: Outside) -> None:
    async def main() -> None:
        async with outside.serving():
            await asyncio.to_thread(outside.pin)
            async with outside.client() as nobody:
                with pytest.raises(PlantError, match=DENIED) as refused:
                    await nobody.info()
                assert "--user" in refused.value.remedy
                with pytest.raises(PlantError, match=DENIED):
                    await anext(nobody.stream(["**"]))
            async with httpx.AsyncClient(verify=trust.context(outside.url), timeout=60) as raw:
                for (method, path), rule in RULES.items():
                    if method == "WS" or rule.greets or rule.open:
                        continue
                    prefix = "" if path == "/metrics" else "/api/v1"
                    filled = re.sub(r"\{\w+(:path)?\}", "1", path)
                    answer = await raw.request(method, f"{outside.url}{prefix}{filled}")
                    assert answer.status_code == 401, (method, path)
                    assert "Basic" in answer.headers["www-authenticate"]
            async with outside.client(*OLGA) as olga:
                assert (await olga.info()).user.name == "olga"
                assert (await olga.write("tank/setpoint", 5)).value == 5
                async with aclosing(olga.stream(["tank/setpoint"])) as stream:
                    assert (await anext(stream)).rows[0][1] == 5

    asyncio.run(main())


def test_anonymous_may_look_over_tls_on_loopback(outside: Outside) -> None:
    async def main() -> None:
        outside.address = "0.0.0.0"
        async with outside.serving():
            outside.address = "127.0.0.1"
            await asyncio.to_thread(outside.pin)
            async with outside.client() as nobody:
                assert (await nobody.info()).user.role == "viewer"

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_and_plain_http_are_refused(outside: Outside) -> None:
    def offer(version: ssl.TLSVersion) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
        with (
            socket.create_connection((outside.address, outside.port), 60) as plain,
            context.wrap_socket(plain) as secured,
        ):
            return str(secured.version())

    async def main() -> None:
        async with outside.serving():
            assert await asyncio.to_thread(offer, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
            assert await asyncio.to_thread(offer, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.to_thread(offer, ssl.TLSVersion.TLSv1_1)
            async with httpx.AsyncClient(timeout=60) as raw:
                with pytest.raises(httpx.TransportError):
                    await raw.get(outside.url.replace("https", "http") + "/api/v1/info")

    asyncio.run(main())


def test_a_renewed_certificate_is_shown_and_nobody_is_dropped(outside: Outside) -> None:
    async def other_than(before: str) -> None:
        async with asyncio.timeout(60):
            where = (outside.address, outside.port)
            while await asyncio.to_thread(ssl.get_server_certificate, where) == before:
                await outside.desk.clock.sleep(0.02)

    async def main() -> None:
        async with outside.serving():
            await asyncio.to_thread(outside.pin)
            assert outside.desk.port.value("sys/api/certificate_days") == pytest.approx(396, abs=1.1)
            before = outside.own.read()[0].pem
            async with outside.client(*OLGA) as olga, aclosing(olga.stream(["tank/setpoint"])) as stream:
                await anext(stream)
                outside.own.renew(outside.own.read()[0].names, WallClock().now_ns())
                await other_than(before)
                await olga.write("tank/setpoint", 7)
                assert (await anext(stream)).rows[0][1] == 7
            outside.own.server.write_text("rubbish")
            await outside.desk.until(outside.own.read)
            async with outside.client(*OLGA) as again:
                assert await again.info()  # what is pinned is the authority, which stays

    asyncio.run(main())


@pytest.mark.parametrize("days", [10, 1])
def test_a_certificate_that_is_due_is_renewed(
    outside: Outside, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime.tls import issue

    async def main() -> None:
        async with outside.serving(admin=False):
            old = outside.own.read()[0]
            with monkeypatch.context() as patch:
                patch.setattr(issue, "SERVER_DAYS", days)
                outside.own.renew(old.names, WallClock().now_ns())
            await outside.desk.until(lambda: (outside.own.read()[0].days_left(WallClock().now_ns())) > 300)
            assert outside.own.read()[1] == outside.own.authority_certificate()

    asyncio.run(main())


def test_keys_are_for_their_owner_only(outside: Outside) -> None:
    async def main() -> None:
        async with outside.serving(admin=False):
            own = outside.own
            modes = [each.stat().st_mode & 0o777 for each in (own.folder, own.authority, own.server)]
            assert modes == [0o700, 0o600, 0o600]

    asyncio.run(main())


def test_a_given_certificate_is_followed_and_a_bad_one_is_told(outside: Outside) -> None:
    def give(names: tuple[str, ...]) -> None:
        made = issue_server(new_authority("site"), names, WallClock().now_ns())
        key, _, chain = made.partition(b"-----BEGIN CERTIFICATE")
        (outside.folder / "gw.key").write_bytes(key)
        (outside.folder / "gw.pem").write_bytes(b"-----BEGIN CERTIFICATE" + chain)

    async def main() -> None:
        outside.tls = ", tls: {certificate: gw.pem, key: gw.key}"
        give(("localhost", outside.address))
        async with outside.serving():
            until = outside.desk.until
            await asyncio.to_thread(outside.pin)
            async with outside.client(*OLGA) as olga:
                assert await olga.info()
            (outside.folder / "gw.pem").write_text("rubbish")
            await until(lambda: outside.desk.port.value("sys/api/certificate_trouble"))
            assert "gw.pem: no usable certificate" in outside.desk.api_port.health_text
            async with outside.client(*OLGA) as olga:
                assert await olga.info()  # the former is in use
            give(("elsewhere.example",))
            await until(lambda: outside.desk.port.value("sys/api/certificate_trouble") is False)
            async with outside.client(*OLGA) as olga:
                with pytest.raises(ConnectError, match="is not the one that was trusted"):
                    await olga.info()
            await asyncio.to_thread(outside.pin)
            async with outside.client(*OLGA) as olga:
                with pytest.raises(ConnectError, match="is for other names"):
                    await olga.info()

    asyncio.run(main())


def test_an_unknown_certificate_is_refused_with_the_remedy(outside: Outside) -> None:
    async def main() -> None:
        async with outside.serving(), outside.client(*OLGA) as olga:
            with pytest.raises(ConnectError, match="is not known here") as refused:
                await olga.info()
            assert f"ironworks tls trust {outside.url}" in refused.value.remedy
            with pytest.raises(ConnectError, match="is not known here"):
                await anext(olga.stream(["**"]))

    asyncio.run(main())


@pytest.mark.parametrize("damaged", ["", "\n", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_a_pin_that_is_damaged_is_told_and_replaced(outside: Outside, monkeypatch: Any, damaged: str) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("runtime.cli.tls.sys", terminal)

    async def main() -> None:
        async with outside.serving():
            trust.pin(outside.url, damaged)
            with pytest.raises(PlantError, match="is not a certificate") as refused:
                await outside.client(*OLGA).__aenter__()
            command = refused.value.remedy.partition("ironworks ")[2].split()
            answer = await asyncio.to_thread(CliRunner().invoke, build(command[0]), command, "y\n")
            assert answer.stdout.endswith(f"{outside.url} is trusted\n"), answer.output
            async with outside.client(*OLGA) as olga:
                assert (await olga.info()).user.name == "olga"

    asyncio.run(main())


async def shows(outside: Outside, file: Path) -> Any:
    """Return what a client with a certificate gets, once the server asks for certificates."""
    async with asyncio.timeout(60):
        while True:
            async with outside.client(certificate=str(file)) as client:
                try:
                    return (await client.info()).user
                except PlantError as exc:
                    if DENIED not in exc.text:
                        return exc


def test_a_client_certificate_logs_in_until_it_is_revoked(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpx._config.DEFAULT_LIMITS, "keepalive_expiry", 300)  # the connection stands
    monkeypatch.setattr(server, "_KEPT_S", 300)

    async def main() -> None:
        key, certificate = new_client("olga", 30, WallClock().now_ns())
        file = tmp_path / "olga.pem"
        file.write_bytes(key + certificate)
        async with outside.serving() as endpoint, PlantClient(endpoint) as local:
            await asyncio.to_thread(outside.pin)
            async with outside.client(certificate=str(file)) as early:
                with pytest.raises(PlantError, match=DENIED):  # it is not asked for yet
                    await early.info()
            (kept,) = await local.add_certificate("olga", certificate.decode())
            with pytest.raises(WriteRejectedError, match="is olga's already"):
                await local.add_certificate("anna", certificate.decode())
            await shows(outside, file)
            async with outside.client(certificate=str(file)) as olga, outside.client(*OLGA) as plain:
                user = (await olga.info()).user
                assert (user.name, user.role, user.via) == ("olga", "operator", "certificate")
                assert (await olga.write("tank/setpoint", 5)).value == 5
                assert (await plain.info()).user.via == "http"  # nobody has to have one
                async with aclosing(olga.stream(["tank/setpoint"], interval_ms=50)) as stream:
                    await anext(stream)
                    assert await local.end_certificate(kept.id) == ()
                    with pytest.raises(PlantError, match="not in force"):  # on the connection that stands
                        await olga.info()
                    await local.write("tank/setpoint", 6)
                    with pytest.raises(ConnectError, match="not in force"):
                        await anext(stream)
            entries = [(each.action, each.target, each.via) for each in await local.audit(10)]
            assert ("certificate-add", "olga", "local") in entries
            assert ("write", "tank/setpoint", "certificate") in [
                (action, target.removeprefix("site/area/line/"), via) for action, target, via in entries
            ]

    asyncio.run(main())


def test_a_client_certificate_that_nobody_has_is_refused_in_words(outside: Outside, tmp_path: Path) -> None:
    async def main() -> None:
        now_ns = WallClock().now_ns()
        key, stranger = new_client("olga", 30, now_ns)
        (tmp_path / "stranger.pem").write_bytes(key + stranger)
        async with outside.serving() as endpoint, PlantClient(endpoint) as local:
            await asyncio.to_thread(outside.pin)
            await local.add_certificate("olga", new_client("olga", 30, now_ns)[1].decode())
            refused = await shows(outside, tmp_path / "stranger.pem")
            assert isinstance(refused, ConnectError)
            assert "stranger.pem: `ironworks user certs` there" in refused.remedy

    asyncio.run(main())


def test_a_certificate_ends_with_its_user(outside: Outside, anna: str) -> None:
    async def main() -> None:
        async with outside.serving() as endpoint, PlantClient(endpoint) as local:
            await local.add_user("otto", "viewer", anna)
            certificate = new_client("otto", 30, WallClock().now_ns())[1].decode()
            assert len(await local.add_certificate("otto", certificate)) == 1
            await local.remove_user("otto")
            await local.add_user("otto", "admin", anna)
            assert await local.certificates() == ()
            with pytest.raises(WriteRejectedError, match="no user is named"):
                await local.add_certificate("nobody", certificate)
            chain = issue_server(new_authority("x"), ("x",), WallClock().now_ns())
            server = chain.split(b"-----BEGIN CERT")[1]
            with pytest.raises(WriteRejectedError, match="is not for clients"):
                await local.add_certificate("otto", f"-----BEGIN CERT{server.decode()}")
            with pytest.raises(WriteRejectedError, match="not a file with one certificate"):
                await local.add_certificate("otto", "rubbish")

    asyncio.run(main())


async def _ended(address: str, port: int, hello: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Connect, say something, and return what comes until the other side ends it."""
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    try:
        writer.write(hello)
        with contextlib.suppress(ConnectionError):
            return await reader.read()
        return b""
    finally:
        writer.close()


def test_who_says_nothing_is_dropped_and_others_get_in(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with outside.serving():
            where = (outside.address, outside.port)
            await asyncio.to_thread(outside.pin)
            with monkeypatch.context() as hasty:  # not with those who are let in
                hasty.setattr(door, "HANDSHAKE_S", 0.3)
                async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                    for hello in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", os.urandom(64)):
                        group.create_task(_ended(*where, hello))
            assert outside.desk.port.value("sys/api/turned_away") is not None
            with monkeypatch.context() as hasty:
                hasty.setattr(protocol, "REQUEST_S", 0.3)
                context = trust.context(outside.url)
                info = b"GET /api/v1/info HTTP/1.1\r\nHost: x\r\n"
                body = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
                for slow in (b"", info, body):
                    async with asyncio.timeout(60):
                        await _ended(*where, slow, context)
            async with outside.client(*OLGA) as olga:
                assert await olga.info()

    asyncio.run(main())


def test_one_address_cannot_take_all_connections(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PER_ADDRESS", 4)

    async def main() -> None:
        async with outside.serving() as endpoint, contextlib.AsyncExitStack() as stack:
            where = (outside.address, outside.port)
            await asyncio.to_thread(outside.pin)
            for _ in range(4):
                _, writer = await asyncio.open_connection(*where, ssl=trust.context(outside.url))
                stack.callback(writer.close)
            async with outside.client(*OLGA) as fifth:
                with pytest.raises(ConnectError):
                    await fifth.info()
            async with PlantClient(endpoint) as local:  # the unix socket has room
                assert await local.info()
            await outside.desk.until(lambda: outside.desk.port.value("sys/api/turned_away") >= 1)

    asyncio.run(main())


def test_a_page_of_another_site_cannot_open_a_stream(outside: Outside) -> None:
    async def main() -> None:
        async with outside.serving():
            await asyncio.to_thread(outside.pin)
            url = outside.url.replace("https", "wss") + "/api/v1/stream"
            for origin in ("https://evil.example", "null", outside.url.rpartition(":")[0]):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(
                        url, origin=origin, ssl=trust.context(outside.url), proxy=None, open_timeout=60
                    )
                assert refused.value.response.status_code == 403, origin

    asyncio.run(main())


def test_loopback_streams_are_closed_to_pages_too(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            url = endpoint.http.replace("http", "ws") + "/api/v1/stream"
            for origin in ("http://evil.example", "http://localhost:3000", "null"):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(url, origin=origin, proxy=None, open_timeout=60)
                assert refused.value.response.status_code == 403, origin
            async with connect(url, origin=endpoint.http, proxy=None, open_timeout=60):
                pass

    asyncio.run(main())
