"""What the journal confirms is on disk; what it cannot keep it says."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from runtime.clock import ManualClock
from runtime.config import TagList
from runtime.contract import DataType, Tag
from runtime.errors import StoreError
from runtime.journal import (
    AlarmLogEntry,
    AlarmRow,
    AuditEntry,
    Journal,
    OperatorValue,
    alarm_log,
    alarm_rows,
    audit_log,
    operator_values,
)


def entry(number, **more):
    return AuditEntry(number, "ann", "operator", "console", "write", "line/speed_sp_bpm", 1.0, 2.5, **more)


async def opened(path, **more):
    journal = Journal(path, ManualClock(), **more)
    await journal.open()
    return journal


def reopened(path):
    """Start and stop the journal on what is there; reading goes on after that."""

    async def main():
        journal = await opened(path)
        await journal.close()
        return journal

    return asyncio.run(main())


def test_audit_entries_come_back_newest_first_with_their_types(tmp_path):
    async def main():
        journal = await opened(tmp_path / "journal.sqlite")
        for number, value in enumerate([True, 3, 2.5, "速度", None]):
            await journal.append_audit(
                AuditEntry(number, "ann", "operator", "api", "write", "a/b", None, value, "why")
            )
        rows = await journal.read(audit_log, 3)
        assert [(row.seq, row.new, row.reason) for row in rows] == [
            (5, None, "why"),
            (4, "速度", "why"),
            (3, 2.5, "why"),
        ]
        older = await journal.read(audit_log, 10, 3)
        assert [row.new for row in older] == [3, True]
        assert older[1].new is True
        await journal.close()

    asyncio.run(main())


def test_operator_value_and_audit_row_are_one_commit_and_survive_a_restart(tmp_path):
    path = tmp_path / "state" / "journal.sqlite"
    value = OperatorValue("nb/line/sp", "ULINT", 2**64 - 1, None, 0, 17)
    text = OperatorValue("nb/line/recipe", "STRING", 0, "cola", 0, 18)

    async def main():
        journal = await opened(path)
        await journal.append_audit(entry(1, keep=value))
        await journal.put_value(text)
        with pytest.raises(StoreError):  # a value that SQLite cannot hold: neither row is written
            await journal.append_audit(entry(2, keep=OperatorValue("x", "LINT", 1, None, 0, 2**70)))
        await journal.close()

    asyncio.run(main())
    journal = reopened(path)
    assert journal.read_now(operator_values) == [text, value]
    assert len(journal.read_now(audit_log, 10)) == 1


def test_only_operator_tags_of_the_same_type_are_restored(tmp_path):
    tags = TagList(
        [
            Tag("a/sp", DataType.LINT),
            Tag("a/recipe", DataType.STRING),
            Tag("a/other", DataType.REAL),
            Tag("a/measured", DataType.LINT, source="plc"),
        ]
    )

    async def main():
        journal = await opened(tmp_path / "journal.sqlite")
        raw = DataType.LINT.encode(-5)
        for path in ("a/sp", "a/other", "a/measured", "a/gone"):
            await journal.put_value(OperatorValue(path, "LINT", raw, None, 0, 7))
        await journal.put_value(OperatorValue("a/recipe", "STRING", 0, "cola", 0, 8))
        batch = await journal.operator_values(tags)
        values = {tags[row.id].path: tags[row.id].data_type.decode(row.raw, row.text) for row in batch}
        assert values == {"a/sp": -5, "a/recipe": "cola"}
        assert sorted(batch.source_ns.tolist()) == [7, 8]
        await journal.close()

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [entry(2**70), entry(5, type=object()), replace(entry(5), new={1})])
def test_one_wrong_record_does_not_fail_the_others_of_its_group(tmp_path, wrong):
    async def main():
        journal = await opened(tmp_path / "journal.sqlite")
        calls = [journal.append(wrong if number == 5 else entry(number)) for number in range(50)]
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in answers].count(StoreError) == 1
        assert isinstance(answers[5], StoreError)
        assert len(await journal.read(audit_log, 100)) == 49
        await journal.close()

    asyncio.run(main())


def test_more_callers_than_room_wait_and_none_is_lost(tmp_path):
    async def main():
        journal = await opened(tmp_path / "journal.sqlite", depth=4)
        numbers = await asyncio.gather(*(journal.append(entry(number)) for number in range(500)))
        assert sorted(numbers) == list(range(1, 501))
        await journal.close()

    asyncio.run(main())


def test_alarm_state_and_transition_go_together(tmp_path):
    async def main():
        journal = await opened(tmp_path / "journal.sqlite")
        row = AlarmRow("tank.high", "unacknowledged", 5, None, None, "", "", 91.5, 1)
        await journal.append(
            AlarmLogEntry(0, 5, "tank.high", "raised", "unacknowledged", value=91.5, after=row)
        )
        done = AlarmRow("tank.high", "acknowledged", 5, None, 9, "ann", "seen", 91.5, 1)
        await journal.append(
            AlarmLogEntry(0, 9, "tank.high", "acknowledged", "acknowledged", "ann", "seen", 91.5, done)
        )
        assert await journal.read(alarm_rows) == [done]
        log = await journal.read(alarm_log, 10)
        assert [(each.seq, each.transition) for each in log] == [(2, "acknowledged"), (1, "raised")]
        assert await journal.read(alarm_log, 10, None, "other") == []
        await journal.close()

    asyncio.run(main())


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database at all" * 100)

    async def main():
        journal = await opened(path)
        assert "damaged" in journal.problems[0]
        assert await journal.append(entry(1)) == 1
        await journal.close()

    asyncio.run(main())
    kept = list(tmp_path.glob("journal.sqlite.corrupt-*"))
    assert [file.read_bytes()[:3] for file in kept] == [b"not"]


def test_damage_inside_the_file_is_found_at_start(tmp_path):
    path = tmp_path / "journal.sqlite"

    async def fill():
        journal = await opened(path)
        await journal.append_all([entry(number, reason="x" * 200) for number in range(500)])
        await journal.close()

    asyncio.run(fill())
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = b"\xff" * 8192
    path.write_bytes(data)
    again = reopened(path)
    assert again.problems
    assert again.read_now(audit_log, 10) == []


@pytest.mark.parametrize(
    ("made", "damaged"),
    [
        (b"CREATE TABLE gate_mode (", b"CREATE TABLE gate_mod\xe5 ("),
        (b"CREATE TABLE gate_mode (", b"CREAT\xc5 TABLE gate_mode ("),
        (b"path TEXT PRIMARY KEY", b"path TEPT PRIMARY KEY"),
        (b"raw INTEGER NOT NULL", b"raw INTEGER NOT0NULL"),
        (b"alarm TEXT NOT NULL", b"alarm TE\xd8T NOT NULL"),
        (b"actor TEXT NOT NULL", b"actor\xa0TEXT NOT NULL"),
    ],
)
def test_damage_to_the_list_of_tables_is_found_at_start(tmp_path, made, damaged):
    path = tmp_path / "journal.sqlite"
    reopened(path)
    path.write_bytes(path.read_bytes().replace(made, damaged))
    again = reopened(path)
    assert "damaged" in again.problems[0]
    assert len(list(tmp_path.glob("journal.sqlite.corrupt-*"))) == 1


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        reopened(tmp_path / "file" / "journal.sqlite")
    assert caught.value.remedy


def test_a_journal_of_a_later_format_is_left_alone(tmp_path):
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99"):
        reopened(path)
    assert list(tmp_path.glob("*corrupt*")) == []


def test_a_closed_journal_refuses(tmp_path):
    journal = reopened(tmp_path / "journal.sqlite")
    with pytest.raises(StoreError):
        asyncio.run(journal.append(entry(1)))


def _full_disk(path, limit):
    """Fill a disk (a file size limit), see the refusal, free it, and go on: run in a process of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def main():
        journal = await opened(path)
        kept = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        for number in range(10_000):
            try:
                await journal.append(entry(number, reason="x" * 500))
            except StoreError:
                break
            kept += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        kept += bool(await journal.append(entry(0)))
        assert len(await journal.read(audit_log, 20_000)) == kept
        await journal.close()
        print(kept)

    asyncio.run(main())


