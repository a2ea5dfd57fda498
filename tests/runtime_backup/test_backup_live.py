"""Backups of a plant that runs: over the API, on a schedule, and what its operator is told."""

import asyncio
import errno
import json

import pytest
from typer.testing import CliRunner

from runtime.assembly import assemble
from runtime.backup.unpack import verify
from runtime.cli import build
from runtime.client import PlantClient
from runtime.clock import ManualClock
from runtime.endpoint import find
from runtime.errors import PlantError, WriteRejectedError
from runtime.historian import open_readonly
from runtime.journal import Journal, audit_log, operator_values, verify_audit
from runtime.kernel import Kernel

MINUTE = 60
PLANT = "plant: brewery\nroot: site/line\napi: null\nhistory: {flush: 100ms}\n"


async def running(folder, work, clock=None):
    """Run a plant in this process while `work` lasts."""
    kernel = Kernel(assemble(folder), clock)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        life = group.create_task(kernel.run(stop))
        try:
            waiting = group.create_task(kernel.ready.wait())
            await asyncio.wait({waiting, life}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
            return await work(kernel)
        finally:
            stop.set()


async def until(condition, clock=None):
    async with asyncio.timeout(60):
        while not condition():
            if clock:
                await clock.advance(1)
            await asyncio.sleep(0.005)


def cli(*arguments):
    return CliRunner().invoke(build(arguments[0]), [str(each) for each in arguments])


def test_a_backup_under_writes_holds_every_confirmed_write(kit, tmp_path, runtime_folder, monkeypatch):
    home = kit.lay_out(tmp_path / "home", PLANT)
    confirmed = []

    async def work(kernel):
        await until(lambda: (runtime_folder / "ironworks").is_dir() and _found(home))
        with monkeypatch.context() as patch:
            patch.setattr("runtime.backup.service.gather", full)
            told = await asyncio.to_thread(cli, "backup", tmp_path / "b", "--plant", home)
        assert isinstance(told.exception, PlantError)
        assert "cannot be gathered: a.parquet: No space left" in str(told.exception)
        async with PlantClient(find(home)) as client, asyncio.TaskGroup() as group:
            writing = group.create_task(write(client))
            await until(lambda: len(confirmed) > 5)
            before = len(confirmed)
            made = await asyncio.to_thread(cli, "backup", tmp_path / "b", "--plant", home, "--json")
            assert made.exit_code == 0, made.output
            writing.cancel()
        rows = kernel.journal.read_now(audit_log, 1_000_000)  # many are of writes meanwhile
        assert {"backup", "backup.send"} <= {each.action for each in rows if each.outcome == "done"}
        assert not (home / ".ironworks" / "backup.unfinished").exists()
        return before, json.loads(made.output)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "a.parquet")

    async def write(client):
        for number in range(1_000_000):
            await client.write("site/line/setpoint", float(number), f"n{number}")
            confirmed.append(number)

    before, told = asyncio.run(running(home, work))
    assert told["ok"]
    restored = cli("restore", tmp_path / "b", tmp_path / "new", "--json")
    assert restored.exit_code == 0, restored.output
    journal = Journal(tmp_path / "new" / ".ironworks" / "journal.sqlite", ManualClock())
    assert journal.read_now(verify_audit).ok
    reasons = {row.reason for row in journal.read_now(audit_log, 100_000)}
    assert {f"n{number}" for number in range(before)} <= reasons
    value = journal.read_now(operator_values)[0]
    assert value.path == "site/line/setpoint"
    with open_readonly(tmp_path / "new" / ".ironworks" / "history.duckdb") as archive:
        assert archive.sql("SELECT count(*) FROM samples WHERE path LIKE '%setpoint'", 1, 120).rows[0][0] > 5


def _found(home):
    try:
        return find(home)
    except Exception:  # noqa: BLE001 - not yet
        return None


def test_only_an_admin_gets_one(kit, tmp_path, runtime_folder):
    users = "users: [{name: root, os_user: root, role: engineer}]\n"
    home = kit.lay_out(tmp_path / "home", PLANT + users)

    async def work(kernel):
        await until(lambda: _found(home))
        async with PlantClient(find(home)) as client:
            with pytest.raises(WriteRejectedError, match="needs admin"):
                async for _ in client.backup():
                    pass
            return await client.audit(10)

    rows = asyncio.run(running(home, work))
    assert [(row.action, row.outcome) for row in rows] == [("backup.send", "refused")]


def test_scheduled_backups_are_made_kept_and_missed(kit, tmp_path, runtime_folder):
    backups = tmp_path / "disk"
    home = kit.lay_out(tmp_path / "home", f"{PLANT}backup: {{every: 1min, keep: 2, to: {backups}}}\n")
    backups.mkdir()
    clock = ManualClock()

    async def work(kernel):
        overdue = kernel.table["sys/backup/overdue"]
        made = []
        for number in range(4):
            await clock.advance(MINUTE if number else 0)
            await until(lambda n=number: kernel.backups._last_ns and len(made_all(kernel)) > n, clock)
            made.append(max(backups.iterdir()))
        await until(lambda: sorted(backups.iterdir()) == made[-2:])  # time stands still: no more are begun
        for each in backups.iterdir():
            verify(each)
        await until(lambda: kernel.table.value(overdue) is False)
        for each in backups.iterdir():
            each.unlink()
        backups.rmdir()
        await clock.advance(3 * MINUTE)
        await until(lambda: kernel.table.value(overdue) is True, clock)
        await until(lambda: raised(kernel), clock)
        rows = await kernel.journal.audit(100)
        assert any(row.action == "backup" and row.outcome == "failed" for row in rows)
        assert "is not there" in str(kernel.supervisor.views())

    def made_all(kernel):
        rows = kernel.journal.read_now(audit_log, 1000)
        return [row for row in rows if row.action == "backup" and row.outcome == "done"]

    def raised(kernel):
        return kernel.alarms.view("backup.overdue")["active"]

    asyncio.run(running(home, work, clock))


def test_backups_of_a_clock_that_was_ahead_do_not_push_out_the_new_ones(kit, tmp_path, runtime_folder):
    backups = tmp_path / "disk"
    home = kit.lay_out(tmp_path / "home", f"{PLANT}backup: {{every: 1min, keep: 2, to: {backups}}}\n")
    backups.mkdir()
    ahead = [backups / f"brewery-209901{day:02}T000000Z.ironworks.tar.gz" for day in (1, 2)]
    for each in ahead:
        each.write_bytes(b"")
    clock = ManualClock()

    async def work(kernel):
        def done():
            return [row for row in kernel.journal.read_now(audit_log, 10) if row.action == "backup"]

        await until(lambda: done() and len([*backups.iterdir()]) == 2, clock)
        (made,) = done()
        assert sorted(map(str, backups.iterdir())) == [made.target, str(ahead[1])]

    asyncio.run(running(home, work, clock))
