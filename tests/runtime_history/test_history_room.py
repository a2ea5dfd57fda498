"""A disk that is full, by history itself or by others: it goes on, tells, and gives others little."""

import asyncio
import contextlib
import shutil
import subprocess

import numpy as np
import pytest

from runtime.config import HistoryConfig
from runtime.contract import Batch
from runtime.historian import ALARMS, room
from runtime.historian.cold import DAY_NS
from runtime.historian.room import Allowance, Ballast, Room

MIB = 1 << 20
ROWS = 100_000


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """Let the disk of the history be small: 24 MiB, of which others take what `others` says."""
    others = [0]

    def disk(folder):
        mine = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
        return 24 * MIB, max(0, 24 * MIB - mine - others[0])

    monkeypatch.setattr(room, "_disk", disk)
    return others


@pytest.fixture
def full_disk(tmp_path):
    """Give a folder on a disk of its own, of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def record(kit, port, historian, rounds, told, rows=ROWS):
    """Record numbers that do not pack, 14 bytes each, and keep house after each."""
    noise, count = np.random.default_rng(len(told)), port.tags["count"].id
    for _ in range(rounds):
        times = port.clock.now_ns() - np.arange(rows, dtype=np.int64)[::-1] * 1_000_000
        values = noise.integers(2**60, 2**63, rows).astype(np.uint64)
        port.bus.publish(Batch.of(np.full(rows, count, np.int32), values, times))
        await port.clock.settle()
        await historian.flush()
        for _ in range(2):
            await kit.keep_house(port, historian)
        told.append((port.value("sys/history/used_pct"), port.value("sys/history/evicting")))


def fill(file):
    """Write until the disk is full."""
    with file.open("ab", buffering=0) as others, contextlib.suppress(OSError):
        while others.write(bytes(4096)):
            pass


def samples_gone(port):
    return sum(event.data["samples"] for event in port.emitted if event.kind == "historian.evicted")


def test_a_disk_smaller_than_the_limit_is_never_filled(tmp_path, kit, small_disk):
    async def main():
        config = HistoryConfig(flush="30min")  # may take 2048 MiB
        async with kit.running(tmp_path / "history.duckdb", config=config) as (port, historian):
            alarm = next(each for each in ALARMS if each.name == "history.disk")
            told = []
            while not any(evicting for _, evicting in told):
                await record(kit, port, historian, 1, told)
                assert len(told) < 60
            assert any(used > alarm.limit for used, _ in told[:-1])  # told before anything goes
            await record(kit, port, historian, 3, told)
            assert all(used < 100 for used, _ in told)
            assert port.value("sys/history/free_mib") > 2  # a tenth is left for others
            assert historian.stats().dropped == 0
            ids = np.arange(len(port.tags.tags), dtype=np.int32)
            left = len(await historian.query(ids, 0, 2**62)) + samples_gone(port)
            assert 0 <= left - historian.stats().committed <= len(ids)  # one of each held on
            assert "its disk has" in port.emitted[-1].text

    asyncio.run(main())


def test_others_who_fill_the_disk_cost_little_of_a_long_history(tmp_path, kit, small_disk):
    async def main():
        config = HistoryConfig(flush="30min")
        async with kit.running(tmp_path / "history.duckdb", config=config) as (port, historian):
            told = []
            await record(kit, port, historian, 7, told)
            before = historian._store.used_bytes()
            small_disk[0] = 24 * MIB  # nothing is free, whatever history gives up
            for _ in range(4):
                await kit.keep_house(port, historian)
            assert port.value("sys/history/used_pct") > 100  # the alarm stands
            lost = before - historian._store.used_bytes()
            assert 0 < lost < before / 2
            small_disk[0] = 0
            gone = samples_gone(port)
            for _ in range(2):
                await kit.keep_house(port, historian)
            assert port.value("sys/history/used_pct") < 80
            assert samples_gone(port) == gone

    asyncio.run(main())


def test_a_hundredth_a_day_goes_to_others_and_what_history_writes_itself():
    full = Room(used=1000 * MIB, limit=900 * MIB, free=0, reserve=125 * MIB, crowded=True)
    allowance = Allowance(0)
    allowance.grow(full, 0)
    spent = 0
    for day in range(1, 31):
        while allowance.left > 0:
            allowance.change(-MIB)
            spent += MIB
        allowance.grow(full, day * DAY_NS)
    assert 400 * MIB < spent < 430 * MIB  # 125 at once, 10 a day
    while allowance.left > 0:
        allowance.change(-MIB)
    allowance.change(5 * MIB)  # a file of so much was written
    assert allowance.left > 0
    allowance.change(-5 * MIB)
    assert allowance.left <= 0


def test_a_young_history_on_a_full_disk_keeps_most_of_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_disk", lambda folder: (100_000 * MIB, 50 * MIB))
    found = room.room(10 * MIB, 2024 * MIB, tmp_path, 0)
    assert found.crowded
    assert found.share < 0.5


def test_the_ballast_goes_when_the_disk_is_full_and_comes_back(tmp_path, monkeypatch):
    free = [100 * MIB]
    monkeypatch.setattr(room, "_disk", lambda folder: (100 * MIB, free[0]))
    ballast = Ballast(tmp_path / "history.duckdb")
    sizes = []
    for left in (100, 9, 7, 7, 20, 30):
        free[0] = left * MIB
        ballast.give_up()
        ballast.take(100 * MIB)
        sizes.append(ballast.size // MIB)
    assert sizes == [8, 8, 0, 0, 0, 8]


def test_a_disk_that_others_fill_to_the_last_byte_stops_nothing(full_disk, kit):
    path, others = full_disk / "history.duckdb", full_disk / "others"

    async def main():
        config = HistoryConfig(flush="30min")
        async with kit.running(path, config=config) as (port, historian):
            told = []
            await record(kit, port, historian, 16, told)
            fill(others)
            await record(kit, port, historian, 12, told, ROWS // 4)
            assert port.value("sys/history/failing") is False
            assert historian.stats().dropped == 0
            assert 0 < samples_gone(port) < 14 * ROWS
        fill(others)
        assert shutil.disk_usage(full_disk).free < 4096
        async with kit.running(path, config=config, start_ns=port.clock.now_ns()) as (port, historian):
            await kit.keep_house(port, historian)  # it starts on it, too
            await record(kit, port, historian, 2, told, ROWS // 4)
            assert port.value("sys/history/failing") is False
            assert historian.stats().dropped == 0
            others.unlink()
            await record(kit, port, historian, 1, told, ROWS // 4)
            assert told[-1][0] < 100
            assert historian._store.ballast.size

    asyncio.run(main())
