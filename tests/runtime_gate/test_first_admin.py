"""The first admin is made on the gateway, by the account that runs the plant, and in no other way."""

import asyncio
import os
import socket

import httpx
import pytest

from runtime.api.app import create_app
from runtime.api.guard import PEER
from runtime.api.rules import RULES
from runtime.assembly import assemble
from runtime.client import PlantClient
from runtime.clock import WallClock
from runtime.config import UserConfig
from runtime.contract import Role
from runtime.endpoint import find, running
from runtime.gate.identity import Identity, hash_secret
from runtime.kernel import Kernel
from runtime.wire import PREFIX

SECRET = "correct horse battery"
FOREIGN_UID = 4_000_000
HASH = hash_secret(SECRET)
USER = {"name": "boss", "role": "admin", "secret": HASH}
GUESSES = ["", "admin", "ironworks"]


@pytest.fixture
def kernel(tmp_path):
    (tmp_path / "plant.yaml").write_text("plant: m\nroot: s/l\nhistory: null\n")
    (tmp_path / "tags.csv").write_text("path,type,access,initial\ntank/sp,REAL,rw,5\n")
    return Kernel(assemble(tmp_path), WallClock())


class AsPeer:
    """The application as a process of an account sees it on the unix socket; on TCP for None."""

    def __init__(self, app, uid):
        self.app, self.uid = app, uid

    async def __call__(self, scope, receive, send):
        state = {} if self.uid is None else {PEER: self.uid}
        await self.app({**scope, "state": state}, receive, send)


def using(kernel, work):
    """Run `work(http)`; `http(uid)` is a client from that account, or from TCP."""

    async def main():
        await kernel.journal.open()
        app = create_app(kernel)

        def http(uid=None):
            transport = httpx.ASGITransport(AsPeer(app, uid))
            return httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}")

        try:
            return await work(http)
        finally:
            await kernel.journal.close()

    return asyncio.run(main())


def test_a_fresh_plant_has_no_admin_and_no_password(kernel):
    assert kernel.identity.users() == []
    assert not kernel.identity.admin_exists()
    for name in ("admin", "root", "anonymous"):
        assert kernel.identity.authenticate(name, name, "http") is None


@pytest.mark.parametrize("uid", [None, FOREIGN_UID])
def test_neither_tcp_nor_another_account_makes_an_admin(kernel, uid):
    async def work(http):
        async with http(uid) as client:
            for (method, path), rule in RULES.items():
                if method == "WS" or rule.role < Role.ADMIN:
                    continue
                url = path.replace("{name}", "boss").replace("{id}", "x")
                bodies = {"/users": USER, "/users/boss/role": {"role": "admin"}}
                bodies["/users/boss/secret"] = {"secret": HASH}
                body = bodies.get(url, {"user": "boss", "read": ["**"]})
                answer = await client.request(method, url, json=None if method == "GET" else body)
                refused = (401, 403) if url in bodies else range(400, 500)
                assert answer.status_code in refused, (method, path, answer.text)
            for guess in GUESSES:
                answer = await client.post("/users", json=USER, auth=("admin", guess))
                assert answer.status_code in (401, 429)
            assert (await client.get("/info")).json()["user"]["role"] == "viewer"
        assert not kernel.identity.admin_exists()
        assert kernel.identity.users() == []

    using(kernel, work)


def test_the_account_that_runs_the_plant_makes_the_first_admin(kernel):
    async def work(http):
        async with http(os.getuid()) as client:
            assert (
                await client.post("/users", json={**USER, "name": "op", "role": "operator"})
            ).status_code == 200
            assert not kernel.identity.admin_exists()
            assert (await client.post("/users", json=USER)).status_code == 200
            assert kernel.identity.admin_exists()
            assert (await client.delete("/users/boss")).status_code == 200
            assert not kernel.identity.admin_exists()

    using(kernel, work)


def test_an_admin_of_the_plant_file_counts_only_with_a_secret():
    assert Identity([UserConfig(name="boss", role="admin", secret=HASH)]).admin_exists()
    assert not Identity([UserConfig(name="boss", role="admin", os_user="root")]).admin_exists()
    assert not Identity([UserConfig(name="boss", role="engineer", secret=HASH)]).admin_exists()


@pytest.mark.parametrize("kind", ["opcua.server", "modbus.server"])
def test_no_server_listens_beyond_loopback_before_an_admin_can_log_in(tmp_path, kind, free_port):
    port = free_port()
    (tmp_path / "plant.yaml").write_text(
        "plant: m\nroot: s/l\nhistory: null\napi: {port: null}\n"
        f"drivers: [{{kind: {kind}, name: outside, host: 0.0.0.0, port: {port}}}]\n"
    )
    (tmp_path / "tags.csv").write_text("path,type,access,initial\ntank/sp,REAL,rw,5\n")

    def view(kernel):
        return next(each for each in kernel.supervisor.views() if each["name"] == "outside")

    def reached():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    async def until(condition):
        async with asyncio.timeout(60):
            while not condition():
                await WallClock().sleep(0.02)

    async def main():
        kernel = Kernel(assemble(tmp_path), WallClock())
        stop = asyncio.Event()
        life = asyncio.create_task(kernel.run(stop))
        try:
            await until(lambda: view(kernel)["state"] == "degraded")
            assert "ironworks user add NAME --role admin" in view(kernel)["text"]
            assert not reached()
            # The driver may be heard of before the plant is.
            await until(lambda: any(each.file == str(tmp_path / "plant.yaml") for each in running()))
            async with PlantClient(find(tmp_path)) as client:
                await client.add_user("boss", "admin", HASH)
            await until(reached)
            await until(lambda: view(kernel)["state"] == "running")
        finally:
            stop.set()
            await asyncio.wait_for(life, 60)

    asyncio.run(main())
