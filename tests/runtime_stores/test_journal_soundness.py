"""A damaged row in a whole file is set aside and told; everything else serves, and nothing is lost."""

import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.alarms.model import notes_of, standing_of
from runtime.alarms.states import State
from runtime.clock import ManualClock
from runtime.config import TagList
from runtime.contract import Access, DataType, Tag
from runtime.gate import Identity
from runtime.gate.identity import hash_secret
from runtime.journal import (
    AlarmRow,
    AuditEntry,
    ConfigRecord,
    Journal,
    OperatorValue,
    alarm_rows,
    config_log,
    operator_values,
    verify_audit,
)
from runtime.journal.accounts import (
    LockRecord,
    SessionRecord,
    TokenRecord,
    UserRecord,
    account_rows,
    lock_rows,
)
from runtime.journal.certificates import CertificateRecord, certificate_rows
from runtime.journal.gatelog import Hold, ModeRecord, Sent, gate_rows, unanswered
from runtime.journal.soundness import ALARM_STATES
from runtime.journal.values import restored

TAGS = TagList(
    [
        Tag("a/sp", DataType.REAL, access=Access.READ_WRITE, source="operator", initial=1.0),
        Tag("a/name", DataType.STRING, access=Access.READ_WRITE, source="operator", initial=""),
    ],
    "a",
)
ONE_OF = ("gate_mode",)  # tables of one row
GARBAGE = ("'gar~bage'", "x'00ff'", "CAST(x'c3ff' AS TEXT)", "-9007199254740993", "'[[1]]'", "''")


def certificate(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=9))
    made = built.sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    return CertificateRecord(made.fingerprint(hashes.SHA256()).hex(), name, pem, 9, 1, "root")


def records():
    secret = hash_secret("correct horse battery")
    areas = (("line1/**", "engineer"),)
    attempt = AuditEntry(5, "wu", "engineer", "api", "write", "a/sp", 1.0, 2.0, type="REAL")
    yield from (AlarmRow(name, "acknowledged", 1, 2, 3, "wu", "", 91.5, shelved_ns=4) for name in "ab")
    yield OperatorValue("a/sp", "REAL", DataType.REAL.encode(7.0), None, 0, 5)
    yield OperatorValue("a/name", "STRING", 0, "ale", 0, 5)
    yield ModeRecord("auto", False, "wu", "x", 5)
    yield from (Hold(path, "REAL", 1.0, 2.0, 99, "wu", "x") for path in ("a/sp", "a/other"))
    yield from (Sent(attempt) for _ in range(2))
    for name in ("ann", "bob"):
        yield UserRecord(name, "operator", secret, "root", 1, areas)
        yield TokenRecord(name, name, b"x" * 32, ("**",), (), 1, "root", None)
        yield SessionRecord(name, name, b"x" * 32, "operator", areas, b"m", 1, 99)
        yield certificate(name)
        yield LockRecord(name, "*", 3, 99)
        yield ConfigRecord(1, "root", "start", 1, "d", "", "good")


def opened(path):
    async def main():
        journal = Journal(path, ManualClock())
        await journal.open()
        await journal.close()
        return journal

    return asyncio.run(main())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "journal.sqlite"

    async def main():
        journal = Journal(path, ManualClock())
        await journal.open()
        await journal.append_all(list(records()))
        await journal.close()

    asyncio.run(main())
    return path


@pytest.fixture(scope="module")
def columns(whole):
    """All columns of what is looked at, each with its table and what finds a row of that."""
    with closing(sqlite3.connect(whole)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [each for each in tables if count(connection, each) and not each.startswith("sqlite_")]
        found = []
        for table in set(tables) - {"audit", "audit_head"}:
            known = connection.execute(f"PRAGMA table_info({table})").fetchall()
            (key, *_) = [name for _, name, _, _, _, part in known if part]
            found += [(table, key, name) for _, name, *_ in known]
        return found


def count(connection, table):
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def taken_up(journal):
    """Do with the rows what a start does; return what there is of each kind."""
    alarms = journal.read_now(alarm_rows)
    for row in alarms:
        standing_of(row), notes_of(row)
    values = journal.read_now(operator_values)
    restored(values, TAGS)
    mode, holds = journal.read_now(gate_rows)
    for hold in holds:
        next(each for each in DataType if each.iec == hold.type).encode(hold.previous)
    users, tokens, sessions = journal.read_now(account_rows)
    identity = Identity(())
    identity.restore(users, tokens, sessions)
    identity.restore_certificates(journal.read_now(certificate_rows))
    identity.lockout.restore(journal.read_now(lock_rows), 5)
    assert journal.read_now(verify_audit).ok
    return {
        "alarm_state": alarms, "operator_values": values, "gate_mode": [mode], "gate_hold": holds,
        "gate_sent": journal.read_now(unanswered), "users": users, "tokens": tokens, "sessions": sessions,
        "certificates": journal.read_now(certificate_rows), "locks": journal.read_now(lock_rows),
        "config_log": journal.read_now(config_log, 100),
    }  # fmt: skip


def test_a_whole_journal_stays_as_it_is(whole, tmp_path):
    shutil.copy(whole, tmp_path / "journal.sqlite")
    journal = opened(tmp_path / "journal.sqlite")
    assert journal.problems == []
    assert {table: len(rows) for table, rows in taken_up(journal).items()} == {
        table: 1 if table in ONE_OF else 2 for table in taken_up(journal)
    }


def test_what_counts_as_the_state_of_an_alarm_is_what_there_is():
    assert {each.value for each in State} == set(ALARM_STATES)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_damaged_row_is_set_aside_and_the_others_serve(whole, columns, tmp_path, garbage):
    path = tmp_path / "journal.sqlite"
    told = set()
    for table, key, column in columns:
        shutil.copy(whole, path)
        with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.IntegrityError), connection:
            one = f"(SELECT min({key}) FROM {table})"
            connection.execute(f"UPDATE {table} SET {column} = {garbage} WHERE {key} = {one}")
        journal = opened(path)
        found = taken_up(journal)
        with closing(sqlite3.connect(path)) as connection:
            moved = [row[0] for row in connection.execute("SELECT source FROM damaged ORDER BY seq")]
        assert len(journal.problems) == bool(moved), (table, column)
        if moved:
            told.add(table)
            assert table in moved
            assert table in journal.problems[0]
        for each, rows in found.items():
            assert len(rows) == (1 if each in ONE_OF else 2 - moved.count(each)), (table, column, each)
        assert found["gate_mode"][0].read_only or "gate_mode" not in moved
        assert opened(path).problems == []  # it is told once
    assert len(told) >= 5
