"""The demo as its user runs it: real processes, real sockets, and nothing left behind."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import psutil
import pytest

from runtime import registry
from runtime.cli import demo as demo_command
from runtime.cli.layout import copy_plant


@pytest.fixture
def demo(tmp_path, free_port):
    """The bottling line in a folder of its own, on free ports."""
    folder = tmp_path / "bottling"
    copy_plant(registry.load("demos", "bottling"), folder)
    field, opcua = free_port(), free_port()
    for name in ("plant.yaml", "rack.yaml"):
        text = (folder / name).read_text(encoding="utf-8")
        text = text.replace("port: 5020", f"port: {field}").replace("port: 4840", f"port: {opcua}")
        if name == "plant.yaml":
            text = text.replace("tags: tags.csv", "tags: tags.csv\napi: {port: null}")
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def command(*arguments):
    return [sys.executable, "-m", "runtime.cli", *map(str, arguments)]


def relatives(folder):
    """Return every process that works for this plant."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(each.info["cmdline"] or [])
    ]


def gone(folder, seconds=120):
    deadline = time.monotonic() + seconds
    while relatives(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_headless_demo_produces_and_says_so(demo):
    done = subprocess.run(
        command("demo", "--headless", "--for", "30", "--folder", demo),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert figures["produced"] is True
    assert figures["bottles"] >= 3
    assert figures["scans"] > 1000
    assert figures["scan_p50_us"] <= figures["scan_p99_us"]
    assert figures["samples_stored"] > 100
    assert figures["tag_updates"] >= figures["samples_stored"]
    assert figures["start_to_live_s"] > 0
    # The rack's process may need longer to start than a link has to come up, if the machine is busy.
    assert set(figures["alarms_raised"]) <= {"remote_io.offline"}
    assert gone(demo)


def test_a_plant_that_does_not_stop_is_ended_with_its_children(monkeypatch):
    monkeypatch.setattr(demo_command, "STOP_TIMEOUT_S", 5.0)
    child_of_it = "import time; time.sleep(600)"
    stubborn = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child_of_it!r}]).wait()"
    child = subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (family := psutil.Process(child.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    demo_command._stop(child)
    assert child.returncode == -signal.SIGKILL
    assert psutil.wait_procs(family, 60)[1] == []


ENDINGS = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM, "hangup": signal.SIGHUP}


@pytest.mark.parametrize("how", ["q", "interrupt", "terminate", "hangup", "kill"])
def test_whatever_ends_the_console_leaves_no_process_behind(demo, how):
    main, child = pty.openpty()
    process = subprocess.Popen(
        command("demo", "--folder", demo),
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        start_new_session=True,
    )
    os.close(child)
    try:
        shown = read_until(main, b"Infeed", 240)
        assert b"Infeed" in shown, shown[-500:]
        if how == "q":
            os.write(main, b"q")
        elif how == "kill":
            process.kill()
        else:
            process.send_signal(ENDINGS[how])
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            read_until(main, None, 0.2)  # else it would wait for room on its terminal
        process.wait(1)
        assert process.returncode == (-signal.SIGKILL if how == "kill" else 0)
        assert gone(demo)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(60)
        os.close(main)


def read_until(terminal, word, seconds):
    """Read a terminal until a word was shown, it is silent for good, or the time is over."""
    deadline = time.monotonic() + seconds
    shown = b""
    while time.monotonic() < deadline and (word is None or word not in shown):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
    return shown
