"""Sessions: opened with a secret; over when idle, too old or ended, or when the user has changed."""

import asyncio
import stat

import httpx
import pytest

from runtime.api.app import create_app
from runtime.assembly import assemble
from runtime.clock import SECOND_NS, ManualClock, WallClock
from runtime.config import LoginConfig, UserConfig
from runtime.contract import Actor, Role
from runtime.endpoint import Endpoint
from runtime.errors import ForbiddenError, PlantError, StoreError, WriteRejectedError
from runtime.gate import Gate
from runtime.gate.accounts import Accounts
from runtime.gate.certificates import Certificates
from runtime.gate.identity import Identity, hash_secret
from runtime.gate.keeper import Keeper
from runtime.gate.lockout import FREE
from runtime.gate.passwords import check_password
from runtime.gate.sessions import MOST_EACH, SessionActor
from runtime.journal import Journal, audit_log
from runtime.journal.accounts import lock_rows
from runtime.kernel import Kernel
from runtime.logins import IDLE, keep_session, kept_session, sessions_file
from runtime.testing import FakePort
from runtime.tls.certificate import check_client
from runtime.tls.issue import new_client
from runtime.wire import PREFIX

SECRET = "correct horse battery"
HASH = hash_secret(SECRET)
ADMIN = Actor("root", Role.ADMIN, "local")
HOUR_NS = 3600 * SECOND_NS


