"""Logs: whole JSON lines, bounded files, no secrets, and a full disk that ends nothing and is told."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from runtime.clock import ManualClock
from runtime.config import LogConfig
from runtime.logs import FILE, Filter, LogFile, following, log_lines, rotated, start_log
from runtime.supervisor import Supervisor


@contextmanager
def logging_to(folder, config=None, verbose=False):
    root = logging.getLogger()
    before, level, raising = root.handlers, root.level, logging.raiseExceptions
    file = start_log(folder, config or LogConfig(), verbose)
    try:
        yield file
    finally:
        file.close()
        root.handlers, root.level, logging.raiseExceptions = before, level, raising
        for name in (config or LogConfig()).levels:
            logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_line_has_time_level_component_and_text(tmp_path):
    class Pump:
        name = "pump"

        async def run(self, port):
            logging.getLogger("drivers.pump").warning("low pressure: %g bar", 1.5)
            await asyncio.to_thread(logging.getLogger("drivers.pump").info, "from its thread")
            raise RuntimeError("seal")

    async def main():
        faulted = asyncio.Event()
        supervisor = Supervisor(
            ManualClock(), lambda event: faulted.set() if event.kind == "component.faulted" else None
        )
        supervisor.add(Pump(), "driver", None, lambda: None)
        task = asyncio.create_task(supervisor.run("pump"))
        async with asyncio.timeout(60):
            await faulted.wait()
        task.cancel()
        await asyncio.wait({task})

    with logging_to(tmp_path):
        logging.getLogger("runtime").info("start")
        asyncio.run(main())
    found = list(log_lines(tmp_path / FILE))
    assert [(each.component, each.level, each.text) for each in found[:2]] == [
        ("kernel", "info", "start"),
        ("pump", "info", "pump starting"),
    ]
    texts = {each.text: each for each in found}
    assert texts["low pressure: 1.5 bar"].component == "pump"
    assert texts["from its thread"].component == "pump"
    assert "RuntimeError: seal" in texts["pump: internal error"].trace
    assert found == sorted(found, key=lambda each: each.time)
    assert all(json.loads(line)["time"].endswith("Z") for line in (tmp_path / FILE).open())


@pytest.mark.parametrize(
    "text",
    [
        "login with iw_ab12_c3VwZXItc2VjcmV0",
        "header Authorization: Bearer c3VwZXItc2VjcmV0",
        "Basic c3VwZXItc2VjcmV0 was wrong",
        'user {"secret": "c3VwZXItc2VjcmV0"}',
        "hash $argon2id$v=19$m=65536$c3VwZXItc2VjcmV0",
        "opening https://olga:c3VwZXItc2VjcmV0@server/x",
        "password=c3VwZXItc2VjcmV0;",
    ],
)
def test_secrets_never_reach_file_or_terminal(tmp_path, capsys, text):
    with logging_to(tmp_path):
        try:
            raise ValueError(text)
        except ValueError:
            logging.getLogger("runtime").exception("failed: %s", text)
    assert "c3VwZXItc2VjcmV0" not in (tmp_path / FILE).read_text()
    shown = capsys.readouterr().err
    assert "failed" in shown
    assert "c3VwZXItc2VjcmV0" not in shown


def test_files_are_bounded_in_size_and_number(tmp_path):
    file = LogFile(tmp_path / FILE, 10_000, 3)
    for number in range(1000):
        file.emit(
            logging.makeLogRecord({"msg": f"line {number} " + "x" * 100, "levelname": "INFO", "name": "test"})
        )
    file.close()
    kept = sorted(tmp_path.iterdir())
    assert [each.name for each in kept] == [FILE, f"{FILE}.1", f"{FILE}.2"]
    assert all(each.stat().st_size <= 10_000 for each in kept)
    numbers = [int(each.text.split()[1]) for each in log_lines(tmp_path / FILE)]
    assert numbers == list(range(numbers[0], 1000))
    assert len(numbers) > 60


def test_one_logger_may_say_more_than_the_rest(tmp_path):
    with logging_to(tmp_path, LogConfig(level="warning", levels={"drivers.modbus": "debug"})):
        logging.getLogger("drivers.modbus.poll").debug("read 10")
        logging.getLogger("runtime.kernel").info("quiet")
    assert [each.text for each in log_lines(tmp_path / FILE)] == ["read 10"]


def test_a_disk_without_room_ends_nothing_and_what_was_lost_is_told(tmp_path):
    (tmp_path / FILE).symlink_to("/dev/full")
    with logging_to(tmp_path) as file:
        log = logging.getLogger("runtime")
        log.info("one")
        log.info("two")
        assert (file.failing, file.lost) == (True, 2)
        (tmp_path / FILE).unlink()
        log.info("three")
        assert not file.failing
    told, three = log_lines(tmp_path / FILE)
    assert told.text.startswith("2 lines before this one")
    assert three.text == "three"


def test_a_disk_that_fills_in_the_midst_of_a_line_keeps_whole_lines(tmp_path):
    script = f"""
