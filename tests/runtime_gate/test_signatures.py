"""Electronic signatures: shown anew with each write, with a meaning, bound to the row in the chain."""

import asyncio
import sqlite3

import httpx
import pytest

from runtime.api.app import create_app
from runtime.assembly import assemble
from runtime.clock import WallClock
from runtime.contract import Actor, Role
from runtime.errors import ConfigError, WriteRejectedError
from runtime.gate.accounts import Accounts
from runtime.gate.identity import hash_secret
from runtime.journal import Journal, audit_log, schema
from runtime.journal.audit import AuditEntry, Signature
from runtime.journal.chain import ADVANCE, CELLS, digest, verify_audit
from runtime.kernel import Kernel, open_kernel
from runtime.logins import Signing
from runtime.wire import PREFIX

SECRET = "correct horse battery"
HASH = hash_secret(SECRET)
PLANT = f"""\
plant: m
root: s/l
history: null
gate:
  two_person: [both/*]
  signatures:
    - {{tags: [recipe/*], meanings: [approval, review]}}
    - {{tags: [both/*], meanings: [responsibility]}}
users:
  - {{name: olga, role: operator, secret: "{HASH}"}}
  - {{name: wang, role: operator, secret: "{HASH}"}}
  - {{name: guest, role: viewer, secret: "{HASH}"}}
"""
TAGS = "path,type,access,initial\nrecipe/sp,REAL,rw,5\nboth/sp,REAL,rw,5\nplain/sp,REAL,rw,5\n"
OLGA, WANG = ("olga", SECRET), ("wang", SECRET)


def signed(name="olga", meaning="approval", secret=SECRET):
    return {"name": name, "secret": secret, "meaning": meaning}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "tags.csv").write_text(TAGS)
    return tmp_path


def using(folder, work):
    """Run `work(kernel, http)` against a kernel's application; returns the audit's rows, newest first."""
    kernel = Kernel(assemble(folder), WallClock())

    async def main():
        await kernel.journal.open()
        await kernel._restore()
        try:
            transport = httpx.ASGITransport(create_app(kernel))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:
                await work(kernel, http)
        finally:
            await kernel.journal.close()

    asyncio.run(main())
    return kernel.journal.read_now(audit_log, 100)


def test_a_signed_write_names_signer_meaning_and_time_in_its_row(folder):
    async def work(kernel, http):
        seen = (await http.get("/tags/recipe/sp")).json()
        assert seen["signature"] == ["approval", "review"]
        body = {"value": 6, "reason": "season", "signature": signed(meaning="review")}
        answer = await http.put("/tags/recipe/sp", json=body, auth=WANG)
        assert answer.status_code == 200, answer.text
        assert kernel.table.value(kernel.table["recipe/sp"]) == 6
        (entry,) = (await http.get("/audit?limit=1")).json()["entries"]
        assert [(each["name"], each["meaning"]) for each in entry["signatures"]] == [("olga", "review")]

    row = using(folder, work)[0]
    assert (row.actor, row.role, row.via, row.action, row.outcome) == (
        "olga",
        "operator",
        "http of wang",
        "write",
        "done",
    )
    (signature,) = row.signatures
    assert (signature.name, signature.meaning) == ("olga", "review")
    assert 0 <= row.at_ns - signature.at_ns < 60 * 10**9


def test_without_a_signature_no_way_in_writes(folder):
    async def work(kernel, http):
        answer = await http.put("/tags/recipe/sp", json={"value": 6}, auth=OLGA)
        assert answer.status_code == 409
        assert "takes an electronic signature" in answer.json()["error"]
        assert "ironworks write" in answer.json()["remedy"]
        tag = kernel.table["recipe/sp"]
        for via in ("opcua", "app", "local"):
            with pytest.raises(WriteRejectedError, match="electronic signature"):
                await kernel.gate.write(tag, 6, Actor("olga", Role.ADMIN, via))
        assert kernel.gate.dry_run(tag, 6, Actor("olga", Role.OPERATOR, "http")) == 5
        assert kernel.table.value(tag) == 5

    rows = using(folder, work)
    assert [row.outcome for row in rows] == ["refused"] * 4
    assert not any(row.signatures for row in rows)


