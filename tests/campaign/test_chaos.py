"""The campaigns of `ironworks chaos`, in short; `make campaign ROUNDS=50` is the long form."""

import asyncio
import json
import os
import random
import struct
import subprocess
import sys
from getpass import getuser
from pathlib import Path

import pytest

from runtime.chaos import disk, kill
from runtime.chaos.disk import compiler
from runtime.chaos.powercut import CREATE, RENAME, SYNC, WRITE, cut
from runtime.chaos.setup import UNITS, Setup
from runtime.chaos.simulate import play, play_all
from runtime.client import PlantClient
from runtime.journal import AuditEntry

KEPT = Path(__file__).with_name("seeds.txt")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="the failing disk is built with a C compiler")


def kept_seeds():
    """Seeds that found something once, each with a word why."""
    lines = (line.partition("#") for line in KEPT.read_text().splitlines())
    return [int(seed) for seed, _, why in lines if seed.strip() and why.strip()]


@pytest.mark.campaign
def test_nothing_confirmed_is_lost_or_doubled_by_kills(tmp_path, rounds):
    report = asyncio.run(kill.campaign(tmp_path / "kill", 3 * rounds, 20261122, lambda _: None))
    print("\n".join(report.lines()))
    assert report.findings == []
    assert report.rounds >= 3 * rounds
    assert report.confirmed["operator writes"] > rounds
    assert report.confirmed["samples"] > rounds
    assert report.confirmed["configurations applied"] > 0


def test_a_plant_that_runs_a_mixture_of_configurations_is_found_out(tmp_path):
    async def main():
        play = kill.Play.of(tmp_path / "plant", lean=True)
        victim, book = play.victim, play.book
        try:
            endpoint, _ = await victim.start(by_command=True)
            async with PlantClient(endpoint) as client:
                assert await book.check(client, began=True, whole=True) == []
                other = Setup(frozenset({UNITS}), limit=2_000_000)
                with book.trying("apply", play.engineer.edit(other), "apply-1") as answer:
                    answer.append((await client.config_apply("apply-1")).version)
                assert await book.check(client) == [f"version 2 is by {getuser()!r}"]  # and no engineer
                mixed = {**other.files(victim.base), "alarms.yaml": Setup().files(victim.base)["alarms.yaml"]}
                victim.edit(mixed)
                await client.config_apply()
                assert "version 3 is a mixture that nobody wrote" in " ".join(await book.check(client))
        finally:
            victim.close()

    asyncio.run(main())


@pytest.mark.campaign
@needs_compiler
def test_failing_disks_and_losses_of_power_cost_nothing_confirmed(tmp_path, rounds):
    report = asyncio.run(disk.campaign(tmp_path / "disk", 2 * rounds, 20261122, lambda _: None))
    print("\n".join(report.lines()))
    assert report.findings == []
    assert report.done[disk.POWER_CUT] > 0
    assert report.done["calls failed"] > 0


@pytest.mark.campaign
@pytest.mark.parametrize("quarter", range(4))
def test_the_simulated_kernel_holds_for_every_seed(rounds, quarter):
    """A thousand seeds in short."""
    seeds = [*kept_seeds(), *range(1, 250 * rounds + 1)]
    report = play_all(seeds[quarter::4], lambda _: None, workers=2)
    print("\n".join(report.lines()))
    assert report.findings == []
    assert report.done["kernel killed"] > 2 * rounds


def test_a_seed_plays_the_same_way_every_time():
    code = "from runtime.chaos.simulate import play; print(play(50).trace, play(51).trace)"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for number in ("1", "2")
    ]
    assert told[0] == told[1] == [play(50).trace, play(51).trace]
    assert told[0][0] != told[0][1]


def test_a_kernel_that_forgets_a_confirmed_value_is_found_out(monkeypatch):
    kept = AuditEntry.statements

    def forgetful(entry):
        statements = list(kept(entry))
        return [each for each in statements if "operator_values" not in each[0]]

    monkeypatch.setattr(AuditEntry, "statements", forgetful)
    found = [text for seed in range(1, 8) for text in play(seed).findings]
    assert any("confirmed" in text for text in found), found


def test_a_kernel_that_doubles_an_audit_row_is_found_out(monkeypatch):
    kept = AuditEntry.statements

    def stammering(entry):
        return [*list(kept(entry))[:2], *kept(entry)]

    monkeypatch.setattr(AuditEntry, "statements", stammering)
    found = [text for seed in range(1, 4) for text in play(seed).findings]
    assert any("2 audit rows" in text for text in found), found


def record(kind, path, other="", data=b"", at=0):
    a, b = str(path).encode(), str(other).encode()
    return struct.pack("<IIIIQ", kind, len(a), len(b), len(data), at) + a + b + data


def after_a_cut(folder, records, seed):
    before, state, trace = folder / "before", folder / "state", folder / "trace"
    for each in (before, state):
        each.mkdir(exist_ok=True)
    trace.write_bytes(b"".join(records))
    cut(before, state, trace, random.Random(seed))
    return {file.name: file.read_bytes() for file in state.iterdir()}


def test_a_loss_of_power_keeps_what_was_synced_and_tears_the_rest(tmp_path):
    file = tmp_path / "state" / "a"
    synced = [record(CREATE, file), record(WRITE, file, data=b"x" * 8192), record(SYNC, file)]
    torn = [*synced, record(WRITE, file, data=b"y" * 8192, at=4096)]
    found = {after_a_cut(tmp_path, torn, seed)["a"] for seed in range(40)}
    assert all(each[:4096] == b"x" * 4096 for each in found)
    assert {b"x" * 8192, b"x" * 4096 + b"y" * 8192} < found
    assert b"x" * 8192 + b"y" * 4096 in found


def test_a_rename_lasts_once_its_folder_is_synced(tmp_path):
    old, new = tmp_path / "state" / "a.tmp", tmp_path / "state" / "a"
    renamed = [
        record(CREATE, old), record(WRITE, old, data=b"x"), record(SYNC, old), record(RENAME, old, new)
    ]  # fmt: skip
    found = {tuple(after_a_cut(tmp_path, renamed, seed)) for seed in range(40)}
    assert found == {("a.tmp",), ("a",)}
    whole = [*renamed, record(SYNC, tmp_path / "state")]
    assert {tuple(after_a_cut(tmp_path, whole, seed)) for seed in range(40)} == {("a",)}


def test_a_campaign_tells_machines_what_it_did():
    command = [sys.executable, "-m", "runtime.cli", "chaos", "simulate", "--seeds", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["rounds"], report["ok"], report["findings"]) == (3, True, [])
    assert sum(report["confirmed"].values()) > 0
    assert sum(report["done"].values()) > 0
