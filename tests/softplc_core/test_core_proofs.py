"""`ironworks bench exchange` and `ironworks chaos retain`, short: no machine is too slow for them to hold."""

import json
import shutil

from typer.testing import CliRunner

import softplc.chaos
from runtime.cli import bench, chaos


def test_nothing_is_torn_between_core_and_kernel():
    words = ["exchange", "--tags", "500", "--seconds", "0.5", "--period", "1ms", "--json"]
    result = CliRunner().invoke(bench.app, words)
    assert result.exit_code == 0, result.output
    figures = {each["name"]: each for each in json.loads(result.stdout.splitlines()[-1])["figures"]}
    assert figures["scans"]["value"] > 10
    assert figures["torn snapshots"]["holds"]
    assert figures["inputs of two hand-overs"]["holds"]


def test_a_kill_leaves_the_last_whole_store():
    words = ["retain", "--times", "3", "--seed", "7", "--json"]
    result = CliRunner().invoke(chaos.app, words)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["ok"]
    assert report["done"]["kills"] == 3
    assert report["confirmed"]["stores"] >= 3


BROKEN = """
from softplc.core import slots
def write(self, layout, data, sequence):
    with self.files[0].open("wb", buffering=0) as file:
        file.write(slots._head(2, sequence, layout, data))
        for start in range(0, len(data), 64):
            file.write(data[start : start + 64])
slots.Slots.write = write
"""


def test_the_campaign_finds_what_one_slot_alone_would_lose(monkeypatch):
    monkeypatch.setattr(softplc.chaos, "_STORES", BROKEN + softplc.chaos._STORES)
    result = CliRunner().invoke(chaos.app, ["retain", "--times", "60", "--json"])
    assert result.exit_code == 1, result.output
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["findings"]
    shutil.rmtree(report["kept"])