@pytest.mark.parametrize(
    ("path", "signature", "status", "why"),
    [
        ("recipe/sp", signed(secret="wrong"), 403, "the name or the secret is wrong"),
        ("recipe/sp", signed("nobody"), 403, "the name or the secret is wrong"),
        ("recipe/sp", signed(meaning="authorship"), 422, "cannot mean 'authorship'"),
        ("recipe/sp", signed(meaning=""), 422, "cannot mean ''"),
        ("recipe/sp", signed("guest"), 403, "guest is viewer"),
        ("plain/sp", signed(), 409, "takes no signature"),
        ("recipe/sp", {"name": "olga", "secret": SECRET}, 422, "meaning"),
    ],
)
def test_a_signature_that_is_wrong_writes_nothing(folder, path, signature, status, why):
    async def work(kernel, http):
        answer = await http.put(f"/tags/{path}", json={"value": 6, "signature": signature}, auth=OLGA)
        assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.text
        assert SECRET not in answer.text
        assert kernel.table.value(kernel.table[path]) == 5

    rows = using(folder, work)
    assert [row.outcome for row in rows] == (["refused"] if "meaning" in signature else [])
    assert SECRET not in str(rows)


def test_wrong_secrets_of_signatures_lock_the_signer(folder):
    async def work(kernel, http):
        kernel.identity.lockout._now_ns = lambda: 0  # a lock lasts five seconds
        for status in [403] * 5 + [429]:
            body = {"value": 6, "signature": signed(secret="wrong" if status == 403 else SECRET)}
            answer = await http.put("/tags/recipe/sp", json=body, auth=WANG)
            assert answer.status_code == status
        assert (answer.headers["retry-after"], answer.json()["remedy"]) == ("5", "wait 5 s")
        answer = await http.get("/info", auth=OLGA)
        assert answer.status_code == 429

    using(folder, work)


def test_a_program_cannot_sign(folder):
    async def work(kernel, http):
        accounts = Accounts(kernel.identity, kernel.journal, kernel.clock)
        _, token = await accounts.issue_token("olga", ("**",), ("**",), 0, kernel.identity.peer(0))
        headers = {"Authorization": f"Bearer {token}"}
        answer = await http.put("/tags/recipe/sp", json={"value": 6, "signature": signed()}, headers=headers)
        assert (answer.status_code, "cannot sign" in answer.text) == (403, True)
        assert answer.json()["remedy"] == "log in with a name and a secret"

    using(folder, work)


def test_where_two_persons_are_needed_both_sign(folder):
    async def work(kernel, http):
        mine = {"path": "both/sp", "value": 6, "for_ns": 10**12}
        assert (await http.post("/gate/requests", json=mine, auth=OLGA)).status_code == 409
        mine["signature"] = signed(meaning="responsibility")
        made = (await http.post("/gate/requests", json=mine, auth=OLGA)).json()
        assert made["signature"] == ["responsibility"]
        path = f"/gate/requests/{made['id']}/approve"
        for body, auth, why in (
            (None, WANG, "electronic signature"),
            ({"signature": signed(meaning="responsibility")}, WANG, "olga asked for it"),
            ({"signature": signed("wang", "approval")}, WANG, "cannot mean"),
            ({"signature": signed("wang", "responsibility", "wrong")}, WANG, "wrong"),
        ):
            answer = await http.post(path, json=body, auth=auth)
            assert (answer.is_error, why in answer.json()["error"]) == (True, True), answer.text
        assert kernel.table.value(kernel.table["both/sp"]) == 5
        body = {"signature": signed("wang", "responsibility")}
        answer = await http.post(path, json=body, auth=OLGA)
        assert answer.status_code == 200, answer.text
        assert kernel.gate.holds["s/l/both/sp"].previous == 5

    rows = using(folder, work)
    found = {(row.action, row.actor, row.outcome): [each.name for each in row.signatures] for row in rows}
    assert found["request", "olga", "done"] == ["olga"]
    assert found["approve", "wang", "done"] == ["wang"]
    assert found["write", "olga", "done"] == ["olga", "wang"]


