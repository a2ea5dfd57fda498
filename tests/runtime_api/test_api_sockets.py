"""Where a plant can be found: private socket, port, registration; twice is refused, leftovers are not."""

import asyncio
import json
import os
import socket
import ssl
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from httpx._config import DEFAULT_LIMITS

from runtime.api import ApiServer
from runtime.api.protocol import HttpProtocol
from runtime.api.registration import peer_credentials
from runtime.client import PlantClient
from runtime.endpoint import Endpoint, find, plant_file, registration_name, running
from runtime.errors import ConnectError, PlantError


def test_the_socket_is_private_and_gone_after_the_stop(desk: Any, runtime_home: Path) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint:
            folder = Path(endpoint.socket or "").parent
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert (endpoint.pid, endpoint.plant) == (os.getpid(), "brewery")
            assert find(desk.plant.file) == find(None) == endpoint
            assert running() == [endpoint]
        assert list(folder.iterdir()) == []
        assert running() == []

    asyncio.run(main())


def test_a_request_that_a_stop_cuts_off_is_no_error(
    desk: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, free = threading.Event(), threading.Event()

    def slow(*_: str) -> None:
        asked.set()
        free.wait(60)

    monkeypatch.setattr(desk.identity, "authenticate", slow)

    async def main() -> None:
        async with desk.serving() as endpoint:
            client = await PlantClient(endpoint, "olga", "secret").__aenter__()
            asking = asyncio.create_task(client.info())
            await asyncio.to_thread(asked.wait, 60)
        free.set()
        with pytest.raises(ConnectError):
            await asking
        await client.__aexit__(None, None, None)

    asyncio.run(main())
    assert "ASGI" not in caplog.text


def test_a_command_that_a_stop_cuts_off_is_told_so(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cut_off(*_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(desk, "command_alarm", cut_off)

    async def main() -> None:
        async with desk.serving() as endpoint, PlantClient(endpoint) as client:
            with pytest.raises(PlantError, match="the plant stopped before it answered"):
                await client.acknowledge(desk.plant.alarms[0].name)

    asyncio.run(main())


def test_a_body_in_crumbs_is_dropped_and_one_in_pieces_is_not(desk: Any) -> None:
    async def ask(url: str, chunk: bytes, count: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = b"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        body = b"%x\r\n%s\r\n" % (len(chunk), chunk) * count
        writer.write(head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body + b"0\r\n\r\n")
        try:
            return (await reader.read())[:12]
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def main() -> None:
        async with desk.serving() as endpoint:
            assert await ask(endpoint.http or "", b" ", 1001) == b""
            assert await ask(endpoint.http or "", b" ", 1000) == b"HTTP/1.1 400"  # it is no JSON
            assert await ask(endpoint.http or "", b" " * 100, 2000) == b"HTTP/1.1 400"

    asyncio.run(main())


def test_a_connection_is_kept_for_longer_than_a_client_uses_it(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it may be closed at the moment at which the client asks once more."""
    served: list[HttpProtocol] = []
    made = HttpProtocol.connection_made
    monkeypatch.setattr(HttpProtocol, "connection_made", lambda *each: (served.append(each[0]), made(*each)))

    async def main() -> None:
        async with desk.client() as client:
            await client.info()

    asyncio.run(main())
    assert {each.timeout_keep_alive >= 2 * DEFAULT_LIMITS.keepalive_expiry for each in served} == {True}


def test_a_plant_runs_only_once(desk: Any, folder: Path) -> None:
    async def main() -> None:
        async with desk.serving():
            with pytest.raises(PlantError, match=rf"already running \(pid {os.getpid()}\)"):
                ApiServer(type(desk)(folder)).bind()
            assert find(folder)

    asyncio.run(main())


def test_what_a_killed_plant_left_is_ignored_and_replaced(desk: Any, runtime_home: Path) -> None:
    async def main() -> None:
        base = runtime_home / "ironworks" / registration_name(desk.plant.file)
        base.parent.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(f"{base}.sock")
        stale = {"pid": 2**22 + 1, "plant": "brewery", "file": str(desk.plant.file), "socket": f"{base}.sock"}
        base.with_suffix(".json").write_text(json.dumps(stale))
        (base.parent / "rubbish.json").write_text("{")
        with pytest.raises(ConnectError, match="is not running"):
            find(desk.plant.file)
        async with desk.serving() as endpoint:
            assert endpoint.pid == os.getpid()

    asyncio.run(main())


def test_a_port_in_use_names_the_port_and_the_place(desk: Any, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = folder / "plant.yaml"
        file.write_text(file.read_text("utf-8").replace("port: 0", f"port: {port}"), "utf-8")
        with pytest.raises(
            PlantError, match=rf"plant.yaml:\d+:\d+: port {port} on 127.0.0.1 is used"
        ) as error:
            ApiServer(type(desk)(folder)).bind()
        assert "plant.yaml" in error.value.remedy
        assert running() == []


def test_a_runtime_folder_that_others_may_enter_is_refused(desk: Any, runtime_home: Path) -> None:
    (runtime_home / "ironworks").mkdir(mode=0o777)
    (runtime_home / "ironworks").chmod(0o777)
    with pytest.raises(PlantError, match="not a private folder"):
        ApiServer(desk).bind()


def test_the_kernel_knows_the_account_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_credentials(ours) == (os.getpid(), os.getuid())


def test_find_says_what_is_wrong(runtime_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConnectError, match="no plant is running"):
        find()
    with pytest.raises(PlantError, match="no such plant"):
        find(tmp_path / "nowhere")
    theirs = Path("/")
    if os.getuid() == 0:
        theirs = tmp_path / "run"
        theirs.mkdir()
        os.chown(theirs, 65534, -1)
    monkeypatch.setattr("runtime.endpoint._SERVICE", theirs)
    with pytest.raises(ConnectError) as caught:
        find()
    assert f"sudo -u {theirs.owner()} ironworks" in caught.value.remedy
    (tmp_path / "plant.yaml").write_text("plant: x\n")
    assert plant_file(None) == (tmp_path / "plant.yaml").resolve()
    tmp_path.chmod(0)  # as root's home is for the account of the service
    privileged = os.geteuid() == 0
    try:
        if privileged:
            os.seteuid(65534)
        assert plant_file(None) is None
    finally:
        if privileged:
            os.seteuid(0)
        tmp_path.chmod(0o700)
    with pytest.raises(ConnectError, match="is not running"):
        find()
    assert find("http://127.0.0.1:1/") == Endpoint(http="http://127.0.0.1:1")
    monkeypatch.setenv("IRONWORKS_PLANT", "http://127.0.0.1:2")
    assert find().http == "http://127.0.0.1:2"


def test_a_second_plant_without_a_port_of_its_own_takes_a_free_one(desk: Any, folder: Path) -> None:
    file = folder / "plant.yaml"
    file.write_text(file.read_text("utf-8").replace("port: 0", "host: 127.0.0.1"), "utf-8")

    second = type(desk)(folder)
    assert second.plant.head.api.port == 8420

    async def main() -> None:
        async with second.serving() as endpoint:
            assert endpoint.http
            assert not endpoint.http.endswith(f":{port}")

    with socket.create_server(("127.0.0.1", 0)) as first:
        # Plants of other tests come and go on 8420.
        second.plant.head.api.__dict__["port"] = port = first.getsockname()[1]
        asyncio.run(main())


@pytest.mark.parametrize("endpoint", [Endpoint(socket="/nowhere"), Endpoint(http="http://127.0.0.1:1")])
def test_a_client_without_tls_reads_no_authorities(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **more: read.append(more))

    async def main() -> None:
        async with PlantClient(endpoint):
            pass

    asyncio.run(main())
    assert read == []
