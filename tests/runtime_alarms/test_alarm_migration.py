"""Journals of earlier releases are taken along: alarms stand as they stood, its alarms count."""

import asyncio
import contextlib
import sqlite3

import msgspec
import pytest

from runtime.clock import ManualClock
from runtime.journal import AlarmMove, AlarmRow, Journal, alarm_log, alarm_moves, alarm_rows, chain, schema
from runtime.wire import JournalEntry

FIRST_FORMAT = """
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL,
    via TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
    reason TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE alarm_journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, alarm TEXT NOT NULL,
    transition TEXT NOT NULL, state TEXT NOT NULL, actor TEXT NOT NULL, comment TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE TABLE alarm_state (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, raised_ns INTEGER, cleared_ns INTEGER,
    acknowledged_ns INTEGER, acknowledged_by TEXT NOT NULL, comment TEXT NOT NULL, value TEXT NOT NULL,
    count INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE operator_values (
    path TEXT PRIMARY KEY, type TEXT NOT NULL, raw INTEGER NOT NULL, text TEXT,
    quality INTEGER NOT NULL, source_ns INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO alarm_state VALUES ('tank.high', 'acknowledged', 5, NULL, 7, 'ann', 'seen', '91.5', 3);
INSERT INTO alarm_journal VALUES (1, 5, 'tank.high', 'raised', 'unacknowledged', '', '', '91.5');
INSERT INTO alarm_journal VALUES (2, 7, 'tank.high', 'acknowledged', 'acknowledged', 'ann', 'seen', '91.5');
PRAGMA user_version = 1;
"""


def test_the_first_format_is_brought_to_this_one(tmp_path):
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_FORMAT)
    assert [each.value for each in Journal(path, ManualClock()).read_now(alarm_log, 10)] == [91.5, 91.5]

    async def main():
        for _ in range(2):  # the second opening finds nothing to do
            journal = Journal(path, ManualClock())
            await journal.open()
            await journal.close()
        assert journal.problems == []
        return journal

    journal = asyncio.run(main())
    assert journal.read_now(alarm_rows) == [
        AlarmRow("tank.high", "acknowledged", 5, None, 7, "ann", "seen", 91.5, 3)
    ]
    assert [each.announced for each in journal.read_now(alarm_log, 10)] == [False, True]
    moves = journal.read_now(lambda file: list(alarm_moves(file, 5, 6)))
    assert moves == [AlarmMove(5, "tank.high", "raised", True)]


@pytest.mark.parametrize("column", ["at_ns", "alarm", "transition", "state", "actor", "comment", "value"])
def test_a_journal_that_somebody_wrote_in_can_still_be_listed(tmp_path, column):
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_FORMAT)
        for seq, cell in enumerate(("x'00ff'", "CAST(x'c3ff' AS TEXT)"), 1):
            connection.execute(f"UPDATE alarm_journal SET {column} = {cell} WHERE seq = ?", (seq,))
        connection.commit()
    rows = Journal(path, ManualClock()).read_now(alarm_log, 10)
    assert [each.seq for each in rows] == [2, 1]
    msgspec.json.encode(msgspec.convert(rows, tuple[JournalEntry, ...], from_attributes=True))
    journal = Journal(path, ManualClock())

    async def brought_along():
        await journal.open()
        await journal.close()

    asyncio.run(brought_along())
    moves = journal.read_now(lambda file: list(alarm_moves(file, 0, 100)))
    assert all(isinstance(each.alarm, str) and isinstance(each.transition, str) for each in moves)


def test_an_alarm_of_the_format_before_confirmations_waits_for_none_and_its_shelf_is_a_timed_one(tmp_path):
    path = tmp_path / "journal.sqlite"
    before = next(n for n, step in enumerate(schema._STEPS) if "unconfirmed" in str(step))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        chain.install(connection)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schema, "_STEPS", schema._STEPS[:before])
            patch.setattr(schema, "VERSION", before)
            schema.prepare(connection)
        connection.execute(
            "INSERT INTO alarm_state (name, state, acknowledged_ns, acknowledged_by, comment, value, count,"
            " shelved_ns, shelved_until_ns, shelved_by, shelved_reason)"
            " VALUES ('tank.high', 'acknowledged', 7, 'ann', 'seen', '91.5', 3, 8, 99, 'ann', 'known')"
        )

    async def main():
        journal = Journal(path, ManualClock())
        await journal.open()
        await journal.close()
        return journal

    (row,) = asyncio.run(main()).read_now(alarm_rows)
    assert (row.shelved_once, row.unconfirmed, row.confirmed_ns, row.confirmed_by) == (False, False, None, "")
    assert (row.acknowledged_by, row.shelved_until_ns) == ("ann", 99)