class House:
    """Accounts on a real journal; both clocks are moved by hand."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = ManualClock(10**18)
        self.monotonic_ns = 5
        self.fixed = [UserConfig(name="fay", role="engineer", secret=HASH)]

    async def start(self):
        self.journal = Journal(self.folder / "journal.sqlite", self.clock)
        await self.journal.open()
        login = LoginConfig(idle="1h", longest="12h")
        self.identity = Identity(self.fixed, lambda: self.monotonic_ns, login=login)
        self.accounts = Accounts(self.identity, self.journal, self.clock)
        await self.accounts.load()

    async def restart(self):
        await self.journal.close()
        await self.start()

    def later(self, hours):
        self.clock.set_ns(self.clock.now_ns() + round(hours * HOUR_NS))
        self.monotonic_ns += round(hours * HOUR_NS)

    async def log_in(self, name="olga"):
        user = self.identity.user(name)
        made, text = await self.accounts.open_session(Actor(name, user.role, "session"))
        return made, text

    def who(self, text):
        return self.identity.sessions.by_text(text, self.clock.now_ns())


def using(folder, work):
    async def main():
        house = House(folder)
        await house.start()
        try:
            await house.accounts.add_user("olga", Role.OPERATOR, HASH, ADMIN)
            await work(house)
        finally:
            await house.journal.close()

    asyncio.run(main())


def test_a_session_is_its_user_until_it_is_idle_or_too_old(tmp_path):
    async def work(house):
        made, text = await house.log_in()
        actor = house.who(text)
        assert (actor.name, actor.role, actor.via, actor.session) == (
            "olga",
            Role.OPERATOR,
            "session",
            made.id,
        )
        for wrong in (text[:-1] + "x", text + "x", "iws_", "iws__", f"iws_{made.id}_", "iws_zz_zz"):
            assert house.who(wrong) is None
        for _ in range(11):
            house.later(0.9)
            assert house.who(text)
        assert house.identity.still(actor, house.clock.now_ns())
        house.later(2.2)
        assert house.who(text) is None
        assert not house.identity.still(actor, house.clock.now_ns())
        _, other = await house.log_in()
        house.later(0.99)
        assert house.who(other)
        house.later(1.01)
        assert house.who(other) is None
        for _ in range(12):
            assert house.who((await house.log_in())[1])

    using(tmp_path, work)


def test_what_a_client_asks_by_itself_is_no_use_of_a_session(tmp_path):
    async def work(house):
        _, text = await house.log_in()
        actor = house.who(text)
        for minutes in range(6, 60, 6):  # a console that polls, and streams, and nobody at it
            house.later(0.1)
            assert house.identity.still(actor, house.clock.now_ns())
            assert house.identity.sessions.by_text(text, house.clock.now_ns(), minutes * HOUR_NS // 60)
        house.later(0.1)
        assert not house.identity.still(actor, house.clock.now_ns())
        assert house.identity.sessions.by_text(text, house.clock.now_ns(), HOUR_NS) is None
        _, text = await house.log_in()
        for _ in range(6):  # somebody pressed a key half an hour ago
            house.later(0.4)
            assert house.identity.sessions.by_text(text, house.clock.now_ns(), HOUR_NS // 2)
        house.later(0.6)
        assert house.who(text) is None

    using(tmp_path, work)


def test_how_long_nobody_did_anything_is_told_in_a_header(kernel):
    async def main():
        await kernel.journal.open()
        await kernel._restore()
        sessions = kernel.identity.sessions
        transport = httpx.ASGITransport(create_app(kernel))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:
            made = (await http.post("/sessions", json={"name": "olga", "secret": SECRET})).json()
            id_, login = made["view"]["id"], {"Authorization": f"Bearer {made['session']}"}
            sessions._used_ns[id_] -= 600 * 10**9
            assert (await http.get("/gate", headers=login | {IDLE: "3000"})).status_code == 200
            assert sessions.idle_ns(id_) > 599 * 10**9
            assert (await http.get("/gate", headers=login | {IDLE: "300"})).status_code == 200
            assert 299 * 10**9 < sessions.idle_ns(id_) < 400 * 10**9
            for wrong in ("-5", "1.5", "", "soon", "9" * 400):
                answer = await http.get("/gate", headers=login | {IDLE: wrong})
                assert (answer.status_code, "Ironworks-Idle" in answer.json()["error"]) == (422, True)
            assert (await http.get("/gate", headers=login)).status_code == 200
            assert sessions.idle_ns(id_) < 100 * 10**9
        await kernel.journal.close()

    asyncio.run(main())


def test_a_session_outlives_a_restart_but_not_its_age(tmp_path):
    async def work(house):
        _, text = await house.log_in()
        house.later(0.5)
        await house.restart()
        assert house.who(text).name == "olga"
        stored = await house.journal.read(
            lambda connection: str(connection.execute("SELECT * FROM sessions").fetchall())
        )
        assert text.rpartition("_")[2] not in stored
        house.later(12)
        await house.restart()
        assert house.who(text) is None

    using(tmp_path, work)


@pytest.mark.parametrize("change", ["role", "area", "secret", "password", "remove", "again"])
def test_sessions_end_with_what_their_user_was(tmp_path, change):
    async def work(house):
        _, text = await house.log_in()
        _, other = await house.log_in("fay")
        accounts = house.accounts
        if change == "role":
            await accounts.set_role("olga", Role.ENGINEER, ADMIN)
        elif change == "area":
            await accounts.set_role("olga", Role.OPERATOR, ADMIN, (("line1/**", Role.VIEWER),))
        elif change == "secret":
            await accounts.set_secret("olga", hash_secret(SECRET), ADMIN)
        elif change == "password":
            await accounts.change_password("another good one", Actor("olga", Role.OPERATOR, "http"))
        else:
            await accounts.remove_user("olga", ADMIN)
        if change == "again":
            await accounts.add_user("olga", Role.OPERATOR, hash_secret(SECRET), ADMIN)
        assert house.who(text) is None
        assert house.who(other)
        await house.restart()
        assert house.who(text) is None

    using(tmp_path, work)


def test_a_new_user_has_nothing_of_one_who_stood_in_the_plant_file(tmp_path):
    async def main():
        house = House(tmp_path)
        await house.start()
        certificates = Certificates(house.identity, house.journal, house.clock)
        _, pem = new_client("fay", 1, house.clock.now_ns())
        print_ = check_client(pem, house.clock.now_ns()).fingerprint
        await certificates.add("fay", pem.decode(), ADMIN)
        _, text = await house.accounts.issue_token("fay", ("**",), ("**",), 0, ADMIN)
        assert house.identity.by_token(text, house.clock.now_ns())
        assert house.identity.by_certificate(print_, house.clock.now_ns())
        house.identity.configure(())
        house.fixed = []
        await house.accounts.add_user("fay", Role.ADMIN, HASH, ADMIN)  # another one, years later
        for _ in range(2):
            assert house.identity.by_token(text, house.clock.now_ns()) is None
            assert house.identity.by_certificate(print_, house.clock.now_ns()) is None
            await house.restart()
            await Certificates(house.identity, house.journal, house.clock).load()
        await house.journal.close()

    asyncio.run(main())


def test_a_user_has_so_many_sessions_and_the_oldest_goes(tmp_path):
    async def work(house):
        texts = []
        for _ in range(MOST_EACH + 1):
            house.later(0.001)
            texts.append((await house.log_in())[1])
        _, other = await house.log_in("fay")
        assert [bool(house.who(text)) for text in texts] == [False] + [True] * MOST_EACH
        assert house.who(other)
        rows = await house.journal.read(lambda c: c.execute("SELECT count(*) FROM sessions").fetchone()[0])
        assert rows == MOST_EACH + 1
        house.later(13)
        await house.log_in()
        rows = await house.journal.read(lambda c: c.execute("SELECT count(*) FROM sessions").fetchone()[0])
        assert rows == 1

    using(tmp_path, work)


def test_one_ends_ones_own_sessions_and_an_admin_any(tmp_path):
    async def work(house):
        made, text = await house.log_in()
        fay = SessionActor("fay", Role.ENGINEER, "session", session="x")
        account = Actor("olga", Role.VIEWER, "local")  # an account of the machine that has the same name
        for other in (fay, account):
            with pytest.raises(ForbiddenError, match="someone else"):
                await house.accounts.end_session(made.id, other)
        await house.accounts.end_session(made.id, house.who(text))
        assert house.who(text) is None
        with pytest.raises(WriteRejectedError, match="no session"):
            await house.accounts.end_session(made.id, ADMIN)
        made, text = await house.log_in("fay")
        await house.accounts.end_session(made.id, ADMIN)
        assert house.who(text) is None
        rows = [(row.action, row.actor, row.outcome) for row in house.journal.read_now(audit_log, 50)]
        assert ("login", "olga", "done") in rows
        assert ("logout", "fay", "refused") in rows
        assert ("logout", "root", "done") in rows

    using(tmp_path, work)


def test_a_lock_outlives_a_restart_until_the_right_secret(tmp_path):
    async def work(house):
        async def keep():
            port = FakePort([], clock=house.clock)
            gate = Gate(port.table, house.clock, house.journal, port.bus.publish, lambda command: False)
            certificates = Certificates(house.identity, house.journal, house.clock)
            await Keeper(gate, house.identity, house.accounts, certificates)._look_after(port)

        def tried(secret):
            return house.identity.authenticate("olga", secret, "http")

        for _ in range(7):
            house.monotonic_ns += house.identity.lockout.longest_ns("olga")
            tried("wrong")
        assert house.identity.lockout.longest_ns("olga") == 20 * SECOND_NS
        await keep()
        house.clock.set_ns(house.clock.now_ns() + 5 * SECOND_NS)
        house.monotonic_ns = 10**15  # another boot
        await house.restart()
        house.identity.lockout.restore(house.journal.read_now(lock_rows), house.clock.now_ns())
        assert house.identity.lockout.longest_ns("olga") == 15 * SECOND_NS
        assert tried(SECRET) is None
        house.monotonic_ns += 15 * SECOND_NS
        tried("wrong")
        assert house.identity.lockout.longest_ns("olga") == 40 * SECOND_NS
        house.monotonic_ns += 40 * SECOND_NS
        assert tried(SECRET)
        await keep()
        assert house.journal.read_now(lock_rows) == []

    using(tmp_path, work)


def test_locks_that_the_journal_does_not_take_at_once_are_audited_later(tmp_path, monkeypatch):
    async def full(record):
        raise StoreError("the disk is full")

    async def work(house):
        port = FakePort([], clock=house.clock)
        gate = Gate(port.table, house.clock, house.journal, port.bus.publish, lambda command: False)
        certificates = Certificates(house.identity, house.journal, house.clock)
        keeper = Keeper(gate, house.identity, house.accounts, certificates)

        async def look_after(row):
            with monkeypatch.context() as patched:
                patched.setattr(house.journal, row, full)
                with pytest.raises(WriteRejectedError, match="disk is full"):
                    await keeper._look_after(port)
            await keeper._look_after(port)

        for name in ("olga", "fay"):
            for _ in range(FREE):
                house.identity.authenticate(name, "wrong", "http", "10.0.0.6")
        await look_after("append_audit")
        locked = [row.actor for row in house.journal.read_now(audit_log, 9) if row.action == "login"]
        assert sorted(locked) == ["fay", "olga"]
        assert [each.name for each in house.journal.read_now(lock_rows)] == ["fay", "olga"]
        house.later(1)
        for name in ("olga", "fay"):
            assert house.identity.authenticate(name, SECRET, "http", "10.0.0.6")
        await look_after("append")
        assert house.journal.read_now(lock_rows) == []

    using(tmp_path, work)


@pytest.fixture
def kernel(tmp_path):
    users = f'users:\n  - {{name: boss, role: admin, secret: "{HASH}"}}\n'
    users += f'  - {{name: olga, role: operator, secret: "{HASH}"}}\n'
    (tmp_path / "plant.yaml").write_text(f"plant: m\nroot: s/l\nhistory: null\n{users}")
    (tmp_path / "tags.csv").write_text("path,type,access,initial\ntank/sp,REAL,rw,5\n")
    return Kernel(assemble(tmp_path), WallClock())


def test_log_in_use_list_and_log_out_over_http(kernel):
    async def main():
        await kernel.journal.open()
        await kernel._restore()
        transport = httpx.ASGITransport(create_app(kernel))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:

            async def log_in(name):
                answer = await http.post("/sessions", json={"name": name, "secret": SECRET})
                assert answer.status_code == 200, answer.text
                return answer.json()["view"]["id"], {
                    "headers": {"Authorization": f"Bearer {answer.json()['session']}"}
                }

            assert (await http.get("/sessions")).json() == {"sessions": [], "next": None}
            (olga, as_olga), (boss, as_boss) = await log_in("olga"), await log_in("boss")
            me = (await http.get("/info", **as_olga)).json()["user"]
            assert me == {"name": "olga", "role": "operator", "via": "session", "areas": []}
            assert (await http.put("/tags/tank/sp", json={"value": 6}, **as_olga)).status_code == 200
            assert (await http.get("/users", **as_olga)).status_code == 403
            seen = (await http.get("/sessions", **as_olga)).json()["sessions"]
            assert [(each["id"], each["own"]) for each in seen] == [(olga, True)]
            assert (await http.delete(f"/sessions/{boss}", **as_olga)).status_code == 403
            assert (await http.delete(f"/sessions/{olga}")).status_code == 403
            seen = (await http.get("/sessions", **as_boss)).json()["sessions"]
            assert [each["user"] for each in seen] == ["olga", "boss"]
            assert (await http.delete(f"/sessions/{olga}", **as_olga)).status_code == 200
            lost, _ = await log_in("olga")
            by_secret = {"auth": ("olga", SECRET)}
            assert (await http.delete(f"/sessions/{boss}", **by_secret)).status_code == 403
            assert (await http.delete(f"/sessions/{lost}", **by_secret)).json()["sessions"] == []
            gone = await http.get("/info", **as_olga)
            assert (gone.status_code, gone.json()["remedy"]) == (401, "log in again: ironworks login")
            change = {"name": "olga", "secret": SECRET, "new": "another good one"}
            assert "plant file" in (await http.post("/password", json=change)).json()["error"]
        await kernel.journal.close()

    asyncio.run(main())


@pytest.mark.parametrize("change", ["role", "secret", "password"])
def test_who_is_changed_while_the_secret_is_checked_does_not_come_in_as_before(kernel, change):
    async def main():
        await kernel.journal.open()
        await kernel._restore()
        accounts = Accounts(kernel.identity, kernel.journal, kernel.clock)
        await accounts.add_user("eve", Role.ADMIN, HASH, ADMIN)
        check, loop = kernel.identity.authenticate, asyncio.get_running_loop()

        def slow(*login):
            found = check(*login)
            work = (
                accounts.set_role("eve", Role.VIEWER, ADMIN)
                if change == "role"
                else accounts.set_secret("eve", hash_secret("another good one"), ADMIN)
            )
            asyncio.run_coroutine_threadsafe(work, loop).result(60)
            return found

        kernel.identity.authenticate = slow
        transport = httpx.ASGITransport(create_app(kernel))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:
            login = {"name": "eve", "secret": SECRET}
            if change == "password":
                answer = await http.post("/password", json=login | {"new": "known to a stranger"})
            else:
                answer = await http.post("/sessions", json=login)
            assert answer.status_code == 401, answer.text
            kernel.identity.authenticate = check
            secret = SECRET if change == "role" else "another good one"
            answer = await http.post("/sessions", json={"name": "eve", "secret": secret})
            assert answer.json()["view"]["role"] == ("viewer" if change == "role" else "admin")
        await kernel.journal.close()

    asyncio.run(main())


def test_a_new_secret_by_an_admin_stands_above_one_that_waits_for_it(kernel):
    async def main():
        await kernel.journal.open()
        await kernel._restore()
        accounts = Accounts(kernel.identity, kernel.journal, kernel.clock)
        await accounts.add_user("eve", Role.VIEWER, HASH, ADMIN)
        transport = httpx.ASGITransport(create_app(kernel))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:
            body = {"name": "eve", "secret": SECRET, "new": "known to a stranger"}
            async with kernel.identity.changing:
                waits = asyncio.create_task(http.post("/password", json=body))
                async with asyncio.timeout(60):
                    while not kernel.identity.changing._waiters:  # noqa: ASYNC110 - a thread checks the secret
                        await asyncio.sleep(0.001)
                await accounts.set_secret("eve", hash_secret("another good one"), ADMIN)
            answer = await waits
            assert (answer.status_code, "meanwhile" in answer.json()["error"]) == (409, True)
            assert (await http.get("/info", auth=("eve", "another good one"))).status_code == 200
        await kernel.journal.close()

    asyncio.run(main())


def test_wrong_secrets_at_the_login_lock_the_name(kernel, monkeypatch):
    monkeypatch.setattr(kernel.identity.lockout, "_now_ns", lambda: 0)  # a lock lasts five seconds

    async def main():
        await kernel.journal.open()
        transport = httpx.ASGITransport(create_app(kernel))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:
            login = {"name": "olga", "secret": "wrong"}
            paths = ("/sessions", "/password") * 2 + ("/sessions",)
            for path in paths:
                body = login | ({"new": "another good one"} if path == "/password" else {})
                assert (await http.post(path, json=body)).status_code == 401
            answer = await http.post("/sessions", json={"name": "olga", "secret": SECRET})
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        await kernel.journal.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("short", "shorter"),
        ("x" * 300, "longer"),
        ("abababababab", "repeats"),
        ("Olga-2026!!", "is the name"),
        ("o.l.g.a.1234", "is the name"),
    ],
)
def test_a_secret_that_anybody_would_try_is_refused(secret, why):
    with pytest.raises(WriteRejectedError, match=why):
        check_password(secret, "olga")


def test_a_secret_of_some_words_passes():
    check_password(SECRET, "olga")
    check_password("olga likes trains", "olga")
    check_password("密码有八个不同的字")


def test_the_file_of_sessions_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    here, there = Endpoint(file="/p/plant.yaml"), Endpoint(http="https://plant:8420")
    assert kept_session(here) is None
    keep_session(here, "iws_a_b")
    keep_session(there, "iws_c_d")
    assert (kept_session(here), kept_session(there)) == ("iws_a_b", "iws_c_d")
    file = sessions_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    keep_session(here, None)
    assert (kept_session(here), kept_session(there)) == (None, "iws_c_d")
    assert list(file.parent.iterdir()) == [file]
    file.chmod(0o640)
    with pytest.raises(PlantError, match="other accounts"):
        kept_session(there)
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(PlantError, match="damaged"):
        kept_session(there)
