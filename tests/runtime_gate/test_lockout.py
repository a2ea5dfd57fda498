"""Wrong secrets lock a name where they come from; a stranger does not lock out an operator."""

import sqlite3
import tracemalloc

import pytest

from runtime.clock import SECOND_NS
from runtime.gate.lockout import ANYBODY, EVERYWHERE, FREE, FREE_IN_ALL, Lockout
from runtime.journal import schema
from runtime.journal.accounts import DAY_NS, LockEnd, LockRecord, UserEnd, lock_rows

WITHOUT_ADDRESSES = 11  # format of the journal
FOE, HOME, NEW = "10.0.0.66", "10.0.0.2", "10.0.0.3"
LONGEST_NS = 300 * SECOND_NS


class Door:
    """A lockout with a clock that is turned by hand; `olga` is a user."""

    def __init__(self):
        self.now_ns = 0
        self.lockout = Lockout(lambda name: name == "olga", lambda: self.now_ns)

    def wrong(self, address, name="olga", times=1):
        """Give a wrong secret as often as that, as soon as each is looked at."""
        for _ in range(times):
            self.now_ns += self.lockout.left_ns(name, address)
            self.lockout.wrong(name, address, "http")

    def locked(self, address, name="olga"):
        return self.lockout.left_ns(name, address) // SECOND_NS


@pytest.fixture
def door():
    return Door()


def test_wrong_secrets_from_one_address_lock_a_name_there(door):
    door.wrong(FOE, times=FREE)
    assert (door.locked(FOE), door.locked(HOME)) == (5, 0)
    assert door.lockout.longest_ns("olga") == 5 * SECOND_NS
    door.wrong(FOE, times=9)
    assert (door.locked(FOE), door.locked(HOME)) == (300, 0)
    assert door.lockout.names() == 1
    assert {each.address for each in door.lockout.take_locks()} == {FOE}


def test_names_that_no_user_can_have_are_locked_and_take_no_room(door):
    tracemalloc.start()
    try:
        for number in range(20):
            name = f"{number:04d}" + "x" * 1_000_000
            door.wrong(f"10.9.0.{number}", name, FREE)
            assert door.locked(f"10.9.0.{number}", name) == 5
        del name
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_right_secret_elsewhere_opens_nothing_at_the_address_that_is_locked(door):
    door.wrong(FOE, times=FREE)
    door.lockout.right("olga", HOME)
    assert door.locked(FOE) == 5
    assert door.lockout.take_unlocked() == []
    door.now_ns += 5 * SECOND_NS
    door.lockout.right("olga", FOE)
    assert door.lockout.take_unlocked() == [("olga", FOE)]
    door.wrong(FOE, times=FREE - 1)
    assert door.locked(FOE) == 0


def test_many_addresses_lock_a_name_but_where_it_logged_in_before(door):
    door.lockout.right("olga", HOME)
    for number in range(FREE_IN_ALL):
        door.wrong(f"10.1.0.{number}")
    assert (door.locked(NEW), door.locked(HOME)) == (5, 0)
    assert door.lockout.take_locks()[-1].address == EVERYWHERE
    for number in range(6):
        door.wrong(f"10.1.1.{number}")
    assert (door.locked(NEW), door.locked(HOME)) == (300, 0)
    door.lockout.right("olga", HOME)  # that opens nothing to strangers
    assert door.locked(NEW) == 300
    door.wrong(HOME, times=FREE)
    assert door.locked(HOME) == 5


def test_only_the_last_addresses_of_a_name_are_remembered(door):
    for number in range(9):
        door.lockout.right("olga", f"10.2.0.{number}")
    for number in range(FREE_IN_ALL):
        door.wrong(f"10.1.0.{number}")
    assert [door.locked(f"10.2.0.{number}") for number in (0, 1, 8)] == [5, 0, 0]


def test_guesses_are_bounded_however_many_addresses_they_come_from(door):
    tried, number = 0, 0
    while door.now_ns < 3_600 * SECOND_NS:
        address = f"10.3.{number // 250}.{number % 250}"
        number += 1
        door.wrong(address)
        tried += 1
    assert tried < FREE_IN_ALL + 20


def test_a_name_that_nobody_has_is_locked_alike_and_pushes_no_user_out(door):
    door.wrong(FOE, times=FREE)
    for number in range(2_000):
        door.lockout.wrong(f"nobody{number}", f"10.4.{number // 250}.{number % 250}", "http")
    assert door.locked(FOE) == 5
    door.wrong(FOE, "nobody", FREE)
    assert door.locked(FOE, "nobody") == 5
    assert {each.name for each in door.lockout.take_locks()} == {"olga"}
    assert len(door.lockout._failures) <= 1_000


def test_one_secret_for_many_names_locks_the_address_but_to_who_logged_in_from_it(door):
    door.lockout.right("olga", FOE)
    for number in range(FREE_IN_ALL):
        door.wrong(FOE, f"nobody{number}")
    assert (door.locked(FOE, "wang"), door.locked(FOE), door.locked(HOME, "wang")) == (5, 0, 0)
    (lock,) = door.lockout.take_locks()
    assert (lock.name, lock.address, lock.failures) == (ANYBODY, FOE, FREE_IN_ALL)
    door.wrong(FOE, "nobody", 6)
    assert door.locked(FOE, "wang") == 300
    door.lockout.right("olga", FOE)
    assert door.locked(FOE, "wang") == 0
    assert door.lockout.take_unlocked() == [(ANYBODY, FOE)]


def test_failures_are_forgotten_after_a_quiet_quarter_of_an_hour(door):
    door.wrong(FOE, times=FREE)
    door.now_ns += 5 * SECOND_NS + 901 * SECOND_NS
    door.wrong(FOE)
    assert door.locked(FOE) == 0


@pytest.fixture
def connection():
    made = sqlite3.connect(":memory:")
    schema.prepare(made)
    yield made
    made.close()


def keep(connection, *records):
    for record in records:
        for statement, values in record.statements():
            connection.execute(statement, values)


def test_locks_are_kept_by_address_and_not_for_ever(connection, door):
    here, there = LockRecord("olga", HOME, 5, 100), LockRecord("olga", FOE, 7, 200)
    keep(connection, here, there, LockRecord("wang", FOE, 5, 100))
    assert {each.address for each in lock_rows(connection) if each.name == "olga"} == {HOME, FOE}
    keep(connection, LockEnd("olga", HOME))
    assert [(each.name, each.address) for each in lock_rows(connection)] == [("olga", FOE), ("wang", FOE)]
    keep(connection, LockRecord("wang", NEW, 5, 200 + DAY_NS))
    assert [(each.name, each.address) for each in lock_rows(connection)] == [("olga", FOE), ("wang", NEW)]
    keep(connection, UserEnd("olga", 0))
    assert [each.name for each in lock_rows(connection)] == ["wang"]


def test_a_lock_of_a_format_without_addresses_holds_everywhere(tmp_path, door, monkeypatch):
    file = tmp_path / "journal.sqlite"
    with monkeypatch.context() as older, sqlite3.connect(file) as before:
        older.setattr(schema, "_STEPS", schema._STEPS[:WITHOUT_ADDRESSES])
        older.setattr(schema, "VERSION", WITHOUT_ADDRESSES)
        schema.prepare(before)
        before.execute("INSERT INTO locks VALUES ('olga', 9, ?)", (80 * SECOND_NS,))
    before.close()
    after = sqlite3.connect(file)
    schema.prepare(after)
    door.lockout.restore(lock_rows(after), 0)
    after.close()
    assert (door.locked(HOME), door.locked(FOE)) == (80, 80)
