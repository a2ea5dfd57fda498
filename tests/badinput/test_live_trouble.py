"""Trouble of a running plant: an alarm with cause and action, recovery by itself, nothing lost or left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

GONE_S = 120.0


def helps(alarm) -> bool:
    return all(part.en and part.zh for part in (alarm.text, alarm.cause, alarm.action))


def test_damaged_stores_are_set_aside_and_alarmed(works) -> None:
    state = works.folder / ".ironworks"
    (state / "journal.sqlite").write_bytes(os.urandom(20_000))
    (state / "history.duckdb").write_bytes(os.urandom(20_000))
    works.started()
    assert helps(works.within(GONE_S, works.active("journal.damaged")))
    assert helps(works.within(GONE_S, works.active("history.damaged")))
    kept = {each.name.partition(".corrupt-")[0] for each in state.glob("*.corrupt-*")}
    assert kept == {"journal.sqlite", "history.duckdb"}
    works.stop()
    assert "journal was damaged" in works.text()


def test_a_device_that_dies_is_alarmed_comes_back_and_a_killed_kernel_loses_nothing(works) -> None:
    works.started()
    assert works.command("write", "tank/level_sp", "44").returncode == 0

    def stays_away() -> Any:
        """Kill it each time that it is back: on a fast machine it is so within the alarm's delay of 2 s."""
        works.kill_devices()
        return works.alarm("remote_io.offline")

    assert helps(works.within(GONE_S, stays_away))
    works.within(GONE_S, works.level_is_good)
    works.within(GONE_S, works.gone("remote_io.offline"))
    samples = works.samples()
    works.stop(signal.SIGKILL)
    works.within(GONE_S, lambda: not works.processes())
    works.started()
    assert works.setpoint() == 44
    works.within(GONE_S, lambda: works.alarm("remote_io.offline"))  # still waits for an acknowledgement
    assert works.samples() >= samples
    assert works.stop(signal.SIGINT) < 30
    works.within(GONE_S, works.nothing_left)
    works.text()


def test_a_plant_that_runs_and_a_port_in_use_refuse_a_start(works) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file = works.folder / "plant.yaml"
        plain = file.read_text()
        file.write_text(plain.replace("{port: 0}", f"{{port: {taken.getsockname()[1]}}}"))
        assert works.start().wait(GONE_S) == 1
        assert "plant.yaml:24:7: port" in works.text()
        file.write_text(plain)
    first = works.start()
    works.within(GONE_S, lambda: works.component("api"))
    assert works.start().wait(GONE_S) == 1
    assert f"is already running (pid {first.pid})" in works.text()
    works.process = first
    works.stop()
    works.within(GONE_S, works.nothing_left)


def test_a_rack_whose_port_is_taken_says_so_in_the_plant(works) -> None:
    def rack_says_so() -> bool:
        rack = works.component("rack")
        return rack is not None and rack.state == "degraded" and "use" in rack.text

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", works.modbus))
        works.start()
        works.within(GONE_S, rack_says_so)
        works.within(GONE_S, works.active("remote_io.offline"))
    works.within(GONE_S, works.level_is_good)
    works.stop()
    works.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_instant_of_a_start_leaves_nothing(works, number: int) -> None:
    for delay_s in (0.0, 0.4, 0.8, 1.2, 1.6):
        works.start()
        works.within(GONE_S, works.begun)
        time.sleep(delay_s)
        assert works.stop(number) < 30
        works.within(GONE_S, works.nothing_left)
    works.text()


SWALLOWING = """
import os, signal, sys

class Swallowing:
    def find_spec(self, name, path=None, target=None):
        if name == "runtime.kernel":
            try:
                os.kill(os.getpid(), signal.{name})
                for _ in range(1000):
                    pass
            except BaseException:
                pass

sys.meta_path.insert(0, Swallowing())
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_import_that_swallows_exceptions_does_not_swallow_a_signal(works, tmp_path, name: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(SWALLOWING.format(name=name))
    works.environment["PYTHONPATH"] = str(tmp_path)
    assert works.start().wait(GONE_S) == -signal.Signals[name]
    works.within(GONE_S, works.nothing_left)


def test_the_end_of_the_parent_ends_the_plant(works) -> None:
    process = works.start("--attached", stdin=subprocess.PIPE)
    works.within(GONE_S, lambda: works.component("api"))
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(GONE_S) == 0
    works.within(GONE_S, works.nothing_left)


def heard() -> None:
    """Let a hangup be heard also where these tests run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_the_end_of_a_long_command_leaves_neither_process_nor_folder(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "runtime.cli", "bench", "soak", "--tags", "100", "--for", "1h"]
    own = {"env": os.environ | {"TMPDIR": str(tmp_path)}, "preexec_fn": heard}
    process = psutil.Popen(command, **own)
    started: list[psutil.Process] = []
    try:
        deadline_s = time.monotonic() + GONE_S
        while not started:
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
            started = process.children(recursive=True)
        process.send_signal(number)
        assert process.wait(GONE_S) == 128 + number
        assert psutil.wait_procs(started, GONE_S)[1] == []
        left = [each.relative_to(tmp_path).parts for each in tmp_path.rglob("*")]
        assert [each for each in left if each != (f"ironworks-{os.getuid()}",)] == []
    finally:
        for each in (process, *started):
            with suppress(psutil.NoSuchProcess):
                each.kill()


def clear_disks_of_killed_tests() -> None:
    for folder in Path(tempfile.gettempdir()).glob("iw-disk-*"):
        number = folder.name.split("-")[2]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
            with suppress(OSError):  # somebody else's
                folder.rmdir()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 40 MiB, where this account may mount one."""
    clear_disks_of_killed_tests()
    folder = Path(tempfile.mkdtemp(prefix=f"iw-disk-{os.getpid()}-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=40m", "ironworks-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("this account may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def test_a_full_disk_is_alarmed_and_recovers(works, small_disk: Path) -> None:
    file = works.folder / "plant.yaml"
    file.write_text(f"{file.read_text()}\nstate: {small_disk}/state\n")
    works.started()
    assert works.command("write", "tank/level_sp", "44").returncode == 0
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as full:
        for size in (1 << 20, 4096, 1):
            try:
                while full.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    refused = works.within(
        GONE_S, lambda: (done := works.command("write", "tank/level_sp", "45")).returncode and done
    )
    assert "journal cannot be written" in refused.stderr
    assert helps(works.within(GONE_S, works.active("journal.failing")))
    assert helps(works.within(GONE_S, works.active("history.failing")))
    works.within(GONE_S, works.level_is_good)  # the plant itself works on
    filler.unlink()
    works.within(GONE_S, works.gone("journal.failing"))
    works.within(GONE_S, works.gone("history.failing"))
    assert works.command("write", "tank/level_sp", "46").returncode == 0
    works.stop()
    works.started()
    assert works.setpoint() == 46
    works.stop()
    works.text()