import logging, resource
from pathlib import Path
from runtime.logs import LogFile
file = LogFile(Path({str(tmp_path / FILE)!r}), 10**6, 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for number in range(50):
    file.emit(logging.makeLogRecord({{"msg": f"line {{number}}", "levelname": "INFO", "name": "test"}}))
print(file.lost)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    kept = list(log_lines(tmp_path / FILE))
    assert [each.text for each in kept] == [f"line {number}" for number in range(len(kept))]
    assert len(kept) + int(ran.stdout) == 50
    assert int(ran.stdout) > 0


def test_half_a_line_in_a_file_that_somebody_emptied_is_all_that_goes(tmp_path, monkeypatch):
    path, write = tmp_path / FILE, os.write
    with logging_to(tmp_path) as file:
        log = logging.getLogger("runtime")
        for _ in range(9):
            log.info("before")
        os.truncate(path, 0)
        log.info("kept")
        with monkeypatch.context() as full:
            full.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]))
            log.info("half")
        assert file.lost == 1
    assert [each.text for each in log_lines(path)] == ["kept"]


def test_a_line_torn_by_a_kill_does_not_spoil_the_next(tmp_path):
    (tmp_path / FILE).write_text('{"time":"2026-01-01T00:00:00.0')
    with logging_to(tmp_path):
        logging.getLogger("runtime").info("again")
    torn, again = log_lines(tmp_path / FILE)
    assert torn.text.startswith('{"time"')
    assert again.text == "again"


def test_a_message_that_does_not_fit_its_arguments_is_kept(tmp_path):
    with logging_to(tmp_path):
        logging.getLogger("runtime").info("%d items", "many")
    (line,) = log_lines(tmp_path / FILE)
    assert line.text == "%d items ('many',)"


def test_following_survives_rotation(tmp_path):
    path = tmp_path / FILE
    file = LogFile(path, 2_000, 3)
    seen, position, inode = [], 0, 0
    for number in range(60):
        file.emit(logging.makeLogRecord({"msg": f"line {number}", "levelname": "INFO", "name": "test"}))
        if number % 7 == 0:
            found, position, inode = following(path, position, inode)
            seen += found
    seen += following(path, position, inode)[0]
    file.close()
    assert rotated(path, 2).exists()
    assert [each.text for each in seen] == [f"line {number}" for number in range(60)]


def test_following_goes_on_when_somebody_empties_the_file(tmp_path):
    path = tmp_path / FILE
    with logging_to(tmp_path):
        logging.getLogger("runtime").info("a long line that is gone")
        _, position, inode = following(path, 0, 0)
        os.truncate(path, 0)
        logging.getLogger("runtime").info("next")
        found, position, inode = following(path, position, inode)
        assert [each.text for each in found] == ["next"]
        assert following(path, position, inode)[0] == []


def test_lines_are_chosen_by_time_level_and_component(tmp_path):
    with logging_to(tmp_path):
        log = logging.getLogger("runtime")
        log.info("a")
        log.error("b", extra={"component": "plc"})
    first, second = log_lines(tmp_path / FILE)
    assert list(filter(Filter(level="warning"), (first, second))) == [second]
    assert list(filter(Filter(component="kernel"), (first, second))) == [first]
    assert list(filter(Filter(since=second.time), (first, second))) == [second]
