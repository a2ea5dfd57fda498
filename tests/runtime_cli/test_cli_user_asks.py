"""Who sits at a terminal is asked before a user changes, and what someone else changed meanwhile stands."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runtime.client import PlantClient
from runtime.endpoint import find

HASH = "$argon2id$x"


def _on(folder: Path, work):
    async def main():
        async with PlantClient(find(folder)) as client:
            return await work(client)

    return asyncio.run(main())


def _at_a_terminal(folder: Path, arguments: list[str], before, answer=b"y\n") -> tuple[int, str]:
    """Run a command whose question is answered once `before` is done with its process."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runtime.cli", "user", *arguments, "--plant", str(folder)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ})
    os.close(theirs)
    text = b""
    answered = False
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        text += piece
        if not answered and b"?" in text:
            before(process)
            os.write(ours, answer)
            answered = True
    code = process.wait(60)
    os.close(ours)
    return code, " ".join(text.decode().split())


def _waits_for_a_key(pid: int) -> None:
    """Return once a process rests.

    The question is on the screen some microseconds before Python reads the answer, and a signal that comes
    within them is seen after the read only. A person is slower than that.
    """
    process = psutil.Process(pid)
    before = None
    while (now := (process.status(), process.cpu_times())) != before or now[0] != psutil.STATUS_SLEEPING:
        before = now
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["role", "ada", "--role", "engineer"], "ada: operator -> engineer?"),
        (["remove", "ada"], "ada: operator -> removed?"),
    ],
)
def test_a_change_of_a_user_holds_only_for_what_was_asked_about(
    running_plant: Path, runtime_home: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], asked: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_home))
    _on(running_plant, lambda client: client.add_user("ada", "operator", HASH))

    def someone_else(process: object) -> None:
        _on(running_plant, lambda client: client.set_role("ada", "viewer"))

    def back() -> None:
        _on(running_plant, lambda client: client.set_role("ada", "operator"))

    code, text = _at_a_terminal(running_plant, arguments, someone_else)
    assert asked in text
    assert code != 0
    assert "changed since it was read" in text
    assert _on(running_plant, lambda client: client.user("ada"))[0].role == "viewer"
    back()
    code, text = _at_a_terminal(running_plant, arguments, lambda process: None)
    assert code == 0, text
    left = {each.name: each.role for each in _on(running_plant, lambda client: client.users())}
    assert left.get("ada") == ("engineer" if arguments[0] == "role" else None)
    if "ada" in left:
        _on(running_plant, lambda client: client.remove_user("ada"))


def test_one_interrupt_ends_a_command_that_asks(
    running_plant: Path, runtime_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_home))
    _on(running_plant, lambda client: client.add_user("bob", "operator", HASH))
    arguments = ["role", "bob", "--role", "engineer"]

    def interrupt(process: subprocess.Popen[bytes]) -> None:
        _waits_for_a_key(process.pid)
        process.send_signal(signal.SIGINT)

    code, text = _at_a_terminal(running_plant, arguments, interrupt, b"")
    assert code != 0
    assert "Traceback" not in text
    assert _on(running_plant, lambda client: client.user("bob"))[0].role == "operator"
