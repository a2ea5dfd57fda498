"""Roles by area: greater or lesser than the base role, for writes, approvals, alarms, and by command."""

import asyncio

import pytest

from runtime.assembly import assemble
from runtime.clock import WallClock
from runtime.config import UserConfig
from runtime.contract import Actor, Role
from runtime.errors import ConfigError, ForbiddenError
from runtime.gate.accounts import Accounts
from runtime.gate.identity import Identity, hash_secret
from runtime.journal import audit_log
from runtime.kernel import Kernel, KernelPort, open_kernel

SECRET = "correct horse battery"
PLANT = """\
plant: areas
root: s/a
history: null
alarms: alarms.yaml
gate: {two_person: [line2/lot]}
users:
  - {name: li, role: viewer, areas: {line1/**: operator, line1/limit: viewer, brewhouse: engineer}}
  - {name: wu, role: engineer, areas: {line1/**: viewer}}
"""
TAGS = """path,type,access,role,initial
line1/sp,REAL,rw,,5
line1/limit,REAL,rw,operator,5
line2/sp,REAL,rw,,5
line2/lot,REAL,rw,,5
"""
ALARMS = """alarms:
  - {name: one.high, tag: line1/sp, kind: high, limit: 90, text: One}
  - {name: two.high, tag: line2/sp, kind: high, limit: 90, text: Two}
  - {name: brew.high, tag: line2/sp, kind: high, limit: 90, area: brewhouse, text: Brew}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "tags.csv").write_text(TAGS)
    (tmp_path / "alarms.yaml").write_text(ALARMS)
    return tmp_path


def of(kernel, name):
    user = kernel.identity.user(name)
    return Actor(user.name, user.role, "http", areas=kernel.identity._areas(user))


def with_journal(kernel, work):
    async def main():
        await kernel.journal.open()
        try:
            return await work()
        finally:
            await kernel.journal.close()

    return asyncio.run(main())


def test_the_last_glob_that_matches_gives_the_role():
    areas = (("s/**", Role.OPERATOR), ("s/line1/**", Role.ENGINEER), ("s/line1/x", Role.VIEWER))
    actor = Actor("li", Role.ADMIN, "http", areas=areas)
    assert [actor.at(path).role.name for path in ("t/x", "s/y", "s/line1/y", "s/line1/x")] == [
        "ADMIN",
        "OPERATOR",
        "ENGINEER",
        "VIEWER",
    ]
    assert actor.at("s/y").at("t/x").role is Role.OPERATOR
    assert actor.at("s/line1/x", "s/line1/y").role is Role.VIEWER
    assert Actor("mei", Role.OPERATOR, "http").at("s/y").role is Role.OPERATOR


def test_a_role_by_area_holds_for_writes_and_stands_in_the_audit(folder):
    kernel = Kernel(assemble(folder), WallClock())
    li, wu, tags = of(kernel, "li"), of(kernel, "wu"), kernel.table

    async def work():
        await kernel.gate.write(tags["line1/sp"], 6, li)
        for path, who in (("line1/limit", li), ("line2/sp", li), ("line1/sp", wu)):
            with pytest.raises(ForbiddenError, match="is viewer"):
                await kernel.gate.write(tags[path], 6, who)
            with pytest.raises(ForbiddenError, match="is viewer"):
                kernel.gate.dry_run(tags[path], 6, who)
        await kernel.gate.mode.set_mode("maintenance", wu, "test")
        with pytest.raises(ForbiddenError, match="maintenance"):
            await kernel.gate.write(tags["line1/sp"], 6, li)
        with pytest.raises(ForbiddenError, match="maintenance"):
            await kernel.gate.write(tags["line1/sp"], 6, wu)
        await kernel.gate.write(tags["line2/sp"], 6, wu)
        return [
            (row.actor, row.role, row.outcome)
            for row in kernel.journal.read_now(audit_log, 20)
            if row.action == "write"
        ]

    rows = with_journal(kernel, work)
    assert rows[-1] == ("li", "operator", "done")
    assert rows[0] == ("wu", "engineer", "done")
    assert ("wu", "viewer", "refused") in rows


def test_approval_takes_the_role_in_the_area(folder):
    kernel = Kernel(assemble(folder), WallClock())
    wu = of(kernel, "wu")
    mei = Actor("mei", Role.VIEWER, "http", areas=(("s/a/line2/**", Role.OPERATOR),))
    low = Actor("low", Role.ENGINEER, "http", areas=(("s/a/line2/**", Role.VIEWER),))

    async def work():
        made = await kernel.gate.request(kernel.table["line2/lot"], 9, wu)
        for verb in (kernel.gate.requests.approve, kernel.gate.requests.reject):
            with pytest.raises(ForbiddenError, match="low is viewer"):
                await verb(made.id, low, "")
        await kernel.gate.requests.approve(made.id, mei, "")
        return kernel.table.value(kernel.table["line2/lot"])

    assert with_journal(kernel, work) == 9


def test_alarms_take_the_role_of_their_tag_or_area(folder):
    kernel = Kernel(assemble(folder), WallClock())
    at = kernel.alarms.engine.at
    li, wu = of(kernel, "li"), of(kernel, "wu")
    assert at(li, "one.high").role is Role.OPERATOR
    assert at(li, "two.high").role is Role.VIEWER
    assert at(li, "brew.high").role is Role.ENGINEER
    assert at(wu, "one.high").role is Role.VIEWER

    async def work():
        with pytest.raises(ForbiddenError, match="li is viewer and may not shelve"):
            kernel.alarms.engine.command("shelve", "two.high", li, "test", 1, 1)
        kernel.alarms.engine.command("shelve", "one.high", li, "test", 1, 1)
        kernel.alarms.engine.command("out-of-service", "brew.high", li, "test", 1)

    with_journal(kernel, work)


def test_every_way_in_gives_the_areas():
    secret = hash_secret(SECRET)
    areas = {"line1/**": "operator"}
    user = UserConfig(name="li", role="viewer", areas=areas, secret=secret, os_user="root")
    identity = Identity([user], root="s/a")
    for actor in (identity.authenticate("li", SECRET, "opcua"), identity.peer(0)):
        assert actor.role is Role.VIEWER
        assert actor.at("s/a/line1/sp").role is Role.OPERATOR
        assert actor.at("line1/sp").role is Role.OPERATOR


def test_an_area_that_matches_nothing_is_told(folder):
    (folder / "plant.yaml").write_text(PLANT.replace("line1/**: viewer", "lien1/**: viewer"))
    with pytest.raises(ConfigError) as caught:
        open_kernel(assemble(folder))
    (finding,) = caught.value.findings
    assert "'lien1/**' matches no tag and no alarm's area" in finding.text
    assert finding.place.line == 8


def test_an_opcua_session_ends_with_what_its_user_was(folder):
    kernel = Kernel(assemble(folder), WallClock())
    port = KernelPort(kernel, "server")
    admin = Actor("root", Role.ADMIN, "local")

    async def work():
        accounts = Accounts(kernel.identity, kernel.journal, kernel.clock)
        await accounts.add_user(
            "mei", Role.VIEWER, hash_secret(SECRET), admin, (("line1/**", Role.OPERATOR),)
        )
        before = port.authenticate("mei", SECRET, "opcua")
        await port.write(kernel.table["line1/sp"], 6, before)
        await accounts.set_role("mei", Role.OPERATOR, admin)
        with pytest.raises(ForbiddenError, match="log in again"):
            await port.write(kernel.table["line1/sp"], 7, before)
        with pytest.raises(ForbiddenError, match="log in again"):
            await port.command_alarm("acknowledge", "one.high", before)
        before = port.authenticate("mei", SECRET, "opcua")
        await port.write(kernel.table["line1/sp"], 7, before)
        await accounts.set_secret("mei", hash_secret("another good one"), admin)
        with pytest.raises(ForbiddenError, match="log in again"):
            await port.write(kernel.table["line1/sp"], 8, before)
        await port.write(kernel.table["line1/sp"], 8, Actor("anonymous", Role.OPERATOR, "opcua"))
        await port.write(kernel.table["line1/sp"], 9, Actor("tuner", Role.OPERATOR, "app"))

    with_journal(kernel, work)
