"""Every route against every role, from the code: a route without a rule fails, and lets nobody in."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter

from runtime.alarms.service import AlarmService
from runtime.api.app import create_app
from runtime.api.rules import RULES, Tokens
from runtime.assembly import assemble
from runtime.backup.service import Backups
from runtime.bus import Bus
from runtime.clock import SECOND_NS, WallClock
from runtime.config import GateConfig
from runtime.contract import Role
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.gate import Gate, Identity
from runtime.gate.accounts import Accounts
from runtime.gate.identity import hash_secret
from runtime.journal import Journal, audit_log
from runtime.supervisor import Supervisor
from runtime.tagtable import TagTable, initial_values
from runtime.versions.service import Versions
from runtime.wire import PREFIX

ROLES = ("viewer", "operator", "engineer", "admin")
SECRET = "correct horse battery"
PLANT = "plant: m\nroot: s/l\nhistory: null\nusers:\n" + "".join(
    f"  - {{name: {role}1, role: {role}, secret: SECRET}}\n" for role in ROLES
)
TAGS = "path,type,access,initial\ntank/sp,REAL,rw,5\nother/sp,REAL,rw,6\nsafe/sp,REAL,rw,7\n"
FILL = {"path:path": "tank/sp", "name": "nothing", "number": "1", "id": "nothing"}
BODIES = {
    "/tags/{path:path}": {"value": 5},
    "/gate/mode": {"mode": "auto", "reason": "test"},
    "/gate/read-only": {"on": False, "reason": "test"},
    "/gate/requests": {"path": "safe/sp", "value": 8},
    "/users": {"name": "added", "role": "viewer", "secret": "$argon2id$x"},
    "/users/{name}/role": {"role": "viewer"},
    "/users/{name}/secret": {"secret": "$argon2id$x"},
    "/sessions": {"name": "viewer1", "secret": SECRET},
    "/password": {"name": "viewer1", "secret": SECRET, "new": "another good one"},
    "/tokens": {"user": "viewer1", "read": ["**"]},
    "/certificates": {"user": "viewer1", "certificate": "none"},
    "/plc/read": {"paths": ["Main.x"]},
    "/plc/force": {"path": "Main.x", "value": 1, "reason": "test"},
    "/components/{name}/record": {"for_ns": SECOND_NS},
    "/alarms/{name}/shelve": {"reason": "test", "for_ns": SECOND_NS},
    "/history/sql": {"query": "SELECT 1"},
    "/config/apply": {"comment": "test"},
    "/config/rollback": {"version": "1"},
}
QUERIES = {
    "/config/files": "?version=1",
    "/history": "?tag=tank/sp&start=0&end=9",
    "/history/trend": "?tag=tank/sp&start=0&end=9",
}
ROOT = ("/metrics", "/healthz", "/readyz")  # where supervisors and scrapers look


class Services(SimpleNamespace):
    """What the application needs, real where a role matters; nothing is served on a socket."""

    async def command_alarm(self, verb, alarm, actor, reason="", for_ns=0):
        return await self.gate.attempts.around(
            self.gate.attempts.entry(verb, alarm, actor, reason),
            lambda row: self.alarms.command(verb, alarm, actor, reason, for_ns, row),
        )

    def health(self):
        bus = {"updates": 0, "overflow": 0}
        return {"ok": True, "components": {}, "history": None, "bus": bus}

    async def restart(self, name, actor):
        if actor.role < Role.ENGINEER:
            raise ForbiddenError(f"{name} needs engineer")

    async def record(self, name, actor, for_ns, most, reason, peer):
        if actor.role < Role.ENGINEER:
            raise ForbiddenError(f"{name} needs engineer")
        raise WriteRejectedError(f"{name} has no traffic to record")


@pytest.fixture(scope="module")
def secret():
    return hash_secret(SECRET)


@pytest.fixture
def world(tmp_path, secret):
    (tmp_path / "plant.yaml").write_text(PLANT.replace("SECRET", f'"{secret}"'))
    (tmp_path / "tags.csv").write_text(TAGS)
    clock = WallClock()
    assembly = assemble(tmp_path)
    plant = assembly.plant
    table = TagTable(plant.tags)
    bus = Bus(table)
    bus.publish(initial_values(table, 1))
    journal = Journal(tmp_path / "journal.sqlite", clock)
    identity = Identity(plant.head.users)
    config = GateConfig(two_person=["safe/*"])
    gate = Gate(table, clock, journal, bus.publish, lambda command: False, config)
    services = Services(
        plant=plant,
        clock=clock,
        started_ns=1,
        again=False,
        bus=bus,
        gate=gate,
        identity=identity,
        alarms=AlarmService(plant.alarms, plant.tags, journal),
        supervisor=Supervisor(clock, bus.emit),
        journal=journal,
        historian=None,
        accounts=Accounts(identity, journal, clock),
        backups=Backups(plant, clock, journal, gate.attempts, None),
    )
    services.versions = Versions(services, assembly, None)
    return services


def using(world, work):
    """Run `work(http)` against the application, in this process."""

    async def main():
        await world.journal.open()
        try:
            transport = httpx.ASGITransport(create_app(world))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:
                return await work(http)
        finally:
            await world.journal.close()

    return asyncio.run(main())


def routes(app):
    """Yield (method, path) of every route that the application answers."""
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            # OpenAPI writes {path} for {path:path}
            yield method.upper(), path.removeprefix(PREFIX).replace("{path}", "{path:path}")
    yield "GET", "/openapi.json"
    yield "WS", "/stream"


def test_every_route_has_a_rule_and_every_rule_a_route(world):
    async def work(_):
        return set(routes(create_app(world)))

    assert using(world, work) == set(RULES)


def test_a_route_without_a_rule_lets_nobody_in(world, monkeypatch):
    from runtime.api import health

    def router(services):
        made = APIRouter()

        @made.get("/secret-figures")
        async def figures():
            return {}

        return made

    monkeypatch.setattr(health, "router", router)

    async def work(http):
        answer = await http.get("/secret-figures", auth=("admin1", SECRET))
        assert answer.status_code == 403
        assert "has no rule" in answer.json()["error"]

    using(world, work)


def asked(method, path):
    filled = f"http://localhost{path}" if path in ROOT else path
    for name, value in FILL.items():
        filled = filled.replace(f"{{{name}}}", value)
    options = {"json": BODIES.get(path, {})} if method in ("PUT", "POST") else {}
    return filled + QUERIES.get(path, ""), options


def test_every_role_gets_what_the_rule_says_and_no_more(world):
    found = []

    async def work(http):
        logins = [("anonymous", Role.VIEWER, {})]
        for word in ROLES:
            login = {"name": f"{word}1", "secret": SECRET}
            made = await http.post("/sessions", json=login)
            session = {"Authorization": f"Bearer {made.json()['session']}"}
            logins.append((word, Role[word.upper()], {"auth": tuple(login.values())}))
            logins.append((f"session of {word}", Role[word.upper()], {"headers": session}))
        for (method, path), rule in RULES.items():
            if method == "WS":
                continue
            for word, role, login in logins:
                if path == "/gate/requests/{number}/approve":
                    await one_waits(world)
                if path == "/gate/requests/{number}/reject":
                    await one_waits(world)
                url, options = asked(method, path)
                if "{number}" in path:
                    url = url.replace("/1/", f"/{max(world.gate.requests.waiting)}/")
                if path.startswith("/components"):
                    url = url.replace("nothing", "idle")
                if path.startswith("/alarms/{name}"):
                    url = url.replace("nothing", world.plant.alarms[0].name)
                answer = await http.request(method, url, **login, **options)
                refused = answer.status_code in (401, 403)
                broken = answer.status_code >= 500 and path != "/readyz"  # idle never started
                if refused != (role < rule.role) or broken:
                    found.append((method, path, word, answer.status_code, answer.text))

    world.supervisor.add(Idle(), "test", None, lambda: None)
    using(world, work)
    assert found == []


class Idle:
    name = "idle"

    async def run(self, port):
        await asyncio.Event().wait()


async def one_waits(world):
    from runtime.contract import Actor

    world.gate.requests.waiting.clear()
    tag = world.plant.tags["safe/sp"]
    await world.gate.request(tag, 9, Actor("somebody", Role.ADMIN, "test"))


def test_an_expired_revoked_or_unknown_token_gets_nothing(world):
    async def work(http):
        admin = world.identity.peer(0)
        await world.accounts.load()
        _, expired = await world.accounts.issue_token("admin1", ("**",), ("**",), 1, admin)
        other, revoked = await world.accounts.issue_token("admin1", ("**",), ("**",), 0, admin)
        await world.accounts.revoke_token(other.id, admin)
        for token in (expired, revoked, "iw_abc_def", expired[:-1] + "x", ""):
            for (method, path), rule in RULES.items():
                if rule.open or (method, path) in (("WS", "/stream"), ("GET", "/openapi.json")):
                    continue
                url, options = asked(method, path)
                headers = {"Authorization": f"Bearer {token}"}
                answer = await http.request(method, url, headers=headers, **options)
                assert answer.status_code == 401, (method, path, token, answer.text)

    using(world, work)


def test_a_token_sees_and_writes_its_scope_only_and_never_commands(world):
    async def work(http):
        admin = world.identity.peer(0)
        _, token = await world.accounts.issue_token("engineer1", ("tank/*",), ("tank/sp",), 0, admin)
        headers = {"Authorization": f"Bearer {token}"}

        async def status(method, url, **options):
            return (await http.request(method, url, headers=headers, **options)).status_code

        info = (await http.get("/info", headers=headers)).json()["user"]
        assert info == {"name": "engineer1", "role": "engineer", "via": "token", "areas": []}
        tags = (await http.get("/tags", headers=headers)).json()["tags"]
        assert [tag["path"] for tag in tags] == ["s/l/tank/sp"]
        assert (await http.get("/tags?match=other/*", headers=headers)).json()["tags"] == []
        assert await status("GET", "/tags/tank/sp") == 200
        assert await status("GET", "/tags/other/sp") == 403
        assert await status("GET", "/history?tag=tank/sp&tag=other/sp&start=0&end=9") == 403
        assert await status("GET", "/history?tag=tank/sp&start=0&end=9") == 404
        assert await status("PUT", "/tags/tank/sp", json={"value": 6}) == 200
        assert await status("PUT", "/tags/other/sp", json={"value": 6}) == 403
        _, only = await world.accounts.issue_token("engineer1", (), ("tank/sp",), 0, admin)
        blind = {"Authorization": f"Bearer {only}"}
        for body in ({"value": 7, "dry_run": True}, {"value": 7}):
            assert (await http.get("/tags/tank/sp", headers=blind)).status_code == 403
            answer = await http.put("/tags/tank/sp", json=body, headers=blind)
            assert (answer.status_code, answer.json()["previous"]) == (200, None)
        for (method, path), rule in RULES.items():
            if method != "WS" and rule.tokens is not Tokens.TAGS and not rule.open:
                url, options = asked(method, path)
                assert await status(method, url, **options) == 403, (method, path)
        _, whole = await world.accounts.issue_token("engineer1", ("**",), (), 0, admin)
        headers["Authorization"] = f"Bearer {whole}"
        assert await status("GET", "/alarms") == 200
        assert await status("PUT", "/tags/tank/sp", json={"value": 6}) == 403
        await world.accounts.add_user("temp", Role.OPERATOR, "$argon2id$x", admin)
        _, lost = await world.accounts.issue_token("temp", ("**",), (), 0, admin)
        headers["Authorization"] = f"Bearer {lost}"
        assert await status("GET", "/info") == 200
        await world.accounts.remove_user("temp", admin)
        assert await status("GET", "/info") == 401
        stored = await world.journal.read(
            lambda connection: str(connection.execute("SELECT * FROM tokens").fetchall())
        )
        assert not [text for text in (token, whole, lost) if text.rpartition("_")[2] in stored]
        await world.accounts.issue_token("engineer1", ("**",), ("tank/sp",), 3600 * SECOND_NS, admin)
        made, _ = await world.accounts.issue_token("engineer1", ("tank/*",), (), 0, admin)
        await world.accounts.revoke_token(made.id, admin)
        audited = world.journal.read_now(audit_log, 500)
        rows = [(row.action, row.outcome, row.actor) for row in audited]
        assert ("delete", "refused", "engineer1") in rows
        assert ("token-issue", "done", admin.name) in rows
        said = [(row.action, row.old, row.new, row.reason) for row in audited]
        assert ("token-issue", None, "read:** write:tank/sp", "for engineer1, 1h") in said
        assert ("token-revoke", "read:tank/*", None, "of engineer1") in said
        assert ("user-remove", "operator", None, "") in said

    using(world, work)


def test_a_user_that_is_removed_is_out_at_once(world, secret):
    async def work(http):
        admin = world.identity.peer(0)
        await world.accounts.add_user("temp", Role.OPERATOR, secret, admin)
        login = {"auth": ("temp", SECRET)}
        assert (await http.get("/info", **login)).json()["user"]["role"] == "operator"
        await world.accounts.remove_user("temp", admin)
        assert (await http.get("/info", **login)).status_code == 401

    using(world, work)


@pytest.mark.parametrize(
    ("name", "why"),
    [("operator1", "already"), ("anonymous", "cannot be"), ("a b", "cannot be"), ("", "cannot be")],
)
def test_names_that_are_taken_or_mean_something_are_refused(world, secret, name, why):
    async def work(_):
        with pytest.raises(WriteRejectedError, match=why):
            await world.accounts.add_user(name, Role.VIEWER, secret, world.identity.peer(0))
        with pytest.raises(WriteRejectedError, match="stands in the plant file"):
            await world.accounts.remove_user("viewer1", world.identity.peer(0))

    using(world, work)


def test_wrong_secrets_lock_a_name_for_longer_each_time(secret):
    from runtime.config import UserConfig

    now = [0]
    identity = Identity([UserConfig(name="wang", role="operator", secret=secret)], lambda: now[0])

    def tried(word, name="wang"):
        return identity.authenticate(name, word, "http")

    for _ in range(4):
        assert tried("wrong") is None
    assert tried(SECRET)
    for _ in range(5):
        tried("wrong")
    assert tried(SECRET) is None
    assert identity.lockout.names() == 1
    assert [(lock.name, lock.failures, lock.for_ns) for lock in identity.lockout.take_locks()] == [
        ("wang", 5, 5 * SECOND_NS)
    ]
    now[0] += 5 * SECOND_NS
    tried("wrong")
    assert identity.lockout.longest_ns("wang") == 10 * SECOND_NS
    now[0] += 10 * SECOND_NS
    assert tried(SECRET)
    assert identity.lockout.names() == 0
    for _ in range(5):
        tried("wrong", "nobody")
    assert identity.lockout.longest_ns("nobody") == 5 * SECOND_NS
    assert [lock.name for lock in identity.lockout.take_locks()] == ["wang"]


def test_a_locked_name_is_told_so(world, monkeypatch):
    monkeypatch.setattr(world.identity.lockout, "_now_ns", lambda: 0)  # a lock lasts five seconds

    async def work(http):
        for _ in range(5):
            assert (await http.get("/info", auth=("operator1", "wrong"))).status_code == 401
        answer = await http.get("/info", auth=("operator1", SECRET))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert (await http.get("/info", auth=("viewer1", SECRET))).status_code == 200

    using(world, work)
