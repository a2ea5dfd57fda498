"""What the journal says of users comes into force in order, however long a reading takes."""

import asyncio

from runtime.clock import ManualClock
from runtime.contract import Actor, Role
from runtime.gate.accounts import Accounts
from runtime.gate.identity import Identity, hash_secret
from runtime.journal import Journal

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
