"""Stores of older formats are brought along whole, whenever the process is killed; newer ones are refused."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import duckdb
import numpy as np
import pytest

from runtime.clock import ManualClock
from runtime.config import TagList
from runtime.contract import DataType, Tag
from runtime.errors import StoreError
from runtime.historian.schema import FORMAT
from runtime.historian.store import Store
from runtime.journal import Journal, audit_log, schema, verify_audit
from runtime.migration import copies_of

S = 1_000_000_000
ROW = """
INSERT INTO audit (at_ns, actor, role, via, action, target, old, new, reason, outcome, detail)
VALUES (?, 'ana', 'admin', 'test', 'write', 'a/level', '1', '2', '', 'done', '')
"""
FIRST_HISTORY = """
CREATE TABLE tags (id UINTEGER PRIMARY KEY, path VARCHAR, type VARCHAR, unit VARCHAR, retention VARCHAR);
CREATE TABLE samples (tag UINTEGER, t BIGINT, value DOUBLE, exact UBIGINT, text VARCHAR, quality UINTEGER);
CREATE TABLE recorder (format INTEGER, last_ns BIGINT);
INSERT INTO tags VALUES (0, 'a/level', 'REAL', '', 'standard');
INSERT INTO samples SELECT 0, 1700000000000000000 + range * 1000000000, range, NULL, NULL, 0 FROM range(5000);
INSERT INTO recorder VALUES (1, 1700000005000000000);
"""
LEVEL = Tag("a/level", DataType.REAL, source="plc")


def journal_of(path, version):
    """Make a journal as an Ironworks of that format left it; its rows were written in the first format."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.chain.install(connection)
        for number, step in enumerate(schema._STEPS[:version], 1):
            if isinstance(step, str):
                connection.executescript(step)
            else:
                step(connection)
            if number == 1:
                connection.executemany(ROW, [(each,) for each in range(50)])
            connection.execute(f"PRAGMA user_version = {number}")
    return path


def opened(path):
    async def main():
        journal = Journal(path, ManualClock())
        await journal.open()
        await journal.close()
        return journal

    return asyncio.run(main())


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_every_older_journal_is_brought_along(tmp_path, version):
    path = journal_of(tmp_path / "journal.sqlite", version)
    journal = opened(path)
    assert journal.problems == []
    assert len(journal.read_now(audit_log, 1000)) == 50
    assert journal.read_now(verify_audit).ok
    assert copies_of(path) == []


KILLED = """
import os, signal, sys
from runtime.journal import schema
from pathlib import Path
import sqlite3
count = 0
def counted(step):
    def work(connection):
        global count
        count += 1
        if isinstance(step, str):
            words = ""
            for each in step.split(";"):
                words += each + ";"
                if sqlite3.complete_statement(words):
                    connection.execute(words)
                    words = ""
        else:
            step(connection)
        if count == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    return work
schema._STEPS = tuple(counted(step) for step in schema._STEPS)
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
schema.prepare(connection)
"""


@pytest.mark.parametrize("step", range(1, schema.VERSION, 4))
def test_a_kill_within_any_step_harms_nothing(tmp_path, step):
    path = journal_of(tmp_path / "journal.sqlite", 1)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(step)], check=False, timeout=250)
    assert done.returncode == -signal.SIGKILL
    (copy,) = copies_of(path)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (50,)
    journal = opened(path)
    assert journal.problems == []
    assert journal.read_now(verify_audit).ok
    assert len(journal.read_now(audit_log, 1000)) == 50
    assert copies_of(path) == []


def test_a_step_that_fails_is_told_and_the_copy_stays(tmp_path, monkeypatch):
    path = journal_of(tmp_path / "journal.sqlite", 4)

    def fails(connection):
        connection.execute("DELETE FROM audit")
        raise sqlite3.IntegrityError("no")

    monkeypatch.setattr(schema, "_STEPS", (*schema._STEPS[:5], fails, *schema._STEPS[6:]))
    with pytest.raises(StoreError, match="cannot be brought from format 4"):
        opened(path)
    (copy,) = copies_of(path)
    assert copy.name == "journal.sqlite.format-4"
    monkeypatch.undo()
    assert len(opened(path).read_now(audit_log, 1000)) == 50


def first_history(tmp_path):
    path = tmp_path / "history.duckdb"
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(FIRST_HISTORY)
    return path


def samples(path):
    store = Store(path, ManualClock(), 64)
    store.open()
    try:
        ids = store.register(TagList([LEVEL], "a"))
        with store.cursor() as cursor:
            rows = cursor.execute("SELECT count(*), sum(value) FROM samples_1").fetchone()
        return rows, store.problems, ids.tolist()
    finally:
        store.close()


def test_the_first_history_is_brought_along(tmp_path):
    path = first_history(tmp_path)
    for _ in range(2):
        assert samples(path) == ((5000, float(np.arange(5000).sum())), [], [0])
    assert copies_of(path) == []


HISTORY_KILLED = """
import os, signal, sys
from pathlib import Path
from runtime.clock import ManualClock
from runtime.historian import store
work = store.bring_along
def killed(connection, found):
    if sys.argv[2] == "after":
        work(connection, found)
    os.kill(os.getpid(), signal.SIGKILL)
store.bring_along = killed
store.Store(Path(sys.argv[1]), ManualClock(), 64).open()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_history_is_brought_along_harms_nothing(tmp_path, when):
    path = first_history(tmp_path)
    done = subprocess.run([sys.executable, "-c", HISTORY_KILLED, str(path), when], check=False, timeout=250)
    assert done.returncode == -signal.SIGKILL
    (copy,) = copies_of(path)
    with closing(duckdb.connect(str(copy), read_only=True)) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchone() == (5000,)
    assert samples(path)[0][0] == 5000
    assert copies_of(path) == []


def test_a_later_history_is_refused_and_left_as_it_is(tmp_path):
    path = first_history(tmp_path)
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute("UPDATE recorder SET format = ?", [FORMAT + 1])
    before = path.read_bytes()
    with pytest.raises(StoreError, match="later Ironworks"):
        samples(path)
    assert path.read_bytes() == before
