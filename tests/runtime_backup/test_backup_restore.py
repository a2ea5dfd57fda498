"""From a plant that does not run to a backup, and to a plant elsewhere."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from runtime import statelock
from runtime.backup.make import back_up_stopped
from runtime.backup.restore import restore
from runtime.backup.unpack import verify
from runtime.cli.stopped import plain_plant
from runtime.clock import ManualClock
from runtime.errors import PlantError, StoreError
from runtime.historian import open_readonly
from runtime.journal import AuditEntry, Journal, alarm_rows, audit_log, operator_values, verify_audit

S = 1_000_000_000
ENTRY = AuditEntry(1_800_000_000 * S, "bob", "admin", "cli", "restore", "b")


def backed_up(home, to):
    back_up_stopped(plain_plant(str(home)), to, 1_700_000_000 * S, lambda _: None)
    return to


def samples(state):
    with open_readonly(state / "history.duckdb") as archive:
        return archive.sql("SELECT count(*), count(DISTINCT t_ns) FROM samples", 10, 120).rows


def test_everything_comes_back_elsewhere(kit, home, tmp_path):
    kit.fill(home / ".ironworks")
    before = samples(home / ".ironworks")
    file = backed_up(home, tmp_path / "b")
    assert file.stat().st_mode & 0o077 == 0
    done = restore(file, tmp_path / "away" / "plant", force=False, entry=ENTRY)
    state = tmp_path / "away" / "plant" / ".ironworks"
    assert done.noted
    assert done.kept is None
    assert (tmp_path / "away" / "plant" / "plc" / "main.st").read_text() == "PROGRAM main END_PROGRAM\n"
    journal = Journal(state / "journal.sqlite", ManualClock())
    report = journal.read_now(verify_audit)
    assert report.ok
    assert report.rows == 21
    assert journal.read_now(audit_log, 1)[0].action == "restore"
    assert journal.read_now(alarm_rows)[0].state == "acknowledged"
    assert journal.read_now(operator_values)[0].raw == 19
    assert samples(state) == before
    assert state.stat().st_mode & 0o007 == 0  # the journal has hashes of secrets
    assert (state / "opcua" / "server" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert not (state / "cache").exists()
    assert sorted(each.name for each in (tmp_path / "away").iterdir()) == ["plant"]


@pytest.mark.parametrize("name", ["第一班\u3000记录.txt", "a\u00a0b.md", "x\u200dy", "a\u2028b"])
def test_a_name_with_signs_that_do_not_show_comes_back(home, tmp_path, name):
    (home / name).write_text("here")
    restore(backed_up(home, tmp_path / "b"), tmp_path / "new", force=False, entry=ENTRY)
    assert (tmp_path / "new" / name).read_text() == "here"


@pytest.mark.parametrize("name", [b"a\nb.txt", "第一班.txt".encode("gbk"), b"/".join(100 * [b"folder-name"])])
def test_a_name_that_could_not_be_restored_is_told_before_a_backup_is_made(home, tmp_path, name):
    file = home / os.fsdecode(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("here")
    with pytest.raises(StoreError, match="cannot hold the file 'plant/"):
        backed_up(home, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_restored_history_goes_on(kit, home, tmp_path):
    kit.fill(home / ".ironworks")
    before = samples(home / ".ironworks")[0][0]
    restore(backed_up(home, tmp_path / "b"), tmp_path / "new", force=False, entry=ENTRY)
    state = tmp_path / "new" / ".ironworks"

    async def more():
        clock = ManualClock(1_700_100_000 * S)
        async with kit.recording(state, clock) as historian:
            await historian.backfill(kit.batch(clock.now_ns(), 50))
            assert historian.problems == []

    asyncio.run(more())
    assert samples(state)[0][0] > before + 49


def test_a_snapshot_of_a_running_historian_is_whole(kit, home, tmp_path):
    state = home / ".ironworks"
    kit.fill(state)
    counts = []

    async def work():
        async with kit.recording(state, ManualClock(1_700_200_000 * S)) as historian:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(write(historian))
                for number in range(3):
                    await historian.snapshot(tmp_path / f"s{number}")
                    counts.append(samples(tmp_path / f"s{number}")[0])
                writing.cancel()
            await historian._keeper.tidy()
            assert historian.problems == []

    async def write(historian):
        for number in range(10_000):
            await historian.backfill(kit.batch((1_700_200_001 + number) * S, 100))

    asyncio.run(work())
    assert counts == sorted(counts)
    assert all(whole % 100 == counts[0][0] % 100 for whole, _ in counts)


def test_a_folder_that_is_there_is_not_touched(kit, home, tmp_path):
    kit.fill(home / ".ironworks", 10)
    file = backed_up(home, tmp_path / "b")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("1")
    with pytest.raises(PlantError, match="there already"):
        restore(file, tmp_path / "there", force=False, entry=ENTRY)
    assert (tmp_path / "there" / "mine").read_text() == "1"
    done = restore(file, tmp_path / "there", force=True, entry=ENTRY)
    assert (done.kept / "mine").read_text() == "1"
    assert (tmp_path / "there" / "plant.yaml").is_file()
    (tmp_path / "there" / "mine").write_text("2")
    again = restore(file, tmp_path / "there", force=True, entry=ENTRY)  # within the second
    assert [(each.kept / "mine").read_text() for each in (done, again)] == ["1", "2"]


def test_a_plant_at_work_is_not_replaced(kit, home, tmp_path):
    kit.fill(home / ".ironworks", 10)
    file = backed_up(home, tmp_path / "b")
    with statelock.held(home / ".ironworks"), pytest.raises(PlantError, match="another process"):
        restore(file, home, force=True, entry=ENTRY)
    with statelock.held(home / ".ironworks"), pytest.raises(PlantError, match="another process"):
        backed_up(home, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_damaged_backup_changes_nothing(kit, home, tmp_path):
    kit.fill(home / ".ironworks", 10)
    file = backed_up(home, tmp_path / "b")
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(data)
    before = sorted(home.rglob("*"))
    with pytest.raises(StoreError):
        restore(file, home, force=True, entry=ENTRY)
    assert sorted(home.rglob("*")) == before
    assert not any("restoring" in each.name for each in tmp_path.iterdir())


def test_stores_outside_of_the_plant_folder_go_where_the_plant_file_says(kit, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    home = kit.lay_out(tmp_path / "home", f"plant: p\nroot: a\nstate: {tmp_path}/var/p\n")
    kit.fill(tmp_path / "var" / "p", 10)
    file = backed_up(home, tmp_path / "b")
    restore(file, home, force=True, entry=ENTRY)
    journal = Journal(tmp_path / "var" / "p" / "journal.sqlite", ManualClock())
    assert journal.read_now(audit_log, 1)[0].action == "restore"
    kept = [each.name for each in (tmp_path / "var").iterdir()]
    assert sorted(each.split("-")[0] for each in kept) == ["p", "p.before"]


RESTORE = """
import sys
from pathlib import Path
from runtime.backup.restore import restore
from runtime.journal import AuditEntry
print("go", flush=True)
entry = AuditEntry(1, "x", "admin", "cli", "restore", "b")
restore(Path(sys.argv[1]), Path(sys.argv[2]), force=True, entry=entry)
"""


def test_a_kill_leaves_the_old_plant_or_the_new(kit, home, tmp_path, rounds):
    kit.fill(home / ".ironworks", 20_000)
    file = backed_up(home, tmp_path / "b")
    size = len(verify(file).files)
    (home / "old").write_text("old")
    seen = set()
    for number in range(rounds + 1):
        process = subprocess.Popen(
            [sys.executable, "-c", RESTORE, str(file), str(home)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        if number < rounds:
            time.sleep(0.012 * number)
            process.send_signal(signal.SIGKILL)
        process.wait(60)
        new = not (home / "old").exists()
        seen.add(new)
        again = tmp_path / f"again{number}"
        assert len(verify(backed_up(home, again)).files) == size + (not new)
        journal = Journal(home / ".ironworks" / "journal.sqlite", ManualClock())
        assert journal.read_now(verify_audit).ok
        (home / "old").write_text("old")
    assert True in seen