def test_a_signature_cannot_be_changed_removed_or_moved_unseen(tmp_path):
    path = tmp_path / "journal.sqlite"
    sign = (Signature("olga", "approval", 7),)

    async def main():
        journal = Journal(path, WallClock())
        await journal.open()
        rows = [
            AuditEntry(
                number, "olga", "operator", "http", "write", "a", number, 2, signatures=sign[: number % 2]
            )
            for number in range(1, 5)
        ]
        await journal.append_all(rows)
        await journal.close()
        return journal

    journal = asyncio.run(main())
    assert journal.read_now(verify_audit).ok
    for change in (
        "UPDATE audit SET signatures = '' WHERE seq = 1",
        "UPDATE audit SET signatures = replace(signatures, 'olga', 'wang') WHERE seq = 3",
        "UPDATE audit SET signatures = replace(signatures, 'approval', 'review') WHERE seq = 3",
        "UPDATE audit SET signatures = (SELECT signatures FROM audit WHERE seq = 1) WHERE seq = 2",
        "UPDATE audit SET signatures = x'' WHERE seq = 2",
        "UPDATE audit SET detail = signatures, signatures = '' WHERE seq = 1",
    ):
        with sqlite3.connect(path) as connection:
            connection.execute(change)
            connection.commit()
        report = journal.read_now(verify_audit)
        assert [(each.kind, each.seq) for each in report.findings][:1] == [("touched", int(change[-1]))], (
            change
        )
        restore(path)
        assert journal.read_now(verify_audit).ok


def restore(path):
    cell = '[["olga", "approval", 7]]'
    with sqlite3.connect(path) as connection:
        for seq in range(1, 5):
            values = (cell if seq % 2 else "", seq)
            connection.execute("UPDATE audit SET signatures = ?, detail = '' WHERE seq = ?", values)


def test_the_chain_of_an_older_journal_holds_and_goes_on(tmp_path):
    path = tmp_path / "journal.sqlite"
    before = next(n for n, step in enumerate(schema._STEPS) if "COLUMN signatures" in str(step))
    with sqlite3.connect(path, isolation_level=None) as connection:  # as the format before had it
        for step in schema._STEPS[:before]:
            connection.executescript(step) if isinstance(step, str) else step(connection)
        cells = (1, 5, "a", "viewer", "b", "write", "d", "null", "null", "", "done", "")
        connection.execute(
            f"INSERT INTO audit ({CELLS}, previous, hash) VALUES ({', '.join('?' * 14)})",
            (*cells, b"", digest(b"", *cells)),
        )
        connection.execute(ADVANCE)
        connection.execute(f"PRAGMA user_version = {before}")
    journal = Journal(path, WallClock())
    assert journal.read_now(verify_audit).ok
    assert [(row.seq, row.signatures) for row in journal.read_now(audit_log, 9)] == [(1, ())]

    async def append():
        await journal.open()
        await journal.append(AuditEntry(6, "a", "viewer", "b", "c", "d"))
        await journal.close()

    asyncio.run(append())
    assert journal.read_now(verify_audit).ok
    assert [row.seq for row in journal.read_now(audit_log, 9)] == [2, 1]


def test_a_glob_that_protects_nothing_is_told(folder):
    (folder / "plant.yaml").write_text(PLANT.replace("recipe/*", "recpie/*"))
    with pytest.raises(ConfigError, match="'recpie/\\*' matches no tag that can be written"):
        open_kernel(assemble(folder))


def test_a_secret_is_not_shown_where_a_signature_is_printed():
    assert SECRET not in repr(Signing("olga", SECRET, "approval"))
