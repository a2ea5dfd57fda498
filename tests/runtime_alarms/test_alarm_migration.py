"""A journal of the first release is taken along: alarms stand as they stood, its alarms count."""

import asyncio
import contextlib
import sqlite3

from runtime.clock import ManualClock
from runtime.journal import AlarmMove, AlarmRow, Journal, alarm_log, alarm_moves, alarm_rows

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
    assert journal.read_now(alarm_moves, 5, 6) == [AlarmMove(5, "tank.high", "raised", True)]