def test_a_full_disk_refuses_and_heals(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(__file__).rpartition('/')[0]!r})\n"
    code += "import pathlib, test_journal\n"
    code += f"test_journal._full_disk(pathlib.Path({str(tmp_path / 'j.sqlite')!r}), 400_000)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert 10 < int(run.stdout) < 10_000


def test_kill_loses_nothing_that_was_confirmed(tmp_path):
    path = tmp_path / "journal.sqlite"
    code = textwrap.dedent(f"""
        import asyncio, pathlib
        from runtime.clock import WallClock
        from runtime.journal import AuditEntry, Journal
        async def main():
            journal = Journal(pathlib.Path({str(path)!r}), WallClock())
            await journal.open()
            while True:
                entry = AuditEntry(1, "ann", "operator", "api", "write", "a/b")
                for seq in await asyncio.gather(*(journal.append(entry) for _ in range(20))):
                    print(seq, flush=True)
        asyncio.run(main())
    """)
    confirmed = 0
    for round_ in range(3):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(200 + 71 * round_):
            confirmed = max(confirmed, int(child.stdout.readline()))
        child.kill()
        rest, _ = child.communicate()
        confirmed = max([confirmed, *(int(line) for line in rest.split("\n")[:-1])])
        journal = reopened(path)
        assert journal.problems == []
        rows = journal.read_now(audit_log, 1_000_000)
        assert {row.seq for row in rows} >= set(range(1, confirmed + 1))
