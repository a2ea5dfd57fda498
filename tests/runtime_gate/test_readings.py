"""What the journal says of users comes into force in order, however long a reading takes."""

import asyncio

import pytest

from runtime.assembly import assemble
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, ManualClock, WallClock
from runtime.contract import Actor, Role
from runtime.endpoint import find, running
from runtime.errors import PlantError, StoreError
from runtime.gate.accounts import Accounts
from runtime.gate.identity import Identity, hash_secret
from runtime.journal import Journal
from runtime.journal.accounts import account_rows
from runtime.kernel import Kernel

HASH = hash_secret("correct horse battery")
ADMIN = Actor("root", Role.ADMIN, "local")


class Slow(Journal):
    """A journal whose first reading arrives only when it may."""

    def __init__(self, *args):
        super().__init__(*args)
        self.has_read, self.may_arrive = asyncio.Event(), asyncio.Event()

    async def read(self, query, *args):
        found = await super().read(query, *args)
        if not self.has_read.is_set():
            self.has_read.set()
            await self.may_arrive.wait()
        return found


def test_a_slow_reading_does_not_undo_what_came_after_it(tmp_path):
    async def main():
        clock, identity = ManualClock(10**18), Identity([])
        journal = Slow(tmp_path / "journal.sqlite", clock)
        await journal.open()
        accounts = Accounts(identity, journal, clock)
        old = asyncio.create_task(accounts.load())
        await journal.has_read.wait()
        await accounts.add_user("wang", Role.OPERATOR, HASH, ADMIN)
        journal.may_arrive.set()
        await old
        assert [user.name for user in identity.users()] == ["wang"]
        await journal.close()

    asyncio.run(main())


class Patient(WallClock):
    """A clock that says that no time has gone by."""

    def steady_ns(self):
        return 0


class Unreadable(Journal):
    """A journal on a disk that does not read for a while."""

    failures = 0

    async def read(self, query, *args):
        if self.failures:
            self.failures -= 1
            raise StoreError("the journal cannot be read: disk I/O error")
        return await super().read(query, *args)


def test_a_change_comes_into_force_when_the_journal_can_be_read_again(tmp_path):
    async def main():
        identity = Identity([])
        journal = Unreadable(tmp_path / "journal.sqlite", WallClock())
        await journal.open()
        accounts = Accounts(identity, journal, Patient())
        journal.failures = 3
        await accounts.add_user("wang", Role.OPERATOR, HASH, ADMIN)  # it tries again
        assert [user.name for user in identity.users()] == ["wang"]
        assert not identity.accounts_read.behind
        journal.failures = 1
        with pytest.raises(StoreError, match="kept, and in force as soon as"):
            await accounts.load(patience_s=0)
        assert identity.accounts_read.behind
        await accounts.load(patience_s=0)
        assert not identity.accounts_read.behind
        await journal.close()

    asyncio.run(main())


def test_nothing_old_is_told_of_users_and_the_keeper_catches_up(tmp_path):
    (tmp_path / "plant.yaml").write_text("plant: m\nroot: s/l\nhistory: null\napi: {port: null}\n")
    (tmp_path / "tags.csv").write_text("path,type,access,initial\nsp,REAL,rw,5\n")

    async def main():
        kernel = Kernel(assemble(tmp_path), WallClock())
        read, failing = kernel.journal.read, asyncio.Event()

        async def unreadable(query, *args):
            if failing.is_set() and query is account_rows:
                raise StoreError("the journal cannot be read: disk I/O error")
            return await read(query, *args)

        kernel.journal.read = unreadable
        stop = asyncio.Event()
        life = asyncio.create_task(kernel.run(stop))
        try:
            async with asyncio.timeout(60):
                while all(each.file != str(tmp_path / "plant.yaml") for each in running()):
                    await WallClock().sleep(0.05)
            async with PlantClient(find(tmp_path), timeout_s=60) as client:
                failing.set()
                with pytest.raises(PlantError, match="kept, and in force as soon as"):
                    await client.add_user("wang", "operator", HASH)
                with pytest.raises(PlantError, match="cannot be read just now"):
                    await client.users()
                await client.write("s/l/sp", 7.0, "for a moment", for_ns=SECOND_NS // 5)
                async with asyncio.timeout(60):  # goes back all the same
                    while kernel.table.value(kernel.table["s/l/sp"]) != 5.0:
                        await WallClock().sleep(0.05)
                assert kernel.identity.accounts_read.behind
                failing.clear()
                async with asyncio.timeout(60):
                    while kernel.identity.accounts_read.behind:
                        await WallClock().sleep(0.05)
                assert [user.name for user in await client.users()] == ["wang"]
        finally:
            stop.set()
            await asyncio.wait_for(life, 60)

    asyncio.run(main())
